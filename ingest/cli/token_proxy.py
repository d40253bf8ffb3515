"""`ingest token-proxy`: let a local container sign in as the user of this machine."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from ingest.azure.token_proxy import ProxiedRequest, TokenProxy
from ingest.cli import load_settings, logs, watchdog
from ingest.config.connections import create_connections
from ingest.errors import ConfigError

# A closing terminal sends SIGHUP; Windows has no such signal.
SIGNAL_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
SIGNALS = [signal.Signals[name] for name in SIGNAL_NAMES if name in signal.Signals.__members__]
TERMINAL_POLL_SECONDS = 1.0  # between checks that the parent process is alive


def main(options: argparse.Namespace) -> int:
    """Serve tokens until a signal comes; returns the exit code."""
    parent = os.getppid()
    connections = create_connections(load_settings(options))
    credential = connections.credential
    output_lock = threading.Lock()

    def print_answer(request: ProxiedRequest) -> None:
        with output_lock:
            if options.json:
                print(json.dumps({"event": "answered", **answer_fields(request)}), flush=True)
            elif not options.quiet:
                logs.log_notice(format_answer(request))

    with (
        wait_for_signals() as stopped,
        TokenProxy(credential, options.bind, options.port, options.host, print_answer) as proxy,
    ):
        identity = str(
            proxy.identity(connections.cloud)
        )  # fails here, and not in the container, if not signed in
        with write_environment_file(proxy.environment, options.write):
            threading.Thread(target=proxy.serve_forever, daemon=True).start()
            announce(proxy, options, identity)
            while os.getppid() == parent and not stopped.wait(TERMINAL_POLL_SECONDS):
                pass
            proxy.shutdown()
    return 0


def announce(proxy: TokenProxy, options: argparse.Namespace, identity: str) -> None:
    """Print the account whose tokens the proxy serves, and the variables that a client needs."""
    shown = {} if options.write else proxy.environment
    if options.json:
        print(json.dumps({"event": "listening", "identity": identity, **shown}), flush=True)
        return
    for name, value in shown.items():
        print(f"export {name}={shlex.quote(value)}", flush=True)
    if not options.quiet:
        file = f"docker run --env-file {shlex.quote(str(options.write))} ...; "
        use = file if options.write else ""
        logs.log_notice(f"tokens of {identity} for {proxy.host}; {use}^C stops")


@contextmanager
def wait_for_signals() -> Iterator[threading.Event]:
    """Yield an event that ^C, SIGTERM and the closing of the terminal set."""
    received = threading.Event()

    def set_received(_number: int, _frame: FrameType | None) -> None:
        received.set()

    with watchdog.install_handler(set_received, SIGNALS):
        yield received


@contextmanager
def write_environment_file(environment: Mapping[str, str], file: Path | None) -> Iterator[None]:
    """Write the variables to a file that only its owner can read, and remove it at the end.

    Raises ConfigError if the file cannot be written, or holds anything else.
    """
    if file is None:
        yield
        return
    text = "".join(f"{name}={value}\n" for name, value in environment.items())
    try:
        replace_file(file, text, environment)
    except OSError as error:
        raise ConfigError(f"--write {file}: {error.strerror}; name another file") from error
    try:
        yield
    finally:
        with suppress(OSError):
            if file.read_text() == text:  # else another proxy has replaced it
                file.unlink()


def replace_file(file: Path, text: str, variables: Collection[str]) -> None:
    """Write the file atomically. Raises ConfigError if it holds anything but our variables."""
    if file.exists():
        entries = file.read_text(errors="replace").splitlines() if file.is_file() else [""]
        if not all(entry.partition("=")[0] in variables for entry in entries):
            raise ConfigError(f"--write {file}: contains something else; name another file")
    # mkstemp creates the file with mode 0600, so others can never read it.
    descriptor, path = tempfile.mkstemp(dir=file.absolute().parent)
    with os.fdopen(descriptor, "w") as temporary:
        temporary.write(text)
    Path(path).replace(file)


def answer_fields(request: ProxiedRequest) -> dict[str, Any]:
    """JSON fields of an answered request."""
    if request.reason:
        return {"peer": request.peer, "status": request.status, "reason": request.reason}
    token = {"audience": request.audience, "expires": int(request.expires)}
    return {"peer": request.peer, "status": request.status, **token}


def format_answer(request: ProxiedRequest) -> str:
    """Format an answered request."""
    if request.reason:
        return f"refused {request.peer} ({request.status}): {request.reason}"
    until = time.strftime("%H:%M:%S", time.localtime(request.expires))
    return f"token for {request.audience} to {request.peer}, expires {until}"
