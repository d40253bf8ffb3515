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

from ingest.azure.token_proxy import Answered, Proxy
from ingest.cli import configured
from ingest.cli.run import say
from ingest.config.connections import connections
from ingest.errors import ConfigError

# SIGHUP is what a terminal sends that closes; Windows has none.
NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
SIGNALS = [signal.Signals[name] for name in NAMES if name in signal.Signals.__members__]
LOOKS_EVERY = 1.0  # seconds between looks whether the terminal is still there


def main(options: argparse.Namespace) -> int:
    """Do what the options say until told to stop; returns the exit code."""
    parent = os.getppid()
    login = connections(configured(options)).login
    one_at_a_time = threading.Lock()

    def tell(answered: Answered) -> None:
        with one_at_a_time:
            if options.json:
                print(json.dumps({"event": "answered", **fields(answered)}), flush=True)
            elif not options.quiet:
                say(line(answered))

    with ending() as ended, Proxy(login, options.bind, options.port, options.host, tell) as proxy:
        who = str(proxy.who())  # whoever is not signed in learns it now, and not in a container
        with handed_over(proxy.environment, options.write):
            threading.Thread(target=proxy.serve_forever, daemon=True).start()
            announce(proxy, options, who)
            while os.getppid() == parent and not ended.wait(LOOKS_EVERY):
                pass
            proxy.shutdown()
    return 0


def announce(proxy: Proxy, options: argparse.Namespace, who: str) -> None:
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
        say(f"tokens of {who} for {proxy.host}; {use}^C ends it")


@contextmanager
def ending() -> Iterator[threading.Event]:
    """An event that ^C, SIGTERM and the end of the terminal set."""
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    before = {number: signal.signal(number, end) for number in SIGNALS}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def handed_over(environment: Mapping[str, str], file: Path | None) -> Iterator[None]:
    """The variables in a file that only its owner can read, for as long as they are of use.

    Raises ConfigError if the file cannot be written or holds anything else.
    """
    if file is None:
        yield
        return
    text = "".join(f"{name}={value}\n" for name, value in environment.items())
    try:
        write(file, text, environment)
    except OSError as error:
        raise ConfigError(f"--write {file}: {error.strerror}; name another file") from error
    try:
        yield
    finally:
        with suppress(OSError):
            if file.read_text() == text:  # else another proxy has taken its place
                file.unlink()


def write(file: Path, text: str, names: Collection[str]) -> None:
    """Put a text in the place of the file at once. Raises ConfigError over anything but ours."""
    if file.exists():
        found = file.read_text(errors="replace").splitlines() if file.is_file() else [""]
        if not all(entry.partition("=")[0] in names for entry in found):
            raise ConfigError(f"--write {file} holds something else: name another file")
    # Made for its owner alone, and so never readable by others, not even for a moment.
    made, path = tempfile.mkstemp(dir=file.absolute().parent)
    with os.fdopen(made, "w") as temporary:
        temporary.write(text)
    Path(path).replace(file)


def fields(answered: Answered) -> dict[str, Any]:
    """What happened, for JSON."""
    if answered.reason:
        return {"peer": answered.peer, "status": answered.status, "reason": answered.reason}
    told = {"audience": answered.audience, "expires": int(answered.expires)}
    return {"peer": answered.peer, "status": answered.status, **told}


def line(answered: Answered) -> str:
    """What happened, for people."""
    if answered.reason:
        return f"refused {answered.peer} ({answered.status}): {answered.reason}"
    until = time.strftime("%H:%M:%S", time.localtime(answered.expires))
    return f"token for {answered.audience} to {answered.peer}, expires {until}"
