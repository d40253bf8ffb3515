"""Join words that were hyphenated at the end of a line, and keep every other hyphen. Pure.

A drawn hyphen stays unless it only marks where a line was broken. The spelling of the rest of the
document decides: a word that it writes in one piece is joined, a compound keeps its hyphen.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property, partial

# PDFium writes U+FFFE, older versions U+0002, for a hyphen at the end of a line, without the line
# end. The spelling of some languages repeats the hyphen of a compound on the next line.
# A pattern that begins with a set of characters is searched for several times as fast.
LINE_END_HYPHEN = re.compile(
    "(?P<hyphen>[-\u2010\xad\ufffe\x02])(?:(?<=[\ufffe\x02])|(?=\r?\n))"
    "(?P<end>\r?\n)?(?P<again>[-\u2010](?=[^\\W\\d_]))?"
)
HYPHEN_MARK = "\ufffe"  # for a hyphen at a line end that is no longer there

WORDS = re.compile(r"[^\W\d_]+")
# Begins with the hyphen and not with the letter before, which would be tried at every character.
# Most texts have no other hyphen than that of ASCII, which is searched for faster by itself.
COMPOUND_HYPHEN, ASCII_COMPOUND_HYPHEN = (
    re.compile(rf"{hyphen}(?<=[^\W\d_].)(?=[^\W\d_])") for hyphen in ("[-\u2010\u2011]", "-")
)
COUNT = re.compile(r"(?<![.,\w])[^\W_]*\d\Z")
NUMBER_PARTS = re.compile(r"[^\W_][-\u2010][^\W_]*\d\Z")  # of telephone numbers, ISBNs, codes
# After a count and a hyphen: more figures, unless they have a minus behind them, or a
# compound, as in "10-Euro-Schein".
REST_OF_NUMBER = re.compile(r"(?!\d+(?:[.,]\d+)*-(?!\S))(?:\d|[^\W\d_]+-)")
UNSPACED_SCRIPT = re.compile("[\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u3400-\u9fff]")
SPACE = re.compile(r"\s")
LETTERS_AND_FIGURES = re.compile(r"[^\W\d_]+\d+")
UNSPACED_LETTER = re.compile("[\u3001-\u30ff\u3400-\u9fff\uff01-\uff60]")
MAX_WORD_CHARS = 64  # looked at on either side of a hyphen
MAX_VOCABULARY_CHARS = 5_000_000  # of a document; more would hardly add words

# For bytes.translate(): letters in lower case; all others separate words, but for parts of
# characters that are not ASCII.
ASCII_WORDS = bytes(
    n if n > 127 else ord(chr(n).lower()) if chr(n).isalpha() else 32  # noqa: PLR2004 - ASCII
    for n in range(256)
)

# The text before the hyphen of an option, a path, an address, a formula or the name of a package.
CODE = re.compile(
    r"(?:^|[(\[{\"'“‘])-|--|[@_\\=#$<>{}~^]|://|::|^\.?/|www\.|[^\W_]\.[^\W\d_]|\d[^\W\d_]*\Z"
)

# A web address that is broken after a slash, before a text that is no word.
BROKEN_ADDRESS = re.compile(
    r"(://\S{1,200}/)\r?\n(?=[a-z0-9][\w.~%-]{0,100}(?:/|\.[a-z]{2,5}(?!\w)))"
)
# The rest of an e-mail address.
ADDRESS_END = re.compile(r"[\w.-]{1,64}@")

# After a hyphen they begin the rest of an ellipsis such as "pre- and post-war". Some are the end of
# a word in other languages: they count in the languages named.
CONJUNCTIONS: dict[str, str] = dict.fromkeys(
    WORDS.findall(
        "and or und oder bzw sowie och eller og sekä és vagy oraz lub eta resp y veya nebo или"
    ),
    "",
) | {
    "en": "nl af",
    "of": "nl af",
    "ja": "fi et",
    "tai": "fi",
    "i": "pl hr sr",
    "a": "cs sk",
    "e": "it pt es",
    "o": "it es",
    "et": "fr",
    "ou": "fr pt",
    "ve": "tr",
    "și": "ro",
    "и": "ru bg sr mk",
}

# Between two hyphens they link the parts of a compound: "editor-in-chief", "Stratford-upon-Avon".
LINKS = frozenset(
    WORDS.findall(
        "a à am an and at au aux by da de der des di do du e en et for im in la le les of on or "
        "sous sur the to und up upon zu"
    )
)

# They write compounds as one word, so a hyphen at a line end is hardly ever part of one.
CLOSED_COMPOUND_LANGUAGES = frozenset(WORDS.findall("de nl af da no nb nn sv is fi et hu lb fy"))
# First parts of words that are written in one piece, and last parts that are no words.
PREFIXES = frozenset(
    WORDS.findall(
        "a an anti any auto be bi can co counter de di dis down en every ex extra fore here hyper "
        "il im in inter ir it macro meta micro mid mis mono multi my no not off on our out over "
        "para per poly post pre pro re semi some sub super sur tele there through to trans tri "
        "ultra un under up where with"
    )
)
SUFFIXES = frozenset(
    WORDS.findall("able al ed en er es est ful ing ion ism ist ity ive less ly ment ness s")
)
# First parts of English compounds.
COMPOUND_STARTS = frozenset(
    WORDS.findall(
        "cost first five half long medium quasi self third three two well "
        "twenty thirty forty fifty sixty seventy eighty ninety"
    )
)
# Last parts of English compounds that are written in one piece: "headphones", "clipboard".
CLOSED_ENDS = frozenset(
    WORDS.findall(
        "ache berries berry bird birds board boards bone bones book books brush burn cake cakes "
        "cloth fish flower flowers house houses keeper keepers mill mills paper papers phone "
        "phones plane planes ship ships shop shops smith stick sticks stone stones storm storms "
        "ware wash wood works yard yards"
    )
)
# Pronouns and other last parts of French words that keep their hyphen; no syllables of words.
FRENCH_ENDS = frozenset(
    WORDS.findall("moi toi nous vous il ils elle elles même mêmes être dessus dessous delà")
)
# Of a word before the one at the end of its line: 26 of 27 such words are written with that one.
MIN_COMPOUND_HYPHENS = 2
MIN_AUTO_HYPHENS = 3  # at line ends, to know the character that a program hyphenates with


class Vocabulary:
    """Words and compounds of a document's pages, apart from those broken at a line end."""

    def __init__(
        self, pages: Sequence[str] = (), detect_language: Callable[[], str] = lambda: ""
    ) -> None:
        self.pages = pages
        self.detect_language = detect_language

    @cached_property
    def language(self) -> str:
        """ISO 639-1 code of the document's language; "" if it is uncertain."""
        return self.detect_language()

    @cached_property
    def words(self) -> Counter[str]:
        """Number of occurrences of each word, in lower case."""
        # As bytes, since most characters are ASCII: three times as fast as a search for words.
        encoded = self.text.encode("utf-8", "surrogatepass")
        words = encoded.translate(ASCII_WORDS).decode("utf-8", "surrogatepass")
        found = Counter(words.split())
        for token in [token for token in found if not token.isascii()]:
            count = found.pop(token)
            for word in WORDS.findall(token.casefold()):
                found[word] += count
        for page in self.sample:
            for match in LINE_END_HYPHEN.finditer(page) if may_have_line_end_hyphen(page) else ():
                parts = word_before(page, match.start()), word_after(page, match.end())
                for word in set(map(str.casefold, parts)):
                    found[word] -= 1
        return found

    @cached_property
    def compounds(self) -> Counter[tuple[str, str]]:
        """Number of occurrences of each two words with a hyphen between them, in lower case."""
        has_others = "\u2010" in self.text or "\u2011" in self.text
        hyphen = COMPOUND_HYPHEN if has_others else ASCII_COMPOUND_HYPHEN
        return Counter(
            (
                word_before(self.text, match.start()).casefold(),
                word_after(self.text, match.end()).casefold(),
            )
            for match in hyphen.finditer(self.text)
        )

    @cached_property
    def text(self) -> str:
        """The text of the pages, up to a limit."""
        return " ".join(self.sample)

    @cached_property
    def sample(self) -> list[str]:
        """The pages, up to a limit."""
        left = MAX_VOCABULARY_CHARS
        chosen = []
        for page in self.pages:
            if left <= 0:
                break
            chosen.append(page)
            left -= len(page)
        return chosen

    @cached_property
    def auto_hyphens(self) -> int:
        """Number of U+2010 if all stand at line ends: then a program inserted them."""
        ends = sum(len(re.findall("\u2010(?=\r?\n|$)", page)) for page in self.sample)
        return ends if ends == sum(page.count("\u2010") for page in self.sample) else 0


