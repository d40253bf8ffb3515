"""All of Azure that `ingest` speaks to, started and stopped in a moment.

    with emulator() as azure:
        for name, value in azure.environment.items():
            monkeypatch.setenv(name, value)
        azure.openai.tpm = 60_000
        azure.faults.add(lost(), "search", "POST", "docs/search.index", nth=2)
        ...
        assert azure.openai.repeated == {}

The client may be this process or any other one on this machine.
"""

from __future__ import annotations

import os
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from tests.emulator.blob import ACCOUNT, Storage
from tests.emulator.clock import Clock
from tests.emulator.faults import Faults
from tests.emulator.identity import Identity
from tests.emulator.live import RECORDING_VARIABLE, apply_recording, read_recording
from tests.emulator.ocr import DocumentIntelligence
from tests.emulator.openai import Deployment, OpenAI
from tests.emulator.queue import Queues
from tests.emulator.search import Search
from tests.emulator.server import Request, Response, Service, serve
from tests.emulator.vectors import Embed, hash_texts

CLIENT_SPEED = 20  # the waits of a client in the tests are so many times shorter than real ones
LAG_SECONDS = 1 / CLIENT_SPEED  # one second; tests that need more say so
FIGURES = "figures"  # a deployment of a model that sees pictures
SHORT_PAGES = 0.1  # share of answers to queries that are continued sooner than asked for


@dataclass(frozen=True)
class Exchange:
    """One request and how it was answered."""

    service: str  # identity, openai, search, ocr, blob or queue
    method: str
    path: str
    status: int  # 0 if the connection ended without an answer
    size: int  # bytes of the request
    seconds: float
    named: str = ""  # what the client calls the request


@dataclass
class Azure:
    """Running services. Their attributes are the settings and the counters."""

    clock: Clock
    identity: Identity
    openai: OpenAI
    search: Search
    blob: Storage
    queue: Queues
    ocr: DocumentIntelligence
    faults: Faults
    ca: Path
    exchanges: list[Exchange] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)  # what a client process needs
    openai_endpoint: str = ""
    search_endpoint: str = ""
    blob_endpoint: str = ""  # with the account's name, as an emulated account has it
    queue_endpoint: str = ""  # likewise
    ocr_endpoint: str = ""
    identity_endpoint: str = ""  # managed identity, over http
    authority: str = ""  # the token service of Entra, over https
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, service: str, method: str = "", path: str = "") -> int:
        """Count the requests to a service, by method and by a part of the path."""
        return sum(
            e.service == service and path in e.path and method in {"", e.method}
            for e in list(self.exchanges)
        )

    def noted(self, name: str, service: Service) -> Service:
        """The service, with a line in `exchanges` for each request."""

        def noting(request: Request) -> Response:
            started = time.monotonic()
            response = service(request)
            seconds = time.monotonic() - started
            status = 0 if response.cut else response.status
            size = len(request.body)
            named = request.headers.get("x-ms-client-request-id", "")
            line = Exchange(name, request.method, request.path, status, size, seconds, named)
            with self.lock:
                self.exchanges.append(line)
            return response

        return noting

    def whole(self, name: str, service: Service) -> Service:
        """A service as it is served."""
        return self.noted(name, self.faults.around(name, service))


@contextmanager
def run_emulator(  # noqa: PLR0913 - each has a default
    *,
    embed: Embed = hash_texts,
    deployment: str = "embeddings",
    model: Deployment | None = None,
    dimensions: int = 1536,
    index: str = "chunks",
    lag: float | None = None,
) -> Iterator[Azure]:
    """Azure with one deployment of a model and no index; ports are free ones of 127.0.0.1.

    `dimensions` and `index` only say what the environment asks a client to use. `lag` is how long
    the slower of two replicas takes to show what was written, by query and by key; None: as a
    recording of the real service tells (tests/emulator/live.py), else LAG_SECONDS.
    """
    clock = Clock()
    identity = Identity(clock)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="azure-")))
        azure = Azure(
            clock,
            identity,
            OpenAI(identity, clock, embed),
            Search(identity, clock, embed),
            Storage(identity, clock),
            Queues(identity, clock),
            DocumentIntelligence(identity, clock),
            Faults(),
            folder / "ca.pem",
        )
        azure.search.short_pages = SHORT_PAGES
        azure.search.delays.search = azure.search.delays.lookup = LAG_SECONDS
        if recording := os.environ.get(RECORDING_VARIABLE):
            apply_recording(azure, read_recording(Path(recording)), CLIENT_SPEED)
        if lag is not None:
            azure.search.delays.search = azure.search.delays.lookup = lag
        tls = create_certificate(azure.ca)
        azure.openai.deployments[deployment] = model or Deployment()
        azure.openai.deployments[FIGURES] = Deployment("gpt-4.1-mini", 0)

        def start(name: str, service: Service, tls: ssl.SSLContext | None) -> str:
            return stack.enter_context(serve(azure.whole(name, service), tls, clock.now)).address

        azure.openai_endpoint = start("openai", azure.openai.serve, tls)
        azure.search_endpoint = start("search", azure.search.serve, tls)
        azure.ocr_endpoint = start("ocr", azure.ocr.serve, tls)
        azure.blob_endpoint = f"{start('blob', azure.blob.serve, tls)}/{ACCOUNT}"
        azure.queue_endpoint = f"{start('queue', azure.queue.serve, tls)}/{ACCOUNT}"
        azure.identity_endpoint = start("identity", identity.serve, None)
        azure.authority = start("identity", identity.serve, tls)
        azure.environment = {
            "AZURE_OPENAI_ENDPOINT": azure.openai_endpoint,
            "AZURE_OPENAI_EMBEDDING_DEPLOYMENT": deployment,
            "AZURE_OPENAI_EMBEDDING_DIMENSIONS": str(dimensions),
            "AZURE_OPENAI_EMBEDDING_MODEL": azure.openai.deployments[deployment].model,
            "AZURE_SEARCH_ENDPOINT": azure.search_endpoint,
            "AZURE_SEARCH_INDEX": index,
            "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
            "INGEST_JOURNAL": str(folder / "journal"),
            "IDENTITY_ENDPOINT": f"{azure.identity_endpoint}/msi/token",
            "IDENTITY_HEADER": identity.secret,
            "INGEST_TRUSTED_HOSTS": "127.0.0.1",
            "NO_PROXY": "127.0.0.1,localhost",
            "REQUESTS_CA_BUNDLE": str(azure.ca),  # azure-core and msal
            "SSL_CERT_FILE": str(azure.ca),  # openai
        }
        yield azure


def create_certificate(ca: Path) -> ssl.SSLContext:
    """A certificate for this machine; who trusts the file `ca` trusts it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(ca))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context
