"""Local OCR, off by default.

The engine is imported with the first scanned page: a process without scans does not load it.
"""

from __future__ import annotations

from importlib.util import find_spec

from ingest.errors import ConfigError
from ingest.models import GreyImage, OcrResult

# Name of this engine in Details.ocr. If it changes, all scans are read again.
ENGINE_NAME = "local:rapidocr-3.10"

# Address space that the worst page needed, with everything loaded: benchmarks/ocr.py. With far
# less, native code crashes before it can report that memory is short.
MIN_MEGABYTES = 1600

# Words in out-of-memory errors of native code: C++, ONNX Runtime, OpenCV.
OUT_OF_MEMORY_WORDS = ("bad_alloc", "allocate", "Insufficient memory")


def check_installed() -> None:
    """Raise ConfigError if a package is missing."""
    for name in ("rapidocr", "cv2", "onnxruntime"):
        if find_spec(name) is None:
            raise ConfigError(
                f"the local OCR is not installed ({name} is missing): "
                "./scripts/environment ocr for ./scripts/ingest, or pip install '.[ocr]'; or unset "
                "INGEST_OCR"
            )


def recognise(picture: GreyImage) -> OcrResult:
    """Recognise the text of a page, with its confidence; a page without text has confidence 1.

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


def recognise_line(picture: GreyImage) -> OcrResult:
    """Recognise one line of text. Raises MemoryError, or whatever the libraries raise."""
    from ingest.extract.ocr import rapidocr

    text, confidence = rapidocr.recognise_line(picture)
    return OcrResult(text, confidence)
