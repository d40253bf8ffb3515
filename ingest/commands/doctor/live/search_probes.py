"""Probes of a search service, in a throw-away index that is always deleted at the end."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from ingest.commands.doctor.live.exchange import Json, Service
from ingest.commands.doctor.live.visibility import batch
from ingest.config.index import index_definition
from ingest.config.settings import Settings
from ingest.errors import IngestError, ServiceError
from ingest.index.azure.connection import SEARCH_API_VERSION

VERSION = f"api-version={SEARCH_API_VERSION}"
NAME_PREFIX = "ingest-live-"
NAME = re.compile(rf"{NAME_PREFIX}(\d{{8}}t\d{{6}})-[0-9a-f]{{6}}")
TIME_FORMAT = "%Y%m%dt%H%M%S"
LEFT_BEHIND = timedelta(hours=1)  # after which an index of a killed process is deleted
CREATION = "create index"  # name of that request among the refusals
WRONG_KEY = {"api-key": "0" * 32}
BAD_TOKEN = {"Authorization": "Bearer not.a.token"}
# One more than documented, and than has been observed to be accepted.
BATCH_SIZES = (1001, 32_001)


class LeftoverIndexError(ServiceError):
    """A throw-away index could not be deleted."""


def new_index_name(now: datetime) -> str:
    """Return the name of a new throw-away index, which contains the time of its creation."""
    return f"{NAME_PREFIX}{now.strftime(TIME_FORMAT)}-{secrets.token_hex(3)}"


def is_left_behind(name: str, now: datetime) -> bool:
    """Return whether an index is a throw-away one that is too old to be in use."""
    match = NAME.fullmatch(name)
    if not match:
        return False
    created = datetime.strptime(match[1], TIME_FORMAT).replace(tzinfo=UTC)
    return now - created > LEFT_BEHIND


@contextmanager
def throwaway_index(
    service: Service, settings: Settings, dimensions: int, name: str
) -> Iterator[None]:
    """Create an index with the definition of a run, and delete it at the end of the block.

    The caller makes sure that the block is left by an exception, also on a signal.
    """
    definition = index_definition(replace(settings, search_index=name), dimensions)
    try:
        path = f"/indexes('{name}')?{VERSION}"
        service.require(CREATION, "PUT", path, definition.as_dict())
        yield
    finally:
        delete_index(service, name)


def delete_index(service: Service, name: str) -> None:
    """Delete an index, unless it does not exist. Raises LeftoverIndexError if it may stay."""
    path = f"/indexes('{name}')?{VERSION}"
    if CREATION in service.refusals:
        return
    try:
        if service.call("GET", path).status != HTTPStatus.NOT_FOUND:
            service.require("delete index", "DELETE", path)
    except IngestError as error:
        raise LeftoverIndexError(
            f"the index {name} on {service.url} may still exist ({error}): delete it in the portal"
        ) from error


def delete_left_behind(service: Service, now: datetime) -> list[str]:
    """Delete the throw-away indexes of processes that were killed; return their names."""
    listed = service.require("list indexes", "GET", f"/indexes?{VERSION}&$select=name")
    names = [str(index["name"]) for index in listed.json().get("value", [])]
    left = [name for name in names if is_left_behind(name, now)]
    for name in left:
        delete_index(service, name)
    return left


def record_refusals(service: Service) -> None:
    """Record the refusals of bad credentials and of a missing index."""
    listing = f"/indexes?{VERSION}&$select=name"
    service.record_refusal("no credentials", "GET", listing, credentials={})
    service.record_refusal("bad token", "GET", listing, credentials=BAD_TOKEN)
    service.record_refusal("wrong key", "GET", listing, credentials=WRONG_KEY)
    nowhere = f"/indexes('{new_index_name(datetime.now(UTC))}')/docs"
    service.record_refusal("missing index", "GET", f"{nowhere}('none')?{VERSION}")
    service.record_refusal(
        "write to missing index",
        "POST",
        f"{nowhere}/search.index?{VERSION}",
        {"value": [{"@search.action": "delete", "id": "none"}]},
    )


def measure_limits(service: Service, index: str) -> Json:
    """Read the quotas of the service, and find out whether large batches are accepted."""
    statistics = service.require("service statistics", "GET", f"/servicestats?{VERSION}").json()
    kept: Json = {name: statistics[name] for name in ("counters", "limits") if name in statistics}
    path = f"/indexes('{index}')/docs/search.index?{VERSION}"
    batches = {}
    for size in BATCH_SIZES:
        reply = service.send("POST", path, batch("delete", [f"none-{n}" for n in range(size)]))
        batches[str(size)] = service.keep(reply)
    return {**kept, "batches": batches}
