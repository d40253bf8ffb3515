"""The documents say what the code does: no table drifts, no command is made up."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from ingest.cli.parser import COMMANDS, EPILOG, build_parser
from ingest.commands.check.finding import FindingKind
from ingest.config.settings import environment_settings
from ingest.errors import BusyError, ConfigError, DocumentError, ServiceError
from ingest.models import Code
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()
CLI = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
DESIGN = (ROOT / "DESIGN.md").read_text()
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
DECISIONS_FOLDER = ROOT / "docs" / "decisions"
DECISIONS = sorted(DECISIONS_FOLDER.glob("[!R]*.md"))


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


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_command_in_the_documents_is_understood(page: Path) -> None:
    """I can copy a command line from any page, and ingest accepts it."""
    pattern = rf"^(?:\./scripts/)?ingest ((?:{'|'.join(COMMANDS)})[^#\n]*)"
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines = re.findall(pattern, "\n".join(blocks), re.MULTILINE)
    assert len(lines) >= {"README.md": 3, "cli.md": 20}.get(page.name, 0)
    for line in lines:
        build_parser().parse_args(shlex.split(line.partition("&")[0].partition("|")[0]))


def test_the_table_of_settings_is_the_code() -> None:
    """Every setting, its default and its meaning, in one table."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.*?) \| (.*?) \|$", CONFIGURATION, re.MULTILINE)
    assert rows == [
        (f.metadata["env"], format_default(f.default), f.metadata["doc"])
        for f in environment_settings()
    ]


def format_default(default: object) -> str:
    if default in (None, "", ()):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def test_the_table_of_commands_is_the_code() -> None:
    """Every command, and no other."""
    rows = re.findall(r"^\| `ingest ([\w-]+)[^`]*` \| (.*?) \|$", CLI, re.MULTILINE)
    assert rows == list(COMMANDS.items())


def test_every_json_event_is_documented() -> None:
    """I can look up each kind of line that --json prints; only the token proxy has others."""
    (named,) = re.findall(r"whose `event` is one of these: (.*?)\. Their", CLI, re.DOTALL)
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
    """A script can rely on them; docs/cli.md and --help agree with the errors."""
    rows = dict(re.findall(r"^\| (\d+) \| (.*?) \|$", CLI, re.MULTILINE))
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
    taken |= {Code.UNDECODED, Code.HIDDEN_TEXT, Code.FIGURES}
    for code in set(Code) - taken:
        assert code.outcome in rows[code].split(", ")


def layout() -> dict[str, str]:
    """The names at the top of the package, as DESIGN.md lists them, and the remark on each."""
    tree = DESIGN.split("\n## Layout\n")[1].split("```")[1]
    return dict(re.findall(r"^  (\w+(?:\.py|/)) +(.+)$", tree, re.MULTILINE))


def test_the_layout_is_the_tree() -> None:
    """The sixteen names that DESIGN.md explains are those at the top of the package."""
    package = ROOT / "ingest"
    modules = {path.name for path in package.glob("[!_]*.py")}
    packages = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert set(layout()) == modules | packages
    assert len(layout()) == 16


def test_every_file_in_the_layout_is_in_its_package() -> None:
    """A file that DESIGN.md names beside a package is found in that package."""
    for name, remark in layout().items():
        for part in re.findall(r"\b\w+(?:\.py\b|/(?!\w))", remark):
            assert (ROOT / "ingest" / name / part).exists(), f"{name}{part}"


@pytest.mark.parametrize("page", [ROOT / "DESIGN.md", *DECISIONS], ids=lambda path: path.name)
def test_every_path_in_the_design_leads_to_a_file(page: Path) -> None:
    """The files that I am told to read are there; paths are relative to the package or the root."""
    for name in re.findall(r"`([\w/]+/\w+\.py)`", page.read_text(encoding="utf-8")):
        assert any((folder / name).is_file() for folder in (ROOT / "ingest", ROOT)), name


def test_what_a_newcomer_reads_first_is_short() -> None:
    """I read README and DESIGN.md in one sitting; details, reasons and history are in docs/."""
    assert len(README.splitlines()) <= 120
    assert DESIGN.startswith("# Design\n\n> The tree is the pipeline:")
    assert len(DESIGN.splitlines()) <= 200
    assert len((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()) <= 60


def test_every_decision_is_short_and_in_the_index() -> None:
    """I find a decision by its title, with its date, and read it in at most six lines."""
    index = (DECISIONS_FOLDER / "README.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## \[.+\]\((.+)\)\n\n((?:\* .+\n)+)", index, re.MULTILINE)
    assert sorted(name for name, _ in sections) == [path.name for path in DECISIONS]
    for name, listed in sections:
        heading, *entries = (DECISIONS_FOLDER / name).read_text(encoding="utf-8").split("\n\n")
        assert heading.startswith("# Decisions: ")
        titles = []
        for entry in entries:
            begins = re.match(r"\*\*\d{4}-\d\d-\d\d · (.+?)[.,:;]?\*\*", entry)
            assert begins, entry
            assert len(entry.strip().splitlines()) <= 6, begins[1]
            titles.append(f"* {begins[1]}")
        assert listed.splitlines() == titles


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
    assert invariants == [str(n) for n in range(1, 12)]
    for text in re.split(r"^\d+\. \*\*", DESIGN.split("## Invariants")[1], flags=re.MULTILINE)[1:]:
        named = re.findall(r"`(test_\w+)`", text.split("\n## ")[0])
        assert named, text
        assert set(named) <= names
    reasons = "".join(page.read_text(encoding="utf-8") for page in DECISIONS)
    assert set(re.findall(r"`(test_\w+)`", reasons)) <= names


def test_every_point_about_security_names_a_test_that_exists() -> None:
    """What docs/security.md says is prevented has been tried."""
    names = {function.name for path in TESTS for function in functions(path)}
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?!action|---)(.+) \|$", text, re.MULTILINE)
    assert len(rows) >= 28
    for row in rows:
        (name,) = re.findall(r"^`(test_\w+)`$", row.split(" | ")[-1])
        assert name in names, row
    points = re.split(r"^\* ", text.split("\n## ")[0], flags=re.MULTILINE)[1:]
    assert len(points) >= 14
    for point in points:
        named = re.findall(r"`(test_\w+)`", point)
        assert named, point
        assert set(named) <= names, point


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_every_test_says_in_a_users_words_what_it_holds(path: Path) -> None:
    """A test whose purpose nobody wrote down is deleted by the next person it annoys."""
    for function in functions(path):
        if function.name.startswith("test_"):
            assert ast.get_docstring(function), function.name


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_no_link_in_the_documents_is_dead() -> None:
    """Each link leads to a file that exists, and to a heading that it has."""
    names = ["benchmarks/README.md", "data/README.md"]
    found = (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))
    for name in [*names, *(str(path.relative_to(ROOT)) for path in found)]:
        path = ROOT / name
        links = re.findall(r"\]\(([^)#:]*)(?:#([^)]+))?\)", path.read_text(encoding="utf-8"))
        for file, anchor in links:
            target = path.parent / file if file else path
            assert target.exists(), f"{name} -> {file}"
            assert not anchor or anchor in anchors(target), f"{name} -> {file}#{anchor}"


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
        if path.suffix not in {".db", ".ftz", ".gz", ".pdf", ".png"}:
            text = path.read_text()
            assert not any(host in text for host in banned), path


def test_the_changelog_has_this_version() -> None:
    """Users can read what they get."""
    from ingest import __version__

    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()
