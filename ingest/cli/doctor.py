"""`ingest doctor`: what would keep a run from working, and what to do about it."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from dotenv import dotenv_values

from ingest.cli import load_environment
from ingest.cli import output as show
from ingest.cli.exit_message import CommandExit
from ingest.commands.doctor.doctor import diagnose
from ingest.commands.doctor.finding import DoctorFinding, Verdict
from ingest.errors import ConfigError

VERDICT_MARKS = {Verdict.RIGHT: "\u2713", Verdict.WRONG: "\u2717", Verdict.UNKNOWN: "-"}


def main(options: argparse.Namespace) -> int | CommandExit:
    """Do what the options say; returns the exit code, and what it means unless it is 0."""
    wrong = 0
    now = load_environment()
    for finding in diagnose(now, dotenv_values(".env"), vars(options), options.roots):
        wrong += finding.verdict is Verdict.WRONG
        if options.json:
            print(
                json.dumps({"event": "finding", **asdict(finding)}, ensure_ascii=False), flush=True
            )
        elif not options.quiet or finding.verdict is Verdict.WRONG:
            print(format_check(finding), flush=True)
    code = ConfigError.exit_code if wrong else 0
    if options.json:
        print(json.dumps({"event": "summary", "wrong": wrong, "exit": code}))
    return CommandExit(code, f"{show.pluralize(wrong, 'thing')} to be put right") if code else 0


def format_check(finding: DoctorFinding) -> str:
    """A finding as a line of text."""
    unknown = f"{finding.verdict}: " if finding.verdict is Verdict.UNKNOWN else ""
    return f"{VERDICT_MARKS[finding.verdict]} {finding.check:<10}  {unknown}{show.escape_unprintable(finding.text)}"
