"""Credentials that a service repeats in an error are neither shown nor stored."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from ingest.config.connections import create_connections
from ingest.config.embedding import create_embedder
from ingest.config.index import connect_azure_index
from ingest.config.reader import open_document_intelligence
from ingest.config.settings import Settings, build_settings
from ingest.config.sources import open_roots
from ingest.errors import IngestError
from ingest.extract.ocr import PageRejected
from ingest.redaction import redact
from tests.conftest import Command
from tests.emulator.emulator import Azure
from tests.emulator.faults import Fault
from tests.emulator.server import Request, Response, Service, answer
from tests.pdfs import write

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJvaWQiOiJ4In0.c2lnbmF0dXJlLW9mLWE"


def echo(status: int, seen: list[str]) -> Fault:
    """A gateway's error that repeats the credentials of the request wherever text can stand."""

    def act(request: Request, _service: Service) -> Response:
        held = [
            value.removeprefix("Bearer ")
            for name, value in request.headers.items()
            if name.lower() in {"authorization", "api-key"}
        ]
        seen.extend(held)
        said = f"denied: {dict(request.headers)} {' '.join(held)}"
        error = {"code": held[0], "message": said, "innererror": {"code": said, "message": said}}
        headers = {"x-ms-error-code": held[0], "x-ms-request-id": held[0]}
        return answer(status, {"error": error}, headers)

    return Fault("echo", act)


def ask(service: str, settings: Settings, azure: Azure) -> object:
    """Send one request to a service."""
    connections = create_connections(settings)
    if service == "openai":
        with closing(create_embedder(settings, connections)) as model:
            return model.embed(["text"])
    if service == "search":
        with closing(connect_azure_index(settings, connections, may_be_absent=False)) as index:
            return index.documents.get("x")
    if service == "ocr":
        with closing(open_document_intelligence(settings, connections)) as model:
            return model.describe_model()
    with open_roots([f"{azure.blob_endpoint}/docs"], settings, connections) as (root,):
        return list(root.list())


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 429, 500])
@pytest.mark.parametrize("service", ["openai", "search", "ocr", "blob"])
def test_an_echoed_credential_is_not_in_the_error(
    azure: Azure, service: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """If a gateway's response repeats my credential, the error does not show it."""
    seen: list[str] = []
    for nth in range(1, 5):
        azure.faults.add(echo(status, seen), service, nth=nth)
    settings = build_settings(
        azure.environment | {"INGEST_OCR": azure.ocr_endpoint, "INGEST_RETRY_SECONDS": "0"}, {}
    )
    shown = ""
    try:
        shown = repr(ask(service, settings, azure))
    except (IngestError, PageRejected) as error:
        shown = str(error)
    assert seen
    assert not [secret for secret in seen if secret in shown + caplog.text]


def test_an_echoed_key_is_in_no_output(command: Command, tmp_path: Path, azure: Azure) -> None:
    """A key that a response repeats is in no log, index or report."""
    write(tmp_path / "docs/a.pdf", "some text")
    seen: list[str] = []
    for nth in range(1, 9):
        azure.faults.add(echo(400, seen), "openai", nth=nth)
    headers = azure.environment | {
        "AZURE_OPENAI_KEY": f"key/with+{JWT[:12]}={'q' * 8}",
        "INGEST_INDEX": ".ingest",
    }
    done = command("run", "docs", "--log", "json", "--json", **headers)
    page = command("report", "--out", "report.html", **headers)
    assert seen, done.stderr
    assert page.returncode == 0, page.stderr
    outputs = [done.stdout, done.stderr, page.stdout, page.stderr]
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".pdf"]
    outputs += [path.read_bytes().decode(errors="replace") for path in files]
    assert not [text for text in outputs for secret in seen if secret in text]
    assert all(json.loads(line) for line in done.stderr.splitlines())


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"rejected {JWT}", JWT),
        ("Authorization: Bearer abcdefghijklmnopqrst", "abcdefghijklmnopqrst"),
        ("{'api-key': '0123456789abcdef'}", "0123456789abcdef"),
        (r"{\"api-key\": \"0123456789abcdef\"}", "0123456789abcdef"),
        ("https://a/b?sv=1&sig=abc%2Bdef%3D&se=2", "abc%2Bdef%3D"),
        ("AccountKey=abcdefgh+/==;EndpointSuffix=x", "abcdefgh+/=="),
    ],
)
def test_a_foreign_credential_is_recognised_by_its_form(text: str, secret: str) -> None:
    """A credential that is not mine is hidden too, and nothing around it."""
    assert secret not in redact(text)
    assert "[redacted]" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "the bearer token is missing",
        "Access denied due to invalid subscription key or wrong API endpoint.",
        "no quota left: design=1",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    """What a service explains is still readable."""
    assert redact(text) == text
