"""Find the Markdown tables that extraction wrote into a text. Pure.

A row says little without the names of its columns, so each table is found with its header, across
page breaks. A mistake here costs context, never text: nothing is dropped.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

DELIMITER = re.compile(r"\n\|(?: ?:?-{3,}:? ?\|)+(?=\n|\Z)")
# "Table 3.", "Tab. A-1:", "Tableau II", "表1": a word and a number that begin no sentence.
CAPTION = re.compile(
    r"[^\W\d_]{1,12}\.? ?(?:\d{1,3}|[A-Z]|[IVX]{1,5})(?:[-.\u2013]\d{1,3})*\b"
    r"(?! *[a-z\u00df-\u00ff])"
)
TABLE_ROW = re.compile(r"^\| (.*) \|$", re.MULTILINE)
BAR = re.compile(r"(?<!\\)\|")
MAX_CAPTION_LINES = 3
SENTENCE_ENDS = frozenset(".!?…。！？｡")
MAX_CAPTION_CHARS = 300  # of one line; no typesetter sets longer ones
# Three running lines at the foot of a page and three at the head of the next: cleaning.EDGE_LINES.
BETWEEN_PAGES = re.compile(r"(?:\n(?!\|)[^\n]{0,200}){1,6}(?=\n\|)")


@dataclass(frozen=True, slots=True)
class TableSpan:
    """Offsets of a table in a text. A line begins with the line break before it."""

    start: int  # of the table, including a caption above it
    body: int  # of the first row
    rows: tuple[int, ...]  # of each row
    end: int  # of the table, including a caption below it
    header: str  # names of the columns and delimiter row, each with a line break after it


def find_tables(text: str) -> list[TableSpan]:
    """Find the tables of a text, in order. A repeated header begins another table."""
    found: list[TableSpan] = []
    headers = find_headers(text)
    limits = [*(start for start, _ in headers[1:]), len(text)]
    for (start, body), limit in zip(headers, limits, strict=False):
        header = text[start:body].removeprefix("\n") + "\n"
        caption = find_caption_start(text, start, found[-1].end if found else 0)
        rows, end = find_rows(text, body, limit)
        while more := find_continued_rows(text, end, limit, header):
            rows += more
            end = find_line_end(text, more[-1] + 1)
        found.append(
            TableSpan(caption, body, tuple(rows), find_caption_end(text, end, limit), header)
        )
    return found


def strip_table_marks(text: str) -> str:
    """Remove the bars and delimiter rows of tables; a text without tables is returned unchanged.

    They mean nothing to an embedding model, and each is billed as tokens.
    """
    if not text.startswith("| ") and "\n| " not in text:
        return text
    return TABLE_ROW.sub(join_cells, DELIMITER.sub("", text))


def join_cells(row: re.Match[str]) -> str:
    """Join the texts of a row's cells."""
    texts = (cell.strip().replace("\\|", "|") for cell in BAR.split(row[1]))
    return " ".join(filter(None, texts))


def find_headers(text: str) -> list[tuple[int, int]]:
    """Find the start and end of each header: a line and the delimiter row below it."""
    found: list[tuple[int, int]] = []
    if "---" not in text:
        return found
    for delimiter in DELIMITER.finditer(text):
        start = text.rfind("\n", 0, delimiter.start())
        free = not found or start >= found[-1][1]
        if free and text.startswith("|", start + 1):
            found.append((max(0, start), delimiter.end()))
    return found


def find_rows(text: str, start: int, limit: int) -> tuple[list[int], int]:
    """Return the starts of the rows that follow an offset, and the end of the last one."""
    rows = []
    while start < limit and text.startswith("\n|", start):
        rows.append(start)
        start = find_line_end(text, start + 1)
    return rows, start


def find_continued_rows(text: str, end: int, limit: int, header: str) -> list[int]:
    """Return the starts of a table's rows on the next page, below its running header."""
    gap = BETWEEN_PAGES.match(text, end, limit)
    if gap and count_bars(text, gap.end() + 1) == count_bars(header, 0):
        return find_rows(text, gap.end(), limit)[0]
    return []


def count_bars(text: str, line: int) -> int:
    """Count the unescaped bars of the line that begins at `line`."""
    end = find_line_end(text, line)
    return text.count("|", line, end) - text.count("\\|", line, end)


def find_caption_start(text: str, start: int, limit: int) -> int:
    """Return the start of the caption above a table; without one, the start of the table.

    A caption is numbered, like "Table 3", or is a line by itself that is not a sentence.
    """
    end = start - 1 if text[max(0, start - 1) : start] == "\n" else start
    unnumbered = start
    for number in range(MAX_CAPTION_LINES):
        line = text.rfind("\n", limit, end) if end > limit else end
        if line + 1 >= end or end - line > MAX_CAPTION_CHARS:
            break
        if is_caption(text, line + 1):
            return max(0, line)
        if number == 0 and text[end - 1] not in SENTENCE_ENDS:
            is_alone = line < 0 or text[max(0, line - 1) : line] in ("", "\n", *SENTENCE_ENDS)
            unnumbered = max(0, line) if is_alone else start
        end = line
    return unnumbered


def find_caption_end(text: str, end: int, limit: int) -> int:
    """Return the end of the caption's first line below a table; without one, of the table."""
    line = end + (2 if text.startswith("\n\n", end) else 1)
    line_end = find_line_end(text, line)
    # A caption between two tables belongs to the second.
    if line_end < limit - 1 and is_caption(text, line) and line_end - line <= MAX_CAPTION_CHARS:
        return line_end
    return end


def is_caption(text: str, line: int) -> bool:
    """Return whether the line that begins at `line` is a numbered caption."""
    return bool(CAPTION.match(text, line)) and not text[line].islower()


def find_line_end(text: str, start: int) -> int:
    """Return the offset of the next line break, or of the end of the text."""
    end = text.find("\n", start)
    return end if end >= 0 else len(text)


def table_at(tables: Sequence[TableSpan], offset: int) -> TableSpan | None:
    """Return the table that an offset lies in; not one that begins at it."""
    count = bisect_left(tables, offset, key=lambda table: table.start)
    return tables[count - 1] if count and offset < tables[count - 1].end else None
