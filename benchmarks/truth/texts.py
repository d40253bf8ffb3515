"""Known texts: parse a file of `texts/` into blocks, and list what a reader would read.

A file begins with `name: value` lines and an empty line. Then each line is a block: `# ` and `## `
begin headings, `- ` and `1. ` items of lists; other lines are paragraphs. Lines between `@kind` and
`@end` belong together: `@columns` are paragraphs in two columns, `@sidebar` the lines of a box
beside the text, `@ruled`, `@booktabs` and `@unruled` the rows of a table with `|` between cells,
`@form` rows of fields `label: value`, `@bilingual` rows of a paragraph in two languages, which are
typeset as two columns. `word{{note}}` has a footnote.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

FOLDER = Path(__file__).parent / "texts"
NOTE = re.compile(r"\{\{(.*?)\}\}")
ITEM = re.compile(r"(-|\d+\.) (.*)")
TABLES = {"ruled", "booktabs", "unruled"}
WITHOUT_SPACES = {"zh", "ja", "th"}  # languages that have none between words
RIGHT_TO_LEFT = {"ar", "fa", "he"}

SCRIPTS = {
    "ar": "Arabic",
    "fa": "Persian",
    "he": "Hebrew",
    "hi": "Devanagari",
    "ta": "Tamil",
    "bn": "Bengali",
    "th": "Thai",
    "zh": "Chinese",
    "ja": "Japanese",
    "ko": "Korean",
    "ru": "Cyrillic",
    "el": "Greek",
}


@dataclass(frozen=True, slots=True)
class Block:
    """One part of a text: its kind, and its lines or the cells of its rows."""

    kind: str  # title, heading, paragraph, bullets, numbers, or the name after @
    lines: tuple[str, ...]

    @property
    def rows(self) -> list[list[str]]:
        """The cells of each row."""
        return [[cell.strip() for cell in line.split("|")] for line in self.lines]


@dataclass(frozen=True, slots=True)
class Text:
    """A text with what is known about it."""

    name: str
    language: str
    part: str  # tuning or unseen
    makers: tuple[str, ...]
    hyphenate: bool
    blocks: tuple[Block, ...]

    @property
    def script(self) -> str:
        """The script, by its usual name in English."""
        return SCRIPTS.get(self.language, "Latin")

    @property
    def kinds(self) -> set[str]:
        """Kinds of blocks besides paragraphs."""
        kinds = {block.kind for block in self.blocks} - {"title", "heading", "paragraph"}
        if any(NOTE.search(line) for block in self.blocks for line in block.lines):
            kinds.add("footnotes")
        if self.hyphenate:
            kinds.add("hyphenated")
        return kinds or {"plain"}


def load_texts() -> list[Text]:
    """Parse all texts."""
    return [parse(file.stem, file.read_text("utf-8")) for file in sorted(FOLDER.glob("*.txt"))]


def parse(name: str, source: str) -> Text:
    """Parse a text."""
    head, _, body = source.partition("\n\n")
    about = dict(line.split(": ", 1) for line in head.splitlines())
    return Text(
        name,
        about["lang"],
        about["part"],
        tuple(about["makers"].split()),
        "hyphenate" in about,
        tuple(parse_blocks(body.splitlines())),
    )


def parse_blocks(lines: Sequence[str]) -> list[Block]:
    """Parse the lines of a text into blocks."""
    blocks: list[Block] = []
    pending: list[str] = []
    opened = ""
    for line in lines:
        if line == "@end":
            blocks.append(Block(opened, tuple(pending)))
            opened, pending = "", []
        elif opened:
            pending.append(line)
        elif line.startswith("@"):
            opened = line[1:]
        elif line.startswith("## "):
            blocks.append(Block("heading", (line[3:],)))
        elif line.startswith("# "):
            blocks.append(Block("title", (line[2:],)))
        elif item := ITEM.fullmatch(line):
            blocks.append(Block("bullets" if item[1] == "-" else "numbers", (item[2],)))
        elif line:
            blocks.append(Block("paragraph", (line,)))
    return [merged for kind, group in groupby(blocks, key=kind_of) for merged in merge(kind, group)]


def kind_of(block: Block) -> str:
    """Return the kind of a block."""
    return block.kind


def merge(kind: str, group: object) -> list[Block]:
    """Merge the items of a list into one block; other blocks stay apart."""
    blocks: list[Block] = list(group)  # type: ignore[call-overload]
    if kind not in {"bullets", "numbers"}:
        return blocks
    return [Block(kind, tuple(line for block in blocks for line in block.lines))]


def split_field(cell: str) -> tuple[str, str]:
    """Return the label of a field of a form, with its colon, and its value."""
    label, _, value = cell.partition(": ")
    return f"{label}:", value


def halves(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split paragraphs into two columns of about the same length."""
    whole = sum(map(len, lines))
    place = min(
        range(1, len(lines)), key=lambda n: abs(2 * sum(map(len, lines[:n])) - whole), default=1
    )
    return list(lines[:place]), list(lines[place:])


def known_texts(text: Text) -> list[str]:
    """Return the text in the orders that a reader may take.

    A sidebar is read in its place, after the next paragraph, or last; footnotes are read last, or
    where their marks are.
    """
    orders = [text.blocks]
    if "sidebar" in text.kinds:
        sidebars = [block for block in text.blocks if block.kind == "sidebar"]
        others = [block for block in text.blocks if block.kind != "sidebar"]
        orders += [(*others, *sidebars), put_later(text.blocks)]
    known = [
        read_blocks(blocks, at_marks=at_marks) for blocks in orders for at_marks in (False, True)
    ]
    return ["\n".join(parts) for parts in known]


def put_later(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """Return blocks with each sidebar after the paragraph that follows it."""
    result = list(blocks)
    for place, block in enumerate(blocks[:-1]):
        if block.kind == "sidebar":
            result[place], result[place + 1] = result[place + 1], block
    return tuple(result)


def read_blocks(blocks: Sequence[Block], *, at_marks: bool) -> list[str]:
    """List what a reader reads, part by part; footnotes at their marks or last, as on one page."""
    parts: list[str] = []
    notes: list[str] = []
    for block in blocks:
        lines: Sequence[str] = block.lines
        if block.kind in TABLES:
            lines = [cell for row in block.rows for cell in row]
        elif block.kind == "form":
            lines = [part for row in block.rows for cell in row for part in split_field(cell)]
        elif block.kind == "bilingual":
            lines = [cell for column in zip(*block.rows, strict=True) for cell in column]
        elif block.kind == "numbers":
            lines = [f"{number}. {line}" for number, line in enumerate(block.lines, 1)]
        for line in lines:
            for note in NOTE.findall(line):
                notes.append(note)
                number = len(notes)
                shown = f" {number} {number} {note} " if at_marks else f" {number} "
                line = NOTE.sub(lambda _, shown=shown: shown, line, count=1)  # noqa: PLW2901 - one at a time
            parts.append(line)
    last = [] if at_marks else [f"{number} {note}" for number, note in enumerate(notes, 1)]
    return [*parts, *last]
