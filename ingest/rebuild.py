"""The index made anew beside the one in use, which is held meanwhile and only read.

Who reads the index never sees a gap: the new one is shown in one step, once it is proven
(proof.py). A rebuild that ends early has changed nothing, and the next one goes on from there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from ingest.connect import embedder, generations, index_name, reached, roots, services
from ingest.connections import Connections
from ingest.errors import BusyError, ConfigError
from ingest.evaluation.questions import Question
from ingest.index import Index, Totals
from ingest.index.generations import Generations, Successor, older
from ingest.model import holder
from ingest.proof import Scores, Taken, inherit, losses, no_worse, permit, whole
from ingest.services import Run, Services
from ingest.settings import Settings
from ingest.sources import Root
from ingest.sources.exclude import Excluding


@dataclass(frozen=True, slots=True)
class Work:
    """What a rebuild works with."""

    line: Generations
    before: str  # the generation in use; "" if there is none
    name: str  # the one being filled
    roots: Sequence[Root]
    services: Services
    wait: Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Switched:
    """What readers see from now on."""

    index: str  # the generation in use
    before: str  # the one that was; "" if there was none
    dropped: list[str]
    scores: Scores | None = None


@contextmanager
def rebuilding(
    settings: Settings, named: Sequence[str], run: Run, to: Connections
) -> Iterator[Work]:
    """All that a rebuild of the named roots needs, or of those that the index has.

    Raises ConfigError, ServiceError, or BusyError if another run holds the index.
    """
    with ExitStack() as opened:
        line = opened.enter_context(lineage(settings, to))
        before = line.current()
        earlier = opened.enter_context(held(line, before)) if before else None
        names = named or known_roots(earlier) or [settings.root]
        if names == [""]:
            raise ConfigError("which PDFs? name a folder, as in: ingest rebuild docs/")
        where = opened.enter_context(roots(names, settings, to))
        if not named and earlier:
            for name in names:
                reached(name, where)
        if earlier:
            where = [with_what_it_has(root, earlier) for root in where]
        name, index = line.next()
        successor = Successor(index, earlier)
        all_ = opened.enter_context(
            services(settings, run.stop, write=True, to=to, successor=successor)
        )
        if earlier:
            inherit(earlier, index)
        yield Work(line, before, name, where, all_, to.patience.wait)


@contextmanager
def lineage(settings: Settings, to: Connections) -> Iterator[Generations]:
    """The generations of the index of the settings."""
    with (
        closing(embedder(settings, to)) as model,
        closing(generations(settings, model, to)) as line,
    ):
        yield line


@contextmanager
def held(line: Generations, name: str) -> Iterator[Index]:
    """The generation in use, with everybody else kept from writing to it."""
    with closing(line.opened(name)) as index:
        index.hold()
        if line.current() != name:
            raise BusyError("another rebuild has just ended: run again")
        yield index


def with_what_it_has(root: Root, index: Index) -> Root:
    """A root with those excluded sources that the index has chunks of: they stay by being read."""
    if not isinstance(root, Excluding):
        return root
    records = index.records(root.name)
    kept = frozenset(
        holder(record.source) or record.source
        for record in records
        if record.chunks and root.excludes(record.source)
    )
    return dataclasses.replace(root, but=kept)


def known_roots(index: Index | None) -> list[str]:
    """The roots that an index has records of."""
    return list(dict.fromkeys(record.root for record in index.records())) if index else []


def replace(
    work: Work, taken: Taken, run: Run, questions: Sequence[Question], keep: int
) -> Switched:
    """Readers see the new index, if that is proven; of the older ones so many are kept.

    Raises ServiceError or ConfigError if it is not; then nothing was switched.
    """
    all_ = work.services
    whole(all_, taken.documents, work.wait)
    if all_.earlier:
        lost = list(losses(all_.earlier, all_.index, taken))
        sources = all_.earlier.totals().sources
        permit(lost, sources, prune=run.prune, most=run.max_deletes)
    scores = no_worse(all_, questions) if questions else None
    work.line.switch(work.name)
    return Switched(work.name, work.before, trimmed(work, keep), scores)


def trimmed(work: Work, keep: int) -> list[str]:
    """The names of the generations that were dropped: all but the last few that were in use.

    What lies between the one that was and the new one was gone back from.
    """
    before = older(work.line.names(), work.name)
    used = [*older(before, work.before), work.before] if work.before in before else []
    abandoned = before[len(used) :]
    return [name for name in used[: max(0, len(used) - keep)] + abandoned if work.line.drop(name)]


def go_back(settings: Settings, to: Connections) -> tuple[Switched, Totals]:
    """Readers see the generation before; the one they saw stays. Also how much they see.

    Raises ConfigError if there is none, BusyError if a run is under way.
    """
    with lineage(settings, to) as line:
        name = line.current()
        before = older(line.names(), name)
        if not before:
            raise ConfigError(
                f"there is no index before that of {index_name(settings)} to go back to: "
                "ingest rebuild --list shows what is kept"
            )
        with held(line, name), closing(line.opened(before[-1])) as index:
            line.switch(before[-1])
            return Switched(before[-1], name, []), index.totals()
