"""The pace of one deployment: what its clients get of a quota, in simulated time."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from ingest.embed.rate_limit.deployment import (
    FAST_REQUEST_TOKENS,
    MAX_LATE_SECONDS,
    MAX_REQUEST_TOKENS,
    MIN_FAST_REQUESTS,
    TARGET_REQUESTS_PER_MINUTE,
    UNLIMITED_QUOTA_REQUEST_TOKENS,
    DeploymentLimiter,
)
from ingest.embed.rate_limit.others import OtherClients
from ingest.embed.rate_limit.quota import FAST_TOKENS, LearntLimit
from tests.embed.rate_limit.simulation import (
    FULL,
    REMAINING,
    RETRY_AFTER,
    SILENT,
    Aligned,
    Greedy,
    Ideal,
    Ours,
    Quota,
    Sliding,
    Window,
    simulate,
)

TPM, RPM = 350_000, 2_100
SEEDS = range(3)
NOTICED = 20.0  # seconds over which a rate is taken here


def steady_quota(_: float) -> float:
    return TPM


def dropping_quota(now: float) -> float:
    """A quota that is a tenth for some minutes."""
    return TPM / 10 if 200 <= now < 400 else TPM


def measure_share(client: Ours, start: float, end: float) -> float:
    """Of a quota that does not change, what a client got."""
    return client.seen.tokens(start, end) / (TPM * (end - start) / 60)


@pytest.mark.parametrize(("counting", "least"), [(Window, 0.97), (Sliding, 0.93)])
@pytest.mark.parametrize("told", [FULL, REMAINING])
@pytest.mark.parametrize("limit", [math.inf, TPM])
def test_all_of_a_quota_is_used_where_the_service_says_what_is_left(
    counting: type[Window | Sliding], least: float, told: tuple[str, ...], limit: float
) -> None:
    """I pay for a quota, I get it; a single refusal tells where the minute ends."""
    for seed in SEEDS:
        client = Ours(DeploymentLimiter(LearntLimit(limit)))
        simulate(Quota(steady_quota, counting(), told, RPM), 600, client, seed=seed)
        assert measure_share(client, 60, 600) >= least
        assert client.seen.share_refused <= 0.01


@pytest.mark.parametrize("counting", [Window, Sliding])
@pytest.mark.parametrize("told", [RETRY_AFTER, SILENT])
def test_with_a_setting_no_header_is_needed(
    counting: type[Window | Sliding], told: tuple[str, ...]
) -> None:
    """With a configured quota, all of it is used even if the service sends no headers."""
    for seed in SEEDS:
        client = Ours(DeploymentLimiter(LearntLimit(TPM)))
        simulate(Quota(steady_quota, counting(), told), 420, client, seed=seed)
        assert measure_share(client, 60, 420) >= 0.97
        assert len(client.seen.refused) <= 1


@trials(max_examples=25)
@given(tpm=st.integers(1_000, 2_000_000), at_once=st.integers(1, 32), seed=st.integers(0, 999))
def test_no_minute_has_more_than_the_quota(tpm: int, at_once: int, seed: int) -> None:
    """In no minute is more than the quota sent, but for one refusal."""
    client = Ours(DeploymentLimiter(LearntLimit(tpm)), at_once)
    simulate(Quota(lambda _: tpm, Sliding(), SILENT), 130, client, seed=seed)
    assert len(client.seen.refused) <= 1
    assert client.seen.most(60) <= tpm


@pytest.mark.parametrize("rpm", [60, 600, 2100])
@pytest.mark.parametrize("seconds", [1.0, 10.0])
@pytest.mark.parametrize("told", [FULL, SILENT])
def test_requests_are_spaced_evenly_enough_for_a_limit_by_the_second(
    rpm: int, seconds: float, told: tuple[str, ...]
) -> None:
    """600 requests a minute are 10 in any second: a burst would be refused."""
    for seed in SEEDS:
        client = Ours(
            DeploymentLimiter(request_limit=LearntLimit(math.inf if told else rpm)), largest=50
        )
        quota = Quota(steady_quota, told=told, rpm=rpm, calls=Window(seconds))
        simulate(quota, 66, client, seed=seed)
        assert client.seen.refused == []
        assert len(client.seen.accepted) >= 0.88 * rpm * 66 / 60


def test_few_requests_carry_all_of_the_tokens() -> None:
    """Where requests are scarce each is larger, and the tokens are used up all the same."""
    client = Ours(DeploymentLimiter())
    simulate(Quota(steady_quota, rpm=60), 600, client)
    assert measure_share(client, 60, 600) >= 0.97
    assert len(client.seen.refused) <= 1


@pytest.mark.parametrize("seed", SEEDS)
def test_another_client_gets_its_share_and_we_the_rest(seed: int) -> None:
    """An application uses the same deployment now and then: it hardly notices us."""
    ours, other = Ours(DeploymentLimiter()), Greedy(rests_first=False)
    simulate(Quota(steady_quota, rpm=RPM), 1800, ours, other, seed=seed)
    taken = other.seen.tokens(60, 1800)
    assert taken > 0.1 * TPM * 29
    assert other.seen.share_refused <= 0.05
    assert ours.seen.tokens(60, 1800) >= 0.9 * (TPM * 29 - taken)
    assert ours.seen.share_refused <= 0.03


@pytest.mark.parametrize("told", [FULL, REMAINING])
def test_two_jobs_that_begin_together_share_the_first_minutes(told: tuple[str, ...]) -> None:
    """Two people start a run at the same time: neither waits for the other to be done."""
    for seed in SEEDS:
        two = [Ours(DeploymentLimiter(), per_token=1e-4) for _ in "ab"]
        simulate(Quota(steady_quota, told=told, rpm=RPM), 180, *two, seed=seed)
        assert min(measure_share(client, 0, 180) for client in two) >= 0.4


@pytest.mark.parametrize("seed", SEEDS)
def test_two_of_us_share_evenly(seed: int) -> None:
    """Two jobs on one deployment get half each, with hardly a refusal."""
    two = [Ours(DeploymentLimiter()), Ours(DeploymentLimiter())]
    simulate(Quota(steady_quota, rpm=RPM), 420, *two, seed=seed)
    assert sum(measure_share(client, 60, 420) for client in two) >= 0.97
    for client in two:
        assert measure_share(client, 120, 420) == pytest.approx(0.5, abs=0.05)
        assert client.seen.share_refused <= 0.005


@pytest.mark.parametrize("told", [FULL, REMAINING, RETRY_AFTER, SILENT])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_quota_that_drops_and_comes_back_is_used_again_within_a_minute(
    told: tuple[str, ...], seed: int
) -> None:
    """Somebody turned the quota down to a tenth and up again: I need not restart anything."""
    client = Ours(DeploymentLimiter())
    simulate(Quota(dropping_quota, told=told, rpm=RPM), 560, client, seed=seed)
    during = client.seen.tokens(260, 400) / (TPM / 10 * 140 / 60)
    assert 0.3 <= during <= 1.2
    back = [measure_share(client, at - NOTICED, at) for at in range(420, 461)]
    assert max(back) >= 0.9


@pytest.mark.parametrize("told", [FULL, REMAINING])
def test_once_back_it_stays(told: tuple[str, ...]) -> None:
    """If headers tell what is left, the rate does not swing after a drop."""
    client = Ours(DeploymentLimiter())
    simulate(Quota(dropping_quota, told=told, rpm=RPM), 700, client)
    for start in range(460, 640, 60):
        assert measure_share(client, start, start + 60) >= 0.95
    assert client.seen.share_refused <= 0.015


@pytest.mark.parametrize(
    ("told", "least", "refused"), [(RETRY_AFTER, 0.95, 0.03), (SILENT, 0.8, 0.15)]
)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_quota_nobody_tells_is_learnt(
    told: tuple[str, ...], least: float, refused: float, seed: int
) -> None:
    """No setting and no header: refusals alone say how much there is, some of them not when."""
    client = Ours(DeploymentLimiter())
    simulate(Quota(steady_quota, told=told), 900, client, seed=seed)
    assert measure_share(client, 180, 900) >= least
    assert client.seen.share_refused <= refused
    assert TPM / 2 <= client.pace.token_limit.peak <= 1.5 * TPM


@pytest.mark.parametrize("value", ["-1", "", "many", "1e9", "NaN", "²"])
def test_headers_that_mean_nothing_do_no_harm(value: str) -> None:
    """Some services say -1, some say nothing sensible: it is as if they said nothing."""
    names = ("limit-tokens", "remaining-tokens", "limit-requests", "remaining-requests")
    client = Ours(DeploymentLimiter(LearntLimit(TPM)))
    quota = Quota(
        steady_quota, told=RETRY_AFTER, besides={f"x-ratelimit-{n}": value for n in names}
    )
    simulate(quota, 300, client)
    assert measure_share(client, 60, 300) >= 0.97
    assert len(client.seen.refused) <= 1


def test_a_service_that_always_says_nothing_is_left_is_not_believed() -> None:
    """A service that reports 0 tokens left and accepts all requests is soon not believed."""
    client = Ours(DeploymentLimiter(LearntLimit(TPM)))
    quota = Quota(steady_quota, told=RETRY_AFTER, besides={"x-ratelimit-remaining-tokens": "0"})
    simulate(quota, 480, client)
    assert measure_share(client, 240, 480) >= 0.97


@pytest.mark.parametrize("seed", SEEDS)
def test_answers_may_be_late_and_in_any_order(seed: int) -> None:
    """Answers that take five seconds, in any order, do not confuse the count."""
    client = Ours(DeploymentLimiter(), at_once=64, latency=lambda: random.uniform(0.05, 5))
    simulate(Quota(steady_quota, rpm=RPM), 600, client, seed=seed)
    assert measure_share(client, 60, 600) >= 0.85
    assert client.seen.share_refused <= 0.02


def test_after_a_hiccup_there_is_no_burst() -> None:
    """After ten seconds without a request, the usual rate is kept."""
    seen = OtherClients(seen_until=math.inf)
    pace = DeploymentLimiter(LearntLimit(TPM), others=seen, has_answered=True)
    sent, now = [], 0.0
    while now < 30:
        if 10 < now < 20 or pace.ready_at(2_000, now)[0] > now:
            now += 0.001
            continue
        pace.record_sent(2_000, now)
        sent.append(now)
    after = [at for at in sent if 20 <= at < 21]
    assert len(after) <= 1 + (1 + MAX_LATE_SECONDS) * TPM / 60 / 2_000
    gaps = [b - a for a, b in pairwise(at for at in sent if at > 21)]
    assert min(gaps) == pytest.approx(max(gaps), abs=0.002)


def test_a_request_grows_and_shrinks_with_the_quota() -> None:
    """Small at first, then as many tokens as flow evenly, and never a burst."""
    for limit in (TPM, 2 * TPM, 20 * TPM):
        pace = DeploymentLimiter()
        assert pace.request_tokens(0) == FAST_REQUEST_TOKENS
        left = limit
        for tokens in 100, int(FAST_TOKENS):
            left -= tokens
            limits = {"limit-tokens": limit, "remaining-tokens": left}
            headers = {f"x-ratelimit-{name}": str(value) for name, value in limits.items()}
            pace.record_success(pace.record_sent(tokens, 0), headers, 0)
        even = limit // TARGET_REQUESTS_PER_MINUTE
        assert pace.request_tokens(0) == min(even, MAX_REQUEST_TOKENS)
    small = DeploymentLimiter(LearntLimit(TPM / 10))
    assert small.request_tokens(0) == int(TPM / 10 / MIN_FAST_REQUESTS)
    unlimited = DeploymentLimiter()
    unlimited.record_success(unlimited.record_sent(FAST_TOKENS, 0), {}, 0)
    assert unlimited.request_tokens(0) == UNLIMITED_QUOTA_REQUEST_TOKENS


def test_the_first_answer_is_waited_for_before_more_is_sent() -> None:
    """Nothing is known of a new deployment: one request asks, the others wait for what it says."""
    pace = DeploymentLimiter()
    turn = pace.record_sent(100, 0)
    assert pace.ready_at(100, 1)[0] > 1
    pace.record_success(turn, {}, 2)
    assert pace.ready_at(100, 2)[0] <= 2


def test_a_slow_first_request_does_not_mislead_about_the_minute() -> None:
    """Signing in and connecting took two seconds: the service's minute began only after that."""
    first = [2.5]
    client = Ours(DeploymentLimiter(), latency=lambda: 4 * first.pop() if first else 0.2)
    simulate(Quota(steady_quota, rpm=RPM), 600, client)
    assert len(client.seen.refused) <= 1
    assert measure_share(client, 60, 600) >= 0.95


