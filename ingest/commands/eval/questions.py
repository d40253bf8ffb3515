"""Questions with known answers, read from JSON lines.

    {"question": "...", "source": "folder/file.pdf", "pages": [3], "passage": "..."}
    {"question": "...", "truth": "... [file.pdf#page=3]"}

The second form is the ground truth of azure-search-openai-demo. A line that cannot be meant is an
error and never left out: a score over fewer questions than were asked would be a lie.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import normalize

from ingest.errors import ConfigError

CITATION_PATTERN = re.compile(r"\[([^\[\]]+?\.pdf)(?:#page=(\d+))?\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AnswerLocation:
    """Where an answer stands."""

    source: str  # its name in its root, or the end of that, from a "/" on
    pages: tuple[int, ...] = ()  # any of these, counted as a viewer does; () for any page

    def covers_pages(self, source: str, first: int, last: int) -> bool:
        """Whether the pages from the first to the last of a source are here, some of them."""
        return self.matches_source(source) and (
            not self.pages or any(first <= page <= last for page in self.pages)
        )

    def matches_source(self, source: str) -> bool:
        """Whether this is the source."""
        return f"/{source}".endswith(f"/{self.source}")


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody asks, and where the answer stands."""

    text: str
    places: tuple[AnswerLocation, ...]  # each of them answers it
    passage: str = ""  # the words that answer it, as they stand there; "" where it is not known


def load_questions(path: Path) -> list[Question]:
    """The questions of a file, one JSON object a line. Raises ConfigError for any other line."""
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError(f"questions {path}: cannot be read: {reason}") from None
    found = [
        parse_question(line, f"{path}, line {number}")
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    if not found:
        raise ConfigError(f"questions {path}: there are none in it; docs/eval.md shows their form")
    return found


def parse_question(line: str, location: str) -> Question:
    """One line. Raises ConfigError, which says `where` it stands."""
    try:
        said: Any = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"{location}: is no JSON: {error}") from None
    if not isinstance(said, dict) or not isinstance(text := said.get("question"), str):
        raise ConfigError(f'{location}: has no "question"; docs/eval.md shows its form')
    passage = said.get("passage") or ""
    places = tuple(
        parse_citations(said["truth"]) if isinstance(said.get("truth"), str) else parse_source(said)
    )
    if not text.strip() or not places or not isinstance(passage, str):
        raise ConfigError(
            f'{location}: needs a "question", and a "source" with "pages" that are numbers, '
            'or a "truth" that cites [file.pdf#page=3]'
        )
    return Question(text.strip(), places, passage.strip())


def parse_source(said: dict[str, Any]) -> Iterator[AnswerLocation]:
    """The place that a line of ours names; none if it is not one."""
    source, pages = said.get("source"), said.get("pages", [])
    counts = isinstance(pages, list) and all(type(page) is int and page > 0 for page in pages)
    if isinstance(source, str) and source.strip() and counts:
        yield AnswerLocation(normalize("NFC", source.strip()), tuple(pages))


def parse_citations(truth: str) -> Iterator[AnswerLocation]:
    """The places that an answer cites."""
    pages: dict[str, list[int]] = {}
    for source, page in CITATION_PATTERN.findall(truth):
        pages.setdefault(normalize("NFC", source.strip()), []).extend([int(page)] if page else [])
    return (AnswerLocation(source, tuple(numbers)) for source, numbers in pages.items())
