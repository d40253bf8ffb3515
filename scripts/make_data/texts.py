"""Read the texts: a title block, then paragraphs, headings, bullets and tables.

The notation is the part of Markdown that these texts need, so that anyone can edit them:
``#`` to ``###`` for headings (``#!`` for one in the front matter), ``-`` for bullets, ``|`` for
table rows of which the first is the header, ``Table:`` for a caption, ``!figure NAME`` for a
drawing, and ``**bold**`` and ``*italic*`` inside a paragraph.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal
from xml.sax.saxutils import escape

Kind = Literal["heading", "front", "paragraph", "bullet", "caption", "figure", "table"]


@dataclass(frozen=True)
class Block:
    kind: Kind
    text: str = ""
    level: int = 0
    rows: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True)
class Document:
    about: dict[str, str]
    blocks: list[Block]

    @property
    def date(self) -> datetime:
        return datetime.fromisoformat(self.about["date"]).replace(hour=9, tzinfo=UTC)


def parse(text: str) -> Document:
    head, *chunks = re.split(r"\n\s*\n", text.strip())
    about = dict(line.split(": ", 1) for line in head.splitlines())
    return Document(about, [block for chunk in chunks for block in parse_chunk(chunk)])


def parse_chunk(chunk: str) -> list[Block]:
    if match := re.fullmatch(r"(#{1,3})(!?) (.+)", chunk):
        marks, front, title = match.groups()
        return [Block("front" if front else "heading", title, len(marks))]
    if chunk.startswith("- "):
        return [Block("bullet", line.removeprefix("- ")) for line in chunk.splitlines()]
    if chunk.startswith("|"):
        return [Block("table", rows=[split_row(line) for line in chunk.splitlines()])]
    if chunk.startswith("Table: "):
        return [Block("caption", chunk.removeprefix("Table: "))]
    if chunk.startswith("!figure "):
        return [Block("figure", chunk.removeprefix("!figure "))]
    return [Block("paragraph", " ".join(chunk.splitlines()))]


def split_row(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def mark_up(text: str) -> str:
    """Turn the inline notation into the XML that reportlab's paragraphs read."""
    text = escape(text).replace("\n", "<br/>").replace("'", "’")
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text)
    return re.sub(r"\*(.+?)\*", r"<i>\1</i>", text)
