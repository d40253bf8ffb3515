"""How the services that a process speaks to are reached."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from ingest.auth.credential import Login, credential
from ingest.retry import Patience
from ingest.settings import Settings
from ingest.stop import Stop


@dataclass(frozen=True, slots=True)
class Connections:
    """How services are reached: one login for all of them, and one patience."""

    login: Login
    patience: Patience


def connections(settings: Settings, stop: Stop | None = None, **time: Any) -> Connections:
    """The connections of a process; nothing is asked of anybody yet.

    `time` may hold the `sleep` and the `clock` of the patience.
    """
    make = partial(credential, settings.openai_client_id, settings.tenant, hosted=settings.hosted)
    stopped = stop.overdue if stop else lambda: False
    return Connections(
        Login(make), Patience(settings.retry_seconds, settings.wait_for_roles, stopped, **time)
    )
