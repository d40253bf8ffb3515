"""Messages between the driver and its workers: small values without secrets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from ingest.config.settings import Settings
from ingest.config.sources import PortableRoot
from ingest.embed.rate_limit.limiter import Quota
from ingest.models import RunProgress, Source, SourceResult
from ingest.pipeline.diff import SkipRule, Stale

# Large enough that a worker is not idle between two groups; small enough that a lost group is soon
# done again, and that all workers end at about the same time.
MAX_GROUP_SOURCES = 64
MIN_GROUP_SOURCES = 4
MAX_GROUP_BYTES = 16 << 20
GROUP_SIZE_DIVISOR = 16  # share of the sources so far: a small run has small groups


# Settings that each node has of its own: its identity and its capacity.
NODE_SETTINGS = frozenset(
    (
        *("openai_key", "figures_key", "openai_client_id", "tenant", "search_key"),
        *("hosted", "passwords", "workers", "journal"),
    )
)


@dataclass(frozen=True, slots=True)
class Job:
    """Data common to all groups of a run."""

    run: str
    version: str
    settings: Settings  # without credentials
    skip_rule: SkipRule
    lease_holder: str  # of the index lock, which the driver holds


@dataclass(frozen=True, slots=True)
class Group:
    """Sources that one worker settles, sorted by name."""

    number: int
    root: PortableRoot
    sources: tuple[Source, ...]
    is_isolated: bool = False  # a suspect that may crash the process, read alone


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """Status of a worker, sent every second and with each group's result."""

    worker: str
    clock_seconds: float = 0.0  # by its own clock
    progress: dict[int, RunProgress] = field(default_factory=dict)  # by group number
    # wall and thread seconds of each stage
    stage_seconds: dict[str, tuple[float, float]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    waiting_for: str = ""  # the stage that most of its calls wait for
    reading: int = 0  # documents it can read at once; so for the others
    embedding: int = 0
    writing: int = 0
    recognising: int = 0


@dataclass(frozen=True, slots=True)
class GroupResult:
    """Results of a group."""

    number: int
    results: tuple[SourceResult, ...]
    suspects: tuple[Source, ...]  # not read: an earlier run ended while they were
    progress: RunProgress
    status: WorkerStatus


@dataclass(frozen=True, slots=True)
class Orders:
    """Orders of the driver to all workers."""

    drain: bool = False  # finish work in progress, begin nothing
    stop: bool = False  # likewise, within the grace period
    abandon: bool = False  # stop at once
    driver_lost: bool = False  # set by the coordinator: nothing receives the results
    quota: Quota | None = None


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """Status of all workers, for the driver."""

    workers: tuple[WorkerStatus, ...]  # of the workers with a heartbeat
    tokens: int = 0  # billed, or perhaps
    pages: int = 0
    wanted: tuple[int, int] = (0, 0)  # beyond the grant
    limit_reached: str = ""  # "" for none
    quota: Quota | None = None
    lost_tokens: int = 0  # part of `tokens`, of requests whose answer was lost


# The services whose requests the coordinator limits.
ServiceName: TypeAlias = Literal["embedding", "ocr"]
UNLIMITED = Quota(0, math.inf, math.inf)  # of the local model


class CoordinatorUnavailableError(Exception):
    """The coordinator does not answer at present."""


# Calls a method of the coordinator by name. Raises CoordinatorUnavailableError.
CoordinatorCall: TypeAlias = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class WorkerLinks:
    """A worker's connections to the coordinator and to the engine."""

    worker: str
    call: CoordinatorCall
    is_waiting: Callable[[], bool] = lambda: False  # for the coordinator
    # let the engine run another task besides the group of this thread; idempotent
    release_slot: Callable[[], None] = lambda: None
    # begin to use the coordinator for a session
    connect: Callable[[], None] = lambda: None
    # leave the coordinator, and end it if True: this was the last client
    disconnect: Callable[[bool], None] = lambda _: None
    threads: int = 1  # tasks that the engine runs in this process at once


def group_sources(
    changes: Iterable[Stale | SourceResult], suspects: list[Source]
) -> Iterator[list[Source] | SourceResult]:
    """Group stale sources; suspects go to the list, and results pass at once."""
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
        max_sources = min(MAX_GROUP_SOURCES, max(MIN_GROUP_SOURCES, seen // GROUP_SIZE_DIVISOR))
        if len(group) >= max_sources or size >= MAX_GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def apply_node_settings(job_settings: Settings, node_settings: Settings, threads: int) -> Settings:
    """Return a run's settings with this node's own identity and capacity."""
    own = {name: getattr(node_settings, name) for name in NODE_SETTINGS}
    own["passwords"] = node_settings.passwords or job_settings.passwords
    own["workers"] = node_settings.workers or job_settings.workers or threads
    return replace(job_settings, **own)


def strip_secrets(settings: Settings) -> Settings:
    """Return the settings to send to workers, without credentials."""
    default = Settings()
    removed = NODE_SETTINGS - {"passwords", "workers"}
    return replace(settings, **{name: getattr(default, name) for name in removed})
