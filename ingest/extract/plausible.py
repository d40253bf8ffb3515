"""Tell text from the codes of a font that were taken for letters. Pure.

A font without a map to Unicode may show the right letters and yield others: each letter shifted by
the same distance, or in the code page of another script. Such text has no undecoded characters.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache, partial

from ingest.extract.ascii_parts import non_ascii, only_ascii
from ingest.extract.garbled import GLYPH_NAMES, UNDECODED
from ingest.extract.language import language_probability

NOT_LETTERS = bytes(b for b in range(256) if not (b < 128 and chr(b).isalpha()))  # noqa: PLR2004 - ASCII
ACCENTED = bytes({*range(0xC0, 0x100)} - {*b"\xd7\xf7"})
VOWELS = b"aeiouAEIOU"
# Shares of vowels among a page's letters. In prose of languages in Latin script it is 0.3 to 0.45.
USUAL_VOWELS = 0.33, 0.55
RARE_VOWELS = 0.22
MIN_LETTERS = 60  # of a page; with fewer, shares say nothing
MIN_LETTER_SHARE = 0.5  # of a page's characters without spaces
MAX_OTHER_LATIN = 0.4  # share of letters beyond ASCII, as in Cyrillic text taken for Latin

# Probabilities of the most likely language. That of prose is above 0.9, that of program listings
# 0.1 to 0.5, that of garbage mostly below 0.3.
KNOWN_LANGUAGE, UNCERTAIN_LANGUAGE, NO_LANGUAGE = 0.8, 0.7, 0.2
STRANGE_LANGUAGE = 0.12  # of words that look like prose
MIN_PROSE_LETTERS = 150
MIN_PROSE_WORDS = 0.9  # share of words that are letters only
PROSE_WORD = re.compile(r"[\"'(\u201c\u201e]*[^\W\d_]{1,20}[.,;:!?)\"'\u201d]*")

MAX_MIXED_WORDS = 0.15  # share of words with letters of two scripts
MIN_MIXED_WORDS = 4
MIN_OTHER_LETTERS = 0.015  # share of a page's characters, to look for such words
LONG_WORD = re.compile(r"[^\W\d_]{3,}")
# Words that prose has many of, in languages of Latin, Greek and Cyrillic script.
COMMON_WORDS = frozenset(
    word
    for line in (
        "the of and to in is that for it with as was on be by at this from are or not have an we",
        "der die und den von zu das mit sich des auf für ist im dem nicht ein eine als auch es aus",
        "le la les de des et un une du en est que pour dans qui sur par au pas plus ne avec ou il",
        "el los las del se por con una para su al lo como más di che della per non sono da si",
        "os do em um uma com não no na dos het een van dat op te zijn voor niet aan er",
        "och att det som på är av den til og ikke med har ja ei että oli mutta joka ir un ka kad",
        "na się nie że jest je pro az és hogy nem egy și în cu pe să ve bir bu için ile eta ez",
        "yang dan untuk dengan ini dari và của là có cho trong không est ad cum quae ut sed agus",
        "të dhe në ang ng sa ya wa kwa að yn kaj amb per ve nu vi jo tu me za su od sa",
        "не на что по для из от та що до за да се не как при или это его",
        "και το να του της με την για τα οι στο που των από τον θα στην είναι η ο",
    )
    for word in line.split()
)
MIN_COMMON_WORDS, MIN_SAMPLE_WORDS = 0.05, 50  # different ones, as a share of all words
GLANCE_CHARS, MIN_GLANCED = 240, 3  # of the beginning of a page; saves time
MIN_SMALL = 0.9  # of the letters of prose, which a list of names has less of
DOUBTFUL_LANGUAGE = 0.45  # of prose without common words
GREEK = re.compile("[\u0370-\u03ff]")  # which the language model takes all for Greek

# Without the letters that look the same in Cyrillic: some fonts share them.
LATIN = re.compile("[DFGLNQRUVWZbdfghklmnqrtuvwz\u00c0-\u024f]")
# Scripts with spaces between words, whose words take no Latin letters. One Greek letter makes a
# word of mathematics.
OTHER_SCRIPT = re.compile(
    "[\u0400-\u052f\u0531-\u0587\u05d0-\u05ea\u0620-\u06d3\u0900-\u0dff\u10a0-\u10ff]"
    "|[\u0370-\u03ff].*[\u0370-\u03ff]"
)
# Characters that no word of a script of India has next to a letter. Figures may be, as in "5th".
INDIC = re.compile("[\u0900-\u0dff]")
FOREIGN = (
    "A-Za-z@#\\\\{|}~\xb2\xb3\xb9\xc0-\u02af\u1200-\u139f\u2700-\u28ff\u2e80-\u9fff\ue000-\uf8ff"
    "\ufffd"
)
FOREIGN_IN_INDIC = re.compile(f"[\u0900-\u0dff][{FOREIGN}]|[{FOREIGN}][\u0900-\u0dff]")
FOREIGN_BESIDE_INDIC = re.compile(
    f"[{FOREIGN}]+(?=[\u0900-\u0dff])|(?<=[\u0900-\u0dff])[{FOREIGN}]+"
)
# Scripts next to whose letters the following characters mean a font with a wrong map.
OTHER_LETTERS = (
    "\u0400-\u052f\u0531-\u0587\u05d0-\u05ea\u0620-\u0669\u066e-\u06d3\u06f0-\u06f9\u0900-\u0edf\u1000-\u10ff\u1780-\u17ff"
    "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3"
)
LATIN_LETTERS = "A-Za-z\xc0-\u024f"  # a name in Latin letters may touch them
STRAY = (
    "\x80-\x9f\xa1\xa4\xa6\xa8-\xaa\xac\xae\xaf\xb4-\xb6\xb8\xba\xbf-\xd6\xd8-\xf6\xf8-\u02af"
    "\u1200-\u139f\u1400-\u167f\u2800-\u28ff\ue000-\uf8ff\ufffd"
)
FOREIGN_NEIGHBOUR = re.compile(
    f"(?<=[{OTHER_LETTERS}])[{STRAY}](?![{LATIN_LETTERS}])"
    f"|(?<![{LATIN_LETTERS}])[{STRAY}](?=[{OTHER_LETTERS}])"
    f"|(?<!\\S)[{STRAY}\xd7\xf7]{{2,}}(?!\\S)"  # figures of Persian, as "\xf8\xf7"
    "|(?<=[\u0620-\u06d3])[A-Z](?![A-Za-z])|(?<![A-Za-z])[A-Z](?=[\u0620-\u06d3])"
    "|[\u0620-\u06d3](?=[\u0370-\u05ea\u0900-\u0fff])|[\u0900-\u0dff](?=[\u0e00-\u0fff])"
)
MAY_BE_FOREIGN = re.compile(f"[{STRAY}\xd7\xf7\u0620-\u06d3\u0900-\u0dff]")
OTHER_LETTER = re.compile(f"[{OTHER_LETTERS}]")
UNSPACED_LETTER = re.compile("[\u0e00-\u0edf\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
MEAN_WORD_LETTERS = 4  # of scripts without spaces between words
MIN_FOREIGN, MIN_OTHER_WORDS = 3, 10
DOUBTFUL_FOREIGN, MAX_FOREIGN = 0.02, 0.3  # per word
# Symbols of Latin-1, of which a page of text has few kinds, however many.
NOT_SYMBOLS = bytes(
    {*range(256)}.difference(range(0x80, 0xC0)).union(b"\xa0\xa7\xab\xad\xb0\xb7\xbb")
)
MAX_SYMBOLS, MAX_SYMBOL_KINDS = 0.05, 8
# The low bytes of Cyrillic letters are figures, these, and capitals.
LOW_BYTES = b"<=>?@:;"
MAX_LOW_BYTES = 0.06  # share of a page's characters
LOWER_PER_LOW_BYTE = 2.5  # share of small letters among letters, for each share of low bytes

CODE_PAGES = "cp1251", "cp1253"  # Cyrillic, Greek
GLYPH_SHIFT = 29  # from the glyph numbers of common TrueType fonts to ASCII
CONTROL_CODES = re.compile("[\x03-\x08\x0e-\x1f]")  # glyph numbers of spaces and punctuation
MAX_SHIFT = 64
ROTATIONS = [
    str.maketrans(letters + letters.upper(), rotated + rotated.upper())
    for letters in [string.ascii_lowercase]
    for rotated in [letters[shift:] + letters[:shift] for shift in range(26)]
]
MAX_DECIPHERED_CHARS = 50_000  # of a page
COMMON_LETTERS = "etaoinsrетаоинсрεταοινσρ"  # Latin, Cyrillic, Greek
MIN_COMMON_LETTERS = 0.52  # share of a text's letters; 0.6 in English, 0.3 in shifted English
SAMPLE_CHARS = 800


def is_implausible(text: str) -> bool:
    """Return whether a page's text is in no language, though its characters are letters."""
    if not text.isascii():
        if has_other_letters(text) and (has_mixed_words(text) or foreign_share(text) > MAX_FOREIGN):
            return True
        symbols = non_ascii(text).encode("latin-1", "ignore").translate(None, NOT_SYMBOLS)
        if len(symbols) > MAX_SYMBOLS * len(text) and len(set(symbols)) > MAX_SYMBOL_KINDS:
            return True
        if is_mostly_accented(text):
            return True
    if has_low_bytes(text) or lacks_common_words(text[:SAMPLE_CHARS]):
        return True
    if len(text) > SAMPLE_CHARS and lacks_common_words(text[-SAMPLE_CHARS // 2 :]):
        return True
    if not has_unusual_vowels(text):
        return False
    known = language_probability(text[:SAMPLE_CHARS])
    if known >= UNCERTAIN_LANGUAGE:
        return False
    letters, vowels = count_vowels(text)
    if known < NO_LANGUAGE and letters >= MIN_LETTERS and vowels < RARE_VOWELS * letters:
        return True
    if known < STRANGE_LANGUAGE and letters >= MIN_PROSE_LETTERS and is_prose(text):
        return True
    return decipher(text) != ""


def has_low_bytes(text: str) -> bool:
    """Return whether a page is in figures, capitals and signs, as Cyrillic without high bytes."""
    plain = only_ascii(text)
    share = (len(plain) - len(plain.translate(None, LOW_BYTES))) / len(text)
    if share <= MAX_LOW_BYTES:
        return False
    lower = sum(map(str.islower, text))
    return lower < LOWER_PER_LOW_BYTE * share * sum(map(str.isalpha, text))


def lacks_common_words(sample: str) -> bool:
    """Return whether a text looks like prose, in small letters, and is in no known language."""
    if len(COMMON_WORDS.intersection(sample[:GLANCE_CHARS].split())) >= MIN_GLANCED:
        return False
    words = sample.lower().split()
    common = COMMON_WORDS.intersection(words)
    if len(words) < MIN_SAMPLE_WORDS or len(common) >= MIN_COMMON_WORDS * len(words):
        return False
    return (
        is_prose(sample)
        and sum(map(str.islower, sample)) >= MIN_SMALL * sum(map(str.isalpha, sample))
        and (
            language_probability(sample) < DOUBTFUL_LANGUAGE
            or len(GREEK.findall(sample)) > len(sample) / 2
        )
    )


def is_doubtful(text: str) -> bool:
    """Return whether some letters of a page are certainly others than it shows."""
    return has_other_letters(text) and foreign_share(text) > DOUBTFUL_FOREIGN


@lru_cache(maxsize=1)
def has_other_letters(text: str) -> bool:
    """Return whether a page has more than stray characters beyond Latin-1; fast."""
    rest = non_ascii(text)
    return len(rest) - len(rest.encode("latin-1", "ignore")) > MIN_OTHER_LETTERS * len(text)


@lru_cache(maxsize=1)  # asked for twice
def foreign_share(text: str) -> float:
    """Return how many characters per word are next to a letter of a script that they cannot be in.

    Programs that rewrite PDFs lose the high byte of letters, which become accented Latin ones or
    symbols, and glyphs that are mapped to nothing are U+FFFD.
    """
    if not MAY_BE_FOREIGN.search(non_ascii(text)):
        return 0.0
    found = len(FOREIGN_NEIGHBOUR.findall(text))
    if found < MIN_FOREIGN:
        return 0.0
    words = sum(1 for word in text.split() if OTHER_LETTER.search(word))
    words = max(words, len(UNSPACED_LETTER.findall(text)) // MEAN_WORD_LETTERS)
    return found / words if words >= MIN_OTHER_WORDS else 0.0


def is_mostly_accented(text: str) -> bool:
    """Return whether many letters are beyond ASCII, as of Cyrillic taken for Latin; fast."""
    latin = non_ascii(text).encode("latin-1", "ignore")
    accented = len(latin) - len(latin.translate(None, ACCENTED))
    if accented < MIN_LETTERS:
        return False
    return accented > MAX_OTHER_LATIN * (accented + count_vowels(text)[0])


def has_unusual_vowels(text: str) -> bool:
    """Return whether a page of letters has few or many vowels; fast."""
    letters, vowels = count_vowels(text)
    low, high = USUAL_VOWELS
    if letters < MIN_LETTERS or low * letters <= vowels <= high * letters:
        return False
    return letters >= MIN_LETTER_SHARE * (len(text) - text.count(" ") - text.count("\n"))


def count_vowels(text: str) -> tuple[int, int]:
    """Count the ASCII letters of a text, and the vowels among them."""
    letters = only_ascii(text).translate(None, NOT_LETTERS)
    return len(letters), len(letters) - len(letters.translate(None, VOWELS))


def has_mixed_words(text: str) -> bool:
    """Return whether many words have letters of two scripts."""
    if INDIC.search(text):
        # Their vowels are no letters to a regular expression.
        words = [word for word in text.split() if INDIC.search(word)]
        mixed = sum(1 for word in words if FOREIGN_IN_INDIC.search(word))
    else:
        words = LONG_WORD.findall(text)
        mixed = sum(1 for word in words if OTHER_SCRIPT.search(word) and LATIN.search(word))
    return mixed >= MIN_MIXED_WORDS and mixed > MAX_MIXED_WORDS * len(words)


def drop_foreign_letters(text: str) -> str:
    """Return a text of a script of India without letters of other scripts next to its own."""
    return FOREIGN_BESIDE_INDIC.sub("", text)


def is_prose(text: str) -> bool:
    """Return whether nearly all words of a text are letters only."""
    words = text.split()
    return sum(map(bool, map(PROSE_WORD.fullmatch, words))) >= MIN_PROSE_WORDS * len(words)


def decipher(text: str) -> str:
    """Return a text with its letters shifted or decoded so that it is a language; "" if none is."""
    if len(text) > MAX_DECIPHERED_CHARS or GLYPH_NAMES.search(text) or has_mixed_words(text):
        return ""
    best, probability = "", KNOWN_LANGUAGE
    for read in iter_readings(text):
        sample = read(text[:SAMPLE_CHARS])
        if has_usual_letters(sample) and (found := language_probability(sample)) > probability:
            best, probability = read(text), found
    return best


def has_usual_letters(text: str) -> bool:
    """Return whether the most common letters of languages are common in a text."""
    lower = text.lower()
    letters = count_vowels(lower)[0] + sum(map(str.isalpha, non_ascii(lower)))
    common = sum(map(lower.count, COMMON_LETTERS))
    return letters >= MIN_LETTERS and common >= MIN_COMMON_LETTERS * letters


def iter_readings(text: str) -> Iterator[Callable[[str], str]]:
    """Yield functions that read a text with all letters shifted, and in other code pages."""
    # The most frequent character of a page is the space, or else "e".
    for code in {ord(char) for char, _ in Counter(text).most_common(3) if not char.isspace()}:
        for shift in {ord(" ") - code, ord("e") - code}:
            if 0 < abs(shift) <= MAX_SHIFT:
                yield partial(shift_codes, shift=shift)
    if CONTROL_CODES.search(text):
        yield partial(shift_codes, shift=GLYPH_SHIFT)
    for shift in range(1, 26):
        yield partial(rotate_letters, shift=shift)
    if not text.isascii() and not UNDECODED.search(text):
        for code_page in CODE_PAGES:
            yield partial(read_in_code_page, code_page=code_page)


def shift_codes(text: str, shift: int) -> str:
    """Return a text with the code of each character shifted, except those of line ends."""
    codes = {
        ord(char): ord(char) + shift
        for char in set(text)
        if char not in "\r\n\ufffe" and ord(char) + shift >= ord(" ")
    }
    return text.translate(codes)


def read_in_code_page(text: str, code_page: str) -> str:
    """Return a text with each byte of it read in another code page."""
    return text.encode("cp1252", "replace").decode(code_page, "replace")


def rotate_letters(text: str, shift: int) -> str:
    """Return a text with each letter of the alphabet shifted round."""
    return text.translate(ROTATIONS[shift])
