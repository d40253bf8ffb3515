"""What is counted and measured in a run, and what it is called.

Names are those of OpenTelemetry's semantic conventions where there are some, else `ingest.`…; the
sums of the counters are the numbers of the run's summary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from ingest.models import Advanced, Settled
from ingest.runtime.request_ids import Exchange
from ingest.runtime.timing import EMBEDDING, SERVICE

# Where the buckets of a histogram end, in seconds: those of the conventions, and longer ones.
CALLS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
STAGES = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)
# The conventions', in tokens.
USAGE = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576)

TOO_MANY = 429


class Instruments:
    """The instruments of one run. `depths` says how much of each kind is under way."""

    def __init__(self, meter: Meter, depths: Callable[[], dict[str, int]]) -> None:
        def counter(name: str, unit: str, of: str) -> Any:
            return meter.create_counter(name, unit, of)

        def seconds(name: str, of: str, buckets: Iterable[float]) -> Any:
            return meter.create_histogram(
                name, "s", of, explicit_bucket_boundaries_advisory=list(buckets)
            )

        self.depths = depths
        self.documents = counter("ingest.documents", "{document}", "Documents settled")
        self.pages = counter("ingest.pages", "{page}", "Pages read")
        self.chunks = counter("ingest.chunks", "{chunk}", "Chunks embedded and uploaded")
        self.deleted = counter("ingest.chunks.deleted", "{chunk}", "Chunks deleted")
        self.tokens = counter("ingest.tokens", "{token}", "Tokens in the chunks embedded")
        self.throttled = counter("ingest.throttled", "{request}", "Requests refused with 429")
        self.waits = counter("ingest.wait.time", "s", "Waits before calls to the model")
        self.lasts = seconds("ingest.document.duration", "From first look to settled", STAGES)
        self.stages = seconds("ingest.stage.duration", "One piece of work", STAGES)
        self.calls = seconds("http.client.request.duration", "Requests to services", CALLS)
        self.operations = seconds("gen_ai.client.operation.duration", "Calls to the model", STAGES)
        self.usage = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Tokens of calls to the model",
            explicit_bucket_boundaries_advisory=list(USAGE),
        )
        meter.create_observable_up_down_counter(
            "ingest.under_way", [self.observed], "{item}", "Documents and stages under way"
        )
        meter.create_observable_up_down_counter(
            "ingest.batches.waiting", [self.queued], "{batch}", "Batches that wait for their turn"
        )

    def observed(self, _: CallbackOptions) -> list[Observation]:
        """How much of each kind of work is under way."""
        return [Observation(n, {"ingest.stage": what}) for what, n in self.depths().items()]

    def queued(self, _: CallbackOptions) -> list[Observation]:
        """How many batches are handed over, and not with a service."""
        now = self.depths()
        return [Observation(max(0, now.get(EMBEDDING, 0) - now.get(SERVICE, 0)))]

    def staged(self, what: str, seconds: float, error: str) -> None:
        """A piece of work is done."""
        self.stages.record(seconds, {"ingest.stage": what, **typed(error)})

    def waited(self, what: str, seconds: float) -> None:
        """A wait is over."""
        self.waits.add(seconds, {"ingest.wait": what})

    def embedded(self, named: dict[str, Any], tokens: int, seconds: float, error: str) -> None:
        """A call to the model is done, with all its requests and waits."""
        self.operations.record(seconds, named | typed(error))
        if not error:
            self.usage.record(tokens, named | {"gen_ai.token.type": "input"})

    def exchanged(self, exchange: Exchange) -> None:
        """A request was answered, or not."""
        where = place(exchange.url)
        status = {"http.response.status_code": exchange.status} if exchange.status else {}
        error = "" if 0 < exchange.status < 400 else str(exchange.status or "no_answer")  # noqa: PLR2004
        self.calls.record(
            exchange.seconds,
            {"http.request.method": exchange.method, **where, **status, **typed(error)},
        )
        if exchange.status == TOO_MANY:
            self.throttled.add(1, where)

    def advanced(self, event: Advanced) -> None:
        """Pages were read."""
        if event.pages:
            self.pages.add(event.pages)

    def settled(self, event: Settled) -> None:
        """A document is done with."""
        code = {"ingest.code": event.code} if event.code else {}
        self.documents.add(1, {"ingest.outcome": event.outcome.value, **code})
        for counter, number in (
            (self.chunks, event.embedded),
            (self.deleted, event.deleted),
            (self.tokens, event.tokens),
        ):
            if number:
                counter.add(number)

    def lasted(self, event: Settled, seconds: float) -> None:
        """A document was under way for so long."""
        self.lasts.record(seconds, {"ingest.outcome": event.outcome.value})


def typed(error: str) -> dict[str, str]:
    """What an error is called, where there is one."""
    return {"error.type": error} if error else {}


def place(url: str) -> dict[str, Any]:
    """Where a request goes: the service, and nothing of what is asked for there."""
    scheme, _, rest = url.partition("://")
    return dict(server(f"{scheme}://{rest.split('/', 1)[0]}"))


@lru_cache(maxsize=64)
def server(url: str) -> tuple[tuple[str, Any], ...]:
    """The name and the port of a service."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return ("server.address", parts.hostname or ""), ("server.port", port)
