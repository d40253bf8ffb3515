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

from ingest.runtime.telemetry import RunInfo, Telemetry
from ingest.runtime.telemetry.exporters import (
    AZURE,
    CONNECTION_STRING_VARIABLE,
    CONSOLE,
    ExporterChoice,
    requires_token,
)
from ingest.runtime.telemetry.spans import TelemetryObserver

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

log = logging.getLogger(__name__)

AZURE_LOGGER = "azure.monitor"
CLOSE_TIMEOUT_SECONDS = 5.0  # seconds at the end of a run in which telemetry may still be sent
CLOSE_TIMEOUT_AFTER_LOSS_SECONDS = 1.0  # the same, where some could not be sent before

# So that nothing goes to anybody but whom it was asked to go to: the exporter reports on itself to
# Microsoft, and asks there for its configuration. (The last would look for what is global.)
EXPORTER_OPT_OUTS = {
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED": "true",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
    "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED": "true",
}


class LossCounter(logging.Handler):
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
def start_sdk(
    choice: ExporterChoice,
    environment: MutableMapping[str, str],
    run_info: RunInfo,
    credential: Callable[[], TokenCredential],
) -> Iterator[Telemetry]:
    """The telemetry of a run; what cannot be set up is said, and the run goes on without it."""
    environment.update(EXPORTER_OPT_OUTS)
    with count_losses() as losses:
        try:
            signed = credential() if requires_token(environment) else None
            tracing, metering = create_providers(choice, environment, run_info, signed)
        except Exception as error:  # noqa: BLE001 - whatever a variable of theirs does to the SDK
            log.warning(
                "telemetry is off, it could not be set up (%s): check %s and those beside it",
                type(error).__name__,
                choice.requested_by,
            )
            yield Telemetry()
            return
        tracer = tracing.get_tracer("ingest", run_info.version)
        made = TelemetryObserver(tracer, metering.get_meter("ingest", run_info.version), run_info)
        ended = partial(
            finish_telemetry,
            made,
            (tracing.shutdown, metering.shutdown),
            losses,
            choice.requested_by,
        )
        try:
            yield Telemetry(made, made.on_response, made.on_event, made.on_summary, made.trace_id)
        except Exception:  # but not a second ^C, which means at once
            ended()
            raise
        ended()


@contextmanager
def count_losses() -> Iterator[LossCounter]:
    """What is lost meanwhile."""
    losses = LossCounter()
    loggers = [logging.getLogger(name) for name in ("opentelemetry", AZURE_LOGGER)]
    for logger in loggers:
        logger.addHandler(losses)
    try:
        yield losses
    finally:
        for logger in loggers:
            logger.removeHandler(losses)


def finish_telemetry(
    observer: TelemetryObserver,
    ends: Sequence[Callable[[], object]],
    losses: LossCounter,
    requested_by: str,
) -> None:
    """Send what there is, as far as that takes seconds, and say if some of it was lost."""
    observer.close()
    closed = run_within(
        ends, CLOSE_TIMEOUT_AFTER_LOSS_SECONDS if losses.count else CLOSE_TIMEOUT_SECONDS
    )
    if losses.count or not closed:
        log.warning("not all telemetry arrived, which changes nothing else: check %s", requested_by)


def create_providers(
    choice: ExporterChoice,
    environment: MutableMapping[str, str],
    run_info: RunInfo,
    credential: TokenCredential | None,
) -> tuple[TracerProvider, MeterProvider]:
    """What makes spans and what counts, for the exporters of a choice."""
    ours = {
        "service.name": "ingest",
        "service.version": run_info.version,
        "service.instance.id": run_info.run,
    }
    # The detector reads OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, which win.
    resource = Resource.create(ours).merge(OTELResourceDetector().detect())
    to_azure = {
        "connection_string": environment.get(CONNECTION_STRING_VARIABLE),
        "credential": credential,
        "disable_offline_storage": True,
    }
    tracing = TracerProvider(resource=resource, shutdown_on_exit=False)
    for name in choice.traces:
        tracing.add_span_processor(BatchSpanProcessor(create_span_exporter(name, to_azure)))
    metering = MeterProvider(
        [
            PeriodicExportingMetricReader(create_metric_exporter(n, to_azure))
            for n in choice.metrics
        ],
        resource,
        shutdown_on_exit=False,
    )
    return tracing, metering


def create_span_exporter(name: str, to_azure: dict[str, Any]) -> SpanExporter:
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


def create_metric_exporter(name: str, to_azure: dict[str, Any]) -> MetricExporter:
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


def run_within(calls: Sequence[Callable[[], object]], seconds: float) -> bool:
    """Whether all calls came to an end in so many seconds; those that do not are left behind."""
    ends = time.monotonic() + seconds
    threads = [threading.Thread(target=call, daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)
