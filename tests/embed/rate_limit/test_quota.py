"""What answers and refusals say of a quota, one by one."""

from __future__ import annotations

import pytest

from ingest.embed.rate_limit.deployment import DeploymentLimiter
from ingest.embed.rate_limit.quota import (
    LearntLimit,
    SentRequest,
    count_quota_tokens,
    read_rate_limit_header,
    throttled_limits,
)
from ingest.runtime.timing import REQUEST_QUOTA, TOKEN_QUOTA

LIMIT = 60_000


def quota_headers(left: int) -> dict[str, str]:
    """The headers of an answer."""
    return {"x-ratelimit-limit-tokens": str(LIMIT), "x-ratelimit-remaining-tokens": str(left)}


def send_requests(*tokens: int) -> tuple[DeploymentLimiter, list[SentRequest]]:
    """A pace that knows its quota, and requests on their way, all sent at second 1."""
    pace = DeploymentLimiter()
    pace.record_success(pace.record_sent(1_000, 0), quota_headers(LIMIT - 1_000), 0)
    return pace, [pace.record_sent(n, 1) for n in tokens]


def test_characters_are_what_the_quota_counts() -> None:
    """Four to a token, begun ones in full: not what the model counts, and not what is billed."""
    assert [count_quota_tokens(n) for n in (0, 1, 4, 5, 8_000)] == [0, 1, 1, 2, 2_000]


@pytest.mark.parametrize("header", ["retry-after", "x-ratelimit-reset-tokens"])
def test_a_refusal_holds_back_every_sender(header: str) -> None:
    """One of us is told to come back in 7 seconds: nobody sends before, whatever else is heard."""
    pace, (first, second, third) = send_requests(100, 100, 100)
    pace.record_throttled(first, {header: "7"}, now=2)
    assert pace.ready_at(1, 2)[0] >= 9
    pace.record_success(second, quota_headers(LIMIT - 5_000), 2.5)
    assert pace.ready_at(1, 3)[0] >= 9
    pace.record_throttled(third, {"retry-after": "3"}, now=3)
    assert pace.ready_at(1, 4)[0] >= 9


def test_a_refusal_without_a_word_holds_back_longer_each_time() -> None:
    """Without Retry-After, the wait doubles from half a second up to half a minute."""
    pace, now, waits = DeploymentLimiter(), 0.0, []
    for _ in range(9):
        pace.record_throttled(pace.record_sent(100, now), {}, now)
        waits.append(pace.held_until - now)
        now = pace.held_until
    assert 0.5 <= waits[0] <= 1
    assert all(min(15, 0.5 * 2**n) <= wait <= 30 for n, wait in enumerate(waits))


def test_a_refused_request_is_charged_nowhere() -> None:
    """What was refused for its number spent no tokens: they are there again, once."""
    pace, (turn,) = send_requests(4_000)
    assert pace.window.left == LIMIT - 5_000
    pace.record_throttled(
        turn, {"retry-after": "1", "policy-id": "DeploymentRatelimit-Call"}, now=2
    )
    assert pace.window.left == LIMIT - 1_000
    assert turn not in pace.window.requests
    assert pace.under_way == 0

    again = pace.record_sent(4_000, 4)
    pace.record_success(again, quota_headers(LIMIT - 5_000), 5)
    assert pace.window.left == LIMIT - 5_000


def test_several_refusals_at_once_count_as_one() -> None:
    """Eight were on their way when the quota was over: that is one event, not eight."""
    pace = DeploymentLimiter(LearntLimit(LIMIT))
    turns = [pace.record_sent(1_000, 0.1 * n) for n in range(10)]
    pace.record_success(turns[0], {}, 1)
    pace.record_throttled(turns[1], {"retry-after": "2"}, now=2)
    peak = pace.token_limit.peak
    for turn in turns[2:]:
        pace.record_throttled(turn, {"retry-after": "2"}, now=2)
    assert pace.token_limit.peak == peak
    assert pace.refusals == 1


def test_an_older_answer_says_nothing_new() -> None:
    """An answer that was overtaken by a newer one does not raise what is left."""
    pace, (first, second) = send_requests(1_000, 1_000)
    pace.record_success(second, quota_headers(30_000), 2)
    pace.record_success(first, quota_headers(58_000), 3)
    assert pace.window.left == 30_000


def test_an_answer_that_overtakes_others_raises_nothing() -> None:
    """The newest request was counted first: what the others take is not there again."""
    pace, (_, _, newest) = send_requests(10_000, 10_000, 10_000)
    pace.window.is_fixed = True
    pace.record_success(newest, quota_headers(LIMIT - 11_000), 2)
    assert pace.window.left == LIMIT - 31_000


def test_a_request_that_came_to_nothing_is_taken_for_charged() -> None:
    """A request whose connection broke counts as sent, since the service may have counted it."""
    pace, (_,) = send_requests(4_000)
    pace.record_failure(until=0)
    assert pace.window.left == LIMIT - 5_000
    assert pace.under_way == 0


def test_the_limit_of_requests_is_told_apart_from_that_of_tokens() -> None:
    """The headers say which limit it was, and only that one is learnt."""
    assert throttled_limits({"policy-id": "DeploymentRatelimit-Call"}) == {REQUEST_QUOTA}
    assert throttled_limits({"policy-id": "DeploymentRatelimit-Token"}) == {TOKEN_QUOTA}
    assert throttled_limits({"x-ratelimit-reset-requests": "3"}) == {REQUEST_QUOTA}
    assert throttled_limits({"x-ratelimit-reset-tokens": "3"}) == {TOKEN_QUOTA}
    assert throttled_limits({"retry-after": "3"}) == {TOKEN_QUOTA, REQUEST_QUOTA}

    pace, (turn,) = send_requests(100)
    pace.record_throttled(
        turn, {"retry-after": "1", "policy-id": "DeploymentRatelimit-Call"}, now=2
    )
    assert pace.request_limit.allowed(10) < pace.request_limit.limit
    assert pace.token_limit.allowed(10) == pace.token_limit.limit


@pytest.mark.parametrize("value", ["-1", "", "many", "1.5", "²", " 7"])
def test_a_header_that_is_no_number_says_nothing(value: str) -> None:
    """-1 in a header means that the service does not know."""
    assert (
        read_rate_limit_header({"x-ratelimit-remaining-tokens": value}, "remaining-tokens") is None
    )


def test_a_header_of_nought_says_nought() -> None:
    """0 in a header means that nothing is left."""
    assert read_rate_limit_header({"x-ratelimit-remaining-tokens": "0"}, "remaining-tokens") == 0


def test_after_a_refusal_the_share_comes_back_and_grows_beyond() -> None:
    """Less at first, all that got through after a while, ten times as much within a minute."""
    share = LearntLimit()
    share.record_throttled(throughput=10_000, until=100, refusals=1)
    assert share.allowed(100) < 10_000
    found = [share.allowed(100 + second) for second in range(61)]
    assert found == sorted(found)
    assert found[12] >= 10_000
    assert found[60] >= 100_000
    assert LearntLimit(20_000, peak=10_000).allowed(9_999) == 20_000
