"""Blob Storage as `ingest` uses it: listings and blobs of containers of one account.

True to the service where a reader can tell: the order of a listing, pages, ranges, etags, tiers,
codes of errors. `put` and `remove` are the hands of somebody else who uses the container.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import quote
from xml.etree import ElementTree as ET

from tests.emulator.clock import Clock
from tests.emulator.identity import BLOB_CONTRIBUTOR, BLOB_OWNER, BLOB_READER, Identity
from tests.emulator.server import Request, Response

ACCOUNT = "account"
WRITES = {"PUT", "DELETE"}
AUDIENCES = ("https://storage.azure.com",)
MOST_LISTED = 5000
DEFAULT_ACCESS = "$superuser", "user::rwx,group::r-x,other::---"


@dataclass(frozen=True)
class Blob:
    """One blob; what is not said is as an upload leaves it."""

    data: bytes
    etag: str = ""  # without quotes
    tier: str = "Hot"
    archive_status: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    modified: float = 0.0


class Failure(Exception):
    """An answer that is no success, with the service's code for it."""

    def __init__(self, status: HTTPStatus, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class Storage:
    """The containers of one account, each a dictionary of blobs by name."""

    def __init__(self, identity: Identity, clock: Clock) -> None:
        self.identity = identity
        self.clock = clock
        self.containers: dict[str, dict[str, Blob]] = {}
        self.most_listed = MOST_LISTED
        self.latency = 0.0  # seconds before an answer
        self.hierarchical = False  # a hierarchical namespace lists folder by folder
        self.access: dict[tuple[str, str], tuple[str, str]] = {}  # owner and list of a path
        self.firewall = False  # as if the client's network were not allowed
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()

    def put(self, container: str, name: str, data: bytes, **more: object) -> Blob:
        """Write a blob, over the one of that name if there is one."""
        made = Blob(
            data,
            f"0x8DE{next(self.numbers):012X}",
            modified=self.clock.now(),
            **more,  # type: ignore[arg-type]
        )
        with self.lock:
            self.containers.setdefault(container, {})[name] = made
        return made

    def remove(self, container: str, name: str) -> None:
        """Delete a blob; a soft delete looks the same to a reader."""
        with self.lock:
            del self.containers[container][name]

    def serve(self, request: Request) -> Response:
        """Answer one request, as the service words it."""
        try:
            return self.answer(request)
        except Failure as failure:
            return error_response(failure, request)

    def answer(self, request: Request) -> Response:
        """Answer one request. Raises Failure."""
        request.pause(self.latency)
        self.admit(request)
        _, account, container, *names = request.path.split("/", 3)
        if account != ACCOUNT or request.method not in {"GET", "HEAD", *WRITES}:
            raise Failure(HTTPStatus.BAD_REQUEST, "InvalidUri")
        if container not in self.containers:
            raise Failure(HTTPStatus.NOT_FOUND, "ContainerNotFound")
        if request.query.get("action") == "getAccessControl":
            return self.access_control(container, "".join(names))
        if not names:
            return self.listing(container, request)
        if request.method in WRITES:
            return self.write(container, names[0], request)
        return self.blob(self.containers[container].get(names[0]), request)

    def write(self, container: str, name: str, request: Request) -> Response:
        """Write or delete a blob. Raises Failure."""
        is_there = name in self.containers[container]
        if request.method == "DELETE":
            if not is_there:
                raise Failure(HTTPStatus.NOT_FOUND, "BlobNotFound")
            self.remove(container, name)
            return Response(HTTPStatus.ACCEPTED, b"", {})
        if request.headers.get("x-ms-blob-type") != "BlockBlob":
            raise Failure(HTTPStatus.BAD_REQUEST, "MissingRequiredHeader")
        if is_there and request.headers.get("if-none-match") == "*":
            raise Failure(HTTPStatus.CONFLICT, "BlobAlreadyExists")
        self.put(container, name, request.body)
        return Response(HTTPStatus.CREATED, b"", {})

    def admit(self, request: Request) -> None:
        """Let in who has a token and the role. Raises Failure."""
        principal = self.identity.bearer(request, AUDIENCES)
        if principal is None:
            raise Failure(HTTPStatus.UNAUTHORIZED, "InvalidAuthenticationInfo")
        if self.firewall:
            raise Failure(HTTPStatus.FORBIDDEN, "AuthorizationFailure")
        tagged = "tags" in request.query.get("include", "").split(",")
        roles: tuple[str, ...] = (
            (BLOB_OWNER,) if tagged else (BLOB_OWNER, BLOB_CONTRIBUTOR, BLOB_READER)
        )
        if request.method in WRITES:
            roles = BLOB_OWNER, BLOB_CONTRIBUTOR
        if not self.identity.has(principal, *roles):
            raise Failure(HTTPStatus.FORBIDDEN, "AuthorizationPermissionMismatch")

    def listing(self, container: str, request: Request) -> Response:
        """One page of a container's blobs."""
        query = request.query
        if query.get("restype") != "container" or query.get("comp") != "list":
            raise Failure(HTTPStatus.BAD_REQUEST, "InvalidQueryParameterValue")
        order = folder_order if self.hierarchical else utf_16_order
        with self.lock:
            blobs = self.containers[container]
            names = sorted((n for n in blobs if n.startswith(query.get("prefix", ""))), key=order)
        if marker := query.get("marker"):
            names = [name for name in names if order(name) >= order(bytes.fromhex(marker).decode())]
        most = min(int(query.get("maxresults", MOST_LISTED)), self.most_listed)
        root = ET.Element("EnumerationResults", ContainerName=container)
        entries = ET.SubElement(root, "Blobs")
        for name in names[:most]:
            entries.append(list_entry(name, blobs[name], query.get("include", "").split(",")))
        after = names[most : most + 1]
        ET.SubElement(root, "NextMarker").text = after[0].encode().hex() if after else None
        body = ET.tostring(root, encoding="utf-8", xml_declaration=True)
        return Response(HTTPStatus.OK, body, {"Content-Type": "application/xml"})

    def access_control(self, container: str, path: str) -> Response:
        """Access control list of a file or folder, as headers. Raises Failure."""
        if not self.hierarchical:
            raise Failure(HTTPStatus.CONFLICT, "OperationNotSupportedOnPathType")
        with self.lock:
            names = list(self.containers[container])
        if path and not any(name == path or name.startswith(f"{path}/") for name in names):
            raise Failure(HTTPStatus.NOT_FOUND, "PathNotFound")
        owner, acl = self.access.get((container, path), DEFAULT_ACCESS)
        headers = {"x-ms-owner": owner, "x-ms-group": "$superuser", "x-ms-acl": acl}
        return Response(HTTPStatus.OK, b"", headers)

    def blob(self, blob: Blob | None, request: Request) -> Response:
        """A blob, or a range of it."""
        if blob is None:
            raise Failure(HTTPStatus.NOT_FOUND, "BlobNotFound")
        if request.headers.get("if-match", "*") not in {"*", f'"{blob.etag}"'}:
            raise Failure(HTTPStatus.PRECONDITION_FAILED, "ConditionNotMet")
        headers = {
            "ETag": f'"{blob.etag}"',
            "Accept-Ranges": "bytes",
            "Content-Type": "application/pdf",
        }
        if request.method == "HEAD":
            return Response(HTTPStatus.OK, b"", headers | {"Content-Length": str(len(blob.data))})
        if blob.tier == "Archive":
            raise Failure(HTTPStatus.CONFLICT, "BlobArchived")
        span = request.headers.get("x-ms-range") or request.headers.get("range")
        if span is None:
            return Response(HTTPStatus.OK, blob.data, headers)
        first, _, last = span.removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last or len(blob.data)), len(blob.data) - 1)
        if start > end:
            raise Failure(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "InvalidRange")
        headers |= {"Content-Range": f"bytes {start}-{end}/{len(blob.data)}"}
        return Response(HTTPStatus.PARTIAL_CONTENT, blob.data[start : end + 1], headers)


