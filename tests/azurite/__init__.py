"""Azurite, Microsoft's emulator of Blob Storage: a second opinion on what the service does.

Installed by npm into this folder when a test first needs it. On a machine without npm those tests
are left out, and the summary says so; tests/azure/blob.py stands in for the service in all others.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from filelock import FileLock

HERE = Path(__file__).resolve().parent
LOCK = HERE / "package-lock.json"
STAMP = HERE / "node_modules" / LOCK.name  # written last
MAIN = HERE / "node_modules/azurite/dist/src/blob/main.js"
ACCOUNT = "devstoreaccount1"  # the one it has


@dataclass(frozen=True)
class Azurite:
    """A blob service on this machine."""

    endpoint: str
    ca: Path


@contextmanager
def running(folder: Path) -> Iterator[Azurite]:
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
            said = ""
            while not (found := re.search(r"listens on (https://\S+)", said)):
                line = process.stdout.readline()
                assert line, f"Azurite ended: {said}"
                said += line
            yield Azurite(f"{found[1]}/{ACCOUNT}", ca)
        finally:
            process.kill()


def install() -> None:
    """Put the locked packages beside this file, unless they are there."""
    with FileLock(HERE / ".lock"):
        if STAMP.exists() and STAMP.read_bytes() == LOCK.read_bytes():
            return
        quietly = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(
            ["npm", "ci", *quietly], cwd=HERE, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        shutil.copy(LOCK, STAMP)


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    install()
    with running(tmp_path_factory.mktemp("azurite")) as made:
        yield made


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs Azurite where it cannot be installed; give the others time for it."""
    needing = [item for item in items if item.get_closest_marker("azurite")]
    if shutil.which("npm"):
        for item in needing:
            item.add_marker(pytest.mark.timeout(300))
    elif needing:
        config.hook.pytest_deselected(items=needing)
        items[:] = [item for item in items if item not in needing]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out."""
    if not shutil.which("npm"):
        terminalreporter.write_line(
            "THE TESTS AGAINST AZURITE WERE LEFT OUT: there is no npm here to install it with",
            red=True,
        )