def test_a_run_that_needs_little_does_not_wait() -> None:
    """A few documents with a large quota are embedded without waiting."""
    client = Ours(DeploymentLimiter())
    simulate(Quota(steady_quota, rpm=RPM), 6, client)
    assert client.seen.tokens(0, 6) >= 0.95 * TPM
    assert len(client.seen.refused) <= 1


KINDS: dict[str, Callable[[float], Window | Sliding]] = {
    "full minutes": lambda start: Aligned(began=start),
    "from a request on": lambda _: Window(),
    "rolling": lambda _: Sliding(),
}


@cache
def measure_ideal(kind: str, minutes: float, start: float) -> float:
    """The seconds of a job of a client that knows when the windows end."""
    ideal = Ideal(minutes * TPM, size=8_000, per_token=1e-4)
    simulate(Quota(steady_quota, KINDS[kind](start), rpm=RPM), 600, ideal)
    return ideal.ended


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("told", [FULL, REMAINING, RETRY_AFTER])
@pytest.mark.parametrize("limit", [math.inf, TPM])
def test_a_job_of_some_minutes_takes_hardly_longer_than_it_must(
    kind: str, told: tuple[str, ...], limit: float
) -> None:
    """A job takes at most a tenth longer than one that knows when the windows end."""
    for seed, (minutes, start) in enumerate([(2.2, 0.0), (2.8, 52.0), (3.71, 10.0), (4.6, 25.0)]):
        client = Ours(DeploymentLimiter(LearntLimit(limit)), per_token=1e-4, left=minutes * TPM)
        simulate(Quota(steady_quota, KINDS[kind](start), told, RPM), 600, client, seed=seed)
        assert client.left < 1
        assert measure_ideal(kind, minutes, start) / client.ended >= 0.9
        assert client.seen.share_refused <= 0.01  # the first one finds a window used up


