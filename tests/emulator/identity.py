"""Managed identity, workload identity and client secrets: what gives out tokens.

The expiry that the SDK is told (`lifetime`, by the machine's clock) and the one the services
enforce (`valid`, by the emulator's clock) are apart: the SDK asks again for every call if told of
less than 310 s, so a test cannot wait for a real expiry.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from tests.emulator.clock import Clock
from tests.emulator.server import Json, Request, Response, answer

TENANT = "11111111-2222-3333-4444-555555555555"
OPENAI_USER = "Cognitive Services OpenAI User"
COGNITIVE_USER = "Cognitive Services User"
DATA_READER = "Search Index Data Reader"
DATA_CONTRIBUTOR = "Search Index Data Contributor"
SERVICE_CONTRIBUTOR = "Search Service Contributor"
BLOB_READER = "Storage Blob Data Reader"
BLOB_OWNER = "Storage Blob Data Owner"
BLOB_CONTRIBUTOR = "Storage Blob Data Contributor"
QUEUE_PROCESSOR = "Storage Queue Data Message Processor"


@dataclass
class Principal:
    """Someone who can get tokens, and the roles that were assigned."""

    client_id: str
    oid: str
    roles: dict[str, float] = field(default_factory=dict)  # and from which time they work

    def grant(self, *roles: str, at: float = 0.0) -> None:
        """Assign roles; until the emulator's clock says `at`, they are still propagating."""
        self.roles |= dict.fromkeys(roles, at)

    def withdraw(self, *roles: str) -> None:
        """Take roles away."""
        for role in roles:
            self.roles.pop(role, None)


@dataclass(frozen=True)
class Token:
    """Claims of a token, and its number in the order of issue."""

    principal: Principal
    audience: str
    expires: float  # by the emulator's clock
    number: int
    tenant: str = TENANT


