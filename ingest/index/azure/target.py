"""Target of chunks: the index that they are written to and searched in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import Any

from azure.search.documents.models import VectorizedQuery

from ingest.index import FIELD_FLAW, VECTOR_FLAW, Flaw
from ingest.index.azure.client import DocumentClient
from ingest.index.azure.errors import MissingFieldError
from ingest.index.azure.listing import MAX_FILTER_IDS, filter_ids
from ingest.index.azure.mapping import FieldMapping
from ingest.index.schema import FIGURE_KIND_FIELD, VECTOR_FIELD
from ingest.index.stored_chunks import REQUIRED_FIELD_NAMES
from ingest.models import FigureFilter, Refusal, StoredChunk

FIGURE_FILTERS = {
    FigureFilter.INCLUDE: "",
    FigureFilter.EXCLUDE: f"{FIGURE_KIND_FIELD.name} eq null",
    FigureFilter.ONLY: f"{FIGURE_KIND_FIELD.name} ne null",
}

FieldValues = dict[str, Any]
Scored = list[tuple[float, FieldValues]]


class OwnTarget:
    """Target that is also the index of the records."""

    is_foreign = False

    def __init__(self, documents: DocumentClient, mapping: FieldMapping) -> None:
        self.documents = documents
        self.mapping = mapping

    def close(self) -> None:
        """Close the connections of a separate target."""

    def upload(self, new: Sequence[FieldValues], moved: Sequence[FieldValues]) -> list[Refusal]:
        """Write chunks; moved ones keep their vectors."""
        to_document = self.mapping.to_document
        return self.documents.write("upload", list(map(to_document, new))) + self.documents.write(
            "merge", list(map(to_document, moved))
        )

    def delete(self, ids: Collection[str]) -> list[Refusal]:
        """Delete chunks."""
        return self.documents.write("delete", [{"id": id_} for id_ in ids])

    def search(
        self,
        words: str | None,
        query: VectorizedQuery | None,
        depth: int,
        where: str = "",
        figures: FigureFilter = FigureFilter.INCLUDE,
    ) -> Scored:
        """Return the best chunks that match a filter, with their scores."""
        parts = ["kind eq 'chunk'", where, FIGURE_FILTERS[figures]]
        try:
            page = self.documents.search_page(
                search_text=words,
                vector_queries=[query] if query else None,
                filter=" and ".join(filter(None, parts)),
                select=None,  # an index of an earlier version lacks some fields to select
                top=depth,
            )
        except MissingFieldError:
            if figures is FigureFilter.INCLUDE:
                raise
            # An index of an earlier version, in which every text is a document's own.
            return [] if figures is FigureFilter.ONLY else self.search(words, query, depth, where)
        return [(float(found["@search.score"]), found) for found in page]

    def existing_ids(self, ids: set[str]) -> set[str]:
        """Return the ids that the target has, among those in the index of the records."""
        return ids

    def is_trusted(self) -> bool:
        """Return whether the target surely matches the records."""
        return True

    def restore_missing(self) -> None:
        """Do nothing: only the model can make a missing vector."""

    def flaws(self, chunks: Iterator[StoredChunk], dimensions: int) -> Iterator[Flaw]:
        """Find chunks without a vector, or without another field that each of them has.

        The service validates uploads, so a value can only be missing. Reading all vectors
        would take long; an exhaustive search returns every chunk that has one.
        """
        query = VectorizedQuery(
            vector=[1.0] + [0.0] * (dimensions - 1),
            k_nearest_neighbors=MAX_FILTER_IDS,
            fields=VECTOR_FIELD,
            exhaustive=True,
        )
        while some := {chunk.id: chunk for chunk in islice(chunks, MAX_FILTER_IDS)}:
            near = self.documents.search_page(
                search_text=None,
                vector_queries=[query],
                filter=filter_ids("id", some),
                select=["id", *REQUIRED_FIELD_NAMES],
                top=MAX_FILTER_IDS,
            )
            found = {str(document["id"]): document for document in near}
            for id_, chunk in some.items():
                if id_ not in found:
                    yield Flaw(VECTOR_FLAW, "it has no vector", id_, chunk.root, chunk.source)
                elif any(found[id_].get(name) is None for name in REQUIRED_FIELD_NAMES):
                    yield Flaw(FIELD_FLAW, "it cannot be read", id_, chunk.root, chunk.source)

    def reconcile(self, poll: Callable[..., Any]) -> None:
        """Do nothing: an index that was emptied has no records either."""

    def project(self, root: str | None = None) -> None:
        """Do nothing: chunks have no other copy."""
