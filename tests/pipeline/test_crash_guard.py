"""Documents that end the whole process: counted before they are read, so not for ever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.index.sqlite.index import SqliteIndex
from ingest.models import Code, Outcome, PreparedDocument, Recipe, Record, RunEvent, SourceResult
from ingest.pipeline.context import Run
from ingest.pipeline.diff import INTERRUPTED_REASON, MAX_ATTEMPTS, Stale
from ingest.pipeline.stages import ingest_root
from ingest.sources import Root
from ingest.sources.folder import parse_folder_roots
from tests.conftest import DIMENSIONS, MODEL, Bench, Embeds
from tests.pdfs import prose, write
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


def dies(stale: Stale) -> None:
    """Reading this one ends the process."""
    if stale.source.name == "poison.pdf":
        raise Crash


def test_what_ends_the_process_is_left_alone_after_its_third_attempt(bench: Bench) -> None:
    """A document that takes the container down is skipped in the end, and all others are there."""
    for attempt in range(1, MAX_ATTEMPTS + 1):
        with pytest.raises(Crash):
            run(bench, dies)
        found = record(bench, "poison.pdf")
        assert found
        assert found.attempts == attempt

    events = run(bench, dies)

    (settled,) = (e for e in events if isinstance(e, SourceResult) and e.source == "poison.pdf")
    assert (settled.outcome, settled.code) == (Outcome.FAILED, Code.CRASHED)
    assert "a run ended while this was being read (tried 3 times" in settled.reason
    others = {r.source: r.outcome for r in bench.index.records() if r.source != "poison.pdf"}
    assert set(others.values()) == {Outcome.NEW}
    assert len(others) == 23


def test_the_second_run_reads_all_others_before_the_suspects(bench: Bench) -> None:
    """One bad document does not keep the rest out of the index, run after run."""
    with pytest.raises(Crash):
        run(bench, dies)
    suspects = [r.source for r in bench.index.records() if r.error == INTERRUPTED_REASON]
    order: list[str] = []

    run(bench, lambda stale: order.append(stale.source.name))

    assert "poison.pdf" in suspects
    assert "z.pdf" not in suspects
    assert order[-len(suspects) :] == suspects
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
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(Crash):
            run(bench, dies)

    run(bench, dies)

    after = record(bench, "poison.pdf")
    assert before
    assert after
    assert after.committed == before.committed
    assert bench.index.existing_ids(after.committed) == set(before.committed)
