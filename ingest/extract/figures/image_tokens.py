"""Tokens that a model bills for a picture, by its own rule. Pure.

The rules are those of OpenAI's "Images and vision", "Calculating costs"
(platform.openai.com/docs/guides/images-vision), which Azure OpenAI bills by, as of 2026-11. Where
people measured less than documented (GPT-5 mini and nano), the documented number is kept: what is
not billed is given back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MAX_TILED_SIDE, SHORT_SIDE, TILE = 2048, 768, 512  # pixels
PATCH, MAX_PATCHES = 32, 1536


@dataclass(frozen=True, slots=True)
class Tiles:
    """Rule by tiles: so many tokens, and so many more for each tile of 512 pixels."""

    base: int
    tile: int

    def count(self, width: int, height: int) -> int:
        """Return the tokens of a picture."""
        shrink = min(1.0, MAX_TILED_SIDE / max(width, height))
        shrink *= min(1.0, SHORT_SIDE / (min(width, height) * shrink))
        across, along = (math.ceil(round(side * shrink, 3) / TILE) for side in (width, height))
        return self.base + self.tile * across * along


@dataclass(frozen=True, slots=True)
class Patches:
    """Rule by patches of 32 pixels, each so many tokens; no more than 1,536 patches."""

    factor: float

    def count(self, width: int, height: int) -> int:
        """Return the tokens of a picture."""
        patches = math.ceil(width / PATCH) * math.ceil(height / PATCH)
        return math.ceil(min(patches, MAX_PATCHES) * self.factor)


# By the model's name without its version, the longest that fits.
RULES: dict[str, Tiles | Patches] = {
    "gpt-4o": Tiles(85, 170),
    "gpt-4o-mini": Tiles(2833, 5667),
    "gpt-4.1": Tiles(85, 170),
    "gpt-4.1-mini": Patches(1.62),
    "gpt-4.1-nano": Patches(2.46),
    "gpt-4.5": Tiles(85, 170),
    "gpt-5": Tiles(70, 140),
    "gpt-5-mini": Patches(1.62),
    "gpt-5-nano": Patches(2.46),
    "o1": Tiles(75, 150),
    "o3": Tiles(75, 150),
    "o4-mini": Patches(1.72),
}
UNKNOWN_MODEL = Patches(2.46)  # the dearest rule of a model with patches


def count_image_tokens(model: str, width: int, height: int) -> int:
    """Return the tokens that a model bills for a picture of this many pixels."""
    names = sorted((name for name in RULES if f"{model}-".startswith(f"{name}-")), key=len)
    rule = RULES[names[-1]] if names else UNKNOWN_MODEL
    return rule.count(max(1, width), max(1, height))
