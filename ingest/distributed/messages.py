"""What goes between a driver and its workers: small values, and nothing secret."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from ingest.config.settings import Settings
from ingest.config.sources import PortableRoot
from ingest.embed.rate_limit.limiter import Quota
from ingest.models import RunProgress, Source, SourceResult
from ingest.pipeline.diff import SkipRule, Stale

# Enough that a worker is not idle between two of them, and few enough that a lost one is soon done
# again, and that at the end all workers end at about the same time.
MAX_GROUP_SOURCES = 64
MIN_GROUP_SOURCES = 4
MAX_GROUP_BYTES = 16 << 20
GROUP_SIZE_DIVISOR = 16  # of all sources so far: a small run is cut into small groups


# What a node brings itself: who it is there, and what it can do.
NODE_SETTINGS = (
    "openai_key",
    "openai_client_id",
    "tenant",
    "search_key",
    "hosted",
    "passwords",
    "workers",
)


@dataclass(frozen=True, slots=True)
class Job:
    """What all groups of one run have in common."""

    run: str
    version: str
    settings: Settings  # without what signs in
    skip_rule: SkipRule
    lease_holder: str  # the name by which the driver holds the index


@dataclass(frozen=True, slots=True)
class Group:
    """Sources that one worker settles, in the order of their names."""

    number: int
    root: PortableRoot
    sources: tuple[Source, ...]
    is_isolated: bool = False  # one that may have ended a process, and is to end no other work


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """What a worker says of itself, every second and with each group."""

    worker: str
    clock_seconds: float = 0.0  # seconds by its own clock
    progress: dict[int, RunProgress] = field(default_factory=dict)  # groups, and how far they are
    stage_seconds: dict[str, tuple[float, float]] = field(
        default_factory=dict
    )  # seconds: wall, threads
    counts: dict[str, int] = field(default_factory=dict)
    waiting_for: str = ""  # for what its calls are waiting
    reading: int = 0  # at once; so are the others
    embedding: int = 0
    writing: int = 0
    recognising: int = 0


@dataclass(frozen=True, slots=True)
class GroupResult:
    """What became of a group."""

    number: int
    results: tuple[SourceResult, ...]
    suspects: tuple[Source, ...]  # not read: a run ended while they were, perhaps by them
    progress: RunProgress
    status: WorkerStatus


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is told."""

    drain: bool = False  # begin nothing more
    stop: bool = False  # settle what is under way in the time that the settings give
    abandon: bool = False  # at once
    driver_lost: bool = False  # by the driver: nobody hears what becomes of anything
    quota: Quota | None = None  # of the quotas


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """What the driver is told."""

    workers: tuple[WorkerStatus, ...]  # of all workers that are there
    tokens: int = 0  # spoken for
    pages: int = 0
    wanted: tuple[int, int] = (0, 0)  # more than was granted, by who waits for it
    limit_reached: str = ""  # the limit that was
    quota: Quota | None = None


class CoordinatorUnavailableError(Exception):
    """The pacing does not answer at present."""


# Calls a method of the pacing, wherever that is. Raises MissedError.
CoordinatorCall: TypeAlias = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class WorkerLinks:
    """How a worker's process reaches the others, and the engine that it belongs to."""

    worker: str
    call: CoordinatorCall
    is_waiting: Callable[[], bool] = lambda: False  # whether the pacing is waited for at present
    # let the engine begin something else beside the group of this thread; once is enough
    release_slot: Callable[[], None] = lambda: None
    # the way to the pacing, and the pacing too if that was the last one
    disconnect: Callable[[bool], None] = lambda _: None
    threads: int = 1  # what the engine runs in this process at once, and has cores for


def group_sources(
    changes: Iterable[Stale | SourceResult], suspects: list[Source]
) -> Iterator[list[Source] | SourceResult]:
    """The stale sources in groups, but for the suspects; what is settled passes at once."""
    group: list[Source] = []
    size, seen = 0, 0
    for change in changes:
        if isinstance(change, SourceResult):
            yield change
            continue
        if change.is_suspect:
            suspects.append(change.source)
            continue
        seen += 1
        size += change.source.size
        group.append(change.source)
        most = min(MAX_GROUP_SOURCES, max(MIN_GROUP_SOURCES, seen // GROUP_SIZE_DIVISOR))
        if len(group) >= most or size >= MAX_GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def apply_node_settings(job_settings: Settings, node_settings: Settings, threads: int) -> Settings:
    """The settings of a run on this node, which signs in as itself."""
    mine = {name: getattr(node_settings, name) for name in NODE_SETTINGS}
    mine["passwords"] = node_settings.passwords or job_settings.passwords
    mine["workers"] = node_settings.workers or job_settings.workers or threads
    return replace(job_settings, **mine)


def strip_secrets(settings: Settings) -> Settings:
    """The settings that workers are sent: nothing that signs in, and no secret."""
    plain = Settings()
    kept_back = {
        name: getattr(plain, name) for name in NODE_SETTINGS if name not in {"passwords", "workers"}
    }
    return replace(settings, **kept_back)
