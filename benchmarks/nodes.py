"""A cluster on this machine: a scheduler, and worker nodes that are processes kept to one core."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import distributed
from measure import ROOT

from tests.emulator.emulator import Azure, run_emulator

ENDING = 10.0  # seconds for a process to end that was asked to
COMING = 30.0  # seconds for workers to be there
TICKS = os.sysconf("SC_CLK_TCK")  # of CPU, a second


@dataclass(slots=True)
class Cluster:
    """Address and processes of a cluster."""

    address: str
    scheduler: int  # process
    nodes: list[int] = field(default_factory=list)  # processes, each with its descendants

    def cpu(self) -> tuple[float, float]:
        """Seconds that the scheduler and the nodes have used."""
        return used(self.scheduler), sum(map(used, self.nodes))


@contextmanager
def cluster(
    nodes: int, environment: Mapping[str, str] | None = None, threads: int = 1
) -> Iterator[Cluster]:
    """A scheduler and so many nodes, the first on the first core and so on, around and around."""
    cores = sorted(os.sched_getaffinity(0))
    dask = [sys.executable, "-m", "distributed.cli.dask_"]
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        whole = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
        # Compiled modules are kept, as they are for a user.
        whole |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
        file = folder / "scheduler.json"
        common = ["--scheduler-file", str(file), "--no-dashboard"]

        def started(what: str, *arguments: str, core: int | None = None) -> int:
            command = [*dask[:2], dask[2] + what, *common, *arguments]
            with (folder / "log").open("a") as log, kept_to(core):
                process = subprocess.Popen(command, cwd=folder, env=whole, stdout=log, stderr=log)
            opened.callback(ended, process)
            return process.pid

        scheduler = started("scheduler", "--host", "127.0.0.1", "--port", "0")
        local = [
            "--nthreads",
            str(threads),
            "--host",
            "127.0.0.1",
            "--local-directory",
            str(folder),
        ]
        while not file.exists():
            time.sleep(0.05)
        made = [
            started("worker", *local, "--name", f"node-{n}", core=cores[n % len(cores)])
            for n in range(nodes)
        ]
        with distributed.Client(scheduler_file=str(file), set_as_default=False) as client:
            client.wait_for_workers(nodes, timeout=COMING)
            address = client.scheduler.address
        yield Cluster(address, scheduler, made)


@contextmanager
def kept_to(core: int | None) -> Iterator[None]:
    """Pin the processes that this thread starts meanwhile to one core."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def ended(process: subprocess.Popen[Any]) -> None:
    """End a process, by force if it does not heed a word."""
    process.terminate()
    try:
        process.wait(ENDING)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def used(process: int) -> float:
    """CPU seconds of a process and its living descendants, and of the dead ones it waited for."""
    try:
        ticks = sum(map(int, stat(process)[11:15]))
        threads = Path(f"/proc/{process}/task").glob("*/children")
        children = [int(child) for path in threads for child in path.read_text().split()]
    except FileNotFoundError:
        return 0.0
    return ticks / TICKS + sum(map(used, children))


def stat(process: int) -> list[str]:
    """Statistics of a process from the kernel, from its state on."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


@contextmanager
def served(
    serve: Callable[[Azure], Any], **chosen: Any
) -> Iterator[tuple[dict[str, str], Callable[[], Any]]]:
    """The emulator in a process of its own: the environment of a client, and what `serve` told.

    `serve` is called once, to set it up, and gives what is asked each time.
    """
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=serving, args=(theirs, serve, chosen))
    process.start()

    def told() -> Any:
        ours.send("what")
        return ours.recv()

    try:
        yield ours.recv(), told
    finally:
        ours.send("end")
        process.join()


def serving(pipe: Connection, serve: Callable[[Azure], Callable[[], Any]], chosen: Any) -> None:
    """The emulator's process."""
    with run_emulator(**chosen) as azure:
        told = serve(azure)
        pipe.send(azure.environment)
        while pipe.recv() != "end":
            pipe.send(told())
