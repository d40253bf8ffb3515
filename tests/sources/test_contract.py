"""Contract that every kind of root fulfils. A new one is one more parameter of `shelf`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient

from ingest.azure.token_hosts import STORAGE_SCOPE
from ingest.errors import DocumentError
from ingest.models import Code, LeftOut, ListingIssue, Outcome, Source, Unread
from ingest.pipeline.diff import require_sorted
from ingest.sources import check_size, source_url
from ingest.sources.azure_blob.client import BLOB_API_VERSION
from ingest.sources.exclude import exclude_globs
from tests.azurite import Azurite
from tests.conftest import Bench, outcomes_by_source
from tests.emulator.emulator import Azure
from tests.pdfs import pdf, prose
from tests.runs import managed_token
from tests.sources.shelves import NUMBERS, Emulated, InAzurite, OnDisk, Shelf, storage

KINDS = ["folder", "emulated", pytest.param("in_azurite", marks=pytest.mark.azurite)]


@pytest.fixture(params=KINDS)
def shelf(request: pytest.FixtureRequest, folder: Path) -> Shelf:
    if request.param == "folder":
        return OnDisk(folder)
    made: Shelf = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def emulated(azure: Azure) -> Iterator[Shelf]:
    url = f"{azure.blob_endpoint}/docs"
    with closing(storage(url)) as requests:
        yield Emulated(azure, url, requests)


@pytest.fixture
def in_azurite(
    azure: Azure, azurite: Azurite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Shelf]:
    """Azurite checks no more of a token than its form, so the emulator's identity will do."""
    both = tmp_path / "both.pem"
    both.write_text(azure.ca.read_text() + azurite.ca.read_text())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(both))
    name = f"docs{next(NUMBERS)}"
    url = f"{azurite.endpoint}/{name}"
    client = ContainerClient(
        azurite.endpoint,
        name,
        credential=managed_token(STORAGE_SCOPE),
        api_version=BLOB_API_VERSION,
    )
    with client, closing(storage(url)) as requests:
        yield InAzurite(client, url, requests)


NAMES = ["a-b.pdf", "a.PDF", "a/z.pdf", "a0.pdf", "a/b/c.pdf", "B.pdf", "é ü#?%25+&.pdf", "文.pdf"]


def list_sources(shelf: Shelf) -> dict[str, Source]:
    found = require_sorted(shelf.root.list(), lambda item: item.name)
    return {item.name: item for item in found if isinstance(item, Source)}


def read(shelf: Shelf, source: Source) -> bytes:
    with shelf.root.open(source) as file:
        file.seek(0)
        return file.read()


def test_all_pdfs_are_listed_in_the_order_of_their_names(shelf: Shelf) -> None:
    """However deep or spelt; the merge with the records depends on the order."""
    for name in [*NAMES, "\U0001f600.pdf", "\uff5e.pdf", "a.txt", "a/pdf"]:
        shelf.put(name, b"%PDF-")

    assert list(list_sources(shelf)) == sorted([*NAMES, "\U0001f600.pdf", "\uff5e.pdf"])


def test_what_is_read_is_what_was_listed(shelf: Shelf) -> None:
    """Every byte, of the right file, whatever its name and size."""
    texts = {name: name.encode() * 40_000 * number for number, name in enumerate(NAMES)}
    for name, text in texts.items():
        shelf.put(name, text)

    for name, source in list_sources(shelf).items():
        assert source.size == len(texts[name])
        assert read(shelf, source) == texts[name]


def test_equal_means_unchanged_and_only_that(shelf: Shelf) -> None:
    """Size and mark of change spare the reading; a change of either is seen."""
    shelf.put("a.pdf", b"%PDF-1")
    shelf.put("b.pdf", b"%PDF-1")
    before = list_sources(shelf)
    shelf.put("b.pdf", b"%PDF-2")
    after = list_sources(shelf)

    assert after["a.pdf"] == before["a.pdf"]
    assert after["b.pdf"].modified != before["b.pdf"].modified


def test_one_source_is_found_by_its_name(shelf: Shelf) -> None:
    """To look at one document, nobody lists a million; it is as it is now."""
    for name in NAMES:
        shelf.put(name, b"%PDF-1")
    shelf.put("a-b.pdf.pdf", b"%PDF-1")
    listed = list_sources(shelf)
    for name in NAMES:
        found = shelf.root.find(name)
        assert (found.name, found.size, found.modified) == (
            name,
            listed[name].size,
            listed[name].modified,
        )
        assert read(shelf, found) == b"%PDF-1"
    for name in ("none.pdf", "a-b.pd"):
        with pytest.raises(DocumentError, match="no longer in its root"):
            shelf.root.find(name)


def test_what_vanished_is_skipped(shelf: Shelf) -> None:
    """Between listing and reading a document may go; that is no failure of the run."""
    shelf.put("a.pdf", b"%PDF-")
    (source,) = list_sources(shelf).values()
    shelf.remove("a.pdf")

    with pytest.raises(DocumentError, match="vanished before it was read") as caught:
        read(shelf, source)
    assert caught.value.outcome is Outcome.SKIPPED
    assert not list_sources(shelf)


