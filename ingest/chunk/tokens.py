"""Count tokens exactly as OpenAI's embedding models count and bill them."""

from __future__ import annotations

from collections.abc import Sequence

import toktok

ENCODING = "cl100k_base"  # of text-embedding-ada-002, -3-small and -3-large
MIN_BATCH_TEXTS = 64  # fewer are counted one by one faster than a batch call starts
NO_TRUNCATION_TOKENS = 1 << 30  # more than any text has


def count_tokens(texts: Sequence[str]) -> list[int]:
    """Count the tokens of each text. Pass many texts at once: a call costs more than a sentence."""
    if len(texts) < MIN_BATCH_TEXTS:
        return [toktok.truncate(text, NO_TRUNCATION_TOKENS, ENCODING)[1] for text in texts]
    return list(toktok.batch_count(texts, ENCODING, threads=1))
