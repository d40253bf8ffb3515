"""Retries: one policy for every service. The SDKs' own retries are off.

Retry-After is a lower bound of each wait; exponential backoff with jitter is added to it, so that
clients do not return all at once.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import partial
from typing import NoReturn, TypeVar

import tenacity

from ingest.errors import NotYetError, ServiceError, StoppedError
from ingest.redaction import redact
from ingest.runtime.request_ids import RequestLog

T = TypeVar("T")

log = logging.getLogger(__name__)

MIN_WAIT_SECONDS, MAX_WAIT_SECONDS = 0.5, 30.0  # of the backoff, which doubles
# A role assignment takes up to ten minutes to take effect, a new deployment five.
ROLE_POLL_SECONDS = 10.0
SLEEP_SLICE_SECONDS = 0.5  # between checks for cancellation
LOGGED_WAIT_SECONDS = 5.0  # a longer wait is logged
SAME_CAUSE_SECONDS = 60.0  # until a wait for the same cause is a warning again

# Of calls for one item, such as a page: failures until it is suspected, and of a suspect, which is
# tried again after each proof that the service works.
MAX_FAILURES, MAX_FAILURES_OF_SUSPECT, CONFIRMATIONS = 3, 1, 2
BUSY_WEIGHT = 0.25  # of an answer that the service is busy, which is seldom due to the item

# Request timeout, too many requests, errors of servers and of proxies: these pass without action.
TRANSIENT_STATUSES = frozenset({408, 429, *range(500, 600)})


class RetryableError(Exception):
    """The call may succeed if repeated.

    Args:
        reason: for the log, and for the error when retries are exhausted.
        retry_after: seconds to wait at least.
        waits_itself: the call waits by itself, so no wait is added here.
        weight: how much it speaks for an item of the request as its cause: 1 at most, 0 not at all.
    """

    def __init__(
        self,
        reason: str,
        retry_after: float = 0.0,
        *,
        waits_itself: bool = False,
        weight: float = 1.0,
    ) -> None:
        super().__init__(redact(reason))
        self.retry_after = retry_after
        self.waits_itself = waits_itself
        self.weight = weight


class RepeatedFailureError(Exception):
    """A call failed so often, in ways that its item may cause, that the item is suspected."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Retry policy: timeouts, cancellation, the clock and the request log."""

    max_seconds: float = 900.0  # in total, after which the last error is raised
    role_seconds: float = 0.0  # to wait for roles and deployments that are not in effect yet
    is_cancelled: Callable[[], bool] = lambda: False
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = field(default=time.monotonic)
    request_log: RequestLog = field(default_factory=RequestLog)
    wait_for: Callable[[str], AbstractContextManager[None]] = lambda _: nullcontext()  # by its name
    waits: list[float] = field(default_factory=list)  # seconds of each retry so far; it grows
    warned: dict[str, float] = field(default_factory=dict)  # when each cause was last logged

    def wait(self, seconds: float) -> None:
        """Sleep. Raises StoppedError if the run is cancelled meanwhile."""
        end = self.clock() + seconds
        while (left := end - self.clock()) > 0:
            self.raise_if_cancelled()
            self.sleep(min(left, SLEEP_SLICE_SECONDS))

    def is_news(self, cause: str) -> bool:
        """Return whether a cause was not logged in the last minute; remembers that it is now.

        In an outage many requests wait at once, all for the same reason.
        """
        now = self.clock()
        if now - self.warned.get(cause, -math.inf) < SAME_CAUSE_SECONDS:
            return False
        self.warned[cause] = now
        return True

    def raise_if_cancelled(self) -> None:
        """Raise StoppedError if the run is cancelled."""
        if self.is_cancelled():
            raise StoppedError("stopped while waiting for a service; run again to continue")


