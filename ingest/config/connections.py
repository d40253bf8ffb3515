"""How the services that a process speaks to are reached."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ingest.azure.credential import SharedCredential, create_credential
from ingest.config.settings import Settings
from ingest.runtime.cancellation import Cancellation
from ingest.runtime.request_ids import OnResponse, RequestLog, request_ids
from ingest.runtime.retry import RetryPolicy
from ingest.runtime.timing import Observer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Connections:
    """How services are reached: one login for all of them, and one patience; and who watches."""

    credential: SharedCredential
    retry_policy: RetryPolicy
    observer: Observer | None = None


def create_connections(
    settings: Settings, stop: Cancellation | None = None, **time: Any
) -> Connections:
    """The connections of a process; nothing is asked of anybody yet.

    `time` may hold the `sleep` and the `clock` of the patience.
    """
    make = partial(
        create_credential, settings.openai_client_id, settings.tenant, hosted=settings.hosted
    )
    stopped = stop.is_overdue if stop else lambda: False
    return Connections(
        SharedCredential(make),
        RetryPolicy(settings.retry_seconds, settings.wait_for_roles, stopped, **time),
    )


def connections_of_run(
    connections: Connections,
    run: str,
    observer: Observer | None,
    on_response: OnResponse,
    start: int = 1,
) -> Connections:
    """The connections of a run: its requests have its name, and somebody looks on.

    They are counted from `start`: no two processes may give one name.
    """
    exchanges = RequestLog(request_ids(run, start), on_response)
    return replace(
        connections,
        retry_policy=replace(connections.retry_policy, request_log=exchanges),
        observer=observer,
    )


def warn_about_key(variable: str) -> None:
    """Log a warning that a service is called with an API key."""
    log.warning(
        "%s is set, so its API key is used; a leaked key works until it is rotated: unset it to "
        "sign in with Microsoft Entra ID",
        variable,
    )
