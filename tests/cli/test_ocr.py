"""Scans from the command line: off, on, and found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.conftest import ROOT, Command

SCAN = ROOT / "data/scans/delivery-note.pdf"


def test_scans_are_named_and_then_read(command: Command, tmp_path: Path) -> None:
    """Without OCR, a scan is named with the setting to turn on; with it, its text is found."""
    (tmp_path / "docs").mkdir()
    shutil.copy(SCAN, tmp_path / "docs")

    off = command("run", "docs", "--json")
    event, _ = [json.loads(line) for line in off.stdout.splitlines()]
    assert (off.returncode, event["outcome"], event["code"]) == (0, "empty", "no-text")
    assert "--ocr local" in event["reason"]

    on = command("run", "docs", "--ocr", "local", "--json", INGEST_INDEX="with-ocr")
    event, _ = [json.loads(line) for line in on.stdout.splitlines()]
    assert (on.returncode, event["outcome"]) == (0, "new"), on.stderr
    assert event["details"]["scanned"] == [1]
    assert event["details"]["ocr"] == "local:rapidocr-3.10"

    found = command("search", "how heavy are the boxes", INGEST_INDEX="with-ocr")
    assert found.stdout.startswith("delivery-note.pdf  page 1")
    assert "16.4 kg" in found.stdout
