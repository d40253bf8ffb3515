"""Keyword search of German, Japanese and Arabic, next to bm25s with the tokenizer of the language.

    keywords.py [SET ...]

Both rank the same chunks, those of `ingest`, so that only the words differ: bm25s gets the stems of
Snowball (German, Arabic) or the words that Janome, a morphological analyser, finds in Japanese. The
sets are those of retrieval.py, each in halves: two lines of four may be used to choose how words
are indexed, the next two not.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing

import numpy as np
from retrieval import (
    DEPTH,
    FOLDER,
    HERE,
    cache_vectors,
    describe_difference,
    find_python,
    make_documents,
)

from ingest import Settings, ingest
from ingest.commands.eval.evaluate import answer_key, chunks_by_source
from ingest.commands.eval.metrics import hit_at, reciprocal_rank
from ingest.commands.eval.questions import load_questions
from ingest.config.connections import create_connections
from ingest.config.embedding import create_embedder
from ingest.config.index import open_index
from ingest.models import Mode

LANGUAGES = {"german": "german", "japanese": "japanese", "arabic": "arabic"}


def main() -> None:
    """Measure and print."""
    settings = Settings(embedder="local")
    model = cache_vectors(create_embedder(settings, create_connections(settings)))
    for name in sys.argv[1:] or LANGUAGES:
        folder = make_documents(name)
        index = FOLDER / f"{name}.{model.model.replace(':', '-')}.index"
        for _ in ingest(folder, index=index, embed=model):
            pass
        model.close()
        settings = Settings(index=str(index))
        questions = load_questions(HERE / f"{name}.jsonl")
        with closing(open_index(settings, model, create_connections(settings))) as opened:
            known = chunks_by_source(opened, questions)
            keys = [answer_key(question, known) for question in questions]
            texts = list(dict.fromkeys(c.text for chunks in known.values() for c in chunks))
            ours = [
                [str(h.fields["content"]) for h in opened.search(q.text, None, Mode.TEXT, DEPTH)]
                for q in questions
            ]
        asked = [question.text for question in questions]
        others = [[texts[n] for n in best] for best in rank_by_bm25s(name, texts, asked)]
        scored = np.array(
            [
                [score(key.answers, found) for key, found in zip(keys, ranking, strict=True)]
                for ranking in (ours, others)
            ]
        )
        print_scores(name, scored)


def rank_by_bm25s(name: str, texts: list[str], asked: list[str]) -> list[list[int]]:
    """Return the numbers of the best texts for each question, in the benchmark's environment."""
    request = {"language": LANGUAGES[name], "texts": texts, "questions": asked, "depth": DEPTH}
    answer = subprocess.run(
        [find_python(), str(HERE / "rank_words.py")],
        input=json.dumps(request).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    found: list[list[int]] = json.loads(answer.stdout)
    return found


def score(answers: frozenset[str], found: list[str]) -> tuple[float, float]:
    """Return hit@5 and the reciprocal rank of the first answer."""
    ranks = [rank for rank, text in enumerate(found, 1) if text in answers]
    return hit_at(ranks, 5), reciprocal_rank(ranks, 10)


def print_scores(name: str, scored: np.typing.NDArray[np.float64]) -> None:
    """Print both means, and the difference with its interval; for all, and for each half."""
    known = np.arange(scored.shape[1]) // 2 % 2 == 0  # questions and keywords take turns
    for half, lines in (("all", known | True), ("known", known), ("unseen", ~known)):
        ours, others = scored[:, lines]
        print(
            f"{name:<10}{half:<8}{len(ours):>4}"
            f"   ingest {ours[:, 0].mean():.3f} {ours[:, 1].mean():.3f}"
            f"   bm25s {others[:, 0].mean():.3f} {others[:, 1].mean():.3f}"
            f"   hit@5 {describe_difference(ours[:, 0] - others[:, 0])}"
            f"   MRR {describe_difference(ours[:, 1] - others[:, 1])}",
            flush=True,
        )


if __name__ == "__main__":
    main()