@pytest.mark.parametrize("told", [FULL, REMAINING])
@pytest.mark.parametrize("limit", [math.inf, TPM])
def test_a_job_uses_the_seconds_that_a_window_has_left(told: tuple[str, ...], limit: float) -> None:
    """It begins three seconds before the service's minute ends, and needs some of that minute."""
    client = Ours(DeploymentLimiter(LearntLimit(limit)), per_token=1e-4, left=2.45 * TPM)
    simulate(Quota(steady_quota, Aligned(began=57), told, RPM), 600, client)
    assert client.left < 1
    assert measure_ideal("full minutes", 2.45, 57) / client.ended >= 0.9


@pytest.mark.parametrize("told", [FULL, RETRY_AFTER])
@pytest.mark.parametrize(("tpm", "minutes", "start"), [(370_000, 4.63, 56.1), (89_000, 3.8, 55.1)])
def test_the_first_requests_are_answered_before_the_window_ends(
    told: tuple[str, ...], tpm: int, minutes: float, start: float
) -> None:
    """A minute ends four seconds after the job began: a large or a small quota is used in time."""
    ideal = Ideal(minutes * tpm, size=8_000, per_token=1e-4)
    simulate(Quota(lambda _: tpm, Aligned(began=start), told, 6 * tpm / 1000), 600, ideal)
    client = Ours(DeploymentLimiter(), per_token=1e-4, left=minutes * tpm)
    simulate(Quota(lambda _: tpm, Aligned(began=start), told, 6 * tpm / 1000), 600, client)
    assert client.left < 1
    assert ideal.ended / client.ended >= 0.9


