"""Rank texts by words with bm25s and the tokenizer of a language.

Runs in the benchmark's own environment, without `ingest`. Reads {"language", "texts", "questions",
"depth"} as JSON from standard input, and prints for each question the numbers of the best texts.
"""

from __future__ import annotations

import json
import sys

import bm25s
import Stemmer
from janome.tokenizer import Tokenizer


def main() -> None:
    """Rank."""
    asked = json.load(sys.stdin)
    language = asked["language"]
    ranker = bm25s.BM25()
    ranker.index(tokenize(asked["texts"], language), show_progress=False)
    depth = min(asked["depth"], len(asked["texts"]))
    questions = tokenize(asked["questions"], language)
    best, _ = ranker.retrieve(questions, k=depth, show_progress=False)
    json.dump(best.tolist(), sys.stdout)


def tokenize(texts: list[str], language: str) -> bm25s.tokenization.Tokenized:
    """Split texts into words: stems, or for Japanese what a morphological analyser finds."""
    if language == "japanese":
        split = Tokenizer(wakati=True).tokenize
        return bm25s.tokenize(
            [" ".join(split(text)) for text in texts],
            token_pattern=r"(?u)\w+",
            stopwords=None,
            show_progress=False,
        )
    stemmer = Stemmer.Stemmer(language)
    return bm25s.tokenize(texts, stemmer=stemmer, stopwords=None, show_progress=False)


if __name__ == "__main__":
    main()
