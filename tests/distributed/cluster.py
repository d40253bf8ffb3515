"""A Dask cluster on this machine, each part of it a process of its own that can be killed."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from ingest.distributed import session
from tests.conftest import environment
from tests.distributed.fork_dask import run_dask
from tests.fork_server import fork
from tests.processes import PATIENCE, Started, wait_until

# Dask looks after itself up to a hundred times a second, also where nothing happens.
QUIET = {
    "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "10s",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "2s",
    "DASK_DISTRIBUTED__WORKER__MEMORY__MONITOR_INTERVAL": "2s",
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
}


@dataclass
class Cluster:
    """A scheduler and its workers, which sign in and reach services by this environment."""

    folder: Path  # where their files are
    environment: Mapping[str, str]
    scheduler: Started
    address: str
    workers: list[Started] = field(default_factory=list)

    def worker(self, *, nanny: bool = False, threads: int = 1, **more: str) -> Started:
        """Start one more worker; without a nanny, the process is the one that works."""
        number = len(self.workers)
        command = [
            *("worker", self.address, "--nthreads", str(threads), "--name", f"w{number}"),
            *("--no-dashboard", "--host", "127.0.0.1", "--nanny" if nanny else "--no-nanny"),
            *("--local-directory", str(self.folder)),
        ]
        started = start_dask(*command, cwd=self.folder, env={**self.environment, **more})
        self.workers.append(started)
        return started

    def scale(self, number: int) -> list[Started]:
        """Start or end workers until this many are running, and return them."""
        alive = [worker for worker in self.workers if worker.poll() is None]
        for extra in alive[number:]:
            kill(extra)
        alive = [*alive, *(self.worker() for _ in range(number - len(alive)))][:number]
        self.wait_for(number)
        return alive

    def wait_for(self, number: int) -> None:
        """Wait until exactly this many workers are running."""
        with self.client() as client:
            wait_until(
                lambda: len(client.scheduler_info(n_workers=-1)["workers"]) == number,
                f"{number} workers",
            )

    def client(self) -> Any:
        """Return a client of the cluster."""
        import distributed

        return distributed.Client(self.address, timeout=PATIENCE, set_as_default=False)

    def holding_actors(self) -> list[int]:
        """The processes that have an actor."""
        with self.client() as client:
            found = client.run(
                os.getpid, workers=client.run_on_scheduler(find_actor_workers) or ["none"]
            )
        return list(found.values())

    def owner(self, process: int) -> Started:
        """The worker, or its nanny, that a process belongs to."""
        return next(
            worker
            for worker in self.workers
            if process in (worker.pid, *find_descendants(worker.pid))
        )

    def empty(self) -> None:
        """Wait until neither the scheduler nor a worker keeps anything of a run."""
        with self.client() as client:

            def left() -> list[str]:
                on_workers = client.run(count_sessions)
                return [
                    *client.run_on_scheduler(list_kept),
                    *(f"{w}: {n}" for w, n in on_workers.items() if n),
                ]

            wait_until(lambda: not left(), lambda: f"nothing is left of any run: {left()}")

    def stopping(self) -> None:
        """Wait until every worker was asked to stop."""
        with self.client() as client:
            wait_until(
                lambda: all(client.run(are_sessions_stopping).values()), "all have heard of it"
            )

    def tasks(self) -> list[bytes]:
        """Each task that the scheduler has, and its result, if it has that."""
        with self.client() as client:
            done = client.run(dump_results)
            return [
                *client.run_on_scheduler(dump_tasks),
                *(one for some in done.values() for one in some),
            ]

    def close(self) -> None:
        """End all that was started."""
        for process in (*self.workers, self.scheduler):
            kill(process)


def find_actor_workers(dask_scheduler: Any) -> list[str]:
    """The addresses of workers that have an actor."""
    return [worker.address for worker in dask_scheduler.workers.values() if worker.actors]


def list_kept(dask_scheduler: Any) -> list[str]:
    """Return the tasks and variables that a scheduler keeps."""
    tasks = [
        f"{key} {task.state} wanted by {[each.client_key for each in task.who_wants or ()]}"
        for key, task in dask_scheduler.tasks.items()
    ]
    return [*tasks, *map(str, dask_scheduler.extensions["variables"].variables)]


def count_sessions() -> int:
    """Return how many sessions a worker has."""
    return len(session.SESSIONS)


def are_sessions_stopping() -> bool:
    """Return whether each session of a worker was asked to stop."""
    here = list(session.SESSIONS.values())
    return all(there.done() and there.result().run.stop.is_requested() for there in here)


def dump_tasks(dask_scheduler: Any) -> list[bytes]:
    """The tasks that a scheduler knows."""
    return [pickle.dumps(task.run_spec) for task in dask_scheduler.tasks.values()]


def dump_results(dask_worker: Any) -> list[bytes]:
    """Results that a worker keeps, except actors."""
    return [pickle.dumps(value) for value in dask_worker.data.values()]


@contextmanager
def run_cluster(folder: Path, environment: Mapping[str, str]) -> Iterator[Cluster]:
    """A scheduler at a free port, without a worker; all of it ends with the block."""
    where = folder / "scheduler.json"
    command = ("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    started = start_dask(*command, "--scheduler-file", str(where), cwd=folder, env=environment)
    made = Cluster(folder, environment, started, "")
    try:
        wait_until(lambda: scheduler_address(where), "a scheduler")
        made.address = scheduler_address(where)
        yield made
    finally:
        made.close()


def scheduler_address(file: Path) -> str:
    """Address that a scheduler has written to a file; "" while it has not."""
    try:
        return str(json.loads(file.read_text())["address"])
    except (FileNotFoundError, json.JSONDecodeError):
        return ""


def start_dask(*arguments: str, cwd: Path, env: Mapping[str, str]) -> Started:
    """A part of a cluster, in a group of its own; what it says goes to a file."""
    variables = {**environment(), **QUIET, **env}
    with (cwd / "dask.log").open("a") as log:
        if "PYTHONPATH" not in env:
            function = partial(run_dask, *arguments)
            return fork(function, cwd, variables, log.fileno(), log.fileno())
        return subprocess.Popen(  # the variable is read by the interpreter at its start
            [sys.executable, "-P", "-m", "dask", *arguments],
            cwd=cwd,
            env=variables,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def kill(process: Started) -> None:
    """Kill a process and those that it has started, however they are."""
    for one in (*find_descendants(process.pid), process.pid):
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    process.wait()


def find_descendants(process: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    try:
        return [child.pid for child in psutil.Process(process).children(recursive=True)]
    except psutil.NoSuchProcess:  # it has ended, and was waited for
        return []
