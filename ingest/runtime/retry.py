"""Retrying: one policy for every service. The SDKs' own retries are switched off.

A service's word on when to come back is a floor, never a target to undercut; on top of it the waits
grow and are scattered, so that clients do not return in step.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import NoReturn, TypeVar

import tenacity

from ingest.errors import NotYetError, ServiceError, StoppedError
from ingest.runtime.request_ids import Exchanges

T = TypeVar("T")

log = logging.getLogger(__name__)

# The first wait without a word from the service, in seconds, doubling up to the longest.
SHORTEST, LONGEST = 0.5, 30.0
ROLE_POLL = 10.0  # seconds; a new role takes ten minutes to hold, a new deployment five
SLICE = 0.5  # of a sleep, after which a stop is noticed
WORTH_SAYING = 5.0  # seconds of waiting that a person wants to know of

# What passes by itself: too many requests, time-outs, overload, a gateway's hiccup.
PASSING = frozenset({408, 429, 500, 502, 503, 504})


class Again(Exception):
    """The call may succeed later, but not before `floor` seconds from now.

    `waits`: the call itself waits until it may be made again.
    """

    def __init__(self, why: str, floor: float = 0.0, *, waits: bool = False) -> None:
        super().__init__(why)
        self.floor = floor
        self.waits = waits


@dataclass(frozen=True, slots=True)
class Patience:
    """How requests are made: how long to go on trying, who may call it off, and who is told.

    Time is a parameter.
    """

    seconds: float = 900.0
    roles: float = 0.0  # seconds to wait for roles and deployments that do not hold yet
    stopped: Callable[[], bool] = lambda: False
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = field(default=time.monotonic)
    exchanges: Exchanges = field(default_factory=Exchanges)

    def wait(self, seconds: float) -> None:
        """Sleep, unless it is called off. Raises StoppedError then."""
        end = self.clock() + seconds
        while (left := end - self.clock()) > 0:
            self.proceed()
            self.sleep(min(left, SLICE))

    def proceed(self) -> None:
        """Raises StoppedError if it is called off."""
        if self.stopped():
            raise StoppedError("stopped while waiting for a service; run again to go on")


def patiently(
    call: Callable[[], T], judge: Callable[[Exception], Exception], patience: Patience
) -> T:
    """The call's result, tried again for as long as `judge` makes an Again of what it raised.

    Anything else that `judge` returns is raised. Raises ServiceError once the patience is at its
    end, saying what the service answered last.
    """
    started = patience.clock()

    def attempt() -> T:
        try:
            return call()
        except Again:
            raise
        except Exception as error:
            verdict = judge(error)
            if isinstance(verdict, NotYetError) and patience.clock() - started < patience.roles:
                verdict = Again(f"not yet: {verdict}", ROLE_POLL)
            if verdict is error:
                raise  # an error that were its own cause would have no end for who looks for one
            raise verdict from error

    def spent(state: tenacity.RetryCallState) -> bool:
        return patience.clock() - started + state.upcoming_sleep > patience.seconds

    def say(state: tenacity.RetryCallState) -> None:
        assert state.next_action is not None
        error = raised(state)
        if isinstance(error, Again) and error.waits:
            return  # who waits says so
        waiting = patience.clock() - started
        if state.next_action.sleep + waiting > WORTH_SAYING:
            log.warning(
                "waiting %.0f s: %s (for %.0f s now)",
                state.next_action.sleep,
                error,
                waiting,
                extra={"seconds": round(state.next_action.sleep, 1)},
            )

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Again),
        wait=wait,
        stop=spent,
        sleep=patience.wait,
        before_sleep=say,
        retry_error_callback=lambda state: give_up(state, patience.clock() - started),
    )
    return retrying(attempt)


def wait(state: tenacity.RetryCallState) -> float:
    """The service's floor, and a scattered wait on top that grows with each try."""
    error = raised(state)
    assert isinstance(error, Again)
    return 0.0 if error.waits else error.floor + SCATTERED(state)


SCATTERED = tenacity.wait_random_exponential(multiplier=SHORTEST, max=LONGEST)


def raised(state: tenacity.RetryCallState) -> BaseException | None:
    """What the last try raised."""
    return state.outcome.exception() if state.outcome else None


def give_up(state: tenacity.RetryCallState, seconds: float) -> NoReturn:
    """Say what was tried for how long."""
    raise ServiceError(
        f"{raised(state)}; tried {state.attempt_number} times in {seconds:.0f} s: run again later"
    ) from raised(state)


def floor_of(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float:
    """The seconds a service asks for, from whichever header it says it in; 0 if it does not."""
    if milliseconds := number(headers.get("retry-after-ms")):
        return milliseconds / 1000
    after = headers.get("retry-after", "")
    if (seconds := number(after)) is not None:
        return seconds
    if after:
        try:
            return max(0.0, parsedate_to_datetime(after).timestamp() - now())
        except ValueError:
            pass
    resets = (number(headers.get(f"x-ratelimit-reset-{what}")) for what in ("tokens", "requests"))
    return max((seconds for seconds in resets if seconds), default=0.0)


def number(text: str | None) -> float | None:
    """A header's number of seconds: a plain one, or one with its unit; None for anything else."""
    try:
        return max(0.0, float((text or "").strip().removesuffix("s")))
    except ValueError:
        return None
