"""Azure AI Search: indexes, aliases and documents, as azure-search-documents 12.0 speaks to it.

A success can hold refusals, what was written is not seen at once, and a missing role for documents
is answered with nothing at all.
"""

from __future__ import annotations

import itertools
import random
import re
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from tests.emulator.clock import Clock, Window
from tests.emulator.errors import Rejected, Silent, invalid, no_index, of_kind
from tests.emulator.identity import DATA_CONTRIBUTOR, DATA_READER, SERVICE_CONTRIBUTOR, Identity
from tests.emulator.query import MOST, PAGE, Reader, parse_query, parse_select, split_names
from tests.emulator.schema import NAME, VECTORS, check_change, normalize
from tests.emulator.server import Json, Request, Response, answer
from tests.emulator.store import FAST, SLOW, VERSION, Delays, Index, Replica, apply, parse_batch
from tests.emulator.vectors import Embed, hash_texts

AUDIENCES = ("https://search.azure.com",)
ROUTES = {
    "indexes": re.compile(r"/indexes/?"),
    "index": re.compile(r"/indexes(?:\('([^']*)'\)|/([^/]+))/?"),
    "statistics": re.compile(r"/indexes\('([^']*)'\)/search\.stats"),
    "write": re.compile(r"/indexes\('([^']*)'\)/docs/search\.index"),
    "query": re.compile(r"/indexes\('([^']*)'\)/docs/search\.post\.search"),
    "count": re.compile(r"/indexes\('([^']*)'\)/docs/\$count"),
    "lookup": re.compile(r"/indexes\('([^']*)'\)/docs\('([^']*)'\)"),
    "service": re.compile(r"/servicestats/?"),
    "aliases": re.compile(r"/aliases/?"),
    "alias": re.compile(r"/aliases\('([^']*)'\)"),
    "knowledge": re.compile(r"/(knowledgesources|knowledgebases)\('([^']*)'\)"),
}
DOCUMENTS = {"write": (DATA_CONTRIBUTOR,)} | dict.fromkeys(
    ("query", "count", "lookup"), (DATA_READER, DATA_CONTRIBUTOR)
)

# Requests to a service by what they do: how many, in how many seconds, per search unit.
THROTTLES = {
    ("GET", "indexes"): (3, 1),
    ("GET", "index"): (10, 1),
    ("POST", "indexes"): (12, 60),
    ("PUT", "index"): (6, 1),
    ("DELETE", "index"): (12, 60),
}
BUSY = (
    "Failed to execute request. Reduce the rate of requests, or adjust the number of "
    "replicas/partitions. See http://aka.ms/azure-search-throttling for more information."
)
INDEX_QUOTA = (
    "An index with the name '{}' in service 'loopback' could not be created. Index quota of {} has "
    "been exceeded for this service. You must either delete unused indexes first, add a delay "
    "between index creation requests, or upgrade the service for higher limits."
)
STORAGE_QUOTA = (
    "Storage quota has been exceeded for this service. You must either delete documents first, or "
    "use a higher SKU for additional quota."
)
NO_ACTIONS = (
    "actions : No indexing actions found in the request. Please include between 1 and 32000 "
    "indexing actions in your request."
)


@dataclass(frozen=True)
class Batch:
    """A batch of actions that was carried out."""

    index: str
    actions: tuple[tuple[str, str], ...]  # verb and key
    statuses: tuple[int, ...]
    size: int  # bytes of the request
    at: float  # by the emulator's clock


@dataclass(frozen=True)
class Call:
    """A request and the operation it asks for."""

    request: Request
    operation: str
    names: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        """Name of the index or alias."""
        return next(name for name in self.names if name is not None)


