"""Generations: the indexes behind one name, of which readers see one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from ingest.errors import ConfigError
from ingest.index import Index

TIMESTAMP_FORMAT = "%Y%m%dt%H%M%S"


class NoAliasError(ConfigError):
    """An index is searched by its own name, so that no other can take its place."""


@dataclass(frozen=True, slots=True)
class Successor:
    """An index being filled, and the current one that it will replace."""

    index: Index
    earlier: Index | None  # None: the first one


class Generations(Protocol):
    """The current index, older ones to switch back to, and perhaps a newer one being filled.

    Any method may raise ServiceError or ConfigError. A writer holds the lock of the current index
    and of the one that it writes to.
    """

    # all names, oldest first
    def names(self) -> list[str]: ...

    # the one that readers see; "" before the first
    def current(self) -> str: ...

    # open one for reading; the current one can be held, and then its vectors are readable
    def open(self, name: str) -> Index: ...

    # open one to fill: the unfinished newest one if it suits the settings, else a new one
    def resume_or_create(self) -> tuple[str, Index]: ...

    # switch readers to this one; all of them see it when this returns. `fence` is called right
    # before, and raises BusyError if the lock of the current one is lost
    def switch(self, name: str, fence: Callable[[], None] = lambda: None) -> None: ...

    # delete one that no reader sees; False if a rebuild did not create it
    def drop(self, name: str) -> bool: ...

    # revert temporary changes to the current index
    def close(self) -> None: ...


def older_names(names: Sequence[str], current: str) -> list[str]:
    """List the generations before the current one, oldest first."""
    return list(names[: names.index(current)]) if current in names else []


def newest_unfinished(names: Sequence[str], current: str) -> str:
    """Return the last generation if it is newer than the current one, else ""."""
    return names[-1] if names and names[-1] != current else ""


def new_timestamp(existing: Sequence[str]) -> str:
    """Return the UTC time, or one second after the latest existing timestamp if that is later."""
    now = datetime.now(UTC).strftime(TIMESTAMP_FORMAT)
    last = max(existing, default="")
    if now > last:
        return now
    return (
        datetime.strptime(last, TIMESTAMP_FORMAT).replace(tzinfo=UTC) + timedelta(seconds=1)
    ).strftime(TIMESTAMP_FORMAT)
