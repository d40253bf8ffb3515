"""Sources that a report shows page by page, and what it shows of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ingest.commands.inspect.view import (
    MAX_DEFAULT_PAGES,
    MAX_DEFAULT_SOURCES,
    MAX_NAMED_PAGES,
    MAX_NAMED_SOURCES,
    ChunkView,
    DocumentView,
    InspectedSource,
    PageView,
    choose_sources,
    compare_with_index,
)
from ingest.models import Code, Details, Record, StoredChunk


def make_record(name: str, pages: int = 1, outcome: str = "new", **more: object) -> Record:
    """A record of a source, by a recipe called "r"."""
    return Record("/docs", name, "r123", pages=pages, outcome=outcome, **more)  # type: ignore[arg-type]


def choose_names(records: list[Record], *wanted: str) -> list[str]:
    return [choice.record.source for choice in choose_sources(records, wanted)]


def test_what_is_in_trouble_comes_first_then_what_is_long() -> None:
    """Without names, the report inspects documents with problems, then the longest ones."""
    records = [
        make_record("a.pdf", 3),
        make_record("long.pdf", 90),
        make_record("failed.pdf", 0, "failed", code=Code.DAMAGED),
        make_record("doubtful.pdf", 2, details=Details(doubtful=(2,), ocr="azure-read")),
    ]
    assert choose_names(records) == ["doubtful.pdf", "failed.pdf", "long.pdf", "a.pdf"]


def test_nobody_waits_for_what_was_not_named() -> None:
    """Huge documents, those that crash a reader and scans are inspected by name only."""
    records = [
        make_record("book.pdf", 1000),
        make_record("hangs.pdf", 0, "failed", code=Code.TOO_SLOW),
        make_record("scanned.pdf", 3, details=Details(scanned=(1, 2, 3), ocr="local:x")),
        *(make_record(f"{n:02}.pdf", 3) for n in range(40)),
    ]
    found = choose_sources(records, [])
    assert [choice.record.source for choice in found] == [
        f"{n:02}.pdf" for n in range(MAX_DEFAULT_SOURCES)
    ]
    assert (
        max(len(choice.pages) for choice in choose_sources([make_record("a.pdf", 90)], []))
        == MAX_DEFAULT_PAGES
    )
    for name in ("book.pdf", "hangs.pdf", "scanned.pdf"):
        assert choose_names(records, name) == [name]


def test_what_is_named_is_shown_up_to_what_a_page_can_hold() -> None:
    """However many pages are asked for, the report stays one that opens."""
    records = [make_record(f"{n:03}.pdf", 150) for n in range(200)]
    found = choose_sources(records, ["*"])
    assert sum(len(choice.pages) for choice in found) == MAX_NAMED_PAGES
    assert len(found) == MAX_NAMED_SOURCES
    assert choose_sources(records, ["003.pdf#page=140"])[0].pages == range(140, 151)
    assert [c.record.source for c in choose_sources(records, ["00?.pdf", "001.pdf"])] == [
        f"{n:03}.pdf" for n in range(10)
    ]


def test_a_name_with_brackets_is_itself_before_it_is_a_pattern() -> None:
    """A copy called "a[1].pdf" can be asked for."""
    assert choose_names([make_record("a[1].pdf"), make_record("a1.pdf")], "a[1].pdf") == [
        "a[1].pdf"
    ]
    assert choose_names([make_record("a1.pdf")], "a[1].pdf") == ["a1.pdf"]


def make_view(*ids: str, pages: int = 1) -> DocumentView:
    passages = tuple(ChunkView(name, n, 10, 1, 1, ()) for n, name in enumerate(ids))
    return DocumentView("", pages, (PageView(1, "", ()),), passages)


def test_file_and_index_are_compared_chunk_by_chunk() -> None:
    """What the index lacks, what only it has, and why: each is told from the other."""

    def chunks() -> Iterator[StoredChunk]:
        yield StoredChunk("b", "/docs", "a.pdf", "r123", 1, 1, 1, (), "old words")
        yield StoredChunk("a", "/docs", "a.pdf", "r123", 0, 1, 1, (), "")

    whole = make_record("a.pdf", committed=("a", "b"))
    assert compare_with_index(whole, make_view("a", "b"), "r", chunks) == InspectedSource(
        whole, make_view("a", "b")
    )

    one = compare_with_index(whole, make_view("a", "c"), "r", chunks)
    assert (one.unindexed_count, one.index_only_count) == (1, 1)
    assert [chunk.text for chunk in one.index_only] == ["old words"]
    assert "changed" in one.difference
    assert "other settings" in compare_with_index(whole, make_view("c"), "s", chunks).difference
    read = replace(whole, details=Details(scanned=(1,), ocr="local:x"))
    assert (
        "read by local:x, which is not available"
        in compare_with_index(read, make_view(), "r", chunks).difference
    )
    assert (
        "a run is processing it"
        in compare_with_index(replace(whole, fingerprint=""), make_view(), "r", chunks).difference
    )


def test_the_command_for_the_rest_can_be_copied() -> None:
    """Even where the name is one that a shell would read otherwise."""
    name = "a b; rm -rf $HOME.pdf"
    one = InspectedSource(make_record(name, 3), make_view("a", pages=3))
    assert one.next_command == "ingest report --inspect 'a b; rm -rf $HOME.pdf#page=2'"
    assert InspectedSource(make_record(name), make_view("a")).next_command == ""
