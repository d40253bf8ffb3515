"""Similarity of extracted text to the known text, ours against each engine's alone.

The sample PDFs are typeset from `scripts/make_data/texts`, so it is known what they say. Three
shares, the more the better: the words that both have (F1, each as often as it stands), the
characters that both have in the same order (of both texts, by their longest common subsequence),
and the characters of the paragraphs, headings and cells that stand there letter for letter.

Both sides are compared in NFKC, without white space but between words, without bullets, and ours
without the bars of Markdown. What every page repeats above and below its text, page numbers and the
words in a drawing are no part of the known text: whoever gives them loses by it. Ours leaves them
out where they repeat on four pages or more, the engines never do.

Nothing here tells the engines from ours but what they give: the PDFs are read as a run reads them.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from statistics import fmean
from typing import Any

import pypdf
import pypdfium2
from extract import REPETITIONS, bare, opened, ordinary_pdfs, prepared, task
from measure import ROOT, cpu, taken_in_turn, tell, typical
from rapidfuzz.distance import LCSseq

from ingest.extract.document import ExtractOptions, extract

sys.path.insert(0, str(ROOT / "scripts" / "make_data"))

# Each sample with the text it is typeset from, and the language of that. Scans have no text.
SAMPLES = {
    "handbook.pdf": ("handbook.md", "en"),
    "benefits/benefits-plan.pdf": ("benefits-plan.md", "en"),
    "benefits/rota.pdf": ("rota.md", "en"),
    "products/price-list.pdf": ("price-list.md", "en"),
    "products/product-sheet.pdf": ("product-sheet.md", "en"),
    "papers/newsletter.pdf": ("newsletter.md", "en"),
    "papers/two-column.pdf": ("two-column.md", "en"),
    "locked/empty-password.pdf": ("empty-password.md", "en"),
    "languages/arbeitsordnung.pdf": ("arbeitsordnung.md", "de"),
    "languages/règlement intérieur.pdf": ("reglement-interieur.md", "fr"),
    "languages/安全ガイド.pdf": ("safety-guide.ja.md", "ja"),
    "languages/水位計の手引き.pdf": ("old-guide.ja.md", "ja"),
    "languages/دليل-السلامة.pdf": ("safety-guide.ar.md", "ar"),
}
NUMBERED = {"handbook.md", "benefits-plan.md"}  # whose headings are numbered when they are typeset
ENOUGH = 1e-4  # a share that is less by this is no less

Read = Callable[[bytes], str]


@dataclass(frozen=True, slots=True)
class Likeness:
    """Similarity of two texts: shares from 0 to 1."""

    words: float
    order: float
    verbatim: float


def main() -> None:
    """Measure and print."""
    readers: dict[str, Read] = {"ours": ours, "PDFium": by_pdfium, "pypdf": by_pypdf}
    print(f"{'words, order, verbatim':<38}", *(f"{name:>20}" for name in readers))
    languages: dict[str, list[list[Likeness]]] = {}
    for sample, (source, language) in SAMPLES.items():
        data = (ROOT / "data" / sample).read_bytes()
        parts = known(source)
        found = [likeness(parts, read(data), language) for read in readers.values()]
        languages.setdefault(language, []).append(found)
        row(f"{language} {Path(sample).name}", found)
    for language, documents in languages.items():
        row(f"{language}, mean", [mean(column) for column in zip(*documents, strict=True)])
    print()
    speed()


def ours(data: bytes) -> str:
    """As a run reads it; the bars and the rule of a table are how it is written."""
    text = "\n".join(extract(data, ExtractOptions()).pages)
    text = re.sub(r"^\|(?: --- \|)+$", "", text, flags=re.MULTILINE)
    return re.sub(r"^\| | \|$| \| ", "\n", text, flags=re.MULTILINE)


def by_pdfium(data: bytes) -> str:
    """PDFium alone."""
    document = pypdfium2.PdfDocument(data, password="")
    return "\n".join(page.get_textpage().get_text_range() for page in document)


def by_pypdf(data: bytes) -> str:
    """Pypdf alone."""
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(BytesIO(data)).pages)


def known(source: str) -> list[str]:
    """Known text of a sample in reading order: paragraphs, items, cells."""
    from texts import parse
    from typeset import number_headings

    document = parse((ROOT / "scripts" / "make_data" / "texts" / source).read_text())
    numbers = number_headings(document.blocks) if source in NUMBERED else {}
    about = (document.about.get(name, "") for name in ("title", "subtitle", "edition"))
    parts = [part for part in about if part]
    listed = []  # in the contents
    for index, block in enumerate(document.blocks):
        text = f"{numbers.get(index, '')} {block.text}".strip()
        if (block.kind == "heading" and block.level < 3) or block.kind == "front":
            listed.append(text)
        if block.kind != "figure":
            parts += [text, *(cell for line in block.rows for cell in line)]
    if source == "handbook.md":
        first = next(text for text in parts if text.startswith("1 "))
        place = parts.index(first)
        parts[place:place] = ["Contents", *listed]
    return [plain(part.replace("*", "")) for part in parts if part]


def plain(text: str) -> str:
    """A text without what the comparison is not about, and what is not typeset: Arabic vowels.

    Some samples have apostrophes as they are typed, some as they are printed.
    """
    text = unicodedata.normalize("NFKC", re.sub("[\u064b-\u065f]", "", text)).replace("•", " ")
    return " ".join(text.replace("’", "'").split())


def likeness(parts: Sequence[str], text: str, language: str) -> Likeness:
    """Similarity of a text to the known parts."""
    text = plain(text)
    wanted = " ".join(parts)
    solid, tight = wanted.replace(" ", ""), text.replace(" ", "")
    standing = sum(len(part) for part in parts if part.replace(" ", "") in tight)
    split = partial(words, language=language)
    return Likeness(
        words=shared(Counter(split(wanted)), Counter(split(text))),
        order=LCSseq.similarity(solid, tight) * 2 / (len(solid) + len(tight)),
        verbatim=standing / sum(map(len, parts)),
    )


def words(text: str, language: str) -> Iterator[str]:
    """The words of a text; of Japanese, which has no spaces between them, the characters."""
    return iter(text.replace(" ", "") if language == "ja" else text.split())


def shared(some: Counter[str], others: Counter[str]) -> float:
    """F1 of two bags of words."""
    return 2 * (some & others).total() / (some.total() + others.total())


def mean(column: Sequence[Likeness]) -> Likeness:
    """The mean of several."""
    return Likeness(
        fmean(one.words for one in column),
        fmean(one.order for one in column),
        fmean(one.verbatim for one in column),
    )


def row(label: str, found: Sequence[Likeness]) -> None:
    """Print one line, and what is less than the better engine has."""
    first, *engines = found
    names = ("words", "order", "verbatim")
    less = [
        name
        for name in names
        if getattr(first, name) < max(getattr(engine, name) for engine in engines) - ENOUGH
    ]
    shares = (f"{one.words:6.4f} {one.order:6.4f} {one.verbatim:6.4f}" for one in found)
    print(f"{label:<38}", *shares, f"  less: {', '.join(less)}" if less else "", flush=True)


def speed() -> None:
    """CPU seconds per 1,000 ordinary pages, all that a worker does and each engine alone."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        tasks = [task(file) for file in ordinary_pdfs(Path(folder))]
        pages = sum(map(bare, tasks))

        def all_of(read: Callable[[Any], object]) -> float:
            return sum(cpu(partial(read, item)) for item in tasks)

        all_of(prepared)
        mine, engine = taken_in_turn(REPETITIONS, partial(all_of, prepared), partial(all_of, bare))
        (slow,) = taken_in_turn(1, partial(all_of, slowly))
    for label, took, beside in (
        ("ours, split into chunks too", typical(mine), f"{typical(mine) / typical(engine):.2f}"),
        ("PDFium alone", typical(engine), ""),
        ("pypdf alone", typical(slow), ""),
    ):
        target = f"{beside} of PDFium alone, target <= 1.3" if beside else ""
        tell(f"CPU s / 1,000 pages, {label}", f"{took / pages * 1000:.2f}", target)


def slowly(item: Any) -> int:
    """The text of every page by pypdf."""
    with opened(item) as file:
        return len(by_pypdf(file.read()))


if __name__ == "__main__":
    main()
