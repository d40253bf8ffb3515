"""The library, as a Python program uses it: a root and a model of its own, a loop, an end."""

from __future__ import annotations

import gzip
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, cast

import numpy as np
import pytest

import ingest as public
from ingest import (
    BusyError,
    Code,
    ConfigError,
    DocumentError,
    Embedder,
    ListingIssue,
    Outcome,
    Outcomes,
    Root,
    Settings,
    Source,
    SourceResult,
    ingest,
    preview,
    search,
)
from ingest.embed.validation import validate_vectors
from ingest.index.sqlite.index import SqliteIndex
from ingest.models import Vectors
from ingest.sources.validation import LegacyRoot, LegacyRootAdapter, ValidatedRoot, is_file
from tests.conftest import DIMENSIONS, MODEL, Embeds, run_process
from tests.emulator.emulator import Azure
from tests.pdfs import pdf, prose, write

ONE = Settings(workers=1)


@dataclass
class Shelf:
    """PDFs in memory, as a program might have them in a database."""

    pdfs: dict[str, bytes] = field(default_factory=dict)
    name: str = "memory:shelf"

    def covers(self, name: str) -> bool:
        return True

    def list(self) -> Iterator[Source | ListingIssue]:
        for name, data in sorted(self.pdfs.items()):
            yield self.source(name, data)

    def source(self, name: str, data: bytes) -> Source:
        return Source(self.name, name, f"memory://shelf/{name}", len(data), str(hash(data)))

    @contextmanager
    def open(self, source: Source) -> Iterator[BinaryIO]:
        yield io.BytesIO(self.pdfs[source.name])

    def find(self, name: str) -> Source:
        return self.source(name, self.pdfs[name])


class OldShelf:
    """A custom root with the protocol of version 0.1."""

    def __init__(self, shelf: Shelf) -> None:
        self.name, self.covers = shelf.name, shelf.covers
        self.listed, self.opened = shelf.list, shelf.open


@dataclass
class Place:
    """Index and settings of a test, with a stub for the model."""

    index: Path
    embeds: Embeds = field(default_factory=Embeds)

    def run(self, *roots: str | Path | Root | LegacyRoot, settings: Settings = ONE) -> Outcomes:
        return ingest(*roots, settings=settings, index=self.index, embed=self.model)

    @property
    def model(self) -> Embedder:
        return Embedder(self.embeds, MODEL, DIMENSIONS, inputs=4)

    def records(self) -> dict[str, str]:
        """The outcome of each source that the index knows and that is not under way."""
        with closing(SqliteIndex(self.index, MODEL, DIMENSIONS, create=False)) as index:
            whole = [index.record(r.root, r.source) for r in list(index.records())]
        return {r.source: r.outcome for r in whole if r and r.fingerprint and not r.pending}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "index")


@pytest.fixture
def shelf() -> Shelf:
    return Shelf({f"{n:02}.pdf": pdf(prose(f"topic {n}", 4)) for n in range(12)})


def outcomes_of(outcomes: Outcomes) -> dict[str, str]:
    return {outcome.source: outcome.outcome for outcome in outcomes}


