"""From texts to vectors. One file per back end; wrappers take an Embed and give an Embed."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.model import Embed


@dataclass(frozen=True, slots=True)
class Embedder:
    """An embedding model: the call, what it is, and how much it takes at a time."""

    embed: Embed
    model: str  # names what makes the vectors; part of the recipe
    dimensions: int
    inputs: int  # most texts in one call
    tokens: int  # most tokens in one call, all texts together
    at_once: int  # calls under way that pay off
