"""OCR with Azure Document Intelligence, by REST through azure-core.

A page is charged when the service accepts it, not when its text is returned. So the caller gets the
operation id at once, and polls it until there is a result: a page is never sent again while its
result can still be fetched. The SDK retries by itself, so only the tests use it, as a reference.
"""

from __future__ import annotations

import base64
import math
import re
import threading
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, TypeAlias, TypeVar

import orjson
from azure.core.rest import HttpRequest, HttpResponse

from ingest.azure.client import classify_azure_error, create_rest_client, create_transport
from ingest.azure.errors import (
    AI_SERVICES_ERRORS,
    ANY,
    AccessDeniedError,
    ErrorResponse,
    ErrorTable,
    RequestContext,
    fail,
    rejected_token,
)
from ingest.azure.roles import COGNITIVE_USER
from ingest.azure.token_cache import TokenCache
from ingest.azure.token_hosts import COGNITIVE_SERVICES_SCOPE
from ingest.errors import ConfigError, IngestError, NotYetError, ServiceError
from ingest.extract.ocr import (
    MAX_CONCURRENT_PAGES,
    OCR_API_VERSION,
    PageRejected,
    ResultLost,
    SubmittedPage,
)
from ingest.extract.ocr.document_intelligence_result import parse_result
from ingest.extract.ocr.rate_limit import LeakyBucket
from ingest.models import OcrResult
from ingest.redaction import redact
from ingest.runtime.budget import Budget
from ingest.runtime.rate_limit import RateLimiter, Wait
from ingest.runtime.retry import (
    RepeatedFailureError,
    RetryableError,
    RetryPolicy,
    call_for_item,
    call_with_retry,
    parse_retry_after,
)

T = TypeVar("T")
Polled: TypeAlias = "tuple[OcrResult | None, float]"  # the text, or the seconds until the next poll

CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS = 30, 120
OCR_POLL_SECONDS = 1.0  # between polls, if the service sends no Retry-After
MAX_POLL_SECONDS = 60.0  # between polls, whatever it sends
OPERATION_LAG_SECONDS = 15.0  # until a service knows each operation that it has accepted
RESULT_URL = re.compile(r"/analyzeResults/([\w-]{8,64})(?:\?|$)")

# A white page. It is paid for, and only sent to learn whether the service works at all.
PROBE_PAGE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABAAQAAAACCEkxzAAAAEklEQVR42mP4DwUMo4xRBukMAOPT/hAC2mzjAAAA"
    "AElFTkSuQmCC"
)

REFUSED_REQUEST = "{where} refused the request ({response}): check INGEST_OCR"


def create_error_table(model: str) -> ErrorTable:
    """Return the error table of the service, whose messages name the model."""

    def missing_model(response: ErrorResponse, request: RequestContext) -> Exception:
        return NotYetError(
            f"{request.where} has no {model} ({response}): set INGEST_OCR to the endpoint of a "
            "Document Intelligence resource, or of one with all AI services"
        )

    rejected_statuses = {400, 413, 415, 422}
    return (
        *AI_SERVICES_ERRORS,
        (
            {401},
            ANY,
            rejected_token(", it has no custom subdomain, without which it accepts no tokens"),
        ),
        ({404}, ANY, missing_model),
        # A parameter is invalid, so every page would fail.
        (rejected_statuses, {"InvalidArgument"}, fail(ConfigError, REFUSED_REQUEST)),
        (rejected_statuses, ANY, fail(PageRejected, "{response}")),
        (ANY, ANY, fail(AccessDeniedError, REFUSED_REQUEST)),
    )


class OperationMissingError(ResultLost):
    """The service does not know the operation, no longer or not yet."""