def test_outcomes_come_one_by_one_and_then_the_summary(
    folder: Path, place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    """I iterate over outcomes; nothing is printed, and no signal handler is installed."""
    write(folder / "a.pdf", prose("lathes"))
    (folder / "b.pdf").write_bytes(b"%PDF-1.7 broken")
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    outcomes = place.run(folder)
    with pytest.raises(RuntimeError, match="has not ended"):
        _ = outcomes.summary
    found: dict[str, SourceResult] = {}
    for outcome in outcomes:
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
        found[outcome.source] = outcome

    assert found["a.pdf"].outcome is Outcome.NEW
    assert found["b.pdf"].outcome is Outcome.FAILED
    assert "damaged" in found["b.pdf"].reason
    assert outcomes.summary.exit == DocumentError.exit_code
    assert outcomes.summary.outcomes["new"] == 1
    assert outcomes.summary.tokens_embedded == found["a.pdf"].tokens > 0
    with pytest.raises(RuntimeError, match="once"):
        list(outcomes)
    assert capfd.readouterr() == ("", "")


def test_a_root_of_ones_own_is_kept_in_step(place: Place, shelf: Shelf) -> None:
    """PDFs from a database: new, unchanged without being opened, changed, removed; with links."""
    assert set(outcomes_of(place.run(shelf)).values()) == {"new"}
    (hit, *_) = search("topic", index=place.index, embed=place.model, top=1)
    assert str(hit.fields["storageUrl"]).startswith("memory://shelf/")
    place.embeds.texts.clear()

    del shelf.pdfs["00.pdf"]
    shelf.pdfs["01.pdf"] = pdf(prose("something else", 4))
    again = outcomes_of(place.run(shelf))

    assert again.pop("00.pdf") == "removed"
    assert again.pop("01.pdf") == "changed"
    assert set(again.values()) == {"unchanged"}
    assert all("something else" in text for text in place.embeds.texts)


def test_a_root_of_an_earlier_version_works(place: Place, shelf: Shelf) -> None:
    """My program needs no change when I upgrade; the sources are the ones they were."""
    assert set(outcomes_of(place.run(OldShelf(shelf))).values()) == {"new"}
    assert set(outcomes_of(place.run(shelf)).values()) == {"unchanged"}
    assert LegacyRootAdapter(OldShelf(shelf)).find("03.pdf") == shelf.find("03.pdf")


class Reversed(Shelf):
    """Lists in the wrong order."""

    def list(self) -> Iterator[Source | ListingIssue]:
        yield from reversed([*super().list()])


class Stranger(Shelf):
    """Gives its sources another root's name."""

    def source(self, name: str, data: bytes) -> Source:
        return Source("memory:other", name, "memory://", len(data), "1")


class Nameless(Shelf):
    """Has names without an ending."""

    def source(self, name: str, data: bytes) -> Source:
        return Source(self.name, name.removesuffix(".pdf"), "memory://", len(data), "1")


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        (Reversed, "lists '00.pdf' after '10.pdf': names must ascend"),
        (Stranger, "lists '00.pdf' under the root 'memory:other'"),
        (Nameless, "lists '00' as a PDF: its name must end in .pdf"),
    ],
)
def test_a_root_that_lists_wrongly_is_refused(kind: type[Shelf], complaint: str) -> None:
    """I am told which name is wrong, before it could look like deletions."""
    with pytest.raises(ConfigError, match=complaint):
        list(ValidatedRoot(kind({"00.pdf": b"", "10.pdf": b""})).list())


def test_a_root_that_lists_wrongly_removes_nothing(place: Place) -> None:
    """The run ends there, and the index keeps what it has."""
    small = {f"{n}.pdf": pdf(prose(f"topic {n}", 4)) for n in ("00", "10", "11")}
    list(place.run(Shelf(small)))
    with pytest.raises(ConfigError, match=r"lists '10\.pdf' after"):
        list(place.run(Reversed(small)))
    assert len(place.records()) == 3


def test_a_root_that_breaks_off_removes_nothing(place: Place, shelf: Shelf) -> None:
    """My database fails midway: its error is what I see, and the index keeps what it has."""

    class Lost(Exception):
        """Exception of a database driver."""

    class Breaking(Shelf):
        def list(self) -> Iterator[Source | ListingIssue]:
            yield next(iter(super().list()))
            raise Lost("the connection is gone")

    list(place.run(shelf))
    with pytest.raises(Lost, match="the connection is gone"):
        list(place.run(Breaking(shelf.pdfs)))
    assert len(place.records()) == 12


def test_bytes_that_are_not_those_listed_are_skipped(place: Place, shelf: Shelf) -> None:
    """What was replaced between listing and reading is not recorded as what was listed."""

    class Replaced(Shelf):
        @contextmanager
        def open(self, source: Source) -> Iterator[BinaryIO]:
            yield io.BytesIO(self.pdfs[source.name] + b"more")

    (outcome,) = place.run(Replaced({"00.pdf": shelf.pdfs["00.pdf"]}))
    assert (outcome.outcome, outcome.code) == (Outcome.SKIPPED, "changed-while-reading")


