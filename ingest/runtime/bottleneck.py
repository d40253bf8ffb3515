"""Bottleneck of a run, and advice on how to remove it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ingest.runtime.timing import (
    DESCRIBING_FIGURES,
    EMBEDDING_CHUNKS,
    EMBEDDING_SERVICE,
    FETCHING_DOCUMENTS,
    HANGING_PAGES,
    READING_DOCUMENTS,
    RECOGNISING_PAGES,
    REQUEST_QUOTA,
    RETRY_PAUSE,
    STALL_SECONDS,
    TOKEN_QUOTA,
    WRITING_CHUNKS,
    WRITING_RECORDS,
    Stopwatch,
)

NOTHING_TO_EMBED = "nothing to embed"  # embedding was waiting for documents, or done
BURST_SHARE = 0.25  # of a minute's tokens, which a run may use at once (embed/rate_limit/window.py)
SHORT_RUN_SECONDS = 5.0  # a shorter run gets no advice
MORE_CORES, MORE_CORES_SECONDS = "more cores would help", 60.0  # a shorter run needs none
BUSY_SHARE = 0.5  # of the time: below it, a stage is no bottleneck
SECONDS_PER_MINUTE = 60.0
PREFETCH_FACTOR = 2  # documents fetched at once for each that is being read


@dataclass(frozen=True, slots=True)
class Capacity:
    """Concurrency limits of the stages, and the token quota."""

    reading: int
    embedding: int
    writing: int
    tokens: float  # per minute, as far as is known
    is_configured: bool = False  # whether the settings limit the tokens per minute
    recognising: int = 0  # pages at the OCR service; 0: no OCR service is used


@dataclass(frozen=True, slots=True)
class Utilization:
    """Utilization of a stage or quota, and advice on how to relieve it."""

    busy: float  # share of the time, 0 to 1
    advice: str


def stage_seconds(times: Stopwatch, seconds: float) -> dict[str, dict[str, float]]:
    """Return the wall and thread seconds of each stage and each wait."""
    found = {
        name: {
            "wall": round(times.wall_seconds(name), 3),
            "threads": round(times.thread_seconds(name), 3),
        }
        for name in sorted(times.spans)
    }
    if EMBEDDING_CHUNKS in times.spans:
        found[NOTHING_TO_EMBED] = {
            "wall": round(max(0.0, seconds - times.wall_seconds(EMBEDDING_CHUNKS)), 3)
        }
    return found


def find_bottleneck(times: Stopwatch, seconds: float, capacity: Capacity) -> str:
    """Describe a run's bottleneck and its remedy in one line; "" if there is none."""
    if seconds < SHORT_RUN_SECONDS:
        return ""
    worst = max(measure_utilization(times, seconds, capacity), key=lambda share: share.busy)
    if worst.advice.endswith(MORE_CORES) and seconds < MORE_CORES_SECONDS:
        return ""
    return worst.advice if worst.busy > BUSY_SHARE else ""


def measure_utilization(times: Stopwatch, seconds: float, capacity: Capacity) -> list[Utilization]:
    """Return the utilization of everything that can be a bottleneck."""

    def busy_share(at_once: int, *stages: str) -> float:
        """Return how busy the threads of some stages were, of which so many run at once."""
        return sum(map(times.thread_seconds, stages)) / (at_once * seconds)

    quota = times.wall_seconds(TOKEN_QUOTA) / seconds
    calls = times.wall_seconds(REQUEST_QUOTA) / seconds
    describing = times.wall_seconds(DESCRIBING_FIGURES) / seconds
    reading = busy_share(capacity.reading, READING_DOCUMENTS)
    fetching = busy_share(PREFETCH_FACTOR * capacity.reading, FETCHING_DOCUMENTS)
    recognising = busy_share(max(1, capacity.recognising), RECOGNISING_PAGES)
    model = EMBEDDING_SERVICE if times.thread_seconds(EMBEDDING_SERVICE) else EMBEDDING_CHUNKS
    embedding = busy_share(capacity.embedding, model)
    writing = busy_share(capacity.writing, WRITING_CHUNKS, WRITING_RECORDS)
    without_quota = max(1 - quota, reading, fetching, embedding, writing) * seconds
    return [
        Utilization(quota, advise_quota(quota, seconds, without_quota, capacity)),
        Utilization(
            calls,
            f"embedding waited {calls:.0%} of the time for the request quota: a larger one "
            "would help",
        ),
        Utilization(reading, advise_reading(times, reading, capacity)),
        Utilization(
            fetching,
            f"fetching documents took {fetching:.0%} of the time: more at once would help "
            "(INGEST_WORKERS)",
        ),
        Utilization(
            recognising,
            f"OCR was busy {recognising:.0%} of the time, {capacity.recognising} pages at once: "
            "the next run reuses its results",
        ),
        Utilization(
            describing,
            f"figures were described {describing:.0%} of the time, after the text: a larger quota "
            "of their deployment may help; the next run reuses the descriptions",
        ),
        Utilization(embedding, advise_embedding(model, embedding, capacity)),
        Utilization(
            writing,
            f"writing to the index took {writing:.0%} of the time: a faster service or disk would "
            "help",
        ),
        *measure_stalls(times, seconds),
    ]


