"""Line that marks the text of a chunk as generated. Pure."""

from __future__ import annotations

import re

MARK_END = ", AI-generated]\n"
MARK = re.compile(rf"\[[^\[\]\n]{{1,200}}{re.escape(MARK_END)}")


def generated_mark(label: str) -> str:
    """Return the line above the description of a figure, which its caption calls `label`."""
    return f"[{label or 'Figure'}{MARK_END}"


def split_mark(text: str) -> tuple[str, str]:
    """Split the text of a chunk into its mark, "" if it is the document's own, and the rest."""
    found = MARK.match(text)
    return (found.group(), text[found.end() :]) if found else ("", text)


def words_to_find(text: str) -> str:
    """Return the text for keyword search: of its mark, the name of the figure only."""
    mark, rest = split_mark(text)
    return f"{mark[1:].removesuffix(MARK_END)}\n{rest}" if mark else text
