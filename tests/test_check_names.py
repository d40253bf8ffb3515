"""Naming and documentation rules that scripts/check enforces."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

MODULES = (
    *("api", "cli", "commands", "config", "pipeline", "sources", "extract", "chunk"),
    *("embed", "index", "azure", "runtime", "distributed", "models", "errors", "redaction"),
)
GOOD_MODULE = '''"""Split text."""


class {name}Value:
    """Value of a stage."""


def split(text: str) -> list[str]:
    """Split a text into words."""
    return text.split()
'''


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tiny checkout that follows all rules."""
    (tmp_path / "ingest").mkdir()
    for name in MODULES:
        (tmp_path / f"ingest/{name}.py").write_text(GOOD_MODULE.format(name=name.title()))
    for name in ("README.md", "DESIGN.md", "CONTRIBUTING.md"):
        (tmp_path / name).write_text("# A document\n")
    return tmp_path


def check(tree: Path) -> tuple[int, str]:
    """Exit code and output of the script."""
    script = [sys.executable, str(ROOT / "scripts/check_names.py"), str(tree)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.returncode, done.stdout


def test_a_tree_that_follows_the_rules_passes(tree: Path) -> None:
    """Nothing is printed if there is nothing to fix."""
    assert check(tree) == (0, "")


def test_a_new_name_at_the_top_is_reported(tree: Path) -> None:
    """A sixteenth module or package at the top of ingest/ is a change of the design."""
    (tree / "ingest/helpers.py").write_text('"""Help."""\n')
    assert check(tree) == (
        1,
        "ingest/helpers: not one of the 16 names at the top of the package\n",
    )


def test_a_missing_name_at_the_top_is_reported(tree: Path) -> None:
    """The list of names cannot outlive the modules."""
    (tree / "ingest/chunk.py").unlink()
    assert check(tree) == (1, "ingest/chunk: missing\n")


@pytest.mark.parametrize(
    ("name", "limit"), [("README.md", 120), ("DESIGN.md", 200), ("CONTRIBUTING.md", 60)]
)
def test_a_long_or_missing_document_is_reported(tree: Path, name: str, limit: int) -> None:
    """The documents that a newcomer reads first exist and stay short."""
    (tree / name).write_text("line\n" * limit)
    assert check(tree) == (0, "")
    (tree / name).write_text("line\n" * (limit + 1))
    assert check(tree) == (1, f"{name}: {limit + 1} lines, {limit} allowed\n")
    (tree / name).unlink()
    assert check(tree) == (1, f"{name}: missing\n")


@pytest.mark.parametrize("opening", ["What", "Who", "Where", "How", "Whether", "The same"])
def test_a_docstring_with_a_forbidden_opening_is_reported(tree: Path, opening: str) -> None:
    """A docstring begins with the thing, by its standard term: in modules, classes and methods."""
    (tree / "ingest/chunk.py").write_text(
        f'"""{opening} it is."""\n\n\n'
        f'class Chunk:\n    """{opening} it is."""\n\n'
        f'    def split(self) -> None:\n        """{opening} it does."""\n'
    )
    assert check(tree) == (
        1,
        "".join(
            f"ingest/chunk.py:{line}: a docstring opens with {opening!r}\n" for line in (1, 4, 7)
        ),
    )


def test_words_that_only_begin_like_a_forbidden_opening_pass(tree: Path) -> None:
    """Whole words count: "Whole" is no "Who"."""
    (tree / "ingest/chunk.py").write_text('"""Whole documents, and the same again."""\n')
    assert check(tree) == (0, "")


@pytest.mark.parametrize("name", ["cached", "pacing", "drawn", "_settled"])
def test_a_function_named_by_a_participle_is_reported(tree: Path, name: str) -> None:
    """Functions are verbs."""
    (tree / "ingest/chunk.py").write_text(
        f'"""Split text."""\n\n\ndef {name}() -> None:\n    """Split."""\n'
    )
    assert check(tree) == (1, f"ingest/chunk.py:4: {name}() is a participle, not a verb\n")


@pytest.mark.parametrize("name", ["embed", "feed", "is_cached", "cached_pages"])
def test_verbs_predicates_and_nouns_pass(tree: Path, name: str) -> None:
    """A verb that ends like a participle, or a longer name with one, is fine."""
    (tree / "ingest/chunk.py").write_text(
        f'"""Split text."""\n\n\ndef {name}() -> None:\n    """Split."""\n'
    )
    assert check(tree) == (0, "")


def test_a_class_name_that_is_defined_twice_is_reported(tree: Path) -> None:
    """A name has one meaning in the tree."""
    for name in ("chunk", "embed"):
        (tree / f"ingest/{name}.py").write_text(
            '"""Do work."""\n\n\nclass Place:\n    """Position."""\n'
        )
    assert check(tree) == (
        1,
        "ingest/chunk.py:4, ingest/embed.py:4: class Place is defined 2 times\n",
    )
