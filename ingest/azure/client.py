"""azure-core clients: connection pool, timeouts, authentication, request ids, error mapping.

The retries of azure-core and of its SDKs are off: `ingest.runtime.retry` holds the only policy.
"""

from __future__ import annotations

import re
import time
from typing import Any

import requests
from azure.core import PipelineClient
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import BearerTokenCredentialPolicy, HTTPPolicy
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest, HttpResponse
from requests.adapters import HTTPAdapter

from ingest.azure.errors import (
    ErrorResponse,
    ErrorTable,
    RequestContext,
    classify_response,
    first_line,
)
from ingest.azure.token_cache import TokenCache
from ingest.errors import ConfigError
from ingest.runtime.request_ids import REQUEST_ID_HEADER, LoggedRequest, RequestLog
from ingest.runtime.retry import RetryableError

FIRST_FAILURE_STATUS = 300  # a redirect is an error, too: it is never followed
UNRESOLVABLE_HOST_MESSAGES = ("name or service not known", "failed to resolve")
# The end of a message of requests, which begins with its pool of connections and the URL.
CAUSE_PATTERN = re.compile(
    r"""\(Caused by .*?((?:Failed to|Connection to|Remote end|\[).*?)["']\)+$"""
)


class RequestIdPolicy(HTTPPolicy[HttpRequest, HttpResponse]):
    """Pipeline policy that gives each request an id and reports its response to a log.

    It comes last in a pipeline, so that it sees every request that is sent.
    """

    def __init__(self, request_log: RequestLog) -> None:
        super().__init__()
        self.request_log = request_log

    def send(
        self, request: PipelineRequest[HttpRequest]
    ) -> PipelineResponse[HttpRequest, HttpResponse]:
        sent = request.http_request
        sent.headers[REQUEST_ID_HEADER] = self.request_log.new_id()
        started = time.monotonic()
        status = 0
        try:
            response = self.next.send(request)
            status = response.http_response.status_code
            return response
        finally:
            seconds = time.monotonic() - started
            self.request_log.on_response(LoggedRequest(sent.method, sent.url, status, seconds))


def create_transport(
    max_connections: int, connect_seconds: float, read_seconds: float, **options: Any
) -> RequestsTransport:
    """Create a transport over a pool of kept-alive connections.

    Args:
        max_connections: size of the pool; a connection beyond it is closed after one request.
        connect_seconds: timeout for opening a connection.
        read_seconds: timeout for each read from a connection.
        options: further options of azure-core's transport.
    """
    session = requests.Session()
    session.mount("https://", HTTPAdapter(pool_maxsize=max_connections))
    return RequestsTransport(
        session=session,
        connection_timeout=connect_seconds,
        read_timeout=read_seconds,
        **options,
    )


def create_rest_client(
    endpoint: str,
    token: TokenCache,
    scope: str,
    transport: RequestsTransport,
    request_log: RequestLog,
) -> PipelineClient[HttpRequest, HttpResponse]:
    """Create a client for a service's REST API that sends a bearer token with each request."""
    policies = [BearerTokenCredentialPolicy(token, scope), RequestIdPolicy(request_log)]
    return PipelineClient(endpoint, policies=policies, transport=transport)


def sdk_options(request_log: RequestLog) -> dict[str, Any]:
    """Return the keyword arguments that an SDK's client takes to leave retrying to the caller."""
    return {
        "retry_total": 0,
        "permit_redirects": False,  # a redirect would send the body to another host
        "per_retry_policies": [RequestIdPolicy(request_log)],
    }


def classify_azure_error(error: Exception, table: ErrorTable, request: RequestContext) -> Exception:
    """Map an exception raised by a request to RetryableError or to the error to raise.

    An exception that is neither azure-core's nor caused by a malformed response is returned as is.
    """
    if isinstance(error, HttpResponseError) and (error.status_code or 0) >= FIRST_FAILURE_STATUS:
        error = ErrorResponse(
            error.response, str(error).removeprefix("() ").removeprefix("(None) ")
        )
    if isinstance(error, ErrorResponse):
        return classify_response(error, table, request)
    return classify_transport_error(error, request.where)


def classify_transport_error(error: Exception, where: str) -> Exception:
    """Map a failed connection or a malformed response to RetryableError or ConfigError."""
    cause = CAUSE_PATTERN.search(str(error))
    reason = first_line(cause[1] if cause else str(error)) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return ConfigError(f"{where}: its certificate is not trusted here: set REQUESTS_CA_BUNDLE")
    if isinstance(error, ServiceRequestError) and any(
        message in str(error).lower() for message in UNRESOLVABLE_HOST_MESSAGES
    ):
        return ConfigError(f"{where} cannot be reached ({reason}): check the endpoint")
    if isinstance(error, (ServiceRequestError, ServiceResponseError)):
        return RetryableError(f"the connection to {where} broke ({reason})")
    if isinstance(error, (AzureError, ValueError, TypeError, AttributeError, KeyError)):
        # A body that is empty, cut short or not JSON: an unreadable success is a failure.
        return RetryableError(f"{where} sent a response that cannot be read")
    return error
