"""What a worker does with one group: the stages of the pipeline, on its sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from ingest.distributed.messages import Done, Group, Job, Links
from ingest.distributed.session import Session, working
from ingest.errors import StoppedError
from ingest.models import INSIDE, Advanced, Outcome, Record, Settled, Source
from ingest.pipeline.context import Services
from ingest.pipeline.diff import Change, Stale, compare
from ingest.pipeline.stages import settled


def settle(group: Group, job: Job, links: Links) -> Done:
    """Settle the sources of a group, as far as the run is not to end.

    Another worker may have begun with it and died: what it has settled is not done again. Raises
    ServiceError or ConfigError.
    """
    with working(group.number, job, links) as here:
        turn = here.groups.exclusive if group.alone else here.groups.shared
        try:
            with turn():
                return settled_here(group, here)
        except StoppedError:
            here.run.stop.complain()  # which says why
            raise


def settled_here(group: Group, here: Session) -> Done:
    """The same, in a session."""
    records = known(group.sources, here.services)
    before = {record.source: record for record in records if record.run == here.job.run}
    if any(record.pending for record in before.values()):
        # It wrote a moment ago, and what is there is found out by a search that lags behind.
        here.links.release()
        here.to.patience.wait(here.services.index.lag)
    place = Place(group, here)
    suspects: list[Source] = []
    changes = compare(place.each(), records, here.job.terms)
    stale = innocent(changes, None if group.alone else suspects)
    ended: list[Settled] = []
    try:
        for event in settled(here.root(group.root), stale, here.services, here.run):
            if isinstance(event, Advanced):
                here.advance(group.number, event)
            elif isinstance(event, Settled):
                ended.append(already(event, before, here, group.number))
            place.leave_if_idle()
        here.run.stop.complain()
    finally:
        place.end()
    advanced = here.under_way[group.number]
    return Done(group.number, tuple(ended), tuple(suspects), advanced, here.beat())


@dataclass(slots=True)
class Place:
    """The place that a group takes up in the engine, until another one may have it."""

    group: Group
    here: Session
    taken: int = 0  # of its sources
    tail: bool = False
    left: bool = False

    def each(self) -> Iterator[Source]:
        """The sources, until the run is to end."""
        for source in self.group.sources:
            if self.here.run.stop.requested():
                return
            self.taken += 1
            yield source

    def leave_if_idle(self) -> None:
        """Let the engine begin another group where this one takes up nothing but time."""
        if self.left:
            return
        all_taken = self.taken == len(self.group.sources)
        self.tail = all_taken and self.here.tails.acquire(blocking=False)
        # Who waits for the pacing must not keep the place in which it is to begin.
        if self.tail or self.here.links.lacking():
            self.left = True
            self.here.links.release()

    def end(self) -> None:
        """The group has ended."""
        if self.tail:
            self.here.tails.release()


def innocent(changes: Iterable[Change], suspects: list[Source] | None) -> Iterator[Stale | Settled]:
    """The changes without the suspects, which are kept for later; with them, if that is None."""
    for change in changes:
        if isinstance(change, Stale) and change.suspect and suspects is not None:
            suspects.append(change.source)
        elif isinstance(change, Stale | Settled):
            yield change


def known(sources: Sequence[Source], services: Services) -> list[Record]:
    """The records of these sources and of what is inside them, whole, in the order of the names."""

    def asked(names: Sequence[tuple[str, str]]) -> list[Record]:
        calls: list[Future[Record | None]] = [
            services.writers.submit(services.index.record, *name) for name in names
        ]
        return [record for call in calls if (record := call.result())]

    own = asked([source.key for source in sources])
    inside = asked(
        [
            (record.root, f"{record.source}{INSIDE}{name}")
            for record in own
            for name in record.details.attachments
        ]
    )
    return sorted((*own, *inside), key=lambda record: record.source)


def already(event: Settled, before: dict[str, Record], here: Session, group: int) -> Settled:
    """What became of a source in this run: another worker may have settled it."""
    record = before.get(event.source)
    if event.outcome is not Outcome.UNCHANGED or record is None:
        return event
    outcome = Outcome(record.outcome)
    # How much of a changed one was new has gone with the worker.
    new = outcome is Outcome.NEW
    chunks, tokens = (record.chunks, record.tokens) if new else (0, 0)
    here.advance(group, Advanced(record.pages, chunks, tokens))
    return replace(event, outcome=outcome, embedded=chunks, tokens=tokens)
