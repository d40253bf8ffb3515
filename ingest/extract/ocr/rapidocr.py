"""OCR with RapidOCR and the PP-OCRv6 models inside its package.

The models are loaded by path, so that the package never downloads any. This is native code, and its
memory grows with the page: run it in the sandbox only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.extract.ocr.line_order import TextLine, arrange_lines
from ingest.models import GreyImage, OcrResult
from ingest.runtime.onnx import import_onnxruntime

if TYPE_CHECKING:
    from numpy.typing import NDArray

    # Corners of text lines, clockwise from the top left: shape (lines, 4, 2), x and y.
    Quads = NDArray[np.float32]

# Text is located on a page of this size (A4 at 145 dpi), and read at full resolution. Memory grows
# with it; this fits the default limit of a process with everything loaded.
MAX_DETECTION_PIXELS = 2_000_000
MIN_DETECTION_SIDE_PIXELS = 32  # the detection model works in blocks of this size
MIN_LINE_ASPECT = 3  # width to height; the direction of a longer line is clear
MAX_LINE_ASPECT = 80  # width to height; a longer line is squeezed, as memory grows with length
ORIENTATION_SAMPLE_LINES = 3  # read to decide if a page is upside down
UPRIGHT_CONFIDENCE = 0.9  # mean of those lines above which a page is not turned
MIN_LINE_CONFIDENCE = 0.5  # a line below is left out
# Letters per line height of width. Scripts that the model knows have one to three; in others it
# finds hardly any letters, with high confidence.
MIN_LETTER_DENSITY = 0.3


def read_picture(picture: GreyImage) -> OcrResult:
    """Recognise the text of a page. Raises whatever the libraries raise."""
    boxes = detect_text(picture)
    if not len(boxes):
        return OcrResult("", 1.0)
    picture, boxes = turn_upright(picture, boxes)
    read_lines = [recognise_line(crop_line(picture, box)) for box in boxes]
    lengths = [width / max(1.0, height) for width, height in map(box_size, boxes)]
    weighted = sum(n * confidence for n, (_, confidence) in zip(lengths, read_lines, strict=True))
    lines = zip(deskew_lines(boxes, [text for text, _ in read_lines]), read_lines, strict=True)
    readable = [line for line, (_, confidence) in lines if confidence >= MIN_LINE_CONFIDENCE]
    return OcrResult(arrange_lines(readable), weighted / sum(lengths))


def detect_text(picture: GreyImage) -> Quads:
    """Locate the lines of text on a page."""
    import cv2

    height, width = picture.shape
    scale = min(1.0, math.sqrt(MAX_DETECTION_PIXELS / (width * height)))
    if min(width, height) * scale < MIN_DETECTION_SIDE_PIXELS:
        return np.empty((0, 4, 2), np.float32)
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    boxes = load_engine()(small, use_det=True, use_cls=False, use_rec=False).boxes
    if boxes is None:
        return np.empty((0, 4, 2), np.float32)
    return (np.asarray(boxes) / scale).astype(np.float32)


def turn_upright(picture: GreyImage, boxes: Quads) -> tuple[GreyImage, Quads]:
    """Rotate page and boxes so that most lines run from left to right and are upright."""
    sizes = np.array([box_size(box) for box in boxes])
    wide, tall = (
        sizes[:, 0] > MIN_LINE_ASPECT * sizes[:, 1],
        sizes[:, 1] > MIN_LINE_ASPECT * sizes[:, 0],
    )
    sideways = sizes[tall, 1].sum() > sizes[wide, 0].sum()
    if sideways:
        picture, boxes = rotate_left(picture, boxes)
    longest = np.argsort([-max(box_size(box)) for box in boxes])[:ORIENTATION_SAMPLE_LINES]
    samples = [crop_line(picture, boxes[index]) for index in longest]
    as_is = sum(recognise_line(sample)[1] for sample in samples) / len(samples)
    if as_is < UPRIGHT_CONFIDENCE:
        turned = sum(recognise_line(np.rot90(sample, 2))[1] for sample in samples) / len(samples)
        if turned > as_is:
            return rotate_left(*rotate_left(picture, boxes))
    return picture, boxes


def rotate_left(picture: GreyImage, boxes: Quads) -> tuple[GreyImage, Quads]:
    """Rotate page and boxes a quarter turn to the left."""
    width = picture.shape[1]
    corners = np.roll(boxes, -1, axis=1)  # the top right corner becomes the top left one
    return np.rot90(picture), np.stack([corners[..., 1], width - 1 - corners[..., 0]], axis=-1)


def box_size(box: NDArray[np.float32]) -> tuple[float, float]:
    """Return width and height of a box, along its own sides."""
    width, height = np.linalg.norm(box[1] - box[0]), np.linalg.norm(box[3] - box[0])
    return float(width), float(height)


def crop_line(picture: GreyImage, box: NDArray[np.float32]) -> GreyImage:
    """Cut out one line of text and straighten it; a vertical line is turned on its side."""
    import cv2

    width, height = (max(1, round(side)) for side in box_size(box))
    long, short = max(width, height), min(width, height)
    if long > MAX_LINE_ASPECT * short:
        width, height = (min(side, MAX_LINE_ASPECT * short) for side in (width, height))
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    view = cv2.getPerspectiveTransform(box, corners)
    level: GreyImage = cv2.warpPerspective(
        picture, view, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.uint8)
    return np.rot90(level, -1) if height > MIN_LINE_ASPECT * width else level


def recognise_line(line: GreyImage) -> tuple[str, float]:
    """Recognise one line: text and confidence; ("", 0.0) for a script unknown to the model."""
    answer = load_engine()(np.ascontiguousarray(line), use_det=False, use_cls=False, use_rec=True)
    text = answer.txts[0].strip() if answer.txts else ""
    height, width = line.shape
    if not text or len(text.replace(" ", "")) < MIN_LETTER_DENSITY * width / height:
        return "", 0.0
    return text, float(answer.scores[0])


def deskew_lines(boxes: Quads, texts: Sequence[str]) -> list[TextLine]:
    """Correct the positions of lines for a page that was scanned at an angle."""
    slopes = [
        math.atan2(box[1][1] - box[0][1], box[1][0] - box[0][0])
        for box in boxes
        if box_size(box)[0] > MIN_LINE_ASPECT * box_size(box)[1]
    ]
    skew = float(np.median(slopes)) if slopes else 0.0
    straight = np.array(
        [[math.cos(skew), -math.sin(skew)], [math.sin(skew), math.cos(skew)]], np.float32
    )
    lines = []
    for box, text in zip(boxes @ straight, texts, strict=True):
        (x, y), (width, height) = box.mean(axis=0), box_size(box)
        lines.append(TextLine(text, x - width / 2, y - height / 2, x + width / 2, y + height / 2))
    return lines


@cache
def load_engine() -> Any:
    """Load the models, for one core each: there is one process per core."""
    try:
        import_onnxruntime()  # before the package imports it in its own way
        import cv2
        import rapidocr
    except ImportError as error:  # check_installed has found it, so memory is short
        raise MemoryError from error
    cv2.setNumThreads(1)
    models = Path(rapidocr.__file__).parent / "models"
    return rapidocr.RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.use_preprocess_img": False,  # the sizes are right
            "Det.limit_type": "max",
            "Det.limit_side_len": MAX_DETECTION_PIXELS,
            "Det.model_path": str(models / "PP-OCRv6_det_small.onnx"),
            "Rec.model_path": str(models / "PP-OCRv6_rec_small.onnx"),
            "Rec.rec_batch_num": 1,  # several at once are padded: more memory, and no faster
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )
