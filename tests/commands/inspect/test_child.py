"""The inspector shows the text that was read, and marks where it is drawn."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pypdf
import pytest
from PIL import Image

from ingest.chunk.chunks import PAGE_BREAK, make_chunks
from ingest.commands.inspect.child import (
    IMAGE_HEIGHT_PIXELS,
    MAX_IMAGE_BYTES,
    InspectImage,
    InspectText,
    compress_image,
    inspect,
)
from ingest.commands.inspect.view import DocumentView, PageImage, PageView
from ingest.errors import DocumentError
from ingest.extract.cleaning import clean
from ingest.extract.document import ExtractOptions, extract, ignore_progress
from ingest.extract.engines.pdfium import Pdfium
from ingest.models import Recipe, Source
from ingest.pipeline.reader.prepare import Task
from tests.conftest import DIMENSIONS, MODEL, ROOT
from tests.pdfs import pdf, prose, to_bytes
from tests.scans import scan

SAMPLES = ("handbook", "benefits/benefits-plan", "papers/two-column", "products/price-list")
RECIPE = Recipe("auto", 64, 0.12, MODEL, DIMENSIONS)


def make_source(data: bytes) -> Source:
    return Source("/docs", "a.pdf", "/docs/a.pdf", len(data), "1")


def inspect_text(data: bytes, pages: range = range(1, 1000)) -> DocumentView:
    task = Task(make_source(data), "", RECIPE, "auto")
    found = inspect(
        InspectText(task, pages.start, pages.stop - 1), io.BytesIO(data), ignore_progress
    )
    assert isinstance(found, DocumentView)
    return found


def inspect_image(data: bytes, sheet: PageView, extractor: str = "auto") -> PageImage:
    texts = tuple(segment.text for segment in sheet.segments)
    found = inspect(InspectImage(sheet.number, texts, extractor), io.BytesIO(data), ignore_progress)
    assert isinstance(found, PageImage)
    return found


def read_sample(name: str) -> bytes:
    return (ROOT / "data" / f"{name}.pdf").read_bytes()


def join_kept(sheet: PageView) -> str:
    return "".join(segment.text for segment in sheet.segments if not segment.dropped)


@pytest.mark.parametrize("name", SAMPLES)
def test_what_is_shown_joined_is_the_text_that_was_split(name: str) -> None:
    """Nothing is left out of the view and nothing twice: what I see is what was embedded."""
    data = read_sample(name)
    document = extract(data, ExtractOptions())
    found = inspect_text(data)
    assert tuple(map(join_kept, found.pages)) == document.pages

    for chunk, passage in zip(
        make_chunks(document, make_source(data), RECIPE), found.chunks, strict=True
    ):
        parts = (
            "".join(s.text for s in sheet.segments if passage.ordinal in s.chunks)
            for sheet in found.pages[passage.page_start - 1 : passage.page_end]
        )
        shown = PAGE_BREAK.join(parts)
        assert (passage.id, passage.table_header + shown.strip()) == (chunk.id, chunk.text)


def test_text_that_two_chunks_have_is_shown_as_such() -> None:
    """The overlap is there to be seen, and belongs to neighbours."""
    found = inspect_text(pdf(prose("overlap")))
    shared = [s.chunks for sheet in found.pages for s in sheet.segments if len(s.chunks) > 1]
    assert shared
    assert all(second == first + 1 for first, second in shared)


def test_a_dropped_line_stood_on_its_page_and_is_in_no_chunk() -> None:
    """What is struck through is what the cleaning took away, and nothing else."""
    data = read_sample("handbook")
    engine = Pdfium(data, ())
    count = 0
    view = inspect_text(data)
    for sheet in view.pages:
        raw = clean(engine.text(sheet.number - 1)).split("\n")
        for segment in sheet.segments:
            if segment.dropped:
                count += 1
                assert segment.text in raw
                assert not segment.chunks
    assert count > 40
    assert view.running == count


@pytest.mark.parametrize("name", SAMPLES)
def test_boxes_are_inside_the_page_and_on_its_ink(name: str) -> None:
    """Each chunk is marked where its words are drawn, on the pages of any layout."""
    data = read_sample(name)
    for sheet in inspect_text(data, range(2, 5)).pages:  # on the first one there may be a picture
        view = inspect_image(data, sheet)
        ink = np.asarray(Image.open(io.BytesIO(view.png)).convert("L")) < 200
        assert ink.shape == (view.height, view.width) == (IMAGE_HEIGHT_PIXELS, view.width)
        inside = np.zeros_like(ink)
        for box in view.boxes:
            assert box.left >= 0 <= box.top
            assert box.left + box.width <= view.width + 0.2
            assert box.top + box.height <= view.height + 0.2
            rows = slice(int(box.top), int(box.top + box.height) + 2)
            inside[rows, int(box.left) : int(box.left + box.width) + 2] = True
            assert ink[rows, int(box.left) : int(box.left + box.width) + 2].any()
        marked = {box.segment for box in view.boxes}
        # A lone digit, on the axis of a chart say, may be any of several.
        words = {n for n, s in enumerate(sheet.segments) if sum(map(str.isalnum, s.text)) > 3}
        assert words <= marked
        assert ink[inside].sum() > 0.7 * ink.sum()


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_boxes_follow_a_turned_and_cropped_page(turn: int) -> None:
    """However the page is turned, its one word is in its one box."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("Crossing")))
    page = writer.pages[0]
    page.cropbox.lower_left = (30, 500)
    page.rotate(turn)
    data = to_bytes(writer)
    (sheet,) = inspect_text(data).pages
    view = inspect_image(data, sheet)
    (box,) = view.boxes
    ink = np.argwhere(np.asarray(Image.open(io.BytesIO(view.png)).convert("L")) < 128)
    (top, left), (bottom, right) = ink.min(axis=0), ink.max(axis=0)
    assert box.left - 2 <= left <= right <= box.left + box.width + 2
    assert box.top - 2 <= top <= bottom <= box.top + box.height + 2


