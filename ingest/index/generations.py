"""The indexes that stand behind one name, of which readers see one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from ingest.index import Index

TIMESTAMP_FORMAT = "%Y%m%dt%H%M%S"


@dataclass(frozen=True, slots=True)
class Successor:
    """An index being filled, and the one in use that it is to replace."""

    index: Index
    earlier: Index | None  # None: there was none


class Generations(Protocol):
    """An index in use, older ones kept for going back, and perhaps a newer one being filled.

    Any method may raise ServiceError or ConfigError. Whoever writes holds the lock of the index in
    use, and of what else it writes to.
    """

    # the names of all, oldest first
    def names(self) -> list[str]: ...

    # the name of the one that readers see; "" before there is one
    def current(self) -> str: ...

    # one of them, to look into; the one in use can be held, with its vectors to be had
    def open(self, name: str) -> Index: ...

    # one to fill, and its name: a newer one that was begun, if it is still wanted, else a new one
    def resume_or_create(self) -> tuple[str, Index]: ...

    # show readers this one from now on; they all see it when this returns
    def switch(self, name: str) -> None: ...

    # remove one that no reader sees; False if it is not ours to remove
    def drop(self, name: str) -> bool: ...

    # leave everything as it was found, but for what was switched and dropped
    def close(self) -> None: ...


def older_names(names: Sequence[str], current: str) -> list[str]:
    """Those before the one in use, oldest first."""
    return list(names[: names.index(current)]) if current in names else []


def newest_unfinished(names: Sequence[str], current: str) -> str:
    """The last one, if it is newer than the one in use; else ""."""
    return names[-1] if names and names[-1] != current else ""


def new_timestamp(existing: Sequence[str]) -> str:
    """What tells a new generation from all others, and sorts behind them: the time, in UTC."""
    now = datetime.now(UTC).strftime(TIMESTAMP_FORMAT)
    last = max(existing, default="")
    if now > last:
        return now
    return (
        datetime.strptime(last, TIMESTAMP_FORMAT).replace(tzinfo=UTC) + timedelta(seconds=1)
    ).strftime(TIMESTAMP_FORMAT)
