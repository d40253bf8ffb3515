"""Azure OpenAI: embeddings and chats, on the URLs of a deployment and of v1.

One input that is too long costs the whole request, a missing role is a 401, and a request that is
larger than the quota is told to come back tomorrow.
"""

from __future__ import annotations

import base64
import json
import math
import random
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import toktok

from tests.emulator.chat import Chat
from tests.emulator.clock import Clock
from tests.emulator.identity import OPENAI_USER, TENANT, Identity, Principal
from tests.emulator.quotas import Quotas, Refused, invalid, parse_body
from tests.emulator.server import Json, Request, Response, answer, failure
from tests.emulator.vectors import Embed, Vectors, hash_texts

AUDIENCES = ("https://cognitiveservices.azure.com", "https://ai.azure.com")
ROLES = (OPENAI_USER, "Cognitive Services OpenAI Contributor", "Cognitive Services User")
MODELS = "/openai/models"
ROUTE = re.compile(r"/openai/(?:(v1)|deployments/([^/]+))/(embeddings|chat/completions)/?")
CHARACTERS_A_TOKEN = 4  # the quota counts characters, as it must answer before it tokenizes

# What every client and proxy sends. Others count as custom, of which there may be ten.
USUAL = re.compile(
    r"(accept|accept-encoding|accept-language|api-key|authorization|connection|content-.*|host"
    r"|user-agent|x-stainless-.*|x-ms-.*|transfer-encoding|expect|cookie)"
)

Input: TypeAlias = str | tuple[int, ...]  # a text, or the tokens of one


@dataclass(frozen=True)
class Deployment:
    """A model under a name."""

    model: str = "text-embedding-3-large"
    dimensions: int = 3072  # the most, and without a wish the number; 0 for a chat model


@dataclass(frozen=True)
class Embedded:
    """A request that was accepted, and so would be billed, whether or not its answer arrived."""

    inputs: tuple[Input, ...]
    tokens: int  # billed
    estimated: int  # counted against the quota
    size: int  # bytes of the request
    dimensions: int
    route: str  # v1, or deployments
    deployment: str
    at: float  # by the emulator's clock


