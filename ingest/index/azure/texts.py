"""Look-up of chunks on Azure AI Search by the hash of the text that they embed.

An index that an earlier version created lacks the field, and does not return its vectors. A run
that may change the definition corrects both (create.py); until then nothing is found.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Sequence

from ingest.azure.roles import SEARCH_SERVICE_CONTRIBUTOR
from ingest.errors import ServiceError
from ingest.index.azure.client import DocumentClient
from ingest.index.azure.listing import MAX_PAGE_DOCUMENTS, batch_ids, filter_ids
from ingest.index.schema import TEXT_HASH_FIELD, VECTOR_FIELD
from ingest.models import IndexEntry

log = logging.getLogger(__name__)

# Until a changed definition is followed by documents and queries, at most.
SCHEMA_SETTLE_SECONDS = 60


class TextHashes:
    """Text hashes of one index. Thread-safe."""

    def __init__(self, documents: DocumentClient) -> None:
        self.documents = documents
        self.lock = threading.Lock()
        self.is_supported: bool | None = None  # None: not known yet

    def are_supported(self) -> bool:
        """Return whether the index has the field and returns its vectors; warns once if not."""
        with self.lock:
            if self.is_supported is None:
                # An index of an earlier version lacks the hash, or does not return vectors.
                names = (TEXT_HASH_FIELD.name, VECTOR_FIELD)
                none = f"{TEXT_HASH_FIELD.name} eq 'none'"
                self.is_supported = self.documents.has_fields(names, none)
                if not self.is_supported:
                    log.warning(
                        "%s on %s was created by an earlier version, which does not return vectors "
                        "by text: renamed and copied files are embedded again until ingest run is "
                        "run once with the role %s",
                        self.documents.name,
                        self.documents.endpoint,
                        SEARCH_SERVICE_CONTRIBUTOR.name,
                    )
            return self.is_supported

    def to_fields(self, entry: IndexEntry) -> dict[str, str]:
        """Return the fields to write for a chunk, which are none if the index has no such field."""
        has_hash = entry.text_hash and self.are_supported()
        return {TEXT_HASH_FIELD.name: entry.text_hash} if has_hash else {}

    def find_ids(self, hashes: Collection[str]) -> dict[str, str]:
        """Find a chunk for each of the hashes that has one."""
        if not hashes or not self.are_supported():
            return {}
        found: dict[str, str] = {}
        for part in self.documents.threads.map(self.ask, batch_ids(hashes)):
            found |= part
        return found

    def ask(self, hashes: Sequence[str]) -> dict[str, str]:
        """Find chunks with one query, or with several if a page is full of copies."""
        found: dict[str, str] = {}
        left = set(hashes)
        while left:
            page = self.documents.search_page(
                search_text="*",
                filter=filter_ids(TEXT_HASH_FIELD.name, left),
                select=["id", TEXT_HASH_FIELD.name],
                top=MAX_PAGE_DOCUMENTS,
            )
            found |= {str(d[TEXT_HASH_FIELD.name]): str(d["id"]) for d in page}
            if len(page) < MAX_PAGE_DOCUMENTS:
                break
            left -= found.keys()
        return found


def wait_for_fields(documents: DocumentClient, names: list[str]) -> None:
    """Wait until the service knows the new fields of an index. Raises ServiceError."""
    for _ in range(SCHEMA_SETTLE_SECONDS):
        if documents.has_fields(names):
            return
        documents.retry_policy.sleep(1)
    raise ServiceError(
        f"{documents.name} on {documents.endpoint} does not have its new fields yet: run again"
    )
