"""A search: which documents, in which order, with which scores.

Exhaustive cosine, BM25, and both fused by reciprocal rank. Without an order of the client's,
documents of equal score come in an order that means nothing, as they do from the service.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

import numpy as np

from tests.emulator.analysis import analyzer
from tests.emulator.documents import Documents
from tests.emulator.errors import Rejected, expression, invalid, no_property
from tests.emulator.filters import Condition, compile_filter
from tests.emulator.schema import VECTORS
from tests.emulator.server import Json
from tests.emulator.store import Index
from tests.emulator.vectors import Vectors

PAGE, MOST = 50, 1000
SKIP = 100_000
ORDERS = 32
TEXT = 100_000  # characters
RECALL = 1000  # full-text matches that take part in a hybrid query
NEIGHBORS = 50
CONSTANT = 60  # of reciprocal rank fusion

Vectorize: TypeAlias = Callable[[Sequence[str], int], Vectors]
Hits: TypeAlias = list[tuple[str, float]]  # keys and scores, best first
Order: TypeAlias = list[tuple[str, bool]]  # field, whether descending


@dataclass(frozen=True)
class Query:
    """A search request that was understood."""

    condition: Condition | None
    order: Order
    select: list[str] | None
    skip: int
    top: int | None
    text: str  # empty: all
    every: bool
    fields: list[str]  # searched for the text
    vectors: list[Json]


def parse_query(body: Json, index: Index, fields: dict[str, Json]) -> Query:
    """The request, checked against the fields. Raises Rejected."""
    skip, top = body.get("skip") or 0, body.get("top")
    if not 0 <= skip <= SKIP:
        message = f"Value must be between 0 and {SKIP}.\r\nParameter name: $skip"
        raise Rejected(400, "InvalidRequestParameter", message)
    if top is not None and top < 0:
        message = "Value must be greater than or equal to 0.\r\nParameter name: $top"
        raise Rejected(400, "InvalidRequestParameter", message)
    text = (body.get("search") or "").strip()
    if len(text) > TEXT:
        raise invalid(f"The search text has more than {TEXT} characters.")
    vectors = body.get("vectorQueries") or []
    check_semantic(body, index)
    filtered = (body.get("filter") or "").strip()
    return Query(
        condition=compile_filter(filtered, fields) if filtered else None,
        order=parse_order(split_names(body.get("orderby")), fields),
        select=parse_select(split_names(body.get("select")), fields),
        skip=skip,
        top=top,
        text="" if text == "*" else text,
        every=body.get("searchMode") == "all",
        fields=parse_search_fields(split_names(body.get("searchFields")), fields),
        vectors=vectors,
    )


def split_names(value: str | list[str] | None) -> list[str]:
    """A list that may come as text with commas."""
    parts = value.split(",") if isinstance(value, str) else value or []
    return [part.strip() for part in parts if part.strip()]


def parse_order(parts: Sequence[str], fields: dict[str, Json]) -> Order:
    """Parse the sort order. Raises Rejected."""
    if len(parts) > ORDERS:
        raise expression(f"There are more than {ORDERS} $orderby clauses.", "orderby")
    made = []
    for part in parts:
        name, _, direction = part.partition(" ")
        if direction not in {"", "asc", "desc"}:
            raise expression(f"Syntax error in '{part}'.", "orderby")
        if name != "search.score()":
            if name not in fields:
                raise no_property(name, "orderby")
            if not fields[name]["sortable"]:
                message = f"'{name}' is not a sortable field. Only sortable fields can be used in "
                raise expression(message + "orderby expressions.", "orderby")
        made.append((name, direction == "desc"))
    return made


def parse_select(parts: Sequence[str], fields: dict[str, Json]) -> list[str] | None:
    """Parse the fields to return, None for all. Raises Rejected."""
    if not parts or parts == ["*"]:
        return None
    for name in parts:
        if name not in fields:
            raise no_property(name, "select")
        if not fields[name]["retrievable"]:
            raise expression(f"'{name}' is not a retrievable field.", "select")
    return list(parts)


def parse_search_fields(parts: Sequence[str], fields: dict[str, Json]) -> list[str]:
    """The text fields to search. Raises Rejected."""
    able = [n for n, f in fields.items() if f["searchable"] and f["type"] not in VECTORS]
    for name in parts:
        if name not in fields:
            raise no_property(name, "searchFields")
        if name not in able:
            raise expression(f"'{name}' is not a searchable field.", "searchFields")
    return list(parts) or able


def check_semantic(body: Json, index: Index) -> None:
    """Raises Rejected for a semantic query that the index has no configuration for."""
    if body.get("queryType") != "semantic":
        return
    known = index.definition.get("semantic") or {}
    wanted = body.get("semanticConfiguration") or known.get("defaultConfiguration")
    if wanted not in {c["name"] for c in known.get("configurations") or []}:
        raise invalid(f"Unknown semantic configuration '{wanted}'.", "InvalidRequestParameter")


@dataclass(frozen=True)
class Reader:
    """Answers queries from the documents that are visible now."""

    index: Index
    documents: Documents
    vectorize: Vectorize

    def found(self, query: Query, enough: int | None) -> list[tuple[Json, float]]:
        """Documents and scores in order; stops at `enough` if that can be known early."""
        key = self.index.key
        if not query.vectors and not query.text:
            hits = self.documents.matching(query.condition, key)
            if query.order and query.order[0] == (key, False):
                return [(d, 1.0) for d in islice(hits, enough)]
            return sort([(d, 1.0) for d in hits], query.order, key)

        among = None
        if query.condition:
            among = {d[key] for d in self.documents.matching(query.condition, key)}
        rankings = []
        if query.text:
            best = self.mentioning(query, among)
            rankings.append((best[:RECALL] if query.vectors else best, 1.0))
        for asked in query.vectors:
            rankings += self.neighbours(asked, among)
        fused = rankings[0][0] if len(rankings) == 1 else fuse(rankings)
        return sort([(self.documents.by_key[k], s) for k, s in fused], query.order, key)

    def mentioning(self, query: Query, among: set[str] | None) -> Hits:
        """The ranking of the text, best first."""
        analyzers = {name: analyzer(self.index.definition, name) for name in query.fields}
        scores = self.documents.mentioning(query.text, analyzers, every=query.every)
        kept = [(k, s) for k, s in scores.items() if among is None or k in among]
        return sorted(kept, key=lambda hit: (-hit[1], shuffle_key(hit[0])))

    def neighbours(self, asked: Json, among: set[str] | None) -> list[tuple[Hits, float]]:
        """The rankings of one vector query, one for each of its fields. Raises Rejected."""
        rankings = []
        for name in split_names(asked.get("fields")):
            definition = self.index.fields.get(name)
            if definition is None or definition["type"] not in VECTORS:
                raise invalid(f"Unknown vector field '{name}'.", "InvalidVectorQuery")
            vector = self.wanted(asked, definition)
            count = asked.get("k") or NEIGHBORS
            hits = self.documents.nearest(name, vector, count, among)
            rankings.append((hits, float(asked.get("weight") or 1.0)))
        if not rankings:
            raise invalid("A vector query names no field.", "InvalidVectorQuery")
        return rankings

    def wanted(self, asked: Json, definition: Json) -> Vectors:
        """The vector to search with, made from text if need be. Raises Rejected."""
        name, dimensions = definition["name"], definition["dimensions"]
        if asked.get("kind") == "text":
            profiles = (self.index.definition["vectorSearch"] or {}).get("profiles") or []
            profile = next(p for p in profiles if p["name"] == definition["vectorSearchProfile"])
            if not profile["vectorizer"]:
                message = f"Field '{name}' does not have a vectorizer defined."
                raise invalid(message, "InvalidVectorQuery")
            made: Vectors = self.vectorize([asked["text"]], dimensions)[0]
            return made
        vector = np.array(asked.get("vector") or [], np.float32)
        if len(vector) != dimensions:
            message = f"The query has {len(vector)} dimensions, the field '{name}' {dimensions}."
            raise invalid(message, "InvalidVectorQuery")
        return vector


def fuse(rankings: Iterable[tuple[Hits, float]]) -> Hits:
    """Reciprocal rank fusion of weighted rankings, best first."""
    scores: defaultdict[str, float] = defaultdict(float)
    for hits, weight in rankings:
        for rank, (key, _) in enumerate(hits):
            scores[key] += weight / (CONSTANT + rank)
    return sorted(scores.items(), key=lambda hit: (-hit[1], shuffle_key(hit[0])))


def sort(hits: list[tuple[Json, float]], order: Order, key: str) -> list[tuple[Json, float]]:
    """The hits by the order asked for, else by score."""
    hits.sort(key=lambda hit: (-hit[1], shuffle_key(hit[0][key])))
    for name, descending in reversed(order):
        if name == "search.score()":
            hits.sort(key=lambda hit: hit[1], reverse=descending)
        else:
            hits.sort(key=lambda hit: sort_key(hit[0].get(name)), reverse=descending)
    return hits


def sort_key(value: Any) -> tuple[bool, Any]:
    """A value to sort by: null comes before all others."""
    return (value is not None, value if value is not None else 0)


def shuffle_key(key: str) -> int:
    """A place that has nothing to do with the order of keys, but is always the same."""
    return zlib.crc32(key.encode())
