"""The index made anew beside the one in use, which is held meanwhile and only read.

Who reads the index never sees a gap: the new one is shown in one step, once it is proven
(proof.py). A rebuild that ends early has changed nothing, and the next one goes on from there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from ingest.commands.eval.questions import Question
from ingest.commands.rebuild.verify import (
    RebuildProgress,
    Scores,
    check_losses,
    compare_answers,
    copy_run_history,
    find_losses,
    wait_until_complete,
)
from ingest.config.connections import Connections
from ingest.config.embedding import create_embedder
from ingest.config.factory import open_services
from ingest.config.index import create_generations, index_name
from ingest.config.settings import Settings
from ingest.config.sources import check_root_reachable, open_roots
from ingest.errors import BusyError, ConfigError
from ingest.index import Index, IndexTotals
from ingest.index.generations import Generations, Successor, older_names
from ingest.models import parent_name
from ingest.pipeline.context import Run, Services
from ingest.sources import Root
from ingest.sources.exclude import ExcludingRoot


@dataclass(frozen=True, slots=True)
class RebuildContext:
    """What a rebuild works with."""

    generations: Generations
    previous: str  # the generation in use; "" if there is none
    name: str  # the one being filled
    roots: Sequence[Root]
    services: Services
    wait: Callable[[float], None]


@dataclass(frozen=True, slots=True)
class SwitchResult:
    """What readers see from now on."""

    index: str  # the generation in use
    before: str  # the one that was; "" if there was none
    dropped: list[str]
    scores: Scores | None = None


@contextmanager
def open_rebuild(
    settings: Settings, named_roots: Sequence[str], run: Run, connections: Connections
) -> Iterator[RebuildContext]:
    """All that a rebuild of the named roots needs, or of those that the index has.

    Raises ConfigError, ServiceError, or BusyError if another run holds the index.
    """
    with ExitStack() as opened:
        line = opened.enter_context(open_generations(settings, connections))
        before = line.current()
        earlier = opened.enter_context(hold_generation(line, before)) if before else None
        names = named_roots or known_roots(earlier) or [settings.root]
        if names == [""]:
            raise ConfigError("which PDFs? name a folder, as in: ingest rebuild docs/")
        where = opened.enter_context(open_roots(names, settings, connections))
        if not named_roots and earlier:
            for name in names:
                check_root_reachable(name, where)
        if earlier:
            where = [with_what_it_has(root, earlier) for root in where]
        name, index = line.resume_or_create()
        successor = Successor(index, earlier)
        all_ = opened.enter_context(
            open_services(
                settings, run.stop, write=True, connections=connections, successor=successor
            )
        )
        if earlier:
            copy_run_history(earlier, index)
        yield RebuildContext(line, before, name, where, all_, connections.retry_policy.wait)


@contextmanager
def open_generations(settings: Settings, connections: Connections) -> Iterator[Generations]:
    """The generations of the index of the settings."""
    with (
        closing(create_embedder(settings, connections)) as model,
        closing(create_generations(settings, model, connections)) as line,
    ):
        yield line


@contextmanager
def hold_generation(line: Generations, name: str) -> Iterator[Index]:
    """The generation in use, with everybody else kept from writing to it."""
    with closing(line.open(name)) as index:
        index.hold()
        if line.current() != name:
            raise BusyError("another rebuild has just ended: run again")
        yield index


def with_what_it_has(root: Root, index: Index) -> Root:
    """A root with those excluded sources that the index has chunks of: they stay by being read."""
    if not isinstance(root, ExcludingRoot):
        return root
    records = index.records(root.name)
    kept = frozenset(
        parent_name(record.source) or record.source
        for record in records
        if record.chunks and root.excludes(record.source)
    )
    return dataclasses.replace(root, exceptions=kept)


def known_roots(index: Index | None) -> list[str]:
    """The roots that an index has records of."""
    return list(dict.fromkeys(record.root for record in index.records())) if index else []


def switch_index(
    work: RebuildContext,
    progress: RebuildProgress,
    run: Run,
    questions: Sequence[Question],
    keep: int,
) -> SwitchResult:
    """Readers see the new index, if that is proven; of the older ones so many are kept.

    Raises ServiceError or ConfigError if it is not; then nothing was switched.
    """
    all_ = work.services
    wait_until_complete(all_, progress.documents, work.wait)
    if all_.previous_index:
        lost = list(find_losses(all_.previous_index, all_.index, progress))
        sources = all_.previous_index.totals().sources
        check_losses(lost, sources, prune=run.prune, max_deletes=run.max_deletes)
    scores = compare_answers(all_, questions) if questions else None
    work.generations.switch(work.name)
    return SwitchResult(work.name, work.previous, drop_old_generations(work, keep), scores)


def drop_old_generations(work: RebuildContext, keep: int) -> list[str]:
    """The names of the generations that were dropped: all but the last few that were in use.

    What lies between the one that was and the new one was gone back from.
    """
    before = older_names(work.generations.names(), work.name)
    used = [*older_names(before, work.previous), work.previous] if work.previous in before else []
    abandoned = before[len(used) :]
    return [
        name for name in used[: max(0, len(used) - keep)] + abandoned if work.generations.drop(name)
    ]


def switch_back(settings: Settings, connections: Connections) -> tuple[SwitchResult, IndexTotals]:
    """Readers see the generation before; the one they saw stays. Also how much they see.

    Raises ConfigError if there is none, BusyError if a run is under way.
    """
    with open_generations(settings, connections) as line:
        name = line.current()
        before = older_names(line.names(), name)
        if not before:
            raise ConfigError(
                f"there is no index before that of {index_name(settings)} to go back to: "
                "ingest rebuild --list shows what is kept"
            )
        with hold_generation(line, name), closing(line.open(before[-1])) as index:
            line.switch(before[-1])
            return SwitchResult(before[-1], name, []), index.totals()
