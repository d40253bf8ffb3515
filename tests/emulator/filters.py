"""The $filter language of AI Search, as far as an index of documents needs it.

eq ne gt ge lt le, and or not, parentheses, literals, search.in, and any and all over collections.
As in OData, a comparison with null is false but for eq and ne.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from tests.emulator.errors import Rejected, expression, no_property
from tests.emulator.server import Json

Test: TypeAlias = Callable[[Json], bool]
Get: TypeAlias = Callable[[Json], Any]

CLAUSES = 3000

TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')"
    r"|(?P<date>\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))"
    r"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-z_]\w*(?:[./]\w+)*)"
    r"|(?P<mark>[(),:]))"
)
COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
MIRRORED = {"eq": "eq", "ne": "ne", "gt": "lt", "ge": "le", "lt": "gt", "le": "ge"}
NUMBERS = {"Edm.Int16", "Edm.Int32", "Edm.Int64", "Edm.Double", "Edm.Single", "Edm.SByte"}


@dataclass(frozen=True)
class Condition:
    """Predicate of a filter, and comparisons that hold wherever it holds."""

    test: Test
    facts: tuple[tuple[str, str, Any], ...] = ()  # field, operator, value


@dataclass(frozen=True)
class Operand:
    """One side of a comparison."""

    get: Get
    type: str  # of a literal too; "null" for null
    field: str | None = None
    value: Any = None


def compile_filter(text: str, fields: Mapping[str, Json]) -> Condition:
    """The filter as a test of documents. Raises Rejected, as the service does, where it cannot."""
    parser = Parser(text, fields)
    condition = parser.either()
    if parser.peek():
        raise parser.error(f"Syntax error at '{parser.peek()}'.")
    return condition


def parse_time(text: str) -> datetime:
    """The time that a literal or a stored value says."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))


