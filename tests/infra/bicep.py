"""Declarations, parameters and references of a Bicep file. Syntax and names only: no compiler."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

INFRA = Path(__file__).resolve().parents[2] / "infra"
PARSER = Parser(Language(tree_sitter_bicep.language()))
DECLARATIONS = {
    "parameter_declaration": "parameters",
    "variable_declaration": "variables",
    "resource_declaration": "resources",
    "module_declaration": "modules",
    "output_declaration": "outputs",
}


@dataclass
class Template:
    """One file. Each kind of declaration by its name."""

    path: Path
    broken: bool
    parameters: dict[str, Node] = field(default_factory=dict)
    variables: dict[str, Node] = field(default_factory=dict)
    resources: dict[str, Node] = field(default_factory=dict)
    modules: dict[str, Node] = field(default_factory=dict)
    outputs: dict[str, Node] = field(default_factory=dict)

    def declared(self) -> set[str]:
        """All that an expression may refer to."""
        return {*self.parameters, *self.variables, *self.resources, *self.modules}

    def nodes(self) -> Iterator[Node]:
        """Every declaration."""
        for kind in DECLARATIONS.values():
            yield from getattr(self, kind).values()

    def required(self) -> set[str]:
        """The parameters that have no default."""
        return {name for name, node in self.parameters.items() if b"=" not in head(node)}


def read(path: Path) -> Template:
    """The template in a file; `broken` if the parser did not understand all of it."""
    tree = PARSER.parse(path.read_bytes()).root_node
    made = Template(path, tree.has_error)
    for node in tree.named_children:
        if kind := DECLARATIONS.get(node.type):
            names = getattr(made, kind)
            name = text(node.named_children[0])
            assert name not in names, f"{path}: {name} is declared twice"
            names[name] = node
    return made


def text(node: Node | None) -> str:
    """The source of a node; that of a string without its quotes."""
    source = node.text.decode() if node and node.text else ""
    return source[1:-1] if node and node.type == "string" else source


def head(node: Node) -> bytes:
    """A parameter's declaration outside of braces, so that a type's fields do not count."""
    return b"".join(child.text or b"" for child in node.children if child.type != "type")


def walk(node: Node) -> Iterator[Node]:
    """A node and all below it."""
    yield node
    for child in node.children:
        yield from walk(child)


def target(node: Node) -> str:
    """Type of a resource, `type@version`, or the path of a module."""
    return text(node.named_children[1])


def body(node: Node) -> Node:
    """The outermost object of a declaration, below its condition or loop."""
    return next(found for found in walk(node) if found.type == "object")


def properties(node: Node) -> dict[str, Node]:
    """An object's values by key."""
    pairs = [child for child in node.named_children if child.type == "object_property"]
    return {text(pair.named_children[0]): pair.named_children[1] for pair in pairs}


def at(node: Node, path: str) -> Node:
    """The value at `a.b.c` of a declaration."""
    value = body(node)
    for key in path.split("."):
        value = properties(value)[key]
    return value


def references(template: Template, node: Node) -> set[str]:
    """The names that a declaration uses, without the loop variables it makes."""
    loops = [child for child in walk(node) if child.type == "for_statement"]
    local = {text(loop.child_by_field_name("initializer")) for loop in loops}
    return {
        text(child)
        for child in walk(node)
        if child.type == "identifier"
        and child != node.named_children[0]
        and not is_key(child)
        and not is_function(child)
        and not inside_type(child)
    } - local


def functions(node: Node) -> set[str]:
    """The functions that are called."""
    calls = [child for child in walk(node) if child.type == "call_expression"]
    return {text(call.child_by_field_name("function")) for call in calls}


def members(node: Node) -> set[tuple[str, str]]:
    """The outputs of modules that are used, as (module, output)."""
    return set(re.findall(r"\b(\w+)!?\.outputs\.(\w+)", text(node)))


def is_key(node: Node) -> bool:
    """Return whether it names a property rather than a value."""
    parent = node.parent
    return bool(parent and parent.type == "object_property" and parent.named_children[0] == node)


def is_function(node: Node) -> bool:
    """Return whether it is called."""
    parent = node.parent
    return bool(
        parent
        and parent.type == "call_expression"
        and parent.child_by_field_name("function") == node
    )


def inside_type(node: Node) -> bool:
    """Return whether it is part of a parameter's type."""
    while node.parent:
        if node.type == "type":
            return True
        node = node.parent
    return False


def variables(template: Template) -> dict[str, str]:
    """The `{ name, value }` pairs of a file."""
    pairs = (
        properties(node)
        for declared in template.nodes()
        for node in walk(declared)
        if node.type == "object"
    )
    return {
        text(p["name"]): text(p["value"])
        for p in pairs
        if set(p) == {"name", "value"} and p["name"].type == "string"
    }


FILES = sorted(INFRA.rglob("*.bicep"))
TEMPLATES = {path: read(path) for path in FILES}