def test_a_document_that_cannot_be_had_is_its_own_outcome(place: Place, shelf: Shelf) -> None:
    """A DocumentError of my root's is one document's; any other error of its is mine to see."""
    errors = {
        "00.pdf": DocumentError("withdrawn by its author", Code.UNREADABLE),
        "01.pdf": DocumentError("still being written", Code.CHANGED),
    }

    class Partial(Shelf):
        @contextmanager
        def open(self, source: Source) -> Iterator[BinaryIO]:
            if source.name in errors:
                raise errors[source.name]
            yield io.BytesIO(self.pdfs[source.name])

    partly = Partial(shelf.pdfs)
    found = {outcome.source: outcome for outcome in place.run(partly)}
    assert (found["00.pdf"].outcome, found["00.pdf"].code) == (Outcome.FAILED, "unreadable")
    assert found["00.pdf"].reason == "withdrawn by its author"
    assert found["01.pdf"].outcome is Outcome.SKIPPED
    assert found["02.pdf"].outcome is Outcome.NEW

    shelf.pdfs["03.pdf"] = pdf("new text")
    errors["03.pdf"] = failure = KeyError("no such row")  # type: ignore[assignment]
    with pytest.raises(KeyError) as caught:
        list(place.run(partly))
    assert caught.value is failure


def test_only_what_is_a_file_is_taken_for_one(tmp_path: Path) -> None:
    """A packed stream has a file's number too, and would be read packed."""
    path = tmp_path / "a.gz"
    with gzip.open(path, "wb") as packed:
        packed.write(b"text")
    with gzip.open(path) as packed, path.open("rb") as plain, TemporaryFile() as other:
        assert packed.fileno()
        assert not is_file(cast("BinaryIO", packed))
        assert is_file(plain)
        assert is_file(cast("BinaryIO", other))
    assert not is_file(io.BytesIO())


def test_what_is_no_root_is_refused_at_once(place: Place, shelf: Shelf) -> None:
    """Mistakes in my own program show where I make them."""
    with pytest.raises(TypeError, match="a path, a URL or a Root, not list"):
        place.run(["docs"])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no root is given"):
        place.run()
    with pytest.raises(ConfigError, match="chunk_tokens=1: expected "):
        place.run(shelf, settings=Settings(chunk_tokens=1))
    with pytest.raises(ConfigError, match="two roots are called 'memory:shelf'"):
        list(place.run(shelf, Shelf()))


def as_lists(texts: Sequence[str]) -> list[list[float]]:
    """Vectors as lists, which a simple function returns."""
    return [[float(len(text))] * DIMENSIONS for text in texts]


def test_an_embedder_may_give_lists(place: Place, shelf: Shelf) -> None:
    """A model of mine need not know numpy."""
    mine = Embedder(as_lists, MODEL, DIMENSIONS)  # type: ignore[arg-type]
    assert set(
        outcomes_of(ingest(shelf, settings=ONE, index=place.index, embed=mine)).values()
    ) == {"new"}


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (lambda texts: np.ones((len(texts), 3), np.float32), r"shape \(\d, 3\) for \d texts and 8"),
        (lambda texts: np.ones(DIMENSIONS, np.float32), r"shape \(8,\) for 2 texts"),
        (lambda texts: [[1.0] * 8] * (len(texts) - 1) + [[1.0]], "vectors of different lengths"),
        (
            lambda texts: np.full((len(texts), 8), np.nan),
            "a vector with NaN or infinity, for any text",
        ),
    ],
    ids=["dimensions", "one row", "ragged", "nan"],
)
def test_an_embedder_that_answers_wrongly_is_told_so(
    answer: Callable[[Sequence[str]], Vectors], complaint: str
) -> None:
    """The shape I gave and the shape that is needed stand in the message."""
    with pytest.raises(ConfigError, match=f"^mine returned .*{complaint}"):
        validate_vectors(Embedder(answer, "mine", DIMENSIONS)).embed(["one", "two"])


