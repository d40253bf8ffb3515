"""What Document Intelligence makes of a page, as text: its tables become Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ingest.models import OcrResult

Json = Mapping[str, Any]

# How the service writes the boxes of a form.
CHECKBOX_MARKS = {":unselected:": "☐", ":selected:": "☒"}


def parse_result(result: Json) -> OcrResult:
    """The text of an `analyzeResult` and the confidence of its words, weighted by their length.

    Offsets must count Unicode code points. Raises KeyError, TypeError or ValueError if it is none.
    """
    content = str(result["content"])
    words = [word for page in result["pages"] for word in page.get("words", ())]
    text = insert_tables(content, result.get("tables", ()))
    for box, sign in CHECKBOX_MARKS.items():
        text = text.replace(box, sign)
    return OcrResult(text, mean_confidence(words))


def mean_confidence(words: Sequence[Json]) -> float:
    """From 0 to 1; 1 for a page without words, on which nothing was misread."""
    length = sum(len(word["content"]) for word in words)
    if not length:
        return 1.0
    return sum(float(word["confidence"]) * len(word["content"]) for word in words) / length


def insert_tables(content: str, tables: Iterable[Json]) -> str:
    """The content with each table that stands in one place of it as Markdown."""
    places = []
    for table in tables:
        spans = table.get("spans", ())
        if len(spans) == 1:
            start = int(spans[0]["offset"])
            places.append((start, start + int(spans[0]["length"]), table))
    for start, end, table in sorted(places, key=lambda place: place[0], reverse=True):
        content = f"{content[:start].rstrip()}\n\n{format_result_table(table)}\n\n{content[end:].lstrip()}"
    return content.strip()


def format_result_table(table: Json) -> str:
    """A row a line, the first as the header; a cell over several rows stands in the first."""
    rows = [[""] * int(table["columnCount"]) for _ in range(int(table["rowCount"]))]
    for cell in table["cells"]:
        text = " ".join(str(cell.get("content", "")).split()).replace("|", "\\|")
        rows[int(cell["rowIndex"])][int(cell["columnIndex"])] = text
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines[:1], "|" + " --- |" * int(table["columnCount"]), *lines[1:]])
