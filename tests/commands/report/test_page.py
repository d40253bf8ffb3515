"""The page of a report, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ingest.commands.report.page import render_report as rendered
from ingest.models import Outcome
from tests.browser import Judges, open_file
from tests.commands.report.reports import (
    make_chunk,
    make_damaged,
    make_large_report,
    make_record,
    make_report,
    make_run,
    write_report,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

SOURCES = 10_000
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of an index with 10,000 sources."""
    return write_report(make_large_report(SOURCES), tmp_path_factory.mktemp("large"))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_report(make_large_report(40), tmp_path)


@pytest.fixture
def page(chromium: Browser, large: Path) -> Iterator[Page]:
    """The large page, open; at the end it must have nothing to complain of."""
    with open_file(chromium, large) as found:
        yield found.page
        assert found.complaints == []


def list_names(page: Page) -> list[str]:
    """The names in the list, as they stand there."""
    return page.locator("#list tbody bdi").all_inner_texts()


def test_the_page_asks_nobody_for_anything_and_says_what_there_is(page: Page) -> None:
    """I open it on a train: it is all there, and nothing is broken or asked for."""
    assert page.title() == ".ingest · ingest report"
    assert "8,500 of 10,000 sources are in the index; 500 need attention" in page.inner_text(
        "header"
    )
    assert page.inner_text("#found") == "10,000 sources, 1 to 100 shown"
    assert len(list_names(page)) == 100
    assert page.locator("svg.chart").count() == 7


def test_words_outcomes_and_codes_narrow_the_list(page: Page) -> None:
    """I look for what I remember of a name, for what failed, and for why."""
    page.fill("#words", "SHELF 3/ 021")
    assert page.inner_text("#found").endswith("of 10,000 sources")
    assert list_names(page)
    assert all(re.match(r"shelf 3/.*021", name) for name in list_names(page))

    page.fill("#words", "")
    page.click("#states >> text=failed")
    assert page.inner_text("#found") == "500 of 10,000 sources, 1 to 100 shown"
    assert page.get_attribute("#states >> text=failed", "aria-pressed") == "true"
    page.select_option("#code", "no-text")
    assert page.inner_text("#found") == "0 of 10,000 sources"
    page.click("#states >> text=all")
    assert page.inner_text("#found") == "1,000 of 10,000 sources, 1 to 100 shown"


def test_the_list_is_sorted_and_turned_by_keyboard(page: Page) -> None:
    """I never touch the mouse: sorting, its direction and the pages are all reached by Tab."""
    page.focus("#words")
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement.textContent") != "Tokens":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.get_attribute("#list th:nth-child(5)", "aria-sort") == "descending"
    assert list_names(page)[0].endswith("09999.pdf")
    page.keyboard.press("Space")
    assert page.get_attribute("#list th:nth-child(5)", "aria-sort") == "ascending"
    assert list_names(page)[0].endswith("00000.pdf")

    first = list_names(page)
    page.focus("#later")
    page.keyboard.press("Enter")
    assert page.inner_text("#found") == "10,000 sources, 101 to 200 shown"
    assert not set(first) & set(list_names(page))
    assert page.is_enabled("#earlier")


def test_a_trouble_leads_to_its_sources(page: Page) -> None:
    """Of 500 damaged files twenty are named; one button lists them all."""
    assert page.locator("#troubles article").first.locator("li").count() == 20
    page.click("text=List all 500")
    assert page.inner_text("#found") == "500 of 10,000 sources, 1 to 100 shown"
    assert page.evaluate("document.activeElement.id") == "sources"


NASTY = (
    "</script><script>window.hacked = 1</script>.pdf",
    '"><img src=x onerror="window.hacked=1">.pdf',
    "<!--<script>.pdf",
    "{{ 7 * 7 }}.pdf",
    "\u202egnp.exe\x00.pdf",
    "دليل-السلامة.pdf",
)


def test_hostile_names_are_names(chromium: Browser, tmp_path: Path) -> None:
    """A file may be called anything: the page shows it, and nothing of it is run or hidden."""
    records = [make_damaged(name, f"reason {name}") for name in NASTY]
    made = make_report(
        *records,
        *(make_record(f"a/{name}") for name in NASTY),
        chunks=tuple(make_chunk(f"{n}{name}", name) for name in NASTY for n in "ab"),
        index=f".ingest {NASTY[0]}",
        run=make_run(NASTY[0]),
        runs=(make_run(NASTY[1]), make_run(NASTY[0], 23)),
    )
    with open_file(chromium, write_report(made, tmp_path)) as found:
        visible = [*NASTY[:4], r"\u202egnp.exe\x00.pdf", NASTY[5]]
        assert list_names(found.page)[: len(NASTY)] == visible
        assert found.page.evaluate("window.hacked") is None
        assert found.page.locator("img, script").count() == 2
        duplicates = found.page.inner_text("#duplicates")
        assert all(name in duplicates for name in visible)
        assert found.complaints == []


