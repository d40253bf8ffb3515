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

from ingest.errors import ConfigError, DocumentError
from ingest.model import Code, Oddity, Source, Unread, mark
from ingest.retry import Again
from ingest.roles import BLOB_OWNER, BLOB_READER
from ingest.sources import fit
from ingest.sources.copy import copy, no_room, written
from ingest.sources.listing import Blob, meant
from ingest.sources.mapping import BlobField
from ingest.sources.storage import Changed, Storage

log = logging.getLogger(__name__)

PAGE = 5000  # names in one answer; the service gives no more
UNQUOTED = "/~"  # stays as it is in a blob's URL
WHERE = "https://ACCOUNT.blob.core.windows.net/CONTAINER[/FOLDER]"


@dataclass(frozen=True, slots=True)
class Place:
    """A folder in a container, or all of the container."""

    container: str  # its URL
    folder: str = ""  # ends with a "/" unless empty

    @property
    def url(self) -> str:
        return f"{self.container}/{quote(self.folder, safe=UNQUOTED)}".rstrip("/")


def places(urls: Iterable[str]) -> list[Place]:
    """What URLs mean, each once. Raises ConfigError for one that lies inside another."""
    found = list(dict.fromkeys(map(located, urls)))
    for inner, outer in itertools.permutations(found, 2):
        if inner.url.startswith(outer.url + "/"):
            raise ConfigError(
                f"{inner.url} lies inside {outer.url}, so its documents would be indexed twice: "
                "name the outer one only"
            )
    return found


def located(url: str) -> Place:
    """What a URL means. Raises ConfigError, without the secret that may be in it."""
    try:
        parts = urlsplit(url)
        signed = "sig=" in unquote(parts.path)
    except ValueError:  # its text may hold the secret
        raise ConfigError(f"a root looks like a URL and is none; expected {WHERE}") from None
    host = parts.netloc.rpartition("@")[2].lower().removesuffix(":443")
    host = host.replace(".dfs.", ".blob.", 1)
    shown = f"{parts.scheme}://{host}{'' if signed else parts.path}"
    if parts.scheme != "https":
        raise ConfigError(f"{shown}: a container is reached over https:// only, as in {WHERE}")
    if parts.query or parts.fragment or signed or "@" in parts.netloc:
        raise ConfigError(
            f"{shown}: no key and no SAS is needed: leave out what is not {WHERE}, "
            "and write %23 for # and %3F for ? in a name"
        )
    names = unquote(parts.path).strip("/").split("/")
    account = f"/{names.pop(0)}" if is_address(parts.hostname or "") else ""
    container, folder = "".join(names[:1]), "/".join(names[1:])
    if not host or not container:
        raise ConfigError(f"{shown}: which container? expected {WHERE}")
    if folder.lower().endswith(".pdf"):
        raise ConfigError(f"{shown}: name the folder a blob is in, not the blob")
    return Place(f"https://{host}{account}/{quote(container)}", folder and folder + "/")


