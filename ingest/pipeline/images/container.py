"""Images of figures in a blob container, or in one folder of it."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import suppress

from ingest.azure.errors import ANY, ErrorTable, fail
from ingest.azure.roles import BLOB_CONTRIBUTOR
from ingest.errors import ConfigError
from ingest.pipeline.images import (
    JPEG_START,
    OWNER_FILE_NAME,
    STORED_NAME,
    name_image,
    other_owner_error,
)
from ingest.sources.azure_blob.client import CONTAINER_ERRORS, StorageClient
from ingest.sources.azure_blob.container import Container
from ingest.sources.azure_blob.location import ContainerLocation, blob_url

REFUSED = fail(
    ConfigError, "{where} refused an image of a figure ({response}): check INGEST_FIGURES_TO"
)


class BlobExistsError(Exception):
    """A blob of this name is there already."""


class BlobMissingError(Exception):
    """There is no blob of this name."""


ERRORS: ErrorTable = (
    *CONTAINER_ERRORS,
    ({404}, ANY, fail(BlobMissingError, "")),
    ({409}, {"BlobAlreadyExists"}, fail(BlobExistsError, "")),
    (ANY, ANY, REFUSED),
)


class ImageContainer:
    """ImageStore in a container. Thread-safe, except for `close`."""

    def __init__(self, location: ContainerLocation, storage: StorageClient) -> None:
        self.location = location
        self.storage = storage
        self.known: set[str] | None = None  # names of stored images, once they were listed
        self.lock = threading.Lock()

    def close(self) -> None:
        """Close the connections."""
        self.storage.close()

    @property
    def place(self) -> str:
        """The URL of the container or folder."""
        return self.location.url

    def claim(self, owner: str, *, write: bool) -> None:
        """Note in the container whose images these are."""
        with suppress(BlobExistsError):
            if write:
                self.put(OWNER_FILE_NAME, owner.encode(), "text/plain")
                return
        with suppress(BlobMissingError):
            if self.send("GET", OWNER_FILE_NAME) != owner.encode():
                raise other_owner_error(self.place)

    def keep(self, image: bytes) -> str:
        """Store an image, unless it is there; return its name."""
        name = name_image(image)
        if not self.has(name):
            kind = "image/jpeg" if image.startswith(JPEG_START) else "image/png"
            with suppress(BlobExistsError):  # in another thread, or on another machine of this run
                self.put(name, image, kind)
            with self.lock:
                if self.known is not None:
                    self.known.add(name)
        return name

    def has(self, name: str) -> bool:
        """Return whether an image is stored."""
        with self.lock:
            if self.known is None:  # one listing is cheaper than a request for each image
                self.known = set(self.names())
            return name in self.known

    def address(self, name: str) -> str:
        """Return the URL of a blob."""
        return blob_url(self.location.url, name)

    def names(self) -> Iterator[str]:
        """Yield the names of all stored images."""
        listed = Container(self.location, self.storage, 0).list_pages()
        return (blob.name for page in listed for blob in page if STORED_NAME.fullmatch(blob.name))

    def delete(self, names: Collection[str]) -> None:
        """Delete images."""
        with self.lock:
            self.known = None
        for name in names:
            with suppress(BlobMissingError):
                self.send("DELETE", name)

    def put(self, name: str, data: bytes, kind: str) -> None:
        """Write a blob. Raises BlobExistsError if there is one."""
        headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": kind, "If-None-Match": "*"}
        self.send("PUT", name, headers, data)

    def send(
        self, method: str, name: str, headers: dict[str, str] | None = None, data: bytes = b""
    ) -> bytes:
        """Send a request for a blob; return the body of its response."""

        def call() -> bytes:
            with self.storage.send(method, self.address(name), headers, data) as response:
                return response.read()

        return self.storage.call_with_retry(call, BLOB_CONTRIBUTOR, ERRORS)
