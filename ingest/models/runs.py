"""Results of a run: one per source, and its totals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from ingest.models.documents import Details
from ingest.models.sources import Outcome


@dataclass(frozen=True, slots=True)
class SourceResult:
    """Result of one source in one run."""

    root: str
    source: str  # name of the source
    outcome: Outcome
    reason: str = ""  # for people; "" if there is nothing to report
    code: str = ""  # a `Code` for the reason; "" for none
    harmless: bool = True  # False: the document needs attention
    pages: int = 0
    empty_pages: int = 0
    chunks: int = 0  # of the source, in the index
    embedded: int = 0  # chunks that were embedded
    deleted: int = 0  # chunks that were removed from the index
    tokens: int = 0  # in the chunks that were embedded
    details: Details = field(default_factory=Details)
    reused: int = 0  # chunks with the vector of an equal text, which cost nothing


@dataclass(frozen=True, slots=True)
class Timeline:
    """Activity of a run in equal intervals, from its start to its end."""

    every: float = 0.0  # length of an interval, seconds
    pages: tuple[int, ...] = ()  # read
    tokens: tuple[int, ...] = ()  # in chunks that were embedded and written
    charged: tuple[int, ...] = ()  # tokens charged to the quota
    waited: tuple[float, ...] = ()  # seconds that embedding waited for the quota
    refused: tuple[int, ...] = ()  # requests that were throttled
    quota: float = 0.0  # tokens per minute, as known at the end; 0 if unknown


@dataclass(frozen=True, slots=True)
class Summary:
    """Totals of one run that has ended."""

    run: str  # id
    ended: str  # UTC, ISO 8601
    seconds: float  # duration
    exit: int  # exit code of the run
    outcomes: dict[str, int]  # number of sources by outcome
    pages: int  # read
    chunks_embedded: int
    chunks_deleted: int
    tokens_embedded: int
    stages: dict[str, dict[str, float]]  # seconds of each stage and wait: "wall", "threads"
    bottleneck: str  # the slowest part and a remedy, in one line; "" for none
    chunks_reused: int = 0  # with the vector of an equal text
    timeline: Timeline = field(default_factory=Timeline)
    index: dict[str, int] = field(default_factory=dict)  # after the run: sources, chunks, size
    other_kinds: dict[str, int] = field(default_factory=dict)  # files not read, by extension
    exclude: tuple[str, ...] = ()  # globs that exclude sources
    excluded: int = 0  # sources in the roots that are excluded
    excluded_kept: int = 0  # excluded sources that are in the index, and stay
    new_problems: int = 0  # documents with a problem that was not reported twelve hours before
    known_problems: int = 0  # all others with one
    retries: int = 0  # of requests to services
    figures: dict[str, int] = field(default_factory=dict)  # of the documents read, by outcome
    reason: str = ""  # for its exit code, in one line; "" of a run of an earlier version


@dataclass(frozen=True, slots=True)
class RunProgress:
    """Progress inside documents that are not finished yet."""

    pages: int = 0  # read
    chunks: int = 0  # written
    tokens: int = 0  # embedded for those chunks


@dataclass(frozen=True, slots=True)
class DeletionsWithheld:
    """Vanished sources of a root that stay in the index, because removing them is not safe."""

    root: str
    sources: int  # number of them
    reason: str
    harmless: bool  # False: more than a run may remove, or the whole root; the run ends with 2


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Files and sources of a root that a run left out."""

    root: str
    kinds: dict[str, int]  # files that are not PDFs, by extension
    excluded: int = 0  # sources in the root that are excluded
    kept: int = 0  # excluded sources that are in the index
    unread: tuple[str, ...] = ()  # names of the first `kinds`
    kept_names: tuple[str, ...] = ()  # names of the first `kept`


RunEvent: TypeAlias = SourceResult | RunProgress | DeletionsWithheld | LeftOut
