"""Names of the roots of an index on Azure AI Search: one document, which is read by its key.

A record's key is a hash of its root's key, not of its name, so a renamed root keeps its records.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ingest.errors import ConfigError, ServiceError
from ingest.index.azure.client import DocumentClient
from ingest.index.azure.listing import list_documents
from ingest.index.azure.serialize import quote_odata
from ingest.index.schema import root_from_json, root_to_json
from ingest.models import KnownRoot

ROOTS_DOCUMENT_KEY = "roots"
RENAME_SETTLE_SECONDS = 120  # until queries show the new names, at most


class AzureRoots:
    """The roots of one index. A process that holds the lock is the only one that changes them."""

    def __init__(self, documents: DocumentClient) -> None:
        self.documents = documents
        self.known: list[KnownRoot] | None = None  # None: not read yet

    def read(self) -> list[KnownRoot]:
        """Read the roots, once."""
        if self.known is None:
            stored = self.documents.read_json(ROOTS_DOCUMENT_KEY)
            try:
                self.known = [
                    root_from_json(text) for text in json.loads("[]" if stored is None else stored)
                ]
            except (ValueError, TypeError) as error:
                # The keys of its records depend on it.
                raise ConfigError(
                    f"the document {ROOTS_DOCUMENT_KEY} of the index {self.documents.name} on "
                    f"{self.documents.endpoint} cannot be read ({error}): another program has "
                    "changed it; restore it, or choose another AZURE_SEARCH_INDEX"
                ) from error
        return self.known

    def save(self, roots: Sequence[KnownRoot]) -> None:
        """Replace the roots."""
        text = json.dumps([root_to_json(root) for root in roots])
        self.documents.save_json(ROOTS_DOCUMENT_KEY, text)
        self.known = list(roots)

    def key_of(self, name: str) -> str:
        """Return the key of a root; the keys of its records are hashes of it."""
        return next((root.key for root in self.read() if root.name == name), name)

    def rename(self, old: str, new: str) -> bool:
        """Rename the root in all its documents, and wait until queries show that."""
        found = False
        for _ in range(RENAME_SETTLE_SECONDS):
            if not self.rename_visible(old, new):
                return found
            found = True
            self.documents.retry_policy.sleep(1)
        raise ServiceError(f"{self.documents.endpoint} still shows the name {old}: run again")

    def rename_visible(self, old: str, new: str) -> bool:
        """Rename the root in the documents that a query finds; return whether it finds any."""
        found = False
        for page in list_documents(self.documents, f"root eq {quote_odata(old)}", ["id", "kind"]):
            changes = [
                {"id": document["id"], "root": new} | without_path(str(document["kind"]), old)
                for document in page
            ]
            self.documents.raise_if_refused(self.documents.write("merge", changes))
            found = found or bool(page)
        return found


def without_path(kind: str, root: str) -> dict[str, Any]:
    """Return the change that removes the path of a local folder from a document."""
    return {"storageUrl": None} if kind == "chunk" and "://" not in root else {}