class OpenAI(Quotas):
    """One resource. Its attributes may be set at any time."""

    operation = "Embeddings_Create"

    def __init__(self, identity: Identity, clock: Clock, embed: Embed = hash_texts) -> None:
        super().__init__(clock)
        self.identity = identity
        self.embed = embed
        self.chat = Chat(clock)
        self.deployments: dict[str, Deployment] = {}
        self.retirements: dict[str, float] = {}  # of models, in seconds since the epoch
        self.audiences = AUDIENCES
        self.key = uuid.uuid4().hex
        self.local_auth = False  # whether the key is accepted

        self.inputs = 2048  # limits of one request
        self.tokens = 8192  # of one input
        self.total = 300_000  # tokens of all inputs
        self.custom_headers = 10
        self.is_closed = False  # whether the firewall rejects everybody
        self.recorded: dict[str, Response] = {}  # of the real service, by the kind of a refusal

        self.latency = 0.0  # seconds, and by token
        self.latency_per_token = 0.0
        self.out_of_order = False  # the embeddings come in any order
        # What the model makes of a text: "" for its vector, a status, null, NaN, zeros or short.
        self.spoilt: Callable[[str], str] = lambda _: ""

        self.requests: list[Embedded] = []
        self.throttled: list[float] = []  # when a request was refused for a quota
        self.texts: Counter[str] = Counter()  # how often each was embedded
        self.statuses: Counter[int] = Counter()
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        self.random = random.Random(0)

    @property
    def repeated(self) -> dict[str, int]:
        """The texts that were paid for more than once, and how often."""
        return {text: count for text, count in self.texts.items() if count > 1}

    def serve(self, request: Request) -> Response:
        """Answer one request."""
        with self.present():
            try:
                response = self.embeddings(request)
            except Refused as refused:
                response = self.recorded.get(refused.kind, refused.response)
        with self.lock:
            self.statuses[response.status] += 1
            if response.status == 429:
                self.throttled.append(self.clock.now())
        headers = {"apim-request-id": str(uuid.uuid4()), "x-ms-region": "Loopback"}
        return Response(response.status, response.body, {**headers, **response.headers})

    @contextmanager
    def present(self) -> Iterator[None]:
        """Counts who is being served at the same time."""
        with self.lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            yield
        finally:
            with self.lock:
                self.at_once -= 1

    def embeddings(self, request: Request) -> Response:
        """Check identity, quota and form of a request, then embed. Raises Refused."""
        started = time.monotonic()
        if sum(not USUAL.fullmatch(name) for name in request.headers) > self.custom_headers:
            raise Refused(failure(431, "431", "Request Header Fields Too Large"))
        route = ROUTE.fullmatch(request.path)
        self.authorize(request, v1=route is not None and route[1] is not None)
        if (request.method, request.path) == ("GET", MODELS) and "api-version" in request.query:
            return answer(200, {"object": "list", "data": self.listed()})
        if route is None or request.method != "POST" or not has_version(request, route):
            raise Refused(failure(404, "404", "Resource not found"))

        body = parse_body(request.body)
        name = route[2] or str(body.get("model"))
        deployment = self.deployments.get(name)
        if deployment is None:
            raise Refused(failure(404, "DeploymentNotFound", NO_DEPLOYMENT), "missing deployment")
        is_chat_model = deployment.dimensions == 0
        if is_chat_model != (route[3] != "embeddings"):
            raise Refused(failure(400, "OperationNotSupported", WRONG_MODEL.format(route[3])))
        if is_chat_model:
            return self.chat.complete(body, deployment.model, request)
        inputs = parse_inputs(body.get("input"))
        estimated = estimate(inputs)
        limits = self.admit(estimated, request)
        dimensions = self.validated(body, inputs, deployment)
        counts = self.counted(inputs)

        spoilt = {n: kind for n, i in enumerate(inputs) if (kind := self.spoilt(plain_text(i)))}
        if status := next(filter(str.isdigit, spoilt.values()), ""):
            error = {"message": UNSUPPORTED_VALUE, "type": "api_error"}
            raise Refused(answer(int(status), {"error": error}))
        vectors = self.embed([plain_text(i) for i in inputs], dimensions)
        tokens = sum(counts)
        accepted = Embedded(
            tuple(inputs),
            tokens,
            estimated,
            len(request.body),
            dimensions,
            "v1" if route[1] else "deployments",
            name,
            self.clock.now(),
        )
        with self.lock:
            self.requests.append(accepted)
            self.texts.update(i for i in inputs if isinstance(i, str))
        wanted = self.latency + self.latency_per_token * tokens
        request.pause(wanted - (time.monotonic() - started))
        return self.result(body, vectors, deployment.model, tokens, limits, spoilt)

    def listed(self) -> list[Json]:
        """The models that can be deployed, each with the day from which on it does not answer."""
        return [
            {"id": name, "object": "model", "deprecation": {"inference": seconds}}
            for name, seconds in self.retirements.items()
        ]

    def authorize(self, request: Request, *, v1: bool) -> None:
        """Key or token, and the role. Raises Refused."""
        if self.is_closed:
            raise Refused(failure(403, "403", CLOSED), "firewall")
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        key = request.headers.get("api-key")
        if v1 and key is None and bearer and bearer.count(".") != 2:
            key = bearer  # what OpenAI(api_key="...") makes of a key
        if key is not None and not self.local_auth:
            message = "Key based authentication is disabled for this resource."
            raise Refused(failure(403, "AuthenticationTypeDisabled", message), "wrong key")
        if key is not None:
            if key != self.key:
                raise Refused(failure(401, "401", WRONG_KEY), "wrong key")
            return
        token = self.identity.shown(request)
        if token is not None and token.tenant != TENANT:
            raise Refused(failure(400, WRONG_TENANT, STRANGER.format(token.tenant)))
        principal = self.identity.bearer(request, self.audiences)
        if principal is None:
            known = "bad token" if bearer else "no credentials"
            raise Refused(answer(401, {"statusCode": 401, "message": BAD_TOKEN}), known)
        if not self.identity.has(principal, *ROLES):
            denied = failure(401, "PermissionDenied", self.denied(principal))
            raise Refused(denied, "missing role")

    def denied(self, principal: Principal) -> str:
        """Error for a missing role; for a while after its assignment, another one."""
        if self.identity.propagating(principal, *ROLES):
            return "Principal does not have access to API/Operation."
        return NO_ROLE.format(principal.oid)

    def validated(self, body: Json, inputs: Sequence[Input], deployment: Deployment) -> int:
        """The dimensions to give, of a request that is well-formed. Raises Refused."""
        if not inputs or len(inputs) > self.inputs or not all(inputs):
            kind = "too many inputs" if len(inputs) > self.inputs else ""
            raise Refused(invalid("'$.input' is invalid. " + REFERENCE), kind)
        if body.get("encoding_format", "float") not in {"float", "base64"}:
            raise Refused(invalid("'$.encoding_format' is invalid. " + REFERENCE))
        wanted = body.get("dimensions", deployment.dimensions)
        if "dimensions" in body and "-3-" not in deployment.model:
            raise Refused(invalid("This model does not support specifying dimensions."))
        if type(wanted) is not int or not 1 <= wanted <= deployment.dimensions:
            most = deployment.dimensions
            message = (
                f"Invalid value for 'dimensions' = {wanted}. Must be less than or equal to {most}."
            )
            raise Refused(invalid(message))
        return wanted

    def counted(self, inputs: Sequence[Input]) -> list[int]:
        """The tokens of each input. Raises Refused if one, or all together, are too many."""
        texts = [i for i in inputs if isinstance(i, str)]
        found = iter(toktok.batch_count(texts, "cl100k_base", threads=1) if texts else ())
        counts = [next(found) if isinstance(i, str) else len(i) for i in inputs]
        for number, count in enumerate(counts):
            if count > self.tokens and len(inputs) == 1:
                message = f"Invalid 'input': maximum context length is {self.tokens} tokens."
                raise Refused(invalid(message), "input too long")
            if count > self.tokens:
                message = (
                    f"Invalid 'input[{number}]': maximum input length is {self.tokens} tokens."
                )
                raise Refused(invalid(message))
        if sum(counts) > self.total:
            message = f"Requested {sum(counts)} tokens, max {self.total} tokens per request"
            kind = "max_tokens_per_request"
            raise Refused(invalid(message, kind, kind))
        return counts

    def result(  # noqa: PLR0913, PLR0917 - all that an answer consists of
        self,
        body: Json,
        vectors: Vectors,
        model: str,
        tokens: int,
        headers: dict[str, str],
        spoilt: Mapping[int, str],
    ) -> Response:
        """The embeddings as the SDK expects them."""
        if body.get("encoding_format") == "base64":
            rows = vectors.astype("<f4", copy=False)
            shown = [f'"{base64.b64encode(row.tobytes()).decode()}"' for row in rows]
        else:
            shown = [json.dumps(row) for row in vectors.tolist()]
        for number, kind in spoilt.items():
            row = {"zeros": vectors[number] * 0, "short": vectors[number][:-1]}
            shown[number] = (
                json.dumps(row[kind].tolist())
                if kind in row
                else {"null": "null", "NaN": f"[NaN{', 0.5' * (vectors.shape[1] - 1)}]"}[kind]
            )
        data = [
            f'{{"object":"embedding","index":{number},"embedding":{text}}}'
            for number, text in enumerate(shown)
        ]
        if self.out_of_order:
            with self.lock:
                self.random.shuffle(data)
        usage = json.dumps({"prompt_tokens": tokens, "total_tokens": tokens})
        text = f'{{"object":"list","data":[{",".join(data)}],"model":"{model}","usage":{usage}}}'
        return Response(200, text.encode(), {"Content-Type": "application/json", **headers})


