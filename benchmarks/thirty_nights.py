"""A month of a nightly job, in minutes: `ingest run` on an archive, with all that goes wrong.

Each night PDFs are added, edited, renamed and deleted. In the course of the month one is locked,
one is damaged and mended later, the model is out of service, the job is killed with -9, the quota
drops while the deadline is short, and 5 to 10 % of all requests fail. Nights are a day apart by the
clock of the services and in the ids of runs; waits for services pass twenty times as fast.

At the end the index must equal that of a fresh run, but for documents that are broken, and the
tokens that were paid must be at most 1.02 times those of all texts that ever were new to it. The
log of one night is printed, since somebody reads it at three in the morning.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from measure import ROOT, tell

from ingest.chunk.tokens import count_tokens
from ingest.cli import run as run_module
from ingest.cli import run_command, watchdog
from ingest.cli.parser import build_parser
from ingest.config import factory
from ingest.config.connections import create_connections
from tests.conftest import drop_times, environment
from tests.emulator.emulator import Azure, run_emulator
from tests.emulator.faults import drop, fail_with
from tests.fork_readers import fork_readers
from tests.pdfs import prose, set_age, write

NIGHTS, FIRST_DOCUMENTS = 30, 30
LOCKED, DAMAGED, OUTAGE, KILLED, MENDED = 3, 5, 8, 12, 20  # nights
SHORT = (15, 16, 17)  # nights with little quota and a short deadline
SHOWN = 6  # the night whose log is printed
SHORT_TPM, SHORT_DEADLINE = 6_000, "20s"
DAY_SECONDS, SPEED = 86_400, 20.0
TARGET = 1.02  # tokens paid, relative to tokens new to the index
# Of requests whose work is done and whose answer is lost, the service bills the next one, too.
UNPAID_FAULTS = ("lost", "truncated", "empty")
SETTINGS = {
    "AZURE_OPENAI_EMBEDDING_MODEL": "text-embedding-3-large",
    "INGEST_CHUNK_TOKENS": "64",
    "INGEST_EMBED_INPUTS": "6",
    "INGEST_WORKERS": "2",
    "INGEST_GRACE_SECONDS": "3",
    "INGEST_EXIT_OK": "known",
}


@dataclass
class Night:
    """Result of one night."""

    number: int
    code: int
    seconds: float
    log: str
    paid: int  # tokens
    requests: int

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines of its log."""
        return [json.loads(line) for line in self.log.splitlines()]

    @property
    def end(self) -> Mapping[str, Any]:
        """The last line; empty if the job was killed."""
        return next((line for line in self.lines if line["event"] == "end"), {})


class NightTime:
    """The module `time`, in a certain night where it tells the date."""

    def __init__(self, number: int) -> None:
        self.begins = time.time() - (NIGHTS - number) * DAY_SECONDS

    def gmtime(self) -> time.struct_time:
        """The date of the night."""
        return time.gmtime(self.begins)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@dataclass
class Archive:
    """A folder of PDFs that changes every night."""

    folder: Path
    random: Random = field(default_factory=lambda: Random(21))
    numbers: Iterator[int] = field(default_factory=itertools.count)
    pages: dict[str, list[str]] = field(default_factory=dict)  # texts, by name

    def add(self) -> None:
        """Add a document."""
        number = next(self.numbers)
        count = self.random.randint(1, 4)
        self.save(f"{number:03}.pdf", [prose(f"topic {number} {page}", 8) for page in range(count)])

    def save(self, name: str, pages: list[str]) -> None:
        """Write a document."""
        self.pages[name] = pages
        write(self.folder / name, *pages)

    def change(self, number: int) -> None:
        """Do what people do with an archive in a day."""
        for _ in range(FIRST_DOCUMENTS if number == 1 else 2):
            self.add()
        if number > 1:
            gone, renamed, *edited = self.random.sample(sorted(self.pages), 4)
            (self.folder / gone).unlink()
            del self.pages[gone]
            (self.folder / renamed).unlink()
            self.save(f"{renamed.removesuffix('.pdf')}-{number}.pdf", self.pages.pop(renamed))
            for name in edited:
                self.save(name, [*self.pages[name], prose(f"edit {number} of {name}", 4)])
        if number == LOCKED:
            shutil.copy(ROOT / "tests/data/broken/needs-password.pdf", self.folder / "locked.pdf")
            set_age(self.folder / "locked.pdf")
        if number == DAMAGED:
            write(self.folder / "tonight.pdf", prose("a document that breaks", 8))
        if number == DAMAGED + 1:
            (self.folder / "tonight.pdf").write_bytes(b"%PDF-1.7 and no more")
            set_age(self.folder / "tonight.pdf")
        if number == MENDED:
            write(self.folder / "tonight.pdf", prose("a document that was mended", 8))


