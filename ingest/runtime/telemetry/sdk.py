"""The SDK of OpenTelemetry, set up for one run and taken down within seconds, whoever listens.

Nothing is made global, so no other library in the process is traced. What the SDK has to say goes
to nobody; that something was lost is said once.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricExporter,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

from ingest.runtime.telemetry import About, Telemetry
from ingest.runtime.telemetry.exporters import AZURE, CONNECTION, CONSOLE, Choice, signs_in
from ingest.runtime.telemetry.spans import Watching

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

log = logging.getLogger(__name__)

AZURE_LOGGER = "azure.monitor"
CLOSING = 5.0  # seconds at the end of a run in which telemetry may still be sent
LOST = 1.0  # the same, where some could not be sent before

# So that nothing goes to anybody but whom it was asked to go to: the exporter reports on itself to
# Microsoft, and asks there for its configuration. (The last would look for what is global.)
ELSEWHERE_OFF = {
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED": "true",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
    "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED": "true",
}


class Losses(logging.Handler):
    """Hears what the SDK and its exporters complain of, so that nobody else must."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        # OTLP's exporter warns of what it tries again; the other one keeps nothing to try again.
        final = record.levelno >= logging.ERROR or record.name.startswith(AZURE_LOGGER)
        if final or "dropping" in str(record.msg):
            self.count += 1


@contextmanager
def started(
    choice: Choice,
    environment: MutableMapping[str, str],
    about: About,
    credential: Callable[[], TokenCredential],
) -> Iterator[Telemetry]:
    """The telemetry of a run; what cannot be set up is said, and the run goes on without it."""
    environment.update(ELSEWHERE_OFF)
    with heard() as losses:
        try:
            signed = credential() if signs_in(environment) else None
            tracing, metering = providers(choice, environment, about, signed)
        except Exception as error:  # noqa: BLE001 - whatever a variable of theirs does to the SDK
            log.warning(
                "telemetry is off, it could not be set up (%s): check %s and those beside it",
                type(error).__name__,
                choice.asked,
            )
            yield Telemetry()
            return
        tracer = tracing.get_tracer("ingest", about.version)
        made = Watching(tracer, metering.get_meter("ingest", about.version), about)
        ended = partial(finish, made, (tracing.shutdown, metering.shutdown), losses, choice.asked)
        try:
            yield Telemetry(made, made.exchanged, made.add, made.over, made.trace)
        except Exception:  # but not a second ^C, which means at once
            ended()
            raise
        ended()


@contextmanager
def heard() -> Iterator[Losses]:
    """What is lost meanwhile."""
    losses = Losses()
    loggers = [logging.getLogger(name) for name in ("opentelemetry", AZURE_LOGGER)]
    for logger in loggers:
        logger.addHandler(losses)
    try:
        yield losses
    finally:
        for logger in loggers:
            logger.removeHandler(losses)


def finish(
    watching: Watching, ends: Sequence[Callable[[], object]], losses: Losses, asked: str
) -> None:
    """Send what there is, as far as that takes seconds, and say if some of it was lost."""
    watching.close()
    closed = sent(ends, LOST if losses.count else CLOSING)
    if losses.count or not closed:
        log.warning("not all telemetry arrived, which changes nothing else: check %s", asked)


def providers(
    choice: Choice,
    environment: MutableMapping[str, str],
    about: About,
    credential: TokenCredential | None,
) -> tuple[TracerProvider, MeterProvider]:
    """What makes spans and what counts, for the exporters of a choice."""
    ours = {
        "service.name": "ingest",
        "service.version": about.version,
        "service.instance.id": about.run,
    }
    # The detector reads OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, which win.
    resource = Resource.create(ours).merge(OTELResourceDetector().detect())
    to_azure = {
        "connection_string": environment.get(CONNECTION),
        "credential": credential,
        "disable_offline_storage": True,
    }
    tracing = TracerProvider(resource=resource, shutdown_on_exit=False)
    for name in choice.traces:
        tracing.add_span_processor(BatchSpanProcessor(span_exporter(name, to_azure)))
    metering = MeterProvider(
        [PeriodicExportingMetricReader(metric_exporter(n, to_azure)) for n in choice.metrics],
        resource,
        shutdown_on_exit=False,
    )
    return tracing, metering


def span_exporter(name: str, to_azure: dict[str, Any]) -> SpanExporter:
    """What sends spans."""
    if name == CONSOLE:
        return ConsoleSpanExporter(
            out=sys.stderr, formatter=lambda span: span.to_json(indent=None) + "\n"
        )
    if name == AZURE:
        from azure.monitor.opentelemetry.exporter import AzureMonitorTraceExporter

        return AzureMonitorTraceExporter(**to_azure)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def metric_exporter(name: str, to_azure: dict[str, Any]) -> MetricExporter:
    """What sends metrics."""
    if name == CONSOLE:
        return ConsoleMetricExporter(
            out=sys.stderr, formatter=lambda data: data.to_json(indent=None) + "\n"
        )
    if name == AZURE:
        from azure.monitor.opentelemetry.exporter import AzureMonitorMetricExporter

        return AzureMonitorMetricExporter(**to_azure)
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    return OTLPMetricExporter()


def sent(calls: Sequence[Callable[[], object]], seconds: float) -> bool:
    """Whether all calls came to an end in so many seconds; those that do not are left behind."""
    ends = time.monotonic() + seconds
    threads = [threading.Thread(target=call, daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)
