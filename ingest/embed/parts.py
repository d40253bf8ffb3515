"""Calls to an embedding model that pass on each part as soon as it is answered.

A service may accept a call only in several requests. If the run stops meanwhile, the
results of those that were answered are not lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np

from ingest.embed import Embedder, PartialEmbedding
from ingest.embed.validation import check_vectors
from ingest.errors import ConfigError
from ingest.models import Vectors


class EmbeddedPart(NamedTuple):
    """The texts of a call that are answered: the vector of each, or why it was refused."""

    places: Sequence[int]  # in the call
    results: Sequence[Vectors | str]


EmbedParts: TypeAlias = Callable[[Sequence[str]], Iterator[EmbeddedPart]]


@dataclass(frozen=True, slots=True)
class PartwiseEmbedder(Embedder):
    """An embedding model that answers a call in parts, each text in one of them."""

    embed_parts: EmbedParts = field(kw_only=True)


def embed_in_parts(embedder: Embedder, texts: Sequence[str]) -> Iterator[EmbeddedPart]:
    """Embed texts; yields a single part unless the model is a PartwiseEmbedder."""
    if isinstance(embedder, PartwiseEmbedder):
        yield from embedder.embed_parts(texts)
        return
    reasons = {}
    try:
        vectors = embedder.embed(texts)
    except PartialEmbedding as partial:
        vectors, reasons = partial.vectors, dict(partial.reasons)
    count = len(texts) - len(reasons)
    try:
        rows = iter(check_vectors(vectors, count, embedder.dimensions) if count else ())
    except ValueError as error:
        raise ConfigError(f"the model returned {error}") from error
    places = range(len(texts))
    yield EmbeddedPart(places, [reasons.get(place) or next(rows) for place in places])


def collect_parts(parts: Iterable[EmbeddedPart]) -> Vectors:
    """Return the vectors of a whole call. Raises PartialEmbedding if texts were refused."""
    found = {place: result for part in parts for place, result in zip(*part, strict=True)}
    results = [found[place] for place in sorted(found)]
    rows = [result for result in results if not isinstance(result, str)]
    reasons = {place: result for place, result in enumerate(results) if isinstance(result, str)}
    vectors: Vectors = np.stack(rows) if rows else np.empty((0, 0), np.float32)
    if reasons:
        raise PartialEmbedding(vectors, reasons)
    return vectors
