"""Document Intelligence: read and layout, as operations that take their time.

What it reads are pages that say their text in black and white squares (tests/scans.py), whatever
size they are drawn in: a picture of anything else has no text. Who sends a page pays for it, heard
or not.
"""

from __future__ import annotations

import io
import math
import re
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from PIL import Image

from tests.emulator.clock import Clock, Window
from tests.emulator.identity import COGNITIVE_USER, TENANT, Identity
from tests.emulator.server import Json, Request, Response, answer
from tests.scans import read

Box = tuple[float, float, float, float]  # left, top, right, bottom, as shares of the picture

AUDIENCE = "https://cognitiveservices.azure.com"
VERSION = "2024-11-30"
ROUTE = re.compile(r"/documentintelligence/documentModels/([\w-]+)(|:analyze|/analyzeResults/(.+))")
MODELS = ("prebuilt-read", "prebuilt-layout")
TYPES = ("application/octet-stream", "image/png", "image/jpeg")
KEPT = 86_400  # seconds for which a result can be had
DOUBTFUL = "?"  # a word that ends so was hard to read


@dataclass(frozen=True)
class Operation:
    """A page that was taken."""

    model: str
    text: str
    began: float  # by the emulator's clock
    ready: float
    failing: str  # the code of the error it ends with; "" for none
    code_points: bool
    size: tuple[int, int]  # of the picture
    figures: Sequence[tuple[Box, str]] = ()


