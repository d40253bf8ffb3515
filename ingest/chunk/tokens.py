"""How many tokens a text is, exactly as the embedding models of OpenAI count and bill them."""

from __future__ import annotations

from collections.abc import Sequence

import toktok

ENCODING = "cl100k_base"  # of text-embedding-ada-002, -3-small and -3-large
MIN_BATCH_TEXTS = (
    64  # texts: fewer are counted one by one in less time than the call for many takes to begin
)
NO_TRUNCATION_TOKENS = 1 << 30  # tokens; no text has so many


def count_tokens(texts: Sequence[str]) -> list[int]:
    """The tokens of each text. One call for many texts: a call costs more than a sentence."""
    if len(texts) < MIN_BATCH_TEXTS:
        return [toktok.truncate(text, NO_TRUNCATION_TOKENS, ENCODING)[1] for text in texts]
    return list(toktok.batch_count(texts, ENCODING, threads=1))
