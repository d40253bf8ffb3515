"""The emulator as a whole: its ports, its environment, its command."""

from __future__ import annotations

import json
import signal
import socket
import urllib.request
from contextlib import closing

import pytest

from tests.conftest import ROOT, environment
from tests.emulator.emulator import run_emulator
from tests.processes import start


def test_it_leaves_nothing_behind() -> None:
    """Once it has stopped, nobody listens at its ports."""
    with run_emulator() as azure:
        port = int(azure.search_endpoint.rpartition(":")[2])
    with closing(socket.socket()) as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", port))


def test_the_command_prints_what_a_shell_needs() -> None:
    """I can try it by hand."""
    command = ROOT / "scripts" / "azure-emulator", "--vectors", "hash", "--tpm", "1000"
    with start(*command, cwd=ROOT, env=environment()) as child:
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