def dehyphenate(text: str, vocabulary: Vocabulary) -> str:
    """Join the words and web addresses of a text that were broken at the end of a line."""
    if "://" in text:
        text = BROKEN_ADDRESS.sub(r"\1", text)
    if may_have_line_end_hyphen(text):
        return LINE_END_HYPHEN.sub(partial(join_line_end, vocabulary), text)
    return text


def may_have_line_end_hyphen(text: str) -> bool:
    """Return whether a text may have a hyphen at the end of a line; cheaper than a search."""
    return (
        "\ufffe" in text
        or "\x02" in text
        or "-\n" in text
        or "-\r\n" in text
        or (not text.isascii() and ("\u2010" in text or "\xad" in text))
    )


def mark_line_ends(text: str) -> str:
    """Replace each hyphen at a line end, with the line end, by a mark to decide on later."""
    return re.sub("(?<=\\S)[-\u2010\xad]\r?\n", HYPHEN_MARK, text)


def join_line_end(vocabulary: Vocabulary, match: re.Match[str]) -> str:
    """Return the replacement of a hyphen at a line end."""
    text, (start, end) = match.string, match.span()
    hyphen = "\u2010" if match["hyphen"] == "\u2010" else "-"
    before, after = spaced_end(word_before(text, start)), text[end : end + 1]
    is_count = (
        text[start - 1 : start].isdecimal()
        and COUNT.search(text, max(0, start - MAX_WORD_CHARS), start) is not None
    )
    if is_count and after.islower():
        return hyphen  # "5-year", "A4711-b"
    token = spaced_end(SPACE.split(text[max(0, start - MAX_WORD_CHARS) : start])[-1])
    if after.isalpha() and LETTERS_AND_FIGURES.fullmatch(token):
        return hyphen  # "CO2-Ausstoß"
    if (
        not before
        and after.isalnum()
        and (NUMBER_PARTS.search(token) or (is_count and REST_OF_NUMBER.match(text, end)))
        and (text.isascii() or not UNSPACED_SCRIPT.search(text))  # whose lines' lengths count
    ):
        return hyphen  # "020-7946-0123", "AX-77-B5", "pp. 12-15"
    if not (before and after.isalnum()):
        # Not within a word: a minus, a range of numbers, a dash.
        is_alone = after.isalnum() and not text[start - 1 : start].strip()  # ends its line
        return hyphen + (match["end"] or "\n" * is_alone) + (match["again"] or "")
    if match["again"] or not after.isalpha():
        return hyphen
    following = word_after(text, end)
    if not after.islower():
        return "" if is_broken_capitals(before, following, vocabulary) else hyphen
    if (not token.isalpha() and CODE.search(token)) or ADDRESS_END.match(text, end):
        return "" if hyphen == "\u2010" and vocabulary.auto_hyphens else hyphen
    rest = text[end + len(following) : end + len(following) + 1]
    if rest == "-" and following in LINKS:
        return hyphen
    if is_conjunction(before, following, rest, vocabulary):
        return f"{hyphen} "
    return "" if is_broken_word(before, following, match["hyphen"], token, vocabulary) else hyphen


