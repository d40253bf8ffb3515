"""Command line: the only code that prints, reads the environment or ends the process.

Heavy modules are imported only by the commands that need them: `ingest --help` must be instant.
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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ingest.cli import logs, watchdog
from ingest.cli.parser import build_parser
from ingest.config.settings import Settings
from ingest.errors import BusyError, IngestError
from ingest.index import Index
from ingest.redaction import hold_secret

if TYPE_CHECKING:
    from ingest.cli.exit_message import CommandExit
    from ingest.config.connections import Connections
    from ingest.embed import Embedder

# Secrets that the SDKs read by themselves; settings and tokens are redacted where they are used.
SECRET_VARIABLES = (
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "IDENTITY_HEADER",
    "MSI_SECRET",
)
RUN_COMMANDS = ("run", "rebuild")  # commands whose exit code `INGEST_EXIT_OK` may map


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Errors meant for users are logged as one line."""
    options = build_parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Print characters that the terminal cannot encode as escapes.
        sys.stdout.reconfigure(errors="backslashreplace")
    logs.configure_logging(verbosity(options), options.log or os.environ.get("INGEST_LOG", ""))
    try:
        code = run_command(options)
        logs.flush()  # at exit Python would flush it, where nothing can end a blocked process
    except KeyboardInterrupt:
        watchdog.exit_within(watchdog.FORCED_EXIT_SECONDS, 130)  # logging may block
        can_resume = options.command in {*RUN_COMMANDS, "check"}
        logs.log_exit(f"stopped at once{'; the next run resumes from here' * can_resume}", 130)
        # Threads may be in native code that crashes if the interpreter shuts down around it.
        os._exit(130)
    watchdog.cancel_forced_exits()
    watchdog.exit_without_senders(code)
    return code


def run_command(options: argparse.Namespace) -> int:
    """Run the command that the options name, flush its output, and return its exit code."""
    try:
        module = options.command.replace("-", "_")
        ended: int | CommandExit = importlib.import_module(f"ingest.cli.{module}").main(options)
        if sys.stdout:
            sys.stdout.flush()  # here, where a closed pipe is handled
        if isinstance(ended, int):
            return ended
        if not (ended.is_logged and logs.is_machine_log()):
            logs.log_end(ended.code, ended.message)
        return int(ended.code if ended.process_code is None else ended.process_code)
    except IngestError as error:
        if options.json:
            event = {"event": "error", **logs.run_field(), "error": str(error)}
            print(json.dumps(event | {"exit": error.exit_code}), flush=True)
        if not (error.is_logged and logs.is_machine_log()):
            logs.log_exit(str(error), error.exit_code)
        return map_error_code(error, options)
    except BrokenPipeError:
        # The reader closed the pipe. Redirect stdout, so that Python does not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        logs.log_exit("the output cannot be written: the disk is full", 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def map_error_code(error: IngestError, options: argparse.Namespace) -> int:
    """Exit code of an error; `INGEST_EXIT_OK` may map a busy index to 0."""
    code = error.exit_code
    if options.command in RUN_COMMANDS and isinstance(error, BusyError):
        from ingest.config.settings import build_settings
        from ingest.pipeline.exit_codes import process_exit_code

        code = process_exit_code(code, build_settings(os.environ, {}).exit_ok, (), "")
        log_mapped_code(error.exit_code, code)
    return code


def log_mapped_code(code: int, mapped: int) -> None:
    """Log that the process exits with another code than its run, if it does."""
    if mapped != code:
        text = f"exit code {code} is reported as {mapped}, because of INGEST_EXIT_OK"
        logs.log_event(logging.INFO, text, exit=code, given=mapped)


def load_settings(options: argparse.Namespace) -> Any:
    """Settings of a command: flags override the environment, which overrides `.env`."""
    from ingest.config.settings import build_settings

    settings = build_settings(load_environment(options), vars(options))
    logs.configure_logging(verbosity(options), settings.log)  # again: `.env` may set INGEST_LOG
    if options.command != "doctor":  # which reports them itself
        warn_about_settings(options)
    # Only `run` is distributed; the other commands always work in this process.
    return settings if options.command == "run" else replace(settings, engine="")


def warn_about_settings(options: argparse.Namespace) -> None:
    """Log misspelt settings, of the environment or `.env`, and contradictory ones."""
    from ingest.cli.env_file import parse_env_file
    from ingest.commands.doctor.env_names import find_setting_problems

    for problem in find_setting_problems(os.environ, vars(options), parse_env_file()):
        logs.PACKAGE_LOGGER.warning("%s", problem)


@contextmanager
def open_index_and_model(
    settings: Settings, connections: Connections, *, any_model: bool = False
) -> Iterator[tuple[Index, Embedder]]:
    """Open the index for reading, and the model of the settings, until the end of the block.

    `any_model`: even if another model filled the index, for a command that embeds nothing.
    """
    from ingest.config.embedding import create_embedder
    from ingest.config.index import open_index

    with (
        closing(create_embedder(settings, connections)) as model,
        closing(open_index(settings, model, connections, any_model=any_model)) as index,
    ):
        yield index, model


def verbosity(options: argparse.Namespace) -> int:
    """Index into `logs.VERBOSITY_LEVELS`: 0 with --quiet, 1 by default, 1 more for each -v."""
    return 0 if options.quiet else int(options.verbose) + 1


def load_environment(options: argparse.Namespace) -> Mapping[str, str]:
    """Environment with `.env` as its fallback. Raises ConfigError if `.env` cannot be used."""
    from ingest.cli import env_file

    given = env_file.read_env_file()
    env_file.check_key_hosts(os.environ, given)
    # Loaded into os.environ, because the SDKs read their own settings from there.
    for name, value in given.items():
        os.environ.setdefault(name, value)
    env_file.warn_about_ignored()
    for name in SECRET_VARIABLES:
        hold_secret(os.environ.get(name, ""))
    root = os.environ.get("INGEST_ROOT", "")
    env_file.check_outside_roots(getattr(options, "roots", None) or [root] * bool(root))
    return os.environ