class Parser:
    """One filter being read, by recursive descent."""

    def __init__(self, text: str, fields: Mapping[str, Json]) -> None:
        self.text = text
        self.fields = fields
        self.tokens = list(self.scan())
        self.at = 0
        self.clauses = 0
        self.variables: dict[str, str] = {}  # of any and all, and their types

    def error(self, message: str) -> Rejected:
        return expression(message, "filter")

    def scan(self) -> Iterator[tuple[str, str]]:
        """The tokens, each with its kind."""
        at, text = 0, self.text.rstrip()
        while at < len(text):
            match = TOKEN.match(text, at)
            if match is None or match.lastgroup is None:
                raise self.error(f"Syntax error at position {at} in '{self.text}'.")
            yield match.lastgroup, match[match.lastgroup]
            at = match.end()

    def peek(self) -> str:
        """The next token, empty at the end."""
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def take(self) -> tuple[str, str]:
        """The next token and its kind."""
        if self.at == len(self.tokens):
            raise self.error(f"Syntax error: unexpected end of '{self.text}'.")
        self.at += 1
        return self.tokens[self.at - 1]

    def expect(self, wanted: str) -> None:
        """Step over a token that must come."""
        if self.take()[1] != wanted:
            raise self.error(f"Syntax error: '{wanted}' expected in '{self.text}'.")

    def either(self) -> Condition:
        """Terms joined by or."""
        terms = [self.both()]
        while self.peek() == "or":
            self.take()
            terms.append(self.both())
        if len(terms) == 1:
            return terms[0]
        tests = [term.test for term in terms]
        return Condition(lambda document: any(test(document) for test in tests))

    def both(self) -> Condition:
        """Terms joined by and."""
        terms = [self.single()]
        while self.peek() == "and":
            self.take()
            terms.append(self.single())
        if len(terms) == 1:
            return terms[0]
        tests = [term.test for term in terms]
        facts = tuple(fact for term in terms for fact in term.facts)
        return Condition(lambda document: all(test(document) for test in tests), facts)

    def single(self) -> Condition:
        """A term, perhaps negated. `not` binds tighter than a comparison, as in OData."""
        if self.peek() == "not":
            self.take()
            bare = self.tokens[self.at : self.at + 2]
            test = self.single().test
            if bare[0][1] not in {"(", "not"} and bare[1:] and bare[1][1] in COMPARISONS:
                message = "A unary operator with an incompatible type was detected for 'Not'."
                raise self.error(message)
            return Condition(lambda document: not test(document))
        if self.peek() == "(":
            self.take()
            inner = self.either()
            self.expect(")")
            return inner
        name = self.peek()
        if name == "search.in":
            return self.among()
        if name.endswith(("/any", "/all")) and self.tokens[self.at][0] == "name":
            return self.quantified()
        return self.comparison()

    def comparison(self) -> Condition:
        """Two operands, or one that is true or false by itself."""
        left = self.operand()
        if self.peek() not in COMPARISONS:
            if left.type != "Edm.Boolean":
                raise self.error("The expression is not a boolean expression.")
            return Condition(lambda document: bool(left.get(document)))
        sign = self.take()[1]
        right = self.operand()
        self.clauses += 1
        if self.clauses > CLAUSES:
            raise self.error(f"The filter has more than {CLAUSES} clauses.")
        if not are_comparable(left.type, right.type):
            kinds = f"'{left.type}' and '{right.type}'"
            message = f"A binary operator with incompatible types was detected. Found {kinds}."
            raise self.error(message)
        if left.field is None:
            left, right, sign = right, left, MIRRORED[sign]
        test = create_comparison(left, right, sign)
        constant = right.field is None and left.type in {"Edm.String", "Edm.Boolean"} | NUMBERS
        if left.field and constant and left.field not in self.variables:
            return Condition(test, ((left.field, sign, right.value),))
        return Condition(test)

    def operand(self) -> Operand:
        """A field, a variable or a literal."""
        kind, text = self.take()
        if kind == "string":
            return literal(text[1:-1].replace("''", "'"), "Edm.String")
        if kind == "number":
            whole = text.lstrip("-").isdigit()
            return literal(int(text), "Edm.Int64") if whole else literal(float(text), "Edm.Double")
        if kind == "date":
            return literal(parse_time(text), "Edm.DateTimeOffset")
        if text in {"true", "false"}:
            return literal(text == "true", "Edm.Boolean")
        if text == "null":
            return literal(None, "null")
        if kind != "name":
            raise self.error(f"Syntax error at '{text}' in '{self.text}'.")
        if text in self.variables:
            return Operand(create_reader(text, self.variables[text]), self.variables[text], text)
        return self.field(text)

    def field(self, name: str) -> Operand:
        """A field that may stand in a filter."""
        definition = self.fields.get(name)
        if definition is None:
            raise no_property(name, "filter")
        if not definition["filterable"]:
            message = f"'{name}' is not a filterable field. Only filterable fields can be used in "
            raise self.error(message + "filter expressions.")
        return Operand(create_reader(name, definition["type"]), definition["type"], name)

    def among(self) -> Condition:
        """search.in(field, 'a,b', ',')."""
        self.take()
        self.expect("(")
        left = self.operand()
        self.expect(",")
        values, marks = self.operand().value, ", "
        if self.peek() == ",":
            self.take()
            marks = self.operand().value
        self.expect(")")
        if left.field is None or left.type != "Edm.String" or not isinstance(values, str):
            raise self.error("Function 'search.in' has arguments of the wrong type.")
        wanted = set(re.split(f"[{re.escape(marks)}]", values) if marks else [values]) - {""}
        return Condition(lambda document: left.get(document) in wanted)

    def quantified(self) -> Condition:
        """field/any(x: condition), field/all(x: condition), or field/any()."""
        name, _, which = self.take()[1].rpartition("/")
        collection = self.field(name)
        if not collection.type.startswith("Collection("):
            raise self.error(f"'{name}' is not a collection.")
        self.expect("(")
        if which == "any" and self.peek() == ")":
            self.take()
            return Condition(lambda document: bool(collection.get(document)))
        variable = self.take()[1]
        self.expect(":")
        self.variables[variable] = collection.type[len("Collection(") : -1]
        inner = self.either().test
        del self.variables[variable]
        self.expect(")")
        hold = any if which == "any" else all

        def test(document: Json) -> bool:
            items = collection.get(document) or ()
            return hold(inner({**document, variable: item}) for item in items)

        return Condition(test)


def literal(value: Any, kind: str) -> Operand:
    """A value that stands in the filter."""
    return Operand(lambda _: value, kind, None, value)


def create_reader(name: str, kind: str) -> Get:
    """Function that reads a field's comparable value from a document."""
    if kind == "Edm.DateTimeOffset":
        return lambda document: (
            parse_time(document[name]) if document.get(name) is not None else None
        )
    return lambda document: document.get(name)


def are_comparable(one: str, other: str) -> bool:
    """Return whether two types can stand on either side of a comparison."""
    return one == other or "null" in {one, other} or {one, other} <= NUMBERS


def create_comparison(left: Operand, right: Operand, sign: str) -> Test:
    """The comparison as a test; quick where a field meets a literal."""
    compare, get, other, value = COMPARISONS[sign], left.get, right.get, right.value
    if sign in {"eq", "ne"}:
        if right.field is None:
            return lambda document: bool(compare(get(document), value))
        return lambda document: bool(compare(get(document), other(document)))

    def ordered(document: Json) -> bool:
        one, two = get(document), other(document)
        return one is not None and two is not None and bool(compare(one, two))

    return ordered
