"""One index: its definition, its documents, and what a batch of actions does to them."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

import numpy as np

from tests.emulator.documents import View
from tests.emulator.errors import Rejected, invalid
from tests.emulator.filters import parse_time
from tests.emulator.schema import VECTORS
from tests.emulator.server import Json
from tests.emulator.vectors import Vectors

KEY = re.compile(r"[A-Za-z0-9_\-=]{1,1024}")
TERM = 32_766  # bytes of a string that is a term
ACTIONS = {"upload", "merge", "mergeOrUpload", "delete"}
VERSION = "2026-04-01"


@dataclass
class Delays:
    """Seconds until a change is seen, by the slower of the replicas."""

    search: float = 0.0  # by queries
    lookup: float = 0.0  # by key
    count: float | None = None  # by $count and search.stats; None: as by queries
    schema: float = 0.0  # until new fields can be written and queried
    alias: float = 0.0  # until all requests follow an alias that was moved; before, some do


@dataclass
class Replica:
    """Copy of an index's documents that shows a change after a share of the delay."""

    share: float
    searched: View = field(default_factory=View)
    looked_up: View = field(default_factory=View)

    def written(self, key: str, document: Json | None, now: float, delays: Delays) -> None:
        """Show one change, later."""
        self.searched.put(key, document, now, self.share * delays.search)
        lookup = min(delays.lookup, delays.search)
        self.looked_up.put(key, document, now, self.share * lookup)


SLOW, FAST = 1.0, 1 / 3  # shares of the delay


@dataclass
class Index:
    """An index. Code that reads or writes its documents holds `lock`."""

    definition: Json
    etag: str
    replicas: list[Replica] = field(default_factory=lambda: [Replica(SLOW)])
    lock: threading.RLock = field(default_factory=threading.RLock)
    latest: dict[str, Json] = field(default_factory=dict)  # all writes done
    counted: View = field(default_factory=View)
    fields: dict[str, Json] = field(default_factory=dict)
    earlier: tuple[float, dict[str, Json]] | None = None  # the fields before a change, until when

    def __post_init__(self) -> None:
        self.fields = {f["name"]: f for f in self.definition["fields"]}

    @property
    def key(self) -> str:
        """The name of the key field."""
        return next(name for name, f in self.fields.items() if f["key"])

    def redefine(self, definition: Json, etag: str, until: float) -> None:
        """Exchange the definition; the documents notice at `until`."""
        with self.lock:
            self.earlier = (until, self.fields)
            self.definition, self.etag = definition, etag
            self.fields = {f["name"]: f for f in definition["fields"]}

    def fields_at(self, now: float) -> dict[str, Json]:
        """The fields that documents can have by now."""
        if self.earlier and now < self.earlier[0]:
            return self.earlier[1]
        return self.fields

    def settle(self) -> None:
        """Let everything written be seen at once."""
        with self.lock:
            replicated = [view for r in self.replicas for view in (r.searched, r.looked_up)]
            for view in (*replicated, self.counted):
                view.at(float("inf"))

    def written(self, key: str, document: Json | None, now: float, delays: Delays) -> None:
        """Make one change."""
        if document is None:
            self.latest.pop(key, None)
        else:
            self.latest[key] = document
        for replica in self.replicas:
            replica.written(key, document, now, delays)
        later = delays.search if delays.count is None else delays.count
        self.counted.put(key, document, now, later)

    def shown(self, document: Json, names: Sequence[str] | None) -> Json:
        """A document as it is answered: what is retrievable, with nulls for what it lacks."""
        made = {}
        for name, definition in self.fields.items():
            if definition["retrievable"] and (names is None or name in names):
                value = document.get(name)
                if isinstance(value, np.ndarray):
                    value = value.tolist()
                empty: list[Any] | None = (
                    [] if definition["type"].startswith("Collection(") else None
                )
                vector = definition["type"] in VECTORS
                made[name] = empty if value is None and not vector else value
        return made


@dataclass(frozen=True)
class Action:
    """One line of a batch, checked."""

    verb: str
    key: str
    values: Json  # only those that were sent; vectors as arrays
    refusal: str | None = None  # why this document alone is refused


def parse_batch(actions: Sequence[Any], index: Index, fields: dict[str, Json]) -> list[Action]:
    """The batch, if all of it can be understood. Raises Rejected: then nothing is done."""
    checks: dict[str, Callable[[Any], Any]] = {n: create_converter(f) for n, f in fields.items()}
    terms = {n for n, f in fields.items() if is_term(f)}
    return [parse_action(a, n, index.key, checks, terms) for n, a in enumerate(actions)]


def is_term(definition: Json) -> bool:
    """Return whether a value of the field is indexed in one piece."""
    if "Edm.String" not in definition["type"]:
        return False
    whole = any(definition[part] for part in ("filterable", "sortable", "facetable"))
    return whole or (definition["searchable"] and definition["analyzer"] == "keyword")


def parse_action(
    action: Any,
    number: int,
    key_field: str,
    checks: dict[str, Callable[[Any], Any]],
    terms: set[str],
) -> Action:
    """One line of a batch. Raises Rejected."""
    if not isinstance(action, dict):
        raise invalid(f"actions : {number}: An object is expected.")
    verb = action.get("@search.action", "upload")
    if verb not in ACTIONS:
        raise invalid(f"actions : {number}: '{verb}' is not an indexing action.")
    key = action.get(key_field)
    if not isinstance(key, str) or not key:
        message = f"actions : {number}: Document key cannot be missing or empty."
        raise invalid(message, "MissingRequiredParameter")
    check_key(key)
    values, refusal = {}, None
    for name, value in action.items():
        if name == "@search.action":
            continue
        if name not in checks:
            raise invalid(
                f"The property '{name}' does not exist on type 'search.documentFields' or is not "
                f"present in the API version '{VERSION}'. Make sure to only use property names "
                "that are defined by the type."
            )
        try:
            values[name] = checks[name](value)
        except Mismatch as mismatch:
            raise invalid(f"actions : {number}: {mismatch}", "OperationNotAllowed") from None
        except (ValueError, TypeError):
            message = f"actions : {number}: Cannot convert the value of '{name}' to its type."
            raise invalid(message) from None
        if name in terms and verb != "delete" and too_long(value):
            refusal = TOO_LONG.format(name)
    return Action(verb, key, values, refusal)


