"""Embed with a custom function: a hashed bag of words with 512 dimensions.

python examples/own_model.py docs/ "notice period"
"""

import argparse
import re
from collections.abc import Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ingest import Embedder, ingest, search

DIMENSIONS = 512


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return one row per text."""
    vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
    for row, text in zip(vectors, texts, strict=True):
        for word in re.findall(r"\w+", text.lower()):
            row[crc32(word.encode()) % DIMENSIONS] += 1
    return vectors


# The index stores the model's name: change it whenever the vectors change.
model = Embedder(embed, model="words-512", dimensions=DIMENSIONS)

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("question")
options = parser.parse_args()
for outcome in ingest(options.folder, index="words-index", embed=model):
    print(outcome.outcome, outcome.source, outcome.reason)
for hit in search(options.question, mode="vector", top=1, index="words-index", embed=model):
    print(f"best: {hit.fields['source']}, page {hit.page}")
