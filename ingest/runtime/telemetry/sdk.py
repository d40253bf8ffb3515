"""OpenTelemetry SDK, set up for one run and shut down within seconds.

No global provider is set, so no other library in the process is traced. The SDK's own log messages
are not shown; instead, lost telemetry is reported once, at the end.
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

from ingest.errors import ConfigError
from ingest.runtime.telemetry import RunInfo, Telemetry
from ingest.runtime.telemetry.exporters import (
    AZURE,
    CONNECTION_STRING_VARIABLE,
    CONSOLE,
    ExporterChoice,
    monitor_endpoint,
    requires_token,
)
from ingest.runtime.telemetry.spans import TelemetryObserver

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

log = logging.getLogger(__name__)

AZURE_LOGGER = "azure.monitor"
CLOSE_TIMEOUT_SECONDS = 5.0  # to send the rest at the end of a run
CLOSE_TIMEOUT_AFTER_LOSS_SECONDS = 1.0  # the same, if some telemetry was lost before

# Azure's exporter would report its own statistics to Microsoft and fetch its configuration from
# there. (The last variable keeps it from reading global providers.)
EXPORTER_OPT_OUTS = {
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED": "true",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
    "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED": "true",
}


class LossCounter(logging.Handler):
    """Log handler that counts the SDK's and its exporters' reports of lost telemetry."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        # The OTLP exporter warns before it retries; Azure's, without storage, does not retry.
        final = record.levelno >= logging.ERROR or record.name.startswith(AZURE_LOGGER)
        if final or "dropping" in str(record.msg):
            self.count += 1


@contextmanager
def start_sdk(
    choice: ExporterChoice,
    environment: MutableMapping[str, str],
    run_info: RunInfo,
    credential: Callable[[str], TokenCredential],
) -> Iterator[Telemetry]:
    """Start the SDK. If that fails, a warning is logged and the run continues without telemetry."""
    environment.update(EXPORTER_OPT_OUTS)
    with count_losses() as losses:
        try:
            endpoint = monitor_endpoint(environment)
            signed = credential(endpoint) if requires_token(environment) else None
            tracing, metering = create_providers(choice, environment, run_info, signed)
        except ConfigError as error:
            log.warning("telemetry is off: %s", error)
            yield Telemetry()
            return
        except Exception as error:  # noqa: BLE001 - the SDK raises anything for a bad variable
            log.warning(
                "telemetry is off, it could not be set up (%s): check %s and related variables",
                type(error).__name__,
                choice.requested_by,
            )
            yield Telemetry()
            return
        tracer = tracing.get_tracer("ingest", run_info.version)
        meter = metering.get_meter("ingest", run_info.version)
        observer = TelemetryObserver(tracer, meter, run_info)
        finish = partial(
            finish_telemetry,
            observer,
            (tracing.shutdown, metering.shutdown),
            losses,
            choice.requested_by,
        )
        try:
            yield Telemetry(
                observer,
                observer.on_response,
                observer.on_event,
                observer.on_summary,
                observer.trace_id,
            )
        except Exception:  # not KeyboardInterrupt: a second ^C means at once
            finish()
            raise
        finish()


@contextmanager
def count_losses() -> Iterator[LossCounter]:
    """Count the losses that are logged during the context."""
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
    """Send the remaining telemetry within a timeout, and warn if some was lost."""
    observer.close()
    closed = run_within(
        ends, CLOSE_TIMEOUT_AFTER_LOSS_SECONDS if losses.count else CLOSE_TIMEOUT_SECONDS
    )
    if losses.count or not closed:
        log.warning("not all telemetry arrived; the run is not affected: check %s", requested_by)


def create_providers(
    choice: ExporterChoice,
    environment: MutableMapping[str, str],
    run_info: RunInfo,
    credential: TokenCredential | None,
) -> tuple[TracerProvider, MeterProvider]:
    """Create the providers of traces and metrics for the chosen exporters."""
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
    """Create an exporter of spans."""
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
    """Create an exporter of metrics."""
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
    """Make calls in parallel; return whether all ended within a timeout. Others are abandoned."""
    ends = time.monotonic() + seconds
    threads = [threading.Thread(target=call, daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)