def test_wrong_vectors_get_nowhere(place: Place, shelf: Shelf) -> None:
    """The run ends, and nothing of the document is recorded."""
    mine = Embedder(lambda texts: np.ones((len(texts), 3), np.float32), MODEL, DIMENSIONS)
    with pytest.raises(ConfigError, match=f"{MODEL} returned vectors of shape"):
        list(ingest(shelf, settings=ONE, index=place.index, embed=mine))
    assert place.records() == {}


def test_what_an_embedder_raises_is_what_i_see(place: Place, shelf: Shelf) -> None:
    """The batch that failed is nowhere; the batches before it stay; the next run does the rest."""
    failure = RuntimeError("the accelerator is on fire")
    calls: list[Sequence[str]] = []

    def failing(texts: Sequence[str]) -> Vectors:
        calls.append(texts)
        if len(calls) == 3:
            raise failure
        return place.embeds(texts)

    mine = Embedder(failing, MODEL, DIMENSIONS, inputs=2)
    outcomes = ingest(shelf, settings=ONE, index=place.index, embed=mine)
    with pytest.raises(RuntimeError) as caught:
        list(outcomes)

    assert caught.value is failure
    assert outcomes.summary.exit == 1
    kept = place.records()
    assert 0 < len(kept) < 12
    with closing(SqliteIndex(place.index, MODEL, DIMENSIONS, create=False)) as index:
        assert not {chunk.text for chunk in index.chunks()} & set(calls[2])

    place.embeds.texts.clear()
    again = outcomes_of(place.run(shelf))
    assert {name for name, outcome in again.items() if outcome == "unchanged"} == set(kept)
    assert set(calls[2]) <= set(place.embeds.texts)


def stop_early(outcomes: Outcomes) -> None:
    for _ in outcomes:
        break


def raise_inside(outcomes: Outcomes) -> None:
    with pytest.raises(ZeroDivisionError):
        for _ in outcomes:
            raise ZeroDivisionError


def step(outcomes: Outcomes) -> None:
    with outcomes:
        steps = iter(outcomes)
        next(steps)
    assert list(steps) == []


def interrupt(outcomes: Outcomes) -> None:
    with pytest.raises(KeyboardInterrupt):
        for _ in outcomes:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("leave", [stop_early, raise_inside, step, interrupt])
def test_a_loop_that_ends_early_leaves_everything_settled(
    place: Place, leave: Callable[[Outcomes], None]
) -> None:
    """`break`, an exception, ^C: no document is half there, and the index is free at once."""
    shelf = Shelf({f"{n:03}.pdf": pdf(prose(f"topic {n}", 4)) for n in range(40)})
    outcomes = place.run(shelf)
    leave(outcomes)

    assert outcomes.summary.exit == 1
    settled = sum(outcomes.summary.outcomes.values())
    assert 1 <= settled < 40
    assert list(place.records().values()) == ["new"] * settled
    del shelf.pdfs[next(iter(place.records()))]
    again = [event.outcome for event in place.run(Shelf(dict(list(shelf.pdfs.items())[:3])))]
    assert Outcome.REMOVED in again


def test_an_interrupt_while_waiting_settles_what_is_under_way(place: Place, shelf: Shelf) -> None:
    """^C in a notebook, while the model is at work: what it is given is still taken."""

    def pressing(texts: Sequence[str]) -> Vectors:
        if not place.embeds.texts:
            os.kill(os.getpid(), signal.SIGINT)
        return place.embeds(texts)

    mine = Embedder(pressing, MODEL, DIMENSIONS, inputs=4)
    outcomes = ingest(shelf, settings=ONE, index=place.index, embed=mine)
    with pytest.raises(KeyboardInterrupt):
        list(outcomes)

    settled = place.records()
    assert len(settled) == sum(outcomes.summary.outcomes.values()) >= 1
    assert set(outcomes_of(place.run(shelf)).values()) <= {"unchanged", "new"}