def is_address(host: str) -> bool:
    """Whether a host has no name of its own: the account then stands in the path."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return True


def location(root: str, name: str) -> str:
    """The URL of a blob in a root."""
    return f"{root}/{quote(name, safe=UNQUOTED)}"


class Container:
    """A root in a container. `opened` may be called from several threads.

    A blob that does not fit into `most` megabytes is not fetched. Its fields are those `wanted`.
    """

    def __init__(
        self, place: Place, storage: Storage, most: int, wanted: Sequence[BlobField] = ()
    ) -> None:
        self.place = place
        self.storage = storage
        self.most = most
        self.wanted = wanted
        self.tagged = any(field.tag for field in wanted)

    @property
    def name(self) -> str:
        """What the index calls it: its URL."""
        return self.place.url

    def covers(self, _: str) -> bool:
        """All names are meant."""
        return True

    def listed(self) -> Iterator[Source | Oddity | Unread]:
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
                for page in self.pages():
                    table.executemany("INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?, ?)", page)
                for row in table.execute("SELECT * FROM blobs ORDER BY name"):
                    yield self.described(Blob(*row))
        except sqlite3.OperationalError as error:
            raise no_room(str(error)) from error

    def pages(self) -> Iterator[list[Blob]]:
        """The blobs of the listing, a page at a time, in the order of the service."""
        marker: str | None = ""
        while marker is not None:
            self.storage.patience.proceed()
            role = BLOB_OWNER if self.tagged else BLOB_READER
            page, marker = self.storage.patiently(partial(self.page, marker), role)
            yield page

    def page(self, marker: str) -> tuple[list[Blob], str | None]:
        """One page, and the marker of the next if there is one."""
        include = "metadata,tags" if self.tagged else "metadata"
        query = {"restype": "container", "comp": "list", "include": include}
        wanted = {"maxresults": str(PAGE), "prefix": self.place.folder, "marker": marker}
        query |= {name: value for name, value in wanted.items() if value}
        url = f"{self.place.container}?{urlencode(query, quote_via=quote)}"
        with self.storage.asked("GET", url) as response:
            body = response.read()
        try:
            listing = ET.fromstring(body)  # noqa: S314 - it comes from the service
        except ET.ParseError as error:
            raise Again(f"{self.name} gave a listing that cannot be read ({error})") from error
        entries = listing.find("Blobs")
        if entries is None:
            raise Again(f"{self.name} gave no listing but <{listing.tag}>")
        return list(meant(entries, self.place.folder, self.wanted)), listing.findtext(
            "NextMarker"
        ) or None

    def described(self, blob: Blob) -> Source | Oddity | Unread:
        """The source a blob is, or why it is none."""
        if not blob.name.lower().endswith(".pdf"):
            return Unread(self.name, blob.name)
        if blob.name.rpartition("/")[2].startswith("."):
            return Oddity(self.name, blob.name, "hidden file", harmless=True)
        fields = tuple((name, value) for name, value in json.loads(blob.fields))
        return Source(
            root=self.name,
            name=blob.name,
            location=location(self.name, blob.name),
            size=blob.size,
            # A change of tags leaves the etag as it is, and so does one of the mapping.
            modified=f"{blob.etag} {mark(fields)}".rstrip(),
            unreadable=blob.unreadable,
            fields=fields,
        )

    @contextmanager
    def opened(self, source: Source) -> Iterator[BinaryIO]:
        """A copy of a blob as it was listed, or else as it was when it was asked for again.

        Raises DocumentError if it vanished, cannot be read, or changed twice.
        """
        with copy() as file:
            try:
                etag, _, _ = source.modified.partition(" ")
                self.fetch(source.location, etag, source.size, file)
            except Changed:
                self.fetch_anew(source.location, file)
            yield file

    def fetch_anew(self, url: str, file: BinaryIO) -> None:
        """Fill a file with a blob as it is now. Raises DocumentError."""
        try:
            etag, size = self.storage.patiently(partial(self.state, url), reading=True)
            self.fetch(url, etag, size, file)
        except Changed:
            raise DocumentError("changed while being read; run again", Code.CHANGED) from None

    def state(self, url: str) -> tuple[str, int]:
        """A blob's etag and size, as they are now."""
        with self.storage.asked("HEAD", url) as response:
            return response.headers["ETag"].strip('"'), int(response.headers["Content-Length"])

    def fetch(self, url: str, etag: str, size: int, file: BinaryIO) -> None:
        """Fill a file with a blob. Raises Changed if it is another one by now, or DocumentError."""
        fit(size, self.most)
        file.seek(0)
        file.truncate()
        while file.tell() < size:
            self.storage.patiently(partial(self.go_on, url, etag, file), reading=True)
        if file.tell() > size:
            raise Changed

    def go_on(self, url: str, etag: str, file: BinaryIO) -> None:
        """Append what a file lacks of a blob, or as much of it as comes before a break."""
        start = file.tell()
        headers = {"If-Match": f'"{etag}"'} | ({"Range": f"bytes={start}-"} if start else {})
        expected = HTTPStatus.PARTIAL_CONTENT if start else HTTPStatus.OK
        try:
            with self.storage.asked("GET", url, headers) as response:
                if response.status_code != expected:
                    raise Again(f"{url} gave another part than was asked for")
                for piece in response.iter_raw():
                    self.storage.patience.proceed()
                    written(file, piece)
        except AzureError as error:
            if file.tell() == start:
                raise
            log.info("%s broke off after %d bytes: %s", url, file.tell(), error)
        if file.tell() == start:
            raise Again(f"{url} gave an empty answer")
