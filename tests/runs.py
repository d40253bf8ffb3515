"""Clients of the emulator, and whole runs in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ingest.azure.credential import SharedCredential, create_credential
from ingest.azure.token_cache import TokenCache
from ingest.config.connections import create_connections
from ingest.config.factory import open_services
from ingest.config.settings import Settings, build_settings
from ingest.models import RunEvent
from ingest.pipeline.context import Run, Services
from ingest.pipeline.root import ingest_root
from ingest.runtime.cancellation import Cancellation
from ingest.sources.folder import parse_folder_roots
from tests.embed.rate_limit.simulation import Hurried
from tests.emulator.emulator import Azure

SPEED = 20.0  # waits are that much shorter than real ones
# Settings with which a few documents take many requests.
SMALL = {
    "INGEST_CHUNK_TOKENS": "64",
    "INGEST_EMBED_INPUTS": "6",
    "INGEST_EMBED_AT_ONCE": "3",
    "INGEST_WORKERS": "1",  # a reader takes half a second to start
}


def managed_token(scope: str) -> TokenCache:
    """Tokens of the managed identity that the environment names."""
    return TokenCache(SharedCredential(lambda: create_credential("", "", hosted=True)), scope)


def client(azure: Azure, **more: Any) -> Settings:
    """The settings of a client of the emulator, small enough that there is much to fail."""
    return build_settings(azure.environment | SMALL | more, {})


@contextmanager
def open_run(
    chosen: Settings, stop: Cancellation | None = None, *, write: bool = True
) -> Iterator[Services]:
    """Everything that a run needs, where waits are shorter."""
    hurried, stop = Hurried(SPEED), stop or Cancellation()
    to = create_connections(chosen, stop, clock=hurried.clock, sleep=hurried.sleep)
    with open_services(chosen, stop, write=write, connections=to, take_over=True) as all_:
        yield all_


def run(folder: Path, chosen: Settings, stop: Cancellation | None = None) -> list[RunEvent]:
    """One run over a folder, in this process; its events."""
    stop = stop or Cancellation()
    (root,) = parse_folder_roots([str(folder)])
    with open_run(chosen, stop) as all_:
        return list(ingest_root(root, all_, Run("r", max_deletes=99, stop=stop)))
