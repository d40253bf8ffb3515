"""Size and concurrency of requests to Azure, against the emulator on this machine.

Copies of the samples, 60 ms latency, no quota, 1,536 dimensions. The emulator is a process of its
own on a core of its own; the run has the others, and all that is compared with it has the same. The
baselines are the same work done alone, in the same run: reading all documents with the same
children, and embedding all chunks in full requests, as many at once.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeGuard

from measure import ROOT, tell, wall

from ingest.config.factory import open_services
from ingest.config.settings import Settings, build_settings
from ingest.embed.batch import fill_batches
from ingest.models import Chunk, Source
from ingest.pipeline.context import Run, Services
from ingest.pipeline.diff import Stale
from ingest.pipeline.root import ingest_root
from ingest.sources.folder import parse_folder_roots
from tests.emulator.emulator import run_emulator

PAGES = {"auto": 12_000, "pypdf": 2_000}
LATENCY = 0.06  # seconds
DIMENSIONS = 1536
COPIED = ("handbook.pdf", "benefits/benefits-plan.pdf", "papers/two-column.pdf")
PAGES_COPIED = 43 + 7 + 4


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests that the emulator received."""

    embedded: list[tuple[int, int]]  # inputs and tokens of each request
    uploaded: list[int]  # actions in each request
    cpu: float  # seconds that the emulator has used


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, serving() as (environment, counts):
        keep_to(slice(None, -1))
        os.environ |= environment
        for extractor, pages in PAGES.items():
            work = Path(folder) / extractor
            documents = copies(work, pages)
            print(f"{pages:,} pages read by: {extractor}")
            run_all(work, documents, chosen(environment, extractor), counts)


def keep_to(part: slice) -> None:
    """Let this process and its children run on some of the cores only, where there are several."""
    if hasattr(os, "sched_setaffinity"):
        mine = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, mine[part] or mine)


def run_all(work: Path, documents: int, to: Settings, counts: Callable[[], Counts]) -> None:
    """The run, and what it is compared with."""
    run = Run("benchmark")
    (root,) = parse_folder_roots([str(work)])
    with open_services(to, run.stop, write=True) as all_:
        warm(all_)
        model_room = all_.embedder.room()
        chunks: list[Chunk] = []
        reading = wall(lambda: chunks.extend(read(work, all_)))
        embedding = wall(lambda: embed(chunks, all_))
        before, ours = counts(), time.process_time()
        whole = wall(lambda: list(ingest_root(root, all_, run)))
        ours, after = time.process_time() - ours, counts()
    embedded = after.embedded[len(before.embedded) :]
    uploaded = after.uploaded[len(before.uploaded) :]
    tokens = sum(chunk.tokens for chunk in chunks)
    slower = max(reading, embedding)
    theirs = after.cpu - before.cpu
    tell("documents, chunks, tokens", f"{documents:,}, {len(chunks):,}, {tokens:,}")
    tell("reading alone", f"{reading:.2f} s")
    tell("embedding alone", f"{embedding:.2f} s")
    tell("run", f"{whole:.2f} s")
    tell("pages a second, of reading alone", f"{reading / whole:.2f}", "target >= 0.85")
    tell("run / slower of the two", f"{whole / slower:.2f}", "target <= 1.15")
    tell("CPU of the main process, of the emulator", f"{ours:.2f} s, {theirs:.2f} s")
    fill = sum(n for _, n in embedded) / (model_room * max(1, len(embedded)))
    tell(f"fill of embedding requests of {model_room:,}", f"{fill:.3f}", "target >= 0.90")
    per = 1000 / max(1, len(chunks))
    tell("embedding requests per 1,000 chunks", f"{len(embedded) * per:.1f}")
    tell("uploads per 1,000 chunks", f"{len(uploaded) * per:.1f}")
    billed = sum(n for _, n in embedded)
    tell("tokens billed / tokens of the chunks", f"{billed / max(1, tokens):.4f}", "target 1.00")


def copies(folder: Path, pages: int) -> int:
    """Copies of the samples, until there are enough pages; returns how many documents."""
    count = -(-pages // PAGES_COPIED)
    for number in range(count):
        for name in COPIED:
            target = folder / f"{number:03}" / Path(name).name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / "data" / name, target)
    return count * len(COPIED)


def chosen(environment: dict[str, str], extractor: str) -> Settings:
    """The settings of the run."""
    more = {
        "AZURE_OPENAI_EMBEDDING_MODEL": "text-embedding-3-small",
        "INGEST_EXTRACTOR": extractor,
        "AZURE_SEARCH_INDEX": extractor,
    }
    return build_settings(environment | more, {})


def warm(all_: Services) -> None:
    """Sign in, and start the children: neither is part of the work."""
    all_.embedder.embed(["warm"])
    (root,) = parse_folder_roots([str(ROOT / "data" / "products")])
    sources = [source for source in root.list() if isinstance(source, Source)]
    list(
        all_.reader.threads.map(
            lambda source: all_.reader.prepare(root, Stale(source, None)),
            sources * all_.reader.at_once * 4,
        )
    )


def read(folder: Path, all_: Services) -> Iterator[Chunk]:
    """All chunks of all documents."""
    (root,) = parse_folder_roots([str(folder)])
    sources = [source for source in root.list() if isinstance(source, Source)]
    for made in all_.reader.threads.map(
        lambda source: all_.reader.prepare(root, Stale(source, None)), sources
    ):
        yield from made.chunks if made else ()


def embed(chunks: list[Chunk], all_: Services) -> None:
    """All chunks in full requests, as many at once as the run has."""
    model = all_.embedder
    full: list[list[Chunk]] = [
        batch
        for batch in fill_batches(
            chunks,
            is_chunk,
            lambda chunk: chunk.tokens,
            max_items=model.inputs,
            max_tokens=model.room,
        )
        if isinstance(batch, list)
    ]
    with ThreadPoolExecutor(model.at_once) as threads:
        list(threads.map(lambda batch: model.embed([chunk.text_to_embed for chunk in batch]), full))


def is_chunk(item: object) -> TypeGuard[Chunk]:
    """All are wanted."""
    return isinstance(item, Chunk)


@contextmanager
def serving(latency: float = LATENCY) -> Iterator[tuple[dict[str, str], Callable[[], Counts]]]:
    """The emulator in a process of its own: the environment of a client, and what it counts."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=serve, args=(theirs, latency))
    process.start()

    def counts() -> Counts:
        ours.send("counts")
        found: Counts = ours.recv()
        return found

    try:
        yield ours.recv(), counts
    finally:
        ours.send("end")
        process.join()


def serve(pipe: Connection, latency: float) -> None:
    """The emulator's process."""
    keep_to(slice(-1, None))
    with run_emulator(dimensions=DIMENSIONS) as azure:
        azure.openai.latency = azure.search.latency = latency
        pipe.send(azure.environment)
        while pipe.recv() != "end":
            embedded = [(len(r.inputs), r.tokens) for r in list(azure.openai.requests)]
            uploaded = [
                len(batch.actions)
                for batch in list(azure.search.batches)
                if any(not key.startswith(("source-", "lease")) for _, key in batch.actions)
            ]
            pipe.send(Counts(embedded, uploaded, time.process_time()))


if __name__ == "__main__":
    main()