def check_key(key: str) -> None:
    """Raises Rejected for a key that cannot be one."""
    if key.startswith("_"):
        message = f"Invalid document key: '{key}'. Keys cannot start with a leading underscore."
        raise Rejected(400, "InvalidName", message)
    if not KEY.fullmatch(key):
        raise Rejected(400, "InvalidName", BAD_KEY.format(key))


def too_long(value: Any) -> bool:
    """Return whether a string, or one of several, is longer than a term can be."""
    if isinstance(value, list):
        return any(too_long(item) for item in value)
    return isinstance(value, str) and len(value) * 4 > TERM and len(value.encode()) > TERM


class Mismatch(ValueError):
    """A vector has another length than its field."""


def create_converter(definition: Json) -> Callable[[Any], Any]:
    """Function that converts a value as sent to one as stored; raises ValueError or TypeError."""
    kind, name = definition["type"], definition["name"]
    if kind in VECTORS:
        size = definition["dimensions"]
        return lambda value: None if value is None else vector(value, name, size)
    if kind == "Collection(Edm.ComplexType)":
        return lambda value: [SCALARS["Edm.ComplexType"](item) for item in sequence(value)]
    if kind.startswith("Collection("):
        inner = SCALARS[kind[len("Collection(") : -1]]
        return lambda value: [inner(item) for item in sequence(value)]
    # A collection is empty, and never null.
    return lambda value: None if value is None else SCALARS[kind](value)


def vector(value: Any, name: str, dimensions: int) -> Vectors:
    """An array of exactly so many numbers."""
    if len(sequence(value)) != dimensions:
        raise Mismatch(BAD_LENGTH.format(name, dimensions, len(value)))
    made = np.array(value, np.float32)
    if made.ndim != 1 or not np.isfinite(made).all():
        raise ValueError(name)
    return made


def sequence(value: Any) -> list[Any]:
    """The value, which must be a list."""
    if not isinstance(value, list):
        raise TypeError(value)
    return value


def accept_type(kind: type | tuple[type, ...]) -> Callable[[Any], Any]:
    """A check that lets values of a type pass; a truth value is no number."""

    def same(value: Any) -> Any:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise TypeError(value)
        return value

    return same


def parse_moment(value: Any) -> str:
    """A time with its zone, in UTC."""
    made = parse_time(accept_type(str)(value))
    if made.tzinfo is None:
        raise ValueError(value)
    text = made.astimezone(UTC).isoformat(
        timespec="milliseconds" if made.microsecond else "seconds"
    )
    return text.replace("+00:00", "Z")


SCALARS: dict[str, Callable[[Any], Any]] = {
    "Edm.String": accept_type(str),
    "Edm.Int32": accept_type(int),
    "Edm.Int64": accept_type(int),
    "Edm.Double": accept_type((int, float)),
    "Edm.Boolean": accept_type(bool),
    "Edm.DateTimeOffset": parse_moment,
    "Edm.GeographyPoint": accept_type(dict),
    "Edm.ComplexType": accept_type(dict),
}


def apply(index: Index, action: Action, now: float, delays: Delays, room: bool) -> Json:
    """Do one action and say how it went; `room` is whether one more document fits."""
    key, old = action.key, index.latest.get(action.key)
    if action.refusal:
        return result(key, 400, action.refusal)
    if action.verb == "delete":
        if old is not None:
            index.written(key, None, now, delays)
        return result(key, 200)
    if old is None and action.verb == "merge":
        return result(key, 404, "Document not found.")
    if old is None and not room:
        return result(key, 429, FULL)
    values = action.values
    if old is not None and action.verb != "upload":
        kept = {n: v for n, v in old.items() if index.fields[n]["stored"]}
        values = {**kept, **values}  # a vector that is not stored is lost unless sent again
    index.written(key, values, now, delays)
    return result(key, 201 if old is None else 200)


def result(key: str, status: int, message: str | None = None) -> Json:
    """Result of one action."""
    return {
        "key": key,
        "status": status < 300,
        "errorMessage": message,
        "statusCode": status,
    }


BAD_KEY = (
    "Invalid document key: '{}'. Keys can only contain letters, digits, underscore (_), dash (-), "
    "or equal sign (=). If the keys in your source data contain other characters, we recommend "
    "encoding them with a URL-safe version of Base64 before uploading them to your index."
)
BAD_LENGTH = (
    "There's a mismatch in vector dimensions. The vector field '{0}', with dimension of '{1}', "
    "expects a length of '{1}'. However, the provided vector has a length of '{2}'. Please ensure "
    "that the vector length matches the expected length of the vector field."
)
TOO_LONG = (
    "Field '{}' contains a term that is too large to process. The max length for UTF-8 encoded "
    "terms is 32766 bytes. The most likely cause of this error is that filtering, sorting, and/or "
    "faceting are enabled on this field, which causes the entire field value to be indexed as a "
    "single term. Please avoid the use of filtering, sorting, and/or faceting on this field."
)
FULL = "The document count quota of this index or service was exceeded."
