"""What a worker does with one group: the stages of the pipeline, on its sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from ingest.distributed.messages import Group, GroupResult, Job, WorkerLinks
from ingest.distributed.session import Session, use_session
from ingest.errors import StoppedError
from ingest.models import ATTACHMENT_SEPARATOR, Outcome, Record, RunProgress, Source, SourceResult
from ingest.pipeline.context import Services
from ingest.pipeline.diff import Change, Stale, compare
from ingest.pipeline.stages import settle_sources


def settle_group(group: Group, job: Job, links: WorkerLinks) -> GroupResult:
    """Settle the sources of a group, as far as the run is not to end.

    Another worker may have begun with it and died: what it has settled is not done again. Raises
    ServiceError or ConfigError.
    """
    with use_session(group.number, job, links) as here:
        turn = here.groups.exclusive if group.is_isolated else here.groups.shared
        try:
            with turn():
                return settle_in_session(group, here)
        except StoppedError:
            here.run.stop.raise_fault()  # which says why
            raise


def settle_in_session(group: Group, session: Session) -> GroupResult:
    """The same, in a session."""
    records = load_source_records(group.sources, session.services)
    before = {record.source: record for record in records if record.run == session.job.run}
    if any(record.pending for record in before.values()):
        # It wrote a moment ago, and what is there is found out by a search that lags behind.
        session.links.release_slot()
        session.connections.retry_policy.wait(session.services.index.listing_lag)
    place = EngineSlot(group, session)
    suspects: list[Source] = []
    changes = compare(place.sources(), records, session.job.skip_rule)
    stale = set_aside_suspects(changes, None if group.is_isolated else suspects)
    ended: list[SourceResult] = []
    try:
        for event in settle_sources(session.root(group.root), stale, session.services, session.run):
            if isinstance(event, RunProgress):
                session.add_progress(group.number, event)
            elif isinstance(event, SourceResult):
                ended.append(restore_earlier_result(event, before, session, group.number))
            place.release_if_idle()
        session.run.stop.raise_fault()
    finally:
        place.close()
    advanced = session.progress[group.number]
    return GroupResult(group.number, tuple(ended), tuple(suspects), advanced, session.status())


@dataclass(slots=True)
class EngineSlot:
    """The place that a group takes up in the engine, until another one may have it."""

    group: Group
    session: Session
    taken_count: int = 0  # of its sources
    is_tail: bool = False
    is_released: bool = False

    def sources(self) -> Iterator[Source]:
        """The sources, until the run is to end."""
        for source in self.group.sources:
            if self.session.run.stop.is_requested():
                return
            self.taken_count += 1
            yield source

    def release_if_idle(self) -> None:
        """Let the engine begin another group where this one takes up nothing but time."""
        if self.is_released:
            return
        all_taken = self.taken_count == len(self.group.sources)
        self.is_tail = all_taken and self.session.tail_slots.acquire(blocking=False)
        # Who waits for the pacing must not keep the place in which it is to begin.
        if self.is_tail or self.session.links.is_waiting():
            self.is_released = True
            self.session.links.release_slot()

    def close(self) -> None:
        """The group has ended."""
        if self.is_tail:
            self.session.tail_slots.release()


def set_aside_suspects(
    changes: Iterable[Change], suspects: list[Source] | None
) -> Iterator[Stale | SourceResult]:
    """The changes without the suspects, which are kept for later; with them, if that is None."""
    for change in changes:
        if isinstance(change, Stale) and change.is_suspect and suspects is not None:
            suspects.append(change.source)
        elif isinstance(change, Stale | SourceResult):
            yield change


def load_source_records(sources: Sequence[Source], services: Services) -> list[Record]:
    """The records of these sources and of what is inside them, whole, in the order of the names."""

    def fetch_records(names: Sequence[tuple[str, str]]) -> list[Record]:
        calls: list[Future[Record | None]] = [
            services.write_threads.submit(services.index.record, *name) for name in names
        ]
        return [record for call in calls if (record := call.result())]

    own = fetch_records([source.key for source in sources])
    inside = fetch_records(
        [
            (record.root, f"{record.source}{ATTACHMENT_SEPARATOR}{name}")
            for record in own
            for name in record.details.attachments
        ]
    )
    return sorted((*own, *inside), key=lambda record: record.source)


def restore_earlier_result(
    result: SourceResult, earlier_records: dict[str, Record], session: Session, group_number: int
) -> SourceResult:
    """What became of a source in this run: another worker may have settled it."""
    record = earlier_records.get(result.source)
    if result.outcome is not Outcome.UNCHANGED or record is None:
        return result
    outcome = Outcome(record.outcome)
    # How much of a changed one was new has gone with the worker.
    new = outcome is Outcome.NEW
    chunks, tokens = (record.chunks, record.tokens) if new else (0, 0)
    session.add_progress(group_number, RunProgress(record.pages, chunks, tokens))
    return replace(result, outcome=outcome, embedded=chunks, tokens=tokens)
