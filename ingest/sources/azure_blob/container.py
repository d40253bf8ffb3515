"""PDFs in a container of Azure Blob Storage, or in one folder of it.

The service lists by UTF-16, or folder by folder where an account has a hierarchical namespace; the
merge with the index's records needs the order of code points. So a listing is sorted, on disk,
before any of it is passed on: taken as it comes, it would look like deletions.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import BinaryIO
from urllib.parse import quote, unquote, urlencode, urlsplit
from xml.etree import ElementTree as ET

from azure.core.exceptions import AzureError

from ingest.azure.roles import BLOB_OWNER, BLOB_READER
from ingest.errors import ConfigError, DocumentError
from ingest.models import Code, ListingIssue, Source, Unread, hash_fields, is_document_name
from ingest.runtime.retry import RetryableError
from ingest.sources import check_size, require_source
from ingest.sources.azure_blob.client import BlobChangedError, BlobStorageClient
from ingest.sources.azure_blob.fields import BlobField
from ingest.sources.azure_blob.listing import Blob, parse_blobs
from ingest.sources.spool import disk_full_error, temporary_file, write_block

log = logging.getLogger(__name__)

MAX_PAGE_BLOBS = 5000  # names in one answer; the service gives no more
URL_SAFE_CHARACTERS = "/~"  # stays as it is in a blob's URL
CONTAINER_URL_FORMAT = "https://ACCOUNT.blob.core.windows.net/CONTAINER[/FOLDER]"


@dataclass(frozen=True, slots=True)
class ContainerLocation:
    """A folder in a container, or all of the container."""

    container: str  # its URL
    folder: str = ""  # ends with a "/" unless empty

    @property
    def url(self) -> str:
        return f"{self.container}/{quote(self.folder, safe=URL_SAFE_CHARACTERS)}".rstrip("/")


def parse_container_urls(urls: Iterable[str]) -> list[ContainerLocation]:
    """What URLs mean, each once. Raises ConfigError for one that lies inside another."""
    found = list(dict.fromkeys(map(parse_container_url, urls)))
    for inner, outer in itertools.permutations(found, 2):
        if inner.url.startswith(outer.url + "/"):
            raise ConfigError(
                f"{inner.url} lies inside {outer.url}, so its documents would be indexed twice: "
                "name the outer one only"
            )
    return found


def parse_container_url(url: str) -> ContainerLocation:
    """What a URL means. Raises ConfigError, without the secret that may be in it."""
    try:
        parts = urlsplit(url)
        signed = "sig=" in unquote(parts.path)
    except ValueError:  # its text may hold the secret
        raise ConfigError(
            f"a root looks like a URL and is none; expected {CONTAINER_URL_FORMAT}"
        ) from None
    host = parts.netloc.rpartition("@")[2].lower().removesuffix(":443")
    host = host.replace(".dfs.", ".blob.", 1)
    shown = f"{parts.scheme}://{host}{'' if signed else parts.path}"
    if parts.scheme != "https":
        raise ConfigError(
            f"{shown}: a container is reached over https:// only, as in {CONTAINER_URL_FORMAT}"
        )
    if parts.query or parts.fragment or signed or "@" in parts.netloc:
        raise ConfigError(
            f"{shown}: no key and no SAS is needed: leave out what is not {CONTAINER_URL_FORMAT}, "
            "and write %23 for # and %3F for ? in a name"
        )
    names = unquote(parts.path).strip("/").split("/")
    account = f"/{names.pop(0)}" if is_host_without_name(parts.hostname or "") else ""
    container, folder = "".join(names[:1]), "/".join(names[1:])
    if not host or not container:
        raise ConfigError(f"{shown}: which container? expected {CONTAINER_URL_FORMAT}")
    if is_document_name(folder):
        raise ConfigError(f"{shown}: name the folder a blob is in, not the blob")
    return ContainerLocation(f"https://{host}{account}/{quote(container)}", folder and folder + "/")


def is_host_without_name(host: str) -> bool:
    """Whether a host has no name of its own: the account then stands in the path."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return True


def blob_url(root: str, name: str) -> str:
    """The URL of a blob in a root."""
    return f"{root}/{quote(name, safe=URL_SAFE_CHARACTERS)}"


