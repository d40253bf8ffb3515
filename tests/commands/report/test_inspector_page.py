"""The inspector in the page of a report, in a real browser."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ingest.commands.inspect.child import InspectImage, InspectText, inspect
from ingest.commands.inspect.view import (
    ChunkView,
    DocumentView,
    FigureView,
    InspectedSource,
    PageImage,
    PageView,
    Segment,
)
from ingest.commands.report.page import render_report as rendered
from ingest.extract.document import ignore_progress
from ingest.models import Recipe, Source, StoredChunk
from ingest.pipeline.reader.prepare import Task
from tests.browser import Judges, open_file
from tests.commands.report.reports import make_record, make_report
from tests.conftest import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

HOSTILE = (
    "</script></details><img src=x onerror=\"console.log('pwned')\">"
    "<b style='color:red'>\u202e\"'.pdf"
)


def inspect_sample(name: str, pages: range) -> InspectedSource:
    """A sample as an index that has all of it would show it."""
    data = (ROOT / "data" / name).read_bytes()
    source = Source("/data", name, name, len(data), "1")
    recipe = Recipe("auto", 256, 0.12, "m", 8)
    file = io.BytesIO(data)
    seen = inspect(
        InspectText(Task(source, "", recipe, "auto"), pages.start, pages.stop - 1),
        file,
        ignore_progress,
    )
    assert isinstance(seen, DocumentView)
    sheets = []
    for sheet in seen.pages:
        texts = tuple(segment.text for segment in sheet.segments)
        drawn = inspect(InspectImage(sheet.number, texts, "auto"), file, ignore_progress)
        assert isinstance(drawn, PageImage)
        sheets.append(replace(sheet, image=drawn))
    return InspectedSource(
        make_record(name, pages=seen.page_count), replace(seen, pages=tuple(sheets))
    )


def make_hostile_source() -> InspectedSource:
    """A source that is markup wherever a stranger could have put some."""
    segments = (Segment(HOSTILE, dropped=True), Segment(HOSTILE, (0,)), Segment(HOSTILE, (0, 1)))
    sheet = PageView(
        1, HOSTILE, segments, 5, 0.41, scanned=True, doubtful=True, image_error=HOSTILE
    )
    passages = tuple(
        ChunkView(f"{n}abcdef", n, 3, 1, 1, (HOSTILE,), HOSTILE, False) for n in (0, 1)
    )
    box, words = (0.1, 0.1, 0.5, 0.5), (HOSTILE,) * 4
    figure = FigureView(1, 0, box, "described", *words, HOSTILE, ("f",), indexed=False)
    gone = StoredChunk("x", "/data", HOSTILE, "", 0, 1, 1, (HOSTILE,), HOSTILE)
    return InspectedSource(
        make_record(HOSTILE, error=HOSTILE, code="damaged"),
        DocumentView(HOSTILE, 9, (sheet,), passages, HOSTILE, running=7, figures=(figure,)),
        HOSTILE,
        "the file has changed",
        (gone,),
        2,
    )


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with three sources to look at."""
    views = [
        inspect_sample("handbook.pdf", range(6, 9)),
        inspect_sample("papers/two-column.pdf", range(1, 2)),
    ]
    views = [
        replace(one, anchor=f"source-{n}")
        for n, one in enumerate([*views, make_hostile_source()], 1)
    ]
    path = tmp_path_factory.mktemp("inspector") / "report.html"
    made = make_report(*(one.record for one in views))
    path.write_text(rendered(made, views), encoding="utf-8")
    return path


@pytest.fixture
def page(chromium: Browser, file: Path) -> Iterator[Page]:
    with open_file(chromium, file, viewport={"width": 1280, "height": 900}) as found:
        yield found.page
        assert found.complaints == []


def find_lit(page: Page, kind: str) -> set[str]:
    """The chunks that are lit up, in the text or on the picture."""
    marked = page.locator(f"#source-1 {kind}.lit")
    return {str(one.get_attribute("data-chunk")) for one in marked.all()}


