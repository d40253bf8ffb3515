"""Clean the text of pages: Unicode, hyphenation, white space. Pure."""

from __future__ import annotations

import re
import unicodedata

import regex

from ingest.extract.hyphens import Vocabulary, dehyphenate

NO_VOCABULARY = Vocabulary()

# Presentation forms: Latin and Armenian ligatures, Hebrew and Arabic letters by position; and the
# radicals of dictionaries, whose glyphs are those of Chinese characters.
PRESENTATION_FORMS = re.compile("[\ufb00-\ufdff\ufe70-\ufefc\u2e9f\u2ef3\u2f00-\u2fd5]+")
CONTROL_CHARS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")
# Soft hyphens, byte order marks, bidi marks, word joiners; and lone surrogates, which no
# index can store. Joiners stay: Persian words and emoji are spelt with them.
INVISIBLE_CHARS = re.compile(
    "[\xad\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\uffff\ud800-\udfff]"
)
# A minus, or the hyphen of a number: in many fonts one glyph is both a hyphen and a soft hyphen.
VISIBLE_SOFT_HYPHEN = re.compile(r"\xad(?=\d)|(?<![^\W\d_])(?<!\xad)\xad(?=[^\W_])")
# Between letters of Thai, Lao, Burmese or Khmer, which are written without spaces, it parts words.
UNSPACED_LETTERS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u19e0-\u19ff\u1a20-\u1aaf\uaa60-\uaa7f"
UNSPACED_LETTER = re.compile(f"[{UNSPACED_LETTERS}]")
STRAY_WORD_MARK = re.compile(f"\u200b(?![{UNSPACED_LETTERS}])|(?<![{UNSPACED_LETTERS}])\u200b")
PARAGRAPH_END = "\u2029"  # before a line end, where lines are joined to paragraphs
SPECIAL_SPACES = re.compile("[\xa0\u2000-\u200a\u202f\u205f]")
# Dots that lead from a title to its page number, or make up a line, and blanks to be filled in.
# Chinese has an ellipsis of two "…", so only the third makes a leader.
DOTS = ".\u00b7\u2024\u2025\u2026\u22ef\u30fb\uff0e"
DOT_WIDTHS = {"\u2025": 2, "\u2026": 3, "\u22ef": 3}
PAGE_NUMBER = r"[ \t]*(?:\d{1,4}|[ivxlc]{1,7})[ \t]*(?:\n|\Z)"
PAGE_NUMBER_AFTER = re.compile(PAGE_NUMBER)
LEADER_RUN = re.compile(
    rf"[{DOTS}](?:[ \t]*[{DOTS}])+|(?<=[ \t])-{{5,}}(?={PAGE_NUMBER})"
    r"|(?<![\w'\"`])_{5,}(?![\w'\"`])"
)
MIN_SPACED_DOTS, MIN_LEADER_DOTS, MIN_LEADER_WIDTH = 4, 5, 9

# Chinese and Japanese have no spaces between words, so a line may end anywhere. Thai and its
# neighbours have some, between parts of a sentence, and a line hardly ever ends there.
CJK_CHARS = "\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
UNSPACED_WRAP = (
    f"[{CJK_CHARS}、，]\n(?=[{CJK_CHARS}])|[{UNSPACED_LETTERS}]\n(?=[{UNSPACED_LETTERS}])"
)
WRAPPED_LINE = re.compile(UNSPACED_WRAP)
# Searches for the line end first: five times as fast on a text without a match.
UNSPACED_LINE_END = re.compile(
    f"\n(?=[{CJK_CHARS}{UNSPACED_LETTERS}])(?<=[{CJK_CHARS}、，{UNSPACED_LETTERS}]\n)"
)
WIDE_CHAR = re.compile(f"[{CJK_CHARS}\u3001-\u3003\u3008-\u3011\uff01-\uff60]")
FULL_LINE_SHARE = 0.8  # of the longest line; a shorter one was not wrapped
MIN_WRAPPED_CHARS = 20  # of a line of Thai; shorter ones are names in a list
# A row of cells in Chinese or Japanese, which have no spaces in a sentence.
CELLS = re.compile(f"(?:[{CJK_CHARS}]+ ){{2,}}[{CJK_CHARS}]")
SPACELESS_MARK = re.compile("[\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ecd]")


# Normalization sorts combining marks in quadratic time, so long runs of them are broken up as in
# the Stream-Safe Text Format of Unicode Standard Annex 15. Shorter pages are fast enough without.
COMBINING_MARK_RUN = regex.compile(r"\P{ccc=0}{30}(?=\P{ccc=0})")
GRAPHEME_JOINER = "\u034f"
LONG_PAGE_CHARS = 10_000


