"""How many tokens a text is, exactly as the embedding models of OpenAI count and bill them."""

from __future__ import annotations

from collections.abc import Sequence

import toktok

ENCODING = "cl100k_base"  # of text-embedding-ada-002, -3-small and -3-large


def count(texts: Sequence[str]) -> list[int]:
    """The tokens of each text. One call for many texts: a call costs more than a sentence."""
    return list(toktok.batch_count(texts, ENCODING, threads=1)) if texts else []
