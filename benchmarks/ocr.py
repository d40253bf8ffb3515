"""Accuracy and speed of the local OCR, on one core.

The first page of each sample becomes a scan: drawn at 200 dpi, laid in askew, with grain, as a
JPEG. What is recognised is held against the page's own text layer, after the same cleaning, spaces
aside: 1 is the same text in the same order. Pages a minute are those of CPU time, beside the rate
of reading the text layers of the same pages. Arabic is among them because it is not read: no text
and no confidence is what it should give.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from difflib import SequenceMatcher
from functools import partial
from pathlib import Path

import numpy as np
from measure import ROOT, cpu, tell, typical
from PIL import Image, ImageDraw

from ingest.extract.cleaning import clean
from ingest.extract.engines.pdfium import Pdfium
from ingest.extract.ocr.local import recognise
from ingest.models import GreyImage, OcrResult

SAMPLES = {
    "English, tables": "benefits/benefits-plan.pdf",
    "English, two columns": "papers/two-column.pdf",
    "German": "languages/arbeitsordnung.pdf",
    "French": "languages/règlement intérieur.pdf",
    "Japanese": "languages/安全ガイド.pdf",
    "Arabic": "languages/دليل-السلامة.pdf",
}
SKEW = 1.2  # degrees
GRAIN = 8.0  # standard deviation, of 255
QUALITY = 60  # of the JPEG


def recognise_into(results: list[OcrResult], picture: GreyImage) -> None:
    """Append the result of OCR, since `cpu` returns only the time."""
    results.append(recognise(picture))


def main() -> None:
    """Measure and print."""
    load = cpu(partial(recognise, scanned(np.full((100, 100), 255, np.uint8))))
    tell("CPU to load the engine", f"{load:.1f} s")
    seconds, layers = [], []
    for name, file in SAMPLES.items():
        document = Pdfium((ROOT / "data" / file).read_bytes(), ())
        picture = scanned(document.render(0))
        known = clean(document.text(0))
        found: list[OcrResult] = []
        seconds.append(cpu(partial(recognise_into, found, picture)))
        layers.append(typical([cpu(partial(document.text, 0)) for _ in range(9)]))
        figures = f"words {words(known, found[0].text):.3f}, confidence {found[0].confidence:.2f}"
        tell(f"similarity, {name}", f"{similarity(known, found[0].text):.3f}", figures)
    layer = f"text layers: {60 / typical(layers):,.0f}"
    tell("pages a minute and core", f"{60 / typical(seconds):.1f}", layer)
    worst = crowded()
    tell("CPU of a page with 1,000 words apart", f"{cpu(partial(recognise, worst)):.0f} s")
    tell("peak address space", f"{address_space():,} MB", "limit 2,048 MB")


def scanned(page: GreyImage) -> GreyImage:
    """The page as a scanner would give it."""
    image = Image.fromarray(page).rotate(SKEW, resample=Image.Resampling.BICUBIC, fillcolor=255)
    grain = np.random.default_rng(1).normal(0, GRAIN, (image.height, image.width))
    noisy = Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))
    file = io.BytesIO()
    noisy.save(file, "JPEG", quality=QUALITY)
    return np.asarray(Image.open(file))


def crowded() -> GreyImage:
    """As many runs of text as are looked at, each by itself."""
    image = Image.new("L", (1414, 2000), 255)
    draw = ImageDraw.Draw(image)
    for x in range(20, 1400, 40):
        for y in range(20, 2000, 40):
            draw.text((x, y), "ab", fill=0)
    return np.asarray(image)


def similarity(known: str, found: str) -> float:
    """Twice the characters in common, in order, over those of both."""
    texts = ("".join(known.split()), "".join(clean(found).split()))
    return SequenceMatcher(None, *texts, autojunk=False).ratio()


def words(known: str, found: str) -> float:
    """The share of the words that were found, wherever."""
    wanted, there = (Counter(re.findall(r"\w+", text.lower())) for text in (known, clean(found)))
    return sum((wanted & there).values()) / sum(wanted.values())


def address_space() -> int:
    """The most this process has had, in MB; Linux only."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmPeak:\s+(\d+)", status)[1]) // 1024  # type: ignore[index]


if __name__ == "__main__":
    main()
