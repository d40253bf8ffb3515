"""Rebuild: fill a new index next to the current one, then switch readers over.

The current index is locked and only read. Readers never see a gap: the switch is one step, and
happens once the new index passes its checks (verify.py). A rebuild that ends early has changed
nothing that readers see, and the next one continues it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial

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
from ingest.config.factory import Replacements, open_services
from ingest.config.index import create_generations, index_name
from ingest.config.manifest import check_format
from ingest.config.roots import open_known_root, resolve_roots
from ingest.config.settings import Settings
from ingest.config.sources import open_roots
from ingest.errors import BusyError, ConfigError
from ingest.index import Index, IndexTotals, RecordStore, confirm_lock
from ingest.index.generations import Generations, Successor, older_names
from ingest.models import parent_name
from ingest.pipeline.context import Run, Services
from ingest.sources import Root
from ingest.sources.exclude import ExcludingRoot


@dataclass(frozen=True, slots=True)
class RebuildContext:
    """Everything that a rebuild needs."""

    generations: Generations
    previous: str  # the current generation; "" if there is none
    name: str  # the one being filled
    roots: Sequence[Root]
    services: Services
    wait: Callable[[float], None]


@dataclass(frozen=True, slots=True)
class SwitchResult:
    """Outcome of a switch."""

    index: str  # the generation that readers see now
    before: str  # the one that they saw before; "" if there was none
    dropped: list[str]
    scores: Scores | None = None


@contextmanager
def open_rebuild(
    settings: Settings, named_roots: Sequence[str], run: Run, connections: Connections
) -> Iterator[RebuildContext]:
    """Open everything that a rebuild of the named roots needs; without names, of all indexed roots.

    Raises ConfigError, ServiceError, or BusyError if another run holds the index.
    """
    with ExitStack() as opened:
        generations = opened.enter_context(open_generations(settings, connections))
        current = generations.current()
        held = hold_generation(generations, current, run.stop.fail)
        earlier = opened.enter_context(held) if current else None
        if earlier:
            check_format(earlier, index_name(settings))
        known = known_roots(earlier)
        if earlier and known and not named_roots:
            roots = [
                opened.enter_context(open_known_root(name, earlier, settings, connections))
                for name in known
            ]
        else:
            names = named_roots or [settings.root]
            if names == [""]:
                raise ConfigError("no root is given: name a folder, as in: ingest rebuild docs/")
            roots = opened.enter_context(open_roots(names, settings, connections))
            if earlier:
                roots = resolve_roots(roots, earlier, settings, write=False)
        if earlier:
            roots = [include_indexed(root, earlier) for root in roots]
        name, index = generations.resume_or_create()
        services = opened.enter_context(
            open_services(
                settings,
                run.stop,
                write=True,
                connections=connections,
                replacements=Replacements(successor=Successor(index, earlier)),
            )
        )
        if earlier:
            copy_run_history(earlier, index)
            index.save_roots(earlier.roots())
        else:
            roots = resolve_roots(roots, index, settings, write=True)
        wait = connections.retry_policy.wait
        yield RebuildContext(generations, current, name, roots, services, wait)


@contextmanager
def open_generations(settings: Settings, connections: Connections) -> Iterator[Generations]:
    """Open the generations of the index that the settings name."""
    with (
        closing(create_embedder(settings, connections)) as model,
        closing(create_generations(settings, model, connections)) as generations,
    ):
        yield generations


@contextmanager
def hold_generation(
    generations: Generations, name: str, on_lost: Callable[[BusyError], None] = lambda _: None
) -> Iterator[Index]:
    """Open the current generation and lock it against other runs."""
    with closing(generations.open(name)) as index:
        index.hold("", on_lost)
        if generations.current() != name:
            raise BusyError("another rebuild has just ended: run again")
        yield index


def include_indexed(root: Root, index: RecordStore) -> Root:
    """Include the excluded sources that have chunks: to stay in the index, they must be read."""
    if not isinstance(root, ExcludingRoot):
        return root
    records = index.records(root.name)
    indexed = frozenset(
        parent_name(record.source) or record.source
        for record in records
        if record.chunks and root.excludes(record.source)
    )
    return dataclasses.replace(root, exceptions=indexed)


def known_roots(index: RecordStore | None) -> list[str]:
    """List the roots that an index has records of."""
    return list(dict.fromkeys(record.root for record in index.records())) if index else []


def switch_index(
    work: RebuildContext,
    progress: RebuildProgress,
    run: Run,
    questions: Sequence[Question],
    keep: int,
) -> SwitchResult:
    """Check the new index, switch readers to it, and delete all but `keep` older generations.

    Raises ServiceError or ConfigError if a check fails; then nothing was switched.
    """
    services = work.services
    wait_until_complete(services, progress.documents, work.wait)
    if services.previous_index:
        lost = list(find_losses(services.previous_index, services.index, progress))
        sources = sum(1 for _ in services.previous_index.records())
        check_losses(lost, sources, prune=run.prune, max_deletes=run.max_deletes)
    scores = compare_answers(services, questions) if questions else None
    earlier = services.previous_index
    # Another run may have taken over the current index, and changed it since this one copied it.
    fence = partial(confirm_lock, earlier) if earlier else lambda: None
    work.generations.switch(work.name, fence)
    return SwitchResult(work.name, work.previous, drop_old_generations(work, keep), scores)


def drop_old_generations(work: RebuildContext, keep: int) -> list[str]:
    """Delete all but the last `keep` generations that were current; return the deleted names.

    Generations between the previous one and the new one were abandoned by `switch_back`: they are
    deleted too.
    """
    before = older_names(work.generations.names(), work.name)
    used = [*older_names(before, work.previous), work.previous] if work.previous in before else []
    abandoned = before[len(used) :]
    return [
        name for name in used[: max(0, len(used) - keep)] + abandoned if work.generations.drop(name)
    ]


def switch_back(settings: Settings, connections: Connections) -> tuple[SwitchResult, IndexTotals]:
    """Switch readers to the generation before the current one, which stays; return its totals too.

    Raises ConfigError if there is none, BusyError if a run is under way.
    """
    with open_generations(settings, connections) as generations:
        name = generations.current()
        before = older_names(generations.names(), name)
        if not before:
            raise ConfigError(
                f"there is no index before that of {index_name(settings)} to switch back to: "
                "ingest rebuild --list shows what is kept"
            )
        with (
            hold_generation(generations, name) as held,
            closing(generations.open(before[-1])) as index,
        ):
            generations.switch(before[-1], partial(confirm_lock, held))
            return SwitchResult(before[-1], name, []), index.totals()