def main() -> None:
    """Measure and print."""
    options = parser().parse_args()
    if options.child:
        sys.exit(call_run(options.child, SPEED))
    fork_readers()
    with tempfile.TemporaryDirectory() as folder, run_emulator(dimensions=16) as azure:
        os.chdir(folder)
        os.environ.update(environment() | azure.environment | SETTINGS)
        archive = Archive(Path(folder) / "archive")
        nights = [pass_night(n, archive, azure) for n in range(1, options.nights + 1)]
        azure.faults.quiet()
        azure.clock.advance(DAY_SECONDS)
        report(nights, azure, find_differences(azure, archive))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--nights", type=int, default=NIGHTS, metavar="N", help="of the month (30)")
    made.add_argument("--child", type=int, default=0, help=argparse.SUPPRESS)  # night to be killed
    return made


def pass_night(number: int, archive: Archive, azure: Azure) -> Night:
    """Change the archive, and run the job on it."""
    archive.change(number)
    azure.clock.advance(DAY_SECONDS)
    azure.faults.quiet()
    azure.faults.randomly(archive.random.uniform(0.05, 0.1), number, without=UNPAID_FAULTS)
    azure.faults.add(drop(), "search", "POST", "docs/search.index", nth=number)
    # A second of a busy machine is twenty of that clock: only an outage is given up.
    os.environ["INGEST_RETRY_SECONDS"] = "60" if number == OUTAGE else "3600"
    if number == OUTAGE:
        azure.faults.add(fail_with(503), "openai")
    azure.openai.tpm = SHORT_TPM if number in SHORT else None
    paid, requests, started = count_paid(azure), len(azure.exchanges), time.monotonic()
    if number == KILLED:
        code, log = kill_run(number, azure)
    else:
        deadline = SHORT_DEADLINE if number in SHORT else ""
        code, log = log_run(number, 1.0 if number in SHORT else SPEED, deadline)
    seconds = time.monotonic() - started
    night = Night(
        number, code, seconds, log, count_paid(azure) - paid, len(azure.exchanges) - requests
    )
    print(describe_night(night), flush=True)
    return night


def log_run(number: int, speed: float, deadline: str = "") -> tuple[int, str]:
    """Run the job in this process; its exit code and its log."""
    with redirect_stderr(io.StringIO()) as log, redirect_stdout(io.StringIO()):
        code = call_run(number, speed, deadline)
    return code, log.getvalue()


def call_run(number: int, speed: float, deadline: str = "") -> int:
    """Run the command in a night, with a clock that runs faster."""
    arguments = ["run", "archive=archive", "--log", "json"]
    arguments += ["--deadline", deadline] if deadline else []
    with night_time(number, speed):
        return run_command(build_parser().parse_args(arguments))


@contextmanager
def night_time(number: int, speed: float) -> Iterator[None]:
    """Let runs begin in a certain night, and waits for services pass faster."""
    hurried = partial(
        create_connections,
        clock=lambda: time.monotonic() * speed,
        sleep=lambda seconds: time.sleep(seconds / speed),
    )
    replaced = {
        (factory, "time"): NightTime(number),
        (run_module, "create_connections"): hurried,
        (watchdog, "exit_within"): lambda *_: None,  # it would end all nights
    }
    before = {(module, name): vars(module)[name] for module, name in replaced}
    try:
        for (module, name), value in replaced.items():
            vars(module)[name] = value
        yield
    finally:
        for (module, name), value in before.items():
            vars(module)[name] = value


