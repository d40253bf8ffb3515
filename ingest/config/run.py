"""Create a run and its recorder from settings."""

from __future__ import annotations

import math
import secrets
import time
from functools import partial

from ingest.config.connections import Connections
from ingest.config.location import Location
from ingest.config.settings import Settings
from ingest.extract.ocr import MAX_CONCURRENT_PAGES
from ingest.pipeline.context import Run, Services
from ingest.pipeline.run import RunRecorder
from ingest.runtime.bottleneck import Capacity
from ingest.runtime.cancellation import Cancellation


def create_run(settings: Settings, *, retry_failed: bool = False, take_over: bool = False) -> Run:
    """Return a run with a new id and the options that the settings give."""
    return Run(
        id=time.strftime("%Y%m%dT%H%M%SZ-", time.gmtime()) + secrets.token_hex(3),
        prune=settings.prune,
        max_deletes=settings.max_deletes,
        allow_empty=settings.allow_empty,
        retry_failed=retry_failed,
        take_over=take_over,
        has_passwords=bool(settings.passwords),
        exclude=settings.exclude,
        # A deadline shorter than the grace period still leaves half of it for work.
        stop=Cancellation(min(settings.grace_seconds, (settings.deadline or math.inf) / 2)),
    )


def create_recorder(  # noqa: PLR0913 - a run, and what it works with
    run: Run,
    services: Services,
    settings: Settings,
    connections: Connections,
    started: float,
    *,
    writes: bool = True,
) -> RunRecorder:
    """Return the recorder of a run that began at `started`, by the monotonic clock."""
    capacity = partial(find_capacity, services, settings)
    recorder = RunRecorder(run, services, capacity, started, writes=writes)
    recorder.retry_waits = connections.retry_policy.waits
    return recorder


def find_capacity(services: Services, settings: Settings) -> Capacity:
    """Return how many calls of each kind can run at once, and the quota in tokens a minute."""
    if services.remote:
        return services.remote.capacity()
    model, limits = services.embedder, settings.openai_tpm
    configured = sum(limits) * (max(1, len(settings.openai_endpoint)) if len(limits) == 1 else 1)
    allowed = model.allowed()
    return Capacity(
        services.reader.at_once,
        model.at_once,
        services.max_writes,
        allowed,
        is_configured=bool(limits) and allowed >= configured,
        recognising=MAX_CONCURRENT_PAGES if Location.parse(settings.ocr).is_service else 0,
    )
