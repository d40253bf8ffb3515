"""Sources as their roots list them: names, permissions, and files that are not read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias


class Outcome(StrEnum):
    """Outcome of one source in one run."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REMOVED = "removed"
    EMPTY = "empty"
    SKIPPED = "skipped"
    FAILED = "failed"


# Of sources that are listed, and not in the index as they are now.
NOT_INDEXED_OUTCOMES = (Outcome.FAILED, Outcome.SKIPPED)


class Code(StrEnum):
    """Reason why a source is missing from the index, or is incomplete. Values never change."""

    NO_TEXT = "no-text"
    ENCRYPTED = "encrypted"
    NOT_A_PDF = "not-a-pdf"
    TOO_LARGE = "too-large"
    CHANGED = "changed-while-reading"
    VANISHED = "vanished"
    ARCHIVED = "archived"
    IGNORED = "ignored"
    PERMISSIONS_UNKNOWN = "permissions-unknown"
    UNREADABLE = "unreadable"
    DAMAGED = "damaged"
    TOO_SLOW = "too-slow"
    TOO_MUCH_MEMORY = "too-much-memory"
    CRASHED = "crashed"
    REFUSED = "refused"
    PAGES_MISSING = "pages-missing"
    UNDECODED = "undecoded-text"
    HIDDEN_TEXT = "hidden-text"
    SCANNED = "scanned-pages"
    DOUBTFUL = "doubtful-text"
    FIGURES = "figures-undescribed"

    @property
    def outcome(self) -> Outcome:
        """Outcome of a source that cannot be read for this reason: skipped or failed."""
        return Outcome.SKIPPED if self in SKIPPED_CODES else Outcome.FAILED


# Neither the file nor its extraction failed: it should not be read, or not now.
SKIPPED_CODES = frozenset(
    {
        Code.NO_TEXT,  # known without reading: an XFA form, which only one viewer can show
        Code.ENCRYPTED,
        Code.NOT_A_PDF,
        Code.TOO_LARGE,
        Code.CHANGED,
        Code.VANISHED,
        Code.ARCHIVED,
        Code.IGNORED,
        Code.PERMISSIONS_UNKNOWN,
    }
)

# Names of custom index fields, and the source's values: a text, or several; None for no value.
Values: TypeAlias = "tuple[tuple[str, str | tuple[str, ...] | None], ...]"
META_PREFIX, TAG_PREFIX = "meta:", "tag:"  # of a blob's metadata or index tag, as a value
LIST_SUFFIX = "[]"  # of the name of such a value, if it is a list
FIELD_NAME_PATTERN = re.compile(r"(?!azureSearch)[A-Za-z][A-Za-z0-9_]{0,127}")  # of AI Search
OIDS, GROUPS = "oids", "groups"  # names of the values for permissions
EVERYBODY, NOBODY = "all", "none"  # in place of ids, as Azure AI Search has them


@dataclass(frozen=True, slots=True)
class Permissions:
    """Object ids of the users and groups that may read a document, or of a person."""

    oids: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def to_values(self, names: Sequence[str] = (OIDS, GROUPS)) -> Values:
        """Return the values of a source. Never only empty lists, which may mean no limit."""
        lists = {OIDS: self.oids, GROUPS: self.groups}
        values = [(name, tuple(sorted(set(lists[name])))) for name in names]
        if not any(ids for _, ids in values):
            values[0] = (names[0], (NOBODY,))
        return tuple(values)

    def admits(self, person: Permissions) -> bool:
        """Return whether a person may read a document with these permissions."""
        return not {*person.oids, EVERYBODY}.isdisjoint(self.oids) or not {
            *person.groups,
            EVERYBODY,
        }.isdisjoint(self.groups)


# A filter separates ids by commas.
ID_PATTERN = re.compile(r"[^\s,'\"\[\]]{1,256}")


def parse_ids(ids: Collection[str], *, reserved: bool = True) -> tuple[str, ...]:
    """Check object ids, with or without the reserved words. Raises ValueError."""
    for item in ids:
        if not isinstance(item, str) or not ID_PATTERN.fullmatch(item):
            raise ValueError(f"{item!r} is not an object id: no spaces, commas, quotes or brackets")
        if not reserved and item in (EVERYBODY, NOBODY):
            raise ValueError(f"{item} is not an object id")
    return tuple(ids)


