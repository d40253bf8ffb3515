"""Part the characters of a text that are ASCII from all others. Pure.

Most pages have few others, so a search among these takes a fifth of the time of a search in the
text; and bytes are counted faster than characters.
"""

from __future__ import annotations

from functools import lru_cache

ASCII, NOT_ASCII = bytes(range(128)), bytes(range(128, 256))


@lru_cache(maxsize=4)  # several look at the same page
def split_ascii(text: str) -> tuple[bytes, str]:
    """Return the characters of a text that are ASCII, and the others, in their order."""
    encoded = text.encode("utf-8", "surrogatepass")
    if text.isascii():
        return encoded, ""
    others = encoded.translate(None, ASCII).decode("utf-8", "surrogatepass")
    return encoded.translate(None, NOT_ASCII), others


def only_ascii(text: str) -> bytes:
    """Return the characters of a text that are ASCII."""
    return split_ascii(text)[0]


def non_ascii(text: str) -> str:
    """Return the characters of a text that are not ASCII."""
    return split_ascii(text)[1]