class Container:
    """A root in a container. `opened` may be called from several threads.

    A blob that does not fit into `most` megabytes is not fetched. Its fields are those `wanted`.
    """

    def __init__(
        self,
        location: ContainerLocation,
        storage: BlobStorageClient,
        max_megabytes: int,
        blob_fields: Sequence[BlobField] = (),
    ) -> None:
        self.location = location
        self.storage = storage
        self.max_megabytes = max_megabytes
        self.blob_fields = blob_fields
        self.needs_tags = any(field.tag for field in blob_fields)

    @property
    def name(self) -> str:
        """What the index calls it: its URL."""
        return self.location.url

    def covers(self, _: str) -> bool:
        """All names are meant."""
        return True

    def list(self) -> Iterator[Source | ListingIssue | Unread]:
        """Every blob in the order of the names, and every odd thing met on the way.

        Raises ConfigError or ServiceError if any page of the listing cannot be had.
        """
        try:
            # A database without a name lies in a temporary file, and is gone with its connection.
            with closing(sqlite3.connect("")) as table:
                table.execute(
                    "CREATE TABLE blobs (name TEXT PRIMARY KEY, size, etag, unreadable, fields) "
                    "WITHOUT ROWID"
                )
                for page in self.list_pages():
                    table.executemany("INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?, ?)", page)
                for row in table.execute("SELECT * FROM blobs ORDER BY name"):
                    yield self.blob_to_source(Blob(*row))
        except sqlite3.OperationalError as error:
            raise disk_full_error(str(error)) from error

    def find(self, name: str) -> Source:
        """The blob of this name as it is now. Raises DocumentError if there is none."""
        found = (blob for page in self.list_pages(name) for blob in page if blob.name == name)
        return require_source(map(self.blob_to_source, found))

    def list_pages(self, prefix: str = "") -> Iterator[Sequence[Blob]]:
        """The blobs whose names have a prefix, a page at a time, in the order of the service."""
        marker: str | None = ""
        while marker is not None:
            self.storage.retry_policy.raise_if_cancelled()
            role = BLOB_OWNER if self.needs_tags else BLOB_READER
            page, marker = self.storage.call_with_retry(
                partial(self.fetch_page, prefix, marker), role
            )
            yield page

    def fetch_page(self, prefix: str, marker: str) -> tuple[Sequence[Blob], str | None]:
        """One page, and the marker of the next if there is one."""
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
                f"{self.name} gave a listing that cannot be read ({error})"
            ) from error
        entries = listing.find("Blobs")
        if entries is None:
            raise RetryableError(f"{self.name} gave no listing but <{listing.tag}>")
        return list(parse_blobs(entries, self.location.folder, self.blob_fields)), listing.findtext(
            "NextMarker"
        ) or None

    def blob_to_source(self, blob: Blob) -> Source | ListingIssue | Unread:
        """The source a blob is, or why it is none."""
        if not is_document_name(blob.name):
            return Unread(self.name, blob.name)
        if blob.name.rpartition("/")[2].startswith("."):
            return ListingIssue(self.name, blob.name, "hidden file", harmless=True)
        fields = tuple((name, value) for name, value in json.loads(blob.fields))
        return Source(
            root=self.name,
            name=blob.name,
            location=blob_url(self.name, blob.name),
            size=blob.size,
            # A change of tags leaves the etag as it is, and so does one of the mapping.
            modified=f"{blob.etag} {hash_fields(fields)}".rstrip(),
            unreadable=blob.unreadable,
            fields=fields,
        )

    @contextmanager
    def open(self, source: Source) -> Iterator[BinaryIO]:
        """A copy of a blob as it was listed, or else as it was when it was asked for again.

        Raises DocumentError if it vanished, cannot be read, or changed twice.
        """
        with temporary_file() as file:
            try:
                etag, _, _ = source.modified.partition(" ")
                self.download(source.location, etag, source.size, file)
            except BlobChangedError:
                self.download_current(source.location, file)
            yield file

    def download_current(self, url: str, file: BinaryIO) -> None:
        """Fill a file with a blob as it is now. Raises DocumentError."""
        try:
            etag, size = self.storage.call_with_retry(
                partial(self.fetch_properties, url), is_blob_request=True
            )
            self.download(url, etag, size, file)
        except BlobChangedError:
            raise DocumentError("changed while being read; run again", Code.CHANGED) from None

    def fetch_properties(self, url: str) -> tuple[str, int]:
        """A blob's etag and size, as they are now."""
        with self.storage.send("HEAD", url) as response:
            return response.headers["ETag"].strip('"'), int(response.headers["Content-Length"])

    def download(self, url: str, etag: str, size: int, file: BinaryIO) -> None:
        """Fill a file with a blob. Raises Changed if it is another one by now, or DocumentError."""
        check_size(size, self.max_megabytes)
        file.seek(0)
        file.truncate()
        while file.tell() < size:
            self.storage.call_with_retry(
                partial(self.resume_download, url, etag, file), is_blob_request=True
            )
        if file.tell() > size:
            raise BlobChangedError

    def resume_download(self, url: str, etag: str, file: BinaryIO) -> None:
        """Append what a file lacks of a blob, or as much of it as comes before a break."""
        start = file.tell()
        headers = {"If-Match": f'"{etag}"'} | ({"Range": f"bytes={start}-"} if start else {})
        expected = HTTPStatus.PARTIAL_CONTENT if start else HTTPStatus.OK
        try:
            with self.storage.send("GET", url, headers) as response:
                if response.status_code != expected:
                    raise RetryableError(f"{url} gave another part than was asked for")
                for piece in response.iter_raw():
                    self.storage.retry_policy.raise_if_cancelled()
                    write_block(file, piece)
        except AzureError as error:
            if file.tell() == start:
                raise
            log.info("%s broke off after %d bytes: %s", url, file.tell(), error)
        if file.tell() == start:
            raise RetryableError(f"{url} gave an empty answer")
