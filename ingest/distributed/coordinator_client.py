"""The lines and the budget of a worker: leased, request by request, from the pacing of its run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ingest.distributed.messages import Call, MissedError
from ingest.embed.rate_limit.limiter import Granted, Known, Later
from ingest.errors import ServiceError, StoppedError
from ingest.runtime.cancellation import Stop

TOLD = ("x-ratelimit-", "retry-after", "policy-id")  # what headers of an answer say of a quota
LOOK = 0.2  # seconds until more may be granted, or another pacing be there
LOST = 120.0  # seconds for that: an engine may take 30 to miss a worker whose machine is gone


class Leased:
    """A Line whose turns are given elsewhere."""

    def __init__(self, who: str, call: Call) -> None:
        self.who = who
        self.call = call
        self.last: Known = call("known")

    def ask(self, tokens: float) -> Granted | Later:
        answer: Granted | Later = self.call("ask", self.who, tokens)
        return answer

    def answered(self, turn: Granted, headers: Mapping[str, str]) -> None:
        self.call("answered", turn, told(headers))

    def refused(self, turn: Granted, headers: Mapping[str, str]) -> float:
        wait: float = self.call("refused", turn, told(headers))
        return wait

    def failed(self, turn: Granted, *, ailing: bool) -> None:
        self.call("failed", turn, ailing)

    def known(self) -> Known:
        return self.last


def lasting(call: Call, stop: Stop) -> Call:
    """The calls; while the pacing is missed, they wait for another one.

    Raises ServiceError if that takes too long, StoppedError if the run is to end before.
    """

    def ask(method: str, *arguments: Any) -> Any:
        ends = time.monotonic() + LOST
        while True:
            try:
                return call(method, *arguments)
            except MissedError:
                if stop.overdue():
                    raise StoppedError("nobody keeps the pace of this run any more") from None
                if time.monotonic() > ends:
                    raise ServiceError("nobody keeps the pace of this run: run again") from None
                time.sleep(LOOK)

    return ask


class LeasedPace:
    """How often text is recognised, where others say so."""

    def __init__(self, who: str, call: Call) -> None:
        self.who = who
        self.call = call

    def ask(self) -> float:
        seconds: float = self.call("ask_recognising", self.who)
        return seconds

    def answered(self) -> None:
        self.call("recognised")

    def refused(self, floor: float) -> None:
        self.call("refused_recognising", floor)


def told(headers: Mapping[str, str]) -> dict[str, str]:
    """What an answer says of a quota, and nothing else of it."""
    return {name.lower(): value for name, value in headers.items() if name.lower().startswith(TOLD)}


def spending(call: Call, stop: Stop, tokens: int, pages: int) -> str:
    """Speak for so much; returns the limit if there is none left of it.

    Raises StoppedError if the run is to end before it was granted.
    """
    while (answer := call("spend", tokens, pages)) is None:
        if stop.overdue():
            raise StoppedError("nobody grants more to be spent; run again to go on")
        time.sleep(LOOK)
    reached: str = answer
    return reached
