"""`ingest doctor`: report what would keep a run from working, and how to fix it."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace

from ingest.cli import load_environment
from ingest.cli.env_file import parse_env_file
from ingest.cli.exit_message import CommandExit
from ingest.commands.doctor.doctor import diagnose
from ingest.commands.doctor.finding import DoctorFinding, Verdict
from ingest.errors import ConfigError
from ingest.redaction import redact
from ingest.runtime.formatting import escape_unprintable, pluralize, to_json

VERDICT_MARKS = {Verdict.RIGHT: "\u2713", Verdict.WRONG: "\u2717", Verdict.UNKNOWN: "-"}


def main(options: argparse.Namespace) -> int | CommandExit:
    """Run the command; returns its exit code, with a message unless it is 0."""
    wrong = 0
    environment = dict(load_environment(options))
    for finding in diagnose(environment, parse_env_file(), vars(options), options.roots):
        finding = replace(finding, text=redact(finding.text))  # noqa: PLW2901 - it quotes services
        wrong += finding.verdict is Verdict.WRONG
        if options.json:
            print(to_json({"event": "finding", **asdict(finding)}), flush=True)
        elif not options.quiet or finding.verdict is Verdict.WRONG:
            print(format_check(finding), flush=True)
    code = ConfigError.exit_code if wrong else 0
    if options.json:
        print(json.dumps({"event": "summary", "wrong": wrong, "exit": code}))
    return CommandExit(code, f"{pluralize(wrong, 'thing')} to fix") if code else 0


def format_check(finding: DoctorFinding) -> str:
    """Format a finding as a line of text."""
    unknown = f"{finding.verdict}: " if finding.verdict is Verdict.UNKNOWN else ""
    text = escape_unprintable(finding.text)
    return f"{VERDICT_MARKS[finding.verdict]} {finding.check:<10}  {unknown}{text}"
