"""`ingest token-proxy`: lets a local container sign in as whoever is signed in here."""

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
from ingest.cli import load_settings
from ingest.cli.run import print_notice
from ingest.config.connections import create_connections
from ingest.errors import ConfigError

# SIGHUP is what a terminal sends that closes; Windows has none.
SIGNAL_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
SIGNALS = [signal.Signals[name] for name in SIGNAL_NAMES if name in signal.Signals.__members__]
TERMINAL_POLL_SECONDS = 1.0  # seconds between looks whether the terminal is still there


def main(options: argparse.Namespace) -> int:
    """Do what the options say until told to stop; returns the exit code."""
    parent = os.getppid()
    login = create_connections(load_settings(options)).credential
    one_at_a_time = threading.Lock()

    def print_answer(answered: ProxiedRequest) -> None:
        with one_at_a_time:
            if options.json:
                print(json.dumps({"event": "answered", **answer_fields(answered)}), flush=True)
            elif not options.quiet:
                print_notice(format_answer(answered))

    with (
        wait_for_signals() as ended,
        TokenProxy(login, options.bind, options.port, options.host, print_answer) as proxy,
    ):
        who = str(
            proxy.identity()
        )  # whoever is not signed in learns it now, and not in a container
        with write_environment_file(proxy.environment, options.write):
            threading.Thread(target=proxy.serve_forever, daemon=True).start()
            announce(proxy, options, who)
            while os.getppid() == parent and not ended.wait(TERMINAL_POLL_SECONDS):
                pass
            proxy.shutdown()
    return 0


def announce(proxy: TokenProxy, options: argparse.Namespace, who: str) -> None:
    """Say whose tokens there are, and what a client needs to know."""
    shown = {} if options.write else proxy.environment
    if options.json:
        print(json.dumps({"event": "listening", "identity": who, **shown}), flush=True)
        return
    for name, value in shown.items():
        print(f"export {name}={shlex.quote(value)}", flush=True)
    if not options.quiet:
        file = f"docker run --env-file {shlex.quote(str(options.write))} ...; "
        use = file if options.write else ""
        print_notice(f"tokens of {who} for {proxy.host}; {use}^C ends it")


@contextmanager
def wait_for_signals() -> Iterator[threading.Event]:
    """An event that ^C, SIGTERM and the end of the terminal set."""
    ended = threading.Event()

    def set_ended(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    before = {number: signal.signal(number, set_ended) for number in SIGNALS}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def write_environment_file(environment: Mapping[str, str], file: Path | None) -> Iterator[None]:
    """The variables in a file that only its owner can read, for as long as they are of use.

    Raises ConfigError if the file cannot be written or holds anything else.
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
            if file.read_text() == text:  # else another proxy has taken its place
                file.unlink()


def replace_file(file: Path, text: str, variables: Collection[str]) -> None:
    """Put a text in the place of the file at once. Raises ConfigError over anything but ours."""
    if file.exists():
        found = file.read_text(errors="replace").splitlines() if file.is_file() else [""]
        if not all(entry.partition("=")[0] in variables for entry in found):
            raise ConfigError(f"--write {file} holds something else: name another file")
    # Made for its owner alone, and so never readable by others, not even for a moment.
    made, path = tempfile.mkstemp(dir=file.absolute().parent)
    with os.fdopen(made, "w") as temporary:
        temporary.write(text)
    Path(path).replace(file)


def answer_fields(answered: ProxiedRequest) -> dict[str, Any]:
    """What happened, for JSON."""
    if answered.reason:
        return {"peer": answered.peer, "status": answered.status, "reason": answered.reason}
    told = {"audience": answered.audience, "expires": int(answered.expires)}
    return {"peer": answered.peer, "status": answered.status, **told}


def format_answer(answered: ProxiedRequest) -> str:
    """What happened, for people."""
    if answered.reason:
        return f"refused {answered.peer} ({answered.status}): {answered.reason}"
    until = time.strftime("%H:%M:%S", time.localtime(answered.expires))
    return f"token for {answered.audience} to {answered.peer}, expires {until}"
