"""Settings of the emulator from a recording that `ingest doctor --live` made of the real services.

    scripts/azure-emulator --live live.json
    EMULATOR_LIVE=live.json scripts/test

Lags, the number of replicas, the rate limit headers, the size of batches and the bodies of refusals
are then those of the recording. What it does not have stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from tests.emulator.server import Json, Response

if TYPE_CHECKING:
    from tests.emulator.emulator import Azure

RECORDING_VARIABLE = "EMULATOR_LIVE"
FORMAT = 1
NEVER_SEEN = 60.0  # seconds, of a write that no read showed while it was watched
REFUSED = HTTPStatus.BAD_REQUEST
DENIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)

# Refusals of requests that were made with the identity's own roles.
DEFINITIONS = ("create index", "list indexes", "service statistics", "delete index")
DOCUMENTS = ("write", "search", "write to missing index", "missing index")
EMBEDDINGS = ("embeddings", "action without role")


def read_recording(path: Path) -> Json:
    """Read a recording. Raises ValueError for a format that is not known."""
    recording: Json = json.loads(path.read_text(encoding="utf-8"))
    if recording.get("format") != FORMAT:
        raise ValueError(f"{path}: format {recording.get('format')}, not {FORMAT}")
    return recording


def apply_recording(azure: Azure, recording: Json, speed: float = 1.0) -> None:
    """Set what a recording tells; lags are divided by `speed`."""
    search, embeddings = recording.get("search", {}), recording.get("embeddings", {})
    set_delays(azure, search.get("visibility", {}), speed)
    batches = search.get("limits", {}).get("batches", {})
    accepted = [int(size) for size, reply in batches.items() if reply["status"] < REFUSED]
    azure.search.actions = max(accepted, default=azure.search.actions)
    headers = embeddings.get("usage", {}).get("headers", [])
    if headers:
        azure.openai.rate_headers = rate_headers(headers[-1])
    refusals = embeddings.get("refusals", {})
    if throttled := refusals.get("transient 429"):
        azure.openai.retry_headers = retry_headers(throttled["headers"])
    azure.search.recorded = dict(search_refusals(search.get("refusals", {})))
    azure.openai.recorded = dict(embedding_refusals(refusals))


def set_delays(azure: Azure, visibility: Json, speed: float) -> None:
    """Set the lags of the slower replica; a read that never went back tells of one replica only."""
    lags: dict[str, list[Json]] = {}
    for reads in visibility.values():
        for read, measured in reads.items():
            lags.setdefault(read, []).extend(measured)
    delays = azure.search.delays
    if found := lags.get("search"):
        delays.search = longest(found) / speed
    if found := lags.get("look-up"):
        delays.lookup = longest(found) / speed
        azure.search.replicas = 2 if any(lag["back"] for lag in found) else 1
    if found := lags.get("count of the index"):
        delays.count = longest(found) / speed


def longest(lags: list[Json]) -> float:
    """Seconds until every read showed the write that took longest."""
    return max(NEVER_SEEN if lag["settled"] is None else float(lag["settled"]) for lag in lags)


def rate_headers(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Quota headers of a successful response, as the emulator is set."""
    limits = {
        name.split("-")[2]: n for name, n in headers.items() if name.startswith("x-ratelimit-")
    }
    if limits and set(limits.values()) == {"-1"}:
        return ("-1",)
    return tuple(sorted(set(limits) & {"limit", "remaining"}))


def retry_headers(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Retry headers of a 429, as the emulator is set."""
    names = ("retry-after", "retry-after-ms", "x-ratelimit-reset")
    found = {name.removesuffix("-tokens").removesuffix("-requests") for name in headers}
    return tuple(name for name in names if name in found)


def search_refusals(kept: Mapping[str, Json]) -> Iterator[tuple[str, Response]]:
    """Refusals of a search service, by their kinds in the emulator."""
    stranger = kept.get("no credentials", {})
    if stranger.get("status") == HTTPStatus.FORBIDDEN:  # it asks for nobody's name
        yield "firewall", response(stranger)
        return
    for name in ("no credentials", "bad token", "wrong key", "missing index"):
        if kept.get(name, {}).get("status", 0) >= REFUSED:
            yield name, response(kept[name])
    for kind, names in {
        "missing role": DEFINITIONS,
        "missing role for documents": DOCUMENTS,
    }.items():
        denied = [kept[name] for name in names if kept.get(name, {}).get("status") in DENIED]
        if denied:
            yield kind, response(denied[0])


def embedding_refusals(kept: Mapping[str, Json]) -> Iterator[tuple[str, Response]]:
    """Refusals of an embedding service, by their kinds in the emulator."""
    stranger = kept.get("no credentials", {})
    if stranger.get("status") == HTTPStatus.FORBIDDEN:
        yield "firewall", response(stranger)
        return
    same = ("bad token", "wrong key", "missing deployment", "input too long", "too many inputs")
    for name in ("no credentials", *same):
        if kept.get(name, {}).get("status", 0) >= REFUSED:
            yield name, response(kept[name])
    denied = [kept[name] for name in EMBEDDINGS if kept.get(name, {}).get("status") in DENIED]
    if denied:
        yield "missing role", response(denied[0])


def response(kept: Json) -> Response:
    """A response as it was recorded."""
    return Response(kept["status"], kept["body"].encode(), kept["headers"])
