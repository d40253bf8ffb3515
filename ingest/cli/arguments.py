"""Argument parser of all commands. Imports nothing of what they run, to keep --help fast."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from ingest.models import __version__

COMMANDS = {
    "run": "update the index to match the roots",
    "rebuild": "build a new index next to the live one, and switch over when it passes its checks",
    "plan": "show what a run would do and cost, and change nothing",
    "search": "search the index",
    "status": "show what the index holds, and what failed and why",
    "check": "compare the index with its records and the roots, and repair it",
    "report": "write an HTML report: the index, its problems, its last run",
    "eval": "score the index on questions with known answers",
    "doctor": "check settings, identity, roles, services and roots, and say how to fix them",
    "token-proxy": "let a local container sign in as you, without a key",
}

USAGE_EXIT_CODE = 2

EPILOG = """\
exit codes:
    0  done
    1  a service failed, or a deadline or limit was reached; run again
    2  wrong usage or settings; the message says what to change
    3  done, but some documents could not be indexed; check: found problems
   11  another run holds the index
  130  stopped by ^C, and 143 by SIGTERM; the next run resumes

Settings come from flags, the environment (INGEST_...) and .env;
docs/configuration.md lists them.
"""


class Parser(argparse.ArgumentParser):
    """Argument parser whose errors end with the line "exit 2: ...", as those of commands do."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the error, and exit with code 2."""
        self.print_usage(sys.stderr)
        self.exit(USAGE_EXIT_CODE, f"exit {USAGE_EXIT_CODE}: {message}; see {self.prog} --help\n")


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of every command and its options."""
    top = Parser(
        prog="ingest",
        description="Keeps a search index in sync with a set of PDFs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"ingest {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, help_ in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=help_,
            description=help_[0].upper() + help_[1:] + ".",
            epilog="Defaults are in parentheses. Exit codes: see ingest --help.",
        )
        ADD_ARGUMENTS[name](command)
        every = command.add_argument_group("options of every command")
        every.add_argument(
            "--index",
            metavar="PLACE",
            help="the index: a folder, or https://... (AZURE_SEARCH_ENDPOINT, else .ingest)",
        )
        every.add_argument("--json", action="store_true", help="print one JSON object per line")
        every.add_argument(
            "--log", metavar="FORM", help="log format on stderr: text or json (text)"
        )
        every.add_argument(
            "-v", "--verbose", action="count", default=0, help="print more; -vv prints most"
        )
        every.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")
    return top


def add_run(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `run`."""
    add_plan(command)
    command.add_argument("--dry-run", action="store_true", help="do what ingest plan does")
    command.add_argument(
        "--engine",
        metavar="URL",
        help="distribute the work over a Dask cluster: tcp://HOST:8786, see docs/scale.md "
        "(this machine)",
    )
    add_deadline(command)


