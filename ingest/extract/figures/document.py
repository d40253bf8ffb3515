"""List the figures of a document, without what repeats over pages: logos, decoration."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from ingest.extract.safe_call import try_call
from ingest.models import Figure

if TYPE_CHECKING:
    from ingest.extract.pdf import EngineChain

MIN_PAGES = 3  # that show the same thing; or all pages of a document, but of one page


def find_figures(engines: EngineChain) -> list[Figure]:
    """Return the figures of a document, whether or not it has words for them."""
    first = engines.first()
    first.wants_figures = True
    for index in range(len(first)):
        try_call(partial(first.text, index), "")
    return list_figures(engines, len(first))


def list_figures(engines: EngineChain, count: int) -> list[Figure]:
    """Return the figures that were found while `count` pages were read."""
    found = [figure for index in range(count) for figure in engines.opened[0].figures(index)]
    return drop_repeated(found, count)


def drop_repeated(figures: Sequence[Figure], pages: int) -> list[Figure]:
    """Return the figures that the document says something of, or that do not repeat."""
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
