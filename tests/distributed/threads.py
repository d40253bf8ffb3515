"""An engine without a cluster: its two workers are threads of this process."""

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
    """Runs groups on an Executor, as any engine does; the coordinator is an object here."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self.executor = executor
        self.free: SimpleQueue[str] = SimpleQueue()
        for who in WORKERS:
            self.free.put(who)
        self.coordinator: Coordinator | None = None
        self.begun = 0  # coordinators started
        self.after = math.inf  # permits, after which the first coordinator is lost
        self.groups: list[Group] = []  # submitted

    def submit(self, group: Group, job: Job) -> Future[GroupResult]:
        self.groups.append(group)
        return self.executor.submit(self.work, group, job)

    def work(self, group: Group, job: Job) -> GroupResult:
        who = self.free.get()
        try:
            return settle_group(group, job, WorkerLinks(who, self.asked))
        finally:
            self.free.put(who)

    def slots(self) -> int:
        return len(WORKERS)

    def start_coordinator(self, *arguments: Any) -> None:
        self.coordinator = Coordinator(*arguments)
        self.begun += 1

    def asked(self, method: str, *arguments: Any) -> Any:
        """Call the coordinator for a worker."""
        self.after -= method == "ask"
        if self.after < 0:
            self.after, self.coordinator = math.inf, None
        if self.coordinator is None:
            raise CoordinatorUnavailableError
        return getattr(self.coordinator, method)(*arguments)

    def call_coordinator(self, method: str, *arguments: Any) -> Any:
        if self.coordinator is None:
            raise ServiceError("the coordinator is lost")
        return getattr(self.coordinator, method)(*arguments)

    def end_run(self, run: str) -> None:
        session.end_session(run)


@contextmanager
def run_threads() -> Iterator[Threads]:
    """An engine, until the end of the context."""
    with ThreadPoolExecutor(len(WORKERS), "worker") as executor:
        yield Threads(executor)
        executor.shutdown(cancel_futures=True)
