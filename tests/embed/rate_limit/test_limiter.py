"""The line itself: who asks by a name is served in turn, and who is gone leaves nothing behind."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from ingest.embed.rate_limit.deployment import DeploymentLimiter
from ingest.embed.rate_limit.limiter import QUEUE_TIMEOUT_SECONDS, LocalRateLimiter
from ingest.embed.rate_limit.others import OtherClients
from ingest.embed.rate_limit.quota import LearntLimit
from ingest.runtime.rate_limit import Permit, Wait
from ingest.runtime.timing import OPEN_REQUESTS

TPM = 60_000
SIZE = 500.0  # tokens of a request: 120 a minute


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def create_limiter(clock: Clock, tpm: float = TPM) -> LocalRateLimiter:
    seen = OtherClients(seen_until=math.inf)
    deployment = DeploymentLimiter(LearntLimit(tpm), others=seen, has_answered=True)
    return LocalRateLimiter([deployment], clock)


def take_permit(paces: LocalRateLimiter, who: str = "", tokens: float = SIZE) -> Permit:
    """A turn that is there at once."""
    given = paces.ask(tokens, who)
    assert isinstance(given, Permit)
    return given


def test_those_who_ask_by_a_name_are_served_one_after_another() -> None:
    """One that asks ten times as often as the others gets no more than its share."""
    clock = Clock()
    paces = create_limiter(clock)
    impatient, patient = [0.01] * 1, [0.1] * 3
    names = {f"w{n}": pause for n, pause in enumerate(impatient + patient)}
    again = dict.fromkeys(names, clock.now)
    served: Counter[str] = Counter()
    while clock.now < 400:
        who = min(again, key=lambda name: again[name])
        clock.now = again[who]
        answer = paces.ask(SIZE, who)
        if isinstance(answer, Permit):
            served[who] += 1
            paces.report_success(answer, {})
            again[who] = clock.now + names[who]
        else:
            again[who] = clock.now + answer.seconds
    assert 570 <= served.total() <= 610
    assert max(served.values()) <= 1.4 * min(served.values())


def test_who_is_told_to_wait_is_told_for_how_long_and_why() -> None:
    """The second caller waits for the tokens of the first, the third for both."""
    clock = Clock()
    paces = create_limiter(clock)
    take_permit(paces, "a")
    waits = [paces.ask(SIZE, who) for who in "bcd"]
    assert all(isinstance(wait, Wait) and wait.reason == "token quota" for wait in waits)
    seconds = [wait.seconds for wait in waits if isinstance(wait, Wait)]
    assert seconds == sorted(seconds)
    assert seconds[0] < seconds[-1] <= QUEUE_TIMEOUT_SECONDS


def test_a_kill_loses_no_more_than_64k_tokens() -> None:
    """Answers that have not come are paid twice: whatever the quota allows, few are under way."""
    clock = Clock()
    paces = create_limiter(clock, tpm=1_000_000)
    first = take_permit(paces, tokens=30_000)
    clock.now += 5
    second = take_permit(paces, tokens=30_000)
    clock.now += 5
    waits = paces.ask(30_000)
    assert isinstance(waits, Wait)
    assert waits.reason == OPEN_REQUESTS
    for answered in (first, second):
        paces.report_success(answered, {})
    take_permit(paces, tokens=30_000)


def test_what_was_granted_to_one_that_is_gone_comes_back() -> None:
    """The permits of a lost client are freed, and those of others stay."""
    clock = Clock()
    paces = create_limiter(clock, tpm=10**9)
    for who in "aab":
        take_permit(paces, who)
        clock.now += 1
    assert paces.deployments[0].under_way == 3
    paces.forget_client("a")
    assert paces.deployments[0].under_way == 1
    paces.forget_client("nobody")
    assert paces.deployments[0].under_way == 1


def test_what_is_never_answered_comes_back_in_the_end() -> None:
    """A permit whose answer never arrives is freed after some time."""
    clock = Clock()
    paces = create_limiter(clock, tpm=10**9)
    old = take_permit(paces, "a")
    clock.now += 60
    take_permit(paces, "a")
    paces.expire_permits(30)
    assert paces.deployments[0].under_way == 1
    paces.report_success(old, {})  # so late, it means nothing
    assert paces.deployments[0].under_way == 1


def test_an_answer_to_an_unknown_turn_means_nothing() -> None:
    """An answer to an unknown permit frees nothing, but a refusal is respected."""
    clock = Clock()
    paces = create_limiter(clock)
    take_permit(paces)
    stranger = Permit(0, 10**9)
    paces.report_success(stranger, {"x-ratelimit-limit-tokens": "1"})
    paces.report_failure(stranger, avoid=True)
    assert paces.deployments[0].under_way == 1
    assert paces.get_quota().tokens_per_minute == TPM
    assert paces.deployments[0].avoided_until < clock.now

    assert paces.report_throttled(stranger, {"retry-after": "60"}) == 60
    clock.now += 59
    assert isinstance(paces.ask(SIZE), Wait)
    clock.now += 1
    take_permit(paces)
