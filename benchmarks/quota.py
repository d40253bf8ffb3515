"""Share of a quota that a run uses, in real time: `ingest run` on the emulator, 350,000 TPM.

The emulator is a process of its own and answers as Azure does: it counts characters, not tokens,
and its minute begins with the first request after the last one ended. What is measured is what it
was charged, from the second to the last full minute, counted from the first request. With --share
there is a second run, beside a client that takes half of the quota in random spells, and of which
the run knows nothing. With --nodes, the runs are on clusters of so many nodes instead: workers of
Dask, each a process of its own, that have the quota together.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

from measure import INGEST, ROOT, spent, tell
from nodes import cluster
from picture import Use, picture

from tests.emulator.emulator import Azure, run_emulator
from tests.emulator.quotas import Refused
from tests.emulator.server import Request

MODEL = "text-embedding-3-small"
TPM, RPM = 350_000, 2_100
LATENCY, A_TOKEN = 0.06, 1e-4  # seconds of an answer, and for each token of it
MINUTES, SHARED, ON_NODES = 4, 6, 3  # of a run, the first of which is not measured
ENDING = 32  # seconds: to begin, and what a deadline keeps for settling what is under way
JOINING = 25  # seconds more, until all nodes of a cluster have begun
COPIED = ("handbook.pdf", "benefits/benefits-plan.pdf", "papers/two-column.pdf")
A_COPY = 13_000  # tokens of those, as the quota counts them, or a few more

HALF, OTHERS, SPELL = 0.5, 2_000, (15.0, 60.0)  # the second client's share, request and spells
ASKED = Request("POST", "/openai/v1/embeddings", {}, {}, b"")


@dataclass(frozen=True, slots=True)
class Charged:
    """Requests to the emulator; times are by its clock."""

    ours: list[tuple[float, int]]  # when, tokens
    refused: list[float]
    others: list[tuple[float, int]]
    others_refused: int


def main() -> None:
    """Measure and print."""
    options = parser().parse_args()
    if options.nodes:
        for nodes in options.nodes:
            measured(f"On {nodes} nodes", ON_NODES, nodes=nodes)
        return
    uses = [measured("Alone", MINUTES)]
    if options.share:
        uses.append(measured("Beside a client that takes half, in spells", SHARED, share=True))
    if options.plot:
        options.plot.write_text(picture(uses))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--share", action="store_true", help="a second run, beside another client")
    made.add_argument("--nodes", type=int, nargs="+", metavar="N", help="on clusters of N, instead")
    made.add_argument("--plot", type=Path, metavar="FILE", help="the quota's use over time, as SVG")
    return made


def measured(title: str, minutes: int, *, share: bool = False, nodes: int = 0) -> Use:
    """One run, and its figures."""
    print(title)
    with ExitStack() as opened:
        work = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        environment, seen = opened.enter_context(serving(share=share))
        copies(work / "docs", minutes)
        more = {"AZURE_OPENAI_EMBEDDING_MODEL": MODEL} | environment
        told = [f"{name}={value}" for name, value in more.items()]
        deadline = f"{60 * minutes + ENDING + (JOINING if nodes else 0)}s"
        command = ["env", *told, INGEST, "run", "docs", "--deadline", deadline, "-q"]
        if nodes:
            command += ["--engine", opened.enter_context(cluster(nodes, more)).address]
        took = spent(command, work)
        seen.send("charged")
        charged: Charged = seen.recv()
    began = charged.ours[0][0]
    figures(charged, began, goals(share=share, nodes=nodes))
    tell("CPU of the run", f"{took.cpu:.1f} s", f"in {took.wall:.0f} s")
    return Use(
        title,
        TPM,
        [(at - began, tokens) for at, tokens in charged.ours],
        [at - began for at in charged.refused],
        [(at - began, tokens) for at, tokens in charged.others],
    )


def goals(*, share: bool, nodes: int) -> tuple[str, str]:
    """Targets: the minimum share used, and the maximum share refused."""
    if share:
        return "0.90", "3 %"
    return ("0.95", "1 %") if nodes else ("0.97", "0.5 %")


def figures(charged: Charged, began: float, goals: tuple[str, str]) -> None:
    """Tokens charged in the steady minutes, and requests refused in all of them."""
    minutes = int((charged.ours[-1][0] - began) / 60)
    steady, length = (began + 60, began + 60 * minutes), minutes - 1
    ours, others = within(charged.ours, *steady), within(charged.others, *steady)
    used = sum(ours) / (TPM * length - sum(others))
    asked, refused = len(charged.ours) + len(charged.refused), len(charged.refused)
    goal, most = goals

    tell("steady minutes", f"2 to {minutes}", "counted from the first request")
    tell("tokens a minute, charged", f"{sum(ours) / length:,.0f}", f"of {TPM:,}")
    if others:
        tell("the other's", f"{sum(others) / length:,.0f}", f"{charged.others_refused} refused")
    tell("tokens / what there was for us", f"{used:.3f}", f"target >= {goal}")
    tell("refused", f"{100 * refused / asked:.2f} %", f"{refused} of {asked:,}; target <= {most}")
    tell("requests a minute", f"{len(ours) / length:.0f}")


def within(requests: list[tuple[float, int]], start: float, end: float) -> list[int]:
    """The tokens of each request in a stretch of time."""
    return [tokens for at, tokens in requests if start <= at < end]


def copies(folder: Path, minutes: int) -> None:
    """Copies of the samples: more than the quota lets through, so that the deadline ends a run."""
    for number in range(-(-TPM * (minutes + 1) // A_COPY)):
        for name in COPIED:
            target = folder / f"{number:03}" / Path(name).name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / "data" / name, target)


@contextmanager
def serving(*, share: bool) -> Iterator[tuple[dict[str, str], Connection]]:
    """The emulator in a process of its own: the environment of a client, and what to ask it."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=serve, args=(theirs, share))
    process.start()
    try:
        yield ours.recv(), ours
    finally:
        ours.send("end")
        process.join()


def serve(pipe: Connection, share: bool) -> None:  # noqa: FBT001 - Process passes it on
    """The emulator's process."""
    with run_emulator() as azure:
        azure.openai.tpm, azure.openai.rpm = TPM, RPM
        azure.openai.latency = azure.search.latency = LATENCY
        azure.openai.latency_per_token = A_TOKEN
        others: list[tuple[float, int]] = []
        refused: list[float] = []
        ended = threading.Event()
        other = threading.Thread(target=greedy, args=(azure, others, refused, ended))
        if share:
            other.start()
        pipe.send(azure.environment)
        while pipe.recv() != "end":
            ours = [(request.at, request.estimated) for request in azure.openai.requests]
            pipe.send(Charged(ours, azure.openai.throttled, others, len(refused)))
        ended.set()


def greedy(
    azure: Azure, taken: list[tuple[float, int]], refused: list[float], ended: threading.Event
) -> None:
    """A client that takes half of the quota in spells, at an even rate, and between them rests."""
    draw = Random(2)
    pause = OTHERS / (HALF * TPM / 60)
    while not ended.wait(draw.uniform(*SPELL)):
        rests = time.monotonic() + draw.uniform(*SPELL)
        while time.monotonic() < rests and not ended.wait(pause):
            try:
                azure.openai.admit(OTHERS, ASKED)
            except Refused:
                refused.append(azure.clock.now())
            else:
                taken.append((azure.clock.now(), OTHERS))


if __name__ == "__main__":
    main()