class Refused(Exception):
    """The request ends here, with this response."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


class DocumentIntelligence:
    """One resource. Its attributes may be set at any time."""

    def __init__(self, identity: Identity, clock: Clock) -> None:
        self.identity = identity
        self.clock = clock
        self.read: Callable[[Image.Image], str] = read
        self.seconds = 0.0  # that an operation takes
        self.poll: int | None = 1  # seconds that it says to wait; None: it says nothing
        self.latency = 0.0  # seconds of each answer
        self.tps: float | None = None  # pages a second
        self.get_tps: float | None = None  # questions a second
        self.most_bytes = 500_000_000  # 4 MB in the free tier
        self.figures: dict[str, list[tuple[Box, str]]] = {}  # text: places and captions in layout
        self.failing: dict[str, list[str]] = {}  # text: codes that its next operations end with
        self.billed: Counter[str] = Counter()  # how often a page was paid for, by its text
        self.at_once = self.most_at_once = 0  # operations not yet asked for to the end
        self.operations: dict[str, Operation] = {}
        self.heard: set[str] = set()
        self.throttled = 0
        self.pages, self.questions = Window(clock), Window(clock)
        self.lock = threading.Lock()

    @property
    def repeated(self) -> dict[str, int]:
        """The pages that were paid for more than once, and how often."""
        return {text: count for text, count in self.billed.items() if count > 1}

    def serve(self, request: Request) -> Response:
        """Answer one request."""
        request.pause(self.latency)
        try:
            return self.routed(request)
        except Refused as refused:
            return refused.response

    def routed(self, request: Request) -> Response:
        """Authenticate and answer a request. Raises Refused."""
        self.authorize(request)
        route = ROUTE.fullmatch(request.path)
        if route is None or request.query.get("api-version") != VERSION:
            raise Refused(error_response(404, "NotFound", "Resource not found."))
        if route[1] not in MODELS:
            message = "The requested model was not found."
            raise Refused(
                error_response(404, "NotFound", "Resource not found.", "ModelNotFound", message)
            )
        if request.method == "POST" and route[2] == ":analyze":
            self.admit(self.pages, self.tps)
            return self.analyze(route[1], request)
        if request.method == "GET" and not route[2]:
            began = "2024-11-30T00:00:00Z"
            described = {"modelId": route[1], "description": "Reads.", "createdDateTime": began}
            return answer(200, described | {"apiVersion": VERSION})
        if request.method == "GET" and route[3]:
            self.admit(self.questions, self.get_tps)
            return self.result(route[3])
        raise Refused(
            error_response(405, "MethodNotAllowed", "The requested HTTP method is not allowed.")
        )

    def authorize(self, request: Request) -> None:
        """The token and the role. Raises Refused."""
        token = self.identity.shown(request)
        if token is not None and token.tenant != TENANT:
            message = f"Token tenant {token.tenant} does not match resource tenant."
            body = {"error": {"code": "Tenant provided in token does not match resource token"}}
            body["error"]["message"] = message
            raise Refused(answer(400, body))
        principal = self.identity.bearer(request, (AUDIENCE,))
        if principal is None:
            message = (
                "Unauthorized. Access token is missing, invalid, audience is incorrect "
                f"({AUDIENCE}), or have expired."
            )
            raise Refused(answer(401, {"statusCode": 401, "message": message}))
        if not self.identity.has(principal, COGNITIVE_USER):
            message = f"The principal `{principal.oid}` lacks the required data action."
            raise Refused(answer(401, {"error": {"code": "PermissionDenied", "message": message}}))

    def admit(self, window: Window, tps: float | None) -> None:
        """Count a request against a quota of requests a second. Raises Refused."""
        if tps is None:
            return
        wait = window.take(1, max(1.0, tps), 1.0)
        if wait:
            self.throttled += 1
            seconds = math.ceil(wait)
            message = f"Requests have exceeded rate limit. Please retry after {seconds} seconds."
            response = answer(429, {"error": {"code": "429", "message": message}})
            raise Refused(
                Response(429, response.body, {**response.headers, "Retry-After": str(seconds)})
            )

    def analyze(self, model: str, request: Request) -> Response:
        """Take a page. Raises Refused."""
        if request.query.get("outputContentFormat", "text") != "text":
            raise Refused(error_response(400, "InvalidArgument", "Only text is emulated."))
        if request.headers.get("content-type") not in TYPES:
            message = "The media type is not supported."
            raise Refused(error_response(415, "UnsupportedMediaType", message))
        text, size = self.looked_at(request.body)
        now = self.clock.now()
        codes = self.failing.get(text, [])
        code_points = request.query.get("stringIndexType") == "unicodeCodePoint"
        with self.lock:
            failing = codes.pop(0) if codes else ""
            if failing.startswith("400 "):
                inner = failing.removeprefix("400 ")
                raise Refused(
                    error_response(400, "InvalidRequest", "Invalid request.", inner, "Bad page.")
                )
            id_ = str(uuid.uuid4())
            ready = now + self.seconds
            figures = self.figures.get(text, ())
            made = Operation(model, text, now, ready, failing, code_points, size, figures)
            self.operations[id_] = made
            self.billed[text] += not failing
            self.most_at_once = max(self.most_at_once, len(self.operations) - len(self.heard))
        host = request.headers["host"]
        path = f"/documentintelligence/documentModels/{model}/analyzeResults/{id_}"
        where = f"https://{host}{path}?api-version={VERSION}"
        headers = {"Operation-Location": where, "apim-request-id": id_, **self.when()}
        return Response(202, b"", headers)

    def looked_at(self, body: bytes) -> tuple[str, tuple[int, int]]:
        """The text and the size of a picture. Raises Refused."""
        inner = ""
        if len(body) > self.most_bytes:
            inner, message = "InvalidContentLength", "The input image is too large."
        else:
            try:
                picture = Image.open(io.BytesIO(body))
                picture.load()
            except (OSError, SyntaxError, ValueError):
                inner, message = "InvalidContent", "The file is corrupted or format is unsupported."
            else:
                if min(picture.size) < 50 or max(picture.size) > 10_000:
                    inner, message = "InvalidContentDimensions", "The input dimensions are wrong."
        if inner:
            raise Refused(error_response(400, "InvalidRequest", "Invalid request.", inner, message))
        return self.read(picture), picture.size

    def result(self, id_: str) -> Response:
        """State of an operation. Raises Refused."""
        operation, now = self.operations.get(id_), self.clock.now()
        if operation is None or now > operation.ready + KEPT:
            message = "The requested operation was not found."
            raise Refused(
                error_response(404, "NotFound", "Resource not found.", "OperationNotFound", message)
            )
        began = datetime.fromtimestamp(operation.began, UTC).isoformat()
        times: Json = {"createdDateTime": began, "lastUpdatedDateTime": began}
        if now < operation.ready:
            return answer(200, {"status": "running", **times}, self.when())
        with self.lock:
            self.heard.add(id_)
        if operation.failing:
            code = "InternalServerError"
            error = {"code": code, "message": "An unexpected error occurred."}
            if operation.failing != code:
                inner = {"code": operation.failing, "message": "The page cannot be read."}
                error = {"code": "InvalidRequest", "message": "Invalid request."}
                error["innererror"] = inner  # type: ignore[assignment]
            return answer(200, {"status": "failed", **times, "error": error})
        made = analyze(operation)
        return answer(200, {"status": "succeeded", **times, "analyzeResult": made})

    def when(self) -> dict[str, str]:
        """The header that says when to ask."""
        return {} if self.poll is None else {"Retry-After": str(self.poll)}


def error_response(
    status: int, code: str, message: str, inner: str = "", said: str = ""
) -> Response:
    """An error as this service words it."""
    error: Json = {"code": code, "message": message}
    if inner:
        error["innererror"] = {"code": inner, "message": said}
    return answer(status, {"error": error})


def analyze(operation: Operation) -> Json:
    """The result: words with their places and confidences; for layout, tables of tabbed lines."""

    def units(text: str) -> int:
        return len(text) if operation.code_points else len(text.encode("utf-16-le")) // 2

    text = operation.text
    words = [
        {
            "content": found[0],
            "confidence": 0.4 if found[0].endswith(DOUBTFUL) else 0.99,
            "span": {"offset": units(text[: found.start()]), "length": units(found[0])},
        }
        for found in re.finditer(r"\S+", text)
    ]
    layout = operation.model == "prebuilt-layout"
    return {
        "apiVersion": VERSION,
        "modelId": operation.model,
        "stringIndexType": "unicodeCodePoint" if operation.code_points else "textElements",
        "content": text,
        "pages": [
            {
                "pageNumber": 1,
                "angle": 0,
                "width": operation.size[0],
                "height": operation.size[1],
                "unit": "pixel",
                "words": words,
                "spans": [],
            }
        ],
        **(
            {"figures": [find_figure(n, operation) for n in range(len(operation.figures))]}
            if layout
            else {}
        ),
        "tables": [build_table(found, text, units) for found in TABLE.finditer(text)]
        if layout
        else [],
        "styles": [],
    }


def find_figure(number: int, operation: Operation) -> Json:
    """A figure of the page, with its caption if it has one."""
    (left, top, right, bottom), caption = operation.figures[number]
    width, height = operation.size
    x, y, x2, y2 = left * width, top * height, right * width, bottom * height
    region = {"pageNumber": 1, "polygon": [x, y, x2, y, x2, y2, x, y2]}
    made: Json = {"id": f"1.{number + 1}", "boundingRegions": [region], "spans": [], "elements": []}
    message = {"content": caption, "boundingRegions": [], "spans": [], "elements": []}
    return made | ({"caption": message} if caption else {})


TABLE = re.compile(r"(?:^[^\n]*\t[^\n]*(?:\n|\Z))+", re.MULTILINE)


def build_table(found: re.Match[str], text: str, units: Callable[[str], int]) -> Json:
    """Consecutive lines with tabs."""
    block = found[0].rstrip("\n")
    rows = [line.split("\t") for line in block.split("\n")]
    cells = [
        {"rowIndex": r, "columnIndex": c, "content": value, "spans": []}
        for r, row in enumerate(rows)
        for c, value in enumerate(row)
    ]
    return {
        "rowCount": len(rows),
        "columnCount": max(map(len, rows)),
        "cells": cells,
        "spans": [{"offset": units(text[: found.start()]), "length": units(block)}],
    }
