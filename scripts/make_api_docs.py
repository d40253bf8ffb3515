"""The reference of what `ingest` exports, in Markdown, from its docstrings and its comments.

The code says what a field is beside the field, so a class is shown as its source: no text is
written twice, and none can be out of date.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import ingest
from ingest import errors
from ingest.config.settings import environment_settings

HEAD = """\
# The library

What a Python program imports from `ingest`. [examples/](../examples) has programs to start from:
[outcomes](../examples/outcomes.py), [a search](../examples/ask.py), [a root of one's
own](../examples/own_root.py), [a model of one's own](../examples/own_model.py).

It prints nothing, takes no signals and reads no environment; what it has to say goes to the logger
`ingest`. It works in notebooks and in threads. A program that starts it at its top level needs
no `if __name__ == "__main__"`: the processes that read documents do not import it.

This page is written by `scripts/make-api-docs`, from the code.
"""

CHAPTERS = {
    "Functions": ("ingest", "preview", "search"),
    "What comes of it": (
        *("Outcomes", "SourceResult", "Outcome", "Code", "Details", "DeletionsWithheld"),
        *("Summary",),
        *("Hit", "Mode"),
    ),
    "Roots of your own": ("Root", "Source", "ListingIssue", "Unread"),
    "Models of your own": ("Embedder",),
    "Settings": ("Settings",),
    "Errors": (
        *("IngestError", "ServiceError", "ConfigError", "RoleError", "DocumentError"),
        *("BusyError",),
    ),
}


def main() -> None:
    """Write the reference to the file that is named, or to stdout."""
    text = "\n".join(reference())
    if sys.argv[1:]:
        Path(sys.argv[1]).write_text(text, encoding="utf-8")
    else:
        print(text, end="")


def reference() -> Iterator[str]:
    """The whole page, a paragraph at a time."""
    assert sorted(name for names in CHAPTERS.values() for name in names) == sorted(ingest.__all__)
    yield HEAD
    for chapter, names in CHAPTERS.items():
        yield f"## {chapter}\n"
        if chapter == "Errors":
            yield f"{inspect.getdoc(errors)}\n"
        for name in names:
            yield from entry(name)


def entry(name: str) -> Iterator[str]:
    """One name: what it is, and its source as far as it is the user's business."""
    source = textwrap.dedent(inspect.getsource(getattr(ingest, name)))
    (node,) = ast.parse(source).body
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    doc = ast.get_docstring(node)
    assert doc, f"{name} has no docstring"
    if name not in CHAPTERS:
        yield f"### {name}\n"
    if isinstance(node, ast.FunctionDef):
        yield code([signature(node, source)])
        yield f"{doc}\n"
        return
    yield f"{doc}\n"
    if name == "Settings":
        yield from settings()
    elif fields := "\n".join(members(node, source)).lstrip("\n"):
        yield code([heading(node), fields])
    for method in methods(node):
        yield f"**`{name}.{called(method)}`** {ast.get_docstring(method)}\n"


def settings() -> Iterator[str]:
    """The fields of Settings, as a table."""
    yield "| field | default | variable | |\n| --- | --- | --- | --- |"
    for item in environment_settings():
        default = "" if item.default in ("", None, ()) else f"`{item.default}`"
        env, doc = item.metadata["env"], item.metadata["doc"]
        kind = str(item.type).replace("|", r"\|")  # which would end the cell
        yield f"| `{item.name}: {kind}` | {default} | `{env}` | {doc} |"
    yield ""


def signature(node: ast.FunctionDef, source: str) -> str:
    """A function without its body, as it stands in the code."""
    lines = source.splitlines()[node.lineno - 1 : node.body[0].lineno - 1]
    return re.sub(r"  # noqa.*", "", "\n".join(lines)).removesuffix(":")


def heading(node: ast.ClassDef) -> str:
    """The first line of a class."""
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    return f"class {node.name}({bases}):" if bases else f"class {node.name}:"


def members(node: ast.ClassDef, source: str) -> Iterator[str]:
    """The fields of a class and the methods that a port asks for, with the comments on them."""
    lines = source.splitlines()
    for item in node.body:
        if isinstance(item, ast.AnnAssign | ast.Assign) or ported(item):
            first = min([item.lineno, *(d.lineno for d in getattr(item, "decorator_list", ()))])
            while lines[first - 2].strip().startswith("#"):
                first -= 1
            above = [""] if isinstance(item, ast.FunctionDef) else []
            yield "\n".join([*above, *lines[first - 1 : item.end_lineno]])


def ported(item: ast.stmt) -> bool:
    """Return whether this is a method of a port: one without a body."""
    return isinstance(item, ast.FunctionDef) and ast.unparse(item.body[-1]) == "..."


def methods(node: ast.ClassDef) -> Iterator[ast.FunctionDef]:
    """The public methods and properties of a class that say what they do."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and ast.get_docstring(item) and item.name[0] != "_":
            yield item


def called(node: ast.FunctionDef) -> str:
    """A method or property as one writes it."""
    assert node.returns
    gives = ast.unparse(node.returns)
    if "property" in [ast.unparse(decorator) for decorator in node.decorator_list]:
        return f"{node.name}: {gives}"
    return f"{node.name}({', '.join(map(ast.unparse, node.args.args[1:]))}) -> {gives}"


def code(lines: list[str]) -> str:
    """A block of Python."""
    return "\n".join(["```python", *lines, "```", ""])


if __name__ == "__main__":
    main()