def add_plan(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `plan`."""
    add_roots(command)
    command.add_argument(
        "--take-over",
        action="store_true",
        help="convert an index that was filled with another chunk size, extractor or model",
    )


def add_rebuild(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `rebuild`."""
    add_roots(command)
    add_deadline(command)
    command.add_argument(
        "--questions",
        metavar="FILE",
        help="switch only if these are answered at least as well as before (docs/eval.md)",
    )
    command.add_argument(
        "--keep", type=count, default=1, metavar="N", help="older indexes to keep for --back (1)"
    )
    instead = command.add_mutually_exclusive_group()
    instead.add_argument("--back", action="store_true", help="switch back to the previous index")
    instead.add_argument("--list", action="store_true", help="list all indexes")
    instead.add_argument(
        "--alias", metavar="NAME", help="create an alias for an index on Azure AI Search"
    )


def add_embedder(command: argparse.ArgumentParser) -> None:
    """Add --embedder: an index can be opened only with the model that filled it."""
    command.add_argument(
        "--embedder",
        metavar="NAME",
        help="embedding model: local, local:multilingual, or https://.../v1 (Azure OpenAI if set, "
        "else local)",
    )


def add_reading_options(command: argparse.ArgumentParser) -> None:
    """Add the options for reading locked and scanned documents."""
    command.add_argument(
        "--passwords", metavar="FILE", help="passwords to try on locked PDFs, one per line (none)"
    )
    command.add_argument(
        "--ocr", metavar="NAME", help="OCR for scanned pages: local, or https://... (none)"
    )


def add_deadline(command: argparse.ArgumentParser) -> None:
    """Add --deadline."""
    command.add_argument(
        "--deadline", metavar="TIME", help="stop after this time, as in 25m (never)"
    )


def add_roots(command: argparse.ArgumentParser) -> None:
    """Add the roots, and the options that all commands on roots share."""
    command.add_argument(
        "roots",
        nargs="*",
        metavar="ROOT",
        help="a folder, a PDF, a quoted glob, or a blob container's URL; NAME=FOLDER names it "
        "(INGEST_ROOT)",
    )
    command.add_argument(
        "--prune",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="remove documents that are gone from their root (yes)",
    )
    command.add_argument(
        "--max-deletes",
        metavar="N",
        help="remove no more than N documents (a tenth of the root, at least 10)",
    )
    command.add_argument(
        "--allow-empty",
        action="store_true",
        default=None,
        help="a root without any PDF is meant to be empty: remove what the index has of it (no)",
    )
    command.add_argument(
        "--exclude",
        metavar="GLOB",
        action="append",
        help="skip documents by their path in the root, as in 'drafts/**'; may be repeated; "
        "those already in the index stay there",
    )
    command.add_argument(
        "--retry-failed",
        action="store_true",
        help="retry documents that failed three times",
    )
    command.add_argument(
        "--workers", metavar="N", help="documents to read in parallel (one per core)"
    )
    command.add_argument(
        "--extractor", metavar="NAME", help="PDF engine: auto, pdfium or pypdf (auto)"
    )
    add_reading_options(command)
    add_embedder(command)
    command.add_argument(
        "--wait-for-roles",
        metavar="TIME",
        help="wait up to this long for new role assignments to take effect, as in 10m (0)",
    )
    command.add_argument(
        "--max-tokens", metavar="N", help="stop before embedding more tokens, as in 100k (no limit)"
    )
    command.add_argument(
        "--max-cost", metavar="USD", help="stop before the run costs more, OCR included (no limit)"
    )
    command.add_argument("--chunk-tokens", metavar="N", help="maximum tokens per chunk (512)")
    command.add_argument(
        "--chunk-overlap", metavar="SHARE", help="share of a chunk that the next repeats (0.12)"
    )


def add_search(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `search`."""
    command.add_argument("query", metavar="QUERY", nargs="+", help="a question, or words")
    command.add_argument(
        "--mode",
        choices=["hybrid", "vector", "text"],
        default="hybrid",
        help="search by meaning (vector), by words (text), or both (hybrid)",
    )
    command.add_argument("--full", action="store_true", help="show whole chunks")
    command.add_argument(
        "-n", "--top", type=positive, default=5, metavar="N", help="maximum number of hits (5)"
    )
    add_embedder(command)


def add_status(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `status`."""
    command.add_argument(
        "--max-age",
        type=age,
        metavar="TIME",
        help="end with exit code 3 if the last good run of a root is older, as in 36h (no limit)",
    )
    add_embedder(command)


def add_check(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `check`; with --repair it runs the pipeline, and takes its options."""
    command.add_argument("--repair", action="store_true", help="repair what is found")
    command.add_argument(
        "--read", action="store_true", help="read every file, and every vector on a service"
    )
    command.add_argument(
        "--forget",
        metavar="ROOT[/NAME]",
        action="append",
        default=[],
        help="remove a root or one document from the index, named as in ingest status",
    )
    add_roots(command)


def add_report(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `report`."""
    command.add_argument(
        "run",
        nargs="?",
        metavar="RUN",
        help="report on this run only, by its id or the start of it",
    )
    command.add_argument(
        "--out",
        default="report.html",
        metavar="FILE",
        help="where to write the report; - is standard output (report.html)",
    )
    command.add_argument(
        "--inspect",
        action="append",
        default=[],
        metavar="NAME",
        help="show this document page by page: a name, a quoted glob, or NAME#page=N; may be "
        "repeated (those with problems, and the longest)",
    )
    add_embedder(command)


def add_eval(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `eval`."""
    command.add_argument(
        "questions",
        type=Path,
        metavar="QUESTIONS",
        help="a file with one JSON object per line (docs/eval.md)",
    )
    command.add_argument(
        "roots", nargs="*", metavar="ROOT", help="roots that --compare reads (INGEST_ROOT)"
    )
    command.add_argument(
        "--compare",
        action="append",
        metavar="RECIPE",
        help="compare temporary indexes with other settings, as in chunk-tokens=256,1024; may be "
        "repeated",
    )
    command.add_argument(
        "--max-tokens",
        metavar="N",
        help="tokens that --compare may embed (0 with a paid model, no limit with the local one)",
    )
    command.add_argument(
        "--misses", type=positive, default=10, metavar="N", help="maximum misses to show (10)"
    )
    add_embedder(command)


def add_doctor(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `doctor`."""
    command.add_argument("roots", nargs="*", metavar="ROOT", help="roots to check (INGEST_ROOT)")
    add_embedder(command)
    add_reading_options(command)


def add_token_proxy(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `token-proxy`."""
    command.add_argument(
        "--bind",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on: 127.0.0.1, or that of the container bridge (127.0.0.1)",
    )
    command.add_argument(
        "--port", type=port, default=0, metavar="N", help="port to listen on (any free one)"
    )
    command.add_argument(
        "--host",
        default="host.docker.internal",
        metavar="NAME",
        help="name of this machine in the container (host.docker.internal)",
    )
    command.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        help="write the variables here, for docker run --env-file; removed at the end",
    )


ADD_ARGUMENTS = {
    "run": add_run,
    "rebuild": add_rebuild,
    "plan": add_plan,
    "search": add_search,
    "status": add_status,
    "check": add_check,
    "report": add_report,
    "eval": add_eval,
    "doctor": add_doctor,
    "token-proxy": add_token_proxy,
}


# Argparse puts the names of these functions into its messages: "invalid port value: 'x'".


def port(text: str) -> int:
    """Parse a TCP port; 0 is any free one."""
    number = int(text)
    if not 0 <= number < 65536:  # noqa: PLR2004
        raise argparse.ArgumentTypeError("must be from 0 to 65535")
    return number


def count(text: str) -> int:
    """Parse an integer of at least 0."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number


def age(text: str) -> float:
    """Parse an age in seconds: "36h", "2d"."""
    unit = {"s": 1, "m": 60, "h": 3600, "d": 86400}.get(text[-1:])
    number = float(text[:-1] if unit else text) * (unit or 1)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number


def positive(text: str) -> int:
    """Parse an integer of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number
