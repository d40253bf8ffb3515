"""Bottleneck of a run, in one line."""

from __future__ import annotations

import math

import pytest

from ingest.embed.rate_limit import window
from ingest.runtime.bottleneck import (
    BURST_SHARE,
    Capacity,
    find_bottleneck,
    format_amount,
    format_seconds,
)
from ingest.runtime.timing import (
    EMBEDDING_CHUNKS,
    EMBEDDING_SERVICE,
    FETCHING_DOCUMENTS,
    HANGING_PAGES,
    READING_DOCUMENTS,
    REQUEST_QUOTA,
    TOKEN_QUOTA,
    WRITING_CHUNKS,
    WRITING_RECORDS,
    Span,
    Stopwatch,
)

CAPACITY = Capacity(reading=2, embedding=16, writing=32, tokens=350_000)


def times(**spells: tuple[float, float]) -> Stopwatch:
    """Times in which this had happened: wall seconds, and seconds of all threads."""
    names = {
        "reading": READING_DOCUMENTS,
        "hanging": HANGING_PAGES,
        "fetching": FETCHING_DOCUMENTS,
        "embedding": EMBEDDING_CHUNKS,
        "service": EMBEDDING_SERVICE,
        "tokens": TOKEN_QUOTA,
        "requests": REQUEST_QUOTA,
        "writing": WRITING_CHUNKS,
        "recording": WRITING_RECORDS,
    }
    made = Stopwatch()
    for name, (wall, total) in spells.items():
        made.spans[names[name]] = Span(wall_seconds=wall, thread_seconds=total)
    return made


def test_the_quota_is_named_with_the_one_that_would_do() -> None:
    """The advice names the current quota and one that would be enough."""
    spent = times(tokens=(681, 681), service=(200, 700), reading=(160, 300), writing=(40, 60))

    said = find_bottleneck(spent, 840, CAPACITY)

    # Reading alone would have taken 150 s, but 840 - 681 = 159 s is what was not spent waiting.
    assert said == (
        "embedding waited 81% of the time for the token quota of 350k/min: "
        "a quota of 1.8M would finish in 3 min instead of 14 min"
    )


def test_a_larger_quota_promises_no_more_than_the_rest_allows() -> None:
    """Reading took nearly as long: then a quota changes little, and it is not promised more."""
    spent = times(tokens=(800, 800), reading=(820, 1600), service=(100, 200))

    said = find_bottleneck(spent, 1000, Capacity(2, 16, 32, 350_000))

    # 1,600 s of two workers: 800 s at least.
    assert said.endswith("a quota of 440k would finish in 13 min instead of 17 min")


@pytest.mark.parametrize(
    ("spent", "said"),
    [
        (times(reading=(99, 195), service=(20, 40)), "reading kept 2 workers busy 98%"),
        (
            times(reading=(99, 195), hanging=(60, 120)),
            "pages that hang kept 2 workers busy 98% of the time: repair those",
        ),
        (times(reading=(60, 90), fetching=(99, 390)), "fetching documents took 98%"),
        (
            times(requests=(90, 90), service=(20, 40)),
            "waited 90% of the time for the request quota",
        ),
        (times(service=(99, 1500), reading=(20, 30)), "16 concurrent requests: more would"),
        (times(embedding=(99, 1500), reading=(20, 30)), "the local model was busy 94%"),
        (times(writing=(99, 2900), recording=(50, 200), reading=(9, 9)), "writing to the index"),
    ],
    ids=["reading", "hanging", "fetching", "requests", "answers", "local model", "writing"],
)
def test_what_was_busiest_is_named(spent: Stopwatch, said: str) -> None:
    """Each stage can be the bottleneck, with a remedy of its own."""
    assert said in find_bottleneck(spent, 100, CAPACITY)


def test_nothing_is_said_where_nothing_is_to_be_gained() -> None:
    """A run of a second, or one in which nothing was busy for long, and no cores for a minute."""
    assert find_bottleneck(times(tokens=(4, 4)), 4.5, CAPACITY) == ""
    assert find_bottleneck(times(reading=(30, 60)), 100, CAPACITY) == ""
    busy = times(reading=(50, 100))
    assert "more cores" in find_bottleneck(busy, 60, CAPACITY)
    assert find_bottleneck(busy, 59, CAPACITY) == ""  # not worth a larger machine


def test_a_short_run_needs_no_more_than_its_tokens() -> None:
    """A quarter of a minute's tokens goes at once, so nobody is sent to buy five times as much."""
    spent = times(tokens=(52, 52), service=(3, 9), reading=(2, 3))

    said = find_bottleneck(spent, 57, Capacity(2, 16, 32, 60_000))

    # 57 s gave 0.96 minutes' worth; 5 s give 0.31.
    assert "a quota of 180k would finish in 5 s instead of 57 s" in said


def test_the_advice_counts_on_the_pace_that_is_kept() -> None:
    """What is promised of a larger quota is what embedding then does with it."""
    assert BURST_SHARE == window.BURST_SHARE


def test_a_limit_of_mine_is_not_blamed_on_the_service() -> None:
    """Who set AZURE_OPENAI_TPM is told to raise that, not to ask for quota."""
    said = find_bottleneck(
        times(tokens=(90, 90)), 100, Capacity(2, 16, 32, 40_000, is_configured=True)
    )
    assert said.endswith("token quota of AZURE_OPENAI_TPM, 40k: a larger one would help")


def test_a_quota_that_is_unknown_is_not_made_up() -> None:
    """Without the service's word nobody says which quota would do."""
    said = find_bottleneck(times(tokens=(90, 90)), 100, Capacity(2, 16, 32, math.inf))
    assert said == "embedding waited 90% of the time for the token quota: a larger one would help"


@pytest.mark.parametrize(
    ("number", "text"),
    [(950, "950"), (1000, "1k"), (350_000, "350k"), (1_234_567, "1.2M"), (12_000_000, "12M")],
)
def test_quotas_are_written_as_people_say_them(number: float, text: str) -> None:
    """350k, not 350000.0."""
    assert format_amount(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(1, "1 s"), (119, "119 s"), (840, "14 min"), (9000, "2.5 h")]
)
def test_times_are_written_as_people_say_them(seconds: float, text: str) -> None:
    """14 min, not 840.0 s."""
    assert format_seconds(seconds) == text


def test_answers_that_take_their_time_are_named() -> None:
    """One request of sixteen hung for most of the run: little was busy, and that was the reason."""
    spent = times(service=(90, 90), reading=(5, 5))
    spent.spans[EMBEDDING_SERVICE].stalled_seconds = 85
    said = find_bottleneck(spent, 100, CAPACITY)
    assert said.startswith("the run waited 85% of the time for an answer of the embedding service")
