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
from typing import TYPE_CHECKING, Any

from ingest.cli import logs
from ingest.cli import watchdog as guard
from ingest.cli.arguments import build_parser
from ingest.errors import BusyError, ConfigError, IngestError

if TYPE_CHECKING:
    from ingest.cli.exit_message import CommandExit

RUNS = ("run", "rebuild")  # the commands whose exit code `INGEST_EXIT_OK` is for


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Errors meant for users become one line."""
    options = build_parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # whatever the terminal can show
    logs.configure_logging(verbosity(options), options.log or os.environ.get("INGEST_LOG", ""))
    try:
        code = run_command(options)
        logs.flush()  # Python does at exit, and could not be ended any more
    except KeyboardInterrupt:
        guard.end_within(guard.FORCED_EXIT_SECONDS, 130)  # the next line may be what blocks
        runs = options.command in {"run", "rebuild", "check"}
        logs.log_exit(f"stopped at once{'; the next run goes on from here' * runs}", 130)
        # Threads may be in native code that does not survive an orderly exit around it.
        os._exit(130)
    guard.call_off()
    guard.exit_without_senders(code)
    return code


def run_command(options: argparse.Namespace) -> int:
    """Run the command that the options name, to the last word of it; returns its exit code."""
    try:
        module = options.command.replace("-", "_")
        ended: int | CommandExit = importlib.import_module(f"ingest.cli.{module}").main(options)
        if sys.stdout:
            sys.stdout.flush()  # here, where it is known what to do if nobody listens any more
        if isinstance(ended, int):
            return ended
        if not (ended.is_logged and logs.is_machine_log()):
            logs.end(ended.code, ended.message)
        return int(ended.code if ended.process_code is None else ended.process_code)
    except IngestError as error:
        if options.json:
            event = {"event": "error", **logs.run_field(), "error": str(error)}
            print(json.dumps(event | {"exit": error.exit_code}), flush=True)
        logs.log_exit(str(error), error.exit_code)
        return map_error_code(error, options)
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python must not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        logs.log_exit("the output cannot be written: its disk is full", 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def map_error_code(error: IngestError, options: argparse.Namespace) -> int:
    """The exit code for an error; a run that another one keeps out may count as done."""
    code = error.exit_code
    if options.command in RUNS and isinstance(error, BusyError):
        from ingest.config.settings import build_settings
        from ingest.pipeline.exit_codes import process_exit_code as given_as

        code = given_as(code, build_settings(os.environ, {}).exit_ok, (), "")
        log_mapped_code(error.exit_code, code)
    return code


def log_mapped_code(code: int, given_as: int) -> None:
    """Tell the log that the process does not end with the exit code of its run."""
    if given_as != code:
        text = f"exit code {code} is given as {given_as}, as INGEST_EXIT_OK wants it"
        logs.log_event(logging.INFO, text, exit=code, given=given_as)


def load_settings(options: argparse.Namespace) -> Any:
    """The settings of a command: its flags over the environment over `.env`."""
    from ingest.config.settings import build_settings

    chosen = build_settings(load_environment(), vars(options))
    logs.configure_logging(verbosity(options), chosen.log)  # now that `.env` is read
    # Others do their work here, whatever the environment says for runs.
    return chosen if options.command == "run" else replace(chosen, engine="")


def verbosity(options: argparse.Namespace) -> int:
    """How much a person wants to hear: errors, then warnings, then more."""
    return 0 if options.quiet else int(options.verbose) + 1


def load_environment() -> Mapping[str, str]:
    """The environment, and below it `.env`. Raises ConfigError if that cannot be read."""
    from dotenv import load_dotenv

    # Into the environment itself, because the SDKs read their own settings from there.
    try:
        load_dotenv(".env")
    except (UnicodeDecodeError, OSError) as error:
        raise ConfigError(f".env cannot be read ({error}): mend it or move it away") from None
    return os.environ
