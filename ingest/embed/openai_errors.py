"""What an embedding service means by not answering as it was asked: again, smaller, or never.

Texts of services change, statuses and codes do not: only those are gone by.
"""

from __future__ import annotations

from http import HTTPStatus

import openai

from ingest.azure.roles import OPENAI_USER, missing_role_error, rejected_token_error
from ingest.azure.token_cache import TokenCache
from ingest.errors import ConfigError, NotYetError, ServiceError
from ingest.runtime.retry import TRANSIENT_STATUSES, RetryableError, parse_retry_after

# A quota's window is a minute. A service that says to come back much later means: never like this.
MAX_QUOTA_WAIT_SECONDS = 300.0

REFUSED_STATUSES = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)

# Codes of errors, which do not change as their texts do.
PERMISSION_DENIED_CODE = "PermissionDenied"  # a missing role, with 401 or 403
FIREWALL_CODE = "403"  # a firewall's, with 403
KEYS_DISABLED_CODE = "AuthenticationTypeDisabled"
WRONG_TENANT_CODE = "tenant"  # in the code of a 400 for a token of another tenant


class SplitRequired(Exception):
    """The request can only succeed in parts; `reason` is what to say if it has none."""

    def __init__(self, reason: str, *, by_quota: bool) -> None:
        super().__init__(reason)
        self.by_quota = by_quota


def classify_openai_error(
    error: Exception, where: str, key: str | TokenCache, renewals: list[str]
) -> Exception:
    """What to make of what the SDK raised: Again, Smaller, or the error for whoever must act."""
    if isinstance(error, (ConfigError, ServiceError)):
        return error
    if isinstance(error, openai.APIStatusError):
        return classify_openai_status(error, where, key, renewals)
    if isinstance(error, openai.APITimeoutError):
        return RetryableError(f"{where} did not answer in time")
    if isinstance(error, openai.APIConnectionError):
        reason = error.__cause__ or error
        if "CERTIFICATE_VERIFY_FAILED" in str(reason):
            return ConfigError(f"{where}: its certificate is not trusted here: set SSL_CERT_FILE")
        if not is_transient(reason):
            return ConfigError(f"{where} cannot be reached ({reason}): check the endpoint")
        return RetryableError(f"the connection to {where} broke ({reason})")
    if isinstance(error, (openai.APIResponseValidationError, openai.APIError, ValueError)):
        # A body that is empty, cut short, or no JSON: a success that cannot be read is none.
        return RetryableError(f"{where} gave an answer that cannot be read")
    return error


def classify_openai_status(
    error: openai.APIStatusError, where: str, key: str | TokenCache, renewals: list[str]
) -> Exception:
    """The same, by the status of the answer; texts of services change, statuses do not."""
    status, code = error.status_code, error.code
    floor = parse_retry_after(error.response.headers)
    if code == "insufficient_quota":
        return ConfigError(f"{where} has no quota left at all: raise it or pay for it")
    if status == HTTPStatus.TOO_MANY_REQUESTS and floor > MAX_QUOTA_WAIT_SECONDS:
        return SplitRequired(f"{where} takes no request this large: raise its quota", by_quota=True)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RetryableError(f"the quota of {where}", floor, waits_itself=True)
    if status in TRANSIENT_STATUSES:
        return RetryableError(f"an error of the service ({status}) of {where}", floor)
    if verdict := classify_access_error(error, where, key, renewals):
        return verdict
    if status == HTTPStatus.NOT_FOUND:
        return NotYetError(f"{where} does not exist: check the endpoint and the deployment's name")
    if status in REFUSED_STATUSES:
        return SplitRequired(
            f"the embedding service refused it ({service_message(error)})", by_quota=False
        )
    return ConfigError(f"{where} refused the request ({status}, {service_message(error)})")


def classify_access_error(
    error: openai.APIStatusError, where: str, key: str | TokenCache, renewals: list[str]
) -> Exception | None:
    """What to make of a refusal that is about who asks, or from where; None if it is not."""
    status, code = error.status_code, str(error.code or "")
    if (status, code) == (HTTPStatus.FORBIDDEN, FIREWALL_CODE):
        return ConfigError(
            f"{where} takes no requests from this network ({service_message(error)}): go through its "
            "private endpoint, or allow this address in its network settings"
        )
    if code == KEYS_DISABLED_CODE:
        return ConfigError(f"{where} takes no keys: unset AZURE_OPENAI_KEY to sign in without one")
    foreign = status == HTTPStatus.BAD_REQUEST and WRONG_TENANT_CODE in code.lower()
    if status not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) and not foreign:
        return None
    if not isinstance(key, TokenCache):
        return ConfigError(f"{where} does not accept the key: check AZURE_OPENAI_KEY, or unset it")
    if status == HTTPStatus.FORBIDDEN or code == PERMISSION_DENIED_CODE:
        return missing_role_error(key, OPENAI_USER, where)
    if not foreign and key.renew_rejected(error.request.headers, renewals):
        return RetryableError(f"{where} did not accept the token")
    return rejected_token_error(key, where)


def service_message(error: openai.APIStatusError) -> str:
    """The service's own words, short."""
    text = str(error.message).removeprefix(f"Error code: {error.status_code} - ")
    return text.splitlines()[0][:200]


def is_transient(reason: BaseException) -> bool:
    """Whether a failed connection may work in a moment: a name that does not resolve will not."""
    text = str(reason).lower()
    return not any(sign in text for sign in ("name or service not known", "nodename nor servname"))
