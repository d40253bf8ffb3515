"""Cache of embeddings, for texts that several recipes or questions have in common."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import replace

import numpy as np

from ingest.embed import Embedder, PartialEmbedding
from ingest.models import Vectors


def cache_embeddings(embedder: Embedder, cache: MutableMapping[str, Vectors]) -> Embedder:
    """Wrap an embedder so that it embeds each text once."""

    def embed(texts: Sequence[str]) -> Vectors:
        fresh = [text for text in dict.fromkeys(texts) if text not in cache]
        try:
            vectors: Sequence[Vectors] | Vectors = embedder.embed(fresh) if fresh else []
        except PartialEmbedding:
            return embedder.embed(texts)  # it reports the refused texts by their place in the call
        cache.update(zip(fresh, vectors, strict=True))
        return np.stack([cache[text] for text in texts])

    return replace(embedder, embed=embed)
