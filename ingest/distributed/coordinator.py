"""One quota and one budget for all workers of a run.

Workers ask before every request, so what they are given is never more than there is; what was given
to one that is gone comes back. It remembers nothing that the next answer of the service does not
say again, so it may be lost and begun anew: only what may be spent is known to the driver, which
grants it in slices, and counts a slice as spent once whoever had it is lost.
"""

from __future__ import annotations

import itertools
import math
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ingest.distributed.messages import Beat, Orders, Status
from ingest.embed.deployments import Endpoint, paces
from ingest.embed.rate_limit.limiter import Granted, Known, Later
from ingest.extract.ocr.rate_limit import Pace
from ingest.runtime.budget import Budget
from ingest.runtime.prices import Rates

SILENT = 10.0  # seconds without a beat, after which a worker is taken for lost
LEFT = 20.0  # seconds without a word from the driver, after which workers are told to stop
ANSWERED = 180.0  # seconds in which every request is answered, or was given up


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may spend, and has spent."""

    tokens: float = math.inf
    usd: float = math.inf
    rates: Rates = field(default_factory=Rates)
    spent: tuple[int, int] = (0, 0)  # tokens, and pages that a service recognises


class Pacing:
    """What all workers ask. Every method answers at once; any thread may call."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint] = (),
        limits: Limits = Limits(),
        granted: tuple[float, float] = (math.inf, math.inf),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self.line = paces(endpoints, clock)
        # Answers to turns that another one gave mean nothing to this one.
        self.line.numbers = itertools.count(secrets.randbits(48))
        self.recognising = Pace(clock=clock)
        self.budget = Budget(
            most_tokens=limits.tokens,
            most_usd=limits.usd,
            rates=limits.rates,
            tokens=limits.spent[0],
            pages=limits.spent[1],
        )
        self.granted = granted  # tokens and pages that may be spent until the driver says more
        self.wanted = (0, 0)
        self.orders = Orders()
        self.heard = clock()  # of the driver, last
        self.beats: dict[str, tuple[float, Beat]] = {}  # by who, and when
        self.lock = threading.Lock()

    def ask(self, who: str, tokens: float) -> Granted | Later:
        """Whether a worker may send a request of so many tokens."""
        self.miss()
        return self.line.ask(tokens, who)

    def answered(self, turn: Granted, headers: Mapping[str, str]) -> None:
        """Its request was accepted."""
        self.line.answered(turn, headers)

    def refused(self, turn: Granted, headers: Mapping[str, str]) -> float:
        """It was refused for a quota: so many seconds more, all are held back."""
        return self.line.refused(turn, headers)

    def failed(self, turn: Granted, ailing: bool) -> None:  # noqa: FBT001 - as the wire has it
        """It came to nothing."""
        self.line.failed(turn, ailing=ailing)

    def known(self) -> Known:
        """What is known of the quotas; nothing where nobody has any."""
        return self.line.known() if self.line.each else Known(0, math.inf, math.inf)

    def ask_recognising(self, who: str) -> float:
        """Seconds until a worker may ask the service that recognises text; 0: now."""
        return self.recognising.ask(who)

    def recognised(self) -> None:
        """It has answered."""
        self.recognising.answered()

    def refused_recognising(self, floor: float) -> None:
        """It was asked too often: nobody asks it before so many seconds from now."""
        self.recognising.refused(floor)

    def spend(self, tokens: int, pages: int) -> str | None:
        """Whether so much more may be spent: "" for yes, else the limit; None: ask again."""
        with self.lock:
            mine = self.budget
            wanted = mine.tokens + tokens, mine.pages + pages
            if not mine.exceeded(*wanted) and any(
                much > most for much, most in zip(wanted, self.granted, strict=True)
            ):
                self.wanted = max(self.wanted[0], tokens), max(self.wanted[1], pages)
                return None
            mine.take(tokens, pages)
            return mine.reached

    def beat(self, beat: Beat) -> Orders:
        """A worker is there."""
        with self.lock:
            now = self.clock()
            self.beats[beat.who] = now, beat
            if now - self.heard > LEFT:
                return replace(self.orders, left=True)
            return self.orders

    def gone(self, who: str) -> bool:
        """A worker says goodbye. Whether it was the last who needs this, the driver included."""
        self.line.lost(who)
        with self.lock:
            self.beats.pop(who, None)
            return not self.beats and self.clock() - self.heard > LEFT

    def miss(self) -> None:
        """What those had who are gone comes back."""
        with self.lock:
            now = self.clock()
            silent = [who for who, (at, _) in self.beats.items() if now - at > SILENT]
            for who in silent:
                del self.beats[who]
        for who in silent:
            self.line.lost(who)
        self.line.forget(ANSWERED)

    def order(self, orders: Orders, granted: tuple[float, float]) -> Status:
        """The driver says what is to be done and what may be spent, and hears how things are."""
        self.miss()
        with self.lock:
            self.heard = self.clock()
            wanted, self.wanted, self.granted = self.wanted, (0, 0), granted
            self.orders = replace(orders, known=self.known())
            return Status(
                tuple(beat for _, beat in self.beats.values()),
                self.budget.tokens,
                self.budget.pages,
                wanted,
                self.budget.reached,
                self.orders.known,
            )
