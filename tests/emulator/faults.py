"""Faults between a client and a service, before or after the work was done.

A fault stands between the two: it is given the request and the service, and decides what becomes
of both. By schedule:

    faults.add(too_many(ms=20), "search", "POST", "docs/search.index", nth=3)

or at random, with a rate and a seed:

    faults.randomly(0.2, seed=7)

At random, every request draws, in the order of arrival, whether it fails and then one of the kinds
in FITTING for its route, all equally likely:

* embeddings: 429 with Retry-After 0, with retry-after-ms, with x-ratelimit-reset-* only, and bare;
  408, 500, 502, 503 with and without a body, 504; 401 as if the token had been revoked; a 200 with
  an empty body, with and without the work; the answer lost; the connection reset before the work;
  a body that ends in the middle; a slow answer;
* documents, written: all of these, and 503 with a list of results for a body, and a 207 that
  refuses some documents with 503, 422 or 409 and carries out the rest;
* documents, read, and indexes: all of these but the last two, and without 2xx with an empty body;
* tokens: 500, 429 with and without Retry-After, a reset, a slow answer.

Waits that are asked for are of 10 to 50 ms where milliseconds can be said, else 0 or 1 s.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import TypeAlias

from tests.emulator.openai import BAD_TOKEN
from tests.emulator.search import BUSY
from tests.emulator.server import Cut, Json, Request, Response, Service, answer, failure
from tests.emulator.store import result

Act: TypeAlias = Callable[[Request, Service], Response]

TOO_BUSY = "The search service is too busy to process this document. Please try again later."
REFUSALS = {
    409: "The document was changed by another request at the same time.",
    422: "The index is temporarily unavailable.",
    503: TOO_BUSY,
}


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, and what it is called in the list of what happened."""

    name: str
    act: Act


def answer_with(name: str, response: Response) -> Fault:
    """This response, and no work."""
    return Fault(name, lambda _request, _service: response)


def too_many(
    seconds: float | None = None, ms: int | None = None, reset: int | None = None
) -> Fault:
    """429; with Retry-After, retry-after-ms or x-ratelimit-reset-tokens, any or none of them."""
    values = {"Retry-After": seconds, "retry-after-ms": ms, "x-ratelimit-reset-tokens": reset}
    headers = {name: f"{value:g}" for name, value in values.items() if value is not None}
    response = failure(429, "429", f"Rate limit is exceeded. Try again in {seconds or 1} seconds.")
    return answer_with("429", replace(response, headers={**response.headers, **headers}))


def fail_with(status: int, *, body: bool = True, seconds: float | None = None) -> Fault:
    """An error of the service: 408, 500, 502, 503, 504; perhaps without a body."""
    headers = {} if seconds is None else {"Retry-After": f"{seconds:g}"}
    response = failure(status, "", BUSY) if body else Response(status)
    return answer_with(str(status), replace(response, headers={**response.headers, **headers}))


def unauthorized() -> Fault:
    """401, as if the token had been revoked."""

    def act(request: Request, _: Service) -> Response:
        if request.path.startswith("/openai"):
            return answer(401, {"statusCode": 401, "message": BAD_TOKEN})
        return Response(401, b"", {"WWW-Authenticate": "Bearer"})

    return Fault("401", act)


def answer_empty(*, work: bool = True) -> Fault:
    """200 with nothing in it."""

    def act(request: Request, service: Service) -> Response:
        if not work:
            return Response(200)
        done = service(request)
        return Response(done.status) if done.status < 300 else done

    return Fault("empty" if work else "empty, undone", act)


def drop() -> Fault:
    """The work is done, but the connection ends without an answer."""
    return Fault("lost", lambda request, service: replace(service(request), cut=Cut.CLOSED))


def reset_connection() -> Fault:
    """The connection is reset, and no work is done. Over TLS, Python only sees that it ended."""
    return answer_with("reset", Response(0, cut=Cut.RESET))


def truncate() -> Fault:
    """The work is done, but its answer ends in the middle."""
    return Fault("truncated", lambda request, service: replace(service(request), cut=Cut.TRUNCATED))


def delay(seconds: float, *, work: bool = True) -> Fault:
    """The answer takes its time; without work the connection then ends, as in a timeout."""

    def act(request: Request, service: Service) -> Response:
        if not work:
            request.pause(seconds)
            return Response(0, cut=Cut.CLOSED)
        response = service(request)
        request.pause(seconds)
        return response

    return Fault("slow" if work else "silent", act)


def results_503() -> Fault:
    """503 whose body is the list of results that a 207 would have; no work is done."""

    def act(request: Request, _: Service) -> Response:
        actions = batch(request)
        key = key_field(actions)
        return answer(503, {"value": [result(a.get(key, ""), 503, TOO_BUSY) for a in actions]})

    return Fault("503 with results", act)


