"""Cost of looking for the vectors of texts before paying for them: paired runs.

One-page PDFs that no index knows, so that every look-up is in vain: a first run, into a new index;
and the worst case, an addition to an index that has others. Of each pair of runs, one looks up and
the other does not; which of them is first alternates. On an emulated service, a process of its own,
whose answers take as long as a service's; and on an index in a folder, with the model of this
machine. The wall time of a service's run is that of its answers, so that it means something on a
busy machine, unlike that of a run in a folder, whose CPU counts.

    benchmarks/lookups.py [PAIRS]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from random import Random
from statistics import mean

from azure_run import serving
from measure import LONG_AGO, note, small_pdf, tell, typical

from ingest.config.factory import open_services
from ingest.config.settings import build_settings
from ingest.pipeline.context import Run
from ingest.pipeline.recent_vectors import RecentVectors
from ingest.pipeline.root import ingest_root
from ingest.sources.folder import parse_folder_roots

PAIRS = 7
SERVICE_DOCUMENTS, LOCAL_DOCUMENTS = 300, 40  # of a run
LATENCY = 0.3  # seconds, of each answer of the service
# So that the answers make a run as long as one of many more documents.
SMALL = {"INGEST_EMBED_INPUTS": "4", "INGEST_EMBED_AT_ONCE": "4", "INGEST_JOURNAL": "off"}
SAMPLES = 2000  # of the bootstrap


class NoVectors(RecentVectors):
    """A cache that neither keeps vectors nor has dropped any: for runs without look-ups."""

    def may_have_dropped(self, _: str) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Took:
    """The seconds of a run, and the CPU seconds of its main process."""

    wall: float
    cpu: float


def main() -> None:
    """Measure and print."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS
    with tempfile.TemporaryDirectory() as folder, serving(LATENCY) as (environment, _):
        for is_first in (True, False):
            kind = "first run" if is_first else "addition"
            local, remote = (Path(folder) / f"{kind} {place}" for place in ("local", "remote"))
            compare(f"{kind}, service", remote, environment, pairs, is_first=is_first)
            compare(f"{kind}, folder", local, {}, pairs, is_first=is_first)


def compare(
    title: str, folder: Path, environment: Mapping[str, str], pairs: int, *, is_first: bool
) -> None:
    """Measure pairs of runs, and print what the look-ups add."""
    folder.mkdir()
    numbers = count()
    if not is_first:
        take(folder, numbers, environment, looks=True, index="all")  # there are others
    with_: list[Took] = []
    without: list[Took] = []
    for pair in range(pairs):
        for looks in (True, False) if pair % 2 else (False, True):
            index = f"n{next(numbers)}" if is_first else "all"
            took = take(folder, numbers, environment, looks=looks, index=index)
            (with_ if looks else without).append(took)
    for what in ("wall", "cpu"):
        added = [
            getattr(a, what) / getattr(b, what) - 1 for a, b in zip(with_, without, strict=True)
        ]
        low, high = interval(added)
        tell(
            f"{title}: {what}",
            f"{100 * mean(added):+.1f} %",
            f"[{100 * low:+.1f}, {100 * high:+.1f}]; "
            f"{typical([getattr(each, what) for each in without]):.2f} s without",
        )


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean, by the bootstrap."""
    random = Random(1)
    means = sorted(mean(random.choices(values, k=len(values))) for _ in range(SAMPLES))
    return means[SAMPLES // 40], means[-SAMPLES // 40 - 1]


def take(
    folder: Path, numbers: Iterator[int], environment: Mapping[str, str], *, looks: bool, index: str
) -> Took:
    """One run over new documents."""
    documents = folder / f"docs{next(numbers)}"
    documents.mkdir()
    for _ in range(SERVICE_DOCUMENTS if environment else LOCAL_DOCUMENTS):
        number = next(numbers)
        path = documents / f"note-{number:06}.pdf"
        path.write_bytes(small_pdf(note(number)))
        os.utime(path, (LONG_AGO, LONG_AGO))
    named = {"AZURE_SEARCH_INDEX": f"lookups-{folder.name.replace(' ', '-')}-{index}"}
    model = {"AZURE_OPENAI_EMBEDDING_MODEL": "text-embedding-3-small"}
    place = {**named, **model} if environment else {"INGEST_INDEX": str(folder / index)}
    os.environ |= environment
    settings = build_settings({**environment, **place, **SMALL}, {})
    run = Run(f"run {next(numbers)}")
    (root,) = parse_folder_roots([str(documents)])
    with open_services(settings, run.stop, write=True) as opened:
        services = opened
        services.reader.threads.submit(services.reader.warm_up).result()
        services.embedder.open()
        if not looks:
            services.index.is_new = True
            services = replace(services, recent_vectors=NoVectors())
        wall, cpu = time.perf_counter(), time.process_time()
        for event in ingest_root(root, services, run):
            assert event is not None
        return Took(time.perf_counter() - wall, time.process_time() - cpu)


if __name__ == "__main__":
    main()
