"""Pages read by RapidOCR, with the PP-OCRv6 models inside its package.

Nothing may be downloaded: the models are given by their files, so that the package never looks for
them elsewhere. Native code, and as greedy as the page it is given: only run it in a child process.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.extract.ocr.line_order import Line, arranged
from ingest.models import Recognised
from ingest.runtime.onnx import onnxruntime

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.models import Picture

    # The corners of runs of text, clockwise from their top left: shape (runs, 4, 2), x and y.
    Boxes = NDArray[np.float32]

# Pixels in which text is looked for; it is read in all that there are. An A4 page has them at 145
# dpi. Memory grows with them, and the default limit holds for a process with everything loaded.
LOOKED_AT = 2_000_000
NARROWEST = 32  # pixels; what the model of where text is divides by
LINE = 3  # times as long as it is high: a box that tells which way the text runs
LONGEST = 80  # times its height; a longer line is squeezed, for memory grows with its length
SAMPLES = 3  # lines that tell whether a page is upside down
CERTAIN = 0.9  # mean confidence of those above which the other way is not tried
READABLE = 0.5  # confidence; a line below is left out
# Letters to a length of one line height. Scripts that are read have one to three; of others the
# model sees next to none, and is sure of that.
SPARSE = 0.3


def read(picture: Picture) -> Recognised:
    """The text of a page and how sure it is. Raises whatever the libraries raise."""
    boxes = found(picture)
    if not len(boxes):
        return Recognised("", 1.0)
    picture, boxes = upright(picture, boxes)
    read_lines = [recognised(crop(picture, box)) for box in boxes]
    lengths = [width / max(1.0, height) for width, height in map(size, boxes)]
    sure = sum(n * confidence for n, (_, confidence) in zip(lengths, read_lines, strict=True))
    lines = zip(placed(boxes, [text for text, _ in read_lines]), read_lines, strict=True)
    readable = [line for line, (_, confidence) in lines if confidence >= READABLE]
    return Recognised(arranged(readable), sure / sum(lengths))


def found(picture: Picture) -> Boxes:
    """Where text is."""
    import cv2

    height, width = picture.shape
    scale = min(1.0, math.sqrt(LOOKED_AT / (width * height)))
    if min(width, height) * scale < NARROWEST:
        return np.empty((0, 4, 2), np.float32)
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    boxes = engine()(small, use_det=True, use_cls=False, use_rec=False).boxes
    if boxes is None:
        return np.empty((0, 4, 2), np.float32)
    return (np.asarray(boxes) / scale).astype(np.float32)


def upright(picture: Picture, boxes: Boxes) -> tuple[Picture, Boxes]:
    """Both turned so that most lines run from left to right, and are not upside down."""
    sizes = np.array([size(box) for box in boxes])
    wide, tall = sizes[:, 0] > LINE * sizes[:, 1], sizes[:, 1] > LINE * sizes[:, 0]
    sideways = sizes[tall, 1].sum() > sizes[wide, 0].sum()
    if sideways:
        picture, boxes = turned(picture, boxes)
    longest = np.argsort([-max(size(box)) for box in boxes])[:SAMPLES]
    samples = [crop(picture, boxes[place]) for place in longest]
    as_is = sum(recognised(sample)[1] for sample in samples) / len(samples)
    if as_is < CERTAIN:
        other = sum(recognised(np.rot90(sample, 2))[1] for sample in samples) / len(samples)
        if other > as_is:
            return turned(*turned(picture, boxes))
    return picture, boxes


def turned(picture: Picture, boxes: Boxes) -> tuple[Picture, Boxes]:
    """A quarter turn to the left."""
    width = picture.shape[1]
    corners = np.roll(boxes, -1, axis=1)  # what was the top right corner is the top left one
    return np.rot90(picture), np.stack([corners[..., 1], width - 1 - corners[..., 0]], axis=-1)


def size(box: NDArray[np.float32]) -> tuple[float, float]:
    """Width and height of a box, along its own sides."""
    across, down = np.linalg.norm(box[1] - box[0]), np.linalg.norm(box[3] - box[0])
    return float(across), float(down)


def crop(picture: Picture, box: NDArray[np.float32]) -> Picture:
    """One run of text, level; one that runs down the page is laid on its side."""
    import cv2

    width, height = (max(1, round(side)) for side in size(box))
    long, short = max(width, height), min(width, height)
    if long > LONGEST * short:
        width, height = (min(side, LONGEST * short) for side in (width, height))
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    view = cv2.getPerspectiveTransform(box, corners)
    level: Picture = cv2.warpPerspective(
        picture, view, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.uint8)
    return np.rot90(level, -1) if height > LINE * width else level


def recognised(line: Picture) -> tuple[str, float]:
    """The text of one run, and the confidence of its characters; none for a script unknown."""
    answer = engine()(np.ascontiguousarray(line), use_det=False, use_cls=False, use_rec=True)
    text = answer.txts[0].strip() if answer.txts else ""
    height, width = line.shape
    if not text or len(text.replace(" ", "")) < SPARSE * width / height:
        return "", 0.0
    return text, float(answer.scores[0])


def placed(boxes: Boxes, texts: Sequence[str]) -> list[Line]:
    """The runs where they would stand if the page had been laid in straight."""
    slopes = [
        math.atan2(box[1][1] - box[0][1], box[1][0] - box[0][0])
        for box in boxes
        if size(box)[0] > LINE * size(box)[1]
    ]
    skew = float(np.median(slopes)) if slopes else 0.0
    straight = np.array(
        [[math.cos(skew), -math.sin(skew)], [math.sin(skew), math.cos(skew)]], np.float32
    )
    lines = []
    for box, text in zip(boxes @ straight, texts, strict=True):
        (x, y), (width, height) = box.mean(axis=0), size(box)
        lines.append(Line(text, x - width / 2, y - height / 2, x + width / 2, y + height / 2))
    return lines


@cache
def engine() -> Any:
    """The models, ready to run on one core: there is a process a core."""
    try:
        onnxruntime()  # before the package imports it in its own way
        import cv2
        import rapidocr
    except ImportError as error:  # `installed` has seen it, so there was no room for it
        raise MemoryError from error
    cv2.setNumThreads(1)
    models = Path(rapidocr.__file__).parent / "models"
    return rapidocr.RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.use_preprocess_img": False,  # the sizes are right
            "Det.limit_type": "max",
            "Det.limit_side_len": LOOKED_AT,
            "Det.model_path": str(models / "PP-OCRv6_det_small.onnx"),
            "Rec.model_path": str(models / "PP-OCRv6_rec_small.onnx"),
            "Rec.rec_batch_num": 1,  # several at once are padded: more memory, and no faster
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )
