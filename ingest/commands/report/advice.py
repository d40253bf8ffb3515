"""What each code means and what to do about it, in the words of docs/outcomes.md."""

from __future__ import annotations

from typing import NamedTuple

from ingest.models import Code, Outcome

UNFINISHED = "unfinished"  # the one state that has no code


class Advice(NamedTuple):
    """One thing that may have happened, and what to do then."""

    happened: str
    remedy: str
    outcome: str = ""  # the one that it is about; "" for any


OCR_REMEDY = "if its pages are pictures, turn on OCR"
ADVICE_BY_CODE: dict[str, tuple[Advice, ...]] = {
    Code.NO_TEXT: (
        Advice("no page has text", OCR_REMEDY, Outcome.EMPTY),
        Advice(
            "an XFA form that nobody filled in, which only Adobe's programs can show",
            "have them print it to a PDF",
            Outcome.SKIPPED,
        ),
    ),
    Code.SCANNED: (
        Advice("some pages are pictures; the text of the others is in the index", OCR_REMEDY),
    ),
    Code.DOUBTFUL: (
        Advice(
            "OCR read some pages, but not with confidence", "look at those pages; scan them again"
        ),
    ),
    Code.PAGES_MISSING: (
        Advice(
            "some pages hung their reader, or none could read them; the others are in the index",
            "print those pages to a new PDF; or more time: INGEST_PAGE_SECONDS, with "
            "--retry-failed once it was tried three times",
        ),
    ),
    Code.ENCRYPTED: (
        Advice(
            "a password is needed, or none of those there are opens it",
            "name a file of passwords with --passwords",
        ),
        Advice("it is encrypted for the holders of certificates", "ask for a plain copy"),
    ),
    Code.NOT_A_PDF: (Advice("empty, or another kind of file", "rename or remove it"),),
    Code.TOO_LARGE: (
        Advice(
            "more bytes than half of INGEST_DOCUMENT_MEGABYTES, over 100,000 pages, or over 50 "
            "million characters",
            "split it; or, for its bytes, that setting",
        ),
    ),
    Code.CHANGED: (Advice("somebody was writing to it", "nothing: the next run reads it"),),
    Code.VANISHED: (Advice("it was gone before it could be read", "nothing"),),
    Code.ARCHIVED: (Advice("the blob's tier is Archive", "rehydrate it"),),
    Code.IGNORED: (
        Advice(
            "a hidden file or folder; a dead link, no regular file, or a second file of the same "
            "name (3)",
            "as the reason says",
        ),
    ),
    Code.UNREADABLE: (
        Advice("the file, its folder or the blob could not be read", "its permissions, its disk"),
    ),
    Code.DAMAGED: (
        Advice(
            "no PDF reader makes sense of it, or of any of its pages",
            "get it again from where it is from",
        ),
    ),
    Code.TOO_SLOW: (Advice("no page could be read in time", "INGEST_DOCUMENT_SECONDS"),),
    Code.TOO_MUCH_MEMORY: (
        Advice("it needs more memory than one document may take", "INGEST_DOCUMENT_MEGABYTES"),
    ),
    Code.CRASHED: (
        Advice(
            "it ended its reader with both engines, or three runs ended while it was read",
            "print it to a new PDF",
        ),
    ),
    Code.REFUSED: (
        Advice("the model or the index would not take one of its chunks", "as the reason says"),
    ),
    UNFINISHED: (Advice("a run is in it, or ended in it", "run again: it goes on"),),
}
