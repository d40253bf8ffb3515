"""CPU of the PDFium calls that extraction cannot do without, relative to the bare text engine.

Nothing is done with what they return: this is the least that any extraction in Python takes which
asks PDFium for the same. The documents are those of debian_pdfs.py. CPU seconds in this process, in
turn, the best of some rounds for each document.

    pdfium_calls.py [--step N] [--repetitions N]
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pypdfium2
from debian_pdfs import PACKAGES, select_pdfs, unpack
from extract import bare, task
from measure import cpu, tell

from ingest.extract.engines.pdfium_boxes import read_fills
from ingest.extract.engines.pdfium_raw import (
    address_of,
    close_page,
    close_text,
    count_characters,
    count_clips,
    count_rects,
    fill_char_boxes,
    list_page_items,
    load_page,
    load_text,
    pointer_to,
    read_bounds,
    read_characters,
    read_clip,
    read_mode,
    read_rects,
)
from ingest.extract.safe_call import try_call
from ingest.extract.sandbox.child import collect_garbage_rarely

BARE = "PDFium alone, by pypdfium2's objects"
ENGINE = "load pages, read their text"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--step", type=int, default=5, help="measure every Nth document")
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    collect_garbage_rarely()
    files = [file for name in PACKAGES.read_text().split() for file in select_pdfs(unpack(name))]
    total: dict[str, float] = defaultdict(float)
    for file in files[:: options.step]:
        rounds = [time_calls(file) for _ in range(options.repetitions)]
        for label in rounds[0]:
            total[label] += min(one[label] for one in rounds)
    for label, seconds in total.items():
        tell(label, f"{seconds / total[BARE]:.3f}")


def time_calls(file: Path) -> dict[str, float]:
    """Return the CPU seconds that each kind of call takes for a document."""
    spent: dict[str, float] = defaultdict(float)
    spent[BARE] = cpu(partial(bare, task(file)))

    def measure(label: str, call: Callable[[], object]) -> None:
        spent[label] += cpu(partial(try_call, call, None))  # some characters have no box

    before = time.process_time()
    document = pypdfium2.PdfDocument(file)
    for index in range(len(document)):
        page = load_page(address_of(document), index)
        text = load_text(page)
        characters = read_characters(text, count_characters(text))
        spent[ENGINE] += time.process_time() - before
        for label, call in iter_calls(page, text, characters):
            measure(label, call)
        before = time.process_time()
        close_text(text)
        close_page(page)
    spent[ENGINE] += time.process_time() - before
    return spent


def iter_calls(page: int, text: int, characters: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield the calls for a loaded page by what they are for."""
    pointers = list(map(pointer_to, list_page_items(page)))
    yield "objects: addresses", partial(list_page_items, page)
    yield "objects: kinds and modes", lambda: list(map(read_mode, pointers))
    yield "objects: clip paths", lambda: list(map(count_clips, map(read_clip, pointers)))
    yield "objects: bounds", lambda: read_bounds(pointers)
    yield "objects: colours", lambda: read_fills(pointers)
    yield "runs of text: boxes", lambda: read_rects(range(count_rects(text, 0, -1)), text)
    places = range(min(len(characters), count_characters(text)))
    starts = [n for n in places if not n or characters[n - 1] == "\n"]
    yield "lines: box of the first character", partial(fill_char_boxes, text, starts)
    blank = [char.isspace() for char in characters]
    ends = [
        n
        for n in places
        if not blank[n] and (n == 0 or blank[n - 1] or blank[n + 1 : n + 2] != [False])
    ]
    yield "words: boxes of first and last characters", partial(fill_char_boxes, text, ends)
    inked = [n for n in places if not blank[n]]
    yield "characters: box of each", partial(fill_char_boxes, text, inked)


if __name__ == "__main__":
    main()
