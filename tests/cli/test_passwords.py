"""Locked documents, and the file of passwords."""

from __future__ import annotations

from pathlib import Path

import pypdf

from tests.conftest import ROOT, Command
from tests.pdfs import set_age, write

PASSWORD = "Glockenspiel-0815"


def test_a_locked_document_is_read_once_its_password_is_there(
    command: Command, tmp_path: Path
) -> None:
    """The next run reads it without a retry option, and the password is never shown."""
    locked = write(tmp_path / "docs/locked.pdf", "All about lathes")
    writer = pypdf.PdfWriter(clone_from=locked)
    writer.encrypt(PASSWORD, algorithm="AES-256")
    writer.write(locked)
    set_age(locked)
    keys = tmp_path / "keys"
    for _ in range(4):
        done = command("run", "docs")
        assert done.returncode == 3
    assert "--passwords names a file of them (tried 3 times" in done.stderr

    keys.write_text("Xylophon-4711\nXylophon-4712\n")
    wrong = command("run", "docs", "--passwords", "keys", "--json", "-vvv")
    assert "needs a password; none of the 2 passwords opens it" in wrong.stdout
    assert '"code": "encrypted"' in wrong.stdout

    keys.write_text(f"Xylophon-4711\n{PASSWORD}\n")
    planned = command("plan", "docs", "--passwords", "keys", "-vvv")
    assert "1 new" in planned.stdout
    right = command("run", "docs", "--passwords", "keys", "--json", "-vvv")
    assert right.returncode == 0
    status = command("status", "--json", "-vvv")
    again = command("run", "docs", "-vvv")
    assert "1 unchanged" in again.stdout

    shown = [text for d in (wrong, planned, right, status, again) for text in (d.stdout, d.stderr)]
    kept = [file.read_bytes() for file in (tmp_path / ".ingest").rglob("*") if file.is_file()]
    for secret in ("Xylophon", PASSWORD):
        assert not any(secret in text for text in shown)
        assert not any(secret.encode() in data for data in kept)


def test_a_file_of_passwords_that_is_missing_ends_the_run(command: Command) -> None:
    """A mistyped path is an error before anything is read."""
    done = command("run", str(ROOT / "data"), "--passwords", "kyes")

    assert done.returncode == 2
    assert "passwords: kyes cannot be read (No such file or directory)" in done.stderr