SourceKey: TypeAlias = tuple[str, str]  # root and name of a source; unique in an index


@dataclass(frozen=True, slots=True)
class Source:
    """One PDF in a root, as listed."""

    root: str
    name: str  # relative to the root, "/" between folders; of files in Unicode NFC
    location: str  # path or URL
    size: int  # bytes
    modified: str  # opaque version; equal means unmodified
    recent: bool = False  # modified so recently that another write might not change `modified`
    unreadable: str = ""  # why its bytes cannot be read at present; "" if they can
    fields: Values = ()  # values of custom index fields
    root_key: str = ""  # of the root, in the ids of its chunks; "" if it is the name
    permissions_unknown: str = ""  # why its permissions are unknown; "" if they are not

    @property
    def key(self) -> SourceKey:
        return self.root, self.name

    @property
    def permissions(self) -> Permissions | None:
        """Permissions; None if they are not limited, or unknown."""
        lists = {n: v for n, v in self.fields if n in (OIDS, GROUPS) and isinstance(v, tuple)}
        return Permissions(lists.get(OIDS, ()), lists.get(GROUPS, ())) if lists else None


@dataclass(frozen=True, slots=True)
class KnownRoot:
    """A root as its index knows it."""

    name: str  # in records and chunks
    key: str  # in the ids of its chunks, fixed at first sight
    place: str = ""  # hash of the folder, on its machine, or URL that it was last read from
    ancestors: tuple[str, ...] = ()  # hashes of the folders that this one lies in
    location: str = ""  # the path or URL; "" for a folder in an index that others share
    is_named: bool = False  # a person gave it its name
    renamed_from: str = ""  # name that some records and chunks may still have
    begun: tuple[str, ...] = ()  # ids of the runs since the last complete one that have not ended
    last_good: str = ""  # when a run last ended with 0 or 3, UTC, ISO 8601; "" if not recorded


# Supported document formats, by the ending of a file's name in lower case. Each has an extractor in
# extract/document.py.
DOCUMENT_SUFFIXES = {".pdf": "pdf"}


def document_kind(name: str) -> str:
    """Return the format of a document by the ending of its name; "" if it is not supported."""
    name = name.lower()
    return next((kind for end, kind in DOCUMENT_SUFFIXES.items() if name.endswith(end)), "")


def is_document_name(name: str) -> bool:
    """Return whether a file's name has the ending of a supported format."""
    return document_kind(name) != ""


def strip_document_suffix(name: str) -> str:
    """Return a name without the ending of a supported format."""
    return next((name.removesuffix(end) for end in DOCUMENT_SUFFIXES if name.endswith(end)), name)


ATTACHMENT_SEPARATOR = "//"  # in a source's name, between a PDF and the PDF attached to it


def parent_name(name: str) -> str:
    """Name of the source that a PDF is attached to; "" for a PDF that is a file."""
    outer, inside, _ = name.partition(ATTACHMENT_SEPARATOR)
    return outer if inside and is_document_name(outer) else ""


class BlobField(NamedTuple):
    """A field of the index, and the metadata or index tag that fills it."""

    name: str
    key: str  # of the metadata, in lower case; or of the index tag, case-sensitive
    tag: bool
    is_list: bool = False  # several texts


def hash_fields(fields: Values) -> str:
    """Hash the values of custom fields to twelve hex digits; "" if there are no values."""
    texts = (
        (n, value if isinstance(value, str) else "\n".join(value or ())) for n, value in fields
    )
    text = "\0".join(f"{name}={value}" for name, value in sorted(texts) if value)
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else ""


@dataclass(frozen=True, slots=True)
class ListingIssue:
    """Something in a root that is not read, and the reason."""

    root: str
    name: str
    reason: str
    harmless: bool = False  # needs no action
    code: Code = Code.IGNORED
    hides: bool = False  # its content is unknown, so the listing is incomplete
    same_as: str = ""  # the name that it has in Unicode NFC, if another file is listed under that


@dataclass(frozen=True, slots=True)
class Unread:
    """A file in a root that is left out: excluded, or not a PDF."""

    root: str
    name: str
    excluded: bool = False
