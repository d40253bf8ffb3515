"""History of an index on Azure AI Search: the summaries of its last runs, one document each."""

from __future__ import annotations

from typing import Any

from ingest.index import MAX_SAVED_RUNS
from ingest.index.azure.client import DocumentClient
from ingest.index.azure.listing import MAX_PAGE_DOCUMENTS
from ingest.index.schema import SUMMARY_FIELD, summaries_from_json, summary_to_json
from ingest.models import Summary


def save_run(documents: DocumentClient, summary: Summary) -> None:
    """Insert or overwrite the summary of a run, and delete the summaries of old runs."""
    run = {"id": f"run-{summary.run}", "kind": "run", "run": summary.run}
    when = {"settled": summary.ended, SUMMARY_FIELD: summary_to_json(summary)}
    documents.raise_if_refused(documents.write("upload", [run | when]))
    old = query_runs(documents, MAX_PAGE_DOCUMENTS, ["id"])[MAX_SAVED_RUNS:]
    documents.write("delete", [{"id": document["id"]} for document in old])


def read_runs(documents: DocumentClient, limit: int) -> list[Summary]:
    """Read the summaries of the last runs, newest first."""
    # Select every field: an index of an early version has no field `summary` to select.
    texts = (document.get(SUMMARY_FIELD) for document in query_runs(documents, limit, None))
    return summaries_from_json(texts)


def query_runs(
    documents: DocumentClient, limit: int, select: list[str] | None
) -> list[dict[str, Any]]:
    """Read the documents of the last runs, newest first; `select` None: with every field."""
    return documents.search_page(
        search_text="*", filter="kind eq 'run'", order_by=["id desc"], select=select, top=limit
    )
