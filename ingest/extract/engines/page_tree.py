"""Correct the number of pages of a PDF whose page tree claims too few.

PDFium believes the counts in the tree and finds no page beyond them.
"""

from __future__ import annotations

import io
from typing import Any

from pypdf import PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, NumberObject

from ingest.extract.engines.pypdf import Pypdf
from ingest.extract.limits import MAX_PAGES

MAX_LEVELS = 50


def rewrite_page_tree(data: bytes, password: bytes, counted: int) -> bytes:
    """Return a PDF with the counts of its page tree corrected.

    Returns b"" if no more pages than the `counted` ones can be reached. Raises any exception of
    pypdf.
    """
    reader = Pypdf(data, (), password).reader
    if count_leaves(reader.root_object.get("/Pages"), set(), 0) <= counted:
        return b""
    writer = PdfWriter(clone_from=reader)
    count_leaves(writer.root_object["/Pages"], set(), 0)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def count_leaves(node: Any, seen: set[int], level: int) -> int:
    """Count the pages below a node of a page tree, and set the count of each node."""
    node = node.get_object() if node is not None else None
    if not isinstance(node, DictionaryObject) or id(node) in seen or len(seen) > 2 * MAX_PAGES:
        return 0
    seen.add(id(node))
    if "/Kids" not in node:
        return 1
    kids = node["/Kids"]
    if not isinstance(kids, ArrayObject) or level == MAX_LEVELS:
        return 0
    count = sum(count_leaves(kid, seen, level + 1) for kid in kids)
    node[NameObject("/Count")] = NumberObject(count)
    return count
