"""What a worker does with one group: the stages of the pipeline, on its sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace

from ingest.model import INSIDE, Advanced, Outcome, Record, Settled, Source
from ingest.pipeline import settled
from ingest.plan import Change, Stale, compare
from ingest.scale.session import Session, root, session
from ingest.scale.work import Done, Group, Job, Links
from ingest.services import Services


def settle(group: Group, job: Job, links: Links) -> Done:
    """Settle the sources of a group, as far as the run is not to end.

    Another worker may have begun with it and died: what it has settled is not done again. Raises
    ServiceError or ConfigError.
    """
    here = session(job, links)
    turn = here.turns.alone if group.alone else here.turns.together
    with turn(), here.working(group.number):
        where = root(here, group.root)
        records = known(group.sources, here.services)
        before = {record.source: record for record in records if record.run == job.run}
        if any(record.pending for record in before.values()):
            # It wrote a moment ago, and what is there is found out by a search that lags behind.
            here.to.patience.wait(here.services.index.lag)
        taken: list[Source] = []
        suspects: list[Source] = []
        changes = compare(each(group.sources, taken, here), records, job.terms)
        stale = innocent(changes, None if group.alone else suspects)
        ended: list[Settled] = []
        tail = released = False
        try:
            for event in settled(where, stale, here.services, here.run):
                if isinstance(event, Advanced):
                    here.advance(group.number, event)
                elif isinstance(event, Settled):
                    ended.append(already(event, before, here, group.number))
                if released:
                    continue
                all_taken = len(taken) == len(group.sources)
                tail = all_taken and here.tails.acquire(blocking=False)
                # Who waits for the pacing must not keep the place in which it is to begin.
                if tail or links.lacking():
                    released = True
                    links.release()
            here.run.stop.complain()
        finally:
            if tail:
                here.tails.release()
        return Done(group.number, tuple(ended), tuple(suspects), here.under_way[group.number])


def innocent(changes: Iterable[Change], suspects: list[Source] | None) -> Iterator[Stale | Settled]:
    """The changes without the suspects, which are kept for later; with them, if that is None."""
    for change in changes:
        if isinstance(change, Stale) and change.suspect and suspects is not None:
            suspects.append(change.source)
        elif isinstance(change, Stale | Settled):
            yield change


def each(sources: Sequence[Source], taken: list[Source], here: Session) -> Iterator[Source]:
    """The sources, until the run is to end; those that were taken are noted."""
    for source in sources:
        if here.run.stop.requested():
            return
        taken.append(source)
        yield source


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
