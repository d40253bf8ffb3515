"""Indexes as other projects make them, by the facts of their public sources in November 2026.

* azure-search-openai-demo: app/backend/prepdocslib/searchmanager.py. Its prepdocs makes `demo`, its
  cloud ingestion `demo_cloud`, and with access control and images `demo_full`.
* GPT-RAG: config/search/search.j2, whose attributes are left to the service where it names none.
* LangChain: libs/community/langchain_community/vectorstores/azuresearch.py, default fields.
"""

from __future__ import annotations

from typing import Any

Definition = dict[str, Any]


def field(name: str, kind: str = "Edm.String", **attributes: Any) -> Definition:
    """A field whose attributes are off unless they are named, as the SDK's SimpleField sends it."""
    off = dict.fromkeys(("searchable", "filterable", "sortable", "facetable", "key"), False)
    return {"name": name, "type": kind, **off, "retrievable": True, **attributes}


def vector(name: str, dimensions: int, profile: str, **attributes: Any) -> Definition:
    """A vector field."""
    more = {"dimensions": dimensions, "vectorSearchProfile": profile, "searchable": True}
    return field(name, "Collection(Edm.Single)", **more) | attributes


KEYWORD: Definition = {"analyzer": "keyword", "searchable": True}
FACETED: Definition = {"filterable": True, "facetable": True}
IMAGES: Definition = {
    "name": "images",
    "type": "Collection(Edm.ComplexType)",
    "fields": [
        vector("embedding", 1024, "images_embedding_profile", stored=False, retrievable=False),
        field("url", **FACETED),
        field("description", searchable=True),
        field("boundingbox", "Collection(Edm.Double)"),
    ],
}


def demo(dimensions: int, model: str = "", *, more: tuple[Definition, ...] = ()) -> Definition:
    """The index of prepdocs: its key can be looked up, but not filtered or sorted by."""
    vectorizer = {
        "name": f"{model}-vectorizer",
        "kind": "azureOpenAI",
        "azureOpenAIParameters": {
            "resourceUri": "https://demo.openai.azure.com",
            "deploymentId": "embedding",
            "modelName": model,
        },
    }
    return {
        "name": "gptkbindex",
        "fields": [
            field("id", key=True),
            field("content", searchable=True, analyzer="en.microsoft"),
            field("category", **FACETED),
            field("sourcepage", **FACETED),
            field("sourcefile", **FACETED),
            field("storageUrl", filterable=True),
            *more,
            vector("embedding", dimensions, "embedding-profile", stored=False, retrievable=False),
        ],
        "vectorSearch": {
            "algorithms": [
                {"name": "hnsw_config", "kind": "hnsw", "hnswParameters": {"metric": "cosine"}},
                {"name": "images_hnsw_config", "kind": "hnsw"},
            ],
            "profiles": [
                {
                    "name": "embedding-profile",
                    "algorithm": "hnsw_config",
                    "compression": "embedding-compression",
                    "vectorizer": vectorizer["name"] if model else None,
                },
                {"name": "images_embedding_profile", "algorithm": "images_hnsw_config"},
            ],
            "compressions": [
                {
                    "name": "embedding-compression",
                    "kind": "binaryQuantization",
                    "truncationDimension": min(1024, dimensions),
                    "rescoringOptions": {
                        "enableRescoring": True,
                        "defaultOversampling": 10,
                        "rescoreStorageMethod": "preserveOriginals",
                    },
                }
            ],
            "vectorizers": [vectorizer] if model else [],
        },
        "semantic": {
            "defaultConfiguration": "default",
            "configurations": [
                {
                    "name": "default",
                    "prioritizedFields": {
                        "titleField": {"fieldName": "sourcepage"},
                        "prioritizedContentFields": [{"fieldName": "content"}],
                    },
                }
            ],
        },
    }


def demo_cloud(dimensions: int) -> Definition:
    """The index of cloud ingestion: a key with the keyword analyzer, and the id of a parent."""
    made = demo(dimensions, more=(field("parent_id", searchable=True, filterable=True),))
    made["fields"][0] = field("id", key=True, sortable=True, **FACETED, **KEYWORD)
    return made


def demo_full(dimensions: int) -> Definition:
    """The index with access control and images."""
    lists = [field(n, "Collection(Edm.String)", filterable=True) for n in ("oids", "groups")]
    return demo(dimensions, more=(*lists, IMAGES))


def gpt_rag(dimensions: int) -> Definition:
    """The index of GPT-RAG."""
    text = {"searchable": True, "retrievable": True, "analyzer": "standard.lucene"}
    plain = {"searchable": False, "retrievable": True}
    kinds: dict[str, tuple[str, Definition]] = {
        "parent_id": ("Edm.String", plain),
        "metadata_storage_path": ("Edm.String", plain),
        "metadata_storage_name": ("Edm.String", plain),
        "metadata_storage_last_modified": ("Edm.DateTimeOffset", plain | {"sortable": True}),
        "metadata_security_id": ("Collection(Edm.String)", plain | {"filterable": True}),
        "chunk_id": ("Edm.Int32", plain),
        "content": ("Edm.String", text),
        "imageCaptions": ("Edm.String", text),
        "page": ("Edm.Int32", plain),
        "offset": ("Edm.Int64", plain),
        "length": ("Edm.Int32", plain),
        "title": ("Edm.String", text | {"filterable": True}),
        "category": ("Edm.String", text | {"filterable": True}),
        "filepath": ("Edm.String", plain),
        "url": ("Edm.String", plain),
        "summary": ("Edm.String", {"searchable": True, "retrievable": True}),
        "relatedImages": ("Collection(Edm.String)", plain),
        "relatedFiles": ("Collection(Edm.String)", plain),
        "source": ("Edm.String", plain | {"filterable": True}),
    }
    key = {"name": "id", "type": "Edm.String", "key": True, "retrievable": True, **KEYWORD}
    vectors = {"type": "Collection(Edm.Single)", "searchable": True, "retrievable": True}
    vectors |= {"dimensions": dimensions, "vectorSearchProfile": "default"}
    content = [{"fieldName": "content"}, {"fieldName": "imageCaptions"}]
    return {
        "name": "ragindex",
        "fields": [
            key,
            *({"name": name, "type": kind, **more} for name, (kind, more) in kinds.items()),
            {"name": "contentVector", **vectors},
            {"name": "captionVector", **vectors},
        ],
        "corsOptions": {"allowedOrigins": ["*"], "maxAgeInSeconds": 60},
        "vectorSearch": {
            "profiles": [{"name": "default", "algorithm": "hnsw"}],
            "algorithms": [{"name": "hnsw", "kind": "hnsw"}],
        },
        "semantic": {
            "configurations": [
                {
                    "name": "semantic-config",
                    "prioritizedFields": {
                        "prioritizedContentFields": content,
                        "prioritizedKeywordsFields": [{"fieldName": "category"}],
                    },
                }
            ]
        },
    }


def langchain(dimensions: int) -> Definition:
    """The index of LangChain's AzureSearch."""
    return {
        "name": "langchain",
        "fields": [
            field("id", key=True, filterable=True),
            field("content", searchable=True),
            vector("content_vector", dimensions, "myHnswProfile"),
            field("metadata", searchable=True),
        ],
        "vectorSearch": {
            "algorithms": [{"name": "default", "kind": "hnsw"}],
            "profiles": [{"name": "myHnswProfile", "algorithm": "default"}],
        },
    }
