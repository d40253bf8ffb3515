"""Check naming and documentation rules that no linter has: scripts/check_names.py [CHECKOUT].

Prints one line for each violation, and exits with 1 if there are any. Called by scripts/check.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

# The fifteen names that DESIGN.md explains. Another one is a change of the design.
TOP_LEVEL = frozenset(
    """api cli commands config pipeline sources extract chunk embed index azure runtime
    distributed models errors redaction""".split()  # noqa: SIM905 - a column of quotes is hard to read
)
MAX_LINES = {"README.md": 120, "DESIGN.md": 200, "CONTRIBUTING.md": 60}

# A docstring's first sentence names the thing by its standard term.
FORBIDDEN_OPENING = re.compile(r"(What|Who|Whom|Whose|Where|How|Whether|Which|The same)\b")

# Functions are verbs. Participles that do not end in "ed" or "ing", and verbs that do.
PARTICIPLES = frozenset(
    """begun bound built chosen done drawn found given gone grown held hidden kept known left lost
    made meant met paid said seen sent shown sold sought stuck taken taught thought told understood
    unheard worn written""".split()  # noqa: SIM905 - a column of quotes is hard to read
)
VERBS = frozenset({"embed", "exceed", "feed", "need", "proceed", "seed", "speed"})
# Functions that may be participles, with the reason.
EXCEPTIONS: dict[str, str] = {}


def main(root: Path) -> int:
    """Check a checkout; returns an exit code."""
    problems = [*check_top_level(root), *check_lengths(root), *check_code(root)]
    for problem in problems:
        print(problem)
    return bool(problems)


def check_top_level(root: Path) -> Iterator[str]:
    """Report names at the top of the package that are not among the sixteen, and missing ones."""
    found = {
        path.stem
        for path in (root / "ingest").iterdir()
        if (path.suffix == ".py" or any(path.glob("**/*.py"))) and not path.name.startswith("__")
    }
    for name in sorted(found - TOP_LEVEL):
        yield f"ingest/{name}: not one of the {len(TOP_LEVEL)} names at the top of the package"
    for name in sorted(TOP_LEVEL - found):
        yield f"ingest/{name}: missing"


def check_lengths(root: Path) -> Iterator[str]:
    """Report documents that are missing, or longer than people read."""
    for name, limit in MAX_LINES.items():
        path = root / name
        if not path.is_file():
            yield f"{name}: missing"
        elif (count := len(path.read_text(encoding="utf-8").splitlines())) > limit:
            yield f"{name}: {count} lines, {limit} allowed"


def check_code(root: Path) -> Iterator[str]:
    """Report docstrings, function names and duplicate classes that break a rule."""
    classes: dict[str, list[str]] = defaultdict(list)
    for path in sorted((root / "ingest").rglob("*.py")):
        name = path.relative_to(root).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                classes[node.name].append(f"{name}:{node.lineno}")
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                docstring = ast.get_docstring(node) or ""
                if opening := FORBIDDEN_OPENING.match(docstring):
                    line = getattr(node, "lineno", 1)
                    yield f"{name}:{line}: a docstring opens with {opening[0]!r}"
        for function in tree.body:
            if isinstance(function, ast.FunctionDef) and is_participle(function.name):
                yield f"{name}:{function.lineno}: {function.name}() is a participle, not a verb"
    for kind, places in sorted(classes.items()):
        if len(places) > 1:
            yield f"{', '.join(places)}: class {kind} is defined {len(places)} times"


def is_participle(name: str) -> bool:
    """Return whether a function is named by a bare participle."""
    word = name.lstrip("_")
    if "_" in word or word in VERBS or word in EXCEPTIONS:
        return False
    return word in PARTICIPLES or re.fullmatch(r"[a-z]{2,}(ed|ing)", word) is not None


if __name__ == "__main__":
    default = Path(__file__).resolve().parent.parent
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else default))
