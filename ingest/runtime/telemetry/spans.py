"""Spans of a run, of each document that is read, and of each stage.

A stage that covers several documents, such as a batch of embeddings, is a child of the run's span
and linked to the documents' spans.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry.metrics import Meter
from opentelemetry.trace import (
    Link,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    set_span_in_context,
)

from ingest.errors import DocumentError, StoppedError
from ingest.models import Outcome, RunEvent, RunProgress, SourceKey, SourceResult, Summary
from ingest.runtime.request_ids import LoggedRequest
from ingest.runtime.telemetry import RunInfo
from ingest.runtime.telemetry.metrics import Instruments, error_attributes, server_attributes
from ingest.runtime.timing import (
    EMBEDDING_CHUNKS,
    EMBEDDING_SERVICE,
    FIRST_ANSWER,
    OPEN_REQUESTS,
    REQUEST_QUOTA,
    RETRY_PAUSE,
    TOKEN_QUOTA,
    End,
)

# Too short and many for spans.
WAIT_ACTIVITIES = (TOKEN_QUOTA, REQUEST_QUOTA, FIRST_ANSWER, OPEN_REQUESTS, RETRY_PAUSE)
MAX_LINKS = 128  # per span, the SDK's limit
SUCCESS_EXIT_CODES = (0, 3)  # 3: some documents could not be read


@dataclass(slots=True)
class DocumentSpan:
    """Span of a document under way."""

    span: Span
    started: float


class StageStack(threading.local):
    """Spans of the stages that the thread is in, innermost last."""

    def __init__(self) -> None:
        self.spans: list[Span] = []


class TelemetryObserver:
    """Observer that records spans and metrics. Thread-safe."""

    def __init__(self, tracer: Tracer, meter: Meter, run_info: RunInfo) -> None:
        self.tracer = tracer
        self.run_info = run_info
        self.lock = threading.Lock()
        self.documents: dict[SourceKey, DocumentSpan] = {}
        self.under_way: Counter[str] = Counter()
        self.stages = StageStack()
        self.instruments = Instruments(meter, self.count_under_way)
        self.run = tracer.start_span("ingest run", attributes={"ingest.run": run_info.run})
        self.trace_id = f"{self.run.get_span_context().trace_id:032x}"

    def count_under_way(self) -> dict[str, int]:
        """Return the number of documents and stages under way, by activity."""
        with self.lock:
            return {"document": len(self.documents), **self.under_way}

    def begin(
        self, activity: str, sources: Sequence[SourceKey], facts: Mapping[str, Any], *, inner: bool
    ) -> End:
        """Start the span of a piece of work; a wait has no span and is only counted."""
        started = time.monotonic()
        with self.lock:
            self.under_way[activity] += 1
        if activity in WAIT_ACTIVITIES:
            return lambda _: self.end_wait(activity, time.monotonic() - started)
        span = self.start_stage(activity, sources, facts)
        if inner:
            self.stages.spans.append(span)

        def end(error: BaseException | None) -> None:
            if inner:
                self.stages.spans.remove(span)
            with self.lock:
                self.under_way[activity] -= 1
            seconds = time.monotonic() - started
            kind = error_type(error)
            self.instruments.stages.record(
                seconds, {"ingest.stage": activity, **error_attributes(kind)}
            )
            if activity == EMBEDDING_CHUNKS:
                self.instruments.record_embedding(
                    self.embedding_attributes(facts), facts["tokens"], seconds, kind
                )
            end_span(span, kind)

        return end

    def end_wait(self, activity: str, seconds: float) -> None:
        """Record a finished wait."""
        with self.lock:
            self.under_way[activity] -= 1
        self.instruments.waits.add(seconds, {"ingest.wait": activity})

    def start_stage(
        self, activity: str, sources: Sequence[SourceKey], facts: Mapping[str, Any]
    ) -> Span:
        """Start a span of a stage, below its thread's current stage, its document or the run."""
        documents = [self.document_span(key).span for key in sources[:MAX_LINKS]]
        parents = self.stages.spans[-1:] or (documents if len(sources) == 1 else [self.run])
        links = [Link(span.get_span_context()) for span in documents] if len(sources) > 1 else []
        name, kind, more = self.describe_stage(activity, facts)
        attributes = {"ingest.stage": activity, "ingest.run": self.run_info.run, **more}
        context = set_span_in_context(parents[0])
        return self.tracer.start_span(name, context, kind, attributes, links)

    def describe_stage(
        self, activity: str, facts: Mapping[str, Any]
    ) -> tuple[str, SpanKind, dict[str, Any]]:
        """Return the name, kind and attributes of a stage, by the semantic conventions."""
        if activity == EMBEDDING_CHUNKS:
            remote = self.run_info.provider != "local"
            attributes = self.embedding_attributes(facts) | {
                "gen_ai.usage.input_tokens": facts["tokens"],
                "ingest.chunks": facts["chunks"],
            }
            kind = SpanKind.CLIENT if remote else SpanKind.INTERNAL
            return f"embeddings {facts['model']}", kind, attributes
        if activity == EMBEDDING_SERVICE:
            attributes = {"http.request.method": "POST", "ingest.deployment": facts["deployment"]}
            return "POST", SpanKind.CLIENT, attributes | server_attributes(facts["url"])
        return (
            activity,
            SpanKind.INTERNAL,
            {f"ingest.{name}": value for name, value in facts.items()},
        )

    def embedding_attributes(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Return the attributes of embedding, by the conventions for generative AI."""
        return {
            "gen_ai.operation.name": "embeddings",
            "gen_ai.provider.name": self.run_info.provider,
            "gen_ai.request.model": facts["model"],
        }

    def document_span(self, key: SourceKey) -> DocumentSpan:
        """Return a document's span; the first call for a document starts it."""
        with self.lock:
            if key not in self.documents:
                root, source = key
                attributes = {
                    "ingest.root": root,
                    "ingest.source": source,
                    "ingest.run": self.run_info.run,
                }
                context = set_span_in_context(self.run)
                span = self.tracer.start_span("document", context, attributes=attributes)
                self.documents[key] = DocumentSpan(span, time.monotonic())
            return self.documents[key]

    def on_response(self, request: LoggedRequest) -> None:
        """Record a request."""
        self.instruments.record_request(request)

    def on_event(self, event: RunEvent) -> None:
        """Record an event of the run."""
        if isinstance(event, RunProgress):
            if event.pages:
                self.instruments.pages.add(event.pages)
        elif isinstance(event, SourceResult):
            self.end_document(event)

    def end_document(self, event: SourceResult) -> None:
        """End a document's span. An unchanged document that was not read is only counted."""
        key = (event.root, event.source)
        has_span = key in self.documents
        self.instruments.record_document(event)
        if not has_span and event.outcome is Outcome.UNCHANGED:
            return
        document = self.document_span(key)
        with self.lock:
            del self.documents[key]
        if has_span:
            self.instruments.document_duration.record(
                time.monotonic() - document.started, {"ingest.outcome": event.outcome.value}
            )
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
        end_span(document.span, event.code if event.outcome is Outcome.FAILED else "")

    def on_summary(self, summary: Summary) -> None:
        """End the run's span with its totals."""
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
        end_span(self.run, "" if summary.exit in SUCCESS_EXIT_CODES else f"exit {summary.exit}")

    def close(self) -> None:
        """End the spans that are still open as unfinished."""
        with self.lock:
            unfinished = [document.span for document in self.documents.values()]
            self.documents.clear()
        for span in unfinished:
            span.set_attribute("ingest.outcome", "unfinished")
            span.end()
        if self.run.is_recording():
            end_span(self.run, "unfinished")


def error_type(error: BaseException | None) -> str:
    """Return an error's code, HTTP status or class name; "" for none, or for a cancelled run."""
    if error is None or isinstance(error, StoppedError):
        return ""
    if isinstance(error, DocumentError):
        return str(error.code)
    status = getattr(error, "status_code", None)
    return str(status or type(error).__name__)


def end_span(span: Span, error: str) -> None:
    """End a span and set its status. Error messages are not exported."""
    if error:
        span.set_attribute("error.type", error)
        if error.isdecimal():
            span.set_attribute("http.response.status_code", int(error))
        span.set_status(Status(StatusCode.ERROR))
    span.end()