def test_a_second_interrupt_waits_no_longer(place: Place) -> None:
    """What takes too long to settle is left to the next run, and the index is free."""
    ask = partial(signal.pthread_kill, threading.get_ident(), signal.SIGINT)
    shelf = Shelf({"a.pdf": pdf(*(prose(f"topic {n}", 30) for n in range(6)))})

    def slow(texts: Sequence[str]) -> Vectors:
        if not place.embeds.texts:
            ask()
            threading.Timer(1.0, ask).start()
        threading.Event().wait(0.5)
        return place.embeds(texts)

    mine = Embedder(slow, MODEL, DIMENSIONS, inputs=1)
    with pytest.raises(KeyboardInterrupt):
        list(ingest(shelf, settings=ONE, index=place.index, embed=mine))

    assert place.records() == {}
    assert outcomes_of(place.run(shelf)) == {"a.pdf": "new"}


def test_a_process_that_ends_in_the_midst_of_a_run_ends(tmp_path: Path) -> None:
    """A script that took one outcome and forgot the rest does not hang at its end."""
    write(tmp_path / "docs/a.pdf", prose("lathes"))
    write(tmp_path / "docs/b.pdf", prose("mills"))
    code = (
        "from ingest import Embedder, ingest\n"
        "model = Embedder(lambda texts: [[1.0, 2.0]] * len(texts), 'm', 2, inputs=1)\n"
        "steps = iter(ingest('docs', embed=model))\n"
        "print(next(steps).outcome)"
    )
    done = run_process(sys.executable, "-c", code, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "new\n", "")


def test_runs_in_threads_keep_out_of_each_others_way(place: Place, shelf: Shelf) -> None:
    """From a thread of mine it works like anywhere, and one index takes one run at a time."""
    found: list[str] = []
    first, refused = threading.Event(), threading.Event()

    def slow(texts: Sequence[str]) -> Vectors:
        if first.is_set():
            assert refused.wait(60)
        first.set()
        return place.embeds(texts)

    mine = Embedder(slow, MODEL, DIMENSIONS, inputs=4)
    outcomes = ingest(shelf, settings=ONE, index=place.index, embed=mine)
    steps = iter(outcomes)
    next(steps)
    with pytest.raises(BusyError, match="another run is writing"):
        list(place.run(shelf))
    refused.set()

    thread = threading.Thread(target=lambda: found.extend(o.source for o in steps))
    thread.start()
    thread.join()
    assert len(found) == 11
    assert outcomes.summary.exit == 0


def test_a_deadline_ends_a_run_in_good_order(place: Place, shelf: Shelf) -> None:
    """A run with a deadline stops in time, and the next one continues."""

    def slow(texts: Sequence[str]) -> Vectors:
        threading.Event().wait(0.3)
        return place.embeds(texts)

    mine = Embedder(slow, MODEL, DIMENSIONS, inputs=1)
    short = Settings(workers=1, deadline=2.0, grace_seconds=1.0)
    outcomes = ingest(shelf, settings=short, index=place.index, embed=mine)
    assert len(list(outcomes)) < 12
    assert outcomes.summary.exit == 1


def test_a_preview_is_what_then_happens(place: Place, shelf: Shelf) -> None:
    """I can ask first: nothing is written, not even an index, and it is right to the token."""
    planned = preview(shelf, settings=ONE, index=place.index, embed=place.model)
    expected = {outcome.source: outcome for outcome in planned}
    assert not place.index.exists()
    assert place.embeds.texts == []
    assert planned.summary.tokens_embedded > 0

    assert {outcome.source: outcome for outcome in place.run(shelf)} == expected


def test_what_was_not_removed_is_said(place: Place, shelf: Shelf) -> None:
    """After an empty listing, the sources stay, and `kept` says why."""
    list(place.run(shelf))
    outcomes = place.run(Shelf())
    assert list(outcomes) == []
    (kept,) = outcomes.kept
    assert (kept.sources, kept.harmless, outcomes.summary.exit) == (12, False, 2)
    assert "no PDFs at all" in kept.reason


