"""An engine that is no cluster: two workers that are threads of this process."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

from ingest.distributed import session
from ingest.distributed.coordinator import Coordinator
from ingest.distributed.messages import (
    CoordinatorUnavailableError,
    Group,
    GroupResult,
    Job,
    WorkerLinks,
)
from ingest.distributed.worker import settle_group
from ingest.errors import ServiceError

WORKERS = ("a", "b")


class Threads:
    """Groups go to an Executor, as with any engine; the pacing is an object beside it."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self.executor = executor
        self.free: SimpleQueue[str] = SimpleQueue()
        for who in WORKERS:
            self.free.put(who)
        self.pacing: Coordinator | None = None
        self.begun = 0  # pacings
        self.after = math.inf  # so many turns, the first pacing is lost
        self.groups: list[Group] = []  # that were submitted
        self.silent = False  # what they come to does not arrive

    def submit(self, group: Group, job: Job) -> Future[GroupResult]:
        self.groups.append(group)
        done = self.executor.submit(self.work, group, job)
        return Future() if self.silent else done

    def work(self, group: Group, job: Job) -> GroupResult:
        who = self.free.get()
        try:
            return settle_group(group, job, WorkerLinks(who, self.asked))
        finally:
            self.free.put(who)

    def slots(self) -> int:
        return len(WORKERS)

    def start_coordinator(self, *arguments: Any) -> None:
        self.pacing = Coordinator(*arguments)
        self.begun += 1

    def asked(self, method: str, *arguments: Any) -> Any:
        """What a worker gets."""
        self.after -= method == "ask"
        if self.after < 0:
            self.after, self.pacing = math.inf, None
        if self.pacing is None:
            raise CoordinatorUnavailableError
        return getattr(self.pacing, method)(*arguments)

    def call_coordinator(self, method: str, *arguments: Any) -> Any:
        if self.pacing is None:
            raise ServiceError("the pacing is lost")
        return getattr(self.pacing, method)(*arguments)

    def has_lost_results(self) -> bool:
        return self.silent

    def end_run(self, run: str) -> None:
        session.end_session(run)


@contextmanager
def threads() -> Iterator[Threads]:
    """An engine, until the end of the block."""
    with ThreadPoolExecutor(len(WORKERS), "worker") as executor:
        yield Threads(executor)
        executor.shutdown(cancel_futures=True)
