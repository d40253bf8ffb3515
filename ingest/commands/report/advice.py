"""Meaning and remedy of each code, in the words of docs/outcomes.md."""

from __future__ import annotations

from typing import NamedTuple

from ingest.models import Code, Outcome

UNFINISHED = "unfinished"  # the only state without a code


class Advice(NamedTuple):
    """One problem that a code stands for, and its remedy."""

    problem: str
    remedy: str
    outcome: str = ""  # it applies to this outcome only; "" for any
    reason: str = ""  # and to reasons that contain this


OCR_REMEDY = "if its pages are scans, turn on OCR"
ADVICE_BY_CODE: dict[str, tuple[Advice, ...]] = {
    Code.NO_TEXT: (
        Advice("no page has text", OCR_REMEDY, Outcome.EMPTY),
        Advice(
            "an XFA form without data, which only Adobe software can display",
            "print it to a PDF with Adobe software",
            Outcome.SKIPPED,
        ),
    ),
    Code.SCANNED: (
        Advice("some pages are scans; the text of the others is in the index", OCR_REMEDY),
    ),
    Code.DOUBTFUL: (
        Advice(
            "the text of some pages is probably not what they show: OCR read it without "
            "confidence, or the file's fonts encode other letters",
            "check those pages; scan them again, or turn on OCR",
        ),
    ),
    Code.PAGES_MISSING: (
        Advice(
            "some pages timed out or could not be read; the others are in the index",
            "print those pages to a new PDF; or allow more time with INGEST_PAGE_SECONDS, and "
            "--retry-failed once it was tried three times",
        ),
    ),
    Code.UNDECODED: (
        Advice(
            "some pages show text that no PDF engine decodes; the text of the others is in the "
            "index",
            "turn on OCR; or print those pages to a new PDF",
        ),
    ),
    Code.HIDDEN_TEXT: (
        Advice(
            "some pages have text that a reader cannot see: in the colour of its background, "
            "covered, invisible, or tiny. It is in the index",
            "check those pages: hidden text may be meant to instruct a language model",
        ),
    ),
    Code.FIGURES: (
        Advice(
            "its text is in the index, and some figures are not described yet: the budget or the "
            "run ended, or the model failed on them",
            "nothing: the next run asks for these figures alone",
        ),
    ),
    Code.ENCRYPTED: (
        Advice(
            "it needs a password, and none of those given opens it",
            "name a file of passwords with --passwords",
            reason="needs a password",
        ),
        Advice(
            "it is encrypted for certificate holders",
            "ask for a copy without encryption",
            reason="certificate",
        ),
    ),
    Code.NOT_A_PDF: (Advice("an empty file, or not a PDF", "rename or remove it"),),
    Code.TOO_LARGE: (
        Advice(
            "larger than half of INGEST_DOCUMENT_MEGABYTES, over 100,000 pages, or over 50 "
            "million characters",
            "split it; or, for its size, raise that setting",
        ),
    ),
    Code.CHANGED: (Advice("it was being written to", "nothing: the next run reads it"),),
    Code.VANISHED: (Advice("it was deleted before it could be read", "nothing"),),
    Code.ARCHIVED: (Advice("the blob's tier is Archive", "rehydrate it"),),
    Code.IGNORED: (
        Advice(
            "a hidden file or folder; a dead link, a special file, or a second file or folder "
            "whose name is equal in Unicode NFC: the one spelt in NFC is read; "
            "a blob named like an attachment, a.pdf//b.pdf (3)",
            "as the reason says",
        ),
    ),
    Code.PERMISSIONS_UNKNOWN: (
        Advice("nothing says who may read it; its chunks are deleted", "add its permissions"),
    ),
    Code.UNREADABLE: (
        Advice(
            "the file, its folder or the blob could not be read (a blob: while others could)",
            "check its permissions and its disk",
        ),
    ),
    Code.DAMAGED: (
        Advice(
            "no PDF engine can open it, or read any of its pages",
            "get a new copy from its origin",
        ),
    ),
    Code.TOO_SLOW: (Advice("no page could be read in time", "raise INGEST_DOCUMENT_SECONDS"),),
    Code.TOO_MUCH_MEMORY: (
        Advice("it needs more memory than allowed", "raise INGEST_DOCUMENT_MEGABYTES"),
    ),
    Code.CRASHED: (
        Advice(
            "it crashed both PDF engines, or three runs ended while reading it",
            "print it to a new PDF",
        ),
    ),
    Code.REFUSED: (
        Advice(
            "the model or the index rejected one of its chunks, or the model fails on it, or "
            "denies it, alone",
            "as the reason says",
        ),
    ),
    UNFINISHED: (Advice("a run was interrupted while writing it", "run again: it resumes"),),
}
