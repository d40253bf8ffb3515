"""Documents that end the whole process: counted before they are read, so not for ever."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.errors import RoleError
from ingest.index.sqlite.index import SqliteIndex
from ingest.models import (
    Code,
    Outcome,
    PreparedDocument,
    Recipe,
    Record,
    RunEvent,
    Source,
    SourceResult,
)
from ingest.pipeline.context import Run
from ingest.pipeline.crash_guard import halve_groups
from ingest.pipeline.diff import INTERRUPTED_REASON, MAX_ATTEMPTS, MAX_DEATHS, Stale
from ingest.pipeline.root import ingest_root
from ingest.sources import Root
from ingest.sources.folder import parse_folder_roots
from tests.conftest import DIMENSIONS, MODEL, Bench, Embeds
from tests.pdfs import prose, set_age, write
from tests.pipeline.test_crash import Crash

Reading = Callable[[Stale], None]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    folder = tmp_path / "docs"
    for name in ("a", "b", "poison", *(f"x{number:02}" for number in range(20)), "z"):
        write(folder / f"{name}.pdf", prose(name, 5))
    index = SqliteIndex(tmp_path / "index", MODEL, DIMENSIONS, create=True)
    return Bench(folder, index, Embeds(), Recipe("auto", 512, 0.12, MODEL, DIMENSIONS))


def run(bench: Bench, before: Reading, how: Run | None = None) -> list[RunEvent]:
    """One run in which `before` is called before a source is read."""
    services = bench.services()

    def prepare(root: Root, stale: Stale) -> PreparedDocument | None:
        before(stale)
        return services.reader.prepare(root, stale)

    (folder,) = parse_folder_roots([str(bench.folder)])
    try:
        return list(
            ingest_root(
                folder,
                replace(services, reader=replace(services.reader, prepare=prepare)),
                how or Run("test"),
            )
        )
    finally:
        services.reader.threads.shutdown()
        services.embed_threads.shutdown()


def record(bench: Bench, name: str) -> Record | None:
    return bench.index.record(str(bench.folder), name)


def die(stale: Stale) -> None:
    """Reading this one ends the process."""
    if stale.source.name == "poison.pdf":
        raise Crash


def run_until_alive(bench: Bench, most: int = 20) -> tuple[int, list[RunEvent]]:
    """Runs that end with the process, until one does not: how many, and the events of that."""
    for deaths in range(most):
        try:
            return deaths, run(bench, die, Run(f"run {deaths:02}"))
        except Crash:
            pass
    raise AssertionError


def test_what_ends_the_process_is_left_alone_in_the_end(bench: Bench) -> None:
    """A document that takes the container down is found by halves, blamed alone, and skipped."""
    deaths, events = run_until_alive(bench)

    (settled,) = (e for e in events if isinstance(e, SourceResult) and e.source == "poison.pdf")
    assert (settled.outcome, settled.code) == (Outcome.FAILED, Code.CRASHED)
    assert f"a run ended while this was being read (tried {MAX_DEATHS} times" in settled.reason
    assert deaths <= MAX_DEATHS + 5  # one over all, and those that halve up to sixteen
    others = {r.source: r.outcome for r in bench.index.records() if r.source != "poison.pdf"}
    assert set(others.values()) == {Outcome.NEW}
    assert len(others) == 23


@pytest.mark.parametrize("only", [False, True])
def test_six_kills_over_an_innocent_file_do_not_condemn_it(bench: Bench, *, only: bool) -> None:
    """A job that is stopped each time it reads this document does not count against it."""
    for path in bench.folder.glob("*.pdf"):
        if only and path.name != "poison.pdf":
            path.unlink()
    kills = 6 if not only else 2 * MAX_DEATHS
    for number in range(kills):
        with pytest.raises(Crash):
            run(bench, die, Run(f"run {number:02}"))

    assert set(bench.outcomes().values()) <= {"new", "unchanged"}


def test_suspects_are_read_in_halves(bench: Bench) -> None:
    """Suspects are read in groups of half the size, those of the last crash last."""

    def suspect(number: int, run: str) -> Stale:
        name = f"{number}.pdf"
        source = Source("/docs", name, name, 1, "1")
        return Stale(source, Record("/docs", name, error=INTERRUPTED_REASON, run=run))

    before = [suspect(number, "run 1") for number in range(128)]
    later = [suspect(128, "run 2"), suspect(129, "run 2")]
    groups = list(halve_groups([*later, *before]))
    assert groups == [before[:64], before[64:], later[:1], later[1:]]


class Refusing(SqliteIndex):
    """An index that refuses the record of what was read, as a service does without the role."""

    is_refusing = False

    def save(self, record: Record) -> Future[None]:
        if self.is_refusing and record.pending:
            raise RoleError("the role is missing (403)")
        return super().save(record)


def test_a_run_that_ends_in_order_blames_no_document(bench: Bench, tmp_path: Path) -> None:
    """The service refuses a record's write in three runs: that is no document's fault."""
    bench.index = index = Refusing(tmp_path / "refusing", MODEL, DIMENSIONS, create=True)
    index.is_refusing = True
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(RoleError):
            bench.run()
        assert [r.source for r in index.records() if r.attempts or r.error] == []

    index.is_refusing = False
    assert set(bench.outcomes().values()) == {"new"}


def test_the_second_run_reads_all_others_before_the_suspects(bench: Bench) -> None:
    """One bad document does not keep the rest out of the index, run after run."""
    with pytest.raises(Crash):
        run(bench, die)
    suspects = [r.source for r in bench.index.records() if r.error == INTERRUPTED_REASON]
    order: list[str] = []

    run(bench, lambda stale: order.append(stale.source.name))

    assert "poison.pdf" in suspects
    assert "z.pdf" not in suspects
    assert set(order[-len(suspects) :]) == set(suspects)
    assert all(r.attempts == 0 for r in bench.index.records())


def test_a_run_that_is_stopped_leaves_no_attempt(bench: Bench) -> None:
    """Stopping a run ten times does not make it give up on the document it was at."""
    for _ in range(MAX_ATTEMPTS + 1):
        how = Run("stopped")

        def stop(_: Stale, how: Run = how) -> None:
            how.stop.abandon()

        run(bench, stop, how)
    assert [r.source for r in bench.index.records() if r.attempts] == []
    assert set(bench.outcomes().values()) <= {"new", "unchanged"}


def test_what_the_index_had_stays_while_an_attempt_is_counted(bench: Bench) -> None:
    """A document that was fine and is edited into a bomb keeps its old chunks."""
    bench.run()
    before = record(bench, "poison.pdf")
    write(bench.folder / "poison.pdf", prose("new poison", 9), age=50)
    run_until_alive(bench)

    after = record(bench, "poison.pdf")
    assert before
    assert after
    assert after.committed == before.committed
    assert bench.index.existing_ids(after.committed) == set(before.committed)


def test_a_kill_does_not_overwrite_a_known_cause(bench: Bench) -> None:
    """A damaged file stays damaged, since the night it broke, however often the job is killed."""
    path = bench.folder / "poison.pdf"
    path.write_bytes(b"%PDF-1.7 nothing")
    set_age(path)  # of a file that was just written the time is not trusted
    run(bench, lambda _: None, Run("run 00"))
    first = record(bench, "poison.pdf")
    assert first
    assert first.code == Code.DAMAGED
    for number in (1, 2):
        with pytest.raises(Crash):
            run(bench, die, Run(f"run 0{number}"))
        killed = record(bench, "poison.pdf")
        assert killed
        assert (killed.code, killed.outcome) == (Code.DAMAGED, Outcome.FAILED)
        assert killed.error == f"{first.error}; {INTERRUPTED_REASON}"
        assert killed.details.since == "run 00"

    run(bench, lambda _: None, Run("run 03"))
    again = record(bench, "poison.pdf")
    assert again
    assert (again.error, again.details.since) == (first.error, "run 00")

    write(path, prose("mended"))  # other bytes: the cause is known no longer
    with pytest.raises(Crash):
        run(bench, die, Run("run 04"))
    changed = record(bench, "poison.pdf")
    assert changed
    assert (changed.code, changed.error) == (Code.CRASHED, INTERRUPTED_REASON)
