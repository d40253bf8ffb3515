"""Metrics of a run.

Names follow OpenTelemetry's semantic conventions where those define one, otherwise they start with
`ingest.`. The totals of the counters equal the numbers in the run's summary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from ingest.models import SourceResult
from ingest.runtime.request_ids import LoggedRequest
from ingest.runtime.timing import EMBEDDING_CHUNKS, EMBEDDING_SERVICE

# Upper bounds of histogram buckets: the conventions' for requests, longer ones for stages.
REQUEST_BUCKETS_SECONDS = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.075,
    0.1,
    0.25,
    0.5,
    0.75,
    1,
    2.5,
    5,
    7.5,
    10,
)
STAGE_BUCKETS_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)
# As in the conventions.
TOKEN_BUCKETS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576)

TOO_MANY_REQUESTS = 429


class Instruments:
    """Instruments of one run. `count_under_way` returns the work under way, by activity."""

    def __init__(self, meter: Meter, count_under_way: Callable[[], dict[str, int]]) -> None:
        def counter(name: str, unit: str, description: str) -> Any:
            return meter.create_counter(name, unit, description)

        def histogram(name: str, description: str, buckets: Iterable[float]) -> Any:
            return meter.create_histogram(
                name, "s", description, explicit_bucket_boundaries_advisory=list(buckets)
            )

        self.count_under_way = count_under_way
        self.documents = counter("ingest.documents", "{document}", "Documents settled")
        self.pages = counter("ingest.pages", "{page}", "Pages read")
        self.chunks = counter("ingest.chunks", "{chunk}", "Chunks embedded and uploaded")
        self.deleted = counter("ingest.chunks.deleted", "{chunk}", "Chunks deleted")
        self.tokens = counter("ingest.tokens", "{token}", "Tokens in the chunks embedded")
        self.throttled = counter("ingest.throttled", "{request}", "Requests refused with 429")
        self.waits = counter("ingest.wait.time", "s", "Waits before calls to the model")
        self.document_duration = histogram(
            "ingest.document.duration", "From first look to settled", STAGE_BUCKETS_SECONDS
        )
        self.stages = histogram("ingest.stage.duration", "One piece of work", STAGE_BUCKETS_SECONDS)
        self.request_duration = histogram(
            "http.client.request.duration", "Requests to services", REQUEST_BUCKETS_SECONDS
        )
        self.operations = histogram(
            "gen_ai.client.operation.duration", "Calls to the model", STAGE_BUCKETS_SECONDS
        )
        self.usage = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Tokens of calls to the model",
            explicit_bucket_boundaries_advisory=list(TOKEN_BUCKETS),
        )
        meter.create_observable_up_down_counter(
            "ingest.under_way", [self.observe_under_way], "{item}", "Documents and stages under way"
        )
        meter.create_observable_up_down_counter(
            "ingest.batches.waiting",
            [self.observe_queue],
            "{batch}",
            "Batches that wait for their turn",
        )

    def observe_under_way(self, _: CallbackOptions) -> list[Observation]:
        """Observe the work under way, by activity."""
        counts = self.count_under_way()
        return [Observation(n, {"ingest.stage": activity}) for activity, n in counts.items()]

    def observe_queue(self, _: CallbackOptions) -> list[Observation]:
        """Observe the batches that wait for a request to the embedding service."""
        counts = self.count_under_way()
        waiting = counts.get(EMBEDDING_CHUNKS, 0) - counts.get(EMBEDDING_SERVICE, 0)
        return [Observation(max(0, waiting))]

    def record_embedding(
        self, attributes: dict[str, Any], tokens: int, seconds: float, error: str
    ) -> None:
        """Record a finished call to the model, including all its requests and waits."""
        self.operations.record(seconds, attributes | error_attributes(error))
        if not error:
            self.usage.record(tokens, attributes | {"gen_ai.token.type": "input"})

    def record_request(self, request: LoggedRequest) -> None:
        """Record a request and its status; 0 means that there was no response."""
        server = server_attributes(request.url)
        status = {"http.response.status_code": request.status} if request.status else {}
        error = "" if 0 < request.status < 400 else str(request.status or "no_answer")  # noqa: PLR2004
        self.request_duration.record(
            request.seconds,
            {"http.request.method": request.method, **server, **status, **error_attributes(error)},
        )
        if request.status == TOO_MANY_REQUESTS:
            self.throttled.add(1, server)

    def record_document(self, event: SourceResult) -> None:
        """Record a finished document."""
        code = {"ingest.code": event.code} if event.code else {}
        self.documents.add(1, {"ingest.outcome": event.outcome.value, **code})
        for counter, number in (
            (self.chunks, event.embedded),
            (self.deleted, event.deleted),
            (self.tokens, event.tokens),
        ):
            if number:
                counter.add(number)


def error_attributes(error: str) -> dict[str, str]:
    """Return the attribute for an error; none for ""."""
    return {"error.type": error} if error else {}


def server_attributes(url: str) -> dict[str, Any]:
    """Return the attributes for a request's server, without its path and query."""
    scheme, _, rest = url.partition("://")
    return dict(parse_server(f"{scheme}://{rest.split('/', 1)[0]}"))


@lru_cache(maxsize=64)
def parse_server(url: str) -> tuple[tuple[str, Any], ...]:
    """Return the host and port of a URL, as attributes."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return ("server.address", parts.hostname or ""), ("server.port", port)
