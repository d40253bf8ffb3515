"""One token for everybody, renewed in time. Time is a parameter; nothing of an SDK is patched."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ServiceRequestError

from ingest.azure.credential import SharedCredential, create_credential
from ingest.azure.token_cache import TOKEN_RENEW_SECONDS, TokenCache, parse_identity
from ingest.errors import ConfigError, ServiceError
from ingest.runtime.retry import RetryPolicy

LIFE = 3600


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Signing:
    """A credential: gives numbered tokens, or fails, and remembers when it was asked."""

    clock: Clock
    life: float = LIFE
    asked: list[float] = field(default_factory=list)
    failing: bool = False
    sticky: bool = False  # gives its last token again while it lives, as MSAL does
    last: AccessToken | None = None

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.asked.append(self.clock())
        if self.failing:
            raise RuntimeError("the identity service is away\nwith details")
        if not (self.sticky and self.last and self.last.expires_on > self.clock()):
            self.last = AccessToken(f"token {len(self.asked)}", int(self.clock() + self.life))
        return self.last


def create_cache(signing: Signing, monotonic: Clock | None = None) -> TokenCache:
    return TokenCache(
        SharedCredential(lambda: signing),
        "https://search.azure.com/.default",
        signing.clock,
        monotonic or signing.clock,
    )


@pytest.mark.parametrize("hours", [-2, 0, 2])
def test_a_clock_that_is_set_stops_no_renewal(hours: int) -> None:
    """With a clock set back, or wrong from the start, a token is renewed every five minutes."""
    wall, monotonic, service = Clock(), Clock(0.0), Clock()
    signing = Signing(service)
    token = create_cache(signing, monotonic)
    token.clock = wall
    token()
    wall.now += 3600 * hours
    for _ in range(3600):
        token()
        for clock in (wall, monotonic, service):
            clock.now += 1
    assert 12 <= len(signing.asked) <= 13


def test_a_clock_that_is_hours_fast_does_not_ask_for_each_request() -> None:
    """Each token seems expired on arrival, but is used for a while all the same."""
    service = Clock()
    signing = Signing(service)
    token = create_cache(signing, service)
    token.clock = Clock(service.now + 7200)
    for _ in range(290):
        token()
        service.now += 1
    assert len(signing.asked) == 1


def test_a_token_that_expired_while_the_machine_was_suspended_is_renewed() -> None:
    """The monotonic clock may stop during sleep, so the wall clock counts too."""
    wall, monotonic = Clock(), Clock(0.0)
    signing = Signing(wall)
    token = create_cache(signing, monotonic)
    token()
    wall.now += 8 * 3600
    token()
    assert len(signing.asked) == 2


def test_the_credential_is_asked_every_five_minutes_and_not_more() -> None:
    """Invariant 8: hours of requests across many expiries never fail, and ask in good time."""
    clock = Clock()
    signing = Signing(clock, life=900)
    token = create_cache(signing)
    issued: dict[str, float] = {}

    for _ in range(6 * 3600):
        text = token()
        issued.setdefault(text, clock.now + 900)
        assert clock.now < issued[text] - 60
        clock.now += 1

    gaps = [b - a for a, b in zip(signing.asked, signing.asked[1:], strict=False)]
    assert min(gaps) >= TOKEN_RENEW_SECONDS
    assert max(gaps) <= TOKEN_RENEW_SECONDS + 1


def test_a_token_that_expires_sooner_is_renewed_sooner() -> None:
    """A token of two minutes is not handed out in its last one."""
    clock = Clock()
    token = create_cache(Signing(clock, life=120))
    assert token() == "token 1"
    clock.now += 59
    assert token() == "token 1"
    clock.now += 2
    assert token() == "token 2"


def test_sixteen_cold_threads_make_one_request() -> None:
    """`az` takes a second per token: sixteen threads share one call instead of starting sixteen."""
    clock = Clock()
    signing = Signing(clock)
    slow = signing.get_token
    ready = threading.Barrier(16)

    def sleepy(*scopes: str, **more: Any) -> AccessToken:
        time.sleep(0.2)
        return slow(*scopes, **more)

    signing.get_token = sleepy  # type: ignore[method-assign]
    token = create_cache(signing)

    def first(_: int) -> str:
        ready.wait()
        return token()

    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(first, range(16))) == {"token 1"}
    assert len(signing.asked) == 1


def test_nobody_waits_for_a_renewal_while_the_old_token_lives() -> None:
    """One thread renews the token, and the others keep using the old one."""
    clock = Clock()
    signing = Signing(clock)
    token = create_cache(signing)
    token()
    clock.now += TOKEN_RENEW_SECONDS + 1
    with token.lock:  # another thread is renewing
        assert token() == "token 1"
    assert token() == "token 2"


def test_a_renewal_that_fails_is_survived_while_the_old_token_lives(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A run survives half an hour without the identity service."""
    clock = Clock()
    signing = Signing(clock)
    token = create_cache(signing)
    token()
    signing.failing = True

    with caplog.at_level(logging.WARNING, "ingest"):
        for _ in range(1800):
            clock.now += 1
            assert token() == "token 1"
    assert "could not be renewed" in caplog.text
    assert len(signing.asked) < 70  # every thirty seconds, not at every request

    signing.failing = False
    clock.now += 31
    assert token() != "token 1"


