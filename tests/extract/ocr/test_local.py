"""Scans read on this machine: the real models, real pictures, no network."""

from __future__ import annotations

import io
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import fontpkg
import numpy as np
import pypdf
import pytest
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from ingest.config.reader import ocr_engine_name
from ingest.config.settings import build_settings
from ingest.errors import ConfigError, DocumentError
from ingest.extract.document import ExtractOptions, extract
from ingest.extract.engines.pdfium import Pdfium
from ingest.extract.ocr import local
from ingest.extract.pdf import MIN_CONFIDENCE
from ingest.extract.sandbox.pool import SandboxLimits, SandboxPool
from ingest.models import Code, Document, GreyImage, OcrResult, Recipe, Source
from ingest.pipeline.reader.prepare import Task, prepare
from tests.conftest import ROOT, environment
from tests.fork_readers import real_readers
from tests.pdfs import pdf, to_bytes

DATA = ROOT / "data"
READS = ExtractOptions(ocr=local.ENGINE_NAME, recognise=local.recognise)
WIDTH, HEIGHT = 1654, 2339  # A4 at 200 dpi


def render(path: Path, index: int = 0) -> GreyImage:
    """A page of a PDF as recognition gets it."""
    return Pdfium(path.read_bytes(), ()).render(index)


def note() -> GreyImage:
    """The head of a delivery note: to read a whole page takes two seconds."""
    return render(DATA / "scans/delivery-note.pdf")[:500]


def draw_scans(*pictures: GreyImage, hidden: str = "") -> bytes:
    """A PDF whose pages are images, with an invisible text layer."""
    file = io.BytesIO()
    canvas = Canvas(file, invariant=1)
    for picture in pictures:
        rows, columns = picture.shape
        size = columns * A4[0] / WIDTH, rows * A4[0] / WIDTH  # at 200 dpi
        canvas.setPageSize(size)
        canvas.drawImage(ImageReader(Image.fromarray(picture)), 0, 0, *size)
        if hidden:
            place = canvas.beginText(20, 20)
            place.setTextRenderMode(3)
            place.textLine(hidden)
            canvas.drawText(place)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def join(*parts: bytes) -> bytes:
    """One PDF with the pages of several."""
    writer = pypdf.PdfWriter()
    for part in parts:
        writer.append(io.BytesIO(part))
    return to_bytes(writer)


def white(height: int = HEIGHT, width: int = WIDTH) -> GreyImage:
    return np.full((height, width), 255, np.uint8)


@pytest.fixture(scope="module")
def form() -> Document:
    """Two tables of a form that was laid in askew, and the stamp on its second page."""
    path = DATA / "scans/acceptance-form.pdf"
    return extract(draw_scans(render(path)[400:1500], render(path, 1)[1700:2050]), READS)


def test_a_form_is_read_row_by_row(form: Document) -> None:
    """What was filled in stands beside what was asked, on a page that lies askew."""
    first, second = form.pages

    assert "Customer Canal Trust of Upper Winnow\nSite Lock 14, downstream gate" in first
    assert "10:30 2.30 m 2.299 m 1 mm" in first
    assert "ACCEPTED 22 MAY" in second


def test_what_was_recognised_says_so(form: Document) -> None:
    """I can see which pages were pictures, what read them, and how sure it was."""
    assert form.details.scanned == (1, 2)
    assert form.details.ocr == local.ENGINE_NAME
    assert form.details.doubtful == ()
    assert all(MIN_CONFIDENCE < confidence <= 1 for confidence in form.confidence.values())


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_letter_is_read_whichever_way_it_lies(turns: int) -> None:
    """German, on a page that was scanned on its side or upside down."""
    page = local.recognise(np.rot90(render(DATA / "scans/letter.pdf")[:760], turns))

    assert "Larkfield Instruments, Werk Brackenau, Fertigungsstraße 9, Brackenau" in page.text
    assert "falsche Messwerte seit der Überschwemmung" in page.text
    assert page.text.index("Brackenau") < page.text.index("Sehr geehrte Damen und Herren")
    assert page.confidence > 0.9


def test_japanese_is_read() -> None:
    """No setting says which language a page is in."""
    page = local.recognise(render(DATA / "languages/安全ガイド.pdf")[:400])

    assert (
        "事業所の仕事の大半は現場での設置と点検であり、川、橋、井戸のまわりで行われます。"
        in page.text
    )


