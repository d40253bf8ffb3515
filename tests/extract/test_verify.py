"""The text of a page against what the page shows."""

from __future__ import annotations

import string
from collections.abc import Sequence

import numpy as np
import pytest

from ingest.config.reader import verify_share
from ingest.config.settings import build_settings
from ingest.errors import ConfigError
from ingest.extract.document import ExtractOptions, extract
from ingest.extract.ocr import local
from ingest.extract.verify import MIN_AGREEMENT, TextVerifier
from ingest.models import GreyImage, OcrResult
from tests.pdfs import draw_text, objects_pdf, pdf, prose, stream

LINES = prose("lathes", 40).split("\n")


class Images:
    """The lines of a page, whose images hold their indexes."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = list(lines)

    def draw(self, numbers: Sequence[int]) -> list[GreyImage]:
        return [np.full((1, 1), number, np.uint8) for number in numbers]


def verifier(share: float, confidence: float = 1.0, read: str = "") -> TextVerifier:
    """A check whose OCR reads the lines as they are, or always the same."""
    return TextVerifier(share, lambda image: OcrResult(read or LINES[int(image[0, 0])], confidence))


def test_a_page_that_shows_its_text_agrees() -> None:
    """Other line ends, accents and capitals are no difference."""
    check = verifier(0.2)

    assert check.check(3, " ".join(LINES).upper(), Images(LINES)) == 1.0
    assert check.agreement == {3: 1.0}


def test_a_page_that_shows_another_text_does_not() -> None:
    """A number a page says how far it can be trusted."""
    shifted = str.maketrans(string.ascii_letters, string.ascii_letters[1:] + "a")

    agreement = verifier(0.2).check(1, " ".join(LINES).translate(shifted), Images(LINES))

    assert agreement < MIN_AGREEMENT


def test_as_many_lines_are_checked_as_asked_for() -> None:
    """The first page is checked at once; then the share of all lines holds."""
    read: list[int] = []

    def recognise(image: GreyImage) -> OcrResult:
        read.append(int(image[0, 0]))
        return OcrResult(LINES[read[-1]], 1.0)

    check = TextVerifier(0.05, recognise)
    for page in range(1, 11):
        check.check(page, " ".join(LINES), Images(LINES))

    assert len(read) == 1 + 10 * len(LINES) * 0.05


@pytest.mark.parametrize(
    ("lines", "confidence"),
    [
        pytest.param(["1,204.50 88.00", "Total"] * 9, 1.0, id="numbers and short lines"),
        pytest.param(["Арендатор должен уведомить за три месяца"] * 9, 1.0, id="an unknown script"),
        pytest.param(LINES, 0.5, id="an image that cannot be read"),
    ],
)
def test_what_local_ocr_cannot_judge_has_no_number(lines: list[str], confidence: float) -> None:
    """Scripts that the local OCR cannot read get no measure of agreement."""
    check = verifier(1.0, confidence)

    assert check.check(1, "another text", Images(lines)) == 1.0
    assert check.agreement == {}


def map_letters(text: str) -> bytes:
    """A page whose font tells other letters than it shows: m to z are moved on by one."""
    letters = "mnopqrstuvwxyz"
    entries = " ".join(
        f"<{ord(one):02x}> <{ord(other):04x}>"
        for one, other in zip(letters, letters[1:] + letters[0], strict=True)
    )
    table = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def "
        "/CMapType 2 def 1 begincodespacerange <00> <ff> endcodespacerange "
        f"{len(letters)} beginbfchar {entries} endbfchar endcmap "
        "CMapName currentdict /CMap defineresource pop end end"
    )
    lines = "".join(draw_text(line, 740 - 16 * n) for n, line in enumerate(text.split("\n")))
    return objects_pdf(
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding "
        "/ToUnicode 6 0 R >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 5 0 R "
        "/Resources << /Font << /F1 3 0 R >> >> >>",
        stream(lines),
        stream(table),
    )


@pytest.mark.parametrize(("data", "agrees"), [
    pytest.param(pdf(prose("lathes")), True, id="right"),
    pytest.param(map_letters(prose("lathes", 12)), False, id="wrong"),
])  # fmt: skip
def test_the_local_ocr_compares_the_lines_of_a_page(data: bytes, agrees: bool) -> None:
    """A font that lies about a few letters is found, though its text looks like a language."""
    options = ExtractOptions(verify_share=0.1, recognise_line=local.recognise_line)

    details = extract(data, options).details

    assert details.verified == (1,) or details.doubtful == (1,)
    assert (details.doubtful == ()) == agrees
    assert all((one >= MIN_AGREEMENT) == agrees for one in details.agreement)


def test_the_check_needs_an_engine_that_renders() -> None:
    """With pypdf, the setting is refused at the start."""
    settings = build_settings({"INGEST_VERIFY_TEXT": "0.02", "INGEST_EXTRACTOR": "pypdf"}, {})

    with pytest.raises(ConfigError, match="INGEST_VERIFY_TEXT needs auto or pdfium"):
        verify_share(settings)
