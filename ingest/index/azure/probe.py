"""Probe permissions and contents of an index on Azure AI Search without writing to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus

from azure.core.exceptions import HttpResponseError
from azure.search.documents.models import VectorizedQuery

from ingest.azure.roles import INDEX_DATA_CONTRIBUTOR
from ingest.errors import ConfigError
from ingest.index.azure.create import check_compatible_definition
from ingest.index.azure.definition import SearchIndex, missing_fields
from ingest.index.azure.foreign_target import SAMPLE_CHUNKS, ForeignTarget
from ingest.index.azure.index import AzureIndex
from ingest.models import Vectors

# The cosine of a text's vector with its own by another model is about 0, whatever their sizes.
MIN_SAME_MODEL_COSINE = 0.5
MAX_SAMPLE_CHARACTERS = 8000  # of a passage to embed, so that any model takes it
# Responses to an empty batch from a service that would accept documents.
EMPTY_BATCH_STATUSES = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND)


def check_write_access(index: AzureIndex) -> None:
    """Raise RoleError or ConfigError if the identity may not write documents.

    An empty batch requires the role that a full one requires.
    """

    def ask() -> None:
        try:
            index.documents.send_batch("upload", [])
        except HttpResponseError as error:
            if error.status_code not in EMPTY_BATCH_STATUSES:
                raise

    index.documents.call_with_retry(ask, INDEX_DATA_CONTRIBUTOR)


def index_exists(index: AzureIndex) -> bool:
    """Return True if the index exists; takes only the right to read documents."""
    client = index.documents.client
    return index.documents.call_or_default(lambda: client.get_document_count() >= 0, False)


def describe_azure_index(index: AzureIndex, found: SearchIndex, wanted: SearchIndex) -> str:
    """Describe an index and its contents. Raises ConfigError if it cannot be used."""
    check_compatible_definition(index, found, wanted)
    more = len(missing_fields(found, wanted))
    return describe_contents(index) + (f"; the next run adds {more} fields" if more else "")


def describe_contents(index: AzureIndex) -> str:
    """Describe the contents of an index."""
    return f"{index.documents.name}: {index.totals().describe()}"


def compare_vectors(
    target: ForeignTarget, model: str, embed: Callable[[Sequence[str]], Vectors]
) -> str:
    """Embed a passage of an index and compare it with the vectors there; describes them.

    Vectors of two models may have one size, and nothing else shows which model made them. Raises
    ConfigError if those in the index are of another model.
    """
    text = read_sample_text(target)
    if not text:
        return "none yet to compare with the model's"
    cosine = nearest_cosine(target, embed([text[:MAX_SAMPLE_CHARACTERS]])[0])
    if cosine < MIN_SAME_MODEL_COSINE:
        raise ConfigError(
            f"{target.documents.name} has vectors of another model than {model}: a passage's own "
            f"vector is no nearer than {cosine:.2f} (cosine): set the model that filled it, or "
            "fill another index"
        )
    return f"those of {model}: a passage finds itself (cosine {cosine:.2f})"


def read_sample_text(target: ForeignTarget) -> str:
    """Return the text of a document, of another tool's if there is one; "" if there is none.

    No record names the model of another tool's vectors.
    """
    key, content = target.mapping.key, target.mapping.field_of("content")
    page = target.documents.search_page(search_text="*", select=[key, content], top=SAMPLE_CHUNKS)
    texts = {str(document[key]): str(document[content] or "") for document in page}
    own = target.read_copies(list(texts), ["id"]) if texts else {}
    first = next(iter(texts.values()), "")
    return next((text for id_, text in texts.items() if text and id_ not in own), first)


def nearest_cosine(target: ForeignTarget, vector: Vectors) -> float:
    """Return the cosine of a vector with the nearest one in the index; 0 if it has none."""
    query = VectorizedQuery(
        vector=vector.tolist(),
        k_nearest_neighbors=1,
        fields=target.mapping.vector,
        exhaustive=True,
    )
    near = target.documents.search_page(
        search_text=None, vector_queries=[query], select=[target.mapping.key], top=1
    )
    return 2 - 1 / float(near[0]["@search.score"]) if near else 0.0
