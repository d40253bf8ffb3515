"""Token counts against the referee: OpenAI's own tokenizer with OpenAI's own vocabulary."""

from __future__ import annotations

import base64
import gzip
from functools import cache
from pathlib import Path

import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.chunk.tokens import count_tokens

PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)


@cache
def load_tiktoken() -> tiktoken.Encoding:
    lines = gzip.decompress((Path(__file__).parent / "cl100k_base.tiktoken.gz").read_bytes())
    ranks = {base64.b64decode(a): int(b) for a, b in map(bytes.split, lines.splitlines())}
    return tiktoken.Encoding(
        "cl100k_base", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={}
    )


# Characters that Unicode has not assigned yet are letters to one tokenizer before the other.
ASSIGNED = st.characters(exclude_categories=["Cs", "Cn"])


@settings(max_examples=300)
@given(st.lists(st.text(alphabet=ASSIGNED, max_size=80)))
def test_counts_are_those_that_are_billed(texts: list[str]) -> None:
    """Token counts equal those of the service, in every script."""
    assert count_tokens(texts) == [
        len(tokens) for tokens in load_tiktoken().encode_ordinary_batch(texts)
    ]


def test_text_that_looks_like_a_control_token_is_text() -> None:
    """A manual about language models is counted like any other."""
    text = "<|endoftext|> ends a text."
    assert count_tokens([text]) == [len(load_tiktoken().encode_ordinary(text))]