def test_a_run_brings_the_index_in_step(shelf: Shelf, bench: Bench) -> None:
    """New, unchanged without a look inside, changed, removed: the same for every kind of root."""
    for name in ("a.pdf", "b/c.pdf", "d.pdf"):
        shelf.put(name, pdf(prose(name)))
    first = outcomes_by_source(bench.run(root=shelf.root))
    bench.read.clear()
    second = outcomes_by_source(bench.run(root=shelf.root))
    assert not bench.read
    shelf.put("a.pdf", pdf(prose("planes")))
    shelf.remove("b/c.pdf")
    third = outcomes_by_source(bench.run(root=shelf.root))

    assert first == {"a.pdf": "new", "b/c.pdf": "new", "d.pdf": "new"}
    assert second == dict.fromkeys(first, "unchanged")
    assert third == {"a.pdf": "changed", "b/c.pdf": "removed", "d.pdf": "unchanged"}


def test_hidden_files_are_named_and_hidden_folders_left_alone(shelf: Shelf) -> None:
    """What macOS leaves beside a file is no document, wherever it was copied to."""
    for name in ("._a.pdf", "a.pdf", ".git/b.pdf", "x/.y/c.pdf"):
        shelf.put(name, b"%PDF-")

    odd = [item for item in shelf.root.list() if isinstance(item, ListingIssue)]

    assert list(list_sources(shelf)) == ["a.pdf"]
    assert [(item.name, item.harmless) for item in odd] == [("._a.pdf", True)]


def test_files_of_other_kinds_are_listed_as_unread(shelf: Shelf) -> None:
    """Documents of other programs are seen, so that somebody can be told; hidden files are not."""
    for name in ("a.docx", "a.pdf", "a/b.html", "Makefile", ".DS_Store", ".git/config", "b/.x.txt"):
        shelf.put(name, b"%PDF-")

    found = list(require_sorted(shelf.root.list(), lambda item: item.name))

    assert [i.name for i in found if isinstance(i, Unread)] == ["Makefile", "a.docx", "a/b.html"]
    assert list(list_sources(shelf)) == ["a.pdf"]


def test_what_is_excluded_is_left_out_by_its_name_in_the_root(shelf: Shelf) -> None:
    """A glob means what it means in a root: a "/" is met by `**` alone, and "x/" is a folder."""
    for name in ("a.pdf", "x/a.pdf", "x/y/b.pdf", "z/a.pdf", "z/c.txt"):
        shelf.put(name, b"%PDF-")

    def left(*globs: str) -> list[str]:
        (root,) = exclude_globs([shelf.root], globs)
        listed = list(require_sorted(root.list(), lambda item: item.name))
        found = [item.name for item in listed if isinstance(item, Source)]
        out = [item.name for item in listed if isinstance(item, Unread) and item.excluded]
        assert sorted([*found, *out]) == list(list_sources(shelf))
        assert [name for name in list_sources(shelf) if root.covers(name)] == found
        return found

    assert left() == ["a.pdf", "x/a.pdf", "x/y/b.pdf", "z/a.pdf"]
    assert left("a.pdf") == ["x/a.pdf", "x/y/b.pdf", "z/a.pdf"]
    assert left("*.pdf") == ["x/a.pdf", "x/y/b.pdf", "z/a.pdf"]
    assert left("**/a.pdf") == ["x/y/b.pdf"]
    assert left("x/*") == ["a.pdf", "x/y/b.pdf", "z/a.pdf"]
    assert left("x/") == left("x/**") == ["a.pdf", "z/a.pdf"]
    assert left("**/?.pdf", "q/") == []


def test_what_the_index_has_of_an_excluded_source_stays(shelf: Shelf, bench: Bench) -> None:
    """As with rsync: it is neither read nor removed, gone from the root or not, and is counted."""
    for name in ("a.pdf", "b.pdf", "x/c.pdf", "d.docx"):
        shelf.put(name, pdf(prose(name)))
    bench.run(root=shelf.root)
    shelf.put("a.pdf", pdf(prose("another")))
    shelf.remove("b.pdf")
    shelf.remove("x/c.pdf")
    shelf.put("e.pdf", pdf(prose("new")))
    (root,) = exclude_globs([shelf.root], ["[abe].pdf"])

    events = bench.run(root=root)

    assert outcomes_by_source(events) == {"x/c.pdf": "removed"}
    (left,) = [event for event in events if isinstance(event, LeftOut)]
    assert (left.kinds, left.excluded, left.kept) == ({".docx": 1}, 2, 2)
    assert left.kept_names == ("a.pdf", "b.pdf")
    assert [record.source for record in bench.index.records()] == ["a.pdf", "b.pdf"]
    assert outcomes_by_source(bench.run(root=shelf.root)) == {
        "a.pdf": "changed",
        "b.pdf": "removed",
        "e.pdf": "new",
    }


def test_a_source_has_an_address(shelf: Shelf) -> None:
    """What stands in an answer opens in a browser, and names the root it came from."""
    shelf.put("x y/a#b.pdf", b"%PDF-")
    (source,) = list_sources(shelf).values()

    assert source_url(source).startswith(("https://", "file://"))
    assert source_url(source).endswith("/x%20y/a%23b.pdf")
    assert source.root == shelf.root.name


def test_a_file_has_half_of_the_memory() -> None:
    """What is left to read it with is as much as it has itself; the setting is named."""
    check_size(512 << 20, 1024)
    with pytest.raises(DocumentError, match="INGEST_DOCUMENT_MEGABYTES allows more") as caught:
        check_size((512 << 20) + 1, 1024)
    assert caught.value.code is Code.TOO_LARGE
