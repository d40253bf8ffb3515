"""Recipe: the settings that determine chunks and vectors."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields

# Later fields of Recipe, each with the value that reads documents as before the field was added.
# Literals, not defaults: a changed default must change the digest.
UNCHANGED_AT: dict[str, object] = {"figures": ""}
DESCRIBES = "describe "  # in a recipe's `figures`, before the model that describes them
IMAGES_IN = ", images in "  # then, before the folder or container that keeps their images
RECIPE_DIGEST_CHARS = 12  # at the start of a fingerprint; the rest is the hash of the bytes


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything besides a document's bytes that determines its chunks and vectors.

    A field with the name of a setting has its value, in the sandbox too, as `task.recipe`.
    """

    extractor: str
    chunk_tokens: int
    overlap: float  # share of a chunk that the next one repeats
    model: str
    dimensions: int
    schema: int = 4  # incremented when cleaning, splitting or the fields of a chunk change
    figures: str = ""  # how figures are read, and by which engine or model; "" if they are not

    @property
    def digest(self) -> str:
        """Hash of the recipe, twelve hex digits.

        A field in `UNCHANGED_AT` is left out while it has the value given there, so that adding an
        option does not make every document of every existing index stale.
        """
        named = {f.name: getattr(self, f.name) for f in fields(self)}
        values = "\0".join(
            f"{name}={value}"
            for name, value in named.items()
            if name not in UNCHANGED_AT or value != UNCHANGED_AT[name]
        )
        return hashlib.sha256(values.encode()).hexdigest()[:RECIPE_DIGEST_CHARS]

    @property
    def vector_space(self) -> str:
        """Identifier of the vectors: equal if equal texts have equal vectors."""
        return vector_space(self.model, self.dimensions)


def vector_space(model: str, dimensions: int) -> str:
    """Return the identifier of the vectors of a model."""
    return f"{model}\0{dimensions}"


def hash_text(text: str, vector_space: str) -> str:
    """Hash a text to embed and the vectors it is embedded in; equal if the vectors are."""
    return hashlib.sha256(f"{vector_space}\0{text}".encode(errors="surrogatepass")).hexdigest()[:40]