def is_broken_word(
    before: str, after: str, hyphen: str, token: str, vocabulary: Vocabulary
) -> bool:
    """Return whether a hyphen only marks where a line was broken, between two parts of a word."""
    first, last = (unicodedata.normalize("NFC", part.casefold()) for part in (before, after))
    joined, hyphenated = vocabulary.words[first + last], vocabulary.compounds[first, last]
    if joined or hyphenated:
        return joined >= hyphenated
    if len(before) == 1 or before.isupper():
        return False  # "e-mail", "DNA-based"
    if hyphen == "\xad":
        return True
    if vocabulary.auto_hyphens >= MIN_AUTO_HYPHENS:
        return hyphen == "\u2010"
    if first in COMPOUND_STARTS and last not in SUFFIXES:
        return vocabulary.language not in ("en", "")
    if token.count("-") >= MIN_COMPOUND_HYPHENS:
        return False  # "two-and-a-half-hour"
    if last in FRENCH_ENDS and vocabulary.language == "fr":
        return False  # "dit-il", "peut-être"
    is_word = vocabulary.words[first] > 0
    if "-" in token and before[0].islower():
        return not is_word  # "state-of-the-art"
    return not (
        is_word
        and vocabulary.words[last] > 0
        and first not in PREFIXES
        and last not in SUFFIXES
        and (last not in CLOSED_ENDS or vocabulary.language not in ("en", ""))
        and vocabulary.language not in CLOSED_COMPOUND_LANGUAGES
    )


def is_broken_capitals(before: str, after: str, vocabulary: Vocabulary) -> bool:
    """Return whether a word in capitals was hyphenated at a line end, and is one word elsewhere."""
    if not (before.isupper() and after.isupper() and len(before) > 1 < len(after)):
        return False
    first, last = before.casefold(), after.casefold()
    return vocabulary.words[first + last] > vocabulary.compounds[first, last]


def is_conjunction(before: str, after: str, rest: str, vocabulary: Vocabulary) -> bool:
    """Return whether the word after a hyphen is a conjunction, and no end of a word."""
    languages = CONJUNCTIONS.get(after)
    if languages is None or rest == "-":
        return False
    if vocabulary.words[f"{before}{after}".casefold()]:
        return False
    return not languages or vocabulary.language in languages.split()


def spaced_end(text: str) -> str:
    """Return the text after the last letter of a script without spaces; all if there is none."""
    return text if text.isascii() else UNSPACED_LETTER.split(text)[-1] or text


def word_before(text: str, offset: int) -> str:
    """Return the letters that end at an offset."""
    # Backwards, since a pattern for the end of a text is tried at every character before.
    match = WORDS.match(text[max(0, offset - MAX_WORD_CHARS) : offset][::-1])
    return match.group()[::-1] if match else ""


def word_after(text: str, offset: int) -> str:
    """Return the letters that begin at an offset."""
    match = WORDS.match(text, offset, offset + MAX_WORD_CHARS)
    return match.group() if match else ""
