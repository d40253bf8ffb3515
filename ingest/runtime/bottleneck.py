"""What a run waited for, and what would help. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ingest.runtime.timing import (
    EMBEDDING,
    FETCHING,
    HANGING,
    READING,
    RECOGNISING,
    RECORDING,
    REQUESTS,
    SERVICE,
    TOKENS,
    WRITING,
    Times,
)

NOTHING_TO_EMBED = "nothing to embed"  # embedding waited for documents, or was done
AT_ONCE = 0.25  # of a minute's tokens, which a run spends at once (quota.py)
SHORT = 5.0  # seconds; of a shorter run nobody wants to hear how to make it faster
BUSY = 0.5  # of the time; what is busy for less holds nothing up
MINUTE = 60.0
FETCHED_AHEAD = 2  # documents for each that is read


@dataclass(frozen=True, slots=True)
class Capacity:
    """How much of each could be under way at once."""

    reading: int
    embedding: int
    writing: int
    tokens: float  # a minute, as far as is known
    own: bool = False  # that is a limit of the settings
    recognising: int = 0  # pages at a service that reads pictures; 0: there is none


@dataclass(frozen=True, slots=True)
class Share:
    """What part of the time something was as busy as it could be, and what would help."""

    busy: float
    advice: str


def stages(times: Times, seconds: float) -> dict[str, dict[str, float]]:
    """The seconds of each stage and each wait: on the clock, and in all threads together."""
    found = {
        name: {"wall": round(times.wall(name), 3), "threads": round(times.total(name), 3)}
        for name in sorted(times.spells)
    }
    if EMBEDDING in times.spells:
        found[NOTHING_TO_EMBED] = {"wall": round(max(0.0, seconds - times.wall(EMBEDDING)), 3)}
    return found


def bottleneck(times: Times, seconds: float, of: Capacity) -> str:
    """In one line, what held a run up and what would help; "" if nothing did for long."""
    if seconds < SHORT:
        return ""
    worst = max(shares(times, seconds, of), key=lambda share: share.busy)
    return worst.advice if worst.busy > BUSY else ""


def shares(times: Times, seconds: float, of: Capacity) -> list[Share]:
    """Everything that may have held a run up."""
    quota, calls = times.wall(TOKENS) / seconds, times.wall(REQUESTS) / seconds
    reading = times.total(READING) / (of.reading * seconds)
    fetching = times.total(FETCHING) / (FETCHED_AHEAD * of.reading * seconds)
    recognising = times.total(RECOGNISING) / (max(1, of.recognising) * seconds)
    remote = times.total(SERVICE) > 0
    embedding = times.total(SERVICE if remote else EMBEDDING) / (of.embedding * seconds)
    writing = (times.total(WRITING) + times.total(RECORDING)) / (of.writing * seconds)
    answers = (
        f"embedding waited for answers {embedding:.0%} of the time, {of.embedding} requests under "
        f"way: more of them would help (INGEST_EMBED_AT_ONCE)"
    )
    model = f"the local model was busy {embedding:.0%} of the time: more cores would help"
    return [
        Share(quota, larger_quota(times, seconds, of)),
        Share(
            calls,
            f"embedding waited {calls:.0%} of the time for the quota of requests: a larger one "
            "would help",
        ),
        Share(reading, faster_reading(times, reading, of)),
        Share(
            fetching,
            f"documents were waited for {fetching:.0%} of the time: more at once would help "
            "(INGEST_WORKERS)",
        ),
        Share(
            recognising,
            f"scanned pages were recognised {recognising:.0%} of the time, {of.recognising} at "
            "once: the next run has them",
        ),
        Share(embedding, answers if remote else model),
        Share(
            writing,
            f"writing to the index was busy {writing:.0%} of the time: a faster service or disk "
            "would help",
        ),
    ]


def faster_reading(times: Times, busy: float, of: Capacity) -> str:
    """What would have the documents read sooner."""
    if times.total(HANGING) > times.total(READING) / 2:
        return (
            f"pages that hang kept {of.reading} workers busy {busy:.0%} of the time: mend those "
            "documents, or give up sooner (INGEST_PAGE_SECONDS)"
        )
    return f"reading kept {of.reading} workers busy {busy:.0%} of the time: more cores would help"


def larger_quota(times: Times, seconds: float, of: Capacity) -> str:
    """How long the run waited for tokens, and with which quota it would not have."""
    waited = times.wall(TOKENS)
    said = f"embedding waited {waited / seconds:.0%} of the time for the token quota"
    if of.own:
        return f"{said} of AZURE_OPENAI_TPM, {amount(of.tokens)}: a larger one would help"
    if of.tokens == math.inf:
        return f"{said}: a larger one would help"
    others = max(
        times.total(FETCHING) / (FETCHED_AHEAD * of.reading),
        times.total(READING) / of.reading,
        times.total(SERVICE) / of.embedding,
        (times.total(WRITING) + times.total(RECORDING)) / of.writing,
        seconds - waited,
    )
    enough = of.tokens * supply(seconds) / supply(others)
    return (
        f"{said} of {amount(of.tokens)}/min: a quota of {amount(enough)} would finish in "
        f"{duration(others)} instead of {duration(seconds)}"
    )


def supply(seconds: float) -> float:
    """How many minutes' worth of a quota a run can spend in so many seconds."""
    if seconds >= MINUTE:
        return seconds / MINUTE
    return AT_ONCE + (1 - AT_ONCE) * seconds / MINUTE


def amount(number: float) -> str:
    """A number in two digits: 350k, 1.2M."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if number >= 0.995 * size:
            return f"{float(f'{number / size:.2g}'):g}{unit}"
    return f"{number:.0f}"


def duration(seconds: float) -> str:
    """A time for people: 40 s, 14 min, 3.2 h."""
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} s"
    minutes = seconds / MINUTE
    return f"{minutes:.0f} min" if minutes < 2 * MINUTE else f"{minutes / MINUTE:.1f} h"
