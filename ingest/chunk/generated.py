"""The line that marks the text of a chunk as generated. Pure."""

from __future__ import annotations

import re

MARK = re.compile(r"\[[^\[\]\n]{1,200}, generated description\]\n")


def generated_mark(label: str) -> str:
    """Return the line above the description of a figure, which its caption calls `label`."""
    return f"[{label or 'Figure'}, generated description]\n"


def split_mark(text: str) -> tuple[str, str]:
    """Split the text of a chunk into its mark, "" if it is the document's own, and the rest."""
    found = MARK.match(text)
    return (found.group(), text[found.end() :]) if found else ("", text)