class Identity:
    """The token service. A request that names no client gets the first principal's token."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.tenant = TENANT  # that tokens are from; the services are of TENANT
        self.secret = uuid.uuid4().hex
        self.lifetime = 86_400.0  # seconds, as told to the SDK
        self.valid: float | None = None  # seconds, as enforced; None: the same
        self.latency = 0.0
        self.requests = 0  # for tokens, whatever became of them
        self.issued: dict[str, Token] = {}
        self.audiences: list[str] = []  # of the tokens issued, in order
        self.principals: dict[str, Principal] = {}
        self.revoked = 0  # tokens up to this number are void
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()
        self.principal("app")
        self.default.grant(
            *(OPENAI_USER, DATA_READER, DATA_CONTRIBUTOR, SERVICE_CONTRIBUTOR),
            *(BLOB_READER, QUEUE_PROCESSOR),
        )

    @property
    def default(self) -> Principal:
        """Principal of a client that names no identity."""
        return next(iter(self.principals.values()))

    def principal(self, name: str) -> Principal:
        """One more principal, without roles; its ids depend on the name only."""
        client, oid = (str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{k}.{name}")) for k in ("c", "o"))
        made = Principal(client, oid)
        self.principals[made.client_id] = made
        return made

    def revoke_all(self) -> None:
        """No token issued until now is accepted any more. Clients are not told."""
        with self.lock:
            self.revoked = max((t.number for t in self.issued.values()), default=0)

    def issue(self, principal: Principal, audience: str) -> str:
        """A JWT whose signature is no signature."""
        now = self.clock.now()
        with self.lock:
            number = next(self.numbers)
            expires = now + (self.lifetime if self.valid is None else self.valid)
            claims = {
                "aud": audience,
                "iss": f"https://sts.windows.net/{self.tenant}/",
                "iat": int(now),
                "nbf": int(now),
                "exp": int(expires),
                "appid": principal.client_id,
                "oid": principal.oid,
                "tid": self.tenant,
                "jti": str(number),
            }
            header = {"alg": "none", "typ": "JWT"}
            text = ".".join([*(encode_part(json.dumps(part)) for part in (header, claims)), "c2ln"])
            self.issued[text] = Token(principal, audience.rstrip("/"), expires, number, self.tenant)
            self.audiences.append(audience)
        return text

    def bearer(self, request: Request, audiences: tuple[str, ...]) -> Principal | None:
        """Principal of a request whose token is valid for one of the audiences."""
        token = self.shown(request)
        if token is None or token.number <= self.revoked or token.tenant != TENANT:
            return None
        if token.audience not in audiences or token.expires <= self.clock.now():
            return None
        return token.principal

    def shown(self, request: Request) -> Token | None:
        """The token that came with a request, good for anything or not."""
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        return self.issued.get(text) if kind.lower() == "bearer" else None

    def has(self, principal: Principal, *roles: str) -> bool:
        """Return whether the principal has one of the roles, and it works already."""
        now = self.clock.now()
        return any(principal.roles.get(role, now + 1) <= now for role in roles)

    def propagating(self, principal: Principal, *roles: str) -> bool:
        """Return whether one of the roles was assigned but does not work yet."""
        return any(role in principal.roles for role in roles)

    def serve(self, request: Request) -> Response:
        """Answer one request to any of the token endpoints."""
        if request.path.endswith("/.well-known/openid-configuration"):
            return self.discovery(request)
        with self.lock:
            self.requests += 1
        request.pause(self.latency)
        if request.path == "/msi/token":
            return self.app_service(request)
        if request.path == "/metadata/identity/oauth2/token":
            return self.imds(request)
        if re.fullmatch(r"/[^/]+/oauth2/v2\.0/token", request.path):
            return self.entra(request)
        return answer(404, {"error": "not_found", "error_description": request.path})

    def app_service(self, request: Request) -> Response:
        """App Service and Container Apps."""
        if request.headers.get("x-identity-header") != self.secret:
            return answer(401, {"statusCode": 401, "message": "The identity header is wrong."})
        resource = request.query.get("resource")
        if request.query.get("api-version") != "2019-08-01" or not resource:
            return answer(400, {"statusCode": 400, "message": "api-version or resource is wrong."})
        principal = self.named(request.query)
        if principal is None:
            return answer(400, {"statusCode": 400, "message": "No User Assigned Identity found."})
        return answer(200, self.token(principal, resource) | {"client_id": principal.client_id})

    def imds(self, request: Request) -> Response:
        """The metadata service of a virtual machine."""
        resource = request.query.get("resource")
        principal = self.named(request.query)
        if request.headers.get("metadata") != "true" or not resource or principal is None:
            message = "Identity not found" if resource else "Required metadata header not specified"
            return answer(400, {"error": "invalid_request", "error_description": message})
        body = self.token(principal, resource)
        return answer(200, body | {"expires_in": str(int(self.lifetime))})

    def entra(self, request: Request) -> Response:
        """Client credentials, by secret or by a federated token."""
        form = dict(parse_qsl(request.body.decode()))
        principal = self.principals.get(form.get("client_id", ""))
        if principal is None:
            message = "AADSTS700016: Application was not found in the directory."
            return answer(400, {"error": "unauthorized_client", "error_description": message})
        audience = form.get("scope", "").removesuffix("/.default")
        seconds = int(self.lifetime)
        made = self.issue(principal, audience)
        body = {"expires_in": seconds, "ext_expires_in": seconds, "access_token": made}
        return answer(200, {"token_type": "Bearer"} | body)

    def discovery(self, request: Request) -> Response:
        """OpenID configuration, which a client of Microsoft Entra ID reads first."""
        root = f"https://{request.headers.get('host')}/{TENANT}"
        return answer(
            200,
            {
                "issuer": f"{root}/v2.0",
                "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
                "token_endpoint": f"{root}/oauth2/v2.0/token",
            },
        )

    def named(self, query: Mapping[str, str]) -> Principal | None:
        """The principal that a query names by client or object id."""
        wanted = query.get("client_id") or query.get("object_id")
        if not wanted:
            return self.default
        return next((p for p in self.principals.values() if wanted in (p.client_id, p.oid)), None)

    def token(self, principal: Principal, resource: str) -> Json:
        """Response of both managed identity protocols."""
        return {
            "access_token": self.issue(principal, resource),
            "expires_on": str(int(time.time() + self.lifetime)),
            "resource": resource,
            "token_type": "Bearer",
        }


def encode_part(text: str) -> str:
    """The text as a part of a JWT."""
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
