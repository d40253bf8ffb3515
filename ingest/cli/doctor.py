"""`ingest doctor`: report what would keep a run from working, and how to fix it."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from ingest.cli import load_environment, load_settings
from ingest.cli.env_file import parse_env_file
from ingest.cli.exit_message import CommandExit
from ingest.cli.watchdog import SIGNALS, install_handler
from ingest.commands.doctor.doctor import diagnose
from ingest.commands.doctor.finding import DoctorFinding, Verdict
from ingest.errors import ConfigError, ServiceError
from ingest.redaction import redact
from ingest.runtime.formatting import escape_unprintable, pluralize, to_json

if TYPE_CHECKING:
    from ingest.commands.doctor.live.live import Recording

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
    leftover = probe_live(options) if options.live else ""
    code = ServiceError.exit_code if leftover else ConfigError.exit_code if wrong else 0
    if options.json:
        print(json.dumps({"event": "summary", "wrong": wrong, "exit": code}))
    message = leftover or f"{pluralize(wrong, 'thing')} to fix"
    return CommandExit(code, message) if code else 0


def format_check(finding: DoctorFinding) -> str:
    """Format a finding as a line of text."""
    unknown = f"{finding.verdict}: " if finding.verdict is Verdict.UNKNOWN else ""
    text = escape_unprintable(finding.text)
    return f"{VERDICT_MARKS[finding.verdict]} {finding.check:<10}  {unknown}{text}"


def probe_live(options: argparse.Namespace) -> str:
    """Run the live probes and write their recording; returns why their index is left, or ""."""
    from ingest.commands.doctor.live.live import plan_live, run_live

    plan = plan_live(load_settings(options), options.writes)

    def say(text: str) -> None:
        if options.json:
            print(json.dumps({"event": "progress", "text": text}, ensure_ascii=False), flush=True)
        elif not options.quiet:
            print(escape_unprintable(text), flush=True)

    say(plan.describe())
    with install_handler(stop_once):
        recording = run_live(plan, say)
    write_recording(recording, options)
    return recording.leftover


def stop_once(number: int, _frame: FrameType | None) -> None:
    """End the probes by an exception, which deletes their index, and ignore further signals."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


def write_recording(recording: Recording, options: argparse.Namespace) -> None:
    """Write the recording to a file, and print its summary."""
    from ingest.commands.doctor.live.summary import summarize

    made = recording.to_json()
    path = Path(options.out)
    try:
        path.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}): choose --out") from error
    if options.json:
        print(json.dumps({"event": "live", **made}, ensure_ascii=False), flush=True)
    elif not options.quiet:
        for line in summarize(made):
            print(escape_unprintable(line))
        print(f"{path} has the results without secrets; docs/live.md says how to send them")
