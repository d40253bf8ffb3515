"""Local journal of received vectors that may not be in the index yet.

A run that is killed between a response and its upload loses vectors that are paid for. A later run
on this machine finds them here. Deleting the journal is always safe: it costs money, never
correctness. A record is a hash of the text, the vector and a checksum; the last one may be
incomplete.

Workers of a cluster may share a machine. Each writes its own file and reads the files of dead
workers, whose sources any other worker takes over at once, and of runs that failed.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import threading
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from ingest.embed import Embedder
from ingest.embed.parts import EmbeddedPart, PartwiseEmbedder, collect_parts, embed_in_parts
from ingest.embed.validation import find_row_flaws
from ingest.models import Vectors, hash_text, vector_space

log = logging.getLogger(__name__)

HASH_BYTES = 20
MAX_AGE_SECONDS = 7 * 86400.0  # of a vector that no run has asked for
# Of each of two files: uploads follow responses closely, so the last vectors are enough.
MAX_FILE_BYTES = 64_000_000
WORKER_FILE_BYTES = 8_000_000  # of a worker's file
MAX_DEAD_FILES = 16  # that a worker reads, the newest first; older ones are deleted
LOOK_SECONDS = 1.0  # between searches for files of dead workers
NUMBERS = itertools.count()  # of the journals of this process


@dataclass(slots=True)
class VectorJournal:
    """Journal of one index and model. Thread-safe."""

    path: Path
    space: str  # of the vectors
    dimensions: int
    max_bytes: int
    found: dict[bytes, Vectors] | None = None  # of an earlier run; None: not read yet
    used: set[bytes] = field(default_factory=set)  # keys of those that this run has asked for
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def find(self, texts: Sequence[str]) -> dict[int, Vectors]:
        """Return the vectors that an earlier run received, by the place of their text."""
        with self.lock:
            self.load()
        if not self.found:
            return {}
        keys = list(map(self.key_of, texts))
        self.used.update(keys)
        return {place: self.found[key] for place, key in enumerate(keys) if key in self.found}

    def key_of(self, text: str) -> bytes:
        """Return the key of a text, which is its hash in the index."""
        return bytes.fromhex(hash_text(text, self.space))

    def load(self) -> None:
        """Read the vectors of an earlier run."""
        if self.found is None:
            previous, current = map(self.read, self.paths)
            self.found = previous | current

    def append(self, texts: Sequence[str], vectors: Vectors) -> None:
        """Add vectors. A full or read-only disk is logged, and not an error."""
        records = np.empty(len(texts), self.record_type)
        records["key"] = list(map(self.key_of, texts))
        records["vector"] = vectors
        self.write(self.path, records)

    def write(self, path: Path, records: np.ndarray[Any, np.dtype[np.void]]) -> None:
        """Add records to a file."""
        records["checksum"] = [checksum(record) for record in records]
        try:
            with self.lock, path.open("ab") as file:
                # A record that was cut short would shift all that follow it.
                file.truncate(file.tell() // records.itemsize * records.itemsize)
                file.write(records.tobytes())
                if file.tell() > self.max_bytes:
                    path.replace(self.previous_path)
        except OSError as error:
            log.info("could not keep vectors in %s: %s", path, error)

    def delete(self, find_written: Callable[[Collection[str]], Collection[str]]) -> None:
        """Delete the journal of a run that succeeded, and so wrote all the vectors it received.

        Vectors of an earlier run that this one did not ask for stay for MAX_AGE_SECONDS, unless
        the index has them. `find_written` returns the text hashes that the index has.
        """
        unused = {k: v for k, v in (self.found or {}).items() if k not in self.used}
        written = set(find_written([key.hex() for key in unused])) if unused else set()
        left = [key for key in unused if key.hex() not in written]
        since = self.unlink()
        if left:
            records = np.empty(len(left), self.record_type)
            records["key"], records["vector"] = left, [unused[key] for key in left]
            self.write(self.previous_path, records)
            with suppress(OSError):  # so that it grows old
                os.utime(self.previous_path, (since, since))

    def close(self) -> None:
        """Do nothing: the next run on this machine reads what is left."""

    def unlink(self) -> float:
        """Delete the files; return the modification time of the older one."""
        times = [time.time()]
        for path in self.paths:
            with suppress(OSError):
                times.append(path.stat().st_mtime)
                path.unlink()
        return min(times)

    @property
    def previous_path(self) -> Path:
        """The file before the current one."""
        return self.path.with_suffix(".previous")

    @property
    def paths(self) -> tuple[Path, Path]:
        """Both files, the older one first."""
        return self.previous_path, self.path

    def read(self, path: Path) -> dict[bytes, Vectors]:
        """Read the valid records of a file; empty if there is none."""
        try:
            is_old = time.time() - path.stat().st_mtime > MAX_AGE_SECONDS
            data = b"" if is_old else path.read_bytes()
        except OSError:
            return {}
        count = len(data) // self.record_type.itemsize
        records = np.frombuffer(data, self.record_type, count)
        flawed = find_row_flaws(records["vector"])  # a damaged file must not end the run
        return {
            each["key"].tobytes(): each["vector"]
            for place, each in enumerate(records)
            if place not in flawed and each["checksum"] == checksum(each)
        }

    @property
    def record_type(self) -> np.dtype[np.void]:
        """Layout of a record."""
        return np.dtype(
            [("key", f"V{HASH_BYTES}"), ("vector", "<f4", (self.dimensions,)), ("checksum", "<u4")]
        )


@dataclass(slots=True)
class WorkerJournal(VectorJournal):
    """Journal of one of several workers. Thread-safe."""

    looked_at: float = -LOOK_SECONDS
    seen: set[Path] = field(default_factory=set)  # files of dead workers that were read

    def delete(self, _: object) -> None:
        """Delete this worker's journal. Other workers may still need the journals of dead ones."""
        self.unlink()

    def close(self) -> None:
        """Name what is left as if this worker had died: it may serve the next run, too."""
        dead = f".0-{time.time_ns()}-"  # of no process; in containers all workers have one id
        for path in self.paths:
            with suppress(OSError):
                path.rename(path.with_name(path.name.replace(".", dead, 1)))

    def load(self) -> None:
        """Read the vectors of workers that have died since the last call."""
        self.found = self.found or {}
        if time.monotonic() - self.looked_at < LOOK_SECONDS:
            return
        self.looked_at = time.monotonic()
        for path in self.dead_files():
            if path not in self.seen:
                self.seen.add(path)
                self.found |= self.read(path)

    def dead_files(self) -> list[Path]:
        """List the newest files of dead workers, and delete their older ones."""
        name = self.path.name.partition(".")[0]
        found = [path for path in self.path.parent.glob(f"{name}.*-*") if not is_in_use(path)]
        with suppress(OSError):  # another worker may be deleting some
            found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
            for path in found[MAX_DEAD_FILES:]:
                path.unlink(missing_ok=True)
        return found[:MAX_DEAD_FILES]


