"""Error table of Azure OpenAI, and of other services with its API."""

from __future__ import annotations

from enum import Enum, auto
from functools import partial

import openai

from ingest.azure.errors import (
    AI_SERVICES_ERRORS,
    ANY,
    ErrorResponse,
    ErrorTable,
    RequestContext,
    classify_response,
    fail,
    rejected_token,
    retry,
)
from ingest.azure.roles import OPENAI_USER
from ingest.azure.token_cache import TokenCache
from ingest.errors import ConfigError, NotYetError, RoleError
from ingest.runtime.retry import RetryableError

UNRESOLVABLE_HOST_MESSAGES = ("name or service not known", "nodename nor servname")

# A quota's window is a minute. A much longer Retry-After means that the request exceeds the quota.
MAX_QUOTA_WAIT_SECONDS = 300.0


class SplitCause(Enum):
    """Cause for which a request has to be split."""

    QUOTA = auto()  # it exceeds the quota of a whole window
    REFUSAL = auto()  # the service refuses it
    FAILURE = auto()  # the service fails on it, again and again
    DENIAL = auto()  # the service denies access, perhaps because of a text: gateways filter so


class SplitRequired(Exception):
    """The request can only succeed in parts; `reason` applies if it has a single text."""

    def __init__(self, reason: str, cause: SplitCause) -> None:
        super().__init__(reason)
        self.cause = cause


def request_exceeds_quota(response: ErrorResponse, request: RequestContext) -> Exception | None:
    """Report a request that exceeds the quota of a whole window, and so needs to be split."""
    if response.retry_after <= MAX_QUOTA_WAIT_SECONDS:
        return None
    return SplitRequired(
        f"{request.where} accepts no request this large: raise its quota", SplitCause.QUOTA
    )


def classify_denial(response: ErrorResponse, request: RequestContext) -> Exception | None:
    """Report a 403 that names no role: of a firewall, or of a filter that dislikes a text."""
    error = classify_response(response, AI_SERVICES_ERRORS, request)
    return error if isinstance(error, RoleError) else SplitRequired(str(error), SplitCause.DENIAL)


NO_QUOTA = fail(ConfigError, "{where} has no quota left ({message}): raise it, or pay for more")
KEYS_DISABLED = fail(
    ConfigError, "{where} accepts no API keys: unset AZURE_OPENAI_KEY to sign in instead"
)
NO_DEPLOYMENT = fail(
    NotYetError,
    "{where} does not exist: check the endpoint and the deployment's name (404: {message})",
)
REFUSED_TEXTS = fail(
    partial(SplitRequired, cause=SplitCause.REFUSAL), "the embedding service refused it ({message})"
)

EMBEDDING_ERRORS: ErrorTable = (
    (ANY, {"insufficient_quota"}, NO_QUOTA),
    ({429}, ANY, request_exceeds_quota),
    ({429}, ANY, retry("the quota of {where}", waits_itself=True)),
    (ANY, {"AuthenticationTypeDisabled"}, KEYS_DISABLED),
    ({403}, ANY, classify_denial),
    *AI_SERVICES_ERRORS,
    ({401}, ANY, rejected_token()),
    ({404}, ANY, NO_DEPLOYMENT),
    ({400, 413, 422}, ANY, REFUSED_TEXTS),
    (
        ANY,
        ANY,
        fail(
            partial(SplitRequired, cause=SplitCause.DENIAL),
            "{where} refused the request ({status}, {message})",
        ),
    ),
)


def classify_openai_error(
    error: Exception, request: RequestContext, table: ErrorTable = EMBEDDING_ERRORS
) -> Exception:
    """Map an exception of the SDK to RetryableError, or to the error to raise, by a table."""
    where = request.where
    if isinstance(error, openai.APIStatusError):
        message = str(error.message).removeprefix(f"Error code: {error.status_code} - ")
        response = ErrorResponse(error.response, message, [str(error.code or "")])
        return classify_response(response, table, request)
    if isinstance(error, openai.APITimeoutError):
        return RetryableError(f"{where} did not answer in time")
    if isinstance(error, openai.APIConnectionError):
        reason = str(error.__cause__ or error)
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            return ConfigError(f"{where}: its certificate is not trusted here: set SSL_CERT_FILE")
        if any(message in reason.lower() for message in UNRESOLVABLE_HOST_MESSAGES):
            return ConfigError(f"{where} cannot be reached ({reason}): check the endpoint")
        return RetryableError(f"the connection to {where} broke ({reason})")
    if isinstance(error, (openai.APIError, ValueError)):
        # A body that is empty, cut short or not JSON: an unreadable success is a failure.
        return RetryableError(f"{where} sent a response that cannot be read")
    return error


def create_context(where: str, key: str | TokenCache, renewals: list[str]) -> RequestContext:
    """Return the context of one attempt; attempts on several deployments share `renewals`."""
    return RequestContext(where, key, OPENAI_USER, "AZURE_OPENAI_KEY", renewals)
