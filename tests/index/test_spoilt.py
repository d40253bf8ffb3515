"""Values that another program or a disk has spoilt: nothing is lost, and no run ends with a bug."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from ingest.errors import ConfigError, DocumentError
from ingest.index.azure.index import AzureIndex
from ingest.index.manifest import manifest_from_json
from ingest.index.records import details_to_json, record_from_values
from ingest.index.schema import cached_page_from_json, summaries_from_json
from ingest.index.sqlite.index import SqliteIndex
from ingest.models import Mode, Permissions, Record, Source
from ingest.pipeline.diff import Skipped, SkipRule, Stale, compare
from ingest.pipeline.transaction import failure_record
from ingest.pipeline.writes import skip_source
from tests.conftest import DIMENSIONS, MODEL, Bench, vector
from tests.pdfs import prose, write
from tests.pipeline.worlds import ANOTHER_MACHINE, INDEX, RECIPE, Process, World

SPOILT: list[dict[str, Any]] = [
    {"details": "{"},
    {"details": "[1]"},
    {"details": '{"attachments": 5}'},
    {"details": '{"missing": ["one"]}'},
    {"details": '{"epoch": "x"}'},
    {"details": "[" * 5000},
    {"outcome": "banana"},
    {"fingerprint": None},
    {"outcome": None},
]
OF_A_TABLE: list[dict[str, Any]] = [{"details": 7}, {"size": "large"}, {"run": b"\x01"}]


@pytest.mark.parametrize(
    ("place", "values"),
    [
        *product(["service", "folder"], [*SPOILT, {"committed": None}]),
        *product(["folder"], OF_A_TABLE),  # a service checks the types of fields
    ],
)
def test_a_spoilt_record_costs_a_reading(
    tmp_path: Path, place: str, values: dict[str, Any]
) -> None:
    """Its document is read again; no old chunk of it stays, and nothing is paid twice."""
    made = World(tmp_path if place == "folder" else None, files={"a.pdf": "one two", "b.pdf": "x"})
    assert made.run() == 0
    made.settle()
    if place == "folder":
        name, value = next(iter(values.items()))
        with closing(sqlite3.connect(tmp_path / "index.db")) as db, db:
            db.execute(f"UPDATE records SET {name} = ? WHERE source = 'a.pdf'", (value,))
    else:
        index = made.service.indexes[INDEX]
        key, found = next(
            (k, d)
            for k, d in index.latest.items()
            if d.get("source") == "a.pdf" and d["kind"] == "source"
        )
        index.written(key, found | values, made.clock.now(), made.service.delays)
    made.settle()
    if "committed" in values:  # a document that is unchanged needs no list of its chunks
        made.files["a.pdf"] = "two three"
    assert made.run() == 0
    assert set(made.paid.values()) == {1}
    made.check()


def test_a_spoilt_record_of_a_container_takes_no_attachment_along() -> None:
    """Its attachments are unknown: they are settled with it and stay, even if reading it fails."""
    spoilt = record_from_values({"root": "/docs", "source": "a.pdf", "details": "{"})
    inner = record_from_values({"root": "/docs", "source": "a.pdf//b.pdf", "outcome": "new"})
    listing = [Source("/docs", "a.pdf", "/docs/a.pdf", 1, "1")]
    (change,) = compare(listing, [spoilt, inner], SkipRule(RECIPE.digest))
    assert isinstance(change, Stale)
    failed = failure_record(spoilt, listing[0], DocumentError("it is damaged"), RECIPE, "run")
    stored = record_from_values(asdict(failed) | {"details": details_to_json(failed)})
    (change,) = compare(listing, [stored, inner], SkipRule(RECIPE.digest))
    assert isinstance(change, Stale)
    assert stored.spoilt


def test_attachments_of_a_spoilt_record_go_if_nobody_knows_who_may_read_them(bench: Bench) -> None:
    """They go in the same run, whether or not the portfolio has text of its own."""
    spoilt = Record("/docs", "a.pdf", spoilt=True)
    inner = Record("/docs", "a.pdf//b.pdf", outcome="new")
    for record in (spoilt, inner):
        bench.index.save(record).result()
    listing = [Source("/docs", "a.pdf", "/docs/a.pdf", 1, "1", permissions_unknown="no list")]
    (change,) = compare(listing, list(bench.index.records("/docs")), SkipRule(RECIPE.digest))
    assert isinstance(change, Skipped)
    skip_source(change, bench.index, RECIPE, "run")
    assert bench.index.record(*inner.key) is None


def spoil(bench: Bench, statement: str, *values: object) -> SqliteIndex:
    """Change the file of a filled index, and open it again."""
    write(bench.folder / "a.pdf", prose("lathes", 20))
    write(bench.folder / "b.pdf", prose("mills", 20))
    bench.run()
    assert isinstance(bench.index, SqliteIndex)
    path = bench.index.database.path
    assert path
    bench.index.close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement, values)
    bench.index = SqliteIndex(path.parent, MODEL, DIMENSIONS, create=True)
    return bench.index


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("content", None),
        ("headings", "{"),
        ("headings", None),
        ("page_start", "one"),
        ("page_offsets", '["a"]'),
        ("sourcepage", b"\x01"),
        ("title", 7),
    ],
)
def test_a_chunk_that_cannot_be_read_is_found_by_a_check_and_no_answer(
    bench: Bench, caplog: pytest.LogCaptureFixture, name: str, value: object
) -> None:
    """The others are found; reading its document again writes the chunk as it was."""
    one = "UPDATE chunks SET {} = ? WHERE source = 'a.pdf' AND ordinal = 0"
    index = spoil(bench, one.format(name), value)
    found = index.search("lathes mills", vector("lathes"), Mode.HYBRID, 50)
    flaws = [flaw for flaw in index.flaws(DIMENSIONS, thorough=True) if flaw.kind == "stale"]
    if name == "headings" and value is None:
        assert flaws == []
    else:
        assert [flaw.source for flaw in flaws] == ["a.pdf"]
        assert "a.pdf cannot be read, and is not shown" in caplog.text
    assert {hit.fields["source"] for hit in found} == {"a.pdf", "b.pdf"}
    paid = len(bench.embeds.texts)
    record = next(r for r in index.records() if r.source == "a.pdf")
    whole = index.record(*record.key)
    assert whole
    index.save(replace(whole, fingerprint="", modified="")).result()
    bench.run()
    assert len(bench.embeds.texts) == paid
    assert not list(index.flaws(DIMENSIONS, thorough=True))


NAN_BYTES = b"\xff" * 4 * DIMENSIONS


@pytest.mark.parametrize("value", [None, "text", b"\x01\x02\x03", b"\0" * 400, NAN_BYTES])
def test_a_vector_that_cannot_be_read_hides_no_other(bench: Bench, value: object) -> None:
    """Its chunk is found by its words."""
    which = "(SELECT number FROM chunks WHERE source = 'a.pdf' AND ordinal = 0)"
    statement = f"UPDATE vectors SET embedding = ? WHERE number = {which}"
    values = () if value is None else (value,)
    if value is None:
        statement = f"DELETE FROM vectors WHERE number = {which}"
    index = spoil(bench, statement, *values)
    for mode in Mode:
        found = index.search("lathes mills", vector("lathes"), mode, 50)
        assert {hit.fields["source"] for hit in found} == {"a.pdf", "b.pdf"}
    assert [flaw.source for flaw in index.flaws(DIMENSIONS, thorough=True)] == ["a.pdf"]
    ids = [chunk.id for chunk in index.chunks()]
    assert len(index.vectors(ids)) >= len(ids) - 1


@pytest.mark.parametrize("readers", ["{", "[1, 2]", "[]x", '[["anna"], "[", []]'])
def test_a_chunk_whose_readers_cannot_be_read_is_nobody_s(bench: Bench, readers: str) -> None:
    """A search for anna shows the other ones, and a check finds it."""
    index = spoil(bench, "ALTER TABLE chunks ADD COLUMN readers")
    index.db.execute("UPDATE chunks SET readers = ?", ('[["anna"], []]',))
    index.db.execute("UPDATE chunks SET readers = ? WHERE source = 'a.pdf'", (readers,))
    person = Permissions(("anna",))
    found = index.search_permitted("lathes mills", None, Mode.TEXT, 50, person)
    assert {hit.fields["source"] for hit in found} == {"b.pdf"}
    assert {flaw.source for flaw in index.flaws(DIMENSIONS, thorough=True)} == {"a.pdf"}


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("DELETE FROM about", "is damaged"),
        ("UPDATE about SET dimensions = 'x'", "is damaged"),
        ("DROP TABLE records", "another program has changed it"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_error(
    bench: Bench, statement: str, text: str
) -> None:
    """Running again would not help: it says what does."""
    assert isinstance(bench.index, SqliteIndex)
    path = bench.index.database.path
    assert path
    bench.index.close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)
    with pytest.raises(ConfigError, match=text):
        next(SqliteIndex(path.parent, MODEL, DIMENSIONS, create=True).records(), None)


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '{"run": 5}', '{"name": 5, "recipe": []}'])
def test_what_only_helps_is_left_out_if_it_cannot_be_read(text: str) -> None:
    """A summary of a run, a page that was paid for, a manifest: the rest goes on without it."""
    assert summaries_from_json([text, None]) == []
    assert cached_page_from_json("k", "/docs", "a.pdf", text) is None
    assert manifest_from_json(text) is None


def test_a_list_of_roots_that_cannot_be_read_is_one_clear_error() -> None:
    """The keys of records depend on it: nothing is written."""
    made = World(files={"a.pdf": "one"})
    index = made.open(Process(), ANOTHER_MACHINE)
    assert isinstance(index, AzureIndex)
    for text in ("{", json.dumps(["[]"]), json.dumps(5), None):
        document = {"id": "roots", "kind": "roots", "summary": text}
        index.documents.write("upload", [document])
        made.settle()
        index.known_roots.known = None
        with pytest.raises(ConfigError, match=r"the document roots of the index .* cannot be read"):
            index.roots()
    made.close(index, is_dead=True)
