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
from typing import Any

from ingest.cli.parser import parser
from ingest.errors import ConfigError, IngestError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Errors meant for users become one line."""
    options = parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # whatever the terminal can show
    listen(0 if options.quiet else options.verbose + 1)
    try:
        module = options.command.replace("-", "_")
        code = int(importlib.import_module(f"ingest.cli.{module}").main(options))
        if sys.stdout:
            sys.stdout.flush()  # here, where it is known what to do if nobody listens any more
        return code  # noqa: TRY300 - what follows is for errors
    except IngestError as error:
        if options.json:
            print(json.dumps({"event": "error", "error": str(error), "exit": error.exit_code}))
        print(f"ingest: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(
            "ingest: stopped at once; the next run goes on from here", file=sys.stderr, flush=True
        )
        # Threads may be in native code that does not survive an orderly exit around it.
        os._exit(130)
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python must not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print("ingest: the output cannot be written: its disk is full", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def configured(options: argparse.Namespace) -> Any:
    """The settings of a command: its flags over the environment over `.env`."""
    from ingest.settings import settings

    return settings(environment(), vars(options))


def environment() -> Mapping[str, str]:
    """The environment, and below it `.env`. Raises ConfigError if that cannot be read."""
    from dotenv import load_dotenv

    # Into the environment itself, because the SDKs read their own settings from there.
    try:
        load_dotenv(".env")
    except (UnicodeDecodeError, OSError) as error:
        raise ConfigError(f".env cannot be read ({error}): mend it or move it away") from None
    return os.environ


class Stderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Logs go to what stderr is at the moment: a live display may stand in its place."""

    @property
    def stream(self) -> Any:
        return sys.stderr

    @stream.setter
    def stream(self, _: object) -> None:
        """It is what it is."""


def listen(verbosity: int) -> None:
    """Show what our own code logs, and nothing of the SDKs': they log requests and headers."""
    levels = (logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)
    handler = Stderr()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("ingest")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(levels[min(verbosity, len(levels) - 1)])
    # Python prints the warnings of whoever has no handler; what they mean, our errors say.
    logging.getLogger().addHandler(logging.NullHandler())
