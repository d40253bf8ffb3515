"""The command line: the only code that prints, reads the environment, or ends the process.

Nothing heavy is imported before a command needs it: `ingest --help` must answer at once.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import io
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ingest.cli import guard, logs
from ingest.cli.parser import parser
from ingest.errors import BusyError, ConfigError, IngestError

RUNS = ("run", "rebuild")  # the commands whose exit code `INGEST_EXIT_OK` is for


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Errors meant for users become one line."""
    options = parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # whatever the terminal can show
    logs.listen(verbosity(options), options.log or os.environ.get("INGEST_LOG", ""))
    try:
        code = finished(options)
        logs.flush()  # Python does at exit, and could not be ended any more
    except KeyboardInterrupt:
        guard.end_within(guard.AT_ONCE, 130)  # the next line may be what blocks
        runs = options.command in {"run", "rebuild", "check"}
        logs.complain(f"stopped at once{'; the next run goes on from here' * runs}", 130)
        # Threads may be in native code that does not survive an orderly exit around it.
        os._exit(130)
    guard.call_off()
    guard.leave_if_waiting(code)
    return code


def finished(options: argparse.Namespace) -> int:
    """Run the command that the options name, to the last word of it; returns its exit code."""
    try:
        module = options.command.replace("-", "_")
        ended = importlib.import_module(f"ingest.cli.{module}").main(options)
        if sys.stdout:
            sys.stdout.flush()  # here, where it is known what to do if nobody listens any more
        if isinstance(ended, int):
            return ended
        if not (ended.logged and logs.for_machines()):
            logs.end(ended.code, ended.words)
        return int(ended.code if ended.given is None else ended.given)
    except IngestError as error:
        if options.json:
            event = {"event": "error", **logs.running(), "error": str(error)}
            print(json.dumps(event | {"exit": error.exit_code}), flush=True)
        logs.complain(str(error), error.exit_code)
        return given(error, options)
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python must not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        logs.complain("the output cannot be written: its disk is full", 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def given(error: IngestError, options: argparse.Namespace) -> int:
    """The exit code for an error; a run that another one keeps out may count as done."""
    code = error.exit_code
    if options.command in RUNS and isinstance(error, BusyError):
        from ingest.exits import given as given_as
        from ingest.settings import settings

        code = given_as(code, settings(os.environ, {}).exit_ok, (), "")
        say_given(error.exit_code, code)
    return code


def say_given(code: int, given_as: int) -> None:
    """Tell the log that the process does not end with the exit code of its run."""
    if given_as != code:
        text = f"exit code {code} is given as {given_as}, as INGEST_EXIT_OK wants it"
        logs.tell(logging.INFO, text, exit=code, given=given_as)


def configured(options: argparse.Namespace) -> Any:
    """The settings of a command: its flags over the environment over `.env`."""
    from ingest.settings import settings

    chosen = settings(environment(), vars(options))
    logs.listen(verbosity(options), chosen.log)  # now that `.env` is read
    # Others do their work here, whatever the environment says for runs.
    return chosen if options.command == "run" else replace(chosen, engine="")


def verbosity(options: argparse.Namespace) -> int:
    """How much a person wants to hear: errors, then warnings, then more."""
    return 0 if options.quiet else int(options.verbose) + 1


def environment() -> Mapping[str, str]:
    """The environment, and below it `.env`. Raises ConfigError if that cannot be read."""
    from dotenv import load_dotenv

    # Into the environment itself, because the SDKs read their own settings from there.
    try:
        load_dotenv(".env")
    except (UnicodeDecodeError, OSError) as error:
        raise ConfigError(f".env cannot be read ({error}): mend it or move it away") from None
    return os.environ