def kill_run(number: int, azure: Azure) -> tuple[int, str]:
    """Run the job in a process of its own, and kill it once it has embedded something."""
    before = len(azure.openai.requests)
    azure.openai.latency = 0.2
    process = subprocess.Popen(
        [sys.executable, __file__, "--child", str(number)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and len(azure.openai.requests) <= before:
        time.sleep(0.02)
    process.kill()
    _, log = process.communicate()
    azure.openai.latency = 0.0
    return process.returncode, log


def count_paid(azure: Azure) -> int:
    """Count the tokens that the service has billed so far."""
    return sum(request.tokens for request in list(azure.openai.requests))


def find_differences(azure: Azure, archive: Archive) -> list[str]:
    """Compare the index with that of a fresh run, and have it checked."""
    name = os.environ["AZURE_SEARCH_INDEX"]
    for _ in range(2):  # what is left from the last night, then nothing
        code, _ = log_run(NIGHTS + 1, SPEED)
        azure.clock.advance(DAY_SECONDS)
    os.environ["AZURE_SEARCH_INDEX"] = "fresh"
    log_run(NIGHTS + 1, SPEED)
    os.environ["AZURE_SEARCH_INDEX"] = name
    azure.search.settle()
    found, wanted = contents(azure, name), contents(azure, "fresh")
    missing = [f"missing: {key}" for key in wanted.keys() - found.keys()]
    surplus = [f"surplus: {key}" for key in found.keys() - wanted.keys()]
    other = [
        f"{key}: {field_} {str(found[key].get(field_))[:60]} != {str(value)[:60]}"
        for key in found.keys() & wanted.keys()
        for field_, value in wanted[key].items()
        if found[key].get(field_) != value
    ]
    orphans = [
        f"{document['source']} is no file"
        for document in found.values()
        if document["kind"] == "source" and document["source"] not in archive.pages
    ]
    return missing + surplus + other + orphans + ([f"exit code {code}"] if code else [])


def contents(azure: Azure, name: str) -> dict[str, dict[str, Any]]:
    """Chunks, and records of the documents that are not broken, without what tells of runs."""
    documents = drop_times(azure.search.dump(name))
    broken_names = {"locked.pdf", "tonight.pdf"}
    return {
        key: {k: v for k, v in document.items() if k not in {"attempts", "outcome"}}
        for key, document in documents.items()
        if document.get("kind") in {"chunk", "source"}
        and document.get("source") not in broken_names
    }


def describe_night(night: Night) -> str:
    """Describe a night in one line."""
    levels = [line["level"] for line in night.lines]
    end = night.end
    return (
        f"night {night.number:2}  exit {night.code:3} ({end.get('exit', '-')})  "
        f"{night.seconds:5.1f} s  {night.requests:4} requests  {end.get('retries', 0):3} repeated  "
        f"{night.paid:5} tokens  problems {end.get('new_problems', '-')} new "
        f"{end.get('known_problems', '-')} known  {levels.count('warning')} warnings "
        f"{levels.count('error')} errors"
    )


def report(nights: list[Night], azure: Azure, differences: list[str]) -> None:
    """Print the figures, and the log of one night."""
    for night in nights:
        if night.number == SHOWN:
            print(f"\nThe log of night {SHOWN}:\n\n{night.log}")
    new = sum(count_tokens(list(azure.openai.texts)))
    ratio = sum(night.paid for night in nights) / new
    said = Counter(
        re.sub(r"[\d.,]+", "N", line["message"])
        for night in nights
        for line in night.lines
        if line["level"] in {"warning", "error"}
    )
    print("\nWarnings and errors of the month, with N for each number:\n")
    print("\n".join(f"{count:4}  {text[:200]}" for text, count in said.most_common()), "\n")
    tell("tokens paid, relative to tokens new to the index", f"{ratio:.3f}", f"≤ {TARGET}")
    tell("differences to the index of a fresh run", str(len(differences)), "0")
    tell("warnings and errors in the month", str(said.total()))
    print("\n".join(differences[:20]))


if __name__ == "__main__":
    main()