def test_a_search_needs_an_index_with_something_in_it(place: Place) -> None:
    """A wrong path is no empty answer."""
    with pytest.raises(ConfigError, match="is empty or does not exist: ingest run fills it"):
        search("lathes", index=place.index, embed=place.model)
    with pytest.raises(ConfigError, match="the query is empty"):
        search(" ", index=place.index, embed=place.model)


def test_the_environment_counts_only_where_it_is_given(
    place: Place, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A variable that somebody set does not change what my program does, unless I hand it over."""
    monkeypatch.setenv("INGEST_INDEX", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("INGEST_WORKERS", "1")
    list(place.run(shelf))
    assert place.index.exists()
    assert not (tmp_path / "elsewhere").exists()

    given = Settings.from_environment(os.environ)
    assert (given.index, given.workers) == (str(tmp_path / "elsewhere"), 1)
    with pytest.raises(ConfigError, match=r"PAGE_SECONDS=0: expected 0\.1 or more"):
        Settings.from_environment({"INGEST_PAGE_SECONDS": "0"})
    with pytest.raises(ConfigError, match="INGEST_WORKERS=many: expected a whole number"):
        Settings.from_environment({"INGEST_WORKERS": "many"})


def test_a_model_of_mine_fills_a_search_service(
    azure: Azure, place: Place, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    """The deployment that the environment names is neither asked nor written into the index."""
    settings = replace(Settings.from_environment(azure.environment), workers=1)
    outcomes = ingest(shelf, settings=settings, embed=place.model)
    assert set(outcomes_of(outcomes).values()) == {"new"}
    assert outcomes.summary.exit == 0

    assert azure.openai.requests == []
    (index,) = azure.search.indexes.values()
    assert not index.definition["vectorSearch"].get("vectorizers")
    assert f"cannot call the model {place.model.model}: an application embeds" in caplog.text
    azure.search.settle()  # queries show a write a little later
    (hit,) = search("topic 7", settings=settings, embed=place.model, mode="text", top=1)
    assert hit.fields["root"] == shelf.name

    other = replace(place.model, model="other")
    with pytest.raises(ConfigError, match=rf"holds vectors of {place.model.model} .*not of other"):
        search("topic 7", settings=settings, embed=other)


def test_importing_it_costs_next_to_nothing(tmp_path: Path) -> None:
    """A program that may never ingest anything does not pay for it at its start."""
    code = """
import sys, ingest
assert "numpy" not in sys.modules and "ingest.errors" not in sys.modules, sorted(sys.modules)
from ingest import ingest, IngestError
assert ingest.__module__ == "ingest.api"
import ingest.cli, ingest.pipeline.diff
"""
    done = run_process(sys.executable, "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_all_that_is_public_is_there() -> None:
    """Each name can be imported, each is shown by dir(), and none that is not."""
    for name in public.__all__:
        assert getattr(public, name) is not None
        # A module of the same name would take its place, once anything imports it.
        assert find_spec(f"ingest.{name}") is None
    assert set(public.__all__) <= set(dir(public))
    assert not hasattr(public, "nothing_of_the_kind")


def test_a_limit_that_ends_a_run_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """My program says which limit it came to, if I show its log; the summary has exit code 1."""
    write(tmp_path / "docs/a.pdf", prose("a"))
    settings = replace(ONE, max_tokens=1)
    outcomes = ingest(tmp_path / "docs", index=tmp_path / "index", settings=settings)
    assert list(outcomes) == []
    assert outcomes.summary.exit == 1
    assert "more would exceed --max-tokens 1" in caplog.text


def test_what_is_mine_alone_cannot_be_given_to_an_engine(place: Place, shelf: Shelf) -> None:
    """My root and my model are in this process: I hear so before anything begins."""
    engine = Settings(engine="tcp://127.0.0.1:1", index="https://127.0.0.1:1")
    with pytest.raises(ConfigError, match="cannot use a custom root or embedder"):
        ingest(shelf, settings=engine)
    with pytest.raises(ConfigError, match="cannot use a custom root or embedder"):
        ingest("docs", settings=engine, embed=place.model)
    with pytest.raises(ConfigError, match="workers cannot reach an index in a folder"):
        list(ingest("docs", settings=replace(engine, index="")))
