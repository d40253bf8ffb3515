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
ROW = re.compile(r"^\| (.*) \|$", re.MULTILINE)
BAR = re.compile(r"(?<!\\)\|")
CAPTION_LINES = 3
SENTENCE_ENDS = frozenset(".!?…。！？｡")
CAPTION_WIDTH = 300  # characters of a line; no typesetter sets longer ones
# Three running lines at the foot of a page and three at the head of the next; see clean.EDGE.
BETWEEN_PAGES = re.compile(r"(?:\n(?!\|)[^\n]{0,200}){1,6}(?=\n\|)")


@dataclass(frozen=True, slots=True)
class Table:
    """Offsets of a table in a text: each is that of a line break, which belongs to its line."""

    start: int  # with its caption, if that stands above
    body: int  # where its rows begin
    rows: tuple[int, ...]  # where each begins
    end: int  # with its caption, if that stands below
    header: str  # its first two lines, each with its line break


def tables(text: str) -> list[Table]:
    """The tables of a text, in order; one that repeats its header on a page begins anew."""
    found: list[Table] = []
    heads = headers(text)
    limits = [*(start for start, _ in heads[1:]), len(text)]
    for (start, body), limit in zip(heads, limits, strict=False):
        header = text[start:body].removeprefix("\n") + "\n"
        begun = above(text, start, found[-1].end if found else 0)
        rows, end = rows_from(text, body, limit)
        while more := rows_after(text, end, limit, header):
            rows += more
            end = line_end(text, more[-1] + 1)
        found.append(Table(begun, body, tuple(rows), below(text, end, limit), header))
    return found


def unmarked(text: str) -> str:
    """The text without the marks that make rows of its lines; the same text where there are none.

    Bars and dashes say nothing to a model, and are paid for.
    """
    if not text.startswith("| ") and "\n| " not in text:
        return text
    return ROW.sub(cells, DELIMITER.sub("", text))


def cells(row: re.Match[str]) -> str:
    """What stands in the cells of a row."""
    texts = (cell.strip().replace("\\|", "|") for cell in BAR.split(row[1]))
    return " ".join(filter(None, texts))


def headers(text: str) -> list[tuple[int, int]]:
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


def rows_from(text: str, start: int, limit: int) -> tuple[list[int], int]:
    """Where the rows that follow on an offset begin, and where the last of them ends."""
    rows = []
    while start < limit and text.startswith("\n|", start):
        rows.append(start)
        start = line_end(text, start + 1)
    return rows, start


def rows_after(text: str, end: int, limit: int, header: str) -> list[int]:
    """Where the rows begin that a table goes on with on the next page, below its running lines."""
    gap = BETWEEN_PAGES.match(text, end, limit)
    if gap and columns(text, gap.end() + 1) == columns(header, 0):
        return rows_from(text, gap.end(), limit)[0]
    return []


def columns(text: str, line: int) -> int:
    """How many bars the line that begins here has that are not text."""
    end = line_end(text, line)
    return text.count("|", line, end) - text.count("\\|", line, end)


def above(text: str, start: int, limit: int) -> int:
    """Where the caption above a table begins; where there is none, where the table does.

    It is counted, like "Table 3", or a line of its own that is no sentence.
    """
    end = start - 1 if text[max(0, start - 1) : start] == "\n" else start
    alone = start
    for number in range(CAPTION_LINES):
        line = text.rfind("\n", limit, end) if end > limit else end
        if line + 1 >= end or end - line > CAPTION_WIDTH:
            break
        if captions(text, line + 1):
            return max(0, line)
        if number == 0 and text[end - 1] not in SENTENCE_ENDS:
            apart = line < 0 or text[max(0, line - 1) : line] in ("", "\n", *SENTENCE_ENDS)
            alone = max(0, line) if apart else start
        end = line
    return alone


def below(text: str, end: int, limit: int) -> int:
    """Where the first line of a caption below a table ends; without one, where the table does."""
    line = end + (2 if text.startswith("\n\n", end) else 1)
    over = line_end(text, line)
    # One that stands between two tables is that of the second.
    if over < limit - 1 and captions(text, line) and over - line <= CAPTION_WIDTH:
        return over
    return end


def captions(text: str, line: int) -> bool:
    """Whether the line that begins here is a caption."""
    return bool(CAPTION.match(text, line)) and not text[line].islower()


def line_end(text: str, place: int) -> int:
    """The offset of the next line break, or of the end of the text."""
    end = text.find("\n", place)
    return end if end >= 0 else len(text)


def table_at(found: Sequence[Table], offset: int) -> Table | None:
    """The table that an offset lies in; not the one that begins there."""
    before = bisect_left(found, offset, key=lambda table: table.start)
    return found[before - 1] if before and offset < found[before - 1].end else None
