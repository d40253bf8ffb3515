"""Transaction on one document: its write-ahead record, its chunks, and its final record. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby

from ingest.errors import DocumentError
from ingest.models import (
    ATTACHMENT_SEPARATOR,
    Chunk,
    Code,
    Details,
    FigureOutcome,
    IndexEntry,
    Outcome,
    PreparedDocument,
    Recipe,
    Record,
    Refusal,
    Source,
    SourceResult,
    Vectors,
    hash_text,
)
from ingest.pipeline.diff import is_unmodified, was_interrupted
from ingest.pipeline.results import first_run_with_problem
from ingest.runtime.formatting import pluralize

OCR_HINT = "--ocr local reads them"  # remedy for pages that are images
NO_TEXT_REASON = "no text on any page"
SCANNED_REASON = f"its pages are scans without text; {OCR_HINT}"
OCR_EMPTY_REASON = "its pages are scans, and no text was recognised on them"
HIDDEN_HINT = "which is in the index: in the colour of its background, covered, or tiny"
MAX_PAGE_RANGES = 5  # in a message


@dataclass(slots=True, eq=False)  # compared by identity
class Transaction:
    """A document being written to the index, and the progress of that."""

    source: Source
    url: str  # to open it in a browser
    record: Record  # with chunk ids, as before the transaction
    document: PreparedDocument
    existing_ids: frozenset[str]  # ids of its chunks that the index already has
    vector_space: str = ""  # of the recipe
    acknowledged_count: int = 0  # chunks
    embedded_count: int = 0  # chunks embedded and uploaded
    reused_count: int = 0  # chunks uploaded with vectors of equal texts
    tokens: int = 0  # of the embedded chunks
    refusals: list[Refusal] = field(default_factory=list)
    removed_sources: list[SourceResult] = field(default_factory=list)  # former attachments

    @property
    def new_chunks(self) -> Iterator[Chunk]:
        """The chunks that must be embedded."""
        return (chunk for chunk in self.document.chunks if chunk.id not in self.existing_ids)

    @property
    def moved_entries(self) -> list[IndexEntry]:
        """The chunks that keep their vectors; their position in the document may have changed."""
        return [
            self.entry(chunk) for chunk in self.document.chunks if chunk.id in self.existing_ids
        ]

    @property
    def is_complete(self) -> bool:
        """True once the index has answered for every new chunk."""
        return self.embedded_count + self.reused_count == len(self.document.chunks) - len(
            self.existing_ids
        )

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(chunk.id for chunk in self.document.chunks)

    @property
    def surplus_ids(self) -> set[str]:
        """Ids of chunks that may be in the index and no longer belong to the document."""
        return possible_ids(self.record).difference(self.ids)

    @property
    def detached_names(self) -> list[str]:
        """Names of attachments that may be in the index and no longer belong to the document."""
        gone = set(self.record.details.attachments).difference(self.document.details.attachments)
        return [f"{self.source.name}{ATTACHMENT_SEPARATOR}{name}" for name in sorted(gone)]

    @property
    def outcome(self) -> Outcome:
        if not self.document.chunks:
            return Outcome.EMPTY
        return Outcome.CHANGED if self.record.committed else Outcome.NEW

    def count_answer(self, chunk: Chunk, refusal: Refusal | None, *, paid: bool = True) -> None:
        """Count the answer to a new chunk. `paid` is False if its vector was reused."""
        if paid:
            self.embedded_count += 1
            self.tokens += chunk.tokens
        else:
            self.reused_count += 1
        if refusal:
            self.refusals.append(refusal)
        else:
            self.acknowledged_count += 1

    def entry(self, chunk: Chunk, vector: Vectors | None = None) -> IndexEntry:
        made = self.document
        return IndexEntry(
            self.source,
            self.url,
            made.fingerprint,
            made.title,
            chunk,
            vector,
            made.details,
            self.text_hash(chunk),
        )

    def text_hash(self, chunk: Chunk) -> str:
        """Hash the text to embed of a chunk. Not in the sandbox, which may lie about it."""
        return hash_text(chunk.text_to_embed, self.vector_space)

    def intent(self, run: str) -> Record:
        """Return the write-ahead record: it names every chunk that may exist from now on.

        Without a fingerprint and a modification time, no source matches it.
        """
        record = self.record
        attachments = record.details.attachments + self.document.details.attachments
        images = record.details.images + self.document.details.images
        return replace(
            record,
            pending=tuple(dict.fromkeys(record.pending + self.ids)),
            details=replace(
                record.details,
                attachments=tuple(dict.fromkeys(attachments)),
                images=tuple(dict.fromkeys(images)),
            ),
            fingerprint="",
            modified="",
            run=run,
        )

    def commit(self, run: str) -> Record:
        """Return the final record, to save once the index has acknowledged every chunk."""
        source, document = self.source, self.document
        reason, code = describe_missing(document)
        is_partial = bool(document.details.needs_attention)
        attempts = count_attempts(self.record, source, document.fingerprint)
        return Record(
            root=source.root,
            source=source.name,
            fingerprint=document.fingerprint,
            size=source.size,
            modified=reliable_modified(source),
            pages=document.pages,
            empty_pages=document.empty_pages,
            tokens=sum(chunk.tokens for chunk in document.chunks),
            outcome=self.outcome,
            error=reason,
            code=code,
            attempts=attempts if is_partial else 0,
            committed=self.ids,
            chunks=len(self.ids),
            settled=utc_timestamp(),
            run=run,
            details=details_with_first_run(self, run),
        )


def possible_ids(record: Record) -> set[str]:
    """Return the ids of all chunks of a source that the index may have."""
    return {*record.committed, *record.pending}


def refreshed_record(record: Record, source: Source) -> Record:
    """Return the record of a source whose bytes have not changed."""
    return replace(record, size=source.size, modified=reliable_modified(source))


def failure_record(
    record: Record, source: Source, error: DocumentError, recipe: Recipe, run: str
) -> Record:
    """Return the record of a source that failed. Its chunks in the index stay."""
    return replace(
        record,
        fingerprint=recipe.digest,
        size=source.size,
        modified=reliable_modified(source),
        outcome=error.outcome,
        error=str(error),
        code=error.code,
        attempts=count_attempts(record, source, recipe.digest),
        settled=utc_timestamp(),
        run=run,
        details=replace(
            record.details, since=first_run_with_problem(record, source, error.code, run)
        ),
    )


def details_with_first_run(transaction: Transaction, run: str) -> Details:
    """Return the details of a document, with the first run that reported that parts are missing."""
    if not transaction.document.details.needs_attention:
        return transaction.document.details
    record, source = transaction.record, transaction.source
    _, code = describe_missing(transaction.document)
    first = first_run_with_problem(record, source, code, run)
    return replace(transaction.document.details, since=first)


def count_attempts(record: Record, source: Source, recipe: str) -> int:
    """Return how often in a row a source has failed, including this time; crashes not included."""
    is_same = is_unmodified(source, record, recipe) and not was_interrupted(record)
    return record.attempts + 1 if is_same else 1


def describe_missing(document: PreparedDocument) -> tuple[str, str]:
    """(reason, code) for what is missing from the index; ("", "") if complete."""
    details = document.details

    def name_pages(pages: Sequence[int]) -> str:
        return f"{format_page_numbers(pages)} of {document.pages:,} pages"

    rest = "; the others are in the index" if document.chunks else ""
    if details.missing:
        reason = f"{name_pages(details.missing)} could not be read{rest}"
        return reason, Code.PAGES_MISSING
    if details.undecoded:
        reason = "text that no PDF engine decodes"
        remedy = "and OCR did not recognise it" if details.ocr else OCR_HINT
        return f"{name_pages(details.undecoded)}: {reason}; {remedy}", Code.UNDECODED
    if details.hidden:
        reason = f"text that a reader cannot see, {HIDDEN_HINT}"
        return f"{name_pages(details.hidden)}: {reason}", Code.HIDDEN_TEXT
    if details.undescribed:
        return describe_figures_left(document), Code.FIGURES
    if not document.chunks:
        reason = OCR_EMPTY_REASON if details.ocr else SCANNED_REASON
        return reason if details.scanned else NO_TEXT_REASON, Code.NO_TEXT
    scans = sorted({*details.scanned}.difference(details.doubtful))
    if scans and not details.ocr:
        reason = f"scans without text; {OCR_HINT}"
        return f"{name_pages(scans)}: {reason}", Code.SCANNED
    if details.doubtful:
        reason = "text that is probably not what the page shows"
        return f"{name_pages(details.doubtful)}: {reason}", Code.DOUBTFUL
    return "", ""


def describe_figures_left(document: PreparedDocument) -> str:
    """Describe which figures are still to be described, and why."""
    failed = [one for one in document.described if one.outcome is FigureOutcome.FAILED]
    pages = sorted({one.figure.page for one in failed})
    count = f"{len(failed):,} of {pluralize(len(document.described), 'figure')}"
    why = next((one.reason for one in failed if one.reason), "")
    return f"{count} not described ({format_page_numbers(pages)}): {why}; the next run tries again"


def format_page_numbers(pages: Sequence[int]) -> str:
    """Format page numbers: "page 3", "pages 1, 4-9"."""
    runs = [
        [page for _, page in run] for _, run in groupby(enumerate(pages), lambda p: p[1] - p[0])
    ]
    parts = [f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]
    if len(parts) > MAX_PAGE_RANGES:
        parts = [*parts[:MAX_PAGE_RANGES], "..."]
    return ("page " if len(pages) == 1 else "pages ") + ", ".join(parts)


def indexed_result(transaction: Transaction, run: str = "") -> SourceResult:
    """Return the result of an indexed document. A dry run has no run id."""
    made = transaction.document
    reason, code = describe_missing(made)
    return SourceResult(
        root=transaction.source.root,
        source=transaction.source.name,
        outcome=transaction.outcome,
        reason=reason,
        code=code,
        harmless=not made.details.needs_attention,
        pages=made.pages,
        empty_pages=made.empty_pages,
        chunks=len(made.chunks),
        embedded=transaction.embedded_count,
        deleted=len(transaction.surplus_ids.intersection(transaction.record.committed)),
        tokens=transaction.tokens,
        details=details_with_first_run(transaction, run),
        reused=transaction.reused_count,
    )


def reliable_modified(source: Source) -> str:
    """Return the modification time to compare with next time.

    It is empty if the file was written so recently that another write could share it.
    """
    return "" if source.recent else source.modified


def utc_timestamp() -> str:
    """Return the current UTC time, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
