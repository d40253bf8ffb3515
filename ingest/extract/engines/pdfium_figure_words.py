"""Find the figures of a page, and the words that belong to each.

Native code: only run it in a sandbox.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ingest.extract.engines.pdfium_alternatives import TaggedFigure
from ingest.extract.engines.pdfium_captions import CONTROL, Lines, Turn, has_size
from ingest.extract.engines.pdfium_content import ContentHasher
from ingest.extract.engines.pdfium_figures import PageFigures
from ingest.extract.engines.pdfium_objects import (
    Item,
    ObjectList,
    PageObjects,
    iter_boxes,
    leave_out,
    read_edges,
    transform_box,
)
from ingest.extract.engines.pdfium_raw import (
    PageHandle,
    close_text,
    count_characters,
    load_text,
    read_characters,
    set_active,
)
from ingest.extract.engines.pdfium_shapes import read_drawn_page
from ingest.extract.engines.pdfium_structure import content_of
from ingest.extract.figures.captions import Caption, assign_captions
from ingest.extract.figures.find import find_figures
from ingest.extract.figures.lines import find_body
from ingest.extract.figures.shapes import Box, DrawnPage, enclose, grow, has_middle, share_inside
from ingest.models import Figure, PageShares

MAX_FIGURES = 50  # of a page
MAX_BODY_LINES = 2  # of paragraphs in a drawing whose text is taken as its own
MIN_SAME_SHARE = 0.5  # of a tagged figure or a found one, that is in the other
MAX_CAPTION_CHARS = 500
INVISIBLE = 3  # the render mode of a layer of OCR


@dataclass(slots=True)
class Seen:
    """A figure of the page that is being read."""

    box: Box
    is_picture: bool
    identity: str
    words: list[str] = field(default_factory=list)
    caption: Caption | None = None
    texts: list[Item] = field(default_factory=list)  # drawn inside of it, and taken as its own
    has_text: bool = False  # drawn where it is, visible or not
    content: str = ""  # hash of its objects


def read_figures(found: PageFigures) -> tuple[list[Figure], list[Item]]:
    """Return the figures of a page, and the objects of the text that is theirs."""
    page, objects, turn = found.page, found.objects, found.turn
    shown = read_drawn_page(page.handle, objects, found.repeated)
    captions = [caption.box for caption in found.captions]
    seen = [
        Seen(one.box, one.is_picture, one.identity)
        for one in find_figures(shown, captions)[:MAX_FIGURES]
    ]
    for n, caption in assign_captions(found.captions, [one.box for one in seen]).items():
        seen[n].caption = caption
    add_alternatives(seen, found.tagged, objects, turn)
    if found.repeated is not None:
        note_texts(seen, objects, turn)
        hasher = ContentHasher(objects, turn, page.text)
        for one in seen:
            one.content = hasher.hash_figure(one.box)
    taken = take_words(seen, page.handle, objects, shown, turn)
    lines = Lines(page.text, page.drawn, turn)
    if found.repeated is None:  # only those that the document says something of are wanted
        seen = [one for one in seen if one.caption or one.words]
    return [as_figure(one, page.number, turn, lines) for one in seen], taken


def as_figure(one: Seen, number: int, turn: Turn, lines: Lines) -> Figure:
    """Return a figure with the place of its words in the page's text."""
    left, bottom, right, top = one.box
    width, height = max(1.0, turn.width), max(1.0, turn.height)
    edges = left / width, 1 - top / height, right / width, 1 - bottom / height
    # A label may reach beyond its page.
    shares: PageShares = tuple(min(1.0, max(0.0, edge)) for edge in edges)  # type: ignore[assignment]
    words = CONTROL.sub("", "\n".join(filter(None, one.words)))
    whole = enclose([one.box, one.caption.box]) if one.caption else one.box
    return Figure(
        page=number,
        box=shares,
        caption=one.caption.text[:MAX_CAPTION_CHARS] if one.caption else "",
        words=words,
        above=lines.find_next(whole, above=True),
        below=lines.find_next(whole, above=False),
        identity=one.identity,
        is_picture=one.is_picture,
        has_text=one.has_text,
        content=one.content,
        size=(max(0.0, right - left), max(0.0, top - bottom)),
    )


