"""A container signs in as the user who is signed in on its host. Real processes, the real SDK."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ingest.azure.credential import SharedCredential
from ingest.azure.token_proxy import MAX_REQUEST_BYTES, TokenProxy
from ingest.errors import ConfigError
from tests.azure.ask_token import print_token
from tests.azure.logins import EXPIRED, NOBODY, Laptop, laptop
from tests.conftest import environment, run_ingest
from tests.emulator.emulator import Azure
from tests.fork_server import call_forked, running_ingest
from tests.pdfs import prose, write
from tests.processes import PATIENCE, Process, start, wait_until

SEARCH = "https://search.azure.com/.default"


@dataclass
class Running:
    """The command, serving."""

    process: Process
    file: Path
    laptop: Laptop

    @property
    def variables(self) -> dict[str, str]:
        lines = self.file.read_text().splitlines()
        return {name: value for name, _, value in (line.partition("=") for line in lines)}

    @property
    def address(self) -> str:
        return urlsplit(self.variables["IDENTITY_ENDPOINT"]).netloc

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Its exit code, and all that it said."""
        self.process.send(number)
        return self.process.wait(), self.process.stdout.text + self.process.stderr.text


def start_proxy(laptop: Laptop, folder: Path, *arguments: str) -> AbstractContextManager[Process]:
    call = ("token-proxy", "--host", "127.0.0.1", *arguments)
    return running_ingest(*call, cwd=folder, env=dict(laptop.environment))


def wait_for_file(file: Path) -> None:
    wait_until(file.exists, str(file))


@pytest.fixture
def machine(tmp_path: Path, azure: Azure) -> Laptop:
    return laptop(tmp_path / "bin", azure)


@pytest.fixture
def proxy(tmp_path: Path, machine: Laptop) -> Iterator[Running]:
    file = tmp_path / "identity.env"
    with start_proxy(machine, tmp_path, "--write", "identity.env") as process:
        wait_for_file(file)
        yield Running(process, file, machine)


