"""`ingest doctor`: what would keep a run from working, and what to do about it."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from dotenv import dotenv_values

from ingest.cli import environment, show
from ingest.cli.last_line import Ended
from ingest.doctor import findings
from ingest.doctor.finding import Finding, Verdict
from ingest.errors import ConfigError

MARKS = {Verdict.RIGHT: "\u2713", Verdict.WRONG: "\u2717", Verdict.UNKNOWN: "-"}


def main(options: argparse.Namespace) -> int | Ended:
    """Do what the options say; returns the exit code, and what it means unless it is 0."""
    wrong = 0
    now = environment()
    for finding in findings(now, dotenv_values(".env"), vars(options), options.roots):
        wrong += finding.verdict is Verdict.WRONG
        if options.json:
            print(
                json.dumps({"event": "finding", **asdict(finding)}, ensure_ascii=False), flush=True
            )
        elif not options.quiet or finding.verdict is Verdict.WRONG:
            print(line(finding), flush=True)
    code = ConfigError.exit_code if wrong else 0
    if options.json:
        print(json.dumps({"event": "summary", "wrong": wrong, "exit": code}))
    return Ended(code, f"{show.many(wrong, 'thing')} to be put right") if code else 0


def line(finding: Finding) -> str:
    """A finding as a line of text."""
    unknown = f"{finding.verdict}: " if finding.verdict is Verdict.UNKNOWN else ""
    return f"{MARKS[finding.verdict]} {finding.check:<10}  {unknown}{show.printable(finding.text)}"
