"""Correct the characters that PDFium reads, one for one, where the page shows something else.

Pages without such characters are not looked at more closely: their text decides.
"""

from __future__ import annotations

import re

from ingest.extract.engines.pdfium_raw import (
    BOX_FIELDS,
    TextHandle,
    char_unicode,
    list_char_edges,
)

UNDECODED = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffd\ue000-\uefff]")
HYPHEN_MARK = re.compile("\ufffe")
SOFT_HYPHEN = re.compile("\xad")
MIN_DRAWN_HEIGHTS = 0.05  # width of a hyphen that is drawn, in heights of its font


def correct_characters(handle: TextHandle, text: str) -> str:
    """Return the characters of a page as it shows them; as many as PDFium reads."""
    if "\ufffe" in text:
        text = correct_unmapped(handle, text)
    if "\xad" in text:
        text = correct_soft_hyphens(handle, text)
    return text


def correct_unmapped(handle: TextHandle, text: str) -> str:
    """Replace characters that a font maps to nothing by U+FFFD: PDFium reads them as U+FFFE."""
    return HYPHEN_MARK.sub(
        lambda match: match.group() if char_unicode(handle, match.start()) else "\ufffd", text
    )


def has_undecoded(handle: TextHandle, text: str, count: int) -> bool:
    """Return whether some of a page's `count` characters are unknown to PDFium."""
    if len(text) != count or UNDECODED.search(text):
        return True
    # U+FFFE is a hyphen at a line end, or a character that is mapped to nothing.
    return "\ufffe" in text and not all(
        char_unicode(handle, match.start()) for match in HYPHEN_MARK.finditer(text)
    )


def correct_soft_hyphens(handle: TextHandle, text: str) -> str:
    """Replace the soft hyphens that are drawn by hyphens.

    Many fonts name one glyph as both, so that a minus or a hyphen is read as U+00AD.
    """
    places = [match.start() for match in SOFT_HYPHEN.finditer(text)]
    boxes = list_char_edges(handle, places)
    chars = list(text)
    for place, left, top, right, bottom in zip(
        places, *(boxes[field::BOX_FIELDS] for field in range(BOX_FIELDS)), strict=True
    ):
        if right - left > MIN_DRAWN_HEIGHTS * (top - bottom):
            chars[place] = "-"
    return "".join(chars)