class DocumentIntelligence:
    """Client of one resource and model. Thread-safe, except for `close`."""

    def __init__(  # noqa: PLR0913 - independent parts of a client
        self,
        endpoint: str,
        model: str,
        token: TokenCache,
        retry_policy: RetryPolicy,
        budget: Budget | None = None,
        *,
        rate_limiter: RateLimiter | None = None,
    ) -> None:
        self.budget = budget or Budget()
        self.endpoint = endpoint.rstrip("/")
        self.model = model
        self.token = token
        self.retry_policy = retry_policy
        self.rate_limiter = rate_limiter or LeakyBucket(clock=retry_policy.clock)
        self.read_at = -math.inf  # when the text of any page arrived, by the clock of the retries
        self.probe_lock = threading.Lock()  # a probe is paid for: one is enough for all pages
        self.probe_error: IngestError | None = None
        self.turn_lock = threading.Lock()  # held by the next thread in line; the others wait for it
        self.error_table = create_error_table(model)
        transport = create_transport(
            MAX_CONCURRENT_PAGES, CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS
        )
        self.client = create_rest_client(
            self.endpoint, token, COGNITIVE_SERVICES_SCOPE, transport, retry_policy.request_log
        )

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def submit(self, picture: bytes) -> SubmittedPage:
        """Send a page.

        Raises PageRejected if the service will never accept it, or fails on it and not on others,
        StoppedError if the budget is spent, ServiceError or ConfigError.
        """
        return self.call_for_page(partial(self.send_page, picture))

    def send_page(self, picture: bytes, max_failures: float = math.inf) -> SubmittedPage:
        """Send a page, retried. Raises RepeatedFailureError, and what `submit` raises."""

        def send() -> SubmittedPage:
            self.budget.reserve(pages=1)
            billed = 1  # unless the service says that it refused the page
            try:
                response = self.request("POST", f"{self.model}:analyze", picture)
            except ErrorResponse:
                billed = 0
                raise
            finally:
                self.budget.settle(pages=1, billed_pages=billed)
            found = RESULT_URL.search(response.headers.get("Operation-Location", ""))
            if not found:
                raise RetryableError(f"{self.endpoint} accepted a page without an operation id")
            seconds = parse_retry_after(response.headers) or OCR_POLL_SECONDS
            return SubmittedPage(found[1], seconds, is_new=True)

        return self.call_with_retry(send, max_failures)

    def call_for_page(self, call: Callable[[float], T]) -> T:
        """Call for a page, which is rejected if the service fails on it, and not on others."""
        began = self.retry_policy.clock()

        def check_service() -> None:
            nonlocal began
            with self.probe_lock:
                if self.read_at <= began:
                    self.send_probe()
            began = self.retry_policy.clock()

        def attempt(max_failures: float) -> T:
            try:
                return call(max_failures)
            except AccessDeniedError as error:  # gateways filter so
                raise RepeatedFailureError(str(error)) from error

        try:
            return call_for_item(attempt, check_service)
        except RepeatedFailureError as error:
            raise PageRejected(str(error)) from error

    def send_probe(self) -> None:
        """Raise ServiceError or ConfigError unless the service reads a white page.

        A failure ends the run, so it is not sent again for the pages that wait for this answer.
        """
        if self.probe_error:
            raise type(self.probe_error)(str(self.probe_error)) from self.probe_error
        try:
            self.describe_model()  # free, and waits for the end of most outages
            try:
                self.poll_until_read(self.send_page(PROBE_PAGE), self.call_with_retry)
            except ResultLost as error:
                raise ServiceError(f"{self.endpoint} reads no page ({error}): run again") from error
        except IngestError as error:
            self.probe_error = error
            raise

    def wait_for_result(self, submitted: SubmittedPage) -> OcrResult:
        """Wait for the text of a page.

        Raises ResultLost if the operation has no result, PageRejected if the service cannot read
        the page, ServiceError or ConfigError.
        """
        return self.poll_until_read(
            submitted,
            lambda poll: self.call_for_page(
                lambda max_failures: self.call_with_retry(poll, max_failures)
            ),
        )

    def poll_until_read(
        self, submitted: SubmittedPage, call: Callable[[Callable[[], Polled]], Polled]
    ) -> OcrResult:
        """Poll the operation of a page, each time by `call`, until there is its text."""
        began = self.retry_policy.clock()
        lag = OPERATION_LAG_SECONDS if submitted.is_new else 0.0
        seconds = submitted.poll_after_seconds
        while True:
            self.retry_policy.wait(min(seconds, MAX_POLL_SECONDS))
            try:
                result, seconds = call(lambda: self.poll(submitted.operation))
            except OperationMissingError:
                # Sent again, it would be paid for again.
                if self.retry_policy.clock() - began >= lag:
                    raise
                result, seconds = None, OCR_POLL_SECONDS
            if result:
                self.read_at = self.retry_policy.clock()
                return result
            limit = self.retry_policy.max_seconds
            if self.retry_policy.clock() - began > limit:
                raise ServiceError(
                    f"{self.endpoint} has not read a page in {limit:.0f} s: run again later, to "
                    "fetch its result"
                )

    def describe_model(self) -> str:
        """Return name and API version of the model. A check of access that costs nothing."""

        def fetch() -> str:
            body = orjson.loads(self.request("GET", self.model).content)
            return f"{body['modelId']}, API {body.get('apiVersion') or OCR_API_VERSION}"

        return self.call_with_retry(fetch)

    def poll(self, operation: str) -> Polled:
        """Return the text and 0, or None and the seconds until the next poll."""
        try:
            response = self.request("GET", f"{self.model}/analyzeResults/{operation}")
        except ErrorResponse as error:
            if error.status == HTTPStatus.NOT_FOUND:
                raise OperationMissingError("the service no longer has its result") from error
            raise
        body = orjson.loads(response.content)
        status = body["status"]
        if status == "succeeded":
            return parse_result(body["analyzeResult"]), 0.0
        if status in ("failed", "canceled"):
            codes, message = parse_error(response.content)
            if any(code.startswith("InvalidContent") for code in codes):
                raise PageRejected(message)
            raise ResultLost(message or status)
        return None, parse_retry_after(response.headers) or OCR_POLL_SECONDS

    def request(self, method: str, path: str, picture: bytes = b"") -> HttpResponse:
        """Send one request. Raises ErrorResponse, or what azure-core raises."""
        self.retry_policy.raise_if_cancelled()
        with self.turn_lock:
            while isinstance(permit := self.rate_limiter.ask(1), Wait):
                self.retry_policy.wait(permit.seconds)
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
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            self.rate_limiter.report_throttled(permit, response.headers)
        if response.status_code not in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
            codes, message = parse_error(response.content)
            raise ErrorResponse(response, message, codes)
        self.rate_limiter.report_success(permit, response.headers)
        return response

    def call_with_retry(self, call: Callable[[], T], max_failures: float = math.inf) -> T:
        """Call with retries by the policy, and one renewal of a rejected token."""
        request = RequestContext(self.endpoint, self.token, COGNITIVE_USER)

        def classify(error: Exception) -> Exception:
            return classify_azure_error(error, self.error_table, request)

        return call_with_retry(call, classify, self.retry_policy, max_failures=max_failures)


def parse_error(body: bytes) -> tuple[set[str], str]:
    """Return all codes of an error, inner ones included, and the innermost message, shortened."""
    codes: set[str] = set()
    message = ""
    try:
        error: Any = orjson.loads(body).get("error")
        while isinstance(error, dict):
            parts = [error, *(d for d in error.get("details") or () if isinstance(d, dict))]
            codes |= {str(part.get("code", "")) for part in parts}
            message = str(error.get("message") or message)
            error = error.get("innererror")
    except (ValueError, AttributeError, TypeError):
        pass
    return codes - {""}, " ".join(redact(message).split())[:200]
