"""From texts to vectors. One file per back end; wrappers take an Embed and give an Embed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingest.models import Embed

if TYPE_CHECKING:
    from ingest.models import Vectors


@dataclass(frozen=True, slots=True)
class Embedder:
    """An embedding model: the call, what it is, and how much it takes at a time.

    `embed` takes texts and gives an array of shape (len(texts), dimensions), float32, a row for
    each text in their order. It need not be normalised. It is called in threads, in `at_once` of
    them side by side; what it raises ends the run. Another `model` has everything embedded anew,
    and an index holds the vectors of one model only, so the name must change with the vectors.
    """

    embed: Embed
    model: str  # names what makes the vectors; part of the recipe
    dimensions: int
    inputs: int = 64  # most texts in one call
    room: Callable[[], int] = lambda: 100_000  # tokens for one call now, all texts together
    at_once: int = 1  # calls under way that pay off
    allowed: Callable[[], float] = lambda: math.inf  # tokens a minute, as far as is known
    open: Callable[[], object] = lambda: None  # do now what the first call would wait for
    close: Callable[[], None] = lambda: None  # give back connections
    calls: Callable[[], float] = lambda: math.inf  # calls a minute, as far as is known


class PartialEmbedding(Exception):
    """Some texts of a call cannot be embedded; the rest were.

    `vectors` has a row for each of the rest, in order; `reasons` is by place in the call.
    """

    def __init__(self, vectors: Vectors, reasons: Mapping[int, str]) -> None:
        super().__init__(f"{len(reasons)} texts were refused")
        self.vectors = vectors
        self.reasons = reasons
