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

from ingest.azure.credential import COGNITIVE_SERVICES
from ingest.azure.errors import unanswered
from ingest.azure.request_policy import Noting
from ingest.azure.roles import COGNITIVE_USER, missing_role, rejected
from ingest.azure.token_cache import TokenCache
from ingest.errors import ConfigError, NotYetError, ServiceError
from ingest.extract.ocr import API_VERSION, AT_ONCE, Gone, Refused, Taken
from ingest.extract.ocr.document_intelligence_result import read
from ingest.extract.ocr.rate_limit import Pace, Paced
from ingest.models import Recognised
from ingest.runtime.budget import Budget
from ingest.runtime.retry import PASSING, Again, Patience, floor_of, patiently

T = TypeVar("T")

CONNECTING, ANSWERING = 30, 120  # seconds
LOOK = 1.0  # seconds between looks at an operation, where the service names none
RESULT = re.compile(r"/analyzeResults/([\w-]{8,64})(?:\?|$)")

# Codes of errors, which do not change as their texts do.
BLOCKED = "403"  # a firewall's, with 403
DENIED = "PermissionDenied"
OURS = "InvalidArgument"  # of a parameter: the same for every page
PAGE_REFUSED = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


class Unwelcome(Exception):
    """An answer that is no success."""

    def __init__(self, response: HttpResponse) -> None:
        self.status = response.status_code
        self.codes, said = codes_of(response.content)
        self.floor = floor_of(response.headers)
        self.sent: Mapping[str, str] = response.request.headers
        super().__init__(f"{self.status} {said}".strip())