def request_token(proxy: Running, scope: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Result of the real SDK against the proxy, in another process."""
    env = environment() | {"NO_PROXY": "127.0.0.1"} | proxy.variables | more
    return call_forked(partial(print_token, scope), cwd=proxy.file.parent, env=env)


@pytest.mark.parametrize(
    "scope",
    [
        "https://cognitiveservices.azure.com/.default",
        "https://ai.azure.com/.default",
        SEARCH,
        "https://storage.azure.com/.default",
    ],
)
def test_a_container_gets_the_tokens_of_the_hosts_login(
    azure: Azure, proxy: Running, scope: str
) -> None:
    """The container can call the services that ingest calls, signed in as me."""
    done = request_token(proxy, scope)

    assert done.returncode == 0, done.stderr
    token = azure.identity.issued[done.stdout.strip()]
    assert token.principal is azure.identity.default
    assert token.audience == scope.removesuffix("/.default")
    code, said = proxy.end()
    assert code == 0
    assert re.search(rf"token for {token.audience} to 127.0.0.1, expires \d\d:\d\d:\d\d\n", said)
    for secret in (*azure.identity.issued, azure.identity.secret):
        assert secret not in said


def test_a_whole_run_signs_in_through_it(
    azure: Azure, proxy: Running, tmp_path: Path, folder: Path
) -> None:
    """Two variables are enough for a container to fill an index, with few calls of `az`."""
    for name in "abc":
        write(folder / f"{name}.pdf", prose(f"lathes {name}"))
    client = {k: v for k, v in azure.environment.items() if "IDENTITY" not in k}
    del client["AZURE_TOKEN_CREDENTIALS"]
    before = azure.identity.requests

    done = run_ingest(tmp_path, "run", "docs", **client, **proxy.variables)

    assert done.returncode == 0, done.stderr
    assert "3 new" in done.stdout
    assert len(azure.search.indexes) == 1
    audiences = [line.split()[-1] for line in proxy.laptop.asked]
    assert sorted(set(audiences)) == ["https://cognitiveservices.azure.com", SEARCH[:-9]]
    assert len(audiences) == 2  # the one for OpenAI at the start is used again
    assert azure.identity.requests == before + 1


def test_the_secret_must_be_right(proxy: Running) -> None:
    """A program that finds the port but lacks the secret is refused, and reads why."""
    done = request_token(proxy, SEARCH, IDENTITY_HEADER="guess")

    assert done.returncode == 1
    assert "the secret is wrong: take IDENTITY_HEADER" in done.stderr
    _, said = proxy.end()
    assert "refused 127.0.0.1 (401)" in said
    assert "guess" not in said


def test_other_audiences_are_not_served(azure: Azure, proxy: Running) -> None:
    """A container can embed and index as me, but not manage my subscription."""
    before = azure.identity.requests
    done = request_token(proxy, "https://management.azure.com/.default")

    assert done.returncode == 1
    assert "no tokens for 'https://management.azure.com' here" in done.stderr
    assert azure.identity.requests == before
    assert len(proxy.laptop.asked) == 1  # at the start


def test_an_expired_login_is_understood_in_the_container(proxy: Running, tmp_path: Path) -> None:
    """In the container I read that I must sign in again on the host; once I did, it works."""
    proxy.laptop.trouble(EXPIRED)
    done = request_token(proxy, SEARCH)
    assert done.returncode == 1
    assert "sign in again where ingest token-proxy runs" in done.stderr
    assert "AADSTS70043" in done.stderr

    search = {
        "AZURE_SEARCH_ENDPOINT": "https://nobody.search.windows.net",
        "INGEST_EMBEDDER": "local",
    }
    status = run_ingest(tmp_path, "status", **search, **proxy.variables)
    assert status.returncode == 2
    assert "sign in again where ingest token-proxy runs" in status.stderr
    assert len(status.stderr.splitlines()) == 1

    (proxy.laptop.folder / "trouble").unlink()
    assert request_token(proxy, SEARCH).returncode == 0


def test_who_is_not_signed_in_learns_it_at_once(machine: Laptop, tmp_path: Path) -> None:
    """The proxy does not start without a login, instead of failing in the container later."""
    machine.trouble(NOBODY)
    with start_proxy(machine, tmp_path, "--write", "identity.env") as process:
        assert process.wait() == 2
    assert "az login" in process.stderr.text
    assert not (tmp_path / "identity.env").exists()


def test_the_file_is_for_its_owner_and_goes_with_the_proxy(proxy: Running) -> None:
    """Only I can read the file with the secret, and it is removed at the end."""
    assert stat.S_IMODE(proxy.file.stat().st_mode) == 0o600
    assert set(proxy.variables) == {"IDENTITY_ENDPOINT", "IDENTITY_HEADER"}
    assert proxy.variables["IDENTITY_ENDPOINT"].startswith("http://127.0.0.1:")
    secret = proxy.variables["IDENTITY_HEADER"]
    code, said = proxy.end(signal.SIGINT)
    assert code == 0
    assert secret not in said
    assert not proxy.file.exists()


def test_no_other_file_is_overwritten(machine: Laptop, tmp_path: Path) -> None:
    """`--write .env` by mistake does not overwrite my settings."""
    text = "IDENTITY_HEADER=mine\nINGEST_ROOT=docs\n"
    (tmp_path / ".env").write_text(text)
    with start_proxy(machine, tmp_path, "--write", ".env") as process:
        assert process.wait() == 2
    assert "contains something else" in process.stderr.text
    assert (tmp_path / ".env").read_text() == text


def test_without_a_file_the_variables_are_printed(machine: Laptop, tmp_path: Path) -> None:
    """I can paste them into another shell; the container's name for this machine is the default."""
    with start_proxy(machine, tmp_path, "--host", "host.docker.internal") as process:
        process.stdout.wait_for(
            r"\Aexport IDENTITY_ENDPOINT=http://host\.docker\.internal:\d+/msi/token\n"
            r"export IDENTITY_HEADER=[\w-]{43}\n\Z"
        )
        process.send(signal.SIGHUP)
        assert process.wait() == 0


def test_it_ends_with_the_shell_that_started_it(machine: Laptop, tmp_path: Path) -> None:
    """Once the terminal is closed, no proxy keeps handing out my tokens."""
    command = f"'{sys.executable}' -P -m ingest token-proxy --write e.env & echo $!; read _"
    with start(
        *("/bin/sh", "-c", command), cwd=tmp_path, env=dict(machine.environment), stdin="pipe"
    ) as shell:
        shell.stdout.wait_for(r"\d+\n")
        wait_for_file(tmp_path / "e.env")
        shell.send(signal.SIGKILL)
        shell.wait()  # the pipes are closed once the proxy is gone, too
        assert not (tmp_path / "e.env").exists()


def test_what_happens_is_json_too(proxy: Running, machine: Laptop, tmp_path: Path) -> None:
    """A script can follow the requests for tokens as JSON."""
    proxy.end()
    with start_proxy(machine, tmp_path, "--write", "identity.env", "--json") as process:
        wait_for_file(proxy.file)
        again = Running(process, proxy.file, machine)
        request_token(again, SEARCH)
        request_token(again, SEARCH, IDENTITY_HEADER="guess")
        _, said = again.end()
    listening, token, refused = (json.loads(line) for line in said.splitlines())
    assert listening["event"] == "listening"
    assert "IDENTITY_HEADER" not in listening
    assert (token["audience"], token["status"]) == (SEARCH[:-9], 200)
    assert token["expires"] > time.time()
    assert (refused["status"], "secret" in refused["reason"]) == (401, True)


def refusal(
    proxy: Running, method: str = "GET", query: str = "", **headers: str
) -> tuple[int, str]:
    """Status and message of a request that is right but for what is given."""
    path = query or "/msi/token?api-version=2019-08-01&resource=https://search.azure.com"
    right = {"Host": proxy.address, "X-IDENTITY-HEADER": proxy.variables["IDENTITY_HEADER"]}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(http.client.HTTPConnection(proxy.address, timeout=PATIENCE)) as connection:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in (right | named).items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = json.loads(answer.read())
    assert body["statusCode"] == answer.status
    return answer.status, body["message"]


def test_whatever_is_odd_is_refused_before_anybody_is_asked(azure: Azure, proxy: Running) -> None:
    """Requests from browsers, large ones and other methods never reach my login."""
    before = azure.identity.requests
    assert refusal(proxy, Host="evil.example:80")[0] == 400
    assert refusal(proxy, Host=f"evil.example:{proxy.address.split(':')[1]}")[0] == 400
    assert refusal(proxy, query="http://evil.example/msi/token")[0] == 404
    assert refusal(proxy, query="//evil.example/msi/token")[0] == 404
    for method in ("POST", "PUT", "OPTIONS", "CONNECT"):
        assert refusal(proxy, method)[0] == 405
    assert refusal(proxy, Content_Length="1000000000")[0] == 413
    assert refusal(proxy, Transfer_Encoding="chunked")[0] == 413
    padding = {f"X-{n}": "x" * 1000 for n in range(MAX_REQUEST_BYTES // 1000 + 2)}
    assert refusal(proxy, **padding)[0] == 431
    assert refusal(proxy, query="/msi/token?" + "x" * 70_000)[0] == 414
    assert refusal(proxy, query="/other")[0] == 404
    assert refusal(proxy, query="/msi/token?resource=https://search.azure.com") == (
        400,
        "api-version must be 2019-08-01",
    )
    assert azure.identity.requests == before
    assert request_token(proxy, SEARCH).returncode == 0  # what is not odd is served


def test_two_hosts_are_no_host(proxy: Running) -> None:
    """A request with two Host headers is refused."""
    secret = proxy.variables["IDENTITY_HEADER"]
    host, number = proxy.address.split(":")
    with socket.create_connection((host, int(number)), 20) as connection:
        connection.sendall(
            "GET /msi/token?api-version=2019-08-01&resource=https://search.azure.com HTTP/1.1\r\n"
            f"Host: {proxy.address}\r\nHost: evil\r\nX-IDENTITY-HEADER: {secret}\r\n\r\n".encode()
        )
        assert b" 400 " in connection.makefile("rb").readline()


@pytest.mark.parametrize(
    ("bind", "reason"),
    [
        ("0.0.0.0", "every address of this machine"),
        ("::", "every address of this machine"),
        ("::ffff:0.0.0.0", "every address of this machine"),
        ("8.8.8.8", "a public address"),
        ("2001:4860:4860::8888", "a public address"),
        ("224.0.0.1", "a public address"),
        ("localhost", "expected an IP address"),
        ("10.99.99.99", "cannot listen on 10.99.99.99"),
    ],
)
def test_it_listens_only_where_strangers_cannot_reach(bind: str, reason: str) -> None:
    """It refuses to listen on an address that other machines can reach."""

    def never() -> None:
        raise AssertionError

    with pytest.raises(ConfigError, match=reason):
        TokenProxy(SharedCredential(never), bind, 0, "x", print)  # type: ignore[arg-type]
