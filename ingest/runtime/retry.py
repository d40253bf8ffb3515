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
from ingest.runtime.request_ids import RequestLog

T = TypeVar("T")

log = logging.getLogger(__name__)

# The first wait without a word from the service, in seconds, doubling up to the longest.
MIN_WAIT_SECONDS, MAX_WAIT_SECONDS = 0.5, 30.0
ROLE_POLL_SECONDS = 10.0  # seconds; a new role takes ten minutes to hold, a new deployment five
SLEEP_SLICE_SECONDS = 0.5  # of a sleep, after which a stop is noticed
LOGGED_WAIT_SECONDS = 5.0  # seconds of waiting that a person wants to know of

# What passes by itself: too many requests, time-outs, overload, a gateway's hiccup.
TRANSIENT_STATUSES = frozenset({408, 429, 500, 502, 503, 504})


class RetryableError(Exception):
    """The call may succeed later, but not before `floor` seconds from now.

    `waits`: the call itself waits until it may be made again.
    """

    def __init__(
        self, reason: str, retry_after: float = 0.0, *, waits_itself: bool = False
    ) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.waits_itself = waits_itself


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How requests are made: how long to go on trying, who may call it off, and who is told.

    Time is a parameter.
    """

    max_seconds: float = 900.0
    role_seconds: float = 0.0  # seconds to wait for roles and deployments that do not hold yet
    is_cancelled: Callable[[], bool] = lambda: False
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = field(default=time.monotonic)
    request_log: RequestLog = field(default_factory=RequestLog)

    def wait(self, seconds: float) -> None:
        """Sleep, unless it is called off. Raises StoppedError then."""
        end = self.clock() + seconds
        while (left := end - self.clock()) > 0:
            self.raise_if_cancelled()
            self.sleep(min(left, SLEEP_SLICE_SECONDS))

    def raise_if_cancelled(self) -> None:
        """Raises StoppedError if it is called off."""
        if self.is_cancelled():
            raise StoppedError("stopped while waiting for a service; run again to go on")


def call_with_retry(
    call: Callable[[], T], classify: Callable[[Exception], Exception], policy: RetryPolicy
) -> T:
    """The call's result, tried again for as long as `judge` makes an Again of what it raised.

    Anything else that `judge` returns is raised. Raises ServiceError once the patience is at its
    end, saying what the service answered last.
    """
    started = policy.clock()

    def attempt() -> T:
        try:
            return call()
        except RetryableError:
            raise
        except Exception as error:
            verdict = classify(error)
            if isinstance(verdict, NotYetError) and policy.clock() - started < policy.role_seconds:
                verdict = RetryableError(f"not yet: {verdict}", ROLE_POLL_SECONDS)
            if verdict is error:
                raise  # an error that were its own cause would have no end for who looks for one
            raise verdict from error

    def is_exhausted(state: tenacity.RetryCallState) -> bool:
        return policy.clock() - started + state.upcoming_sleep > policy.max_seconds

    def log_wait(state: tenacity.RetryCallState) -> None:
        assert state.next_action is not None
        error = last_error(state)
        if isinstance(error, RetryableError) and error.waits_itself:
            return  # who waits says so
        waiting = policy.clock() - started
        if state.next_action.sleep + waiting > LOGGED_WAIT_SECONDS:
            log.warning(
                "waiting %.0f s: %s (for %.0f s now)",
                state.next_action.sleep,
                error,
                waiting,
                extra={"seconds": round(state.next_action.sleep, 1)},
            )

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(RetryableError),
        wait=wait_seconds,
        stop=is_exhausted,
        sleep=policy.wait,
        before_sleep=log_wait,
        retry_error_callback=lambda state: raise_exhausted(state, policy.clock() - started),
    )
    return retrying(attempt)


def wait_seconds(state: tenacity.RetryCallState) -> float:
    """The service's floor, and a scattered wait on top that grows with each try."""
    error = last_error(state)
    assert isinstance(error, RetryableError)
    return 0.0 if error.waits_itself else error.retry_after + JITTERED_BACKOFF(state)


JITTERED_BACKOFF = tenacity.wait_random_exponential(
    multiplier=MIN_WAIT_SECONDS, max=MAX_WAIT_SECONDS
)


def last_error(state: tenacity.RetryCallState) -> BaseException | None:
    """What the last try raised."""
    return state.outcome.exception() if state.outcome else None


def raise_exhausted(state: tenacity.RetryCallState, seconds: float) -> NoReturn:
    """Say what was tried for how long."""
    raise ServiceError(
        f"{last_error(state)}; tried {state.attempt_number} times in {seconds:.0f} s: run again later"
    ) from last_error(state)


def parse_retry_after(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float:
    """The seconds a service asks for, from whichever header it says it in; 0 if it does not."""
    if milliseconds := parse_header_seconds(headers.get("retry-after-ms")):
        return milliseconds / 1000
    after = headers.get("retry-after", "")
    if (seconds := parse_header_seconds(after)) is not None:
        return seconds
    if after:
        try:
            return max(0.0, parsedate_to_datetime(after).timestamp() - now())
        except ValueError:
            pass
    resets = (
        parse_header_seconds(headers.get(f"x-ratelimit-reset-{what}"))
        for what in ("tokens", "requests")
    )
    return max((seconds for seconds in resets if seconds), default=0.0)


def parse_header_seconds(text: str | None) -> float | None:
    """A header's number of seconds: a plain one, or one with its unit; None for anything else."""
    try:
        return max(0.0, float((text or "").strip().removesuffix("s")))
    except ValueError:
        return None
