"""Scripts that the English local model has not learnt. Pure."""

from __future__ import annotations

import unicodedata

from ingest.embed import LOCAL_PREFIX
from ingest.embed.minilm import MODEL_NAME
from ingest.models import Mode


def uses_vector(mode: Mode, question: str, model: str) -> bool:
    """Return whether a search compares chunks with the vector of its question.

    The vectors that the English local model gives to Arabic or Japanese say next to nothing, so
    that a hybrid search finds more by words alone.
    """
    if mode is not Mode.HYBRID:
        return mode is Mode.VECTOR
    return model != f"{LOCAL_PREFIX}{MODEL_NAME}" or is_mostly_latin(question)


def is_mostly_latin(text: str) -> bool:
    """Return whether at least half of the letters of a text are Latin; true without letters."""
    letters = [c for c in unicodedata.normalize("NFKC", text) if c.isalpha()]
    latin = sum(unicodedata.name(c, "").startswith("LATIN") for c in letters)
    return 2 * latin >= len(letters)
