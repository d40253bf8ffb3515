"""Detect the language of a document from its text.

The language that the document declares is ignored: most programs write "en-US" into all documents.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

SAMPLE_CHARS = 160, 600  # the second size is used only if the first gives no certain answer
SAMPLE_PAGES = 4  # spread over the document, as a cover or an index says little
MAX_PREDICTED_CHARS = 400
MIN_LETTERS = 12  # in a sample; with fewer, nothing is detected
CERTAIN_PROBABILITY = 0.75  # from here on, more text does not change the answer
MIN_PROBABILITY = 0.4  # below it, no language is reported

NUMBER_OR_URL = re.compile(r"\d|://")

# Three-letter codes without a two-letter one, and the language that each is a variety of.
PARENT_LANGUAGES = {
    "arz": "ar",
    "azb": "az",
    "ckb": "ku",
    "pnb": "pa",
    "wuu": "zh",
    "yue": "zh",
    "als": "de",
}
CODE_LETTERS = 2  # of ISO 639-1


def detect_language(pages: Sequence[str]) -> str:
    """Return the ISO 639-1 code of a document's main language; "" if it is uncertain."""
    code, probability = "", 0.0
    for size in SAMPLE_CHARS:
        text = sample_text(pages, size)
        if sum(map(str.isalpha, text[: 4 * MIN_LETTERS])) < MIN_LETTERS:
            continue
        labels, probabilities = load_language_model().predict(text)
        code, probability = (labels[0], probabilities[0]) if labels else ("", 0.0)
        if probability >= CERTAIN_PROBABILITY:
            break
    code = code.removeprefix("__label__")
    code = PARENT_LANGUAGES.get(code, code)
    return code if len(code) == CODE_LETTERS and probability >= MIN_PROBABILITY else ""


def language_probability(text: str) -> float:
    """Return the probability of the most likely language of a text; 0 if it has none."""
    _, probabilities = load_language_model().predict(sample_text([text], MAX_PREDICTED_CHARS))
    return float(probabilities[0]) if len(probabilities) else 0.0


def sample_text(pages: Sequence[str], size: int) -> str:
    """Return about `size` characters of pages spread over a document, as words on one line.

    Words with digits are left out. All are in lower case: the model takes capitals for another
    language.
    """
    texts = [page for page in pages if page]
    step = max(1, len(texts) // SAMPLE_PAGES)
    chosen = texts[step // 2 :: step][:SAMPLE_PAGES]
    each = size // max(1, len(chosen))
    text = " ".join([page[:each] for page in chosen]).lower()
    return " ".join([word for word in text.split() if not NUMBER_OR_URL.search(word)])


@cache
def load_language_model() -> Any:
    """Load the fastText model (1 MB); lid.176.LICENSE says whose it is."""
    import fasttext

    return fasttext.load_model(str(Path(__file__).with_name("lid.176.ftz")))