class DocumentIntelligence:
    """One resource and one model of it. Safe to call from several threads, but for `close`."""

    def __init__(  # noqa: PLR0913 - whom to ask, as whom, for how long, for how much, how often
        self,
        endpoint: str,
        model: str,
        token: TokenCache,
        patience: Patience,
        budget: Budget | None = None,
        *,
        pace: Paced | None = None,
    ) -> None:
        self.budget = budget or Budget()
        self.endpoint = endpoint.rstrip("/")
        self.model = model
        self.token = token
        self.patience = patience
        self.pace = pace or Pace(clock=patience.clock)
        self.front = threading.Lock()  # the thread that is next; the others wait behind it
        session = requests.Session()
        session.mount("https://", HTTPAdapter(pool_maxsize=AT_ONCE))
        transport = RequestsTransport(
            session=session, connection_timeout=CONNECTING, read_timeout=ANSWERING
        )
        self.client: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(
            self.endpoint,
            policies=[
                BearerTokenCredentialPolicy(token, COGNITIVE_SERVICES),
                Noting(patience.exchanges),
            ],
            transport=transport,
        )

    def close(self) -> None:
        """Give back the connections."""
        self.client.close()

    def take(self, picture: bytes) -> Taken:
        """Send a page. Raises Refused if the service will never take it; or ServiceError.

        StoppedError if there is no money left for it.
        """

        def send() -> Taken:
            self.budget.must(pages=1)
            try:
                response = self.asked("POST", f"{self.model}:analyze", picture)
            except Unwelcome:
                self.budget.give_back(pages=1)
                raise
            found = RESULT.search(response.headers.get("Operation-Location", ""))
            if not found:
                raise Again(f"{self.endpoint} took a page and did not say as what")
            return Taken(found[1], floor_of(response.headers) or LOOK)

        return self.patiently(send)

    def answer(self, taken: Taken) -> Recognised:
        """The text of a page, waited for. Raises Gone if there is none under this operation.

        Raises Refused if the service cannot read the page; ServiceError, ConfigError.
        """
        began = self.patience.clock()
        seconds = taken.seconds
        while True:
            self.patience.wait(seconds)
            found, seconds = self.patiently(lambda: self.looked(taken.operation))
            if found:
                return found
            if self.patience.clock() - began > self.patience.seconds:
                raise ServiceError(
                    f"{self.endpoint} has not read a page in {self.patience.seconds:.0f} s: "
                    "run again later, its answer is then asked for"
                )

    def described(self) -> str:
        """The model, in words: it can be asked, and nothing was sent or paid for."""

        def look() -> str:
            body = orjson.loads(self.asked("GET", self.model).content)
            return f"{body['modelId']}, API {body.get('apiVersion') or API_VERSION}"

        return self.patiently(look)

    def looked(self, operation: str) -> tuple[Recognised | None, float]:
        """The text, or None and the seconds until it is worth looking again."""
        try:
            response = self.asked("GET", f"{self.model}/analyzeResults/{operation}")
        except Unwelcome as error:
            if error.status == HTTPStatus.NOT_FOUND:
                raise Gone("the service has forgotten it") from error
            raise
        body = orjson.loads(response.content)
        status = body["status"]
        if status == "succeeded":
            return read(body["analyzeResult"]), 0.0
        if status in ("failed", "canceled"):
            codes, said = codes_of(response.content)
            if any(code.startswith("InvalidContent") for code in codes):
                raise Refused(said)
            raise Gone(said or status)
        return None, floor_of(response.headers) or LOOK

    def asked(self, method: str, path: str, picture: bytes = b"") -> HttpResponse:
        """The answer to one request. Raises Unwelcome, or what azure-core raises."""
        self.patience.proceed()
        with self.front:
            while (seconds := self.pace.ask()) > 0:
                self.patience.wait(seconds)
        query = f"api-version={API_VERSION}"
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
            raise Unwelcome(response)
        self.pace.answered()
        return response

    def patiently(self, call: Callable[[], T]) -> T:
        """One request by the policy."""
        renewals: list[str] = []
        return patiently(call, lambda error: self.judged(error, renewals), self.patience)

    def judged(self, error: Exception, renewals: list[str]) -> Exception:
        """Again, or the error for whoever must act; texts of services change, codes do not."""
        if isinstance(error, (Refused, Gone, ConfigError, ServiceError)):
            return error
        if not isinstance(error, Unwelcome):
            return unanswered(error, self.endpoint)
        if error.status in PASSING:
            if error.status == HTTPStatus.TOO_MANY_REQUESTS:
                self.pace.refused(error.floor)
            return Again(f"an error of the service ({error}) at {self.endpoint}", error.floor)
        if verdict := self.denied(error, renewals):
            return verdict
        if error.status == HTTPStatus.NOT_FOUND:
            return NotYetError(
                f"{self.endpoint} has no {self.model} ({error}): is INGEST_OCR the endpoint of a "
                "Document Intelligence resource, or of one with all AI services?"
            )
        if error.status in PAGE_REFUSED and OURS not in error.codes:
            return Refused(str(error))
        return ConfigError(f"{self.endpoint} refused the request ({error}): check INGEST_OCR")

    def denied(self, error: Unwelcome, renewals: list[str]) -> Exception | None:
        """What to make of a refusal that is about who asks, or from where; None if it is not."""
        where = self.endpoint
        if error.status == HTTPStatus.FORBIDDEN and BLOCKED in error.codes:
            return ConfigError(
                f"{where} takes no requests from this network: go through its private endpoint, "
                "or allow this address in its network settings"
            )
        foreign = any("tenant" in code.lower() for code in error.codes)
        if foreign and error.status == HTTPStatus.BAD_REQUEST:
            return rejected(self.token, where)
        if error.status == HTTPStatus.FORBIDDEN or DENIED in error.codes:
            return missing_role(self.token, COGNITIVE_USER, where)
        if error.status != HTTPStatus.UNAUTHORIZED:
            return None
        if self.token.retried(error.sent, renewals):
            return Again(f"{where} did not accept the token")
        otherwise = ", it has no custom subdomain, without which it takes no tokens"
        return rejected(self.token, where, otherwise)


def codes_of(body: bytes) -> tuple[set[str], str]:
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
