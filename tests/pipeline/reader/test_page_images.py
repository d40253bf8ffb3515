"""Hash and image of a page, as a child process returns them."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pypdf
import pytest
from PIL import Image
from pypdf.generic import DictionaryObject, NameObject, NumberObject

from ingest.errors import DocumentError
from ingest.extract.document import ignore_progress
from ingest.pipeline.reader.page_images import MAX_UPLOAD_BYTES, RenderTask, encode_for_ocr, render
from tests.conftest import ROOT, environment
from tests.pdfs import pdf, to_bytes
from tests.scans import read, scan


def identities(data: bytes, *pages: int) -> dict[int, str]:
    found = render(RenderTask(pages), io.BytesIO(data), ignore_progress)
    assert isinstance(found, dict)
    return found


def draw(data: bytes, page: int) -> Image.Image:
    file = render(RenderTask((page,), draw=True), io.BytesIO(data), ignore_progress)
    assert isinstance(file, bytes)
    picture = Image.open(io.BytesIO(file))
    picture.load()
    return picture


def rewrite(data: bytes, *order: int) -> bytes:
    """Some pages of a PDF, saved by another program: other object numbers, other names."""
    writer = pypdf.PdfWriter()
    writer.add_metadata({"/Producer": "another"})
    for page in order:
        writer.add_page(pypdf.PdfReader(io.BytesIO(data)).pages[page - 1])
    return to_bytes(writer)


def test_the_same_page_is_the_same_in_any_document() -> None:
    """Alone, among others, in another place, saved by another program."""
    one = scan("Common.", "Other.", "Common.")
    first = identities(one, 1, 2, 3)
    assert first[1] == first[3] != first[2]
    assert identities(scan("Else.", "Common."), 2)[2] == first[1]
    assert identities(rewrite(one, 2, 1), 1, 2) == {1: first[2], 2: first[1]}


def change(page: pypdf.PageObject, what: str) -> None:
    """The page, looking otherwise."""
    pictures = page["/Resources"]["/XObject"]  # type: ignore[index]
    picture = pictures[next(iter(pictures))]
    if what == "rotated":
        page.rotate(90)
    elif what == "cropped":
        page.cropbox.upper_right = (100, 100)
    elif what == "masked":
        mask = DictionaryObject({NameObject("/S"): NameObject("/Luminosity")})
        picture[NameObject("/SMask")] = mask
    elif what == "decoded otherwise":
        picture[NameObject("/DecodeParms")] = DictionaryObject(
            {NameObject("/Predictor"): NumberObject(2)}
        )
    else:
        picture._data = picture._data[:-1] + b"?"


@pytest.mark.parametrize("what", ["rotated", "cropped", "masked", "decoded otherwise", "painted"])
def test_a_page_that_looks_otherwise_is_another_one(what: str) -> None:
    """One byte of a picture, a mask, a turn: whatever it is drawn from counts."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(scan("Common.")))
    change(writer.pages[0], what)
    assert identities(to_bytes(writer), 1) != identities(scan("Common."), 1)


def test_a_page_that_leads_to_itself_is_told_by_its_looks() -> None:
    """Hostile or odd, it has a hash all the same, and soon."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(scan("Loop.")))
    page = writer.pages[0]
    loop = writer._add_object(DictionaryObject())
    loop.get_object()[NameObject("/Again")] = loop  # type: ignore[index]
    page[NameObject("/Resources")][NameObject("/Odd")] = loop  # type: ignore[index]
    found = identities(to_bytes(writer), 1)
    assert found[1].startswith("drawn-")
    assert identities(to_bytes(writer), 1) == found


def test_a_drawn_page_says_what_it_said() -> None:
    """The picture that is sent is that of the page, lossless, in grey, large enough to read."""
    picture = draw(scan("First.", "What it says: ünïcödé."), 2)
    assert read(picture) == "What it says: ünïcödé."
    assert picture.mode == "L"
    assert min(picture.size) > 1000


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (64, 64)])
def test_our_pictures_are_what_they_were(shape: tuple[int, int]) -> None:
    """Another program reads the grey values that were written."""
    grey = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    assert (np.asarray(Image.open(io.BytesIO(encode_for_ocr(grey)))) == grey).all()


def test_a_picture_too_heavy_for_the_free_tier_loses_shades_and_nothing_else() -> None:
    """Four megabytes of noise become fewer; the shapes stay."""
    noise = np.random.default_rng(1).integers(0, 256, (2339, 1854), np.uint8)
    file = encode_for_ocr(noise)
    assert len(file) < MAX_UPLOAD_BYTES
    found = np.asarray(Image.open(io.BytesIO(file)))
    assert (found // 16 == noise // 16).all()


@pytest.mark.parametrize("size", [(20, 700), (14_400, 30), (5, 5)])
def test_pages_of_any_size_become_pictures_that_the_service_takes(size: tuple[int, int]) -> None:
    """A ribbon, a banner, a stamp: from 50 to 10,000 pixels a side."""
    writer = pypdf.PdfWriter()
    writer.add_blank_page(*size)
    picture = draw(to_bytes(writer), 1)
    assert 50 <= min(picture.size) <= max(picture.size) <= 10_000


def test_what_cannot_be_drawn_has_no_hash_by_its_looks(tmp_path: Path) -> None:
    """Pypdf alone draws nothing: its page is refused, not sent."""
    task = RenderTask((1,), extractor="pypdf", draw=True)
    with pytest.raises(DocumentError, match="page 1 cannot be rendered"):
        render(task, io.BytesIO(pdf("text")), ignore_progress)


def test_a_document_without_pictures_loads_no_picture_writer() -> None:
    """Ordinary documents cost what they did."""
    # PIL itself is no sign: pypdf imports it where it is installed.
    code = (
        "import io, sys; from ingest.extract.document import ExtractOptions, extract\n"
        "from ingest.pipeline.reader.page_images import encode_png\n"
        "import ingest.commands.inspect.child\n"
        f"extract(open({str(ROOT / 'data/handbook.pdf')!r}, 'rb').read(), ExtractOptions())\n"
        "print('PIL.ImageFile' in sys.modules)\n"
        "import numpy; encode_png(numpy.zeros((9, 9), numpy.uint8))\n"
        "print('PIL.ImageFile' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "True"]
