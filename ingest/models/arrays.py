"""Arrays of numbers that stages pass on, and the function that makes vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# In quotes, so that nothing imports NumPy only to name its arrays.
Vectors: TypeAlias = "NDArray[np.float32]"
# A page in greyscale, shape (height, width); 0 is black.
GreyImage: TypeAlias = "NDArray[np.uint8]"
# A part of a page in colour, shape (height, width, 3): red, green, blue.
ColourImage: TypeAlias = "NDArray[np.uint8]"

# Texts to vectors: shape (len(texts), dimensions), float32, one row per text in their order.
Embed: TypeAlias = "Callable[[Sequence[str]], Vectors]"
