"""Where the tables of a text stand, which extraction writes in Markdown. Pure.

A row says little without the names of its columns, so each table is known with its header, and
goes on over the end of a page. A mistake here costs context, never text: nothing is left out.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

DELIMITER = re.compile(r"\n\|(?: ?:?-{3,}:? ?\|)+(?=\n|\Z)")
# "Table 3.", "Tab. A-1:", "Tableau II", "表1": a word and what counts, and no sentence after it.
CAPTION = re.compile(
    r"[^\W\d_]{1,12}\.? ?(?:\d{1,3}|[A-Z]|[IVX]{1,5})(?:[-.\u2013]\d{1,3})*\b"
    r"(?! *[a-z\u00df-\u00ff])"
)
TABLE_ROW = re.compile(r"^\| (.*) \|$", re.MULTILINE)
BAR = re.compile(r"(?<!\\)\|")
MAX_CAPTION_LINES = 3
SENTENCE_ENDS = frozenset(".!?…。！？｡")
MAX_CAPTION_CHARS = 300  # characters of a line; no typesetter sets longer ones
# Three running lines at the foot of a page and three at the head of the next; see clean.EDGE.
BETWEEN_PAGES = re.compile(r"(?:\n(?!\|)[^\n]{0,200}){1,6}(?=\n\|)")


@dataclass(frozen=True, slots=True)
class TableSpan:
    """Offsets of a table in a text: each is that of a line break, which belongs to its line."""

    start: int  # with its caption, if that stands above
    body: int  # where its rows begin
    rows: tuple[int, ...]  # where each begins
    end: int  # with its caption, if that stands below
    header: str  # its first two lines, each with its line break


def find_tables(text: str) -> list[TableSpan]:
    """The tables of a text, in order; one that repeats its header on a page begins anew."""
    found: list[TableSpan] = []
    heads = find_headers(text)
    limits = [*(start for start, _ in heads[1:]), len(text)]
    for (start, body), limit in zip(heads, limits, strict=False):
        header = text[start:body].removeprefix("\n") + "\n"
        begun = find_caption_start(text, start, found[-1].end if found else 0)
        rows, end = find_rows(text, body, limit)
        while more := find_continued_rows(text, end, limit, header):
            rows += more
            end = find_line_end(text, more[-1] + 1)
        found.append(
            TableSpan(begun, body, tuple(rows), find_caption_end(text, end, limit), header)
        )
    return found


def strip_table_marks(text: str) -> str:
    """The text without the marks that make rows of its lines; the same text where there are none.

    Bars and dashes say nothing to a model, and are paid for.
    """
    if not text.startswith("| ") and "\n| " not in text:
        return text
    return TABLE_ROW.sub(join_cells, DELIMITER.sub("", text))


def join_cells(row: re.Match[str]) -> str:
    """What stands in the cells of a row."""
    texts = (cell.strip().replace("\\|", "|") for cell in BAR.split(row[1]))
    return " ".join(filter(None, texts))


def find_headers(text: str) -> list[tuple[int, int]]:
    """From where to where each header runs: the line above a delimiter, and the delimiter."""
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
    """Where the rows that follow on an offset begin, and where the last of them ends."""
    rows = []
    while start < limit and text.startswith("\n|", start):
        rows.append(start)
        start = find_line_end(text, start + 1)
    return rows, start


def find_continued_rows(text: str, end: int, limit: int, header: str) -> list[int]:
    """Where the rows begin that a table goes on with on the next page, below its running lines."""
    gap = BETWEEN_PAGES.match(text, end, limit)
    if gap and count_bars(text, gap.end() + 1) == count_bars(header, 0):
        return find_rows(text, gap.end(), limit)[0]
    return []


def count_bars(text: str, line: int) -> int:
    """How many bars the line that begins here has that are not text."""
    end = find_line_end(text, line)
    return text.count("|", line, end) - text.count("\\|", line, end)


def find_caption_start(text: str, start: int, limit: int) -> int:
    """Where the caption above a table begins; where there is none, where the table does.

    It is counted, like "Table 3", or a line of its own that is no sentence.
    """
    end = start - 1 if text[max(0, start - 1) : start] == "\n" else start
    alone = start
    for number in range(MAX_CAPTION_LINES):
        line = text.rfind("\n", limit, end) if end > limit else end
        if line + 1 >= end or end - line > MAX_CAPTION_CHARS:
            break
        if is_caption(text, line + 1):
            return max(0, line)
        if number == 0 and text[end - 1] not in SENTENCE_ENDS:
            apart = line < 0 or text[max(0, line - 1) : line] in ("", "\n", *SENTENCE_ENDS)
            alone = max(0, line) if apart else start
        end = line
    return alone


def find_caption_end(text: str, end: int, limit: int) -> int:
    """Where the first line of a caption below a table ends; without one, where the table does."""
    line = end + (2 if text.startswith("\n\n", end) else 1)
    over = find_line_end(text, line)
    # One that stands between two tables is that of the second.
    if over < limit - 1 and is_caption(text, line) and over - line <= MAX_CAPTION_CHARS:
        return over
    return end


def is_caption(text: str, line: int) -> bool:
    """Whether the line that begins here is a caption."""
    return bool(CAPTION.match(text, line)) and not text[line].islower()


def find_line_end(text: str, place: int) -> int:
    """The offset of the next line break, or of the end of the text."""
    end = text.find("\n", place)
    return end if end >= 0 else len(text)


def table_at(tables: Sequence[TableSpan], offset: int) -> TableSpan | None:
    """The table that an offset lies in; not the one that begins there."""
    before = bisect_left(tables, offset, key=lambda table: table.start)
    return tables[before - 1] if before and offset < tables[before - 1].end else None
