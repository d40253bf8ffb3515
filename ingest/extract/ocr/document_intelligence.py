"""Azure Document Intelligence: plain REST through azure-core; every refusal is named.

A page is paid for when the service takes it, not when we hear of its text. So what it was taken as
is told to the caller at once, and an answer is asked for until it comes: never is a page sent again
while its answer may still be had. The SDK retries by itself, so it is only the referee in tests.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

import orjson
from azure.core.rest import HttpRequest, HttpResponse

from ingest.azure.client import classify_azure_error, create_rest_client, create_transport
from ingest.azure.credential import COGNITIVE_SERVICES_SCOPE
from ingest.azure.errors import (
    AI_SERVICES_ERRORS,
    ANY,
    ErrorResponse,
    ErrorTable,
    RequestContext,
    fail,
    rejected_token,
)
from ingest.azure.roles import COGNITIVE_USER
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
    RetryableError,
    RetryPolicy,
    call_with_retry,
    parse_retry_after,
)

T = TypeVar("T")

CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS = 30, 120  # seconds
OCR_POLL_SECONDS = 1.0  # seconds between looks at an operation, where the service names none
RESULT_URL = re.compile(r"/analyzeResults/([\w-]{8,64})(?:\?|$)")

REFUSED_REQUEST = fail(ConfigError, "{where} refused the request ({response}): check INGEST_OCR")


def create_error_table(model: str) -> ErrorTable:
    """Return the error table of the service, whose messages name the model."""

    def missing_model(response: ErrorResponse, request: RequestContext) -> Exception:
        return NotYetError(
            f"{request.where} has no {model} ({response}): is INGEST_OCR the endpoint of a "
            "Document Intelligence resource, or of one with all AI services?"
        )

    rejected_statuses = {400, 413, 415, 422}
    return (
        *AI_SERVICES_ERRORS,
        ({401}, ANY, rejected_token(", it has no custom subdomain, so it takes no tokens")),
        ({404}, ANY, missing_model),
        # A parameter is invalid, and would be for every page.
        (rejected_statuses, {"InvalidArgument"}, REFUSED_REQUEST),
        (rejected_statuses, ANY, fail(PageRejected, "{response}")),
        (ANY, ANY, REFUSED_REQUEST),
    )


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
        self.error_table = create_error_table(model)
        transport = create_transport(
            MAX_CONCURRENT_PAGES, CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS
        )
        self.client = create_rest_client(
            self.endpoint, token, COGNITIVE_SERVICES_SCOPE, transport, retry_policy.request_log
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
            codes, message = parse_error(response.content)
            raise ErrorResponse(response, message, codes)
        self.rate_limiter.report_success()
        return response

    def call_with_retry(self, call: Callable[[], T]) -> T:
        """One request by the policy."""
        request = RequestContext(self.endpoint, self.token, COGNITIVE_USER)

        def classify(error: Exception) -> Exception:
            if isinstance(error, ErrorResponse) and error.status == HTTPStatus.TOO_MANY_REQUESTS:
                self.rate_limiter.report_throttled(error.retry_after)
            return classify_azure_error(error, self.error_table, request)

        return call_with_retry(call, classify, self.retry_policy)


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