class Search:
    """One search service. Its attributes may be set at any time."""

    def __init__(self, identity: Identity, clock: Clock, vectorize: Embed = hash_texts) -> None:
        self.identity = identity
        self.clock = clock
        self.vectorize = vectorize  # what the index's vectorizer does
        self.audiences = AUDIENCES
        self.key = uuid.uuid4().hex
        self.local_auth = False  # whether the key is accepted
        self.token_auth = True  # whether tokens are

        self.actions = 1000  # limits of one request
        self.bytes = 16 * 1024 * 1024
        self.max_indexes = 50
        self.max_documents: int | None = None  # of an index
        self.storage_quota = 160 * 1024**3  # bytes, of the service: S1 with one partition
        self.vector_quota: int | None = 35 * 1024**3  # None, as the free tier says it
        self.is_full = False  # whether the storage quota is used up
        self.is_closed = False  # whether the firewall rejects everybody
        self.throttled = False  # whether operations on indexes are
        self.delays = Delays()
        self.replicas = 2  # of new indexes; a read is answered by any of them, so it may go back
        self.latency = 0.0  # seconds
        self.results_out_of_order = False
        self.recorded: dict[str, Response] = {}  # of the real service, by the kind of a refusal
        self.count_error = 0.03  # share by which the count of a search may be off, either way
        self.short_pages = 0.0  # share of answers with half of what is found, to be continued

        self.indexes: dict[str, Index] = {}
        self.aliases: dict[str, Json] = {}
        self.knowledge: dict[tuple[str, str], Json] = {}  # definitions, by kind and name
        self.moved: dict[str, tuple[str, float]] = {}  # aliases: from which index, seen until when
        self.batches: list[Batch] = []
        self.statuses: Counter[int] = Counter()
        self.queries: list[Json] = []  # bodies of searches
        self.windows = {what: Window(clock) for what in THROTTLES}
        self.etags = itertools.count(1)
        self.lock = threading.RLock()
        self.random = random.Random(0)

    @property
    def uploads(self) -> Counter[str]:
        """Number of times that each document was accepted with its content."""
        return Counter(
            key
            for batch in list(self.batches)
            for (verb, key), status in zip(batch.actions, batch.statuses, strict=True)
            if verb != "delete" and status < 300
        )

    @property
    def deletes(self) -> Counter[str]:
        """Number of times that the deletion of each document was accepted."""
        return Counter(
            key for batch in list(self.batches) for verb, key in batch.actions if verb == "delete"
        )

    def dump(self, name: str) -> dict[str, Json]:
        """All documents with all their fields, seen or not yet; vectors as lists."""
        index = self.indexes[name]
        with index.lock:
            return {
                key: list_fields(document, index) for key, document in sorted(index.latest.items())
            }

    def settle(self) -> None:
        """Let everything written be seen at once."""
        for index in list(self.indexes.values()):
            index.settle()

    def serve(self, request: Request) -> Response:
        """Answer one request."""
        request.pause(self.latency)
        try:
            response = self.dispatch(request)
        except Rejected as rejected:
            response = self.recorded.get(rejected.kind, rejected.response)
        with self.lock:
            self.statuses[response.status] += 1
        known = request.headers.get("x-ms-client-request-id", "")
        headers = {
            "Cache-Control": "no-cache",
            "Pragma": "no-cache",
            "Expires": "-1",
            "OData-Version": "4.0",
            "request-id": str(uuid.uuid4()),
            "client-request-id": known,
            "x-ms-client-request-id": known,
            "elapsed-time": "1",
        }
        return Response(response.status, response.body, {**headers, **response.headers})

    def dispatch(self, request: Request) -> Response:
        """Find the operation, see who may, do it. Raises Rejected."""
        for operation, route in ROUTES.items():
            match = route.fullmatch(request.path)
            if match:
                call = Call(request, operation, match.groups())
                break
        else:
            raise Silent(404)
        self.authorize(call)
        if request.query.get("api-version") != VERSION:
            message = f"Invalid or missing api-version query string parameter. Use '{VERSION}'."
            raise Rejected(400, "", message)
        if operation == "index" and request.method == "POST":
            raise Silent(405)
        work = OPERATIONS.get((request.method, operation))
        if work is None:
            raise Silent(405)
        self.throttle(request.method, operation)
        return work(self, call)

    def authorize(self, call: Call) -> None:
        """Key or token, and the role for what is asked. Raises Rejected."""
        key = call.request.headers.get("api-key")
        if self.is_closed:
            raise of_kind("firewall", Rejected(403, "", "Forbidden"))
        if key is not None:
            if not self.local_auth or key != self.key:
                message = "Access denied due to an invalid or disabled api-key."
                raise of_kind("wrong key", Rejected(403, "", message))
            return
        challenge = {"WWW-Authenticate": 'Bearer authorization_uri="https://login.microsoft.com"'}
        if not self.token_auth:
            raise Silent(403)
        principal = self.identity.bearer(call.request, self.audiences)
        if principal is None:
            known = "bad token" if "authorization" in call.request.headers else "no credentials"
            raise of_kind(known, Silent(401, challenge))
        wanted = DOCUMENTS.get(call.operation)
        if wanted is None and not self.identity.has(principal, SERVICE_CONTRIBUTOR):
            raise of_kind("missing role", Rejected(403, "", "Authorization failed."))
        if wanted is not None and not self.identity.has(principal, *wanted):
            raise of_kind("missing role for documents", Silent(403))

    def throttle(self, method: str, operation: str) -> None:
        """Raises Rejected if operations on indexes come too fast."""
        limit = THROTTLES.get((method, operation))
        if self.throttled and limit and self.windows[method, operation].take(1, *limit):
            raise Rejected(503, "", BUSY)

    def index(self, name: str, *, aliased: bool = True) -> Index:
        """The index of that name or alias. Raises Rejected."""
        with self.lock:
            if aliased and name in self.aliases:
                name = self.random.choice(self.targets(name))
            if name not in self.indexes:
                raise no_index(name)
            return self.indexes[name]

    def targets(self, alias: str) -> list[str]:
        """Index of an alias; of an alias moved recently, its previous index too."""
        before, until = self.moved.get(alias, ("", 0.0))
        return [*self.aliases[alias]["indexes"], *([before] if self.clock.now() < until else [])]

    def list_indexes(self, call: Call) -> Response:
        """GET /indexes."""
        only = split_names(call.request.query.get("$select"))
        with self.lock:
            shown = [describe_index(self.indexes[name]) for name in sorted(self.indexes)]
        return answer(200, {"value": [pick(item, only) for item in shown]})

    def create(self, call: Call) -> Response:
        """POST /indexes."""
        body = parse_body(call.request.body)
        with self.lock:
            name = str(body.get("name"))
            if name in self.indexes or name in self.aliases:
                message = f"Cannot create index '{name}' because it already exists."
                raise Rejected(
                    400, "ResourceNameAlreadyInUse", message, "CannotCreateExistingIndex"
                )
            return self.added(name, body)

    def added(self, name: str, body: Json) -> Response:
        """A new index. Raises Rejected."""
        definition = normalize(body, name)
        if len(self.indexes) >= self.max_indexes:
            raise Rejected(429, "", INDEX_QUOTA.format(name, self.max_indexes))
        replicas = [Replica(share) for share in (SLOW, FAST)[: self.replicas]]
        self.indexes[name] = index = Index(definition, self.etag(), replicas)
        return answer(201, describe_index(index), {"ETag": index.etag})

    def define(self, call: Call) -> Response:
        """PUT /indexes('n')."""
        body = parse_body(call.request.body)
        with self.lock:
            name = call.name
            if name in self.aliases:
                name = self.random.choice(self.targets(name))
            existing = self.indexes.get(name)
            check_precondition(call.request, existing.etag if existing else None)
            if existing is None:
                return self.added(name, body)
            definition = normalize({**body, "name": name}, name)
            downtime = call.request.query.get("allowIndexDowntime", "").lower() == "true"
            check_change(existing.definition, definition, downtime=downtime)
            if definition != existing.definition:
                until = self.clock.now() + self.delays.schema
                existing.redefine(definition, self.etag(), until)
            return answer(200, describe_index(existing), {"ETag": existing.etag})

    def describe(self, call: Call) -> Response:
        """GET /indexes('n')."""
        index = self.index(call.name)
        return answer(200, describe_index(index), {"ETag": index.etag})

    def drop(self, call: Call) -> Response:
        """DELETE /indexes('n')."""
        with self.lock:
            index = self.index(call.name, aliased=False)
            check_precondition(call.request, index.etag)
            if any(call.name in self.targets(alias) for alias in self.aliases):
                raise Rejected(400, "", f"Index '{call.name}' is mapped by an alias.")
            del self.indexes[call.name]
        return Response(204)

    def statistics(self, call: Call) -> Response:
        """GET /indexes('n')/search.stats."""
        return answer(200, self.sizes(self.index(call.name)))

    def sizes(self, index: Index) -> dict[str, int]:
        """Statistics of an index."""
        with index.lock:
            documents = index.counted.at(self.clock.now()).by_key
            vectors = sum(
                f["dimensions"] * 4 for f in index.fields.values() if f["type"] in VECTORS
            )
            return {
                "documentCount": len(documents),
                "storageSize": len(documents) * (vectors + 1024),
                "vectorIndexSize": len(documents) * vectors,
            }

    def service_statistics(self, _: Call) -> Response:
        """GET /servicestats."""
        with self.lock:
            sizes = [self.sizes(index) for index in self.indexes.values()]
            used = {"indexesCount": len(self.indexes), "aliasesCount": len(self.aliases)}
        none = ("indexersCount", "dataSourcesCount", "synonymMaps", "skillsetCount")
        used |= dict.fromkeys(none, 0)
        for what in ("documentCount", "storageSize", "vectorIndexSize"):
            used[what] = sum(size[what] for size in sizes)
        quotas = {
            "indexesCount": self.max_indexes,
            "storageSize": self.storage_quota,
            "vectorIndexSize": self.vector_quota,
        }
        counters = {what: {"usage": n, "quota": quotas.get(what)} for what, n in used.items()}
        limits = {
            "maxFieldsPerIndex": 1000,
            "maxFieldNestingDepthPerIndex": 10,
            "maxComplexCollectionFieldsPerIndex": 40,
            "maxComplexObjectsInCollectionsPerDocument": 3000,
            "maxStoragePerIndex": self.storage_quota,
        }
        return answer(200, {"counters": counters, "limits": limits})

    def write(self, call: Call) -> Response:
        """POST /indexes('n')/docs/search.index."""
        request = call.request
        index = self.index(call.name)
        if len(request.body) > self.bytes:
            raise Rejected(413, "", "The request is too large.")
        sent = parse_body(request.body).get("value")
        if not isinstance(sent, list) or not sent:
            code = "MissingRequiredParameter"
            raise invalid(NO_ACTIONS, code, "MissingIndexDocumentsActions")
        if len(sent) > self.actions:
            raise Rejected(413, "", f"The request has more than {self.actions} actions.")
        if self.is_full and any(action.get("@search.action") != "delete" for action in sent):
            raise Rejected(403, "", STORAGE_QUOTA)
        actions = parse_batch(sent, index, index.fields_at(self.clock.now()))
        with index.lock:
            now, results = self.clock.now(), []
            for action in actions:
                most = self.max_documents
                room = most is None or len(index.latest) < most
                results.append(apply(index, action, now, self.delays, room))
        statuses = tuple(r["statusCode"] for r in results)
        if set(statuses) == {429}:
            raise Rejected(429, "", results[0]["errorMessage"])
        done = Batch(
            index.definition["name"],
            tuple((a.verb, a.key) for a in actions),
            statuses,
            len(request.body),
            now,
        )
        with self.lock:
            self.batches.append(done)
            if self.results_out_of_order:
                self.random.shuffle(results)
        return answer(200 if max(statuses) < 300 else 207, {"value": results})

    def put_knowledge(self, call: Call) -> Response:
        """PUT /knowledgesources('n') or /knowledgebases('n')."""
        kind, name = call.names
        body = parse_body(call.request.body)
        if kind == "knowledgebases":
            for each in body["knowledgeSources"]:
                if ("knowledgesources", each["name"]) not in self.knowledge:
                    raise invalid(f"Knowledge source '{each['name']}' was not found.")
        else:
            parameters = body["searchIndexParameters"]
            index = self.index(parameters["searchIndexName"])
            semantic = index.definition.get("semantic") or {}
            known = [each["name"] for each in semantic.get("configurations") or ()]
            if parameters["semanticConfigurationName"] not in known:
                raise invalid("The semantic configuration does not exist.")
            for each in parameters["sourceDataFields"]:
                if not index.fields.get(each["name"], {}).get("retrievable"):
                    raise invalid(f"The field '{each['name']}' is not retrievable.")
        status = 200 if (kind, name) in self.knowledge else 201
        self.knowledge[kind, name] = body
        return answer(status, body)

    def count(self, call: Call) -> Response:
        """GET /indexes('n')/docs/$count."""
        index = self.index(call.name)
        with index.lock:
            number = len(index.counted.at(self.clock.now()).by_key)
        return Response(200, f"\ufeff{number}".encode(), {"Content-Type": "text/plain"})

    def lookup(self, call: Call) -> Response:
        """GET /indexes('n')/docs('key')."""
        name, key = call.names
        index = self.index(name)
        only = parse_select(split_names(call.request.query.get("$select")), index.fields)
        with index.lock:
            replica = self.random.choice(index.replicas)
            document = replica.looked_up.at(self.clock.now()).by_key.get(key)
        if document is None:
            raise Silent(404)
        return answer(200, index.shown(document, only))

    def query(self, call: Call) -> Response:
        """POST /indexes('n')/docs/search.post.search."""
        body = parse_body(call.request.body)
        index = self.index(call.name)
        query = parse_query(body, index, index.fields_at(self.clock.now()))
        page = min(PAGE if query.top is None else query.top, MOST)
        with index.lock:
            replica = self.random.choice(index.replicas)
            documents = replica.searched.at(self.clock.now())
            # One more than is shown, to know whether there is another page.
            enough = None if body.get("count") else query.skip + page + 1
            hits = Reader(index, documents, self.vectorize).found(query, enough)
            if index.definition.get("permissionFilterOption") == "enabled":
                hits = filter_permitted(hits, call.request)
            if self.random.random() < self.short_pages:
                page = max(1, min(page, len(hits) - query.skip) // 2)
            result: Json = {}
            if body.get("count"):
                off = int(self.count_error * len(hits))
                result["@odata.count"] = len(hits) + self.random.choice((-off, off))
            shown = hits[query.skip : query.skip + page]
            result["value"] = [
                {"@search.score": score, **rerank(body, place), **index.shown(d, query.select)}
                for place, (d, score) in enumerate(shown)
            ]
        with self.lock:
            self.queries.append(body)
        left = None if query.top is None else query.top - len(shown)
        if len(hits) > query.skip + page and left != 0:
            following = {**body, "skip": query.skip + page}
            if left is not None:
                following["top"] = left
            result["@search.nextPageParameters"] = following
            host = call.request.headers.get("host")
            result["@odata.nextLink"] = f"https://{host}{call.request.path}?api-version={VERSION}"
        return answer(200, result)

    def put_alias(self, call: Call) -> Response:
        """PUT /aliases('a') or POST /aliases."""
        body = parse_body(call.request.body)
        name = str(body.get("name"))
        with self.lock:
            targets = body.get("indexes") or []
            if len(targets) != 1 or targets[0] not in self.indexes or name in self.indexes:
                raise invalid("alias : An alias maps to exactly one existing index.")
            if not NAME.fullmatch(name):
                raise Rejected(400, "InvalidName", f"Invalid alias name: {name}")
            existing = self.aliases.get(name)
            if existing and call.operation == "aliases":
                raise Rejected(400, "ResourceNameAlreadyInUse", f"Alias '{name}' already exists.")
            check_precondition(call.request, existing["@odata.etag"] if existing else None)
            alias: Json = {"name": name, "indexes": targets, "@odata.etag": self.etag()}
            # Before it is known everywhere, a new one is not found now and then.
            before = existing["indexes"][0] if existing else "nothing yet"
            if before != targets[0]:
                self.moved[name] = (before, self.clock.now() + self.delays.alias)
            self.aliases[name] = alias
        return answer(200 if existing else 201, alias, {"ETag": alias["@odata.etag"]})

    def list_aliases(self, _: Call) -> Response:
        """GET /aliases."""
        with self.lock:
            return answer(200, {"value": list(self.aliases.values())})

    def get_alias(self, call: Call) -> Response:
        """GET /aliases('a')."""
        with self.lock:
            if call.name not in self.aliases:
                raise Rejected(404, "", f"No alias with the name '{call.name}' was found.")
            return answer(200, self.aliases[call.name])

    def drop_alias(self, call: Call) -> Response:
        """DELETE /aliases('a')."""
        with self.lock:
            if self.aliases.pop(call.name, None) is None:
                raise Silent(404)
        return Response(204)

    def etag(self) -> str:
        """A new one, in its quotes."""
        return f'"0x8DE{next(self.etags):012X}"'


OPERATIONS: dict[tuple[str, str], Callable[[Search, Call], Response]] = {
    ("GET", "indexes"): Search.list_indexes,
    ("POST", "indexes"): Search.create,
    ("PUT", "index"): Search.define,
    ("GET", "index"): Search.describe,
    ("DELETE", "index"): Search.drop,
    ("GET", "statistics"): Search.statistics,
    ("GET", "service"): Search.service_statistics,
    ("POST", "write"): Search.write,
    ("GET", "count"): Search.count,
    ("GET", "lookup"): Search.lookup,
    ("POST", "query"): Search.query,
    ("GET", "aliases"): Search.list_aliases,
    ("POST", "aliases"): Search.put_alias,
    ("PUT", "alias"): Search.put_alias,
    ("GET", "alias"): Search.get_alias,
    ("DELETE", "alias"): Search.drop_alias,
    ("PUT", "knowledge"): Search.put_knowledge,
}


def parse_body(body: bytes) -> Json:
    """The object in a body; NaN and Infinity are not JSON. Raises Rejected."""
    try:
        value: Any = orjson.loads(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise invalid("The body is not a JSON object.")
    return value


def check_precondition(request: Request, etag: str | None) -> None:
    """Raises Rejected unless If-Match and If-None-Match hold."""
    match, none = request.headers.get("if-match"), request.headers.get("if-none-match")
    if none == "*" and etag is not None:
        raise Rejected(412, "", "The precondition given in If-None-Match was not met.")
    if match is not None and (etag is None or match not in {"*", etag}):
        raise Rejected(412, "", "The precondition given in one of the request headers was not met.")


def describe_index(index: Index) -> Json:
    """The definition as it is answered."""
    return {"@odata.etag": index.etag, **index.definition}


def pick(item: Json, only: Sequence[str]) -> Json:
    """Only some keys, or all."""
    return {key: item.get(key) for key in only} if only else item


def filter_permitted(hits: list[tuple[Json, float]], request: Request) -> list[tuple[Json, float]]:
    """Documents that a query without a user's token finds in an index with permission filters."""
    if request.headers.get("x-ms-enable-elevated-read") == "true":
        return hits
    return [hit for hit in hits if "all" in (*hit[0].get("oids", ()), *hit[0].get("groups", ()))]


def rerank(body: Json, place: int) -> Json:
    """Fields that a semantic query adds to a hit; the order stays."""
    if body.get("queryType") != "semantic":
        return {}
    return {"@search.rerankerScore": round(4 / (1 + place / 10), 6)}


def list_fields(document: Json, index: Index) -> Json:
    """A document with all fields of its index, its vectors as lists."""
    values = {name: document.get(name) for name in index.fields}
    return {n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in values.items()}