def test_a_chunk_pointed_at_or_reached_by_tab_lights_up_in_text_and_picture(page: Page) -> None:
    """I see on the page what the chunk is, with the mouse and without one."""
    page.click("#source-1 summary")
    cuts = page.locator("#source-1 .cut")
    first, second = str(cuts.nth(0).get_attribute("data-chunk")), cuts.nth(1)
    cuts.nth(0).hover()
    assert find_lit(page, "rect") == find_lit(page, ".seg") == {first}
    cuts.nth(0).focus()
    page.keyboard.press("Tab")
    chunk = str(second.get_attribute("data-chunk"))
    assert page.evaluate("document.activeElement.dataset.chunk") == chunk
    assert chunk in find_lit(page, ".seg")
    page.keyboard.press("Enter")
    assert second.get_attribute("aria-pressed") == "true"


def test_words_are_found_and_the_chunk_that_has_them_is_named(page: Page) -> None:
    """The viewer names the chunk that has my words, or says that none has."""
    page.click("#source-1 summary")
    words, said = page.locator("#source-1-find"), page.locator("#source-1 output")
    words.fill("small BIRD on  every")
    assert said.inner_text().startswith("1 of 1: Page 7, in chunk ")
    assert page.evaluate("[...CSS.highlights.get('inspector-now')].join()") == "small bird on every"
    words.fill("welcome to larkfield")
    assert "in a dropped line" in step_until(page, "dropped")
    words.fill("zeppelin")
    assert said.inner_text() == "Not in the text of the 3 pages shown."
    words.fill("bird zeppelin")
    assert said.inner_text() == "Not in the text of the 3 pages shown, nor: zeppelin."
    words.fill("every bird small")
    assert said.inner_text().startswith("Not in this order")
    cut = page.locator("#source-1 .cut").nth(2)
    words.fill(str(cut.get_attribute("data-id"))[:12])
    assert said.inner_text() == f"Chunk {int(str(cut.get_attribute('data-chunk'))) + 1}"


def step_until(page: Page, word: str) -> str:
    """Goes from hit to hit by Enter; what is said of the first that is said to be such."""
    said = page.locator("#source-1 output")
    for _ in range(10):
        if word in said.inner_text():
            break
        page.locator("#source-1-find").press("Enter")
    return said.inner_text()


def test_nothing_that_a_document_says_becomes_markup(page: Page) -> None:
    """Names, titles, labels, headings, texts, reasons: all of it is shown as it is written."""
    page.click("#source-3 summary")
    source = page.locator("#source-3")
    assert source.locator("img, script, b[style]").count() == 0
    assert HOSTILE in str(source.locator(".seg").nth(1).text_content())
    assert source.locator("details").count() == 0
    page.fill("#source-3-find", "onerror=")
    assert page.locator("#source-3 output").inner_text().startswith("1 of 3")
    assert "41% sure: doubtful" in source.inner_text()
    assert "7 running headers or footers" in source.inner_text()


def test_a_link_opens_the_source_it_leads_to(page: Page) -> None:
    """From the table of sources to its pages is one step, and so is a link that I was sent."""
    page.click("#list a:has-text('papers/two-column.pdf')")
    assert page.locator("#source-2").evaluate("source => source.open")
    page.evaluate("location.hash = 'source-1-page-7'")
    page.wait_for_function("document.getElementById('source-1').open")
    assert page.locator("#source-1-page-7").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.judged
def test_nothing_keeps_anybody_from_using_it(
    page: Page, judges: Judges, file: Path, scheme: str
) -> None:
    """By keyboard, by ear, in the dark: judged by axe-core, and by a validator of HTML."""
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.click(f"#source-{3 if scheme == 'light' else 1} summary")
    assert judges.barriers(page) == []
    if scheme == "light":
        assert judges.invalid(file) == ""


def test_it_prints_what_is_open_and_fits_a_phone(page: Page) -> None:
    """On paper without its controls; on a phone without scrolling sideways."""
    page.click("#source-1 summary")
    page.emulate_media(media="print")
    assert not page.locator("#source-1 .find").is_visible()
    assert page.locator("#source-1 .sheet").first.is_visible()
    assert not page.locator("#source-2").is_visible()
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
