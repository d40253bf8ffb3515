"""Precision and recall of finding figures, on PDFs whose figures are known.

    figures.py                 make what is missing, find figures, print both halves
    figures.py --misses        also list what is missed and what is wrong; of the tuning half only
    figures.py --count N       make N documents by each maker for either half

`figures/make.py` draws charts (Matplotlib, ReportLab, spreadsheets, slides), diagrams, maps,
photographs and screenshots, and prints them between paragraphs, tables, boxes round text, logos,
watermarks, decoration and scans, with WeasyPrint, Chromium, Typst, LibreOffice and ReportLab, in an
environment of the benchmark's own in `.benchmarks`, or below the folder that INGEST_BENCHMARKS
names.

A figure is found if one of ours and its box cover each other by half: the common area is at least
half of the area of both together. Intervals are of a bootstrap over documents. Who changes the
rules looks at the tuning half only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import venv
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from measure import ROOT

from ingest.extract.document import ExtractOptions
from ingest.extract.engines.chain import EngineChain
from ingest.extract.figures.document import find_figures

HERE = Path(__file__).parent / "figures"
CACHE = Path(os.environ.get("INGEST_BENCHMARKS", ROOT / ".benchmarks"))
HALVES = ("tuning", "unseen")
MIN_OVERLAP = 0.5
SAMPLES = 2000  # of the bootstrap
TARGET = 0.95

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Result:
    """Figures found in one document."""

    name: str
    found: tuple[str, ...]  # kinds of the figures that were found
    missed: tuple[str, ...]  # kinds and pages of those that were not
    wrong: tuple[str, ...]  # pages and boxes of what is no figure

    @property
    def maker(self) -> str:
        """The program that printed it."""
        return self.name.split(".")[1]


def main() -> None:
    """Make, find and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--misses", action="store_true")
    parser.add_argument("--count", type=int, default=8)
    options = parser.parse_args()
    folder = CACHE / "figures"
    subprocess.run(
        [find_python(), str(HERE / "make.py"), str(folder), str(options.count)], check=True
    )
    truth = json.loads((folder / "truth.json").read_text())
    halves: dict[str, list[Result]] = defaultdict(list)
    for name, figures in truth.items():
        halves[name.split(".")[0]].append(score(folder / f"{name}.pdf", figures))
    below = False
    for half in HALVES:
        below |= print_half(half, halves[half])
    if options.misses:
        print_misses(halves["tuning"])
    sys.exit(1 if below else 0)


def find_python() -> str:
    """Return the interpreter of the makers' environment; make it if its requirements changed."""
    folder = CACHE / "environments" / "figures"
    stamp, wanted = folder / "requirements.txt", HERE / "requirements.txt"
    interpreter = folder / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != wanted.read_text():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(interpreter), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, "--requirement", str(wanted)], check=True)
        shutil.copy(wanted, stamp)
    return str(interpreter)


def score(file: Path, figures: Sequence[dict[str, Any]]) -> Result:
    """Match the figures of a document with those that are found."""
    engines = EngineChain(file.read_bytes(), ExtractOptions())
    left = [(figure.page, figure.box) for figure in find_figures(engines)]
    found, missed = [], []
    for figure in figures:
        page, kind = figure["page"], figure["kind"]
        box: Box = tuple(figure["box"])
        rivals = [one for one in left if one[0] == page]
        best = max(rivals, key=lambda one: shared(one[1], box), default=None)
        if best and shared(best[1], box) >= MIN_OVERLAP:
            left.remove(best)
            found.append(kind)
        else:
            missed.append(f"{kind}, page {page}, {box}")
    wrong = [f"page {page}, {tuple(round(edge, 3) for edge in box)}" for page, box in left]
    return Result(file.stem, tuple(found), tuple(missed), tuple(wrong))


def shared(one: Box, other: Box) -> float:
    """Return the common area of two boxes, as a share of that of both together."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / (both - width * height)


def shares(results: Sequence[Result]) -> tuple[float, float]:
    """Return precision and recall."""
    found = sum(len(result.found) for result in results)
    wrong = sum(len(result.wrong) for result in results)
    missed = sum(len(result.missed) for result in results)
    return found / max(1, found + wrong), found / max(1, found + missed)


def print_half(half: str, results: Sequence[Result]) -> bool:
    """Print precision and recall of a half, by maker too; return whether one is too low."""
    if not results:
        return False
    random = Random(half)
    samples = [shares(random.choices(results, k=len(results))) for _ in range(SAMPLES)]
    measured = shares(results)
    count = sum(len(result.found) + len(result.missed) for result in results)
    print(f"{half}: {len(results)} documents, {count} figures")
    for place, name in enumerate(("precision", "recall")):
        values = sorted(sample[place] for sample in samples)
        low, high = values[SAMPLES // 40], values[-SAMPLES // 40]
        print(f"  {name:<10}{measured[place]:.3f} [{low:.3f}, {high:.3f}]")
    makers: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        makers[result.maker].append(result)
    for maker, group in sorted(makers.items()):
        print("  {:<12}{:.3f} {:.3f}".format(maker, *shares(group)))
    return min(measured) < TARGET


def print_misses(results: Sequence[Result]) -> None:
    """List what is missed and what is wrong."""
    for result in results:
        for text in result.missed:
            print(f"{result.name}: missed {text}")
        for text in result.wrong:
            print(f"{result.name}: wrong {text}")
    kinds = Counter(text.split(",")[0] for result in results for text in result.missed)
    print(dict(kinds))


if __name__ == "__main__":
    main()