def refuse(
    status: int = 503, *, every: int = 2, first: int = 0, keys: Collection[str] | None = None
) -> Fault:
    """207: some documents are not written, the others are.

    Those with the given keys, else one in `every`, beginning with the `first`.
    """

    def act(request: Request, service: Service) -> Response:
        actions = batch(request)
        key = key_field(actions)
        out = [
            a.get(key) in keys if keys is not None else n % every == first % every
            for n, a in enumerate(actions)
        ]
        kept = [a for a, is_out in zip(actions, out, strict=True) if not is_out]
        done: list[Json] = []
        if kept:
            body = json.dumps({"value": kept}).encode()
            response = service(replace(request, body=body))
            if response.status not in {200, 207}:
                return response
            done = json.loads(response.body)["value"]
        made = [
            result(a.get(key, ""), status, REFUSALS.get(status, "Refused."))
            for a, is_out in zip(actions, out, strict=True)
            if is_out
        ]
        return answer(207 if made else 200, {"value": done + made})

    return Fault(f"207 with {status}", act)


def batch(request: Request) -> list[Json]:
    """The actions of a batch; none of what is not one."""
    try:
        sent = json.loads(request.body)["value"]
    except (ValueError, KeyError, TypeError):
        return []
    return sent if isinstance(sent, list) else []


def key_field(actions: list[Json]) -> str:
    """The name of the key: the only field that a delete has, else `id`."""
    names = set.intersection(*(set(a) for a in actions)) if actions else set()
    names.discard("@search.action")
    return "id" if "id" in names or len(names) != 1 else next(iter(names))


COMMON = (
    too_many(seconds=0),
    too_many(ms=10),
    too_many(ms=50),
    too_many(reset=1),
    too_many(),
    fail_with(408),
    fail_with(500),
    fail_with(502),
    fail_with(503),
    fail_with(503, body=False),
    fail_with(503, seconds=0),
    fail_with(504, body=False),
    unauthorized(),
    drop(),
    reset_connection(),
    truncate(),
    delay(0.05),
)
EMPTY = (answer_empty(), answer_empty(work=False))
REFUSED = (results_503(), refuse(503), refuse(422, every=3), refuse(409, every=5, first=1))
FITTING = {
    "embeddings": COMMON + EMPTY,
    "docs/search.index": COMMON + EMPTY + REFUSED,
    "": COMMON,
}
TOKENS = (
    fail_with(500),
    too_many(),
    too_many(seconds=1),
    reset_connection(),
    delay(0.05),
)


@dataclass
class Planned:
    """A fault for some of the requests that match."""

    fault: Fault
    service: str
    method: str
    path: str  # a part of it
    due: Callable[[int], bool]  # of the number of the matching request, from 1
    seen: int = 0

    def takes(self, service: str, request: Request) -> bool:
        """Count the request, if it matches, and say whether its turn has come."""
        fits = self.service == service and self.path in request.path
        if not fits or self.method not in {"", request.method}:
            return False
        self.seen += 1
        return self.due(self.seen)


class Faults:
    """All faults of one emulator, and what came of them."""

    def __init__(self) -> None:
        self.planned: list[Planned] = []
        self.happened: list[tuple[str, str, str, str]] = []  # service, method, path, fault
        self.lock = threading.Lock()
        self.quiet()

    def quiet(self) -> None:
        """No more faults at all."""
        self.rate = 0.0
        self.random = random.Random(0)
        self.services: Collection[str] = ()
        self.without: Collection[str] = ()
        self.planned.clear()

    def add(
        self,
        fault: Fault,
        service: str,
        method: str = "",
        path: str = "",
        nth: int | Collection[int] | None = None,
    ) -> Planned:
        """Plan a fault for the nth matching request from now on, several, or with None all."""
        numbers = {nth} if isinstance(nth, int) else nth
        planned = Planned(
            fault, service, method, path, lambda number: numbers is None or number in numbers
        )
        with self.lock:
            self.planned.append(planned)
        return planned

    def randomly(
        self,
        rate: float,
        seed: int = 0,
        services: Collection[str] = ("openai", "search"),
        without: Collection[str] = (),
    ) -> None:
        """Let a share of the requests to some services fail; `without` names kinds to leave out.

        Add "identity" to the services for faults of the token endpoint: MSAL remembers a failure
        for some seconds, which makes tests slow.
        """
        with self.lock:
            self.rate, self.random = rate, random.Random(seed)
            self.services, self.without = services, without

    def around(self, name: str, service: Service) -> Service:
        """The service, with faults."""

        def faulty(request: Request) -> Response:
            fault = self.pick(name, request)
            return service(request) if fault is None else fault.act(request, service)

        return faulty

    def pick(self, service: str, request: Request) -> Fault | None:
        """The fault that this request meets, if any. All that match are counted."""
        with self.lock:
            fault = None
            for planned in self.planned:
                if planned.takes(service, request) and fault is None:
                    fault = planned.fault
            if fault is None and service in self.services and self.random.random() < self.rate:
                fault = self.random.choice(self.fitting(service, request))
            if fault is not None:
                self.happened.append((service, request.method, request.path, fault.name))
        return fault

    def fitting(self, service: str, request: Request) -> list[Fault]:
        """The kinds that can happen here at random."""
        kinds: tuple[Fault, ...] = TOKENS
        if service != "identity":
            kinds = next(f for part, f in FITTING.items() if part in request.path)
        return [fault for fault in kinds if fault.name not in self.without]