def clean(text: str, vocabulary: Vocabulary = NO_VOCABULARY) -> str:
    """Remove control characters, ligatures, hyphenation and stray white space from a text.

    `vocabulary` are the words of its document, which decide on hyphens at line ends.
    """
    if text.isascii() and text.isprintable():
        # A single line, such as most titles and names.
        return drop_leaders(text).strip() if may_have_leaders(text) else text.strip()
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n")
    if PARAGRAPH_END in text:
        text = text.replace(f"{PARAGRAPH_END}\n", "\n\n").replace(PARAGRAPH_END, "\n")
    text = dehyphenate(text, vocabulary)
    if "\xad" in text:
        text = VISIBLE_SOFT_HYPHEN.sub("-", text)
    before = text
    if not text.replace("\n", " ").isprintable():
        text = SPECIAL_SPACES.sub(" ", INVISIBLE_CHARS.sub("", CONTROL_CHARS.sub("", text)))
        text = STRAY_WORD_MARK.sub("", text)
    # NFKC implies NFC and no presentation forms; most pages are in it.
    if not text.isascii() and (
        len(text) > LONG_PAGE_CHARS or not unicodedata.is_normalized("NFKC", text)
    ):
        text = PRESENTATION_FORMS.sub(lambda m: unicodedata.normalize("NFKC", m.group()), text)
        if len(text) > LONG_PAGE_CHARS:
            text = COMBINING_MARK_RUN.sub(lambda m: m.group() + GRAPHEME_JOINER, text)
        text = unicodedata.normalize("NFC", text)
    if may_have_leaders(text):
        text = drop_leaders(text)
    if " \n" in text or ("\t" in text and "\t\n" in text):
        # Not a regular expression: it would take quadratic time on a long run of white space.
        text = "\n".join([line.rstrip(" \t") for line in text.split("\n")])
    # Again, now that nothing is left between a hyphen and the end of its line.
    return (text if text is before else dehyphenate(text, vocabulary)).strip()


def may_have_leaders(text: str) -> bool:
    """Return whether a text may have rows of dots or dashes."""
    return (
        "...." in text
        or ". ." in text
        or "_____" in text
        or "-----" in text
        or (
            not text.isascii()
            and any(dot in text and (2 * dot in text or f"{dot} {dot}" in text) for dot in DOTS)
        )
    )


def drop_leaders(text: str) -> str:
    """Replace each leader by a space, and drop the lines that are nothing else."""
    leaders = [match.span() for match in LEADER_RUN.finditer(text) if is_leader(match)]
    if not leaders:
        return text
    shown: list[str] = []
    is_line_start = True
    for start, end in zip(
        [0, *(end for _, end in leaders)], [*(start for start, _ in leaders), None], strict=True
    ):
        part = text[start:end].strip(" \t")
        if start and is_line_start:
            part = part.removeprefix("\n")
        elif start and part and part[0] != "\n":
            shown.append(" ")
        if part:
            shown.append(part)
            is_line_start = part.endswith("\n")
    return "".join(shown)


def is_leader(match: re.Match[str]) -> bool:
    """Return whether a run leads to something, or is a rule: of more dots than an ellipsis has."""
    if match.group()[0] in "_-":
        return True
    dots = match.group().split()
    count = sum(map(len, dots))
    if len(dots) > 1:
        return count >= MIN_SPACED_DOTS
    width = sum(DOT_WIDTHS.get(dot, 1) for dot in match.group())
    if count == width:
        return count >= MIN_LEADER_DOTS or (
            count >= MIN_SPACED_DOTS
            and PAGE_NUMBER_AFTER.match(match.string, match.end()) is not None
        )
    return width >= MIN_LEADER_WIDTH


def unwrap_unspaced_lines(text: str) -> str:
    """Remove line ends within text of scripts without spaces between words from a clean page."""
    if text.isascii() or not UNSPACED_LINE_END.search(text):
        return text
    # Marks above and below the letters of Thai take no room.
    ends = [match.start() for match in WRAPPED_LINE.finditer(text)]
    lengths = {end: count_spacing(text[text.rfind("\n", 0, end) + 1 : end + 1]) for end in ends}
    others = (len(WIDE_CHAR.findall(line)) for line in text.split("\n") if line[:1] != "|")
    longest = max((*lengths.values(), *others))

    def join_full_line(match: re.Match[str]) -> str:
        is_full = lengths[match.start()] >= FULL_LINE_SHARE * longest
        if UNSPACED_LETTER.match(match.group()):
            is_full = is_full and lengths[match.start()] >= MIN_WRAPPED_CHARS
        elif CELLS.match(text, match.end()):
            is_full = False
        return match.group()[0] if is_full else match.group()

    return WRAPPED_LINE.sub(join_full_line, text)


def count_spacing(line: str) -> int:
    """Count the characters of a line that take room on it."""
    return len(line) - len(SPACELESS_MARK.findall(line))
