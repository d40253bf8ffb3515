"""Read PDFs with PDFium. Native code: only run it in a sandbox.

Pages are read with PDFium's plain functions: pypdfium2's objects around them cost a tenth more.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from pypdfium2 import raw

from ingest.extract.annotations import NO_ANNOTATIONS, PageAnnotations, read_annotations
from ingest.extract.cleaning import clean
from ingest.extract.engines.pdfium_appearances import AppearanceReader
from ingest.extract.engines.pdfium_bidi import needs_reordering, reorder_page
from ingest.extract.engines.pdfium_bullets import write_bullets
from ingest.extract.engines.pdfium_figures import FigureReader, LoadedPage
from ingest.extract.engines.pdfium_hidden import confirm_hidden, count_letters, find_candidates
from ingest.extract.engines.pdfium_layers import draws_letters, find_switched_off
from ingest.extract.engines.pdfium_letters import (
    correct_characters,
    correct_reversed,
    has_undecoded_letters,
    pad_characters,
)
from ingest.extract.engines.pdfium_objects import (
    PageObjects,
    draws_graphics,
    draws_no_text,
    leave_out,
    list_objects,
    with_paths,
)
from ingest.extract.engines.pdfium_open import (
    copy_for_reading,
    copy_page,
    open_document,
    read_denied_permissions,
    reads_from_right,
)
from ingest.extract.engines.pdfium_outline import read_outline
from ingest.extract.engines.pdfium_raw import (
    ListedPage,
    PageHandle,
    TextHandle,
    address_of,
    close_page,
    close_text,
    count_annotations,
    count_characters,
    count_items,
    entry_of,
    label_of,
    load_page,
    load_text,
    read_characters,
    read_utf16,
    rotation_of,
    use_installed_fonts,
)
from ingest.extract.engines.pdfium_spaces import part_backward_cells
from ingest.extract.engines.pdfium_structure import StructureReader, is_tagged
from ingest.extract.engines.pdfium_syllables import GlyphTexts
from ingest.extract.engines.placeholders import Placeholders
from ingest.extract.figures.insert import insert_words
from ingest.extract.layout import TABLE_MARK, arrange_page
from ingest.extract.layout.continued import ArrangedPage, OpenTable, continue_table, find_open_table
from ingest.extract.layout.headings import HeadingDetector
from ingest.extract.layout.lines import measure_all_lines
from ingest.extract.ocr import RENDER_DPI
from ingest.extract.safe_call import try_call
from ingest.extract.traits import find_traits
from ingest.models import ColourImage, Figure, GreyImage, Heading, PageShares

if TYPE_CHECKING:
    from ingest.extract.engines.glyph_names import GlyphNames
    from ingest.extract.engines.pdfium_lines import DrawnLines

use_installed_fonts(used=False)  # the text of a document must be that of any machine

MAX_RENDER_PIXELS = 16_000_000  # of an image; A3 at 200 dpi has half as many
# Pages of a document that are rendered to see if text is hidden.
MAX_LIKELY_RENDERS, MAX_UNLIKELY_RENDERS = 50, 5

INFO_KEYS = ("Title", "Author", "CreationDate", "ModDate", "Producer", "Creator")


class Pdfium:
    """A PDF opened by PDFium. Raises DocumentError if no password opens it."""

    def __init__(self, data: bytes, passwords: Sequence[str]) -> None:
        self.document, self.password = open_document(data, passwords)
        self.denied = read_denied_permissions(self.document)
        self.traits = find_traits(data)
        if self.traits.pages > len(self.document):
            data = try_call(partial(self.rewrite_page_tree, data), b"") or data
            self.document, _ = open_document(data, (), self.password)
        if reads_from_right(self.document):
            self.document, data = copy_for_reading(self.document, data, self.password)
        self.address = address_of(self.document)
        self.data = data  # PDFium keeps no copy, so it must outlive the document
        self.named_copy: Pdfium | None = None  # with the letters that only its glyph names tell
        self.glyph_names: GlyphNames | None = None
        self.is_copy = False
        self.wants_figures = False
        self.appearances = AppearanceReader(data, self.password)
        self.page_annotations: dict[int, PageAnnotations] = {}
        self.pages_with_unseen_text: set[int] = set()
        self.pages_with_hidden_text: set[int] = set()
        self.renders: Counter[bool] = Counter()  # to find hidden text, by whether it was likely
        outlined = raw.FPDFBookmark_GetFirstChild(self.document, None)
        self.placeholders = Placeholders()
        # Its spaces become space between letters, which PDFium takes for a part of these.
        self.placeholders.misses_spaces = self.is_distilled and "groff" in self.read_entry(
            b"Creator"
        )
        self.glyph_texts = GlyphTexts()
        self.heading_detector = None if outlined else HeadingDetector(self.placeholders)
        self.open_table: tuple[int, OpenTable] | None = None  # with the index of its page
        self.structure = (
            StructureReader(wants_headings=not outlined) if is_tagged(self.address) else None
        )
        self.figure_reader = FigureReader(
            self.address,
            len(self.document),
            has_alternatives=self.traits.alternatives and self.structure is not None,
        )

    def __len__(self) -> int:
        return len(self.document)

    def text(self, index: int) -> str:
        page = load_page(self.address, index)
        if not page:
            raise ValueError(f"page {index + 1} cannot be loaded")
        try:
            if (count := count_annotations(page)) > 0 and self.traits.annotations:
                self.page_annotations[index] = self.read_annotations(index, page, count)
            # Hostile pages break this in any way; their text is there.
            objects = try_call(partial(self.leave_out_unseen, index, page), None)
            text = load_text(page)
            if not text:
                raise ValueError(f"page {index + 1} cannot be read")
            try:
                drawn = read_characters(text, count_characters(text))
                if objects:
                    try_call(partial(self.find_hidden_text, index, page, text, objects), None)
                    loaded = LoadedPage(index + 1, page, text, drawn)
                    read_figures = partial(
                        self.figure_reader.read, loaded, objects, wants_all=self.wants_figures
                    )
                    if rest := try_call(read_figures, 0):
                        close_text(text)
                        text = rest
                        drawn = read_characters(text, count_characters(text))
                shown = with_paths(page, objects) if objects else page
                arranged = self.read_loaded_page(index, shown, text, drawn)
                return arranged if self.is_copy else insert_words(arranged, self.figures(index))
            finally:
                close_text(text)
        finally:
            close_page(page)

    def rewrite_page_tree(self, data: bytes) -> bytes:
        """Return the document with the right page count, if its own is too low; else b""."""
        from ingest.extract.engines.page_tree import rewrite_page_tree  # few documents need pypdf

        return rewrite_page_tree(data, self.password, len(self.document))

    def read_annotations(self, index: int, page: PageHandle, count: int) -> PageAnnotations:
        """Read the annotations of a page, with the text that they show."""
        found = read_annotations(ctypes.cast(page, raw.FPDF_PAGE), count)
        if not found.has_appearances:
            return found
        read = partial(self.appearances.read, index, has_layers=found.has_layers)
        text = try_call(read, "")
        return replace(found, appearances=tuple(clean(text).split("\n")))

    def leave_out_unseen(self, index: int, page: PageHandle) -> PageObjects:
        """Leave the text that no viewer shows out of a page; return what the page draws."""
        objects = list_objects(page)
        if self.traits.layers:
            objects.unseen += find_switched_off(page)
        if objects.unseen:
            leave_out(objects.unseen)
            self.pages_with_unseen_text.add(index)
        return objects

    def find_hidden_text(
        self, index: int, page: PageHandle, text: TextHandle, objects: PageObjects
    ) -> None:
        """Note whether a page has text that a reader cannot see."""
        candidates = find_candidates(objects)
        if not candidates:
            return

        def may_render(likely: bool) -> bool:  # noqa: FBT001 - a callback
            self.renders[likely] += 1
            limit = MAX_LIKELY_RENDERS if likely else MAX_UNLIKELY_RENDERS
            return self.renders[likely] <= limit

        if confirm_hidden(page, candidates, partial(count_letters, text), may_render):
            self.pages_with_hidden_text.add(index)

    def read_loaded_page(self, index: int, page: PageHandle, text: TextHandle, drawn: str) -> str:
        """Return the text of a loaded page in reading order; if that fails, in drawing order.

        `drawn` are its characters in that order.
        """
        is_reordered = needs_reordering(drawn)
        doubtful = self.traits.glyph_names and (
            self.traits.ligatures or has_undecoded_letters(text, drawn)
        )
        # Numbers of glyphs taken for letters: that of the space is no character.
        doubtful |= self.traits.unmapped and len(drawn) != count_characters(text)
        if doubtful and (copy := self.copy_with_glyph_names(index)):
            return copy.text(index)
        shown = drawn if is_reordered else pad_characters(text, drawn)
        if not drawn or (len(shown) != count_characters(text) and not is_reordered):
            return drawn
        try:
            if is_reordered:
                text, shown = reorder_page(page, text, drawn, self.glyph_texts)
            else:
                shown = correct_characters(text, shown, self.placeholders)
                if self.is_distilled:
                    shown = part_backward_cells(text, shown, self.placeholders)
            if self.is_distilled and not shown.isascii():
                shown = correct_reversed(shown, self.placeholders)
            if isinstance(page, ListedPage) and page.bounds and not rotation_of(page):
                shown = write_bullets(text, shown, page.bounds, self.placeholders)
            lines = measure_all_lines(text, shown) if self.heading_detector else None
            structure = None if is_reordered else self.structure  # which knows PDFium's order
            if structure:
                structure.page_number = index + 1
            whole = arrange_page(page, text, shown, lines, structure, draws_rows=self.draws_rows)
            arranged = self.continue_table(index, whole)
            if shown is not drawn:
                arranged = self.placeholders.replace(arranged)
            # On a rotated page, the box of a line's first character gives the width of its type
            # and not the height.
            if self.heading_detector and lines and not rotation_of(page):
                self.heading_detector.add_page(index + 1, text, shown, lines)
                if TABLE_MARK in arranged:
                    self.heading_detector.forget_table_lines(index + 1, arranged)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - hostile pages break the layout in any way; the text is there
            return drawn
        return arranged

    def copy_with_glyph_names(self, index: int) -> Pdfium | None:
        """Return a copy of the document that decodes a page's letters; None if none does."""
        if self.named_copy is None and not self.is_copy:
            self.named_copy = try_call(partial(self.make_copy, index), None)
        return self.named_copy

    def make_copy(self, index: int) -> Pdfium | None:
        """Copy the document if a page's fonts can be completed. Raises any exception of pypdf."""
        from ingest.extract.engines.glyph_names import GlyphNames

        if self.glyph_names is None:
            self.glyph_names = GlyphNames(self.data, self.password)
        if not self.glyph_names.has_incomplete_fonts(index):
            return None
        return self.open_copy(self.glyph_names.complete())

    def open_copy(self, data: bytes) -> Pdfium:
        """Open a copy of the document, whose pages count as pages of this one."""
        copy = Pdfium(data, ())
        copy.is_copy = True
        copy.heading_detector, copy.placeholders = self.heading_detector, self.placeholders
        copy.structure, copy.figure_reader = self.structure, self.figure_reader
        copy.wants_figures = self.wants_figures
        return copy

    def continue_table(self, index: int, page: ArrangedPage) -> str:
        """Return the text of a page; its first table may go on from the page before."""
        before, self.open_table = self.open_table, None
        if not page.tables:
            return page.text
        text = continue_table(page, before[1] if before and before[0] == index - 1 else None)
        if table := find_open_table(text, page.tables):
            self.open_table = index, table
        return text

    def shows_text(self, index: int) -> bool:
        return self.ask_page(index, draws_letters)

    def has_graphics(self, index: int) -> bool:
        return self.ask_page(index, draws_graphics)

    def ask_page(self, index: int, question: Callable[[PageHandle], bool]) -> bool:
        """Return the result of a function on a loaded page; False if it cannot be loaded."""
        page = load_page(self.address, index)
        if not page:
            return False
        try:
            return question(page)
        finally:
            close_page(page)

    def has_no_text(self, index: int) -> bool:
        page = load_page(self.address, index)
        if not page:
            return False
        try:
            if count_items(page):
                return draws_no_text(page)
        finally:
            close_page(page)
        from ingest.extract.engines import pypdf

        # PDFium may have found nothing because the page is damaged.
        return pypdf.draws_no_text(copy_page(self.document, index))

    def render(self, index: int) -> GreyImage:
        page = self.document[index]
        width, height = page.get_size()
        scale = min(RENDER_DPI / 72, (MAX_RENDER_PIXELS / max(1.0, width * height)) ** 0.5)
        grey: GreyImage = page.render(scale=scale, grayscale=True).to_numpy().squeeze()
        return grey

    def render_part(self, index: int, box: PageShares) -> ColourImage:
        from ingest.extract.engines.pdfium_render import render_part  # few runs need it

        return render_part(self.document[index], box)

    def has_unseen_text(self, index: int) -> bool:
        return index in self.pages_with_unseen_text

    def has_hidden_text(self, index: int) -> bool:
        return index in self.pages_with_hidden_text

    @cached_property
    def is_distilled(self) -> bool:
        """Return whether Ghostscript has written the document."""
        return "Ghostscript" in self.read_entry(b"Producer")

    @cached_property
    def draws_rows(self) -> bool:
        """Return whether a row of cells may be drawn as one run, as Ghostscript and groff do."""
        return self.is_distilled or "gropdf" in self.read_entry(b"Producer")

    def read_entry(self, name: bytes) -> str:
        """Return an entry of the document's information."""
        return read_utf16(partial(entry_of, self.address, name))

    def annotations(self, index: int) -> PageAnnotations:
        return self.page_annotations.get(index, NO_ANNOTATIONS)

    def figures(self, index: int) -> Sequence[Figure]:
        return self.figure_reader.pages.get(index + 1, ())

    def drawn_lines(self, index: int) -> DrawnLines:
        from ingest.extract.engines.pdfium_lines import DrawnLines  # few runs check the text

        return DrawnLines(self, index)

    def info(self) -> dict[str, str]:
        return {
            name: read_utf16(partial(entry_of, self.address, name.encode())) for name in INFO_KEYS
        }

    def denied_permissions(self) -> tuple[str, ...]:
        return self.denied

    def may_have_form(self) -> bool:
        return bool(raw.FPDF_GetFormType(self.document) != raw.FORMTYPE_NONE)

    def may_have_attachments(self) -> bool:
        return bool(raw.FPDFDoc_GetAttachmentCount(self.document) > 0)

    def headings(self) -> list[Heading]:
        tagged = self.structure.headings if self.structure else []
        return (
            read_outline(self.address)
            or tagged
            or (self.heading_detector.headings() if self.heading_detector else [])
        )

    def labels(self) -> list[str]:
        if not self.page_label(0) + self.page_label(len(self) - 1):
            return []
        return [self.page_label(index) for index in range(len(self.document))]

    def page_label(self, index: int) -> str:
        """Return the label of a page; "" if it has none."""
        return read_utf16(partial(label_of, self.address, index))
