"""Add the masks and palettes of images to the hashes of figures.

PDFium's bytes of an image leave these out, which may hold all that differs: a drawing may be one
colour, seen through a mask. pypdf reads them, and only of documents that have some.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ingest.extract.safe_call import try_call
from ingest.models import Figure

if TYPE_CHECKING:
    from ingest.extract.engines.chain import EngineChain

# In the dictionary of an image, which no object stream can hold; a palette may be in one.
MASK_ENTRY = re.compile(rb"/(?:S?Mask|Decode|Indexed)[\s/\[\d]")
MAX_FORM_LEVELS = 8
MAX_IMAGES = 2000  # of a page
IDENTITY_DIGITS = 32  # of the hash of an image's bytes, in the identity of a figure


def add_masks(engines: EngineChain, figures: Sequence[Figure]) -> list[Figure]:
    """Return figures whose hash covers the masks of their images; without a hash if it cannot."""
    if not figures or not MASK_ENTRY.search(engines.data):
        return list(figures)
    masks: dict[int, dict[str, list[str]] | None] = {}
    added = []
    for figure in figures:
        if figure.is_picture and figure.page not in masks:
            masks[figure.page] = try_call(partial(hash_masks, engines, figure.page), None)
        added.append(add_mask(figure, masks.get(figure.page)) if figure.is_picture else figure)
    return added


def add_mask(figure: Figure, masks: dict[str, list[str]] | None) -> Figure:
    """Return a picture whose hash covers its masks; `masks` are those of its page by image."""
    if masks is None:
        return replace(figure, content="")
    found = sorted(mask for image in masks if image in figure.identity for mask in masks[image])
    if not found or not figure.content:
        return figure
    content = hashlib.sha256("\0".join([figure.content, *found]).encode()).hexdigest()
    return replace(figure, content=content)


def hash_masks(engines: EngineChain, page: int) -> dict[str, list[str]]:
    """Return the hashes of the masks of a page's images, by the hash of the image."""
    masks: dict[str, list[str]] = {}
    resources = engines.pypdf_reader().pages[page - 1].get("/Resources")
    for number, image in enumerate(iter_images(resources, 0)):
        if number == MAX_IMAGES:
            raise ValueError("the page has too many images")
        for part in iter_parts(image):
            text = repr(sorted(map(str, part))) if hasattr(part, "keys") else repr(part)
            data = getattr(part, "_data", b"")
            digest = hashlib.sha256(text.encode(errors="replace") + data).hexdigest()
            masks.setdefault(hash_image(image), []).append(digest)
    return masks


def iter_parts(image: Any) -> Iterator[Any]:
    """Yield the parts that change how an image looks: masks, its range of values, a palette."""
    for name in ("/SMask", "/Mask", "/Decode"):
        if (part := image.get(name)) is not None:
            yield part.get_object()
    colours = image.get("/ColorSpace")
    colours = None if colours is None else colours.get_object()
    if isinstance(colours, list) and colours[0] == "/Indexed":
        yield colours[3].get_object()


def iter_images(resources: Any, level: int) -> Iterator[Any]:
    """Yield the images of a page or form, those in its forms included."""
    if resources is None or level > MAX_FORM_LEVELS:
        return
    drawn = resources.get_object().get("/XObject")
    for item in drawn.get_object().values() if drawn is not None else ():
        found = item.get_object()
        if found.get("/Subtype") == "/Image":
            yield found
        elif found.get("/Subtype") == "/Form":
            yield from iter_images(found.get("/Resources"), level + 1)


def hash_image(image: Any) -> str:
    """Return the hash of an image's bytes, as the identity of a figure has it."""
    return hashlib.sha256(image._data).hexdigest()[:IDENTITY_DIGITS]  # noqa: SLF001 - undecoded
