"""Unpickle answers of sandbox processes safely: a document may have compromised the process.

Answers are pickled, as multiprocessing does. Plain pickle would call any function that an answer
names; this unpickler creates only built-in values and values and errors of our own types.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import is_dataclass
from enum import Enum
from typing import Any

from ingest.errors import IngestError

# Modules with the types of answers: errors and plain values, whose constructors do nothing else.
ALLOWED_MODULES = (
    "ingest.models",
    "ingest.errors",
    "ingest.extract.sandbox.pool",
    "ingest.commands.inspect.view",
)


def load_answer(message: bytes) -> Any:
    """Unpickle an answer. Raises UnpicklingError if it is invalid."""
    try:
        return AnswerUnpickler(io.BytesIO(message)).load()
    except Exception as error:  # invalid bytes may raise anything
        raise pickle.UnpicklingError(f"a broken answer: {error}") from error


class AnswerUnpickler(pickle.Unpickler):
    """Unpickler restricted to built-in values and to the types of ALLOWED_MODULES."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a harmless type by its name. Raises UnpicklingError for anything else."""
        if module in ALLOWED_MODULES and "." not in name:
            kind = super().find_class(module, name)
            if isinstance(kind, type) and kind.__module__ == module and is_harmless(kind):
                return member_factory(kind) if issubclass(kind, Enum) else kind
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed in an answer")


def member_factory(kind: type[Enum]) -> Callable[[object], Enum]:
    """Return a function that creates a member of an enumeration from its value.

    A message can set attributes of any object that it names. The class of an enumeration would
    accept them; a new function for each lookup keeps it out of reach.
    """

    def make(value: object) -> Enum:
        return kind(value)

    return make


def is_harmless(kind: type) -> bool:
    """Return True if creating a value of this type has no side effects."""
    return issubclass(kind, IngestError | Enum) or is_dataclass(kind)