def test_two_columns_are_read_one_after_the_other() -> None:
    """The lower part of a paper's page: what the text layer says, in its order."""
    page = local.recognise(render(DATA / "papers/two-column.pdf", 1)[300:800]).text
    known = extract((DATA / "papers/two-column.pdf").read_bytes(), ExtractOptions()).pages[1]

    lines = [line for line in page.splitlines() if len(line) > 30]
    places = [known.find(line[:25]) for line in lines]
    assert len(lines) >= 12
    assert sum(a > b for a, b in pairwise(places)) <= 1  # one at most is misread, or out of order


def test_a_script_that_is_not_read_gives_no_text_and_no_confidence() -> None:
    """Arabic is listed as doubtful, not indexed as gibberish."""
    page = local.recognise(render(DATA / "languages/دليل-السلامة.pdf")[:500])

    assert len(page.text) < 20
    assert page.confidence < MIN_CONFIDENCE / 2


def test_what_the_models_skip_with_confidence_is_not_taken_for_read() -> None:
    """Of Russian they see next to nothing, and are sure of it."""
    image = Image.fromarray(white(400))
    font = ImageFont.truetype(str(fontpkg.path("Fira Sans", weight=400, style="normal")), 36)
    for row, text in enumerate(["Все люди рождаются свободными", "и равными в своём достоинстве."]):
        ImageDraw.Draw(image).text((150, 100 + 60 * row), text, font=font, fill=0)

    assert local.recognise(np.asarray(image)) == OcrResult("", 0.0)


