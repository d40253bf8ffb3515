"""Sources of an index, looked at again: what the file says now beside what the index has."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pypdf
import pytest

from ingest.commands.inspect.view import InspectedSource
from ingest.commands.inspect.viewer import IndexAccess, inspect_sources
from ingest.config.connections import create_connections
from ingest.config.settings import build_settings
from ingest.errors import ConfigError
from ingest.models import Recipe, StoredChunk
from tests.conftest import Bench
from tests.emulator.emulator import Azure
from tests.emulator.identity import COGNITIVE_USER
from tests.extract.ocr.test_document_intelligence_runs import client
from tests.pdfs import pdf, prose, to_bytes, write
from tests.pipeline.reader.test_attachments import portfolio
from tests.runs import open_run, run
from tests.scans import write as write_scan


def inspect_index(
    bench: Bench, names: Sequence[str] = (), recipe: Recipe | None = None, **more: str
) -> dict[str, InspectedSource]:
    """The inspected sources by name."""
    chosen = build_settings(more, {})
    access = IndexAccess(chosen, create_connections(chosen), bench.index, recipe or bench.recipe)
    found = inspect_sources(list(bench.index.records()), names, access)
    return {one.record.source: one for one in found}


def make_slow_pdf(*pages: str) -> bytes:
    """A PDF whose second page says its text at once and takes half a minute to be drawn."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf(*pages)))
    content: Any = writer.pages[1]["/Contents"].get_object()
    fills = b"0 0 m 595 842 l 0 842 l 595 0 l 300 842 l f* " * 20_000
    content._data = content._data + b"\n" + fills
    return to_bytes(writer)


def test_a_file_is_shown_beside_what_the_index_has_of_it(bench: Bench) -> None:
    """The same, edited since, gone, damaged, inside another: each says what is the matter."""
    write(bench.folder / "same.pdf", prose("sameness"), prose("likeness"))
    write(bench.folder / "edited.pdf", prose("before"), prose("between"))
    write(bench.folder / "gone.pdf", prose("absence"))
    (bench.folder / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing more")
    portfolio(bench.folder / "holder.pdf", inner=pdf(prose("the inside")))
    bench.run()
    write(bench.folder / "edited.pdf", prose("after"), prose("between"), age=50)
    (bench.folder / "gone.pdf").unlink()

    found = inspect_index(bench)

    same, edited = found["same.pdf"], found["edited.pdf"]
    assert (same.error, same.difference, same.unindexed_count, same.index_only_count) == (
        "",
        "",
        0,
        0,
    )
    assert same.view
    assert [sheet.number for sheet in same.view.pages if sheet.image] == [1, 2]
    assert {p.id for p in same.view.chunks} == {c.id for c in list_chunks(bench, "same.pdf")}

    assert "has changed since it was indexed" in edited.difference
    assert edited.view
    assert edited.unindexed_count == sum(not passage.indexed for passage in edited.view.chunks) > 0
    assert edited.index_only_count == len(edited.index_only) > 0
    assert any("says of before" in chunk.text for chunk in edited.index_only)

    assert "no longer in its root" in found["gone.pdf"].error
    assert "damaged" in found["broken.pdf"].error
    inner = found["holder.pdf//inner.pdf"]
    assert inner.view
    assert "the inside" in inner.view.pages[0].segments[0].text
    assert not inner.difference
    assert len({one.anchor for one in found.values()}) == len(found)


def list_chunks(bench: Bench, name: str) -> list[StoredChunk]:
    (record,) = (r for r in bench.index.records() if r.source == name)
    return list(bench.index.chunks(record.root, name))


def test_a_page_that_cannot_be_drawn_keeps_its_text_and_the_others(bench: Bench) -> None:
    """One hostile page costs pictures and never the report."""
    path = write(bench.folder / "slow.pdf", "a")
    path.write_bytes(make_slow_pdf("First page.", "Second page.", "Third page."))
    bench.run()

    one = inspect_index(bench, ["slow.pdf"], INGEST_PAGE_SECONDS="2")["slow.pdf"]

    assert one.view
    first, second, third = one.view.pages
    assert first.image
    assert "page 2 took over 2 s" in second.image_error
    assert "page 2" in third.image_error
    assert [sheet.segments[0].text for sheet in one.view.pages] == [
        "First page.",
        "Second page.",
        "Third page.",
    ]


def test_other_settings_than_those_of_the_index_are_named_as_the_cause(bench: Bench) -> None:
    """Chunks of another size are no edit of the file."""
    write(bench.folder / "a.pdf", prose("size"))
    bench.run()
    other = Recipe("auto", 32, 0.12, bench.recipe.model, bench.recipe.dimensions)
    assert "other settings" in inspect_index(bench, ["a.pdf"], other)["a.pdf"].difference


def test_sources_are_named_by_globs_and_by_pages(bench: Bench) -> None:
    """A name as a search shows it, with its page, begins there; one that is nothing is an error."""
    write(bench.folder / "in" / "a.pdf", *(f"Page {n} of it." for n in range(1, 6)))
    write(bench.folder / "b.pdf", "Alone.")
    bench.run()

    found = inspect_index(bench, ["in/*#page=4", "b.pdf"])

    assert list(found) == ["in/a.pdf", "b.pdf"]
    assert list(inspect_index(bench, ["a.pdf#page=4"])) == ["in/a.pdf"]
    seen = found["in/a.pdf"].view
    assert seen
    assert [sheet.number for sheet in seen.pages] == [4, 5]
    with pytest.raises(ConfigError, match=r"c\.pdf: no source has this name"):
        inspect_index(bench, ["b.pdf", "c.pdf"])


def test_a_root_that_is_gone_is_the_matter_of_its_sources_alone(
    bench: Bench, tmp_path: Path
) -> None:
    """A folder that is not mounted today takes no other with it."""
    write(bench.folder / "a.pdf", "Here.")
    bench.run()
    bench.folder.rename(tmp_path / "elsewhere")
    (one,) = inspect_index(bench).values()
    assert "no such folder" in one.error


def test_looking_at_scans_pays_for_nothing(azure: Azure, folder: Path) -> None:
    """Recognised text and its confidence come from the index."""
    azure.identity.default.grant(COGNITIVE_USER)
    write_scan(folder / "a.pdf", "= Typed.", "The heron stands in the reeds.")
    chosen = client(azure)
    run(folder, chosen)
    asked = azure.count("ocr")
    azure.search.settle()

    with open_run(chosen, write=False) as all_:
        access = IndexAccess(chosen, create_connections(chosen), all_.index, all_.recipe)
        (one,) = inspect_sources(list(all_.index.records()), [], access)

    assert azure.count("ocr") == asked
    assert not one.difference
    assert one.view
    typed, scan = one.view.pages
    assert (typed.confidence, typed.scanned) == (None, False)
    assert scan.scanned
    assert scan.confidence
    assert "heron" in scan.segments[0].text
    assert scan.image