@pytest.mark.parametrize("kind", ["from a request on", "rolling"])
@pytest.mark.parametrize(
    ("told", "said"),
    [
        (SILENT, float),
        (RETRY_AFTER, lambda wait: wait / 2),
        (RETRY_AFTER, lambda wait: wait + 5),
        (RETRY_AFTER, lambda _: 60),
    ],
)
def test_a_retry_after_that_misleads_or_is_missing_costs_little(
    kind: str, told: tuple[str, ...], said: Callable[[float], float]
) -> None:
    """When there was room again is learnt from what is accepted, not from what was said."""
    client = Ours(DeploymentLimiter(), per_token=1e-4, left=3.4 * TPM)
    simulate(Quota(steady_quota, KINDS[kind](0), told, RPM, said=said), 600, client)
    assert client.left < 1
    assert measure_ideal(kind, 3.4, 0) / client.ended >= 0.9
    assert len(client.seen.refused) <= 6


def test_a_window_is_used_up_to_the_last_tokens() -> None:
    """A job of hardly less than three windows does not need a fourth."""
    client = Ours(DeploymentLimiter(), per_token=1e-4, left=2.97 * TPM)
    simulate(Quota(steady_quota, rpm=RPM), 600, client)
    assert client.left < 1
    assert client.ended < 150