def has_version(request: Request, route: re.Match[str]) -> bool:
    """Return whether the URL has the api-version that it needs; v1 needs none."""
    return bool(route[1]) or "api-version" in request.query


def parse_inputs(value: Any) -> list[Input]:
    """The inputs of a request in any of its four forms; none of a value that has another."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and value and all(type(item) is int for item in value):
        return [tuple(value)]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    if isinstance(value, list) and all(isinstance(item, list) for item in value):
        return [tuple(item) for item in value]
    return []


def estimate(inputs: Sequence[Input]) -> int:
    """Tokens charged to the quota: estimated from characters, unlike the billed ones."""
    texts = sum(len(i) for i in inputs if isinstance(i, str))
    return math.ceil(texts / CHARACTERS_A_TOKEN) + sum(
        len(i) for i in inputs if not isinstance(i, str)
    )


def plain_text(item: Input) -> str:
    """Something to embed; tokens are not turned back into their text."""
    return item if isinstance(item, str) else " ".join(map(str, item))


WRONG_MODEL = "The {} operation does not work with the specified model."
UNSUPPORTED_VALUE = "failed to encode response: json: unsupported value: NaN"  # as Ollama says it
REFERENCE = "Please check the API reference: https://platform.openai.com/docs/api-reference."
NO_DEPLOYMENT = (
    "The API deployment for this resource does not exist. If you created the deployment within the "
    "last 5 minutes, please wait a moment and try again."
)
WRONG_KEY = (
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a "
    "valid key for an active subscription and use a correct regional API endpoint for your "
    "resource."
)
CLOSED = "Public access is disabled. Please configure private endpoint."
BAD_TOKEN = (
    "Unauthorized. Access token is missing, invalid, audience is incorrect "
    "(https://cognitiveservices.azure.com), or have expired."
)
WRONG_TENANT = "Tenant provided in token does not match resource token"
STRANGER = "Token tenant {} does not match resource tenant."
NO_ROLE = (
    "The principal `{}` lacks the required data action "
    "`Microsoft.CognitiveServices/accounts/OpenAI/deployments/embeddings/action` to perform "
    "`POST /openai/deployments/{{deployment-id}}/embeddings` operation."
)
