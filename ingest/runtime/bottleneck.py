"""What a run waited for, and what would help. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ingest.runtime.timing import (
    EMBEDDING_CHUNKS,
    EMBEDDING_SERVICE,
    FETCHING_DOCUMENTS,
    HANGING_PAGES,
    READING_DOCUMENTS,
    RECOGNISING_PAGES,
    REQUEST_QUOTA,
    TOKEN_QUOTA,
    WRITING_CHUNKS,
    WRITING_RECORDS,
    Stopwatch,
)

NOTHING_TO_EMBED = "nothing to embed"  # embedding waited for documents, or was done
BURST_SHARE = 0.25  # of a minute's tokens, which a run spends at once (quota.py)
SHORT_RUN_SECONDS = 5.0  # seconds; of a shorter run nobody wants to hear how to make it faster
BUSY_SHARE = 0.5  # of the time; what is busy for less holds nothing up
SECONDS_PER_MINUTE = 60.0
PREFETCH_FACTOR = 2  # documents for each that is read


@dataclass(frozen=True, slots=True)
class Capacity:
    """How much of each could be under way at once."""

    reading: int
    embedding: int
    writing: int
    tokens: float  # a minute, as far as is known
    is_configured: bool = False  # that is a limit of the settings
    recognising: int = 0  # pages at a service that reads pictures; 0: there is none


@dataclass(frozen=True, slots=True)
class Utilization:
    """What part of the time something was as busy as it could be, and what would help."""

    busy: float
    advice: str


def stage_seconds(times: Stopwatch, seconds: float) -> dict[str, dict[str, float]]:
    """The seconds of each stage and each wait: on the clock, and in all threads together."""
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
    """In one line, what held a run up and what would help; "" if nothing did for long."""
    if seconds < SHORT_RUN_SECONDS:
        return ""
    worst = max(measure_utilization(times, seconds, capacity), key=lambda share: share.busy)
    return worst.advice if worst.busy > BUSY_SHARE else ""


def measure_utilization(times: Stopwatch, seconds: float, capacity: Capacity) -> list[Utilization]:
    """Everything that may have held a run up."""
    quota, calls = (
        times.wall_seconds(TOKEN_QUOTA) / seconds,
        times.wall_seconds(REQUEST_QUOTA) / seconds,
    )
    reading = times.thread_seconds(READING_DOCUMENTS) / (capacity.reading * seconds)
    fetching = times.thread_seconds(FETCHING_DOCUMENTS) / (
        PREFETCH_FACTOR * capacity.reading * seconds
    )
    recognising = times.thread_seconds(RECOGNISING_PAGES) / (max(1, capacity.recognising) * seconds)
    remote = times.thread_seconds(EMBEDDING_SERVICE) > 0
    embedding = times.thread_seconds(EMBEDDING_SERVICE if remote else EMBEDDING_CHUNKS) / (
        capacity.embedding * seconds
    )
    writing = (times.thread_seconds(WRITING_CHUNKS) + times.thread_seconds(WRITING_RECORDS)) / (
        capacity.writing * seconds
    )
    answers = (
        f"embedding waited for answers {embedding:.0%} of the time, {capacity.embedding} requests under "
        f"way: more of them would help (INGEST_EMBED_AT_ONCE)"
    )
    model = f"the local model was busy {embedding:.0%} of the time: more cores would help"
    return [
        Utilization(quota, advise_quota(times, seconds, capacity)),
        Utilization(
            calls,
            f"embedding waited {calls:.0%} of the time for the quota of requests: a larger one "
            "would help",
        ),
        Utilization(reading, advise_reading(times, reading, capacity)),
        Utilization(
            fetching,
            f"documents were waited for {fetching:.0%} of the time: more at once would help "
            "(INGEST_WORKERS)",
        ),
        Utilization(
            recognising,
            f"scanned pages were recognised {recognising:.0%} of the time, {capacity.recognising} at "
            "once: the next run has them",
        ),
        Utilization(embedding, answers if remote else model),
        Utilization(
            writing,
            f"writing to the index was busy {writing:.0%} of the time: a faster service or disk "
            "would help",
        ),
    ]


def advise_reading(times: Stopwatch, busy: float, capacity: Capacity) -> str:
    """What would have the documents read sooner."""
    if times.thread_seconds(HANGING_PAGES) > times.thread_seconds(READING_DOCUMENTS) / 2:
        return (
            f"pages that hang kept {capacity.reading} workers busy {busy:.0%} of the time: mend those "
            "documents, or give up sooner (INGEST_PAGE_SECONDS)"
        )
    return f"reading kept {capacity.reading} workers busy {busy:.0%} of the time: more cores would help"


def advise_quota(times: Stopwatch, seconds: float, capacity: Capacity) -> str:
    """How long the run waited for tokens, and with which quota it would not have."""
    waited = times.wall_seconds(TOKEN_QUOTA)
    said = f"embedding waited {waited / seconds:.0%} of the time for the token quota"
    if capacity.is_configured:
        return (
            f"{said} of AZURE_OPENAI_TPM, {format_amount(capacity.tokens)}: a larger one would help"
        )
    if capacity.tokens == math.inf:
        return f"{said}: a larger one would help"
    others = max(
        times.thread_seconds(FETCHING_DOCUMENTS) / (PREFETCH_FACTOR * capacity.reading),
        times.thread_seconds(READING_DOCUMENTS) / capacity.reading,
        times.thread_seconds(EMBEDDING_SERVICE) / capacity.embedding,
        (times.thread_seconds(WRITING_CHUNKS) + times.thread_seconds(WRITING_RECORDS))
        / capacity.writing,
        seconds - waited,
    )
    enough = capacity.tokens * quota_minutes(seconds) / quota_minutes(others)
    return (
        f"{said} of {format_amount(capacity.tokens)}/min: a quota of {format_amount(enough)} would finish in "
        f"{format_seconds(others)} instead of {format_seconds(seconds)}"
    )


def quota_minutes(seconds: float) -> float:
    """How many minutes' worth of a quota a run can spend in so many seconds."""
    if seconds >= SECONDS_PER_MINUTE:
        return seconds / SECONDS_PER_MINUTE
    return BURST_SHARE + (1 - BURST_SHARE) * seconds / SECONDS_PER_MINUTE


def format_amount(number: float) -> str:
    """A number in two digits: 350k, 1.2M."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if number >= 0.995 * size:
            return f"{float(f'{number / size:.2g}'):g}{unit}"
    return f"{number:.0f}"


def format_seconds(seconds: float) -> str:
    """A time for people: 40 s, 14 min, 3.2 h."""
    if seconds < 2 * SECONDS_PER_MINUTE:
        return f"{seconds:.0f} s"
    minutes = seconds / SECONDS_PER_MINUTE
    return (
        f"{minutes:.0f} min"
        if minutes < 2 * SECONDS_PER_MINUTE
        else f"{minutes / SECONDS_PER_MINUTE:.1f} h"
    )