def error_response(failure: Failure, request: Request) -> Response:
    """The answer for a failure."""
    text = f"<?xml version='1.0'?><Error><Code>{failure.code}</Code><Message/></Error>"
    headers = {"x-ms-error-code": failure.code, "Content-Type": "application/xml"}
    body = b"" if request.method == "HEAD" else text.encode()
    return Response(failure.status, body, headers)


def utf_16_order(name: str) -> tuple[bytes, ...]:
    """The order of a flat namespace, as others found by listing every character."""
    return (name.encode("utf-16-be"),)


def folder_order(name: str) -> tuple[bytes, ...]:
    """The order of a hierarchical namespace: "/" comes before any other character."""
    return tuple(part.encode("utf-16-be") for part in name.split("/"))


def list_entry(name: str, blob: Blob, include: Collection[str]) -> ET.Element:
    """A blob in a listing, with what of it is to be included."""
    made = ET.Element("Blob")
    label = ET.SubElement(made, "Name")
    label.text = name
    if any(character in name for character in "\ufffe\uffff"):
        label.text, label.attrib["Encoded"] = quote(name), "true"
    about = ET.SubElement(made, "Properties")
    values: dict[str, str] = {
        "Last-Modified": formatdate(blob.modified, usegmt=True),
        "Etag": blob.etag,
        "Content-Length": str(len(blob.data)),
        "Content-Type": "application/pdf",
        "BlobType": "BlockBlob",
        "AccessTier": blob.tier,
        "LeaseStatus": "unlocked",
    }
    if blob.archive_status:
        values["ArchiveStatus"] = blob.archive_status
    for key, value in values.items():
        ET.SubElement(about, key).text = value
    if "metadata" in include:
        held = ET.SubElement(made, "Metadata")
        for key, value in blob.metadata.items():
            ET.SubElement(held, key).text = value
    if "tags" in include and blob.tags:
        tags = ET.SubElement(ET.SubElement(made, "Tags"), "TagSet")
        for key, value in blob.tags.items():
            tag = ET.SubElement(tags, "Tag")
            ET.SubElement(tag, "Key").text = key
            ET.SubElement(tag, "Value").text = value
    return made
