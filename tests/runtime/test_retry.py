"""Retrying: as long as it may help, never sooner than the service says. Time is a parameter."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from ingest.errors import ConfigError, RoleError, ServiceError
from ingest.runtime.retry import (
    MAX_WAIT_SECONDS,
    RetryableError,
    RetryPolicy,
    call_with_retry,
    parse_retry_after,
)


@dataclass
class World:
    """A clock that only moves when somebody sleeps, and a service that fails first."""

    now: float = 0.0
    calls: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def patience(self) -> RetryPolicy:
        return RetryPolicy(max_seconds=600, sleep=self.sleep, clock=lambda: self.now)

    def failing(self, times: int, error: Exception) -> Callable[[], str]:
        def call() -> str:
            self.calls.append(self.now)
            if len(self.calls) <= times:
                raise error
            return "done"

        return call


def identity(error: Exception) -> Exception:
    return error


def test_what_passes_is_waited_out_with_growing_waits() -> None:
    """A busy service is tried again after growing waits."""
    world = World()
    assert (
        call_with_retry(world.failing(6, RetryableError("busy")), identity, world.patience())
        == "done"
    )
    waits = [b - a for a, b in zip(world.calls, world.calls[1:], strict=False)]
    assert len(waits) == 6
    assert all(0 <= wait <= MAX_WAIT_SECONDS for wait in waits)


@pytest.mark.parametrize("seed", range(20))
def test_the_services_word_is_a_floor(seed: int) -> None:
    """Invariant 9: no request is sent before the Retry-After has passed."""
    world = World()
    call_with_retry(
        world.failing(3, RetryableError("busy", retry_after=17.0)), identity, world.patience()
    )
    waits = [b - a for a, b in zip(world.calls, world.calls[1:], strict=False)]
    assert min(waits) >= 17.0


def test_patience_ends() -> None:
    """After the retry time, the error says how often and how long the service failed."""
    world = World()
    with pytest.raises(ServiceError, match=r"busy; tried \d+ times in \d+ s: run again later"):
        call_with_retry(world.failing(10**6, RetryableError("busy")), identity, world.patience())
    assert world.now <= 600


def test_what_cannot_pass_is_not_tried_again() -> None:
    """A wrong setting is reported at once, without a retry."""
    world = World()
    with pytest.raises(ConfigError, match="wrong") as raised:
        call_with_retry(world.failing(1, ConfigError("wrong")), identity, world.patience())
    assert len(world.calls) == 1
    assert raised.value.__cause__ is None  # whoever looks for the first cause comes to an end


def test_new_roles_are_waited_for_if_asked() -> None:
    """Right after a deployment, the role that does not hold yet is polled for."""
    world = World()
    patience = replace(world.patience(), role_seconds=300)
    assert (
        call_with_retry(world.failing(8, RoleError("lacks a role")), identity, patience) == "done"
    )
    assert world.now > 60

    world = World()
    with pytest.raises(RoleError):
        call_with_retry(world.failing(8, RoleError("lacks a role")), identity, world.patience())


def test_a_stop_ends_a_wait() -> None:
    """^C does not wait for a quota."""
    world = World()
    patience = replace(world.patience(), is_cancelled=lambda: world.now > 3)
    with pytest.raises(ServiceError, match="stopped while waiting"):
        call_with_retry(
            world.failing(9, RetryableError("busy", retry_after=300)), identity, patience
        )
    assert world.now < 5


def test_long_waits_are_said(caplog: pytest.LogCaptureFixture) -> None:
    """A long wait is logged with its reason and duration."""
    world = World()
    with caplog.at_level(logging.WARNING, "ingest"):
        call_with_retry(
            world.failing(1, RetryableError("the quota", retry_after=38)),
            identity,
            world.patience(),
        )
    assert "waiting 38 s: the quota" in caplog.text or "waiting 39 s: the quota" in caplog.text


def test_an_outage_is_not_a_page_of_equal_warnings(caplog: pytest.LogCaptureFixture) -> None:
    """Sixteen requests wait for the same reason: that is one warning a minute."""
    world = World()
    patience = world.patience()
    with caplog.at_level(logging.INFO, "ingest"):
        for _ in range(16):
            world.calls.clear()
            call_with_retry(world.failing(1, RetryableError("down", 6)), identity, patience)
    levels = [record.levelno for record in caplog.records]
    assert len(levels) == len(patience.waits) == 16
    assert levels[:9] == [logging.WARNING] + 8 * [logging.INFO]
    assert levels.count(logging.WARNING) == 2


@pytest.mark.parametrize(
    ("headers", "floor"),
    [
        ({}, 0.0),
        ({"retry-after": "38"}, 38.0),
        ({"retry-after-ms": "300", "retry-after": "38"}, 0.3),
        ({"retry-after": "Thu, 01 Jan 1970 00:02:00 GMT"}, 20.0),
        ({"retry-after": "nonsense"}, 0.0),
        ({"x-ratelimit-reset-tokens": "7", "x-ratelimit-reset-requests": "3"}, 7.0),
        ({"x-ratelimit-reset-tokens": "-1"}, 0.0),
        ({"retry-after": "0"}, 0.0),
    ],
)
def test_every_form_of_the_word_is_understood(headers: dict[str, str], floor: float) -> None:
    """Retry-After may be milliseconds, seconds, a date, or the reset of the quota."""
    assert parse_retry_after(headers, now=lambda: 100.0) == floor


def test_an_error_is_not_its_own_cause() -> None:
    """Who follows causes to their end, as an engine does with an error of a worker, gets there."""
    with pytest.raises(ConfigError) as raised:
        call_with_retry(World().failing(1, ConfigError("wrong")), identity, World().patience())
    assert raised.value.__cause__ is not raised.value
