"""Target that is another application's index.

Chunks are written in the application's layout, and the index of the records keeps a copy of each,
which no search returns. A copy is written after its chunk and deleted before it, so a chunk with a
copy exists, unless another program removed it; `restore_missing` then writes it again.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

from azure.search.documents.models import VectorizedQuery

from ingest.index import FIELD_FLAW, VECTOR_FLAW, Flaw
from ingest.index.azure.client import DocumentClient
from ingest.index.azure.errors import MissingFieldError
from ingest.index.azure.listing import MAX_PAGE_DOCUMENTS, batch_ids, filter_ids, list_pages
from ingest.index.azure.mapping import FieldMapping
from ingest.index.azure.serialize import (
    COPIED_VALUE_NAMES,
    copy_from_document,
    copy_to_document,
    decode_vector,
    quote_odata,
)
from ingest.index.azure.target import FieldValues, OwnTarget, Scored
from ingest.index.schema import (
    CHUNK_FIELD_NAMES,
    FIGURE_FIELD_NAMES,
    FIGURE_KIND_FIELD,
    VECTOR_FIELD,
)
from ingest.index.stored_chunks import REQUIRED_FIELD_NAMES
from ingest.models import FigureFilter, Refusal, StoredChunk, Vectors
from ingest.runtime.formatting import pluralize

log = logging.getLogger(__name__)

MARK_KEY = "target"  # key of the document that names the index
MAX_COPIES = 200  # with their vectors, in one answer
SAMPLE_CHUNKS, LARGE_SAMPLE_CHUNKS = 16, 400  # looked up; more if the definition has changed


class ForeignTarget(OwnTarget):
    """An application's index. `etag`: of its definition; "" where it may not be read."""

    is_foreign = True

    def __init__(
        self, documents: DocumentClient, mapping: FieldMapping, records: DocumentClient
    ) -> None:
        super().__init__(documents, mapping)
        documents.fence = lambda: records.fence()  # noqa: PLW0108 - it is replaced later
        self.records = records
        self.profile_name = self.etag = ""
        self.can_filter_keys = False
        self.shown_text: tuple[str, ...] = ()  # the field of the text, if reads return it
        self.has_figure_fields = True  # until a query says otherwise
        self.dimensions = 0  # of its vectors; 0: unknown

    def close(self) -> None:
        self.documents.close()

    def upload(self, new: Sequence[FieldValues], moved: Sequence[FieldValues]) -> list[Refusal]:
        """Write chunks with their vectors: the index may not store them."""
        vectors = self.read_vectors([str(values["id"]) for values in moved]) if moved else {}
        lost = [str(values["id"]) for values in moved if values["id"] not in vectors]
        kept = [
            values | {VECTOR_FIELD: vectors[values["id"]]}
            for values in moved
            if values["id"] in vectors
        ]
        refusals = self.write([*new, *kept])
        reason = "its copy has no vector: ingest check --read --repair embeds it again"
        return refusals + [Refusal(id_, reason) for id_ in lost]

    def write(self, chunks: Sequence[FieldValues]) -> list[Refusal]:
        """Write chunks, then their copies."""
        refusals = self.write_documents(chunks)
        refused = {refusal.id for refusal in refusals}
        copies = [copy_to_document(v) for v in chunks if v["id"] not in refused]
        return refusals + self.records.write("upload", copies)

    def write_documents(self, chunks: Sequence[FieldValues]) -> list[Refusal]:
        """Write chunks. Keeps fields that the application has added to them."""
        return self.documents.write("mergeOrUpload", list(map(self.mapping.to_document, chunks)))

    def delete(self, ids: Collection[str]) -> list[Refusal]:
        refusals = self.records.write("delete", [{"id": id_} for id_ in ids])
        left = set(ids).difference(refusal.id for refusal in refusals)
        return refusals + self.documents.write("delete", [{self.mapping.key: id_} for id_ in left])

    def search(
        self,
        words: str | None,
        query: VectorizedQuery | None,
        depth: int,
        where: str = "",
        figures: FigureFilter = FigureFilter.INCLUDE,
    ) -> Scored:
        """Return the best chunks that have records, with their scores."""
        if query:
            query.fields = self.mapping.vector
        wanted = depth
        while True:
            page = self.documents.search_page(
                search_text=words,
                vector_queries=[query] if query else None,
                filter=where or None,
                select=[self.mapping.key],
                top=wanted,
            )
            scores = {str(d[self.mapping.key]): float(d["@search.score"]) for d in page}
            copies = self.read_copies(list(scores), CHUNK_FIELD_NAMES)
            kind = FIGURE_KIND_FIELD.name
            known = {i: copy for i, copy in copies.items() if figures.admits(copy.get(kind))}
            if len(known) >= depth or len(page) < wanted or wanted == MAX_PAGE_DOCUMENTS:
                found = [(score, known[id_]) for id_, score in scores.items() if id_ in known]
                return found[:depth]
            wanted = min(4 * wanted, MAX_PAGE_DOCUMENTS)
            if query:
                query.k_nearest_neighbors = max(query.k_nearest_neighbors or 0, wanted)

    def read_copies(self, ids: Sequence[str], select: Sequence[str]) -> dict[str, FieldValues]:
        """Read fields of the copies of chunks."""

        def ask(some: Sequence[str]) -> list[FieldValues]:
            return self.search_copies(
                select,
                filter=f"kind eq 'chunk' and {filter_ids('id', some)}",
                top=MAX_PAGE_DOCUMENTS,
            )

        pages = self.records.threads.map(ask, batch_ids(ids))
        return {str(found["id"]): found for page in pages for found in page}

    def search_copies(self, select: Sequence[str], **query: Any) -> list[FieldValues]:
        """Read fields of the copies that match a query; an index may lack FIGURE_FIELDS."""
        if self.has_figure_fields:
            try:
                return self.records.search_page(search_text="*", select=list(select), **query)
            except MissingFieldError:
                self.has_figure_fields = False
        known = [name for name in select if name not in FIGURE_FIELD_NAMES]
        return self.records.search_page(search_text="*", select=known, **query)

    def read_vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        """Read the vectors of copies that have one."""
        found = self.read_copies(ids, ["id", VECTOR_FIELD])
        return {
            i: decode_vector(vector) for i, copy in found.items() if (vector := copy[VECTOR_FIELD])
        }

    def flaws(self, chunks: Iterator[StoredChunk], dimensions: int) -> Iterator[Flaw]:
        """Find chunks that the index lacks, or whose copy lacks a value that each of them has."""
        del dimensions
        while some := {chunk.id: chunk for chunk in islice(chunks, MAX_COPIES)}:
            missing = set(self.find_missing(list(some), self.shown_text))
            copies = self.read_copies(list(some), ["id", *REQUIRED_FIELD_NAMES, VECTOR_FIELD])
            for id_, copy in copies.items():
                place = id_, some[id_].root, some[id_].source
                if id_ in missing:
                    yield Flaw(VECTOR_FLAW, f"{self.documents.name} lacks it or its text", *place)
                elif not copy[VECTOR_FIELD]:
                    yield Flaw(VECTOR_FLAW, "its copy has no vector", *place)
                elif not is_complete(copy):
                    yield Flaw(FIELD_FLAW, "it cannot be read", *place)

    def find_missing(self, ids: Sequence[str], names: Sequence[str] = ()) -> list[str]:
        """Return the ids that the index lacks, or has without one of these fields."""
        page: Iterable[FieldValues | None]
        if self.can_filter_keys:
            page = self.documents.search_page(
                search_text="*",
                filter=filter_ids(self.mapping.key, ids),
                select=[self.mapping.key, *names],
                top=MAX_PAGE_DOCUMENTS,
            )
        else:
            page = self.documents.threads.map(self.documents.get, ids)
        found = {
            str(document[self.mapping.key])
            for document in page
            if document and all(document.get(name) is not None for name in names)
        }
        return [id_ for id_ in ids if id_ not in found]

    def existing_ids(self, ids: set[str]) -> set[str]:
        pages = list(batch_ids(ids))
        return ids.difference(*map(self.find_missing, pages)) if ids else ids

    def read_mark(self) -> FieldValues | None:
        """Read the stored name, version and mapping of the index; None before the first run."""
        text = self.records.read_json(MARK_KEY)
        mark: FieldValues | None = None if text is None else json.loads(text)
        return mark

    def write_mark(self) -> None:
        """Store the name, version and mapping of the index next to its records."""
        mark = {
            "profile": self.profile_name,
            "index": self.documents.name,
            "etag": self.etag,
            "mapping": self.mapping.to_json(),
        }
        self.records.save_json(MARK_KEY, json.dumps(mark))

    def reconcile(self, poll: Callable[..., Any]) -> None:
        """Write the chunks again that the index may lack or have in an earlier layout.

        `poll` repeats a read until it is not None; the caller holds the lease.
        """
        mark = self.read_mark()
        if self.records.count("chunk"):
            if mark and mark["mapping"] != self.mapping.to_json():
                log.warning(
                    "the fields of %s have changed: writing its chunks again, without embedding",
                    self.documents.name,
                )
                self.project()
            elif not self.is_trusted(poll):
                self.restore_missing()
        self.write_mark()

    def is_trusted(self, poll: Callable[..., Any] = lambda read: read()) -> bool:
        """Return whether a sample and the number of chunks match the copies."""
        mark, known = self.read_mark(), self.records.count("chunk")

        def read_count() -> int | None:
            count = self.documents.count_all()
            return count if count >= known else None

        if poll(read_count) is None:
            return False
        is_same = mark is not None and mark["etag"] == self.etag
        sample = self.sample_ids(SAMPLE_CHUNKS if is_same else LARGE_SAMPLE_CHUNKS)
        return not self.find_missing(sample)

    def sample_ids(self, size: int) -> list[str]:
        """Return the ids of random chunks: ids are hashes, so any start gives a random sample."""
        start = secrets.token_hex(8)
        ids: list[str] = []
        for where in (f"id ge '{start}'", f"id lt '{start}'"):
            page = self.records.search_page(
                search_text="*",
                filter=f"kind eq 'chunk' and {where}",
                order_by=["id asc"],
                select=["id"],
                top=size,
            )
            ids += [str(document["id"]) for document in page]
        return ids[:size]

    def restore_missing(self) -> None:
        """Write the chunks that the index lacks again, from their copies."""
        restored = 0
        for page in self.copies():
            missing = set(self.find_missing([values["id"] for values in page], self.shown_text))
            if missing:
                self.raise_if_refused([v for v in page if v["id"] in missing])
                restored += len(missing)
        if restored:
            log.warning(
                "%s lacked %s that its records name, so it was emptied or recreated: "
                "wrote them again, without embedding",
                self.documents.name,
                pluralize(restored, "chunk"),
            )

    def project(self, root: str | None = None) -> None:
        """Rewrite all chunks, or the chunks of a root, from their copies."""
        for page in self.copies(root):
            self.raise_if_refused(page)

    def raise_if_refused(self, chunks: Sequence[FieldValues]) -> None:
        """Write chunks. Raises ServiceError if the index refuses one."""
        self.documents.raise_if_refused(self.write_documents(chunks))

    def copies(self, root: str | None = None) -> Iterator[list[FieldValues]]:
        """Yield the copies of all chunks, or of the chunks of a root, in pages.

        Skips those that cannot be read, and vectors of another size: an earlier model made them,
        and the run replaces them.
        """
        where = "kind eq 'chunk'" + (f" and root eq {quote_odata(root)}" if root else "")
        for page in list_pages(partial(self.search_copies, COPIED_VALUE_NAMES), where, MAX_COPIES):
            values = [copy_from_document(copy) for copy in page if is_complete(copy)]
            if fitting := [v for v in values if self.dimensions in (0, len(v[VECTOR_FIELD]))]:
                yield fitting


def is_complete(copy: Mapping[str, Any]) -> bool:
    """Return whether a copy has the values that each has: another program may have spoilt it."""
    return all(copy.get(name) is not None for name in (*REQUIRED_FIELD_NAMES, VECTOR_FIELD))