def test_a_picture_is_light_whatever_is_on_it() -> None:
    """Noise has fewer shades; a page of type is as it was, in sixteen."""
    noise = np.random.default_rng(1).integers(0, 256, (900, 637), np.uint8)
    heavy = np.asarray(Image.open(io.BytesIO(compress_image(noise))).convert("L"))
    assert heavy.shape == noise.shape
    assert np.abs(heavy.astype(int) - noise).max() <= 255 / 6 + 1

    steps = np.tile(np.arange(0, 256, dtype=np.uint8), (40, 1))
    file = compress_image(steps)
    assert len(file) < MAX_IMAGE_BYTES
    plain = np.asarray(Image.open(io.BytesIO(file)).convert("L"))
    assert (plain == (steps.astype(int) * 15 + 127) // 255 * 17).all()
    assert file[24:26] == b"\x04\x03"  # four bits a pixel, of a palette


def test_a_scan_is_shown_though_nothing_was_read() -> None:
    """The picture says why no search finds it."""
    data = scan("What nobody read.")
    (sheet,) = inspect_text(data).pages
    assert sheet.scanned
    assert not sheet.segments
    assert inspect_image(data, sheet).boxes == ()


@pytest.mark.parametrize("size", [(1, 14_000), (14_000, 1), (3, 3)])
def test_pages_of_any_shape_are_drawn_small(size: tuple[int, int]) -> None:
    """A ribbon or a stamp makes no picture that is too large for a page."""
    writer = pypdf.PdfWriter()
    writer.add_blank_page(*size)
    data = to_bytes(writer)
    (sheet,) = inspect_text(data).pages
    view = inspect_image(data, sheet)
    assert view.height <= IMAGE_HEIGHT_PIXELS
    assert view.width <= 2 * IMAGE_HEIGHT_PIXELS


def test_without_native_code_there_is_no_picture_and_it_says_so() -> None:
    """Who reads with pypdf alone has the text all the same."""
    data = pdf("Plain.")
    (sheet,) = inspect_text(data).pages
    with pytest.raises(DocumentError, match="pypdf renders no images"):
        inspect_image(data, sheet, "pypdf")


def test_a_long_page_is_cut_and_says_by_how_much(tmp_path: Path) -> None:
    """One page of a million characters must not fill the report."""
    data = pdf("\n".join(f"Line {n} of many, each with words of its own." for n in range(3000)))
    (sheet,) = inspect_text(data).pages
    assert len(join_kept(sheet)) == 20_000
    assert sheet.hidden_chars == len(extract(data, ExtractOptions()).pages[0]) - 20_000
