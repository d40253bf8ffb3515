"""Embedding models: texts to vectors. One module per back end."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ingest.models import Embed, Vectors

LOCAL_PREFIX = "local:"  # of the names of models that run in this process


@dataclass(frozen=True, slots=True)
class Embedder:
    """An embedding model: the function, its name, and its limits.

    `embed` takes texts and returns a float32 array of shape (len(texts), dimensions), one row per
    text in order. Rows need not be normalized. It is called from `at_once` threads concurrently;
    an exception ends the run. An index holds the vectors of one model only, so `model` must change
    whenever the vectors do: every document is then embedded again.
    """

    embed: Embed
    model: str  # identifies the vectors; part of the recipe
    dimensions: int
    inputs: int = 64  # texts per call, at most
    room: Callable[[], int] = lambda: 100_000  # total tokens of the next call, at most
    at_once: int = 1  # concurrent calls
    allowed: Callable[[], float] = lambda: math.inf  # tokens per minute, if known
    open: Callable[[], object] = lambda: None  # do the one-time work of the first call now
    close: Callable[[], None] = lambda: None  # close connections
    calls: Callable[[], float] = lambda: math.inf  # calls per minute, if known
    # for questions, if the model embeds them in another way; as `embed`
    embed_query: Embed | None = None

    def embed_questions(self, texts: Sequence[str]) -> Vectors:
        """Embed questions: texts to search with, not to be found."""
        return (self.embed_query or self.embed)(texts)

    @property
    def is_local(self) -> bool:
        """True if a call is free and no text leaves the machine, so that excerpts may use it."""
        return self.model.startswith(LOCAL_PREFIX)


class PartialEmbedding(Exception):
    """Some texts of a call were refused; the others were embedded.

    `vectors` has a row for each embedded text, in order; `reasons` maps the position of each
    refused text in the call to the service's reason.
    """

    def __init__(self, vectors: Vectors, reasons: Mapping[int, str]) -> None:
        super().__init__(f"{len(reasons)} texts were refused")
        self.vectors = vectors
        self.reasons = reasons
