"""Timeline of a run, however long it is."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass

import pytest

from ingest.index.schema import summary_from_json, summary_to_json
from ingest.models import Outcome, RunProgress, SourceResult, Timeline
from ingest.pipeline.timeline import MAX_INTERVALS, TimelineRecorder
from ingest.runtime.bottleneck import stage_seconds
from ingest.runtime.timing import (
    CHARGED_TOKENS,
    REQUEST_QUOTA,
    THROTTLED_REQUESTS,
    TOKEN_QUOTA,
    Stopwatch,
)
from tests.commands.report.reports import make_run


@dataclass
class Watch:
    """A clock that is set by hand."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("seconds", [0, 1, 29, 31, 3_600, 100_000])
def test_nothing_is_lost_and_it_never_grows(seconds: int) -> None:
    """The timeline of a long run has as few intervals as a short one, with the same sums."""
    watch = Watch()
    times = Stopwatch(watch)
    recorder = TimelineRecorder(times)
    for number in range(500):
        watch.now = 100.0 + seconds * number / 500
        times.count(CHARGED_TOKENS, 30)
        times.count(THROTTLED_REQUESTS, number % 100 == 0)
        recorder.add(RunProgress(pages=3, chunks=1, tokens=20))
        recorder.add(SourceResult("r", "a.pdf", Outcome.NEW, pages=99, tokens=99))
    watch.now = 100.0 + seconds

    found = recorder.timeline(350_000.0)

    assert sum(found.pages) == 1_500
    assert sum(found.tokens) == 10_000
    assert sum(found.charged) == 15_000
    assert sum(found.refused) == 5
    assert found.quota == 350_000
    lengths = {len(found.pages), len(found.tokens), len(found.charged), len(found.waited)}
    assert lengths == {math.floor(seconds / found.every) + 1}
    assert lengths <= set(range(MAX_INTERVALS + 1))
    assert len(json.dumps(asdict(found))) < 5_000


def test_it_is_told_when_there_was_waiting_and_when_work() -> None:
    """Ten seconds of reading, ten of waiting for the quota: I see which was first."""
    watch = Watch()
    times = Stopwatch(watch)
    recorder = TimelineRecorder(times)
    for second in range(20):
        with times.measure(
            TOKEN_QUOTA if second >= 10 else REQUEST_QUOTA if second < 2 else "reading"
        ):
            watch.now += 1
        recorder.add(RunProgress(pages=second < 10))

    found = recorder.timeline(math.inf)

    half = round(10 / found.every)
    assert sum(found.pages[: half + 1]) == 10
    assert sum(found.waited[:half]) == pytest.approx(2, abs=0.1)
    assert sum(found.waited[half:]) == pytest.approx(10, abs=0.1)
    assert found.quota == 0


def test_looking_changes_nothing() -> None:
    """Asking for the timeline adds no stage to the summary."""
    times = Stopwatch()
    recorder = TimelineRecorder(times)
    recorder.add(RunProgress(pages=1))

    assert stage_seconds(times, 1.0) == {}


def test_runs_of_other_versions_are_understood() -> None:
    """An index remembers runs of an earlier ingest, and perhaps of a later one."""
    whole = json.loads(summary_to_json(make_run()))
    assert summary_from_json(json.dumps(whole)) == make_run()

    later = {**whole, "weather": "fine", "timeline": {**whole["timeline"], "moods": [1, 2]}}
    assert summary_from_json(json.dumps(later)) == make_run()

    del whole["timeline"], whole["index"]
    earlier = summary_from_json(json.dumps(whole))
    assert earlier.timeline == Timeline()
    assert earlier.index == {}
    assert earlier.tokens_embedded == 18_000