def call_with_retry(
    call: Callable[[], T],
    classify: Callable[[Exception], Exception],
    policy: RetryPolicy,
    awaited: str = "",
    max_failures: float = math.inf,
) -> T:
    """Call a function, and repeat the call while it fails with a RetryableError.

    Args:
        call: the function.
        classify: maps an exception to RetryableError, or to the error to raise.
        policy: the timeouts, among others.
        awaited: name of what the call waits for; "" if the caller names it.
        max_failures: sum of the failures' weights after which the call's item is suspected.

    Raises:
        ServiceError: retries are exhausted; its message includes the last error.
        RepeatedFailureError: `max_failures` is reached, or retries are exhausted before.
    """
    started = policy.clock()
    failures = 0.0

    def attempt() -> T:
        try:
            return call()
        except RetryableError:
            raise
        except Exception as error:
            verdict = classify(error)
            if isinstance(verdict, NotYetError) and policy.clock() - started < policy.role_seconds:
                verdict = RetryableError(f"not yet: {verdict}", ROLE_POLL_SECONDS, weight=0)
            if verdict is error:
                raise  # an error must not become its own cause
            raise verdict from error

    def is_exhausted(state: tenacity.RetryCallState) -> bool:
        nonlocal failures
        error = last_error(state)
        assert isinstance(error, RetryableError)
        failures += error.weight
        is_late = policy.clock() - started + state.upcoming_sleep > policy.max_seconds
        if failures >= max_failures or (is_late and failures and max_failures < math.inf):
            raise RepeatedFailureError(str(error)) from error
        return is_late

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(RetryableError),
        wait=wait_seconds,
        stop=is_exhausted,
        sleep=policy.wait,
        before_sleep=partial(record_wait, policy, started),
        retry_error_callback=lambda state: raise_exhausted(state, policy.clock() - started),
    )
    with policy.wait_for(awaited) if awaited else nullcontext():
        return retrying(attempt)


def call_for_item(call: Callable[[float], T], check_service: Callable[[], object]) -> T:
    """Call a function for one item, which is blamed only while the service works for others.

    Args:
        call: the function, given its `max_failures`; it raises RepeatedFailureError.
        check_service: raises an IngestError unless the service works for another item.

    Raises:
        RepeatedFailureError: the service fails on the item, and not on others.
    """
    for max_failures in (MAX_FAILURES, *[MAX_FAILURES_OF_SUSPECT] * CONFIRMATIONS):
        try:
            return call(max_failures)
        except RepeatedFailureError as error:
            failure = error
        check_service()
    reason = f"the service fails on it, and not on others ({failure})"
    raise RepeatedFailureError(reason) from failure.__cause__


def record_wait(policy: RetryPolicy, started: float, state: tenacity.RetryCallState) -> None:
    """Record the wait before a retry, and log a long one, unless the call logs it."""
    assert state.next_action is not None
    seconds = state.next_action.sleep
    policy.waits.append(seconds)
    error = last_error(state)
    if isinstance(error, RetryableError) and error.waits_itself:
        return
    waiting = policy.clock() - started
    if seconds + waiting > LOGGED_WAIT_SECONDS:
        log.log(
            logging.WARNING if policy.is_news(str(error)) else logging.INFO,
            "waiting %.0f s: %s (for %.0f s now)",
            seconds,
            error,
            waiting,
            extra={"seconds": round(seconds, 1)},
        )


def wait_seconds(state: tenacity.RetryCallState) -> float:
    """Return Retry-After plus exponential backoff with jitter."""
    error = last_error(state)
    assert isinstance(error, RetryableError)
    return 0.0 if error.waits_itself else error.retry_after + JITTERED_BACKOFF(state)


JITTERED_BACKOFF = tenacity.wait_random_exponential(
    multiplier=MIN_WAIT_SECONDS, max=MAX_WAIT_SECONDS
)


def last_error(state: tenacity.RetryCallState) -> BaseException | None:
    """Return the exception of the last attempt."""
    return state.outcome.exception() if state.outcome else None


def raise_exhausted(state: tenacity.RetryCallState, seconds: float) -> NoReturn:
    """Raise ServiceError with the last error and the number of attempts."""
    error = last_error(state)
    raise ServiceError(
        f"{error}; tried {state.attempt_number} times in {seconds:.0f} s: run again later"
    ) from error


def parse_retry_after(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float:
    """Return the seconds to wait according to a response's headers; 0 if they do not say.

    Reads retry-after-ms, Retry-After (seconds or a date) and x-ratelimit-reset-*.
    """
    if milliseconds := parse_header_seconds(headers.get("retry-after-ms")):
        return milliseconds / 1000
    after = headers.get("retry-after", "")
    if (seconds := parse_header_seconds(after)) is not None:
        return seconds
    if after:
        try:
            return max(0.0, parsedate_to_datetime(after).timestamp() - now())
        except (ValueError, OverflowError):
            pass
    resets = (
        parse_header_seconds(headers.get(f"x-ratelimit-reset-{unit}"))
        for unit in ("tokens", "requests")
    )
    return max((seconds for seconds in resets if seconds), default=0.0)


def parse_header_seconds(text: str | None) -> float | None:
    """Parse a number of seconds, such as "5" or "5s"; None for anything else."""
    try:
        seconds = float((text or "").strip().removesuffix("s"))
    except ValueError:
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