def test_what_is_not_the_pages_own_does_not_run(chromium: Browser, small: Path) -> None:
    """Even if something slipped in, the browser would neither run it nor call home."""
    with open_file(chromium, small) as found:
        found.page.evaluate(
            """() => {
                const script = document.createElement("script");
                script.textContent = "window.hacked = 1";
                const picture = document.createElement("img");
                picture.src = "https://127.0.0.1:9/told";
                document.body.append(script, picture);
            }"""
        )
        found.page.wait_for_function("true")
        assert found.page.evaluate("window.hacked") is None
        refused = [text for text in found.complaints if "Content Security Policy" in text]
        assert len(refused) == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_light_or_dark_as_the_screen_is(chromium: Browser, small: Path, scheme: str) -> None:
    """At night it does not blind me."""
    with open_file(chromium, small, color_scheme=scheme) as found:
        colour = found.page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", colour)[:3])) / 3
    assert (brightness > 200) == (scheme == "light")


@pytest.mark.judged
@pytest.mark.parametrize(
    ("scheme", "viewport"),
    [("light", PHONE), ("dark", {"width": 1280, "height": 900})],  # contrast, and order
    ids=["phone", "desk"],
)
def test_nobody_is_kept_out(
    chromium: Browser, judges: Judges, small: Path, scheme: str, viewport: dict[str, int]
) -> None:
    """Names, roles, order and contrast suit screen readers and weak eyes."""
    with open_file(chromium, small, color_scheme=scheme, viewport=viewport) as found:
        found.page.click("summary")
        assert judges.barriers(found.page) == []
        assert found.page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


@pytest.mark.judged
def test_the_page_is_valid(judges: Judges, small: Path, tmp_path: Path) -> None:
    """Whatever reads HTML reads it, an empty index's too."""
    assert judges.invalid(small) == ""
    none = tmp_path / "none.html"
    none.write_text(rendered(make_report(runs=(), run=None)), encoding="utf-8")
    assert judges.invalid(none) == ""


def test_without_scripts_all_but_the_list_is_there(chromium: Browser, small: Path) -> None:
    """My mail program runs none: totals, troubles and charts are there, and no dead button."""
    with open_file(chromium, small, java_script_enabled=False) as found:
        text = found.page.inner_text("body")
        assert "34 of 40 sources are in the index" in text
        assert "shelf 0/00000.pdf" in text
        assert "needs JavaScript" in text
        assert found.page.locator("button:visible, input:visible").count() == 0


def test_it_prints(chromium: Browser, small: Path, tmp_path: Path) -> None:
    """A printed report has the problems and the list, without buttons."""
    with open_file(chromium, small, color_scheme="dark") as found:
        found.page.pdf(path=tmp_path / "report.pdf", format="A4", print_background=True)
    import pypdfium2

    document = pypdfium2.PdfDocument(tmp_path / "report.pdf")
    text = "\n".join(page.get_textpage().get_text_range() for page in document)
    corner = document[0].render().to_numpy()[0, 0]
    assert "Get a new copy from its origin." in text
    assert "shelf 4/00039.pdf" in text
    assert "Next" not in text
    assert "Name, reason or code" not in text
    assert min(corner) == 255


def test_an_index_without_anything_is_a_page_too(chromium: Browser, tmp_path: Path) -> None:
    """Before the first run, the page says how to fill the index."""
    with open_file(chromium, write_report(make_report(runs=(), run=None), tmp_path)) as found:
        assert "Nothing yet: ingest run fills it." in found.page.inner_text("header")
        assert found.page.inner_text("#found") == "0 sources"
        assert found.complaints == []


def test_sources_of_several_roots_are_told_apart(chromium: Browser, tmp_path: Path) -> None:
    """Both folders have a readme.pdf: I see which one is damaged, wherever it is named."""
    made = make_report(make_damaged("readme.pdf"), make_record("readme.pdf", root="/srv/other"))
    with open_file(chromium, write_report(made, tmp_path)) as found:
        assert "/srv/documents" in found.page.inner_text("#troubles")
        assert found.page.locator("#list tbody small").all_inner_texts() == [
            "/srv/documents",
            "damaged; get a new copy from its origin [damaged]",
            "/srv/other",
        ]


def test_a_run_shows_what_it_settled(chromium: Browser, tmp_path: Path) -> None:
    """Of one run I see new and changed apart, and no totals of the index."""
    records = (
        make_record("a.pdf"),
        make_record("b.pdf", outcome=Outcome.CHANGED),
        make_damaged("c.pdf"),
    )
    made = make_report(*records, is_single_run=True, duplicates=None)
    with open_file(chromium, write_report(made, tmp_path)) as found:
        page = found.page
        assert "2 of 3 sources settled in this run are in the index" in page.inner_text("header")
        assert page.locator("#states button").all_inner_texts() == [
            "all 3",
            "needs attention 1",
            "new 1",
            "changed 1",
            "failed 1",
        ]
        assert page.locator("#duplicates").count() == 0
