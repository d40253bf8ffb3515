"""Receivers of telemetry: an OTLP collector, and the ingestion endpoint of Application Insights."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.emulator.server import Request, Response, answer, serve


@dataclass(frozen=True)
class Span:
    """A span as it arrived."""

    name: str
    id: str
    parent: str  # "" for the root
    trace: str
    attributes: dict[str, Any]
    links: list[str]
    kind: int
    failed: bool


@dataclass
class Collector:
    """Takes OTLP over HTTP, in protobuf."""

    spans: list[Span] = field(default_factory=list)
    points: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    resource: dict[str, Any] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)

    def serve(self, request: Request) -> Response:
        """One batch."""
        self.paths.append(request.path)
        self.headers.append(request.headers)
        if request.path.endswith("/v1/traces"):
            self.traced(ExportTraceServiceRequest.FromString(request.body))
        else:
            self.measured(ExportMetricsServiceRequest.FromString(request.body))
        return Response(200, b"", {"Content-Type": "application/x-protobuf"})

    def traced(self, batch: ExportTraceServiceRequest) -> None:
        for resource in batch.resource_spans:
            self.resource = values(resource.resource.attributes)
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                self.spans.append(
                    Span(
                        span.name,
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        span.trace_id.hex(),
                        values(span.attributes),
                        [link.span_id.hex() for link in span.links],
                        span.kind,
                        span.status.code == 2,
                    )
                )

    def measured(self, batch: ExportMetricsServiceRequest) -> None:
        """The newest of each metric: they count from the start."""
        for scope in (s for resource in batch.resource_metrics for s in resource.scope_metrics):
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                assert kind
                self.points[metric.name] = list(getattr(metric, kind).data_points)

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def total(self, metric: str, **wanted: Any) -> float:
        """The sum of a counter, or of a histogram, over the points with these attributes."""
        return sum(number(point) for point in self.matching(metric, wanted))

    def count(self, metric: str, **wanted: Any) -> int:
        """Number of values of a histogram with these attributes."""
        return sum(point.count for point in self.matching(metric, wanted))

    def matching(self, metric: str, wanted: dict[str, Any]) -> list[Any]:
        named = {name.replace("__", "."): value for name, value in wanted.items()}
        return [
            point
            for point in self.points[metric]
            if named.items() <= values(point.attributes).items()
        ]


def number(point: Any) -> float:
    """The value of a counter's point, or the sum of a histogram's."""
    if hasattr(point, "sum"):
        return float(point.sum)
    return float(getattr(point, point.WhichOneof("value")))


def values(attributes: Any) -> dict[str, Any]:
    """Attributes as they were set."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@contextmanager
def collector() -> Iterator[tuple[Collector, dict[str, str]]]:
    """A collector, and what its clients must set."""
    made = Collector()
    with serve(made.serve, None) as server:
        yield made, {"OTEL_EXPORTER_OTLP_ENDPOINT": server.address}


@dataclass
class Insights:
    """The ingestion of Application Insights."""

    items: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    def serve(self, request: Request) -> Response:
        """One batch: an object a line or an array, perhaps compressed."""
        self.asked.append(f"{request.method} {request.path}")
        self.tokens.add(request.headers.get("authorization", ""))
        body = request.body
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        batch = json.loads(body)
        self.items += batch
        count = len(batch)
        return answer(200, {"itemsReceived": count, "itemsAccepted": count, "errors": []})
