"""Text as a person would have typed it, from text as PDFs hold it. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import regex

from ingest.models import Heading, Running

# Presentation forms: Latin and Armenian ligatures, Hebrew and Arabic letters by position.
PRESENTATION = re.compile("[\ufb00-\ufdff\ufe70-\ufefc]+")
CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")
# Soft hyphens, byte order marks, bidi marks, word joiners; and lone surrogates, which no
# index can store. Joiners stay: Persian words and emoji are spelt with them.
INVISIBLE = re.compile(
    "[\xad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\uffff\ud800-\udfff]"
)
SPACES = re.compile("[\xa0\u2000-\u200a\u202f\u205f]")
# PDFium writes U+FFFE, older versions U+0002, for the hyphen of a word it takes for broken.
BROKEN = re.compile("(?:[\x02\ufffe]|\xad\n)\n?")
# Begins with the hyphen and not with a look behind it, which would be taken at every character.
HYPHENATED = re.compile(r"[-\u2010]\n(?=[^\W\d_])")


# Chinese and Japanese: no spaces between words, so a line may end anywhere.
IDEOGRAPH = "\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
WRAPPED = re.compile(f"[{IDEOGRAPH}、，]\n(?=[{IDEOGRAPH}])")
# The same, but sought by the end of a line, which takes a fifth of the time where there is none.
ENDING = re.compile(f"\n(?<=[{IDEOGRAPH}、，]\n)(?=[{IDEOGRAPH}])")
FULL = 0.8  # of the longest line: a shorter one ends of its own


# Putting marks in order takes the square of how many there are, so a run is broken as Unicode
# Standard Annex 15 says (stream-safe text). No page of fewer characters is worth a look.
ENDLESS_MARKS = regex.compile(r"\P{ccc=0}{30}(?=\P{ccc=0})")
JOINER = "\u034f"
MANY = 10_000


def clean(text: str) -> str:
    """One page's text without control characters, ligatures, broken words and stray space."""
    if text.isascii() and text.isprintable():
        return text.strip()  # a line of its own: most titles and names
    text = dehyphenated(text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n"))
    before = text
    if not text.replace("\n", " ").isprintable():
        text = SPACES.sub(" ", INVISIBLE.sub("", CONTROL.sub("", text)))
    # What is normal in the stricter form is normal in all of this; most pages are.
    if not text.isascii() and (len(text) > MANY or not unicodedata.is_normalized("NFKC", text)):
        text = PRESENTATION.sub(lambda m: unicodedata.normalize("NFKC", m.group()), text)
        if len(text) > MANY:
            text = ENDLESS_MARKS.sub(lambda m: m.group() + JOINER, text)
        text = unicodedata.normalize("NFC", text)
    if " \n" in text or ("\t" in text and "\t\n" in text):
        # No pattern: one for white space at the end of a line takes for ever over one without end.
        text = "\n".join([line.rstrip(" \t") for line in text.split("\n")])
    # Once more, now that what stood between a hyphen and the end of its line is gone.
    return (text if text is before else dehyphenated(text)).strip()


def unwrapped(text: str) -> str:
    """A page's clean text without the line ends inside its Chinese and Japanese words."""
    if text.isascii() or not ENDING.search(text):
        return text
    longest = max(
        match.start() - text.rfind("\n", 0, match.start()) for match in WRAPPED.finditer(text)
    )

    def whole(match: re.Match[str]) -> str:
        length = match.start() - text.rfind("\n", 0, match.start())
        return match.group()[0] if length >= FULL * longest else match.group()

    return WRAPPED.sub(whole, text)


def dehyphenated(text: str) -> str:
    """A text without the hyphens, and the line ends behind them, of words broken over two lines."""
    if "\ufffe" in text or "\x02" in text or "\xad" in text:
        text = BROKEN.sub("", text)
    if "-\n" in text or "\u2010\n" in text:
        text = HYPHENATED.sub(joined, text)
    return text


def joined(match: re.Match[str]) -> str:
    """Nothing where a word was broken; the hyphen where a capital says it is a compound."""
    before, after = (
        match.string[max(0, match.start() - 1) : match.start()],
        match.string[match.end()],
    )
    if not before.isalpha():
        return match.group()
    return "" if after.islower() else match.group()[0]


# A line is running if it stands on this share of the pages, among this many lines from the
# edge. Left and right pages may differ, so half the pages is not asked for.
SHARE = 0.4
EDGE = 3
# Below this many pages, a repeated line is more likely content.
FEWEST = 4

STEADY = 0.8

DIGITS = re.compile(r"\d{1,9}")
NUMBER, TITLE = "\0", "\1"  # stand for them in a pattern; cleaned text has neither


def without_running_lines(
    pages: Sequence[str], headings: Sequence[Heading] = ()
) -> tuple[str, ...]:
    """The pages without the headers and footers that repeat on most of them.

    Each stays where it stands first, so that what it says can still be found. Numbers in such a
    line must be the same on every page or count with the pages, so that the first row of a table is
    never taken for a header. The headings that a page stands under may differ from page to page.
    """
    return sifted(pages, headings)[0]


def sifted(
    pages: Sequence[str], headings: Sequence[Heading] = ()
) -> tuple[tuple[str, ...], tuple[Running, ...]]:
    """The same, and the lines that each page is without; () where all have all of theirs."""
    if len(pages) < FEWEST:
        return tuple(pages), ()
    above = titles_above(headings, len(pages))
    parts = [parted(page) for page in pages]
    shapes = [
        {line: pattern(line, titles) for line in (*head, *tail)}
        for (head, _, tail), titles in zip(parts, above, strict=True)
    ]
    running = set(running_lines(shapes))
    if not running:
        return tuple(pages), ()
    seen: set[str] = set()
    texts, dropped = [], []
    for (head, body, tail), shape in zip(parts, shapes, strict=True):
        over, first = seen_before(head, shape, running, seen)
        under, last = seen_before(tail, shape, running, seen)
        texts.append("\n".join([*first, *([body] if body else []), *last]).strip())
        dropped.append(Running(over, under))
    return tuple(texts), tuple(dropped)


def running_lines(shapes: Sequence[dict[str, str]]) -> Iterator[str]:
    """The patterns of the running lines, from the edge lines of each page with their patterns."""
    places: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, page in enumerate(shapes):
        for shape, line in {shape: line for line, shape in page.items()}.items():
            places[shape].append((number, line))
    least = max(FEWEST - 1, SHARE * sum(any(page) for page in shapes))
    for shape, found in places.items():
        if len(found) >= least and shape not in ("", TITLE) and counts_with_pages(shape, found):
            yield shape


def seen_before(
    lines: Sequence[str], shapes: dict[str, str], running: set[str], seen: set[str]
) -> tuple[tuple[str, ...], list[str]]:
    """The running lines that were seen before, and the other lines; `seen` grows."""
    dropped: list[str] = []
    kept: list[str] = []
    for line in lines:
        shape = shapes[line]
        (dropped if shape in running and shape in seen else kept).append(line)
        seen.add(shape)
    return tuple(dropped), kept


def counts_with_pages(shape: str, found: Sequence[tuple[int, str]]) -> bool:
    """Whether every number in these lines, given with their pages, is constant or counts along."""
    width = shape.count(NUMBER)
    columns = zip(
        *(map(int, DIGITS.findall(line)[-width:]) for _, line in found if width), strict=True
    )
    pages = [page for page, _ in found]
    return all(
        steady(column) or steady([n - p for n, p in zip(column, pages, strict=True)])
        for column in columns
    )


def steady(numbers: Sequence[int]) -> bool:
    """Whether four in five are the same: front matter and inserts count for themselves."""
    return Counter(numbers).most_common(1)[0][1] >= STEADY * len(numbers)


def titles_above(headings: Sequence[Heading], count: int) -> list[tuple[str, ...]]:
    """For each page the titles it stands under and those that begin on it, the longest first."""
    starting: dict[int, list[Heading]] = defaultdict(list)
    for heading in headings:
        starting[heading.page].append(heading)
    path: dict[int, str] = {}
    titles = []
    for page in range(1, count + 1):
        here = [*path.values()]
        for heading in starting[page]:
            path = {level: title for level, title in path.items() if level < heading.level}
            path[heading.level] = heading.title
            here.append(heading.title)
        titles.append(tuple(sorted({t.strip() for t in here} - {""}, key=len, reverse=True)))
    return titles


def parted(page: str) -> tuple[list[str], str, list[str]]:
    """The lines at the top, what is between, and the lines at the bottom."""
    top = page.split("\n", EDGE)
    if len(top) <= EDGE:
        return top, "", []
    bottom = top[EDGE].rsplit("\n", EDGE)
    if len(bottom) <= EDGE:
        return top[:EDGE], "", bottom
    return top[:EDGE], bottom[0], bottom[1:]


def pattern(line: str, titles: Sequence[str] = ()) -> str:
    """A line with its numbers masked, and one of the titles if it holds one."""
    line = line.strip()
    for title in titles:
        if title in line:
            line = line.replace(title, TITLE, 1)
            break
    return DIGITS.sub(NUMBER, line)
