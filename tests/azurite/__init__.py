"""Azurite, Microsoft's emulator of Blob Storage: a second opinion on what the service does.

Installed by npm into this folder when a test first needs it (tests/needs.py says what becomes of
machines without npm); tests/emulator/blob.py stands in for the service in all other tests.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from tests.npm import install

HERE = Path(__file__).resolve().parent
MAIN = HERE / "node_modules/azurite/dist/src/blob/main.js"
ACCOUNT = "devstoreaccount1"  # the one it has


@dataclass(frozen=True)
class Azurite:
    """A blob service on this machine."""

    endpoint: str
    ca: Path


@contextmanager
def run_azurite(folder: Path) -> Iterator[Azurite]:
    """Azurite on a free port, with nothing in it, over TLS, for anybody who has a token."""
    authority = trustme.CA()
    ca, key, certificate = (folder / name for name in ("ca.pem", "key.pem", "certificate.pem"))
    authority.cert_pem.write_to_path(str(ca))
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(key))
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    command: list[str | Path] = [
        "node",
        MAIN,
        "--blobHost",
        "127.0.0.1",
        "--blobPort",
        "0",
        "--oauth",
        "basic",
    ]
    command += ["--cert", certificate, "--key", key]
    command += ["--inMemoryPersistence", "--disableTelemetry", "--silent"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            output = ""
            while not (found := re.search(r"listens on (https://\S+)", output)):
                line = process.stdout.readline()
                assert line, f"Azurite ended: {output}"
                output += line
            yield Azurite(f"{found[1]}/{ACCOUNT}", ca)
        finally:
            process.kill()


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    install(HERE)
    with run_azurite(tmp_path_factory.mktemp("azurite")) as made:
        yield made
