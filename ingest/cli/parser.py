"""The whole command line, without importing what it runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from ingest import __version__

COMMANDS = {
    "run": "bring the index in step with the roots",
    "rebuild": "make the index anew beside the one in use, and switch to it once it is as good",
    "plan": "show what a run would do, and do nothing",
    "search": "ask the index",
    "status": "show what the index holds, and what failed and why",
    "check": "compare the index with its records and the roots, and mend it",
    "report": "write a page to look at: the index, its troubles, its last run",
    "eval": "ask the index questions with known answers, and score what it finds",
    "doctor": "check settings, identity, roles, services and sources, and say what to mend",
    "token-proxy": "let a local container sign in as you, without a key",
}

USAGE = 2  # the exit code of what is not understood

EPILOG = """\
exit codes:
  0  done                                  3  done, but some documents could not be taken;
  1  a service failed, or the deadline        check: something is not as it should be
     or a limit came; run again           11  another run holds the index
  2  usage or settings; the message says what to change
  130, 143  stopped by ^C or SIGTERM; the next run goes on from there

Settings come from flags, the environment (INGEST_...) and .env; README.md lists them.
"""


class Parser(argparse.ArgumentParser):
    """A parser whose last word says what its exit code means, as every command's does."""

    def error(self, message: str) -> NoReturn:
        """Say how it is used, and what is wrong."""
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"exit {USAGE}: {message}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """Every command and its options."""
    top = Parser(
        prog="ingest",
        description="Keeps a search index in step with a set of PDFs.",
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
            epilog="exit codes: see ingest --help",
        )
        ADD[name](command)
        every = command.add_argument_group("every command")
        every.add_argument(
            "--index",
            metavar="PLACE",
            help="a folder, or https://... (AZURE_SEARCH_ENDPOINT, else .ingest)",
        )
        every.add_argument("--json", action="store_true", help="print one JSON object a line")
        every.add_argument("--log", metavar="FORM", help="what stderr gets: text or json (text)")
        every.add_argument("-v", "--verbose", action="count", default=0, help="say more; -vv most")
        every.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors")
    return top


def add_run(command: argparse.ArgumentParser) -> None:
    """What `run` takes."""
    add_roots(command)
    command.add_argument("--dry-run", action="store_true", help="the same as ingest plan")
    command.add_argument(
        "--engine",
        metavar="URL",
        help="let the workers of a Dask scheduler read, embed and write: tcp://HOST:8786, "
        "docs/scale.md (this machine)",
    )
    add_deadline(command)


def add_rebuild(command: argparse.ArgumentParser) -> None:
    """What `rebuild` takes."""
    add_roots(command)
    add_deadline(command)
    command.add_argument(
        "--questions",
        metavar="FILE",
        help="switch only if these are answered as well as before (docs/eval.md)",
    )
    command.add_argument(
        "--keep", type=count, default=1, metavar="N", help="older indexes kept to go back to (1)"
    )
    instead = command.add_mutually_exclusive_group()
    instead.add_argument("--back", action="store_true", help="switch to the index before")
    instead.add_argument("--list", action="store_true", help="show all that there are")
    instead.add_argument(
        "--alias", metavar="NAME", help="give an index on Azure AI Search a name that can be moved"
    )


def add_embedder(command: argparse.ArgumentParser) -> None:
    """Which model: an index is opened for the model that it was filled with."""
    command.add_argument(
        "--embedder",
        metavar="NAME",
        help="local, or https://.../v1 (Azure OpenAI if set, else local)",
    )


def add_means(command: argparse.ArgumentParser) -> None:
    """What documents may be read with beside an engine."""
    command.add_argument(
        "--passwords", metavar="FILE", help="passwords to try on locked PDFs, one a line (none)"
    )
    command.add_argument(
        "--ocr", metavar="NAME", help="what reads scans: local, or https://... (nothing)"
    )


def add_deadline(command: argparse.ArgumentParser) -> None:
    """When to stop."""
    command.add_argument("--deadline", metavar="TIME", help="stop by then, as in 25m (never)")


def add_roots(command: argparse.ArgumentParser) -> None:
    """What `run` and `plan` have in common."""
    command.add_argument(
        "roots",
        nargs="*",
        metavar="ROOT",
        help="a folder, a PDF, a quoted glob, or a blob container's URL (INGEST_ROOT)",
    )
    command.add_argument(
        "--prune",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="remove what vanished from its root (yes)",
    )
    command.add_argument(
        "--max-deletes",
        metavar="N",
        help="most sources to remove (a tenth of the root, at least 10)",
    )
    command.add_argument(
        "--exclude",
        metavar="GLOB",
        action="append",
        help="leave out sources by their names in the root, as in 'drafts/**'; repeatable; what "
        "the index has of them stays",
    )
    command.add_argument(
        "--retry-failed", action="store_true", help="try again what failed three times"
    )
    command.add_argument("--workers", metavar="N", help="documents read side by side (one a core)")
    command.add_argument("--extractor", metavar="NAME", help="auto, pdfium or pypdf (auto)")
    add_means(command)
    add_embedder(command)
    command.add_argument(
        "--wait-for-roles", metavar="TIME", help="wait so long for new roles to hold: 10m (0)"
    )
    command.add_argument(
        "--max-tokens", metavar="N", help="stop before it embeds more tokens, as in 100k (never)"
    )
    command.add_argument(
        "--max-cost", metavar="USD", help="stop before it costs more, scans included (never)"
    )
    command.add_argument("--chunk-tokens", metavar="N", help="most tokens in a chunk (512)")
    command.add_argument("--chunk-overlap", metavar="SHARE", help="what a chunk may repeat (0.12)")


def add_search(command: argparse.ArgumentParser) -> None:
    """What `search` takes."""
    command.add_argument("query", metavar="QUERY", nargs="+", help="a question, or words")
    command.add_argument(
        "--mode",
        choices=["hybrid", "vector", "text"],
        default="hybrid",
        help="by meaning and by words, or by one of them (hybrid)",
    )
    command.add_argument("--full", action="store_true", help="show whole passages")
    command.add_argument(
        "-n", "--top", type=positive, default=5, metavar="N", help="most answers (5)"
    )
    add_embedder(command)


def add_status(command: argparse.ArgumentParser) -> None:
    """What `status` takes."""
    add_embedder(command)


def add_check(command: argparse.ArgumentParser) -> None:
    """What `check` takes: with --repair it is a run."""
    command.add_argument("--repair", action="store_true", help="mend what is found")
    command.add_argument(
        "--read", action="store_true", help="read every byte: of files, and of vectors on a service"
    )
    command.add_argument(
        "--forget",
        metavar="ROOT[/NAME]",
        action="append",
        default=[],
        help="remove all that the index has of a root, or of one source, as ingest status names it",
    )
    add_roots(command)


def add_report(command: argparse.ArgumentParser) -> None:
    """What `report` takes."""
    command.add_argument(
        "run", nargs="?", metavar="RUN", help="only what this run settled, by its id or its start"
    )
    command.add_argument(
        "--out",
        default="report.html",
        metavar="FILE",
        help="where to write it; - for the standard output (report.html)",
    )
    command.add_argument(
        "--inspect",
        action="append",
        default=[],
        metavar="NAME",
        help="show this source page by page: a name, a quoted glob, or NAME#page=N; repeatable "
        "(those in trouble and the longest)",
    )
    add_embedder(command)


def add_eval(command: argparse.ArgumentParser) -> None:
    """What `eval` takes."""
    command.add_argument(
        "questions",
        type=Path,
        metavar="QUESTIONS",
        help="a file of them, one JSON object a line (docs/eval.md)",
    )
    command.add_argument(
        "roots", nargs="*", metavar="ROOT", help="what --compare reads (INGEST_ROOT)"
    )
    command.add_argument(
        "--compare",
        action="append",
        metavar="RECIPE",
        help="ask side indexes of other recipes, as in chunk-tokens=256,1024; may be repeated",
    )
    command.add_argument(
        "--max-tokens",
        metavar="N",
        help="most tokens that --compare may have embedded (none, but by the local model any)",
    )
    command.add_argument(
        "--misses", type=positive, default=10, metavar="N", help="most misses shown (10)"
    )
    add_embedder(command)


def add_doctor(command: argparse.ArgumentParser) -> None:
    """What `doctor` takes."""
    command.add_argument(
        "roots", nargs="*", metavar="ROOT", help="what a run would be given (INGEST_ROOT)"
    )
    add_embedder(command)
    add_means(command)


def add_token_proxy(command: argparse.ArgumentParser) -> None:
    """What `token-proxy` takes."""
    command.add_argument(
        "--bind",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where to listen: 127.0.0.1, or the container bridge (127.0.0.1)",
    )
    command.add_argument(
        "--port", type=port, default=0, metavar="N", help="where to listen (any free one)"
    )
    command.add_argument(
        "--host",
        default="host.docker.internal",
        metavar="NAME",
        help="what the client calls this machine (host.docker.internal)",
    )
    command.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        help="the variables, for docker run --env-file; removed at the end",
    )


ADD = {
    "run": add_run,
    "rebuild": add_rebuild,
    "plan": add_roots,
    "search": add_search,
    "status": add_status,
    "check": add_check,
    "report": add_report,
    "eval": add_eval,
    "doctor": add_doctor,
    "token-proxy": add_token_proxy,
}


def port(text: str) -> int:
    """A TCP port from a command line; 0 is any free one."""
    number = int(text)
    if not 0 <= number < 65536:  # noqa: PLR2004
        raise argparse.ArgumentTypeError("must be from 0 to 65535")
    return number


def count(text: str) -> int:
    """A count from a command line, or none."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number


def positive(text: str) -> int:
    """A count from a command line."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number
