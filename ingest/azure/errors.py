"""Error tables: map the status and code of a service's response to the error to raise.

Each service has one table, next to its client. Rows are read top-down; the first row that matches
and gives a verdict wins. A service's messages change, its statuses and codes do not, so tables
match on those. No SDK is imported here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Any, TypeAlias

from ingest.azure.roles import Role
from ingest.azure.token_cache import TokenCache
from ingest.errors import ConfigError, RoleError, ServiceError
from ingest.redaction import redact
from ingest.runtime.retry import BUSY_WEIGHT, TRANSIENT_STATUSES, RetryableError, parse_retry_after

MAX_MESSAGE_CHARS = 200
PLACEHOLDER_MESSAGES = ("Error code: ", "JSON is invalid", "Operation returned an invalid status")
MARKUP = re.compile(r"<(script|style|title)\b.*?</\1\s*>|<[^>]*>|\s+", re.DOTALL | re.IGNORECASE)
REQUEST_ID_HEADERS = ("request-id", "x-ms-request-id", "apim-request-id")

# Messages for a missing role assignment. A firewall has other messages.
MISSING_ROLE_MESSAGES = (
    "authorization failed",
    "lacks the required data action",
    "principal does not have access",
)


class AccessDeniedError(ConfigError):
    """A 403 that names no role: of a firewall, or of a filter that dislikes one request."""


class ErrorResponse(Exception):
    """An unsuccessful HTTP response. `response` is azure-core's or httpx's."""

    def __init__(self, response: Any, message: str, codes: Collection[str] = ()) -> None:
        self.response = response
        self.status: int = response.status_code
        # An SDK finds no message in the page of a proxy, or in JSON of another form.
        is_lacking = message.startswith(PLACEHOLDER_MESSAGES)
        words = " ".join(MARKUP.sub(" ", self.body).split()) if is_lacking else ""
        self.message = redact(words or message)
        super().__init__(f"{self.status} {first_line(self.message)}".strip())
        self.codes = [redact(code) for code in codes]
        self.headers: Mapping[str, str] = response.headers
        self.retry_after = parse_retry_after(response.headers)
        self.request_headers: Mapping[str, str] = response.request.headers

    @property
    def body(self) -> str:
        """The body as text; azure-core has a method for it, httpx an attribute."""
        text = self.response.text
        return str(text() if callable(text) else text).strip()

    @property
    def words(self) -> str:
        """The service's own words, with the id by which its support finds the request."""
        ids = (self.headers.get(name) for name in REQUEST_ID_HEADERS)
        request_id = next(filter(None, ids), "")
        text = first_line(self.message if self.body else "no reason given")
        return f"{self.status}: {text}{f', request id {request_id}' if request_id else ''}"


@dataclass(frozen=True, slots=True)
class RequestContext:
    """One request over all its attempts: its target, its credential and the role it needs."""

    where: str
    key: str | TokenCache
    role: Role
    key_variable: str = ""  # the environment variable that holds the key
    renewals: list[str] = field(default_factory=list)  # tokens rejected so far; it grows


# The error to raise (RetryableError: try again); None continues with the next row.
ErrorClassifier: TypeAlias = Callable[[ErrorResponse, RequestContext], Exception | None]

# Statuses, codes, classifier. ANY matches everything; a code may contain the wildcard "*".
ANY = None
ErrorRow: TypeAlias = tuple[Collection[int] | None, Collection[str] | None, ErrorClassifier]
ErrorTable: TypeAlias = Sequence[ErrorRow]


def classify_response(
    response: ErrorResponse, table: ErrorTable, request: RequestContext
) -> Exception:
    """Return the error of the first row that matches and returns one."""
    if HTTPStatus.MULTIPLE_CHOICES <= response.status < HTTPStatus.BAD_REQUEST:
        return ConfigError(
            f"{request.where} redirects to another address ({response.status}), which is never "
            "followed: set the endpoint to the address of the service itself"
        )
    for statuses, codes, classify in table:
        if (statuses is ANY or response.status in statuses) and (
            codes is ANY or any(fnmatchcase(c, p) for c in response.codes for p in codes)
        ):
            error = classify(response, request)
            if error is not None:
                return error
    return ServiceError(f"{request.where} refused the request ({response})")


def fail(kind: Callable[[str], Exception], template: str) -> ErrorClassifier:
    """Raise an error. `template` may use {where}, {status}, {message} and {response}."""
    return lambda response, request: kind(format_message(template, response, request))


