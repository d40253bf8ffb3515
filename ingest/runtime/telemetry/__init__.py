"""Traces and metrics of a run, for whoever asked for them by OpenTelemetry's own variables.

What must not be broken: telemetry never fails a run, nor slows one down for more than a few seconds
at its end; and where nobody asked for it, nothing of it is imported. No text of a document, no
secret and no error's message is in it.
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
    """Who is told of what in a run; by default nobody."""

    observer: Observer | None = None
    on_response: OnResponse = lambda _: None
    on_event: Callable[[RunEvent], None] = lambda _: None
    on_summary: Callable[[Summary], None] = lambda _: None
    trace_id: str = ""  # the id of the run's trace, as backends show it


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What is the same in a whole run."""

    run: str
    version: str
    provider: str  # of the model, by the semantic conventions for generative AI


@contextmanager
def start_telemetry(
    environment: MutableMapping[str, str],
    run_info: RunInfo,
    credential: Callable[[], TokenCredential],
) -> Iterator[Telemetry]:
    """The telemetry that the environment asks for, sent by the end of the context.

    `credential` signs in where Application Insights is to take no key.
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
            "%s is set, but what sends telemetry is not installed: pip install 'ingest[telemetry]'",
            choice.requested_by,
        )
        yield Telemetry()
        return
    with start_sdk(choice, environment, run_info, credential) as made:
        yield made
