"""Read-only client for the access control lists of paths in a hierarchical namespace."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import accumulate, islice
from typing import TypeVar
from urllib.parse import quote

from ingest.azure.errors import ANY, ErrorResponse, ErrorTable, fail
from ingest.errors import ConfigError, DocumentError, ServiceError
from ingest.models import Source, parse_ids
from ingest.runtime.retry import RetryableError
from ingest.sources.azure_blob.acl import EXECUTE, READ, Access, parse_access, readers
from ingest.sources.azure_blob.client import CONTAINER_ERRORS, VANISHED, StorageClient
from ingest.sources.permissions import grant

T = TypeVar("T")

ACL_HEADERS = ("x-ms-acl", "x-ms-owner", "x-ms-group")
MAX_CONCURRENT_READS = 16
BATCH_SOURCES = 512  # whose lists are read before any of them is passed on
UNSUPPORTED = fail(
    ConfigError,
    "{where}: access control lists cannot be read ({response}): INGEST_PERMISSIONS=acl needs a "
    "storage account with a hierarchical namespace",
)
ACL_ERRORS: ErrorTable = (*CONTAINER_ERRORS, ({404}, ANY, VANISHED), (ANY, ANY, UNSUPPORTED))


def acl_url(container: str) -> str:
    """Return the URL of a container whose paths have access control lists: it has another host."""
    return re.sub(r"^(https://[^/]*?)\.blob\.", r"\1.dfs.", container)


class AclReader:
    """Reads who may read the blobs of one listing; each folder is asked for once.

    `container` is the URL of the container, `folder` the path of the root in it, which ends in "/"
    unless it is empty.
    """

    def __init__(self, storage: StorageClient, container: str, folder: str) -> None:
        self.storage = storage
        self.container = acl_url(container)
        self.folder = folder
        self.folders: dict[str, Access | Exception] = {}  # by path

    def permit_all(self, items: Iterable[T]) -> Iterator[T | Source]:
        """Give each source of a listing its permissions; whatever else is in it passes."""
        rest = iter(items)
        with ThreadPoolExecutor(MAX_CONCURRENT_READS, "acl") as threads:
            while some := list(islice(rest, BATCH_SOURCES)):
                names = (item.name for item in some if isinstance(item, Source))
                parents = {folder for name in names for folder in self.parents(name)}
                list(threads.map(self.read_folder, parents.difference(self.folders)))
                yield from threads.map(self.permit, some)

    def permit(self, item: T) -> T | Source:
        """Return a source with its permissions, or with the reason why they are unknown."""
        if not isinstance(item, Source):
            return item
        try:
            path = [self.read_file(self.folder + item.name)]
            for folder in self.parents(item.name):
                access = self.folders.get(folder) or self.read_folder(folder)
                if isinstance(access, Exception):
                    raise access
                path.append(access)
            found = readers(path)
            parse_ids((*found.oids, *found.groups))
        except (DocumentError, ValueError) as error:
            reason = f"its access control list cannot be read: {error}"
            return replace(item, permissions_unknown=reason)
        return grant(item, found.to_values())

    def parents(self, name: str) -> list[str]:
        """Return the paths of all folders above a source, including the container."""
        parts = (self.folder + name).split("/")[:-1]
        return ["", *accumulate(parts, lambda a, b: f"{a}/{b}")]

    def read_folder(self, path: str) -> Access | Exception:
        """Read who may pass a folder, or why that is unknown."""
        try:
            self.folders[path] = self.read(path, EXECUTE)
        except (DocumentError, ValueError) as error:
            self.folders[path] = DocumentError(f"/{path}: {error}")
        return self.folders[path]

    def read_file(self, path: str) -> Access:
        """Read who may read a file. Raises DocumentError if the service fails on it alone."""
        try:
            return self.read(path, READ)
        except (ServiceError, ConfigError) as error:
            # Not at a stop, nor where the list of the container cannot be read either.
            if isinstance(error.__cause__, RetryableError | ErrorResponse):
                self.read("", EXECUTE)
                reason = f"the service fails on it, and not on others ({error.__cause__})"
                raise DocumentError(reason) from error
            raise

    def read(self, path: str, wanted: str) -> Access:
        """Read the list of one path. Raises DocumentError or ValueError."""
        url = f"{self.container}/{quote(path)}?action=getAccessControl&upn=false"

        def ask() -> list[str]:
            with self.storage.send("HEAD", url) as response:
                return [response.headers.get(name, "") for name in ACL_HEADERS]

        acl, owner, group = self.storage.call_with_retry(ask, table=ACL_ERRORS)
        return parse_access(acl, owner, group, wanted)