def test_the_headers_tell_how_long_a_window_is() -> None:
    """Half of the limit is left at first: it is counted anew after half a minute."""
    client = Ours(DeploymentLimiter(), per_token=1e-4, left=2 * TPM)
    simulate(Quota(steady_quota, Window(30), rpm=RPM), 600, client)
    assert client.left < 1
    assert client.ended < 110


@pytest.mark.parametrize("told", [REMAINING, RETRY_AFTER])
def test_a_setting_tells_how_long_a_window_is(told: tuple[str, ...]) -> None:
    """Half of the quota that I set is used up at a time: it is there again in half a minute."""
    client = Ours(DeploymentLimiter(LearntLimit(TPM)), per_token=1e-4, left=1.9 * TPM)
    simulate(Quota(steady_quota, Window(30), told, RPM), 600, client)
    assert client.left < 1
    assert client.ended < 110


@pytest.mark.parametrize("began", [57.8, 59.4])
def test_tokens_of_two_windows_are_not_taken_for_those_of_a_longer_one(began: float) -> None:
    """The job begins as half a minute ends, so that one and a half windows are used up at once."""
    quota = Quota(steady_quota, Aligned(30, began=began), RETRY_AFTER, RPM)
    client = Ours(DeploymentLimiter(LearntLimit(TPM)), per_token=1e-4, left=2.6 * TPM)
    simulate(quota, 600, client)
    assert client.left < 1
    assert client.ended < 130
    assert len(client.seen.refused) <= 3  # sent before the first of them was back


@pytest.mark.parametrize("start", [9.0, 9.1])
def test_a_window_of_ten_seconds_may_end_right_after_the_first_request(start: float) -> None:
    """What is left seems to be that of a minute, until a request is refused for some seconds."""
    ideal = Ideal(2.1 * TPM, size=8_000, per_token=1e-4)
    simulate(Quota(steady_quota, Aligned(10, began=start), REMAINING, RPM), 600, ideal)
    client = Ours(DeploymentLimiter(), per_token=1e-4, left=2.1 * TPM)
    simulate(Quota(steady_quota, Aligned(10, began=start), REMAINING, RPM), 600, client)
    assert client.left < 1
    assert ideal.ended / client.ended >= 0.85


@pytest.mark.parametrize("seed", [70, 73, 75])
def test_a_quota_that_is_halved_is_not_taken_for_a_shorter_window(seed: int) -> None:
    """No header tells of it, but refusals do: each minute's half is used, no less."""
    quota = Quota(lambda now: TPM if now < 75 else TPM / 2, Sliding(), RETRY_AFTER, RPM)
    client = Ours(DeploymentLimiter(LearntLimit(TPM)), per_token=1e-4, left=4.6 * TPM)
    simulate(quota, 600, client, seed=seed)
    assert client.left < 1
    assert client.ended < 470


@pytest.mark.parametrize("told", [FULL, REMAINING, RETRY_AFTER, SILENT])
def test_a_job_ends_if_the_quota_is_lowered_meanwhile(told: tuple[str, ...]) -> None:
    """Somebody halved the quota in the second minute: the job takes longer, and not for ever."""
    client = Ours(DeploymentLimiter(), per_token=1e-4, left=3.3 * TPM)
    quota = Quota(lambda now: TPM if now < 75 else TPM / 2, Aligned(began=25), told, RPM)
    simulate(quota, 420, client)
    assert client.left < 1
