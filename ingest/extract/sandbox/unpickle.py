"""What a child's answer means. The child may have been taken over by what it read.

An answer is pickled, as multiprocessing does, but whoever reads it here makes values of ours and of
what is built in, and no others: plain pickle would call what it is told to.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import is_dataclass
from enum import Enum
from typing import Any

from ingest.errors import IngestError

# Where the types of an answer are from. Raising an error, holding a value: they do no more.
ALLOWED_MODULES = (
    "ingest.models",
    "ingest.errors",
    "ingest.extract.sandbox.pool",
    "ingest.commands.inspect.view",
)


def load_answer(message: bytes) -> Any:
    """What an answer means. Raises UnpicklingError if it is none."""
    try:
        return AnswerUnpickler(io.BytesIO(message)).load()
    except Exception as error:  # there is nothing that broken bytes may not lead to
        raise pickle.UnpicklingError(f"a broken answer: {error}") from error


class AnswerUnpickler(pickle.Unpickler):
    """Reads values and errors of ours, and what is built in."""

    def find_class(self, module: str, name: str) -> Any:
        """A type by its name, where that is harmless."""
        if module in ALLOWED_MODULES and "." not in name:
            kind = super().find_class(module, name)
            if isinstance(kind, type) and kind.__module__ == module and is_harmless(kind):
                return member_factory(kind) if issubclass(kind, Enum) else kind
        raise pickle.UnpicklingError(f"{module}.{name} is no part of an answer")


def member_factory(kind: type[Enum]) -> Callable[[object], Enum]:
    """What makes a member of an enumeration by its value.

    A message can set attributes of whatever it names, and only an enumeration's class would let it.
    """

    def make(value: object) -> Enum:
        return kind(value)

    return make


def is_harmless(kind: type) -> bool:
    """Whether making one does nothing else."""
    return issubclass(kind, IngestError | Enum) or is_dataclass(kind)
