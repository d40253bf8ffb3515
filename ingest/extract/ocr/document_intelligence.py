"""Azure Document Intelligence: plain REST through azure-core; every refusal is named.

A page is paid for when the service takes it, not when we hear of its text. So what it was taken as
is told to the caller at once, and an answer is asked for until it comes: never is a page sent again
while its answer may still be had. The SDK retries by itself, so it is only the referee in tests.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

import orjson
import requests
from azure.core import PipelineClient
from azure.core.pipeline.policies import BearerTokenCredentialPolicy
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest, HttpResponse
from requests.adapters import HTTPAdapter

from ingest.azure.credential import COGNITIVE_SERVICES_SCOPE
from ingest.azure.errors import classify_transport_error
from ingest.azure.request_policy import RequestIdPolicy
from ingest.azure.roles import COGNITIVE_USER, missing_role_error, rejected_token_error
from ingest.azure.token_cache import TokenCache
from ingest.errors import ConfigError, NotYetError, ServiceError
from ingest.extract.ocr import (
    MAX_CONCURRENT_PAGES,
    OCR_API_VERSION,
    PageRejected,
    ResultLost,
    SubmittedPage,
)
from ingest.extract.ocr.document_intelligence_result import parse_result
from ingest.extract.ocr.rate_limit import LocalOcrRateLimiter, OcrRateLimiter
from ingest.models import OcrResult
from ingest.runtime.budget import Budget
from ingest.runtime.retry import (
    TRANSIENT_STATUSES,
    RetryableError,
    RetryPolicy,
    call_with_retry,
    parse_retry_after,
)

T = TypeVar("T")

CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS = 30, 120  # seconds
OCR_POLL_SECONDS = 1.0  # seconds between looks at an operation, where the service names none
RESULT_URL = re.compile(r"/analyzeResults/([\w-]{8,64})(?:\?|$)")

# Codes of errors, which do not change as their texts do.
OCR_FIREWALL_CODE = "403"  # a firewall's, with 403
OCR_PERMISSION_DENIED_CODE = "PermissionDenied"
OCR_INVALID_ARGUMENT_CODE = "InvalidArgument"  # of a parameter: the same for every page
PAGE_REJECTED_STATUSES = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


class ErrorResponse(Exception):
    """An answer that is no success."""

    def __init__(self, response: HttpResponse) -> None:
        self.status = response.status_code
        self.codes, said = parse_error(response.content)
        self.retry_after = parse_retry_after(response.headers)
        self.request_headers: Mapping[str, str] = response.request.headers
        super().__init__(f"{self.status} {said}".strip())


class DocumentIntelligence:
    """One resource and one model of it. Safe to call from several threads, but for `close`."""

    def __init__(  # noqa: PLR0913 - whom to ask, as whom, for how long, for how much, how often
        self,
        endpoint: str,
        model: str,
        token: TokenCache,
        retry_policy: RetryPolicy,
        budget: Budget | None = None,
        *,
        rate_limiter: OcrRateLimiter | None = None,
    ) -> None:
        self.budget = budget or Budget()
        self.endpoint = endpoint.rstrip("/")
        self.model = model
        self.token = token
        self.retry_policy = retry_policy
        self.rate_limiter = rate_limiter or LocalOcrRateLimiter(clock=retry_policy.clock)
        self.turn_lock = threading.Lock()  # the thread that is next; the others wait behind it
        session = requests.Session()
        session.mount("https://", HTTPAdapter(pool_maxsize=MAX_CONCURRENT_PAGES))
        transport = RequestsTransport(
            session=session,
            connection_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=READ_TIMEOUT_SECONDS,
        )
        self.client: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(
            self.endpoint,
            policies=[
                BearerTokenCredentialPolicy(token, COGNITIVE_SERVICES_SCOPE),
                RequestIdPolicy(retry_policy.request_log),
            ],
            transport=transport,
        )

    def close(self) -> None:
        """Give back the connections."""
        self.client.close()

    def submit(self, picture: bytes) -> SubmittedPage:
        """Send a page. Raises Refused if the service will never take it; or ServiceError.

        StoppedError if there is no money left for it.
        """

        def send() -> SubmittedPage:
            self.budget.reserve(pages=1)
            try:
                response = self.request("POST", f"{self.model}:analyze", picture)
            except ErrorResponse:
                self.budget.release_pages(pages=1)
                raise
            found = RESULT_URL.search(response.headers.get("Operation-Location", ""))
            if not found:
                raise RetryableError(f"{self.endpoint} took a page and did not say as what")
            return SubmittedPage(found[1], parse_retry_after(response.headers) or OCR_POLL_SECONDS)

        return self.call_with_retry(send)

    def wait_for_result(self, submitted: SubmittedPage) -> OcrResult:
        """The text of a page, waited for. Raises Gone if there is none under this operation.

        Raises Refused if the service cannot read the page; ServiceError, ConfigError.
        """
        began = self.retry_policy.clock()
        seconds = submitted.poll_after_seconds
        while True:
            self.retry_policy.wait(seconds)
            found, seconds = self.call_with_retry(lambda: self.poll(submitted.operation))
            if found:
                return found
            if self.retry_policy.clock() - began > self.retry_policy.max_seconds:
                raise ServiceError(
                    f"{self.endpoint} has not read a page in {self.retry_policy.max_seconds:.0f} s: "
                    "run again later, its answer is then asked for"
                )

    def describe_model(self) -> str:
        """The model, in words: it can be asked, and nothing was sent or paid for."""

        def fetch() -> str:
            body = orjson.loads(self.request("GET", self.model).content)
            return f"{body['modelId']}, API {body.get('apiVersion') or OCR_API_VERSION}"

        return self.call_with_retry(fetch)

    def poll(self, operation: str) -> tuple[OcrResult | None, float]:
        """The text, or None and the seconds until it is worth looking again."""
        try:
            response = self.request("GET", f"{self.model}/analyzeResults/{operation}")
        except ErrorResponse as error:
            if error.status == HTTPStatus.NOT_FOUND:
                raise ResultLost("the service has forgotten it") from error
            raise
        body = orjson.loads(response.content)
        status = body["status"]
        if status == "succeeded":
            return parse_result(body["analyzeResult"]), 0.0
        if status in ("failed", "canceled"):
            codes, said = parse_error(response.content)
            if any(code.startswith("InvalidContent") for code in codes):
                raise PageRejected(said)
            raise ResultLost(said or status)
        return None, parse_retry_after(response.headers) or OCR_POLL_SECONDS

    def request(self, method: str, path: str, picture: bytes = b"") -> HttpResponse:
        """The answer to one request. Raises Unwelcome, or what azure-core raises."""
        self.retry_policy.raise_if_cancelled()
        with self.turn_lock:
            while (seconds := self.rate_limiter.ask()) > 0:
                self.retry_policy.wait(seconds)
        query = f"api-version={OCR_API_VERSION}"
        headers = {"Accept": "application/json"}
        if picture:
            query += "&stringIndexType=unicodeCodePoint&outputContentFormat=text"
            headers["Content-Type"] = "application/octet-stream"
        request = HttpRequest(
            method,
            f"{self.endpoint}/documentintelligence/documentModels/{path}?{query}",
            headers=headers,
            content=picture or None,
        )
        response = self.client.send_request(request)
        if response.status_code not in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
            raise ErrorResponse(response)
        self.rate_limiter.report_success()
        return response

    def call_with_retry(self, call: Callable[[], T]) -> T:
        """One request by the policy."""
        renewals: list[str] = []
        return call_with_retry(
            call, lambda error: self.classify_error(error, renewals), self.retry_policy
        )

    def classify_error(self, error: Exception, renewals: list[str]) -> Exception:
        """Again, or the error for whoever must act; texts of services change, codes do not."""
        if isinstance(error, (PageRejected, ResultLost, ConfigError, ServiceError)):
            return error
        if not isinstance(error, ErrorResponse):
            return classify_transport_error(error, self.endpoint)
        if error.status in TRANSIENT_STATUSES:
            if error.status == HTTPStatus.TOO_MANY_REQUESTS:
                self.rate_limiter.report_throttled(error.retry_after)
            return RetryableError(
                f"an error of the service ({error}) at {self.endpoint}", error.retry_after
            )
        if verdict := self.classify_denial(error, renewals):
            return verdict
        if error.status == HTTPStatus.NOT_FOUND:
            return NotYetError(
                f"{self.endpoint} has no {self.model} ({error}): is INGEST_OCR the endpoint of a "
                "Document Intelligence resource, or of one with all AI services?"
            )
        if error.status in PAGE_REJECTED_STATUSES and OCR_INVALID_ARGUMENT_CODE not in error.codes:
            return PageRejected(str(error))
        return ConfigError(f"{self.endpoint} refused the request ({error}): check INGEST_OCR")

    def classify_denial(self, error: ErrorResponse, renewals: list[str]) -> Exception | None:
        """What to make of a refusal that is about who asks, or from where; None if it is not."""
        where = self.endpoint
        if error.status == HTTPStatus.FORBIDDEN and OCR_FIREWALL_CODE in error.codes:
            return ConfigError(
                f"{where} takes no requests from this network: go through its private endpoint, "
                "or allow this address in its network settings"
            )
        foreign = any("tenant" in code.lower() for code in error.codes)
        if foreign and error.status == HTTPStatus.BAD_REQUEST:
            return rejected_token_error(self.token, where)
        if error.status == HTTPStatus.FORBIDDEN or OCR_PERMISSION_DENIED_CODE in error.codes:
            return missing_role_error(self.token, COGNITIVE_USER, where)
        if error.status != HTTPStatus.UNAUTHORIZED:
            return None
        if self.token.renew_rejected(error.request_headers, renewals):
            return RetryableError(f"{where} did not accept the token")
        otherwise = ", it has no custom subdomain, without which it takes no tokens"
        return rejected_token_error(self.token, where, otherwise)


def parse_error(body: bytes) -> tuple[set[str], str]:
    """All codes of an error, the inner ones too, and the innermost message, short."""
    codes: set[str] = set()
    said = ""
    try:
        error: Any = orjson.loads(body).get("error")
        while isinstance(error, dict):
            parts = [error, *(d for d in error.get("details") or () if isinstance(d, dict))]
            codes |= {str(part.get("code", "")) for part in parts}
            said = str(error.get("message") or said)
            error = error.get("innererror")
    except (ValueError, AttributeError, TypeError):
        pass
    return codes - {""}, " ".join(said.split())[:200]
