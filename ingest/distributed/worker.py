"""Worker: run the stages of the pipeline on one group of sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from ingest.distributed.messages import Group, GroupResult, Job, WorkerLinks
from ingest.distributed.session import Session, use_session
from ingest.errors import DocumentError, ServiceError, StoppedError
from ingest.models import ATTACHMENT_SEPARATOR, Outcome, Record, RunProgress, Source, SourceResult
from ingest.pipeline.context import Services
from ingest.pipeline.diff import Change, Stale, compare
from ingest.pipeline.stages import settle_sources


def settle_group(group: Group, job: Job, links: WorkerLinks) -> GroupResult:
    """Settle the sources of a group, unless the run stops before.

    Sources that a lost worker settled are not done again. Raises ServiceError or ConfigError.
    """
    with use_session(group.number, job, links) as session:
        lock = session.groups.exclusive if group.is_isolated else session.groups.shared
        try:
            with lock():
                return settle_in_session(group, session)
        except StoppedError:
            session.run.stop.raise_fault()  # the cause, if there is one
            raise


def settle_in_session(group: Group, session: Session) -> GroupResult:
    """Settle a group with the services of an open session."""
    records = load_source_records(group.sources, session.services)
    before = {record.source: record for record in records if record.run == session.job.run}
    if any(record.pending for record in before.values()):
        # The lost worker wrote a moment ago, and the search for its chunks may lag behind.
        session.links.release_slot()
        session.connections.retry_policy.wait(session.services.index.listing_lag)
    slot = EngineSlot(group, session)
    suspects: list[Source] = []
    changes = compare(slot.sources(), records, session.job.skip_rule)
    stale = set_aside_suspects(changes, None if group.is_isolated else suspects)
    results: list[SourceResult] = []
    try:
        root = session.root(group.root)
        for event in settle_sources(
            root, stale, session.services, session.run, is_isolated=group.is_isolated
        ):
            if isinstance(event, RunProgress):
                session.add_progress(group.number, event)
            elif isinstance(event, SourceResult):
                results.append(restore_earlier_result(event, before, session, group.number))
            slot.release_if_idle()
        session.run.stop.raise_fault()
    finally:
        slot.close()
    progress = session.progress[group.number]
    return GroupResult(group.number, tuple(results), tuple(suspects), progress, session.status())


@dataclass(slots=True)
class EngineSlot:
    """Slot of the engine that a group occupies until another group may have it."""

    group: Group
    session: Session
    taken_count: int = 0  # of its sources
    is_tail: bool = False  # all sources are taken, and it holds one of the session's tail slots
    is_released: bool = False

    def sources(self) -> Iterator[Source]:
        """Yield the sources until the run stops."""
        for source in self.group.sources:
            if self.session.run.stop.is_requested():
                return
            self.taken_count += 1
            yield source

    def release_if_idle(self) -> None:
        """Let the engine start another group once this one only waits."""
        if self.is_released:
            return
        all_taken = self.taken_count == len(self.group.sources)
        self.is_tail = all_taken and self.session.tail_slots.acquire(blocking=False)
        # A new coordinator can only start in a free slot.
        if self.is_tail or self.session.links.is_waiting():
            self.is_released = True
            self.session.links.release_slot()

    def close(self) -> None:
        """End the group."""
        if self.is_tail:
            self.session.tail_slots.release()


def set_aside_suspects(
    changes: Iterable[Change], suspects: list[Source] | None
) -> Iterator[Stale | SourceResult]:
    """Yield stale sources and results; suspects go to the list, unless that is None."""
    for change in changes:
        if isinstance(change, Stale) and change.is_suspect and suspects is not None:
            suspects.append(change.source)
        elif isinstance(change, Stale | SourceResult):
            yield change


def load_source_records(sources: Sequence[Source], services: Services) -> list[Record]:
    """Load the records of sources and of their attachments, sorted by name."""

    def fetch_records(names: Sequence[tuple[str, str]]) -> list[Record]:
        calls: list[Future[Record | None]] = [
            services.write_threads.submit(services.index.record, *name) for name in names
        ]
        try:
            return [record for call in calls if (record := call.result())]
        except DocumentError as error:  # without its record, none of the group may be written
            raise ServiceError(str(error)) from error

    records = fetch_records([source.key for source in sources])
    attachments = fetch_records(
        [
            (record.root, f"{record.source}{ATTACHMENT_SEPARATOR}{name}")
            for record in records
            for name in record.details.attachments
        ]
    )
    return sorted((*records, *attachments), key=lambda record: record.source)


def restore_earlier_result(
    result: SourceResult, earlier_records: dict[str, Record], session: Session, group_number: int
) -> SourceResult:
    """Return the result that a lost worker had in this run, if it settled the source."""
    record = earlier_records.get(result.source)
    if result.outcome is not Outcome.UNCHANGED or record is None:
        return result
    outcome = Outcome(record.outcome)
    # The record does not show how many chunks of a changed source were new.
    is_new = outcome is Outcome.NEW
    chunks, tokens = (record.chunks, record.tokens) if is_new else (0, 0)
    session.add_progress(group_number, RunProgress(record.pages, chunks, tokens))
    return replace(result, outcome=outcome, embedded=chunks, tokens=tokens)
