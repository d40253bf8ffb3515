"""The bearer token of one scope, shared by all threads and renewed every five minutes.

The credentials that shell out (`az`, `azd`) cache nothing and take a second each, those that do
cache have no lock; so nobody asks a credential but this.
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

from ingest.azure.credential import SharedCredential
from ingest.errors import ConfigError

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, AccessTokenInfo

log = logging.getLogger(__name__)

TOKEN_RENEW_SECONDS = 300.0  # seconds
MIN_TOKEN_LIFE_SECONDS = 60.0  # seconds of life in a token that is handed out
# After a renewal failed while the old token lives, so long until the next try.
RENEW_RETRY_SECONDS = 30.0
# A request may be refused with so many different tokens before the refusal is believed: the first
# may have been revoked, the second have met a hiccup of the service.
MAX_RENEWALS = 2


@dataclass(frozen=True, slots=True)
class CachedToken:
    """A token and when it was obtained."""

    token: str = field(repr=False)
    expires_at: float
    obtained_at: float


class TokenCache:
    """A value you call: it returns a bearer token. Also a credential, for the clients that ask so.

    Raises ConfigError if no token can be had and none is left.
    """

    def __init__(
        self,
        credential: SharedCredential,
        scope: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.credential = credential
        self.scope = scope
        self.clock = clock
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
        """The token in use, renewed if it is time; one thread renews, the others need not wait."""
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
        """The token, renewed unless another thread just did; under the lock."""
        held = self.cached
        if held and self.is_fresh(held):
            return held
        try:
            self.cached = self.request_token()
        except Exception as error:
            if held is None or not self.is_alive(held):
                raise ConfigError(
                    f"no token for {self.scope.removesuffix('/.default')}: {summarize_error(error)}; "
                    "sign in with az login or azd auth login, or set AZURE_OPENAI_CLIENT_ID"
                ) from error
            self.retry_not_before = self.clock() + RENEW_RETRY_SECONDS
            left = held.expires_at - self.clock()
            log.warning(
                "the token could not be renewed, the old one lives for %.0f s: %s",
                left,
                summarize_error(error),
            )
            return held
        return self.cached

    def request_token(self) -> CachedToken:
        """A token from the credential, and not the one that was rejected out of its own cache."""
        credential = self.credential.get()
        token = credential.get_token(self.scope)
        if token.token == self.rejected_token:
            self.credential.discard(credential)
            token = self.credential.get().get_token(self.scope)
        self.bearer_identity = parse_identity(token.token)
        return CachedToken(token.token, token.expires_on, self.clock())

    def reject(self, token: str) -> None:
        """A service said 401 to this token: the next call renews, unless that was done already."""
        with self.lock:
            if self.cached and self.cached.token == token:
                self.rejected_token, self.cached = token, None

    def is_fresh(self, held: CachedToken) -> bool:
        """Whether the token may be handed out as it is."""
        now = self.clock()
        if now < self.retry_not_before and self.is_alive(held):
            return True
        return now < min(
            held.obtained_at + TOKEN_RENEW_SECONDS, held.expires_at - MIN_TOKEN_LIFE_SECONDS
        )

    def is_alive(self, held: CachedToken) -> bool:
        return self.clock() < held.expires_at

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        """The same token, for clients that take a credential."""
        from azure.core.credentials import AccessToken

        held = self.current_token()
        return AccessToken(held.token, int(held.expires_at))

    def get_token_info(self, *_: str, **__: Any) -> AccessTokenInfo:
        """The same, in azure-core's newer form."""
        from azure.core.credentials import AccessTokenInfo

        held = self.current_token()
        return AccessTokenInfo(held.token, int(held.expires_at))

    def renew_rejected(self, headers: Mapping[str, str], renewals: list[str]) -> bool:
        """Whether a request that got a 401 may be made again, with another token.

        `renewals` are the tokens that the same request was refused with before; it grows.
        """
        named = {name.lower(): value for name, value in headers.items()}
        token = named.get("authorization", "").removeprefix("Bearer ")
        if not token or token in renewals or len(renewals) >= MAX_RENEWALS:
            return False
        renewals.append(token)
        self.reject(token)
        return True

    def identity(self) -> Identity:
        """Whom the token is for, as far as it says."""
        return self.bearer_identity


@dataclass(frozen=True, slots=True)
class Identity:
    """What a token says of its bearer; not secret."""

    object_id: str = ""
    tenant: str = ""
    is_user: bool = False

    def __str__(self) -> str:
        if not self.object_id:
            return "an identity that its token does not name"
        kind = "user" if self.is_user else "identity"
        return f"{kind} {self.object_id} of tenant {self.tenant or 'unknown'}"


def parse_identity(token: str) -> Identity:
    """The bearer of a JWT, unverified: it is only shown to people."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        person = claims.get("idtyp") == "user" or "upn" in claims or "unique_name" in claims
        return Identity(claims.get("oid", ""), claims.get("tid", ""), person)
    except (IndexError, ValueError, AttributeError):
        return Identity()


def summarize_error(error: Exception) -> str:
    """An SDK's many-lined error in one, without its advice.

    Of the credentials of a chain, a line each, those count that got as far as asking for a token.
    """
    lines = str(error).partition("To mitigate")[0].splitlines()
    tried = [line.strip() for line in lines if line.startswith("\t")]
    asked = [line for line in tried if "authentication unavailable" not in line]
    text = " ".join(("; ".join(asked or tried) or " ".join(lines)).split())
    return text.rstrip(".")[:400] or type(error).__name__