def is_in_use(path: Path) -> bool:
    """Return whether the worker that writes a file seems to be alive.

    Reading a file in use is harmless, and missing one only costs money.
    """
    process = path.name.split(".")[1].partition("-")[0]
    return process == str(os.getpid()) or Path("/proc", process).exists()


def checksum(record: np.void) -> int:
    """Return the checksum of a record's other fields: half a record may look like a vector."""
    return zlib.crc32(record["vector"].tobytes(), zlib.crc32(record["key"].tobytes()))


def open_journal(
    folder: Path, index: str, model: str, dimensions: int, *, is_worker: bool = False
) -> VectorJournal | None:
    """Open the journal of an index and model in a folder; None if nothing can be written there."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None
    if not os.access(folder, os.W_OK):
        return None
    space = vector_space(model, dimensions)
    key = hashlib.sha256(f"{index}\0{space}".encode()).hexdigest()[:32]
    if is_worker:
        path = folder / f"{key}.{os.getpid()}-{next(NUMBERS)}.vectors"
        return WorkerJournal(path, space, dimensions, WORKER_FILE_BYTES)
    return VectorJournal(folder / f"{key}.vectors", space, dimensions, MAX_FILE_BYTES)


def add_journal(embedder: Embedder, journal: VectorJournal) -> Embedder:
    """Wrap an embedder: texts in the journal are not embedded again, and new vectors are added."""

    def embed_parts(texts: Sequence[str]) -> Iterator[EmbeddedPart]:
        known = journal.find(texts)
        if known:
            yield EmbeddedPart(list(known), list(known.values()))
        missing = [place for place in range(len(texts)) if place not in known]
        parts = embed_in_parts(embedder, [texts[place] for place in missing]) if missing else ()
        for part in parts:
            places = [missing[place] for place in part.places]
            received = {
                texts[place]: result
                for place, result in zip(places, part.results, strict=True)
                if not isinstance(result, str)
            }
            if received:  # every text of the part may have been refused
                journal.append(list(received), np.stack(list(received.values())))
            yield EmbeddedPart(places, part.results)

    named = {each.name: getattr(embedder, each.name) for each in fields(Embedder)}
    named["embed"] = lambda texts: collect_parts(embed_parts(texts))
    return PartwiseEmbedder(**named, embed_parts=embed_parts)
