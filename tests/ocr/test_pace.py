"""How often a service is asked, in a time of our own."""

from __future__ import annotations

from dataclasses import dataclass, field

from ingest.ocr.pace import FEWEST, Pace
from ingest.retry import Patience


@dataclass
class Slept:
    """A clock that only goes on while somebody sleeps."""

    now: float = 0.0
    sent: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def patience(self) -> Patience:
        return Patience(clock=lambda: self.now, sleep=self.sleep)

    def take(self, pace: Pace, count: int) -> None:
        for _ in range(count):
            pace.take(self.patience)
            self.sent.append(self.now)


def test_never_more_than_so_many_a_second() -> None:
    """Fifty requests at ten a second take five seconds."""
    time = Slept()
    time.take(Pace(10, 10), 51)
    assert 4.99 <= time.sent[-1] <= 5.2


def test_a_refusal_is_waited_out_and_then_fewer_are_sent() -> None:
    """The service's word is a floor; its answers bring the old pace back."""
    time, pace = Slept(), Pace(10, 10)
    time.take(pace, 1)
    pace.refused(7.0, time.patience)
    time.take(pace, 3)
    assert time.sent[1] >= 7.0
    assert time.sent[3] - time.sent[2] >= 0.19

    for _ in range(40):
        pace.answered()
    assert pace.rate == 10


def test_a_service_that_only_refuses_is_asked_now_and_then() -> None:
    """The free tier takes one a second; however many refusals, it goes on."""
    time, pace = Slept(), Pace(10, 10)
    for _ in range(50):
        pace.refused(0.0, time.patience)
    assert pace.rate == FEWEST
    time.take(pace, 2)
    assert time.sent[1] - time.sent[0] <= 1 / FEWEST + 0.01
