"""Work as spans: one for the run, one for each document that is looked into, one for each stage.

A stage of several documents together, as a batch of embeddings, is the run's, and linked to them.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry.metrics import Meter
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace import set_span_in_context as within

from ingest.errors import DocumentError, StoppedError
from ingest.models import Advanced, Event, Key, Outcome, Settled, Summary
from ingest.runtime.request_ids import Exchange
from ingest.runtime.telemetry import About
from ingest.runtime.telemetry.metrics import Instruments, place
from ingest.runtime.timing import EMBEDDING, FIRST_ANSWER, REQUESTS, SERVICE, TOKENS, Over

WAITS = (TOKENS, REQUESTS, FIRST_ANSWER)  # tenths of a second each: counted, and no spans
MOST_LINKS = 128  # of a span, which is the SDK's limit
WELL = (0, 3)  # exit codes of a run that did what it could


@dataclass(slots=True)
class Document:
    """One that is under way."""

    span: Span
    began: float


class Stages(threading.local):
    """The stages that a thread is in, the innermost last."""

    def __init__(self) -> None:
        self.spans: list[Span] = []


class Watching:
    """Makes spans and metrics of what happens in a run, in any of its threads."""

    def __init__(self, tracer: Tracer, meter: Meter, about: About) -> None:
        self.tracer = tracer
        self.about = about
        self.lock = threading.Lock()
        self.documents: dict[Key, Document] = {}
        self.under_way: Counter[str] = Counter()
        self.stages = Stages()
        self.instruments = Instruments(meter, self.depths)
        self.run = tracer.start_span("ingest run", attributes={"ingest.run": about.run})
        self.trace = f"{self.run.get_span_context().trace_id:032x}"

    def depths(self) -> dict[str, int]:
        """How many pieces of work of each kind are under way at this moment."""
        with self.lock:
            return {"document": len(self.documents), **self.under_way}

    def began(
        self, what: str, about: Sequence[Key], facts: Mapping[str, Any], *, inner: bool
    ) -> Over:
        """A piece of work begins: a span, or for a wait a number."""
        began = time.monotonic()
        with self.lock:
            self.under_way[what] += 1
        if what in WAITS:
            return lambda _: self.waited(what, time.monotonic() - began)
        span = self.stage(what, about, facts)
        if inner:
            self.stages.spans.append(span)

        def over(error: BaseException | None) -> None:
            if inner:
                self.stages.spans.remove(span)
            with self.lock:
                self.under_way[what] -= 1
            seconds = time.monotonic() - began
            kind = failure(error)
            self.instruments.staged(what, seconds, kind)
            if what == EMBEDDING:
                self.instruments.embedded(self.embeddings(facts), facts["tokens"], seconds, kind)
            ended(span, kind)

        return over

    def waited(self, what: str, seconds: float) -> None:
        """A wait is over."""
        with self.lock:
            self.under_way[what] -= 1
        self.instruments.waited(what, seconds)

    def stage(self, what: str, about: Sequence[Key], facts: Mapping[str, Any]) -> Span:
        """A stage's span, below the one that its thread is in, its document's, or the run's."""
        found = [self.document(key).span for key in about[:MOST_LINKS]]
        outer = self.stages.spans[-1:] or (found if len(about) == 1 else [self.run])
        links = [Link(span.get_span_context()) for span in found] if len(about) > 1 else []
        name, kind, more = self.described(what, facts)
        attributes = {"ingest.stage": what, "ingest.run": self.about.run, **more}
        return self.tracer.start_span(name, within(outer[0]), kind, attributes, links)

    def described(
        self, what: str, facts: Mapping[str, Any]
    ) -> tuple[str, SpanKind, dict[str, Any]]:
        """The name, the kind and the attributes of a stage, by the semantic conventions."""
        if what == EMBEDDING:
            remote = self.about.provider != "local"
            attributes = self.embeddings(facts) | {
                "gen_ai.usage.input_tokens": facts["tokens"],
                "ingest.chunks": facts["chunks"],
            }
            kind = SpanKind.CLIENT if remote else SpanKind.INTERNAL
            return f"embeddings {facts['model']}", kind, attributes
        if what == SERVICE:
            attributes = {"http.request.method": "POST", "ingest.deployment": facts["deployment"]}
            return "POST", SpanKind.CLIENT, attributes | place(facts["url"])
        return what, SpanKind.INTERNAL, {f"ingest.{name}": value for name, value in facts.items()}

    def embeddings(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """What embedding is called by those who watch models."""
        return {
            "gen_ai.operation.name": "embeddings",
            "gen_ai.provider.name": self.about.provider,
            "gen_ai.request.model": facts["model"],
        }

    def document(self, key: Key) -> Document:
        """The document under way; it is, from the first time that anybody asks."""
        with self.lock:
            if key not in self.documents:
                root, source = key
                attributes = {
                    "ingest.root": root,
                    "ingest.source": source,
                    "ingest.run": self.about.run,
                }
                span = self.tracer.start_span("document", within(self.run), attributes=attributes)
                self.documents[key] = Document(span, time.monotonic())
            return self.documents[key]

    def exchanged(self, exchange: Exchange) -> None:
        """A request was answered, or not."""
        self.instruments.exchanged(exchange)

    def add(self, event: Event) -> None:
        """Something happened."""
        if isinstance(event, Advanced):
            self.instruments.advanced(event)
        elif isinstance(event, Settled):
            self.settled(event)

    def settled(self, event: Settled) -> None:
        """A document is done with. What was not looked into and is unchanged is only counted."""
        key = (event.root, event.source)
        looked_into = key in self.documents
        self.instruments.settled(event)
        if not looked_into and event.outcome is Outcome.UNCHANGED:
            return
        document = self.document(key)
        with self.lock:
            del self.documents[key]
        if looked_into:
            self.instruments.lasted(event, time.monotonic() - document.began)
        document.span.set_attributes(
            {
                "ingest.outcome": event.outcome.value,
                "ingest.pages": event.pages,
                "ingest.chunks": event.chunks,
                "ingest.chunks.embedded": event.embedded,
                "ingest.tokens": event.tokens,
                **({"ingest.code": event.code} if event.code else {}),
            }
        )
        ended(document.span, event.code if event.outcome is Outcome.FAILED else "")

    def over(self, summary: Summary) -> None:
        """The run has come to something."""
        outcomes = {f"ingest.documents.{name}": n for name, n in summary.outcomes.items()}
        self.run.set_attributes(
            {
                "process.exit.code": summary.exit,
                "ingest.pages": summary.pages,
                "ingest.chunks.embedded": summary.chunks_embedded,
                "ingest.chunks.deleted": summary.chunks_deleted,
                "ingest.tokens": summary.tokens_embedded,
                "ingest.bottleneck": summary.bottleneck,
                **outcomes,
            }
        )
        ended(self.run, "" if summary.exit in WELL else f"exit {summary.exit}")

    def close(self) -> None:
        """What is still under way ends unfinished."""
        with self.lock:
            left = [document.span for document in self.documents.values()]
            self.documents.clear()
        for span in left:
            span.set_attribute("ingest.outcome", "unfinished")
            span.end()
        if self.run.is_recording():
            ended(self.run, "unfinished")


def failure(error: BaseException | None) -> str:
    """What kind of error ended a piece of work, in a word; "" for none."""
    if error is None or isinstance(error, StoppedError):
        return ""
    if isinstance(error, DocumentError):
        return str(error.code)
    status = getattr(error, "status_code", None)
    return str(status or type(error).__name__)


def ended(span: Span, error: str) -> None:
    """A span is over; its status says whether well. An error's message stays here."""
    if error:
        span.set_attribute("error.type", error)
        if error.isdecimal():
            span.set_attribute("http.response.status_code", int(error))
        span.set_status(Status(StatusCode.ERROR))
    span.end()
