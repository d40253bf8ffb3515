"""The emulator as a whole: its ports, its environment, its command."""

from __future__ import annotations

import json
import signal
import socket
import sys
import urllib.request
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from azure.search.documents import SearchClient

from tests.conftest import ROOT, environment
from tests.emulator.emulator import Azure, emulator
from tests.processes import running


def test_it_leaves_nothing_behind() -> None:
    """Once it has stopped, nobody listens at its ports."""
    with emulator() as azure:
        port = int(azure.search_endpoint.rpartition(":")[2])
    with closing(socket.socket()) as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", port))


def test_many_processes_can_use_it(azure: Azure, documents: SearchClient, tmp_path: Path) -> None:
    """The client is often another process; all it needs is the environment."""
    code = (
        "import os, azure.identity as i, azure.search.documents as d\n"
        "c = i.DefaultAzureCredential(require_envvar=True)\n"
        "s = d.SearchClient(os.environ['AZURE_SEARCH_ENDPOINT'], 'chunks', c)\n"
        "print(s.upload_documents([{'id': os.environ['KEY']}])[0].status_code)"
    )
    env = environment() | azure.environment
    with ExitStack() as stack:
        children = [
            stack.enter_context(
                running(sys.executable, "-c", code, cwd=tmp_path, env=env | {"KEY": name})
            )
            for name in "abc"
        ]
        assert [child.wait() for child in children] == [0] * 3
    assert [child.stdout.text.strip() for child in children] == ["201"] * 3
    assert sorted(azure.search.dump("chunks")) == ["a", "b", "c"]


def test_the_command_prints_what_a_shell_needs() -> None:
    """I can try it by hand."""
    command = ROOT / "scripts" / "azure-emulator", "--vectors", "hash", "--tpm", "1000"
    with running(*command, cwd=ROOT, env=environment()) as child:
        lines = child.stdout.wait_for(r"(?:export .*\n){14}")[0].splitlines()
        settings = dict(line.removeprefix("export ").strip().split("=", 1) for line in lines)
        url = (
            f"{settings['IDENTITY_ENDPOINT']}?api-version=2019-08-01"
            "&resource=https://search.azure.com"
        )
        request = urllib.request.Request(
            url, headers={"X-IDENTITY-HEADER": settings["IDENTITY_HEADER"]}
        )
        with urllib.request.urlopen(request) as response:
            token = json.load(response)
        child.send(signal.SIGTERM)
        assert child.wait() == 0
        assert "1 tokens asked for" in child.stderr.text
    assert token["resource"] == "https://search.azure.com"
    assert set(settings) >= {"AZURE_OPENAI_ENDPOINT", "AZURE_SEARCH_ENDPOINT", "SSL_CERT_FILE"}
