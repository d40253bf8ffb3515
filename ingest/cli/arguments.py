"""Arguments and options of each command. Does not import the commands, so --help is fast."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ingest.cli.argument_types import age, count, object_id, object_ids, port, positive
from ingest.config.declaration import Flag
from ingest.config.settings import environment_settings
from ingest.models import FigureFilter


def add_run(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `run`."""
    add_plan(command)
    command.add_argument("--dry-run", action="store_true", help="do what ingest plan does")


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
    instead.add_argument(
        "--list", action="store_true", help="list the live index, and older or unfinished ones"
    )
    instead.add_argument(
        "--alias", metavar="NAME", help="create an alias for the index on Azure AI Search"
    )


def add_roots(command: argparse.ArgumentParser) -> None:
    """Add the roots, and the options that all commands on roots share besides settings."""
    command.add_argument(
        "roots",
        nargs="*",
        metavar="ROOT",
        help="a folder, a PDF, a quoted glob, or a blob container's URL; NAME=ROOT names it "
        "(INGEST_ROOT)",
    )
    command.add_argument(
        "--retry-failed",
        action="store_true",
        help="retry documents that failed three times",
    )


# Commands with the options of settings: these, unless another line names others.
ROOT_COMMANDS = ("run", "rebuild", "plan", "check")
SETTING_COMMANDS = {
    "deadline": ("run", "rebuild"),
    "embedder": (*ROOT_COMMANDS, "search", "status", "report", "eval", "doctor"),
    "engine": ("run",),
    "figures": (*ROOT_COMMANDS, "doctor"),
    "ocr": (*ROOT_COMMANDS, "doctor"),
    "passwords": (*ROOT_COMMANDS, "doctor"),
}


def add_settings(command: argparse.ArgumentParser, name: str) -> None:
    """Add the options of a command that are settings; an option that is not given is None."""
    for item in environment_settings():
        flag: Flag | None = item.metadata["flag"]
        if flag is None or name not in SETTING_COMMANDS.get(item.name, ROOT_COMMANDS):
            continue
        kind: dict[str, Any] = {"metavar": flag.metavar}
        if isinstance(item.default, bool):
            kind = {"action": argparse.BooleanOptionalAction if item.default else "store_true"}
        elif isinstance(item.default, tuple):
            kind |= {"action": "append"}
        option = "--" + item.name.replace("_", "-")
        command.add_argument(option, default=None, help=flag.help, **kind)


def add_search(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `search`."""
    command.add_argument("query", metavar="QUERY", nargs="+", help="a question, or words")
    command.add_argument(
        "--mode",
        choices=["hybrid", "vector", "text"],
        default="hybrid",
        help="search by meaning (vector), by words (text), or both (hybrid)",
    )
    command.add_argument(
        "--figures",
        dest="figure_filter",  # `figures` is the setting of a run
        choices=[choice.value for choice in FigureFilter],
        default=FigureFilter.INCLUDE.value,
        help="include the descriptions of figures, exclude them, or find only them (include)",
    )
    command.add_argument("--full", action="store_true", help="show whole chunks")
    command.add_argument(
        "--as",
        dest="oid",
        type=object_id,
        metavar="OID",
        help="find only what the user with this object id may read",
    )
    command.add_argument(
        "--groups",
        type=object_ids,
        metavar="OIDS",
        help="the groups of that user, separated by commas",
    )
    command.add_argument(
        "-n", "--top", type=positive, default=5, metavar="N", help="maximum number of hits (5)"
    )


def add_status(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `status`."""
    command.add_argument(
        "--max-age",
        type=age,
        metavar="TIME",
        help="end with exit code 3 if a root's last complete run is older, as in 36h (no limit)",
    )


def add_check(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `check`; with --repair it runs the pipeline, and takes its options."""
    command.add_argument("--repair", action="store_true", help="repair what is found")
    command.add_argument(
        "--read",
        action="store_true",
        help="read all files, and all texts and vectors on a service",
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
        help="where to write the report; - for standard output (report.html)",
    )
    command.add_argument(
        "--inspect",
        action="append",
        default=[],
        metavar="NAME",
        help="show this document page by page: a name or the end of it, a quoted glob, or "
        "NAME#page=N; may be repeated (those with problems, and the longest)",
    )


def add_eval(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `eval`."""
    command.add_argument(
        "questions",
        type=Path,
        metavar="QUESTIONS",
        help="a file with one JSON object per line (docs/eval.md)",
    )
    command.add_argument(
        "roots",
        nargs="*",
        default=[],  # or argparse calls it required
        metavar="ROOT",
        help="roots that --compare reads (INGEST_ROOT)",
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
        "--misses",
        type=positive,
        default=10,
        metavar="N",
        help="maximum number of misses to show (10)",
    )


def add_doctor(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `doctor`."""
    command.add_argument("roots", nargs="*", metavar="ROOT", help="roots to check (INGEST_ROOT)")
    command.add_argument(
        "--live",
        action="store_true",
        help="also measure how the Azure services behave, in an index that is deleted again; costs "
        "a fraction of a cent (docs/live.md)",
    )
    command.add_argument(
        "--out",
        default="live.json",
        metavar="FILE",
        help="where --live writes what it found (live.json)",
    )
    command.add_argument(
        "--writes", type=positive, default=20, metavar="N", help="writes that --live measures (20)"
    )


def add_knowledge(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `knowledge`."""
    command.add_argument(
        "--name",
        default="",
        metavar="NAME",
        help="name of the knowledge source and of the knowledge base (that of the index)",
    )


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
    "knowledge": add_knowledge,
    "token-proxy": add_token_proxy,
}
