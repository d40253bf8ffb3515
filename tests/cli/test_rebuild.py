"""`ingest rebuild` as a person or a script meets it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.conftest import Command
from tests.pdfs import prose, write


def test_an_index_is_rebuilt_and_brought_back(command: Command, tmp_path: Path) -> None:
    """I rebuild with another recipe, list the generations, and switch back."""
    write(tmp_path / "docs/cranes.pdf", prose("cranes", 12))
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"question": "What of cranes?", "source": "cranes.pdf"}\n')
    assert command("rebuild", "--back").returncode == 2
    assert "no index in .ingest yet" in command("rebuild", "--list").stdout
    command("run", "docs")

    done = command("rebuild", "--chunk-tokens", "32", "--questions", "questions.jsonl")
    assert done.returncode == 0, done.stderr
    new = re.search(r"^Switch:  (\S+) is in use, previously index.db$", done.stdout, re.MULTILINE)
    assert new
    line = "Answers: 1.000 of 1 questions answered by the first 5 chunks; 1.000 before"
    assert line in done.stdout

    *listed, summary = map(json.loads, command("rebuild", "--list", "--json").stdout.splitlines())
    assert [(g["name"], g["state"]) for g in listed] == [(new[1], "in use"), ("index.db", "kept")]
    assert listed[0]["chunks"] > listed[1]["chunks"]
    assert (summary["event"], summary["in_use"]) == ("summary", new[1])

    back = command("rebuild", "--back", "--json")
    (switched,) = map(json.loads, back.stdout.splitlines())
    assert (switched["event"], switched["index"], switched["before"]) == (
        "switched",
        "index.db",
        new[1],
    )
    assert f"newer    {new[1]}" in command("rebuild", "--list").stdout


def test_a_rebuild_says_which_limit_ended_it(command: Command, tmp_path: Path) -> None:
    """It also says what was spent; a first index is in use although incomplete."""
    write(tmp_path / "docs/cranes.pdf", prose("cranes", 40))
    first = command("rebuild", "docs", "--max-tokens", "1")
    assert first.returncode == 1
    assert "more would exceed --max-tokens 1" in first.stderr
    assert re.search(r"^Index:   \.ingest holds .* so far$", first.stdout, re.MULTILINE)

    command("run", "docs")
    again = command("rebuild", "--max-tokens", "1", "--chunk-tokens", "32", "--json")
    (*_, summary) = map(json.loads, again.stdout.splitlines())
    assert (again.returncode, summary["spent"]["limit"]) == (1, "--max-tokens 1")
    text = command("rebuild", "--max-tokens", "1", "--chunk-tokens", "32").stdout
    assert ".ingest is unchanged; the new one has " in text


def test_a_folder_that_moved_is_named(command: Command, tmp_path: Path) -> None:
    """The message names the folder in one line, even if the name has unusual characters."""
    folder = tmp_path / "[a]\u202e"
    write(folder / "cranes.pdf", prose("cranes"))
    command("run", str(folder))
    folder.rename(tmp_path / "moved")

    gone = command("rebuild")
    name = f"{tmp_path}/[a]\\u202e"
    assert gone.returncode == 2
    assert gone.stderr.endswith(f"Z exit 2: {name}: no such folder or file; check the path\n")
    assert f"root      {name}: no such folder or file" in command("check").stdout


def test_what_cannot_be_meant_is_said(command: Command, tmp_path: Path) -> None:
    """A rebuild that cannot work is refused, before anything is created."""
    for arguments, words in (
        ((), "no root is given"),
        (("--alias", "live"), "a folder needs none"),
        (("docs", "--questions", "none.jsonl"), "cannot be read"),
    ):
        done = command("rebuild", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
    assert list(tmp_path.iterdir()) == []
