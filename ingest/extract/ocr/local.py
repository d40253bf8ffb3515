"""Text recognised on this machine. Off unless it is asked for.

What does it is imported with the first scan: a process that meets none must not pay for it.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from ingest.errors import ConfigError
from ingest.models import OcrResult

if TYPE_CHECKING:
    from ingest.models import GreyImage

# What recognised a text, in Details.ocr. Another name, and scans are read again.
ENGINE_NAME = "local:rapidocr-3.10"

# Address space that the worst page took, with everything loaded: benchmarks/ocr.py. With far less,
# native code crashes before it can say that it has too little.
MIN_MEGABYTES = 1600

# What native code says of memory it was refused: C++, ONNX Runtime, OpenCV.
OUT_OF_MEMORY_WORDS = ("bad_alloc", "allocate", "Insufficient memory")


def check_installed() -> None:
    """Raises ConfigError if a package is missing."""
    for name in ("rapidocr", "cv2", "onnxruntime"):
        if find_spec(name) is None:
            raise ConfigError(
                f"the local OCR is not installed ({name} is missing): "
                "pip install '.[ocr]' in the checkout, or unset INGEST_OCR"
            )


def recognise(picture: GreyImage) -> OcrResult:
    """The text of a page and how sure it is; that there is nothing on a page is sure.

    A page that the engine fails on has no text and confidence 0. Raises MemoryError.
    """
    from ingest.extract.ocr.rapidocr import read_picture

    try:
        return read_picture(picture)
    except MemoryError:
        raise
    except Exception as error:
        if any(words in str(error) for words in OUT_OF_MEMORY_WORDS):
            raise MemoryError from error
        return OcrResult("", 0.0)
