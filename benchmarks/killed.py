"""Tokens paid twice if a run is killed at a random moment, at quotas of real deployments.

    benchmarks/killed.py [KILLS [SETTING]]

The real command against the emulator: a job is begun, killed at a moment between its first request
and the time that an undisturbed run takes, and done to its end by the next run; three times, each
with an index of its own. Each text that the service embedded more than once was paid twice. With
the journal, as on one machine, and without, as in containers, whose files end with them. An answer
takes 0.1 s and 0.1 ms a token, and more on a busy machine: then more is on its way, and lost.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import mean

from measure import INGEST, tell

from ingest.chunk.tokens import count_tokens
from tests.emulator.emulator import Azure, run_emulator
from tests.pdfs import prose, write

KILLS = 3
LATENCY, LATENCY_PER_TOKEN = 0.1, 1e-4  # seconds
PAGES, SENTENCES = 20, 12  # of a document: about 7,000 tokens
POLL_SECONDS, START_SECONDS = 0.02, 120.0


@dataclass(frozen=True, slots=True)
class Setting:
    """A quota in tokens per minute, what the service says of it, and the size of the job."""

    title: str
    tpm: int | None
    headers: Sequence[str]
    documents: int
    environment: Mapping[str, str]


SETTINGS = (
    Setting("350k TPM, headers", 350_000, ("limit", "remaining"), 120, {}),
    Setting("30k TPM, headers", 30_000, ("limit", "remaining"), 10, {}),
    Setting("no quota, no headers", None, (), 40, {}),
)


def main() -> None:
    """Measure and print."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    chosen = [each for each in SETTINGS if each.title in sys.argv[2:]] or SETTINGS
    for setting in chosen:
        with tempfile.TemporaryDirectory() as folder, run_emulator() as azure:
            azure.openai.latency, azure.openai.latency_per_token = LATENCY, LATENCY_PER_TOKEN
            measure(setting, azure, Path(folder), kills)


def measure(setting: Setting, azure: Azure, folder: Path, kills: int) -> None:
    """Measure and print the figures of one setting."""
    for number in range(setting.documents):
        pages = (prose(f"subject {number} {page}", SENTENCES) for page in range(PAGES))
        write(folder / f"docs/{number:03}.pdf", *pages)
    azure.openai.tpm, azure.openai.rate_headers = setting.tpm, tuple(setting.headers)
    run(setting, azure, folder, "calm")
    times = [request.at for request in azure.openai.requests]
    seconds = times[-1] - times[0]
    for title, journal in (("with the journal", str(folder / "journal")), ("without", "off")):
        random, shares, twice = Random(kills), [], 0
        for number in range(kills):
            begin(azure)
            index = f"{title.replace(' ', '-')}-{number}"
            run(setting, azure, folder, index, random.uniform(0, seconds), journal)
            run(setting, azure, folder, index, journal=journal)
            paid = count_paid_twice(azure)
            twice += paid
            shares.append(paid / sum(count_tokens(list(azure.openai.texts))))
        tell(
            f"{setting.title}, {title}",
            f"{100 * mean(shares):.2f} %",
            f"{twice / kills:,.0f} tokens a kill, at most {100 * max(shares):.2f} %; jobs of "
            f"{sum(count_tokens(list(azure.openai.texts))):,} tokens in {seconds:.0f} s",
        )


def count_paid_twice(azure: Azure) -> int:
    """Count the tokens of texts that were embedded before."""
    repeated = azure.openai.repeated
    counts = zip(count_tokens(list(repeated)), repeated.values(), strict=True)
    return sum(tokens * (often - 1) for tokens, often in counts)


def begin(azure: Azure) -> None:
    """Forget what was embedded, and let every window of the quota end."""
    azure.openai.requests.clear()
    azure.openai.texts.clear()
    azure.clock.advance(3600)


def run(  # noqa: PLR0913, PLR0917 - a run and its end
    setting: Setting,
    azure: Azure,
    folder: Path,
    index: str,
    kill_after: float | None = None,
    journal: str = "off",
) -> None:
    """Run to the end, or kill it so many seconds after its first request."""
    named = {
        "AZURE_SEARCH_INDEX": index,
        "INGEST_JOURNAL": journal,
        "AZURE_OPENAI_EMBEDDING_MODEL": "text-embedding-3-large",  # so that none asks for it
    }
    before = len(azure.openai.requests)
    process = subprocess.Popen(
        [INGEST, "run", str(folder / "docs"), "--quiet"],
        env={**os.environ, **azure.environment, **setting.environment, **named},
        start_new_session=True,
        stderr=subprocess.PIPE,
    )
    if kill_after is not None:
        ends = time.monotonic() + START_SECONDS
        while len(azure.openai.requests) == before and time.monotonic() < ends:
            time.sleep(POLL_SECONDS)
        time.sleep(kill_after)
        os.killpg(process.pid, signal.SIGKILL)
    _, errors = process.communicate()
    if kill_after is None and process.returncode:
        print(errors.decode())


if __name__ == "__main__":
    main()
