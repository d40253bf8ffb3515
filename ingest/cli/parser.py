"""Argument parser: the commands, with errors in one line. Imports no command."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import NoReturn

from ingest.cli.arguments import ADD_ARGUMENTS, add_settings
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
    "knowledge": "create a knowledge base for agents from the index on Azure AI Search",
    "token-proxy": "let a local container sign in as you, without a key",
}

USAGE_EXIT_CODE = 2
# Messages of argparse.
UNKNOWN_COMMAND = re.compile(r"argument COMMAND: invalid choice: '(.*?)'")
MISSING_ARGUMENT = re.compile(r"the following arguments are required: (.*)")

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
    """Argument parser that reports errors in one line, "exit 2: ...", as commands do."""

    def parse_known_args(  # type: ignore[override] # of three overloads
        self, args: Sequence[str] | None = None, namespace: None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Reject an unknown option here, where the options of the command are known."""
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            names = {option.strip("-"): option for option in self._option_string_actions}
            hint = suggest(unknown[0].partition("=")[0].strip("-"), names)
            if not hint and self._subparsers:
                hint = " (options come after the command)"
            self.error(f"unknown argument: {' '.join(unknown)}{hint}")
        return options, []

    def error(self, message: str) -> NoReturn:
        """Print the error, and exit with code 2."""
        if unknown := UNKNOWN_COMMAND.match(message):
            message = f"no command {unknown[1]!r}{suggest(unknown[1], {n: n for n in COMMANDS})}"
        if missing := MISSING_ARGUMENT.match(message):
            message = f"{missing[1]} is missing"
        self.exit(USAGE_EXIT_CODE, f"exit {USAGE_EXIT_CODE}: {message}; see {self.prog} --help\n")

    def positionals(self) -> str:
        """Format the arguments that are no options, as in "QUESTIONS [ROOT ...] "."""
        forms = {"?": "[{}] ", "*": "[{} ...] "}
        arguments = (action for action in self._actions if not action.option_strings)
        return "".join(forms.get(str(a.nargs), "{} ").format(a.metavar) for a in arguments)


def suggest(word: str, names: Mapping[str, str]) -> str:
    """Suggest the name that a misspelt word may stand for; "" for none. The keys are compared."""
    similar = get_close_matches(word, names, 1)
    return f" (did you mean {names[similar[0]]}?)" if similar else ""


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
        add_settings(command, name)
        every = command.add_argument_group("options of every command")
        if name != "token-proxy":  # which has none
            every.add_argument(
                "--index",
                metavar="PLACE",
                help="the index: a folder, or https://... (AZURE_SEARCH_ENDPOINT, else .ingest)",
            )
        every.add_argument("--json", action="store_true", help="print one JSON object per line")
        every.add_argument(
            "--log", metavar="FORMAT", help="log format on stderr: text or json (text)"
        )
        every.add_argument(
            "-v", "--verbose", action="count", default=0, help="print more; -vv prints most"
        )
        every.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")
        command.usage = f"%(prog)s {command.positionals()}[options]"
    return top