def add_alternatives(
    seen: list[Seen], tagged: Sequence[TaggedFigure], objects: PageObjects, turn: Turn
) -> None:
    """Add alternative texts to the figures, and tagged figures that were not found."""
    boxes = read_content_boxes(objects, turn) if tagged else {}
    for one in tagged:
        parts = [box for content in one.contents for box in boxes.get(content, ())]
        box = enclose(parts) if parts else (0.0, 0.0, turn.width, 0.0)
        same = [
            other
            for other in seen
            if share_inside(box, other.box) >= MIN_SAME_SHARE
            or share_inside(other.box, box) >= MIN_SAME_SHARE
        ]
        if not same:
            seen.append(Seen(box, is_picture=True, identity=""))
        (same or seen[-1:])[0].words.append(one.words)


def note_texts(seen: Sequence[Seen], objects: PageObjects, turn: Turn) -> None:
    """Note which figures have text at their place, a text layer by OCR included."""
    boxes = (box for one in objects.lists for box in iter_boxes(one.text_edges))
    shown = [turn(box) for box in boxes if has_size(box)]
    for one in seen:
        one.has_text = any(has_middle(one.box, box) for box in shown)


def take_words(
    seen: Sequence[Seen], page: PageHandle, objects: PageObjects, shown: DrawnPage, turn: Turn
) -> list[Item]:
    """Give the drawings that the document says something of their text; return its objects."""
    own = [one for one in seen if one.caption or one.words]
    find_texts(own, objects, shown, turn)
    every = [item for one in objects.lists for item in one.texts]
    for one in own:
        if one.texts:
            one.words.append(read_alone(page, one.texts, every, objects.unseen))
    return [item for one in own for item in one.texts]


def find_texts(seen: Sequence[Seen], objects: PageObjects, shown: DrawnPage, turn: Turn) -> None:
    """Note the texts inside each drawing, unless it has paragraphs inside."""
    drawings = [one for one in seen if not one.is_picture]
    if not drawings:
        return
    body = [shown.lines[n] for n in find_body(shown.lines)]
    drawings = [
        one for one in drawings if sum(has_middle(one.box, line) for line in body) <= MAX_BODY_LINES
    ]
    reaches = [(one, grow(one.box, 1)) for one in drawings]
    unseen = set(objects.unseen)
    for item, box in iter_texts(objects):
        if item in unseen or not has_size(box):
            continue
        box = turn(box)  # noqa: PLW2901 - the box as shown
        for one, reach in reaches:
            if has_middle(reach, box) and not (one.caption and has_middle(one.caption.box, box)):
                one.texts.append(item)
                break


def iter_texts(objects: PageObjects) -> Iterator[tuple[Item, Box]]:
    """Yield the visible texts of a page and their boxes."""
    for one in objects.lists:
        for item, mode, box in zip(
            one.texts, one.text_modes, iter_boxes(one.text_edges), strict=True
        ):
            if mode != INVISIBLE:
                yield item, box


def read_alone(
    page: PageHandle, texts: Sequence[Item], every: Sequence[Item], unseen: Sequence[Item]
) -> str:
    """Return some texts of a page, one line for each row."""
    kept = set(texts)
    others = [item for item in every if item not in kept]
    leave_out(others)
    handle = load_text(page)
    try:
        words = read_characters(handle, count_characters(handle)) if handle else ""
    finally:
        if handle:
            close_text(handle)
        hidden = set(unseen)
        for item in others:
            if item not in hidden:
                set_active(item, 1)
    lines = (" ".join(line.split()) for line in words.splitlines())
    return "\n".join(filter(None, lines))


def read_content_boxes(objects: PageObjects, turn: Turn) -> dict[int, list[Box]]:
    """Return the boxes of the objects in each marked content of a page, by its number."""
    own: ObjectList = objects.lists[-1]  # forms come before the page itself
    found: dict[int, list[Box]] = {}
    boxes = iter_boxes(read_edges(own.items))
    for content, box in zip(map(content_of, own.items), boxes, strict=True):
        if content >= 0 and has_size(box):
            shown = transform_box(own.matrix, box) if own.matrix else box
            found.setdefault(content, []).append(turn(shown))
    return found
