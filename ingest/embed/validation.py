"""Validation of vectors, and of a user-supplied embedding function.

An exception that the function raises reaches its caller unchanged; no chunk of that call is in the
index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ingest.embed import Embedder
from ingest.errors import ConfigError
from ingest.models import Embed

if TYPE_CHECKING:
    from ingest.models import Vectors


def validate_vectors(embedder: Embedder) -> Embedder:
    """Wrap a user-supplied embedder so that each call returns valid float32 vectors.

    Raises ConfigError if it has no name or dimensions; a call raises it for invalid vectors.
    """
    if not embedder.model or embedder.dimensions < 1:
        raise ConfigError(
            f"an Embedder needs a model name and dimensions, not {embedder.model!r} and "
            f"{embedder.dimensions}"
        )

    def validate(embed: Embed, texts: Sequence[str]) -> Vectors:
        given = embed(texts)
        try:
            return check_vectors(given, len(texts), embedder.dimensions)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{embedder.model} returned {error}") from error

    return replace(
        embedder,
        embed=partial(validate, embedder.embed),
        embed_query=partial(validate, embedder.embed_query) if embedder.embed_query else None,
    )


def check_vectors(given: object, count: int, dimensions: int) -> Vectors:
    """Return vectors as float32 of shape (count, dimensions). Raises ValueError, TypeError."""
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
    if not np.isfinite(vectors).all():
        raise ValueError("vectors that contain NaN or infinity")
    return vectors
