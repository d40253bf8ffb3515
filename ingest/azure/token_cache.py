"""Token cache: the bearer token of one scope, shared by all threads, renewed every five minutes.

Credentials that start a process (`az`, `azd`) take a second and cache nothing; credentials that
cache have no lock. So every token goes through this cache.
"""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ingest.azure.credential import SharedCredential, request_access_token, summarize_error
from ingest.errors import ConfigError
from ingest.redaction import hold_secret
from ingest.runtime.retry import RetryPolicy, call_with_retry

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, AccessTokenInfo

log = logging.getLogger(__name__)

TOKEN_RENEW_SECONDS = 300.0
MIN_TOKEN_LIFE_SECONDS = 60.0  # that a token has left when it is handed out
# Between attempts to renew a token that is still valid.
RENEW_RETRY_SECONDS = 30.0
# Tokens that may be rejected before a request fails: the first may have been revoked, and the
# second may have met a transient fault of the service.
MAX_RENEWALS = 2
NO_RETRY = RetryPolicy(max_seconds=0.0)


@dataclass(frozen=True, slots=True)
class CachedToken:
    """A token, its expiry in seconds since the epoch, and until when it is not renewed."""

    token: str = field(repr=False)
    expires_at: float
    renew_at: float  # by the monotonic clock
    is_expiry_plausible: bool  # by this machine's clock, when it was obtained


class TokenCache:
    """Callable that returns a bearer token; also a TokenCredential for azure-core's clients.

    Raises ConfigError if no token can be obtained and none is still valid, and ServiceError if the
    identity endpoint fails for longer than the retry policy allows.
    """

    def __init__(
        self,
        credential: SharedCredential,
        scope: str,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        retry_policy: RetryPolicy = NO_RETRY,
    ) -> None:
        self.credential = credential
        self.scope = scope
        self.clock = clock  # only compared with the expiry of tokens
        self.monotonic = monotonic
        self.retry_policy = retry_policy
        self.lock = threading.Lock()
        self.cached: CachedToken | None = None
        self.rejected_token = ""
        self.bearer_identity = Identity()
        self.retry_not_before = 0.0

    def __repr__(self) -> str:
        return f"TokenCache({self.scope!r})"

    def __call__(self) -> str:
        return self.current_token().token

    def current_token(self) -> CachedToken:
        """Return the token, renewed if it is due. One thread renews; the others do not wait."""
        held = self.cached
        if held and self.is_fresh(held):
            return held
        alive = held is not None and self.is_alive(held)
        if self.lock.acquire(blocking=not alive):
            try:
                return self.renew_if_due()
            finally:
                self.lock.release()
        assert held is not None
        return held

    def renew_if_due(self) -> CachedToken:
        """Renew the token unless another thread just did. The caller holds the lock."""
        held = self.cached
        if held and self.is_fresh(held):
            return held
        if held is None or not self.is_alive(held):
            resource = self.scope.removesuffix("/.default")
            self.cached = call_with_retry(
                self.request_token, self.classify, self.retry_policy, f"a token for {resource}"
            )
            return self.cached
        try:
            self.cached = self.request_token()
        except Exception as error:  # noqa: BLE001 - a credential raises anything
            self.retry_not_before = self.monotonic() + RENEW_RETRY_SECONDS
            log.warning(
                "the token could not be renewed; the current one is valid for %.0f s: %s",
                held.expires_at - self.clock(),
                summarize_error(error),
            )
            return held
        return self.cached

    def request_token(self) -> CachedToken:
        """Request a token, from a new credential if the old one has the rejected token cached."""
        credential = self.credential.get()
        token = request_access_token(credential, self.scope)
        if token.token == self.rejected_token:
            self.credential.discard(credential)
            token = request_access_token(self.credential.get(), self.scope)
        hold_secret(token.token)
        self.bearer_identity = parse_identity(token.token)
        is_plausible = token.expires_on > self.clock()  # or this machine's clock is fast
        renew_at = self.monotonic() + TOKEN_RENEW_SECONDS
        return CachedToken(token.token, token.expires_on, renew_at, is_plausible)

    def classify(self, error: Exception) -> Exception:
        """Map an error that does not pass by itself to one with the remedy."""
        managed = type(self.credential.get()).__name__ == "ManagedIdentityCredential"
        remedy = (
            "AZURE_OPENAI_CLIENT_ID must be the client id of an identity of this host"
            if managed
            else "sign in with az login or azd auth login, or set AZURE_OPENAI_CLIENT_ID"
        )
        resource = self.scope.removesuffix("/.default")
        return ConfigError(f"no token for {resource}: {summarize_error(error)}; {remedy}")

    def reject(self, token: str) -> None:
        """Drop a token that a service answered with 401, so that the next call renews it."""
        with self.lock:
            if self.cached and self.cached.token == token:
                self.rejected_token, self.cached = token, None

    def is_fresh(self, held: CachedToken) -> bool:
        """Return whether the token may be handed out without renewal."""
        now = self.monotonic()
        if now < self.retry_not_before and self.is_alive(held):
            return True
        # A machine that was suspended for hours may have stopped the other clock meanwhile.
        is_ending = self.clock() >= held.expires_at - MIN_TOKEN_LIFE_SECONDS
        return now < held.renew_at and not (is_ending and held.is_expiry_plausible)

    def is_alive(self, held: CachedToken) -> bool:
        return self.clock() < held.expires_at

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        """Return the token, as azure-core's TokenCredential."""
        from azure.core.credentials import AccessToken

        held = self.current_token()
        return AccessToken(held.token, int(held.expires_at))

    def get_token_info(self, *_: str, **__: Any) -> AccessTokenInfo:
        """Return the token, as azure-core's SupportsTokenInfo."""
        from azure.core.credentials import AccessTokenInfo

        held = self.current_token()
        return AccessTokenInfo(held.token, int(held.expires_at))

    def renew_rejected(self, headers: Mapping[str, str], renewals: list[str]) -> bool:
        """Reject the token of a request that got a 401; return whether to send it again.

        Args:
            headers: headers of the rejected request.
            renewals: tokens that were rejected for this request so far; it grows.
        """
        named = {name.lower(): value for name, value in headers.items()}
        token = named.get("authorization", "").removeprefix("Bearer ")
        if not token or token in renewals or len(renewals) >= MAX_RENEWALS:
            return False
        renewals.append(token)
        self.reject(token)
        return True

    def identity(self) -> Identity:
        """Return the bearer of the last token, as far as its claims say."""
        return self.bearer_identity


@dataclass(frozen=True, slots=True)
class Identity:
    """Claims about a token's bearer; not secret."""

    object_id: str = ""
    tenant: str = ""
    is_user: bool = False

    def __str__(self) -> str:
        if not self.object_id:
            return "an identity whose token has no object id"
        kind = "user" if self.is_user else "identity"
        return f"{kind} {self.object_id} of tenant {self.tenant or 'unknown'}"


def parse_identity(token: str) -> Identity:
    """Read the bearer from a JWT. The signature is not verified: this is for messages only."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        person = claims.get("idtyp") == "user" or "upn" in claims or "unique_name" in claims
        return Identity(claims.get("oid", ""), claims.get("tid", ""), person)
    except (IndexError, ValueError, AttributeError):
        return Identity()