def retry(template: str, *, waits_itself: bool = False) -> ErrorClassifier:
    """Try again, no sooner than the service asks for."""
    return lambda response, request: RetryableError(
        format_message(template, response, request),
        response.retry_after,
        waits_itself=waits_itself,
        weight=weigh_status(response.status),
    )


def weigh_status(status: int) -> float:
    """Return how much a status speaks for an item of the request as its cause."""
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return BUSY_WEIGHT
    return float(status >= HTTPStatus.INTERNAL_SERVER_ERROR)


def renew_token(response: ErrorResponse, request: RequestContext) -> Exception | None:
    """Try again with a new token, unless new ones were rejected too."""
    if isinstance(request.key, TokenCache) and request.key.renew_rejected(
        response.request_headers, request.renewals
    ):
        return RetryableError(f"{request.where} did not accept the token", weight=0)
    return None


def rejected_token(other_cause: str = "") -> ErrorClassifier:
    """Report a rejected token, whatever roles its bearer has; or a rejected API key."""

    def classify(_: ErrorResponse, request: RequestContext) -> Exception:
        if not isinstance(request.key, TokenCache):
            return rejected_key_error(request)
        return ConfigError(
            f"{request.where} does not accept the token of {request.key.identity()}: the service "
            "is of another tenant (set AZURE_TENANT_ID, az login --tenant), this machine's clock "
            f"is wrong{other_cause}, or the token was revoked (sign in again)"
        )

    return classify


def forbidden(response: ErrorResponse, request: RequestContext) -> Exception:
    """Map a 403: a missing role only if the body says so, or says nothing; else the network."""
    body = response.body.lower()
    if not isinstance(request.key, TokenCache) and (not body or "key" in body):
        return rejected_key_error(request)
    if not body:
        return missing_role_error(
            request, " (or a firewall denies access: the 403 gives no reason)"
        )
    if any(message in body for message in MISSING_ROLE_MESSAGES):
        return missing_role_error(request)
    return AccessDeniedError(
        f"{request.where} denies access ({response.words}): check its firewall and its public "
        "network access, or use its private endpoint"
    )


def missing_role(_: ErrorResponse, request: RequestContext) -> Exception:
    """Report the role that the request needs, or the API key that was used instead."""
    return missing_role_error(request)


def missing_role_error(request: RequestContext, other_cause: str = "") -> Exception:
    """Return the error that names the missing role, with the command that assigns it."""
    if not isinstance(request.key, TokenCache):
        return rejected_key_error(request)
    bearer, role = request.key.identity(), request.role
    host = request.where.removeprefix("https://").partition("/")[0].partition(" ")[0]
    find = role.find_command.format(host=host, name=host.partition(".")[0])
    kind = "User" if bearer.is_user else "ServicePrincipal"
    return RoleError(
        f"{bearer} lacks the role {role.name} on {request.where}{other_cause}; assign it (this "
        f'takes a few minutes to take effect): az role assignment create --role "{role.name}" '
        f'--scope "$({find})" '
        f"--assignee-object-id {bearer.object_id or 'OBJECT_ID'} --assignee-principal-type {kind}"
        f"{role.alternative}"
    )


def rejected_key_error(request: RequestContext) -> ConfigError:
    """Return the error for an API key that the service rejects."""
    return ConfigError(
        f"{request.where} does not accept the API key: check {request.key_variable}, or unset it"
    )


def format_message(template: str, response: ErrorResponse, request: RequestContext) -> str:
    """Fill the placeholders of a message."""
    return template.format(
        where=request.where,
        status=response.status,
        message=first_line(response.message),
        response=response,
    )


def first_line(text: str) -> str:
    """Return the first line of a text, shortened; "" if there is none."""
    return next(iter(redact(text).strip().splitlines()), "")[:MAX_MESSAGE_CHARS]


RETRY_TRANSIENT: ErrorRow = (
    TRANSIENT_STATUSES,
    ANY,
    retry("{where} returned an error ({response})"),
)

# Azure OpenAI and Document Intelligence are both Azure AI services (Microsoft.CognitiveServices).
FIREWALL_MESSAGE = (
    "{where} rejects requests from this network ({message}): use its private endpoint, or allow "
    "this address in its network settings"
)
AI_SERVICES_ERRORS: ErrorTable = (
    RETRY_TRANSIENT,
    ({403}, {"403"}, fail(ConfigError, FIREWALL_MESSAGE)),
    ({400}, {"*tenant*", "*Tenant*"}, rejected_token()),
    ({401, 403}, {"PermissionDenied"}, missing_role),
    ({403}, ANY, forbidden),
    ({401}, ANY, renew_token),
)