@pytest.mark.parametrize(
    "picture",
    [
        white(HEIGHT // 4),
        np.zeros((HEIGHT // 4, WIDTH), np.uint8),
        np.random.default_rng(1).integers(0, 255, (HEIGHT // 4, WIDTH)).astype(np.uint8),
        np.kron(np.indices((10, 40)).sum(0) % 2 * 255, np.ones((40, 40))).astype(np.uint8),
        white(1, 16_000_000),
        white(3, 3),
    ],
    ids=["white", "black", "noise", "checks", "thin", "tiny"],
)
def test_a_picture_without_text_has_none(picture: GreyImage) -> None:
    """An empty back, a black page, a picture made to hurt: no text, and that is sure."""
    assert local.recognise(picture) == OcrResult("", 1.0)


def test_only_the_pages_without_readable_text_are_recognised() -> None:
    """A contract whose signed page was scanned: the other pages keep the text they have."""
    seen = []

    def recognise(picture: GreyImage) -> OcrResult:
        seen.append(picture.shape)
        return local.recognise(picture)

    data = join(pdf("the first page"), draw_scans(note(), white(300, 200)), pdf("the last page"))
    document = extract(data, ExtractOptions(ocr=local.ENGINE_NAME, recognise=recognise))

    assert len(seen) == 2
    assert document.details.scanned == (2, 3)
    assert document.pages[0] == "the first page"
    assert "Order: PM-3307. Carrier: own van" in document.pages[1]
    assert document.pages[2:] == ("", "the last page")
    assert document.confidence.keys() == {2, 3}
    assert document.details.doubtful == ()


def test_a_garbage_text_layer_gives_way_to_what_is_seen() -> None:
    """An old scanner's text layer of glyph names is not what I find the page by."""
    garbage = " ".join(["/g12/g34/g56/g78"] * 20)
    data = draw_scans(note(), hidden=garbage)

    (page,) = extract(data, READS).pages

    assert "Delivery Note 20418" in page
    assert "/g12" not in page


def test_a_failure_on_one_page_is_a_doubtful_page() -> None:
    """Whatever the engine does on a page, the document keeps its others."""

    def failing(picture: GreyImage) -> OcrResult:
        return local.recognise(picture[:0])  # the engine raises on what has no height

    means = ExtractOptions(ocr=local.ENGINE_NAME, recognise=failing)
    document = extract(join(pdf("the first page"), draw_scans(white(300, 200))), means)

    assert document.pages == ("the first page", "")
    assert document.details.doubtful == (2,)


def test_a_limit_that_cannot_be_kept_is_refused() -> None:
    """Every scan would fail: I am told before the first one."""
    with pytest.raises(ConfigError, match="DOCUMENT_MEGABYTES=512: the local OCR needs 1600"):
        ocr_engine_name(
            build_settings({"INGEST_OCR": "local", "INGEST_DOCUMENT_MEGABYTES": "512"}, {})
        )


def test_ocr_needs_an_engine_that_draws() -> None:
    """Every scan would be doubtful: I am told before the first one."""
    with pytest.raises(ConfigError, match="pypdf cannot render pages"):
        ocr_engine_name(build_settings({"INGEST_OCR": "local", "INGEST_EXTRACTOR": "pypdf"}, {}))


def test_a_page_that_cannot_be_drawn_is_a_doubtful_page() -> None:
    """A document that crashed the engine which draws is read by the other, without its scans."""
    data = join(pdf("the first page"), draw_scans(white(300, 200)))
    document = extract(
        data, ExtractOptions("pypdf", ocr=local.ENGINE_NAME, recognise=local.recognise)
    )

    assert document.pages == ("the first page", "")
    assert document.details.doubtful == (2,)


def test_too_little_memory_is_named() -> None:
    """With a low limit the document fails and I am told which setting allows more."""
    path = DATA / "scans/delivery-note.pdf"
    source = Source(str(path.parent), path.name, str(path), 1, "1")
    task = Task(source, "", Recipe("auto", 512, 0.12, "none", 8), "auto", ocr=local.ENGINE_NAME)
    child = SandboxPool(prepare, SandboxLimits(60, 700))
    try:
        with (
            real_readers(),  # a forked one starts larger
            path.open("rb") as file,
            pytest.raises(DocumentError) as caught,
        ):
            child(task, file)
    finally:
        child.close()
    assert caught.value.code == Code.TOO_MUCH_MEMORY
    assert "INGEST_DOCUMENT_MEGABYTES" in str(caught.value)


@pytest.mark.parametrize("missing", ["rapidocr", "cv2", "onnxruntime"])
def test_a_missing_package_is_named_before_any_work(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I read what to install, not a traceback in the middle of a run."""
    monkeypatch.setitem(sys.modules, missing, None)

    with pytest.raises(ConfigError, match=rf"{missing} is missing.*pip install '\.\[ocr\]'"):
        ocr_engine_name(build_settings({"INGEST_OCR": "local"}, {}))


def test_it_is_off_until_it_is_asked_for() -> None:
    """OCR is off by default."""
    assert ocr_engine_name(build_settings({}, {})) == ""
    assert ocr_engine_name(build_settings({"INGEST_OCR": "local"}, {})) == local.ENGINE_NAME


@pytest.mark.parametrize("value", ["remote", "http://ocr.example", "https://a.example, local"])
def test_a_setting_that_cannot_be_meant_is_refused(value: str) -> None:
    """A misspelt OCR engine is an error."""
    with pytest.raises(ConfigError, match=r"INGEST_OCR=.*: expected local, or an endpoint"):
        build_settings({"INGEST_OCR": value}, {})


WATCHED = """
import sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen"):
        raise SystemExit(f"{event} {arguments}")
    if event == "open" and arguments[1] and set(arguments[1]) & set("wax+"):
        raise SystemExit(f"writes {arguments}")
sys.dont_write_bytecode = True
sys.addaudithook(watch)
sys.path.insert(0, sys.argv[1])
from ingest.extract.engines.pdfium import Pdfium
from ingest.extract.ocr.local import recognise
print(recognise(Pdfium(open(sys.argv[2], "rb").read(), ()).render(0)[:500]).text)
"""


def test_nothing_is_fetched_sent_or_left_behind(tmp_path: Path) -> None:
    """The models come with the package; my home stays empty, also of what runs them."""
    path = DATA / "scans/delivery-note.pdf"
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, ROOT, path],
        env=environment() | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Harbour Authority of Port Merrow" in done.stdout
    assert done.stderr == ""
    assert list(tmp_path.rglob("*")) == []


def test_what_meets_no_scan_does_not_load_the_engine() -> None:
    """Ordinary documents cost what they did, whether OCR is on or not."""
    code = (
        "import sys; from ingest.extract.document import ExtractOptions, extract\n"
        "from ingest.extract.ocr import local\n"
        "options = ExtractOptions(ocr=local.ENGINE_NAME, recognise=local.recognise)\n"
        f"extract(open({str(DATA / 'handbook.pdf')!r}, 'rb').read(), options)\n"
        "print(sorted({'cv2', 'onnxruntime', 'rapidocr'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
