"""OpenTelemetry traces and metrics of a run, switched on by OpenTelemetry's own variables.

Telemetry never fails a run, and delays its end by a few seconds at most. Unless it is switched on,
nothing of it is imported. It never contains document text, secrets or error messages.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingest.models import RunEvent, Summary
from ingest.runtime.request_ids import OnResponse
from ingest.runtime.telemetry.exporters import choose_exporters
from ingest.runtime.timing import Observer

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Telemetry hooks of a run; no-ops by default."""

    observer: Observer | None = None
    on_response: OnResponse = lambda _: None
    on_event: Callable[[RunEvent], None] = lambda _: None
    on_summary: Callable[[Summary], None] = lambda _: None
    trace_id: str = ""  # the id of the run's trace, as backends show it


@dataclass(frozen=True, slots=True)
class RunInfo:
    """Attributes of a run that do not change."""

    run: str
    version: str
    provider: str  # gen_ai.provider.name, by the semantic conventions for generative AI


@contextmanager
def start_telemetry(
    environment: MutableMapping[str, str],
    run_info: RunInfo,
    credential: Callable[[str], TokenCredential],
) -> Iterator[Telemetry]:
    """Start the telemetry that the environment configures; it is sent by the end of the context.

    `credential` is called with the URL of Application Insights if that requires Microsoft Entra ID.
    """
    choice = choose_exporters(environment)
    for trouble in choice.problems:
        log.warning("%s", trouble)
    if not choice.requested_by:
        yield Telemetry()
        return
    try:
        from ingest.runtime.telemetry.sdk import start_sdk
    except ImportError:
        log.warning(
            "%s is set, but OpenTelemetry is not installed: pip install '.[telemetry]'",
            choice.requested_by,
        )
        yield Telemetry()
        return
    with start_sdk(choice, environment, run_info, credential) as made:
        yield made
