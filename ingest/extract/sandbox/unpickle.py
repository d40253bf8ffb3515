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
MODULES = (
    "ingest.models",
    "ingest.errors",
    "ingest.extract.sandbox.pool",
    "ingest.commands.inspect.view",
)


def value(message: bytes) -> Any:
    """What an answer means. Raises UnpicklingError if it is none."""
    try:
        return Values(io.BytesIO(message)).load()
    except Exception as error:  # there is nothing that broken bytes may not lead to
        raise pickle.UnpicklingError(f"a broken answer: {error}") from error


class Values(pickle.Unpickler):
    """Reads values and errors of ours, and what is built in."""

    def find_class(self, module: str, name: str) -> Any:
        """A type by its name, where that is harmless."""
        if module in MODULES and "." not in name:
            kind = super().find_class(module, name)
            if isinstance(kind, type) and kind.__module__ == module and harmless(kind):
                return member(kind) if issubclass(kind, Enum) else kind
        raise pickle.UnpicklingError(f"{module}.{name} is no part of an answer")


def member(kind: type[Enum]) -> Callable[[object], Enum]:
    """What makes a member of an enumeration by its value.

    A message can set attributes of whatever it names, and only an enumeration's class would let it.
    """

    def make(known: object) -> Enum:
        return kind(known)

    return make


def harmless(kind: type) -> bool:
    """Whether making one does nothing else."""
    return issubclass(kind, IngestError | Enum) or is_dataclass(kind)
