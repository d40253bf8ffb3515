"""Error table of Azure AI Search: the meaning of each response, and whether a retry may cure it."""

from __future__ import annotations

from http import HTTPStatus

from ingest.azure.errors import (
    ANY,
    RETRY_TRANSIENT,
    ErrorResponse,
    ErrorTable,
    RequestContext,
    fail,
    first_line,
    forbidden,
    rejected_token,
    renew_token,
    retry,
)
from ingest.azure.roles import ENABLE_TOKENS_COMMAND, SEARCH_SERVICE_CONTRIBUTOR
from ingest.errors import ConfigError, DocumentError, ServiceError
from ingest.models import Code, Refusal
from ingest.runtime.retry import BUSY_WEIGHT, RetryableError

# Error texts of the service for a field that an index of an earlier version lacks.
MISSING_FIELD_MESSAGES = ("Could not find a property named", "does not exist on type")

# Error texts for requests that come too fast, which waiting does mend.
THROTTLE_MESSAGES = ("rate limit", "try again", "throttl", "too many requests")


# Statuses of single documents that a retry may cure; any other from 400 on is final.
RETRYABLE_DOCUMENT_STATUSES = frozenset(
    {
        HTTPStatus.CONFLICT,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.SERVICE_UNAVAILABLE,
    }
)


class MissingFieldError(ConfigError):
    """An index of an earlier version lacks a field."""


class RefusedRequestError(ServiceError):
    """The service refuses a request as it is."""


def is_quota_message(message: str) -> bool:
    """Return whether an error text reports a full index or service, which waiting does not cure."""
    return "quota" in message.lower() and "exceeded" in message.lower()


def exceeded_quota(response: ErrorResponse, request: RequestContext) -> Exception | None:
    """Report a full service, by the body; or too many indexes, by the operation."""
    is_definition = request.role is SEARCH_SERVICE_CONTRIBUTOR
    # Documented: a 429 that answers the creation of an index means that no more are allowed.
    is_last_index = (
        is_definition
        and response.status == HTTPStatus.TOO_MANY_REQUESTS
        and response.response.request.method in {"POST", "PUT"}
        and not response.retry_after
        and not any(message in response.body.lower() for message in THROTTLE_MESSAGES)
    )
    if not (is_last_index or is_quota_message(response.body)):
        return None
    return quota_error(request.where, response.words, is_index=is_definition)


def quota_error(where: str, words: str, *, is_index: bool) -> ConfigError:
    """Return the error for a quota that is used up for good, in the service's words."""
    what = "an index" if is_index else "documents or an index"
    return ConfigError(
        f"{where} is full ({words}): delete {what} that nobody needs, or choose a higher tier"
    )


def missing_field(response: ErrorResponse, request: RequestContext) -> Exception | None:
    """Report an index that lacks a field which this version of the program uses."""
    if any(message in response.message for message in MISSING_FIELD_MESSAGES):
        return MissingFieldError(
            f"{request.where} is of an earlier version or was made by another application, and "
            "lacks fields: run ingest run once with the role "
            f"{SEARCH_SERVICE_CONTRIBUTOR.name}, which adds them or says which INGEST_PROFILE fits"
        )
    return None


def busy_index(response: ErrorResponse, request: RequestContext) -> Exception | None:
    """Try again where a whole request has a status that a retry may cure for single documents."""
    if request.role is SEARCH_SERVICE_CONTRIBUTOR:
        return None
    return RetryableError(
        f"{request.where} returned an error ({response})", response.retry_after, weight=BUSY_WEIGHT
    )


def refused_request(response: ErrorResponse, request: RequestContext) -> Exception:
    """Report any other error; the definition of an index comes from the settings."""
    kind = ConfigError if request.role is SEARCH_SERVICE_CONTRIBUTOR else RefusedRequestError
    message = first_line(response.message)
    return kind(f"{request.where} refused a request ({response.status}: {message})")


def refused_record_error(refusal: Refusal) -> DocumentError:
    """Return the error of a source whose record the index refuses: without it no write is safe."""
    return DocumentError(f"the index refused its record: {refusal.reason}", Code.REFUSED)


MISSING_INDEX = fail(ConfigError, "{where} does not exist: run ingest run to create it")
SEARCH_ERRORS: ErrorTable = (
    ({403, 429, 507}, ANY, exceeded_quota),
    ({429}, ANY, retry("too many requests to {where}")),
    RETRY_TRANSIENT,
    ({401}, ANY, renew_token),
    ({401}, ANY, rejected_token(f", it accepts only API keys ({ENABLE_TOKENS_COMMAND})")),
    ({403}, ANY, forbidden),
    ({400}, ANY, missing_field),
    ({404}, ANY, MISSING_INDEX),
    (RETRYABLE_DOCUMENT_STATUSES, ANY, busy_index),
    (ANY, ANY, refused_request),
)