def measure_stalls(times: Stopwatch, seconds: float) -> Iterator[Utilization]:
    """Yield the waits of a run that were longer than a few seconds at a time."""
    pauses = times.wall_seconds(RETRY_PAUSE) if RETRY_PAUSE in times.spans else 0.0
    yield Utilization(
        pauses / seconds,
        f"embedding paused {pauses / seconds:.0%} of the time before another attempt, as requests "
        "failed: the log has the errors",
    )
    for name, stalled in times.stalls().items():
        share = min(1.0, stalled / seconds)
        yield Utilization(
            share,
            f"the run waited {share:.0%} of the time for {name}, over {STALL_SECONDS:.0f} s at a "
            "time",
        )


def advise_reading(times: Stopwatch, busy: float, capacity: Capacity) -> str:
    """Advise on how to read documents faster."""
    workers = f"kept {capacity.reading} workers busy {busy:.0%} of the time"
    if times.thread_seconds(HANGING_PAGES) > times.thread_seconds(READING_DOCUMENTS) / 2:
        return (
            f"pages that hang {workers}: repair those documents, or set a shorter timeout "
            "(INGEST_PAGE_SECONDS)"
        )
    return f"reading {workers}: {MORE_CORES}"


def advise_embedding(stage: str, busy: float, capacity: Capacity) -> str:
    """Advise on how to embed faster, with a model on a service or on this machine."""
    if stage == EMBEDDING_CHUNKS:
        return f"the local model was busy {busy:.0%} of the time: {MORE_CORES}"
    return (
        f"embedding waited for responses {busy:.0%} of the time, with {capacity.embedding} "
        "concurrent requests: more would help (INGEST_EMBED_AT_ONCE)"
    )


def advise_quota(waiting: float, seconds: float, without_quota: float, capacity: Capacity) -> str:
    """Describe the wait for the token quota, and the quota that would have avoided it.

    `waiting` is the share of the time that was waited, and `without_quota` the seconds that the
    run would have taken without that.
    """
    wait = f"embedding waited {waiting:.0%} of the time for the token quota"
    if capacity.is_configured:
        return (
            f"{wait} of AZURE_OPENAI_TPM, {format_amount(capacity.tokens)}: a larger one would help"
        )
    if capacity.tokens == math.inf:
        return f"{wait}: a larger one would help"
    enough = capacity.tokens * quota_minutes(seconds) / quota_minutes(without_quota)
    return (
        f"{wait} of {format_amount(capacity.tokens)}/min: a quota of {format_amount(enough)} would "
        f"finish in {format_seconds(without_quota)} instead of {format_seconds(seconds)}"
    )


def quota_minutes(seconds: float) -> float:
    """Return the quota that a run can use in this time, in units of a minute's quota."""
    if seconds >= SECONDS_PER_MINUTE:
        return seconds / SECONDS_PER_MINUTE
    return BURST_SHARE + (1 - BURST_SHARE) * seconds / SECONDS_PER_MINUTE


def format_amount(number: float) -> str:
    """Format a number in two digits: 350k, 1.2M."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if number >= 0.995 * size:
            return f"{float(f'{number / size:.2g}'):g}{unit}"
    return f"{number:.0f}"


def format_seconds(seconds: float) -> str:
    """Format a duration: 40 s, 14 min, 3.2 h."""
    if seconds < 2 * SECONDS_PER_MINUTE:
        return f"{seconds:.0f} s"
    minutes = seconds / SECONDS_PER_MINUTE
    return (
        f"{minutes:.0f} min"
        if minutes < 2 * SECONDS_PER_MINUTE
        else f"{minutes / SECONDS_PER_MINUTE:.1f} h"
    )
