"""Validation of vectors, and of a user-supplied embedding function.

An exception that the function raises reaches its caller unchanged; no chunk of that call is in the
index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from ingest.embed import Embedder, PartialEmbedding
from ingest.errors import ConfigError
from ingest.models import Embed, Vectors

PROBE_TEXT = "probe"  # to find out whether an embedder fails on any text


def validate_vectors(embedder: Embedder) -> Embedder:
    """Wrap a user-supplied embedder so that each call returns valid float32 vectors.

    Raises ConfigError if it has no name or dimensions. A call raises it for vectors of a wrong
    shape, or if none is valid; PartialEmbedding if some are not.
    """
    if not embedder.model or embedder.dimensions < 1:
        raise ConfigError(
            f"an Embedder needs a model name and dimensions, not {embedder.model!r} and "
            f"{embedder.dimensions}"
        )

    def validate(embed: Embed, texts: Sequence[str]) -> Vectors:
        vectors = call(embed, texts)
        flaws = find_row_flaws(vectors)
        if not flaws:
            return vectors
        if len(flaws) == len(texts) and (same := find_row_flaws(call(embed, [PROBE_TEXT]))):
            raise ConfigError(f"{embedder.model} returned {same[0]}, for any text")
        valid = np.delete(vectors, list(flaws), axis=0)
        raise PartialEmbedding(
            valid, {place: f"{embedder.model} returned {flaw}" for place, flaw in flaws.items()}
        )

    def call(embed: Embed, texts: Sequence[str]) -> Vectors:
        given = embed(texts)
        try:
            return check_shape(given, len(texts), embedder.dimensions)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{embedder.model} returned {error}") from error

    return replace(
        embedder,
        embed=partial(validate, embedder.embed),
        embed_query=partial(validate, embedder.embed_query) if embedder.embed_query else None,
    )


def check_vectors(given: object, count: int, dimensions: int) -> Vectors:
    """Return vectors as float32 of shape (count, dimensions). Raises ValueError, TypeError."""
    vectors = check_shape(given, count, dimensions)
    for flaw in find_row_flaws(vectors).values():
        raise ValueError(flaw)
    return vectors


def check_shape(given: object, count: int, dimensions: int) -> Vectors:
    """Return vectors as float32 of shape (count, dimensions), valid or not."""
    try:
        vectors: Vectors = np.asarray(given, np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"vectors of different lengths, or no numbers: {error}") from error
    expected = (count, dimensions)
    if vectors.shape != expected:
        raise ValueError(
            f"vectors of shape {vectors.shape} for {count} texts and {dimensions} dimensions, not "
            f"of shape {expected}"
        )
    return vectors


def find_row_flaws(vectors: Vectors) -> dict[int, str]:
    """Return the flaw of each row that has no direction, by its place: NaN, infinity, or zeros."""
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.linalg.norm(vectors, axis=1)
    (places,) = np.nonzero(~np.isfinite(norms) | (norms == 0))
    return {
        int(place): "a vector of zeros" if norms[place] == 0 else "a vector with NaN or infinity"
        for place in places
    }


def find_flaw(vector: Vectors, dimensions: int) -> str:
    """Return the flaw of a vector of any length; "" if it has none."""
    if not len(vector):
        return "no vector"
    if len(vector) != dimensions:
        return f"a vector of {len(vector)} dimensions, not {dimensions}"
    return find_row_flaws(vector[np.newaxis]).get(0, "")
