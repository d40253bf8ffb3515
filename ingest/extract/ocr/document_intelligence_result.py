"""Parse results of Document Intelligence into text, with tables as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ingest.models import OcrFigure, OcrResult

Json = Mapping[str, Any]

# Checkboxes of forms, as the service writes them.
CHECKBOX_MARKS = {":unselected:": "☐", ":selected:": "☒"}


def parse_result(result: Json) -> OcrResult:
    """Return the text of an `analyzeResult`, and the mean confidence of its words by length.

    Offsets must count Unicode code points. Raises KeyError, TypeError or ValueError for an invalid
    result.
    """
    content = str(result["content"])
    words = [word for page in result["pages"] for word in page.get("words", ())]
    text = insert_tables(content, result.get("tables", ()))
    for name, symbol in CHECKBOX_MARKS.items():
        text = text.replace(name, symbol)
    return OcrResult(text, mean_confidence(words), tuple(parse_figures(result)))


def parse_figures(result: Json) -> Iterator[OcrFigure]:
    """Yield the figures of an `analyzeResult`, which only the layout model returns."""
    figures = result.get("figures") or ()
    pages = {page["pageNumber"]: page for page in result["pages"]} if figures else {}
    for figure in figures:
        for region in figure.get("boundingRegions") or ():
            page = pages[region["pageNumber"]]
            across, along = region["polygon"][0::2], region["polygon"][1::2]
            left, right, top, bottom = min(across), max(across), min(along), max(along)
            width, height = float(page["width"]), float(page["height"])
            box = left / width, top / height, right / width, bottom / height
            shares = [min(1.0, max(0.0, edge)) for edge in box]
            caption = " ".join(str((figure.get("caption") or {}).get("content", "")).split())
            yield OcrFigure(
                (shares[0], shares[1], shares[2], shares[3]), caption, (right - left, bottom - top)
            )


def mean_confidence(words: Sequence[Json]) -> float:
    """Return the mean confidence by length of words, from 0 to 1; 1 for a page without words."""
    length = sum(len(word["content"]) for word in words)
    if not length:
        return 1.0
    return sum(float(word["confidence"]) * len(word["content"]) for word in words) / length


def insert_tables(content: str, tables: Iterable[Json]) -> str:
    """Replace each table that occupies one span of the content with Markdown."""
    found = []
    for table in tables:
        spans = table.get("spans", ())
        if len(spans) == 1:
            start = int(spans[0]["offset"])
            found.append((start, start + int(spans[0]["length"]), table))
    for start, end, table in sorted(found, key=lambda each: each[0], reverse=True):
        before, after = content[:start].rstrip(), content[end:].lstrip()
        content = f"{before}\n\n{format_result_table(table)}\n\n{after}"
    return content.strip()


def format_result_table(table: Json) -> str:
    """Format a table as Markdown, first row as header. A spanning cell goes into its first row."""
    rows = [[""] * int(table["columnCount"]) for _ in range(int(table["rowCount"]))]
    for cell in table["cells"]:
        text = " ".join(str(cell.get("content", "")).split()).replace("|", "\\|")
        rows[int(cell["rowIndex"])][int(cell["columnIndex"])] = text
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines[:1], "|" + " --- |" * int(table["columnCount"]), *lines[1:]])
