"""Put the text of a page into reading order, with tables as Markdown. Only run it in a sandbox.

A page whose lines follow each other downwards without holes stays as it is, after measuring some of
its lines; only other pages are analysed word by word. Whole segments of the text are moved, so
every character of a page is kept, except white space.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.extract.engines.pdfium_raw import PageHandle, TextHandle, count_items, rotation_of
from ingest.extract.layout.continued import ArrangedPage
from ingest.extract.layout.lines import (
    LINE_END,
    PageLines,
    arrange_by_lines,
    find_line_starts,
    measure_some_lines,
)

if TYPE_CHECKING:
    from ingest.extract.engines.pdfium_structure import StructureReader

TABLE_MARK = "\n| --- |"  # in the text of every page that has a table

MAX_RULES = 2  # rules and other drawn objects of an ordinary page
MAX_LAYOUT_CHARS = 20_000  # the text of a page with more stays as it is


def arrange_page(  # noqa: PLR0913 - what is known of a page and its document
    page: PageHandle,
    handle: TextHandle,
    text: str,
    lines: PageLines | None,
    structure: StructureReader | None = None,
    *,
    draws_rows: bool = False,
) -> ArrangedPage:
    """Return the text of a page in reading order.

    Args:
        page: The loaded page.
        handle: Its loaded text.
        text: Its characters in drawing order, one for each of PDFium's.
        lines: All lines of the page, if they have been measured.
        structure: Reads the structure tree of a tagged page, which comes before positions. It
            costs more than most pages' text, so it is left alone where lines show all.
        draws_rows: Whether a row of cells may be drawn as one run.
    """
    if LINE_END not in text or len(text) > MAX_LAYOUT_CHARS:
        return ArrangedPage(text)
    starts = lines.starts if lines else find_line_starts(text)
    count = len(starts) - 1
    plain = (
        None
        if rotation_of(page)
        else arrange_by_lines(handle, text, lines or measure_some_lines(handle, starts), starts)
    )
    # Whether each of its lines is drawn in one piece, apart from a rule or two.
    drawn_lines = count + text.count("\ufffe")
    is_plain = plain is not None and drawn_lines / 2 < count_items(page) <= drawn_lines + MAX_RULES
    runs = None
    if not is_plain:
        from ingest.extract.layout.geometry import read_text_boxes

        runs = read_text_boxes(handle)
        is_plain = plain is not None and len(runs) <= drawn_lines + 1
    draws_rows = draws_rows and count_items(page) > count + MAX_RULES
    if draws_rows and is_plain:
        from ingest.extract.layout.gaps import find_gapped_runs

        runs = find_gapped_runs(handle, text)
        is_plain = runs is None
    if structure and (structure.wants_headings or not is_plain):
        tagged = structure.arrange(page, handle, text)
        if tagged:
            return tagged
    if plain is not None and is_plain:
        return ArrangedPage(plain)
    from ingest.extract.layout.words import arrange_by_words

    return arrange_by_words(page, handle, text, plain, runs, draws_rows=draws_rows)
