"""An embedding function of the caller's, held to what it says of itself.

What it raises is raised to the caller as it is; nothing of that call is in the index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ingest.embed import Embedder
from ingest.errors import ConfigError

if TYPE_CHECKING:
    from ingest.models import Vectors


def validate_vectors(embedder: Embedder) -> Embedder:
    """The embedder, whose answers are float32 vectors as it promises.

    Raises ConfigError for one without a name or dimensions; so does a call that answers otherwise.
    """
    if not embedder.model or embedder.dimensions < 1:
        raise ConfigError(
            f"an Embedder needs a model's name and its dimensions, not {embedder.model!r} and "
            f"{embedder.dimensions}"
        )

    def embed(texts: Sequence[str]) -> Vectors:
        given = embedder.embed(texts)
        try:
            vectors: Vectors = np.asarray(given, np.float32)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{embedder.model} gave no vectors of one length: {error}") from error
        wanted = (len(texts), embedder.dimensions)
        if vectors.shape != wanted:
            raise ConfigError(
                f"{embedder.model} gave vectors of shape {vectors.shape} for {len(texts)} texts and "
                f"{embedder.dimensions} dimensions: a row for each text is needed, shape {wanted}"
            )
        if not np.isfinite(vectors).all():
            raise ConfigError(f"{embedder.model} gave vectors that are not numbers")
        return vectors

    return replace(embedder, embed=embed)
