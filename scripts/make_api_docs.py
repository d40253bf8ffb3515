"""Generate the API reference in Markdown from the docstrings and comments of `ingest`.

Fields are documented by comments on their lines, so a class is shown as its source: no text is
written twice, and none can become outdated.
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

The public names of the package `ingest`. [examples/](../examples) has programs to start from:
[outcomes](../examples/outcomes.py), [search](../examples/ask.py), [citations](../examples/cite.py),
[a custom root](../examples/own_root.py) and [a custom model](../examples/own_model.py).

The API prints nothing, handles no signals and reads no environment variables; it logs to the logger
`ingest`. It works in notebooks and in threads. A program that calls it at its top level needs
no `if __name__ == "__main__"`: the processes that read documents do not import it.

This page is generated from the code by `scripts/make-api-docs`.
"""

CHAPTERS = {
    "Functions": ("ingest", "preview", "search"),
    "Results": (
        *("Outcomes", "SourceResult", "Outcome", "Code", "Details", "DeletionsWithheld"),
        *("Summary",),
        *("Hit", "Mode"),
    ),
    "Custom roots": ("Root", "Source", "ListingIssue", "Unread"),
    "Custom models": ("Embedder",),
    "Settings": ("Settings",),
    "Errors": (
        *("IngestError", "ServiceError", "ConfigError", "RoleError", "DocumentError"),
        *("BusyError",),
    ),
}


def main() -> None:
    """Write the reference to the file that the first argument names, or to stdout."""
    text = "\n".join(reference())
    if sys.argv[1:]:
        Path(sys.argv[1]).write_text(text, encoding="utf-8")
    else:
        print(text, end="")


def reference() -> Iterator[str]:
    """Yield the page, one paragraph at a time."""
    assert sorted(name for names in CHAPTERS.values() for name in names) == sorted(ingest.__all__)
    yield HEAD
    for chapter, names in CHAPTERS.items():
        yield f"## {chapter}\n"
        if chapter == "Errors":
            yield f"{inspect.getdoc(errors)}\n"
        for name in names:
            yield from entry(name)


def entry(name: str) -> Iterator[str]:
    """Yield the entry of one name: its docstring, and its fields or signature."""
    source = textwrap.dedent(inspect.getsource(getattr(ingest, name)))
    (node,) = ast.parse(source).body
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    doc = ast.get_docstring(node)
    assert doc, f"{name} has no docstring"
    if name not in CHAPTERS:
        yield f"### {name}\n"
    if isinstance(node, ast.FunctionDef):
        yield code([signature(node, source)])
        yield f"{markdown(doc)}\n"
        return
    yield f"{markdown(doc)}\n"
    if name == "Settings":
        yield from settings()
    elif fields := "\n".join(members(node, source)).lstrip("\n"):
        yield code([heading(node), fields])
    for method in methods(node):
        yield f"**`{name}.{method_signature(method)}`** {ast.get_docstring(method)}\n"


def markdown(doc: str) -> str:
    """Convert the sections Args, Returns and Raises of a docstring to Markdown."""
    doc = re.sub(r"^(Args|Returns|Raises.*):$", r"**\1**\n", doc, flags=re.MULTILINE)
    doc = re.sub(r"^    (\w+): ", r"* `\1`: ", doc, flags=re.MULTILINE)
    return re.sub(r"^ {4,}", "  ", doc, flags=re.MULTILINE)


def settings() -> Iterator[str]:
    """Yield the fields of Settings as a table."""
    yield "| field | default | variable | |\n| --- | --- | --- | --- |"
    for item in environment_settings():
        default = "" if item.default in ("", None, ()) else f"`{item.default}`"
        env, doc = item.metadata["env"], item.metadata["doc"]
        kind = str(item.type).replace("|", r"\|")  # which would end the cell
        yield f"| `{item.name}: {kind}` | {default} | `{env}` | {doc} |"
    yield ""


def signature(node: ast.FunctionDef, source: str) -> str:
    """Source of a function without its body."""
    lines = source.splitlines()[node.lineno - 1 : node.body[0].lineno - 1]
    return re.sub(r"  # noqa.*", "", "\n".join(lines)).removesuffix(":")


def heading(node: ast.ClassDef) -> str:
    """First line of a class definition."""
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    return f"class {node.name}({bases}):" if bases else f"class {node.name}:"


def members(node: ast.ClassDef, source: str) -> Iterator[str]:
    """Yield the fields of a class and the methods of a protocol, with their comments."""
    lines = source.splitlines()
    for item in node.body:
        if isinstance(item, ast.AnnAssign | ast.Assign) or is_protocol_method(item):
            first = min([item.lineno, *(d.lineno for d in getattr(item, "decorator_list", ()))])
            while lines[first - 2].strip().startswith("#"):
                first -= 1
            above = [""] if isinstance(item, ast.FunctionDef) else []
            yield "\n".join([*above, *lines[first - 1 : item.end_lineno]])


def is_protocol_method(item: ast.stmt) -> bool:
    """Return whether this is a method without a body."""
    return isinstance(item, ast.FunctionDef) and ast.unparse(item.body[-1]) == "..."


def methods(node: ast.ClassDef) -> Iterator[ast.FunctionDef]:
    """Yield the public methods and properties of a class that have a docstring."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and ast.get_docstring(item) and item.name[0] != "_":
            yield item


def method_signature(node: ast.FunctionDef) -> str:
    """Signature of a method, or name and type of a property."""
    assert node.returns
    returns = ast.unparse(node.returns)
    if "property" in [ast.unparse(decorator) for decorator in node.decorator_list]:
        return f"{node.name}: {returns}"
    return f"{node.name}({', '.join(map(ast.unparse, node.args.args[1:]))}) -> {returns}"


def code(lines: list[str]) -> str:
    """Code block in Markdown."""
    return "\n".join(["```python", *lines, "```", ""])


if __name__ == "__main__":
    main()
