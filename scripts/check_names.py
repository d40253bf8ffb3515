"""Check the rules of naming and documentation that no linter knows. Called by scripts/check.

Prints one line for each violation, and exits with 1 if there is any.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "ingest"

# DESIGN.md says what each is for. A new name here is a change of the design.
TOP_LEVEL = frozenset(
    [
        "api",
        "cli",
        "commands",
        "config",
        "pipeline",
        "sources",
        "extract",
        "chunk",
        "embed",
        "index",
        "azure",
        "runtime",
        "distributed",
        "models",
        "errors",
    ]
)
MAX_LINES = {"README.md": 120, "DESIGN.md": 200, "CONTRIBUTING.md": 60}

# A docstring's first sentence names the thing by its standard term.
OPENINGS = re.compile(r"(What|Who|Whom|Whose|Where|How|Whether|The same)\b")

# Functions are verbs. These look like participles and are none, or are adjectives on purpose.
PARTICIPLES = frozenset(
    [
        "begun",
        "bound",
        "built",
        "chosen",
        "done",
        "drawn",
        "found",
        "given",
        "gone",
        "grown",
        "held",
        "hidden",
        "kept",
        "known",
        "left",
        "lost",
        "made",
        "meant",
        "met",
        "paid",
        "said",
        "seen",
        "sent",
        "shown",
        "sold",
        "sought",
        "stuck",
        "taken",
        "taught",
        "thought",
        "told",
        "understood",
        "unheard",
        "worn",
        "written",
    ]
)
VERBS = frozenset({"embed", "exceed", "feed", "need", "proceed", "seed", "speed"})
EXCEPTIONS: dict[str, str] = {}  # function: reason


def main() -> int:
    """Check the tree; returns an exit code."""
    problems = [*check_top_level(), *check_lengths(), *check_code()]
    print("\n".join(problems), end="\n" * bool(problems))
    return bool(problems)


def check_top_level() -> Iterator[str]:
    """Report names at the top of the package that DESIGN.md does not have, and missing ones."""
    found = {
        path.stem
        for path in PACKAGE.iterdir()
        if (path.suffix == ".py" or path.is_dir()) and not path.name.startswith("__")
    }
    for name in sorted(found - TOP_LEVEL):
        yield f"ingest/{name}: not one of the {len(TOP_LEVEL)} names at the top of the package"
    for name in sorted(TOP_LEVEL - found):
        yield f"ingest/{name}: missing"


def check_lengths() -> Iterator[str]:
    """Report documents that are longer than people read."""
    for name, limit in MAX_LINES.items():
        count = len((ROOT / name).read_text(encoding="utf-8").splitlines())
        if count > limit:
            yield f"{name}: {count} lines, {limit} allowed"


def check_code() -> Iterator[str]:
    """Report names and docstrings against the rules, over the whole package."""
    classes: dict[str, list[str]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                classes[node.name].append(f"{name}:{node.lineno}")
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                docstring = ast.get_docstring(node) or ""
                if OPENINGS.match(docstring):
                    line = getattr(node, "lineno", 1)
                    yield f"{name}:{line}: a docstring opens with {docstring.split()[0]!r}"
        for function in tree.body:
            if isinstance(function, ast.FunctionDef) and is_participle(function.name):
                yield f"{name}:{function.lineno}: {function.name}() is a participle, not a verb"
    for kind, places in sorted(classes.items()):
        if len(places) > 1:
            yield f"{', '.join(places)}: class {kind} is defined {len(places)} times"


def is_participle(name: str) -> bool:
    """Whether a function is named by a bare participle."""
    word = name.lstrip("_")
    if "_" in word or word in VERBS or word in EXCEPTIONS:
        return False
    return word in PARTICIPLES or re.fullmatch(r"[a-z]{2,}(ed|ing)", word) is not None


if __name__ == "__main__":
    sys.exit(main())
