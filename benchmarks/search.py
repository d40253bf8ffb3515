"""Latency of searches in a local index of 50,000 chunks.

The texts are the sample documents' sentences in a new order, with half of the words replaced by
made-up ones whose frequencies fall as those of a language do (Zipf), because full-text search costs
what the words of a question are frequent; real sentences alone would have few words, each in many
chunks. The questions are runs of three to twelve words from the chunks. The vectors are random:
exact search costs the same whatever they point at. The index is written by its own `upload`.

Warm means in one process, as a service would; cold is the first question of a new `LocalIndex`,
which loads the vectors, with the file in the system's cache. The embedding of the question is the
model's time and not in here. The excerpts of five hits, whose passages the local model embeds, are
measured apart, once it is loaded. Baseline: numpy's bare product of the same vectors with one.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from measure import ROOT, cpu, tell, typical, wall, words

from ingest.chunk.tokens import count_tokens
from ingest.commands.search.excerpts import add_excerpts
from ingest.embed.minilm import local_embedder
from ingest.index.sqlite.index import SqliteIndex
from ingest.models import Chunk, Hit, IndexEntry, Mode, Source, Vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray


CHUNKS = 50_000
PER_DOCUMENT = 100
DIMENSIONS = 384
QUERIES = 100
WORDS_IN_CHUNK = 230  # about 400 tokens
VOCABULARY = 100_000  # made-up words
MADE_UP = 0.5  # share of the words
MODEL = "random"
LOCAL = local_embedder(threads=2)
EXCERPTS = 30  # questions whose excerpts are made
MODES = (Mode.TEXT, Mode.VECTOR, Mode.HYBRID)


def main() -> None:
    """Measure and print."""
    random = np.random.default_rng(50_000)
    vectors = random.standard_normal((CHUNKS + QUERIES, DIMENSIONS), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors, asked = vectors[:CHUNKS], vectors[CHUNKS:]
    texts = list(passages(random))
    questions = [question(texts[i], random) for i in random.integers(0, CHUNKS, QUERIES)]

    with tempfile.TemporaryDirectory() as folder:
        index = SqliteIndex(Path(folder), MODEL, DIMENSIONS, create=True)
        filling = wall(partial(fill, index, texts, vectors))
        mean = sum(count_tokens(texts[:1000])) / 1000
        tell(f"upload of {CHUNKS:,} chunks", f"{filling:.0f} s", f"{mean:.0f} tokens each")
        index.close()

        index = SqliteIndex(Path(folder), MODEL, DIMENSIONS, create=False)
        LOCAL.embed(["Load the model."])
        first = wall(partial(index.search, questions[0], asked[0], Mode.HYBRID, 5))
        tell("cold, first hybrid question", f"{1e3 * first:.0f} ms")

        calls = [
            (
                partial(np.matmul, vectors, vector),
                *(partial(index.search, text, vector, mode, 5) for mode in MODES),
            )
            for text, vector in zip(questions, asked, strict=True)
        ]
        bare, *modes = zip(*([wall(call) for call in turn] for turn in calls), strict=True)
        spent = [
            cpu(partial(index.search, t, v, Mode.HYBRID, 5))
            for t, v in zip(questions, asked, strict=True)
        ]
        tell("hybrid, CPU of all threads, median", f"{1e3 * typical(spent):.1f} ms")
        tell("95th percentile", f"{1e3 * np.percentile(spent, 95):.1f} ms")
        shown = [
            cpu(partial(show, index, text, vector))
            for text, vector in zip(questions[:EXCERPTS], asked, strict=False)
        ]
        tell("and excerpts, CPU of all threads, median", f"{1e3 * typical(shown):.0f} ms")
        tell("95th percentile", f"{1e3 * np.percentile(shown, 95):.0f} ms")
        product = typical(bare)
        tell("bare matrix-vector product, median", f"{1e3 * product:.1f} ms")
        for mode, times in zip(MODES, modes, strict=True):
            median = typical(times)
            target = ", target <= 35 ms" if mode is Mode.HYBRID else ""
            tell(
                f"{mode}, median",
                f"{1e3 * median:.1f} ms",
                f"{median / product:.1f} x the product{target}",
            )
            tell(f"{mode}, 95th percentile", f"{1e3 * np.percentile(times, 95):.1f} ms")
        index.close()


def show(index: SqliteIndex, text: str, vector: Vectors) -> list[Hit]:
    """A hybrid search with its excerpts."""
    return add_excerpts(text, vector, index.search(text, vector, Mode.HYBRID, 5), LOCAL)


def passages(random: np.random.Generator) -> Iterator[str]:
    """The texts of all chunks."""
    real = [sentence.split() for sentence in sentences()]
    made_up = np.array(list(islice(words(), VOCABULARY)), object)
    weights = np.cumsum(1 / np.arange(1, VOCABULARY + 1))
    weights /= weights[-1]
    for _ in range(CHUNKS):
        drawn = random.integers(0, len(real), WORDS_IN_CHUNK // 8)
        text = np.array([word for i in drawn for word in real[i]][:WORDS_IN_CHUNK], object)
        places = np.flatnonzero(random.random(len(text)) < MADE_UP)
        text[places] = made_up[np.searchsorted(weights, random.random(len(places)))]
        yield " ".join(text)


def sentences() -> list[str]:
    """The sentences of the texts that the sample PDFs are made of."""
    files = sorted((ROOT / "scripts" / "make_data" / "texts").glob("*.md"))
    prose = "\n\n".join(file.read_text("utf-8").partition("\n\n")[2] for file in files)
    plain = re.sub(r"[*|#]+|^Table: |^!figure .*", " ", prose, flags=re.MULTILINE)
    return [s for s in re.split(r"(?<=[.!?。！？])\s+|\n\n", plain) if len(s.split()) > 3]


def question(text: str, random: np.random.Generator) -> str:
    """Three to twelve words of a text in a row."""
    known = text.split()
    length = int(random.integers(3, 13))
    start = int(random.integers(0, len(known) - length))
    return " ".join(known[start : start + length])


def fill(index: SqliteIndex, texts: list[str], vectors: Vectors) -> None:
    """Upload all chunks, a document at a time."""
    for first in range(0, CHUNKS, PER_DOCUMENT):
        name = f"book-{first // PER_DOCUMENT:04}.pdf"
        source = Source("/books", name, f"/books/{name}", 1, "1")
        numbers = range(first, first + PER_DOCUMENT)
        index.upload([entry(source, n, texts[n], vectors[n]) for n in numbers])


def entry(source: Source, number: int, text: str, vector: NDArray[np.float32]) -> IndexEntry:
    """One chunk on its way into the index."""
    ordinal = number % PER_DOCUMENT
    chunk = Chunk(
        id=f"{number:040x}",
        text=text,
        tokens=400,
        ordinal=ordinal,
        start=0,
        end=len(text),
        page_start=ordinal + 1,
        page_end=ordinal + 1,
        labels=(),
        headings=("A chapter", "A section"),
    )
    return IndexEntry(source, f"file://{source.location}", "0" * 64, "A book", chunk, vector)


if __name__ == "__main__":
    main()
