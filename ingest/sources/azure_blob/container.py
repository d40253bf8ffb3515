"""Azure Blob Storage containers as roots: all PDFs in a container or in one folder of it.

The service lists names in UTF-16 order, or folder by folder in an account with a hierarchical
namespace; the merge with the index's records needs code-point order. So a listing is sorted on
disk before any of it is passed on: unsorted, it would look like deletions.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import BinaryIO
from urllib.parse import quote, urlencode
from xml.etree import ElementTree as ET

from azure.core.exceptions import AzureError

from ingest.azure.errors import ErrorResponse
from ingest.azure.roles import BLOB_OWNER, BLOB_READER
from ingest.errors import ConfigError, DocumentError, IngestError, ServiceError
from ingest.models import (
    BlobField,
    Code,
    ListingIssue,
    Source,
    Unread,
    hash_fields,
    is_document_name,
)
from ingest.runtime.retry import RetryableError
from ingest.sources import check_size, require_source
from ingest.sources.azure_blob.acl_client import AclReader
from ingest.sources.azure_blob.client import BLOB_ERRORS, BlobChangedError, StorageClient
from ingest.sources.azure_blob.fields import permission_names
from ingest.sources.azure_blob.listing import Blob, parse_blobs
from ingest.sources.azure_blob.location import ContainerLocation, blob_url
from ingest.sources.permissions import complete_permissions
from ingest.sources.spool import disk_full_error, temporary_file, write_block

log = logging.getLogger(__name__)

MAX_PAGE_BLOBS = 5000  # in one response, the service's limit
MAX_PROBES = 3  # blobs to ask for, to see whether one alone cannot be read


class Container:
    """A root in a container. `open` may be called from several threads.

    Args:
        location: the container and folder.
        storage: client for the storage account.
        max_megabytes: memory limit of a document; a blob that exceeds half of it is not fetched.
        blob_fields: fields of the index that metadata and index tags fill.
        reads_acl: read who may read each blob from its access control list.
    """

    def __init__(
        self,
        location: ContainerLocation,
        storage: StorageClient,
        max_megabytes: int,
        blob_fields: Sequence[BlobField] = (),
        *,
        reads_acl: bool = False,
    ) -> None:
        self.location = location
        self.storage = storage
        self.max_megabytes = max_megabytes
        self.blob_fields = blob_fields
        self.needs_tags = any(field.tag for field in blob_fields)
        self.permission_fields = permission_names(blob_fields)
        self.reads_acl = reads_acl
        # URLs of blobs that were read or listed last; there is nothing to ask of an empty one.
        self.others: deque[str] = deque(maxlen=MAX_PROBES)

    @property
    def name(self) -> str:
        """The URL of the container or folder."""
        return self.location.url

    def covers(self, _: str) -> bool:
        """Return True: a container has no patterns."""
        return True

    def list(self) -> Iterator[Source | ListingIssue | Unread]:
        """List every blob and every issue, in order of names.

        Raises ConfigError or ServiceError if any page of the listing cannot be fetched.
        """
        return (
            self.acl_reader().permit_all(self.list_blobs()) if self.reads_acl else self.list_blobs()
        )

    def acl_reader(self) -> AclReader:
        """Return a reader of access control lists as they are now."""
        return AclReader(self.storage, self.location.container, self.location.folder)

    def list_blobs(self) -> Iterator[Source | ListingIssue | Unread]:
        """List every blob, without access control lists."""
        try:
            # A database without a name is a temporary file, deleted when its connection closes.
            with closing(sqlite3.connect("")) as table:
                table.execute(
                    "CREATE TABLE blobs (name TEXT PRIMARY KEY, size, etag, unreadable, fields, "
                    "is_ignored) WITHOUT ROWID"
                )
                for page in self.list_pages():
                    table.executemany(
                        "INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?, ?, ?)", page
                    )
                for row in table.execute("SELECT * FROM blobs ORDER BY name"):
                    item = self.blob_to_source(Blob(*row))
                    if isinstance(item, Source) and item.size and not item.unreadable:
                        self.others.append(item.location)
                    yield item
        except sqlite3.OperationalError as error:
            raise disk_full_error(str(error)) from error

    def find(self, name: str) -> Source:
        """Return the current state of one blob. Raises DocumentError if there is none."""
        found = (blob for page in self.list_pages(name) for blob in page if blob.name == name)
        source = require_source(map(self.blob_to_source, found))
        return self.acl_reader().permit(source) if self.reads_acl else source

    def list_pages(self, prefix: str = "") -> Iterator[Sequence[Blob]]:
        """Yield pages of the blobs whose names have a prefix, in the service's order."""
        marker: str | None = ""
        while marker is not None:
            self.storage.retry_policy.raise_if_cancelled()
            role = BLOB_OWNER if self.needs_tags else BLOB_READER
            page, marker = self.storage.call_with_retry(
                partial(self.fetch_page, prefix, marker), role
            )
            yield page

    def fetch_page(self, prefix: str, marker: str) -> tuple[Sequence[Blob], str | None]:
        """Fetch one page; return its blobs and the marker of the next page, or None."""
        include = "metadata,tags" if self.needs_tags else "metadata"
        query = {"restype": "container", "comp": "list", "include": include}
        wanted = {
            "maxresults": str(MAX_PAGE_BLOBS),
            "prefix": self.location.folder + prefix,
            "marker": marker,
        }
        query |= {name: value for name, value in wanted.items() if value}
        url = f"{self.location.container}?{urlencode(query, quote_via=quote)}"
        with self.storage.send("GET", url) as response:
            body = response.read()
        try:
            listing = ET.fromstring(body)  # noqa: S314 - it comes from the service
        except ET.ParseError as error:
            raise RetryableError(
                f"{self.name} returned a listing that is not valid XML ({error})"
            ) from error
        entries = listing.find("Blobs")
        if entries is None:
            raise RetryableError(f"{self.name} returned <{listing.tag}> instead of a listing")
        blobs = list(parse_blobs(entries, self.location.folder, self.blob_fields))
        following = listing.findtext("NextMarker") or None
        if following and following == marker:
            raise RetryableError(f"{self.name} returned a page of its listing that follows itself")
        return blobs, following

    def blob_to_source(self, blob: Blob) -> Source | ListingIssue | Unread:
        """Convert a blob to a source, or to the item that reports why it is not one."""
        if not is_document_name(blob.name):
            return Unread(self.name, blob.name)
        if blob.name.rpartition("/")[2].startswith("."):
            return ListingIssue(self.name, blob.name, "hidden file", harmless=True)
        if blob.is_ignored:
            return ListingIssue(self.name, blob.name, blob.unreadable)
        fields = tuple(
            (name, tuple(value) if isinstance(value, list) else value)
            for name, value in json.loads(blob.fields)
        )
        source = Source(
            root=self.name,
            name=blob.name,
            location=blob_url(self.name, blob.name),
            size=blob.size,
            # Changing index tags, or their mapping to fields, does not change the etag.
            modified=f"{blob.etag} {hash_fields(fields)}".rstrip(),
            unreadable=blob.unreadable,
            fields=fields,
        )
        return complete_permissions(source, self.permission_fields)

    @contextmanager
    def open(self, source: Source) -> Iterator[BinaryIO]:
        """Download a blob as it was listed or, if it changed since, as it is now.

        Raises DocumentError if it vanished, cannot be read, or changes again meanwhile.
        """
        with temporary_file() as file:
            self.fetch(source, file)
            yield file

    def fetch(self, source: Source, file: BinaryIO) -> None:
        """Download a blob into a file.

        Raises DocumentError if the service fails on this blob until retries are exhausted, or
        denies it, and gives another one; ServiceError or ConfigError if it does not.
        """
        try:
            etag, _, _ = source.modified.partition(" ")
            self.download(source.location, etag, source.size, file)
        except BlobChangedError:
            self.download_current(source.location, file)
        except (ServiceError, ConfigError) as error:
            is_exhausted = isinstance(error.__cause__, RetryableError)
            if not (is_exhausted or isinstance(error, ConfigError)):  # a full disk, or a stop
                raise
            if self.gives_another(source.location):
                reason = f"cannot be read, though others can: {error.__cause__ or error}"
                raise DocumentError(reason, Code.UNREADABLE) from error
            if is_exhausted:
                reason = f"{source.name} cannot be downloaded: {error}"
                raise ServiceError(reason) from error.__cause__
            raise
        if source.size:
            self.others.append(source.location)

    def gives_another(self, url: str) -> bool:
        """Return whether the service gives another blob than this one, asked once for each."""
        for other in {*self.others} - {url}:
            with (
                suppress(ErrorResponse, AzureError, IngestError),
                self.storage.send("GET", other, {"Range": "bytes=0-0"}),
            ):
                return True
        return False

    def download_current(self, url: str, file: BinaryIO) -> None:
        """Download the current version of a blob into a file. Raises DocumentError.

        A version with permissions of its own is left to a run that lists them.
        """
        changed = DocumentError("changed while being read; run again", Code.CHANGED)
        if self.permission_fields or self.reads_acl:
            raise changed
        try:
            etag, size = self.storage.call_with_retry(
                partial(self.fetch_properties, url), table=BLOB_ERRORS
            )
            self.download(url, etag, size, file)
        except BlobChangedError:
            raise changed from None

    def fetch_properties(self, url: str) -> tuple[str, int]:
        """Fetch a blob's current etag and size in bytes."""
        with self.storage.send("HEAD", url) as response:
            return response.headers["ETag"].strip('"'), int(response.headers["Content-Length"])

    def download(self, url: str, etag: str, size: int, file: BinaryIO) -> None:
        """Download a version of a blob into a file. Raises BlobChangedError or DocumentError."""
        check_size(size, self.max_megabytes)
        file.seek(0)
        file.truncate()
        while file.tell() < size:
            self.storage.call_with_retry(
                partial(self.resume_download, url, etag, file), table=BLOB_ERRORS
            )
        if file.tell() > size:
            raise BlobChangedError

    def resume_download(self, url: str, etag: str, file: BinaryIO) -> None:
        """Append the missing rest of a blob to a file, as far as the connection lasts."""
        start = file.tell()
        headers = {"If-Match": f'"{etag}"'} | ({"Range": f"bytes={start}-"} if start else {})
        expected = HTTPStatus.PARTIAL_CONTENT if start else HTTPStatus.OK
        try:
            with self.storage.send("GET", url, headers) as response:
                if response.status_code != expected:
                    raise RetryableError(f"{url} returned a different range than was requested")
                for piece in response.iter_raw():
                    self.storage.retry_policy.raise_if_cancelled()
                    write_block(file, piece)
        except AzureError as error:
            if file.tell() == start:
                raise
            log.info("the download of %s stopped after %d bytes: %s", url, file.tell(), error)
        if file.tell() == start:
            raise RetryableError(f"{url} returned an empty response")
