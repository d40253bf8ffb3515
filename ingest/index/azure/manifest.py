"""Manifest of an index on Azure AI Search: one document, which is read by its key."""

from __future__ import annotations

from ingest.index.azure.client import DocumentClient
from ingest.index.manifest import Manifest, manifest_from_json, manifest_to_json

MANIFEST_DOCUMENT_KEY = "manifest"


class AzureManifest:
    """Manifest of one index. Only a process that holds the lock changes it."""

    def __init__(self, documents: DocumentClient) -> None:
        self.documents = documents
        self.known: Manifest | None = None  # None: not read yet, or there is none

    def read(self) -> Manifest | None:
        """Read the manifest, once there is one."""
        if self.known is None:
            text = self.documents.read_json(MANIFEST_DOCUMENT_KEY)
            self.known = None if text is None else manifest_from_json(text)
        return self.known

    def save(self, manifest: Manifest) -> None:
        """Replace the manifest."""
        self.documents.save_json(MANIFEST_DOCUMENT_KEY, manifest_to_json(manifest))
        self.known = manifest
