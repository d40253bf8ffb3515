"""List the figures of a document, without those that repeat over pages: logos, decoration."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ingest.extract.figures.insert import insert_words
from ingest.extract.figures.masks import add_masks
from ingest.extract.figures.shapes import is_large
from ingest.extract.safe_call import try_call
from ingest.models import Figure, GreyImage, PageShares

if TYPE_CHECKING:
    from ingest.extract.document import ExtractOptions
    from ingest.extract.engines.chain import EngineChain

MAX_READ_FIGURES = 500  # of a document, in which words are looked for
MAX_DESCRIBED_FIGURES = 2000  # of a document
MIN_CONFIDENCE = 0.6  # of the words in a figure; a photograph of none may seem to show a few
MIN_LETTERS = 3
MIN_CONTRAST = 12  # of 255 greys, within a figure; with less it is of one colour
MIN_PAGES = 3  # that show the same thing; or all pages of a document, but of one page


def read_in_figures(
    engines: EngineChain, pages: Sequence[str], options: ExtractOptions, scanned: Container[int]
) -> tuple[list[str], tuple[Figure, ...]]:
    """Add the words that OCR reads in figures to the pages that have text of their own.

    Returns the pages, and the figures that may have words, in the order by which OCR outside the
    sandbox numbers them.
    """
    drawn = PageImages(engines)
    found = list_figures(engines, len(pages))[:MAX_READ_FIGURES]
    figures = tuple(iter_shown((one for one in found if not one.has_text), drawn, scanned))
    read = list(pages)
    for number, figure in enumerate(figures):
        result = options.figure_results.get(number)
        if result is None and options.recognise_figure:
            crop = try_call(partial(drawn.crop, figure), None)
            result = options.recognise_figure(crop) if crop is not None else None
        if result and result.confidence >= MIN_CONFIDENCE:
            words = new_lines(result.text, read[figure.page - 1])
            read[figure.page - 1] = insert_words(
                read[figure.page - 1], [replace(figure, words=words)]
            )
    return read, figures


def list_described(engines: EngineChain, count: int, scanned: Container[int]) -> tuple[Figure, ...]:
    """Return the figures of a document for a model to describe, in reading order of the pages."""
    found = list_figures(engines, count)[:MAX_DESCRIBED_FIGURES]
    return tuple(add_masks(engines, list(iter_shown(found, PageImages(engines), scanned))))


def iter_shown(
    figures: Iterable[Figure], drawn: PageImages, scanned: Container[int]
) -> Iterator[Figure]:
    """Yield the figures of typed pages that show something: no tagged icon, nor a plain area."""
    for figure in figures:
        left, top, right, bottom = figure.box
        share = (right - left) * (bottom - top)
        if (
            figure.page not in scanned
            and is_large(*figure.size, share, has_caption=bool(figure.caption))
            and not drawn.is_plain(figure)
        ):
            yield figure


def new_lines(words: str, page: str) -> str:
    """Return the lines that a page's text does not have; "" if there are hardly any."""
    shown = "".join(page.split())
    flat = (" ".join(line.split()) for line in words.splitlines())
    lines = [line for line in flat if line and line.replace(" ", "") not in shown]
    return "\n".join(lines) if sum(map(str.isalnum, "".join(lines))) >= MIN_LETTERS else ""


class PageImages:
    """The image of the last page that a figure was cut out of."""

    def __init__(self, engines: EngineChain) -> None:
        self.engines = engines
        self.page = 0
        self.image: GreyImage | None = None

    def crop(self, figure: Figure) -> GreyImage:
        """Return the image of a figure. Raises any exception of the engine."""
        if figure.page != self.page:
            self.image = self.engines.first().render(figure.page - 1)
            self.page = figure.page
        assert self.image is not None
        return crop_image(self.image, figure.box)

    def is_plain(self, figure: Figure) -> bool:
        """Return whether a picture has one colour only; False if it cannot be drawn."""
        if not figure.is_picture:
            return False
        crop = try_call(partial(self.crop, figure), None)
        return crop is not None and int(crop.max()) - int(crop.min()) < MIN_CONTRAST


def crop_image(image: GreyImage, box: PageShares) -> GreyImage:
    """Cut a part out of the image of a page."""
    height, width = image.shape
    left, top, right, bottom = box
    rows = slice(max(0, int(top * height)), max(0, int(bottom * height)) + 1)
    columns = slice(max(0, int(left * width)), max(0, int(right * width)) + 1)
    return image[rows, columns].copy()


def find_figures(engines: EngineChain) -> list[Figure]:
    """Return the figures of a document, whether or not it has words for them."""
    first = engines.first()
    first.wants_figures = True
    for index in range(len(first)):
        try_call(partial(first.text, index), "")
    drawn = PageImages(engines)
    found = list_figures(engines, len(first))
    return [figure for figure in found if not drawn.is_plain(figure)]


def list_figures(engines: EngineChain, count: int) -> list[Figure]:
    """Return the figures that were found while `count` pages were read."""
    found = [figure for index in range(count) for figure in engines.opened[0].figures(index)]
    return drop_repeated(found, count)


def drop_repeated(figures: Sequence[Figure], pages: int) -> list[Figure]:
    """Return the figures with a caption or words, and those that do not repeat."""
    seen: dict[str, set[int]] = defaultdict(set)
    for figure in figures:
        if figure.identity:
            seen[figure.identity].add(figure.page)
    enough = max(2, min(MIN_PAGES, pages))
    return [
        figure
        for figure in figures
        if figure.caption or figure.words or len(seen[figure.identity]) < enough
    ]
