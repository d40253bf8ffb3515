"""Rate of requests to an OCR service, in simulated time."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from ingest.extract.ocr.rate_limit import MIN_REQUESTS_PER_SECOND, LeakyBucket
from ingest.runtime.rate_limit import Permit, Wait


@dataclass
class Slept:
    """A clock that only goes on while somebody sleeps."""

    now: float = 0.0
    sent: list[float] = field(default_factory=list)

    def pace(self) -> LeakyBucket:
        return LeakyBucket(10, 10, clock=lambda: self.now)

    def take(self, pace: LeakyBucket, count: int) -> None:
        for _ in range(count):
            while isinstance(answer := pace.ask(1), Wait):
                self.now += answer.seconds
            self.sent.append(self.now)


def seconds(answer: Permit | Wait) -> float:
    """Seconds to wait; 0 for a permit."""
    return answer.seconds if isinstance(answer, Wait) else 0.0


def test_never_more_than_so_many_a_second() -> None:
    """Fifty requests at ten a second take five seconds."""
    time = Slept()
    time.take(time.pace(), 51)
    assert 4.99 <= time.sent[-1] <= 5.2


def test_several_processes_have_one_pace() -> None:
    """Five that ask as fast as they may send ten a second in all, and each its share."""
    time, sent = Slept(), list[tuple[float, str]]()
    pace = time.pace()
    again = dict.fromkeys("abcde", 0.0)  # who, and when they ask next
    while time.now < 10:
        who = min(again, key=lambda name: again[name])
        time.now = again[who]
        answer = pace.ask(1, who)
        if isinstance(answer, Permit):
            sent.append((time.now, who))
        again[who] = time.now + (answer.seconds if isinstance(answer, Wait) else 0.001)

    assert 99 <= len(sent) <= 101
    assert all(b - a >= 0.09 for (a, _), (b, _) in pairwise(sent))
    names = [who for _, who in sent]
    assert all(abs(names.count(who) - 20) <= 1 for who in "abcde")


def test_a_refusal_holds_back_who_was_promised_a_turn() -> None:
    """One process is refused: the others, which wait for their turns, hear of it when they come."""
    time = Slept()
    pace = time.pace()
    assert pace.ask(1, "a") == Permit()
    wait = seconds(pace.ask(1, "b"))
    assert 0 < wait <= 0.1
    pace.report_throttled(Permit(), {"retry-after": "7"})
    time.now += wait
    assert seconds(pace.ask(1, "b")) > 6.5


def test_a_refusal_is_waited_out_and_then_fewer_are_sent() -> None:
    """The service's word is a floor; its answers bring the old pace back."""
    time = Slept()
    pace = time.pace()
    time.take(pace, 1)
    pace.report_throttled(Permit(), {"retry-after": "7"})
    time.take(pace, 3)
    assert time.sent[1] >= 7.0
    assert time.sent[3] - time.sent[2] >= 0.19

    for _ in range(40):
        pace.report_success(Permit(), {})
    assert pace.rate == 10


def test_a_service_that_only_refuses_is_asked_now_and_then() -> None:
    """The free tier takes one a second; however many refusals, it goes on."""
    time = Slept()
    pace = time.pace()
    for _ in range(50):
        pace.report_throttled(Permit(), {})
    assert pace.rate == MIN_REQUESTS_PER_SECOND
    time.take(pace, 2)
    assert time.sent[1] - time.sent[0] <= 1 / MIN_REQUESTS_PER_SECOND + 0.01
