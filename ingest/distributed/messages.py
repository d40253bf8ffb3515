"""What goes between a driver and its workers: small values, and nothing secret."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from ingest.config.factory import Portable
from ingest.config.settings import Settings
from ingest.embed.rate_limit.limiter import Known
from ingest.models import Advanced, Settled, Source
from ingest.pipeline.diff import Stale, Terms

# Enough that a worker is not idle between two of them, and few enough that a lost one is soon done
# again, and that at the end all workers end at about the same time.
MOST_SOURCES = 64
FEWEST_SOURCES = 4
MOST_BYTES = 16 << 20
PART = 16  # of all sources so far: a small run is cut into small groups


# What a node brings itself: who it is there, and what it can do.
OWN = ("openai_key", "openai_client_id", "tenant", "search_key", "hosted", "passwords", "workers")


@dataclass(frozen=True, slots=True)
class Job:
    """What all groups of one run have in common."""

    run: str
    version: str
    settings: Settings  # without what signs in
    terms: Terms
    holder: str  # the name by which the driver holds the index


@dataclass(frozen=True, slots=True)
class Group:
    """Sources that one worker settles, in the order of their names."""

    number: int
    root: Portable
    sources: tuple[Source, ...]
    alone: bool = False  # one that may have ended a process, and is to end no other work


@dataclass(frozen=True, slots=True)
class Beat:
    """What a worker says of itself, every second and with each group."""

    who: str
    at: float = 0.0  # seconds by its own clock
    under_way: dict[int, Advanced] = field(default_factory=dict)  # groups, and how far they are
    spells: dict[str, tuple[float, float]] = field(default_factory=dict)  # seconds: wall, threads
    counts: dict[str, int] = field(default_factory=dict)
    waits: str = ""  # for what its calls are waiting
    reading: int = 0  # at once; so are the others
    embedding: int = 0
    writing: int = 0
    recognising: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a group."""

    number: int
    settled: tuple[Settled, ...]
    suspects: tuple[Source, ...]  # not read: a run ended while they were, perhaps by them
    advanced: Advanced
    beat: Beat


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is told."""

    enough: bool = False  # begin nothing more
    stop: bool = False  # settle what is under way in the time that the settings give
    abandon: bool = False  # at once
    left: bool = False  # by the driver: nobody hears what becomes of anything
    known: Known | None = None  # of the quotas


@dataclass(frozen=True, slots=True)
class Status:
    """What the driver is told."""

    beats: tuple[Beat, ...]  # of all workers that are there
    tokens: int = 0  # spoken for
    pages: int = 0
    wanted: tuple[int, int] = (0, 0)  # more than was granted, by who waits for it
    reached: str = ""  # the limit that was
    known: Known | None = None


class MissedError(Exception):
    """The pacing does not answer at present."""


# Calls a method of the pacing, wherever that is. Raises MissedError.
Call: TypeAlias = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Links:
    """How a worker's process reaches the others, and the engine that it belongs to."""

    who: str
    call: Call
    lacking: Callable[[], bool] = lambda: False  # whether the pacing is waited for at present
    # let the engine begin something else beside the group of this thread; once is enough
    release: Callable[[], None] = lambda: None
    # the way to the pacing, and the pacing too if that was the last one
    forget: Callable[[bool], None] = lambda _: None
    threads: int = 1  # what the engine runs in this process at once, and has cores for


def grouped(
    changes: Iterable[Stale | Settled], suspects: list[Source]
) -> Iterator[list[Source] | Settled]:
    """The stale sources in groups, but for the suspects; what is settled passes at once."""
    group: list[Source] = []
    size, seen = 0, 0
    for change in changes:
        if isinstance(change, Settled):
            yield change
            continue
        if change.suspect:
            suspects.append(change.source)
            continue
        seen += 1
        size += change.source.size
        group.append(change.source)
        most = min(MOST_SOURCES, max(FEWEST_SOURCES, seen // PART))
        if len(group) >= most or size >= MOST_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def at_home(sent: Settings, own: Settings, threads: int) -> Settings:
    """The settings of a run on this node, which signs in as itself."""
    mine = {name: getattr(own, name) for name in OWN}
    mine["passwords"] = own.passwords or sent.passwords
    mine["workers"] = own.workers or sent.workers or threads
    return replace(sent, **mine)


def sent(chosen: Settings) -> Settings:
    """The settings that workers are sent: nothing that signs in, and no secret."""
    plain = Settings()
    kept_back = {name: getattr(plain, name) for name in OWN if name not in {"passwords", "workers"}}
    return replace(chosen, **kept_back)