def test_without_a_living_token_a_failure_is_an_error() -> None:
    """One line says that nobody is signed in, and how to sign in."""
    signing = Signing(Clock(), failing=True)

    with pytest.raises(
        ConfigError, match=r"no token for https://search.azure.com: the identity"
    ) as e:
        create_cache(signing)()
    assert "\n" not in str(e.value)
    assert "az login" in str(e.value)


def test_a_rejected_token_is_replaced_once() -> None:
    """Invariant 8: a 401 renews the token once, however many threads receive one."""
    clock = Clock()
    signing = Signing(clock)
    token = create_cache(signing)
    old = token()
    for _ in range(16):
        token.reject(old)
    assert token() == token() == "token 2"
    assert len(signing.asked) == 2


def test_a_credential_that_repeats_a_rejected_token_is_made_anew() -> None:
    """A credential that caches a rejected token is replaced by a new one."""
    clock = Clock()
    made: list[Signing] = []

    def make() -> Signing:
        made.append(Signing(clock, sticky=True, asked=[0.0] * (10 * len(made))))
        return made[-1]

    token = TokenCache(SharedCredential(make), "scope", clock, clock)
    old = token()
    token.reject(old)

    assert token() != old
    assert len(made) == 2


def test_a_cache_never_shows_its_token() -> None:
    """Invariant 10: neither a log nor a traceback shows a token."""
    token = create_cache(Signing(Clock()))
    secret = token()
    assert secret not in repr(token)
    assert secret not in repr(token.cached)


def encode_jwt(**claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"head.{payload}.signature"


def test_a_token_says_whom_it_is_for() -> None:
    """An error names the identity that lacks a role, as its token says."""
    assert str(parse_identity(encode_jwt(oid="o1", tid="t1"))) == "identity o1 of tenant t1"
    assert str(parse_identity(encode_jwt(oid="o1", tid="t1", upn="a@b"))) == "user o1 of tenant t1"
    for strange in ("", "a", "a.b.c", "a.e30.c", encode_jwt(oid=None)):
        assert "no object id" in str(parse_identity(strange))


@dataclass
class Away:
    """A credential whose endpoint cannot be reached for a while."""

    failures: int
    asked: int = 0

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        self.asked += 1
        if self.asked <= self.failures:
            raise ServiceRequestError("connection refused")
        return AccessToken("token", int(time.time()) + LIFE)


def create_retrying_cache(credential: Any, seconds: float) -> TokenCache:
    """A cache that asks again for some seconds, of a clock that only passes in waits."""
    clock = Clock(0.0)

    def sleep(seconds: float) -> None:
        clock.now += seconds

    policy = RetryPolicy(seconds, sleep=sleep, clock=clock)
    return TokenCache(SharedCredential(lambda: credential), "scope", retry_policy=policy)


def test_a_hiccup_of_the_identity_endpoint_is_waited_for() -> None:
    """My job signs in at three in the morning, while the endpoint restarts: it waits, and runs."""
    away = Away(failures=4)
    assert create_retrying_cache(away, 900)() == "token"
    assert away.asked == 5


def test_an_outage_of_the_identity_endpoint_is_no_mistake_of_mine() -> None:
    """It ends with exit code 1 and the endpoint's message: I only have to run again."""
    with pytest.raises(ServiceError, match=r"connection refused; tried .* run again later") as e:
        create_retrying_cache(Away(failures=10**6), 60)()
    assert e.value.exit_code == 1
    assert "az login" not in str(e.value)


@pytest.mark.parametrize("client_id", ["an-id", ""])
def test_a_500_of_the_identity_endpoint_is_told_as_one(
    client_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK calls it an unconfigured identity; its status shows that it is an outage."""

    class Broken(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(500)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{server.server_port}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "header")
        credential = create_credential(client_id, "", hosted=True)
        with pytest.raises(ServiceError, match="the identity endpoint answered 500: "):
            create_retrying_cache(credential, 0)()
        server.shutdown()
