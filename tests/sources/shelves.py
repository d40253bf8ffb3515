"""Places with PDFs in them, of every kind that can be a root, behind the same three verbs."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path
from typing import Protocol

from azure.storage.blob import ContainerClient

from ingest.azure.token_hosts import STORAGE_SCOPE
from ingest.runtime.retry import RetryPolicy
from ingest.sources import Root
from ingest.sources.azure_blob.client import StorageClient
from ingest.sources.azure_blob.container import Container
from ingest.sources.azure_blob.location import parse_container_url
from ingest.sources.folder import Folder
from tests.emulator.emulator import Azure
from tests.runs import managed_token

NUMBERS = itertools.count(1)


class Shelf(Protocol):
    """A place where a person puts PDFs, and a run reads them."""

    # the root as a run sees it
    root: Root

    # write, over what has the name
    def put(self, name: str, data: bytes) -> None: ...

    # take away
    def remove(self, name: str) -> None: ...


class OnDisk:
    """A folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root: Root = Folder(folder)

    def put(self, name: str, data: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        then = time.time() - 1000 + next(NUMBERS)  # no two writes in one tick
        os.utime(path, (then, then))

    def remove(self, name: str) -> None:
        (self.folder / name).unlink()


class Emulated:
    """A container of the emulator of Azure."""

    def __init__(self, azure: Azure, url: str, storage: StorageClient) -> None:
        self.azure = azure
        self.container = url.rpartition("/")[2]
        self.azure.blob.containers[self.container] = {}
        self.root: Root = container(url, storage)

    def put(self, name: str, data: bytes) -> None:
        self.azure.blob.put(self.container, name, data)

    def remove(self, name: str) -> None:
        self.azure.blob.remove(self.container, name)


class InAzurite:
    """A container of Azurite, filled with Microsoft's SDK."""

    def __init__(self, client: ContainerClient, url: str, storage: StorageClient) -> None:
        self.client = client
        self.client.create_container()
        self.root: Root = container(url, storage)

    def put(self, name: str, data: bytes) -> None:
        self.client.upload_blob(name, data, overwrite=True)

    def remove(self, name: str) -> None:
        self.client.delete_blob(name)


def container(url: str, storage: StorageClient, most: int = 100) -> Container:
    """A container as a root."""
    return Container(parse_container_url(url), storage, most)


SPEED = 20.0  # waits are that much shorter than real ones
HURRIED = RetryPolicy(
    max_seconds=100,
    sleep=lambda seconds: time.sleep(seconds / SPEED),
    clock=lambda: time.monotonic() * SPEED,
)


def storage(url: str, patience: RetryPolicy = HURRIED) -> StorageClient:
    """The requests of a root, to be closed."""
    return StorageClient(url, managed_token(STORAGE_SCOPE), patience)
