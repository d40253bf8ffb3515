"""How the services that a process speaks to are reached."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ingest.azure.credential import Login, credential
from ingest.config.settings import Settings
from ingest.runtime.cancellation import Stop
from ingest.runtime.request_ids import Exchanges, Told, names
from ingest.runtime.retry import Patience
from ingest.runtime.timing import Watch


@dataclass(frozen=True, slots=True)
class Connections:
    """How services are reached: one login for all of them, and one patience; and who watches."""

    login: Login
    patience: Patience
    watch: Watch | None = None


def connections(settings: Settings, stop: Stop | None = None, **time: Any) -> Connections:
    """The connections of a process; nothing is asked of anybody yet.

    `time` may hold the `sleep` and the `clock` of the patience.
    """
    make = partial(credential, settings.openai_client_id, settings.tenant, hosted=settings.hosted)
    stopped = stop.overdue if stop else lambda: False
    return Connections(
        Login(make), Patience(settings.retry_seconds, settings.wait_for_roles, stopped, **time)
    )


def watched(
    to: Connections, run: str, watch: Watch | None, told: Told, start: int = 1
) -> Connections:
    """The connections of a run: its requests have its name, and somebody looks on.

    They are counted from `start`: no two processes may give one name.
    """
    exchanges = Exchanges(names(run, start), told)
    return replace(to, patience=replace(to.patience, exchanges=exchanges), watch=watch)
