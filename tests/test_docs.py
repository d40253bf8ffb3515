"""The documents say what the code does: no table drifts, no command is made up."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from ingest.cli.arguments import COMMANDS, EPILOG, build_parser
from ingest.commands.check.finding import FindingKind
from ingest.config.settings import environment_settings
from ingest.errors import BusyError, ConfigError, DocumentError, ServiceError
from ingest.models import Code
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()
DESIGN = (ROOT / "DESIGN.md").read_text()
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))


def functions(path: Path) -> list[ast.FunctionDef]:
    tree = ast.parse(path.read_text())
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def test_the_readme_opens_with_the_two_commands() -> None:
    """Two commands are all a stranger needs; they are the first ones shown, and they exist."""
    (first, *_) = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    commands = [line.split("#")[0].strip() for line in first.splitlines() if line.strip()]
    assert commands == ["./scripts/ingest run data/", "./scripts/test"]
    for command in commands:
        assert (ROOT / command.split()[0]).stat().st_mode & 0o111


def test_every_command_in_the_readme_is_understood() -> None:
    """Whatever I copy from the README is a command line that ingest accepts."""
    pattern = rf"^(?:\./scripts/)?ingest ((?:{'|'.join(COMMANDS)})[^#\n]*)"
    lines = re.findall(pattern, README, re.MULTILINE)
    assert len(lines) >= 5
    for line in lines:
        import shlex

        build_parser().parse_args(shlex.split(line))


def test_the_table_of_settings_is_the_code() -> None:
    """Every setting, its default and its meaning, in one table."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.*?) \| (.*?) \|$", README, re.MULTILINE)
    assert rows == [
        (f.metadata["env"], shown(f.default), f.metadata["doc"]) for f in environment_settings()
    ]


def shown(default: object) -> str:
    if default in (None, "", ()):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def test_the_table_of_commands_is_the_code() -> None:
    """Every command, and no other."""
    rows = re.findall(r"^\| `ingest ([\w-]+)[^`]*` \| (.*?) \|$", README, re.MULTILINE)
    assert rows == list(COMMANDS.items())


def test_the_readme_names_every_event() -> None:
    """I can look up each kind of line that --json prints; only what runs on has others."""
    (named,) = re.findall(r"one JSON object a line: (.*?);", README, re.DOTALL)
    written = {
        node.value.value
        for path in (ROOT / "ingest/cli").glob("*.py")
        for each in ast.walk(ast.parse(path.read_text()))
        if isinstance(each, ast.Dict)
        for key, node in [(k, ast.Expr(v)) for k, v in zip(each.keys, each.values, strict=True)]
        if isinstance(key, ast.Constant) and key.value == "event"
        if isinstance(node.value, ast.Constant)
    }
    assert written - {"answered", "listening"} == set(re.findall(r"`([a-z]+)`", named)) - {"left"}


def test_the_exit_codes_are_the_code() -> None:
    """A script can rely on them; README and --help agree with the errors."""
    rows = dict(re.findall(r"^\| (\d+) \| (.*?) \|$", README, re.MULTILINE))
    assert set(rows) == {"0", "1", "2", "3", "11", "130", "143"}
    for error, code in ((ServiceError, 1), (ConfigError, 2), (DocumentError, 3), (BusyError, 11)):
        assert error.exit_code == code
    assert set(map(int, re.findall(r"\b(\d+)(?:,|  )", EPILOG))) >= {0, 1, 2, 3, 11, 130}


def test_the_table_of_codes_is_the_code() -> None:
    """Every code that a script can meet is explained, with the outcome it comes with."""
    table = (ROOT / "docs" / "outcomes.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| ([a-z, ]+) \|", table, re.MULTILINE))
    assert set(rows) == {code.value for code in Code}
    taken = {Code.NO_TEXT, Code.SCANNED, Code.DOUBTFUL, Code.PAGES_MISSING}
    for code in set(Code) - taken:
        assert code.outcome in rows[code].split(", ")


def test_every_file_is_said_to_be_for_something() -> None:
    """Whoever looks for a thing finds its file in DESIGN.md, and no file that is not there."""
    tree = DESIGN.split("## What each file is for")[1].split("```")[1]
    parts = re.split(r"^  (?=\w)", tree, flags=re.MULTILINE)[1:]
    named = {part.split()[0].rstrip("/"): set(re.findall(r"\w+\.py", part)) for part in parts}
    files: dict[str, set[str]] = {}
    for path in (ROOT / "ingest").rglob("[!_]*.py"):
        top = path.relative_to(ROOT / "ingest").parts[0]
        files.setdefault(top, set()).add(path.name)
    del named["cli"], files["cli"]  # one file a command
    assert named == files


def test_the_table_of_findings_is_the_code() -> None:
    """Every kind of finding that a script can meet is explained."""
    table = (ROOT / "docs" / "check.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z]+)` \|", table, re.MULTILINE) == [
        kind.value for kind in FindingKind
    ]


def test_every_invariant_names_a_test_that_exists() -> None:
    """What makes the product trustworthy is not only claimed."""
    names = {function.name for path in TESTS for function in functions(path)}
    invariants = re.findall(r"^(\d+)\. \*\*", DESIGN, re.MULTILINE)
    assert invariants == [str(n) for n in range(1, 11)]
    for text in re.split(r"^\d+\. \*\*", DESIGN.split("## Invariants")[1], flags=re.MULTILINE)[1:]:
        named = re.findall(r"`(test_\w+)`", text.split("\n## ")[0])
        assert named, text
        assert set(named) <= names


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_every_test_says_in_a_users_words_what_it_holds(path: Path) -> None:
    """A test whose purpose nobody wrote down is deleted by the next person it annoys."""
    for function in functions(path):
        if function.name.startswith("test_"):
            assert ast.get_docstring(function), function.name


def test_the_documents_name_files_that_exist() -> None:
    """No link is dead."""
    names = ["README.md", "DESIGN.md", "benchmarks/README.md", "data/README.md"]
    for name in [*names, *(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md"))]:
        path = ROOT / name
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{name} -> {target}"


def test_nothing_is_committed_that_should_not_be() -> None:
    """No registry's host, no path of one machine, no leftover."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    files = [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    banned = ["pypi" + ".org", "files.python" + "hosted", "registry.npm" + "js", "deb." + "debian"]
    for path in files:
        if path.suffix not in {".pdf", ".gz"}:
            text = path.read_text()
            assert not any(host in text for host in banned), path


def test_the_changelog_has_this_version() -> None:
    """Users can read what they get."""
    from ingest import __version__

    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()
