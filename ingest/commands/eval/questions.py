"""Questions with known answers, read from JSON lines.

    {"question": "...", "source": "folder/file.pdf", "pages": [3], "passage": "..."}
    {"question": "...", "truth": "... [file.pdf#page=3]"}

The second form is the ground truth of azure-search-openai-demo. An invalid line is an error and
never skipped: a score over fewer questions would be misleading.
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
from ingest.index.query import clean_query
from ingest.models import DOCUMENT_SUFFIXES

MAX_LINE_CHARS = 100_000
MAX_QUESTIONS = 100_000

SUFFIX_PATTERN = "|".join(map(re.escape, DOCUMENT_SUFFIXES))
CITATION_PATTERN = re.compile(
    rf"\[([^\[\]]+?(?:{SUFFIX_PATTERN}))(?:#page=(\d+))?\]", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class AnswerLocation:
    """Location of an answer."""

    source: str  # name in its root, or its last components
    pages: tuple[int, ...] = ()  # any of these, from 1; () for any page

    def covers_pages(self, source: str, first: int, last: int) -> bool:
        """Return True if some page from `first` to `last` of a source is one of these."""
        return self.matches_source(source) and (
            not self.pages or any(first <= page <= last for page in self.pages)
        )

    def matches_source(self, source: str) -> bool:
        """Return True if the location names this source."""
        return f"/{source}".endswith(f"/{self.source}")


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and the locations of its answer."""

    text: str
    places: tuple[AnswerLocation, ...]  # each one answers it
    passage: str = ""  # verbatim text that answers it; "": unknown


def load_questions(path: Path) -> list[Question]:
    """Load questions, one JSON object per line. Raises ConfigError for any other line."""
    found: list[Question] = []
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_CHARS + 1), ""), 1):
                if len(line) > MAX_LINE_CHARS:
                    limit = f"a line has at most {MAX_LINE_CHARS:,} characters"
                    raise ConfigError(f"{path}, line {number}: {limit}: shorten it")
                if line.strip():
                    found.append(parse_question(line, f"{path}, line {number}"))
                if len(found) > MAX_QUESTIONS:
                    limit = f"more than {MAX_QUESTIONS:,} questions"
                    raise ConfigError(f"questions {path}: {limit}: split the file")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError(f"questions {path}: cannot be read: {reason}") from None
    if not found:
        raise ConfigError(f"questions {path}: the file has none; docs/eval.md shows their form")
    return found


def parse_question(line: str, location: str) -> Question:
    """Parse one line. Raises ConfigError, with its location in the file."""
    try:
        parsed: Any = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"{location}: not JSON: {error}") from None
    if not isinstance(parsed, dict) or not isinstance(text := parsed.get("question"), str):
        raise ConfigError(f'{location}: has no "question"; docs/eval.md shows its form')
    passage = parsed.get("passage") or ""
    places = tuple(
        parse_citations(parsed["truth"])
        if isinstance(parsed.get("truth"), str)
        else parse_source(parsed)
    )
    if not text.strip() or not places or not isinstance(passage, str):
        raise ConfigError(
            f'{location}: needs a "question", and a "source" with "pages" that are numbers, '
            'or a "truth" that cites [file.pdf#page=3]'
        )
    try:
        return Question(clean_query(text), places, passage.strip())
    except ConfigError as error:
        raise ConfigError(f"{location}: {error}") from None


def parse_source(line: dict[str, Any]) -> Iterator[AnswerLocation]:
    """Parse "source" and "pages"; yields nothing if they are missing or invalid."""
    source, pages = line.get("source"), line.get("pages", [])
    is_valid = isinstance(pages, list) and all(type(page) is int and page > 0 for page in pages)
    if isinstance(source, str) and source.strip() and is_valid:
        yield AnswerLocation(normalize("NFC", source.strip()), tuple(pages))


def parse_citations(truth: str) -> Iterator[AnswerLocation]:
    """Parse the citations in an answer."""
    pages: dict[str, list[int]] = {}
    for source, page in CITATION_PATTERN.findall(truth):
        pages.setdefault(normalize("NFC", source.strip()), []).extend([int(page)] if page else [])
    return (AnswerLocation(source, tuple(numbers)) for source, numbers in pages.items())
