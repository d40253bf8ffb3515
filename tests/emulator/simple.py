"""The simple query syntax, as the service's parser reads it: `+ | - " ( ) *` and a backslash.

It follows Lucene's SimpleQueryParser without its fuzzy terms: operators bind from left to right, a
minus counts only where a term begins, a star only where it ends, and nothing is an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

SPACE = " \t\n\r"
ENDS = SPACE + '"|+()'  # of a term
OR, AND = "|", "+"


@dataclass(frozen=True)
class Term:
    """Text to analyze: as words, as words in a row, or as the beginning of a word."""

    text: str
    phrase: bool = False
    prefix: bool = False


@dataclass(frozen=True)
class Not:
    """Every document without a match; each scores 1."""

    part: Clause


@dataclass(frozen=True)
class Group:
    """Clauses of which a document has all, or any."""

    operator: str
    parts: tuple[Clause, ...]


Clause: TypeAlias = Term | Not | Group


def parse(text: str, default: str) -> Clause | None:
    """The clauses of a query; None without any. `default` stands between two terms."""
    return Parser(text, default).group(len(text))


@dataclass
class Parser:
    """A query, and how much of it is read."""

    text: str
    default: str
    at: int = 0

    def group(self, end: int) -> Clause | None:
        """Read up to an end."""
        top: Clause | None = None
        operator, pending, negated = "", "", 0
        while self.at < end:
            character = self.text[self.at]
            if character == "-":
                negated += 1
                self.at += 1
                continue
            part: Clause | None = None
            if character == "(":
                part = self.nested(end)
            elif character == '"':
                part = self.phrase(end)
            elif character in "|+":
                if top and not pending:
                    pending = character
                self.at += 1
            elif character in SPACE + ")":
                self.at += 1
            else:
                part = self.term(end)
            if part:
                part = Not(part) if negated % 2 else part
                if top is None:
                    top = part
                else:
                    wanted = pending or self.default
                    top = join_clauses(top, part, wanted, same=wanted == operator)
                    operator = wanted
                pending = ""
            negated = 0  # a minus counts only right before its term
        return top

    def nested(self, end: int) -> Clause | None:
        """Read what is between parentheses; one that is not closed is left out."""
        self.at += 1
        depth, place = 1, self.at
        while place < end and depth:
            if self.text[place] == "\\":
                place += 1
            elif self.text[place] in "()":
                depth += 1 if self.text[place] == "(" else -1
            place += 1
        if depth:
            return None
        part = self.group(place - 1)
        self.at = place
        return part

    def phrase(self, end: int) -> Clause | None:
        """Read what is between quotation marks; one that is not closed is left out."""
        self.at += 1
        place, read = self.at, ""
        while place < end and self.text[place] != '"':
            place += self.text[place] == "\\"
            read += self.text[place : min(place + 1, end)]
            place += 1
        if place >= end:
            return None
        self.at = place + 1
        return Term(read, phrase=True) if read else None

    def term(self, end: int) -> Clause | None:
        """Read up to a space or an operator."""
        read, prefix = "", False
        while self.at < end and (character := self.text[self.at]) not in ENDS:
            escaped = character == "\\"
            self.at += escaped
            read += self.text[self.at : min(self.at + 1, end)]
            prefix = character == "*"
            self.at += 1
        return Term(read[:-1] if prefix else read, prefix=prefix) if read else None


def join_clauses(top: Clause, part: Clause, operator: str, *, same: bool) -> Clause:
    """Two clauses by an operator; one more of those joined by it already."""
    before: Iterable[Clause] = top.parts if same and isinstance(top, Group) else (top,)
    return Group(operator, (*before, part))
