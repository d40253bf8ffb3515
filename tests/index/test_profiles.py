"""Target profiles: which value goes to which field of an index that another application made."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from ingest.config.profile import find_profile, load_profile
from ingest.config.settings import build_settings
from ingest.errors import ConfigError
from ingest.index.azure.definition import build_definition
from ingest.index.azure.mapping import FieldMapping, bind_own_profile, bind_profile
from ingest.index.azure.profile import DEFAULT_PROFILE, Profile
from ingest.index.azure.serialize import copy_from_document, copy_to_document, entry_to_values
from ingest.index.schema import Field
from ingest.models import BlobField, Chunk, Details, IndexEntry, Source
from tests.index.foreign_indexes import Definition, demo, demo_cloud, demo_full, gpt_rag, langchain

DEMO, RAG = "azure-search-openai-demo", "gpt-rag"
SOURCE = Source(
    "https://a.blob.core.windows.net/docs",
    "hr/leave.pdf",
    "",
    1,
    "1",
    fields=(("meta:unit", "HR"),),
)
CHUNK = Chunk("a" * 40, "Leave is paid.", 3, 4, 0, 14, 2, 3, ("ii", "iii"), ("Leave", "Paid"))
URL = "https://a.blob.core.windows.net/docs/hr/leave.pdf"
VALUES = entry_to_values(
    IndexEntry(SOURCE, URL, "f", "Handbook", CHUNK, np.arange(4, dtype=np.float32), Details())
)


def fields(definition: Definition) -> dict[str, Field]:
    """The fields of a definition, whose attributes the service turns on where they are left out."""
    flags = ("searchable", "filterable", "sortable", "facetable")
    return {
        f["name"]: Field(f["name"], f["type"], **{flag: f.get(flag, True) for flag in flags})
        for f in definition["fields"]
    }


def bind(profile: Profile, definition: Definition) -> FieldMapping:
    mapping, _, problems = bind_profile(profile, fields(definition))
    assert problems == []
    return mapping


def write_profile(text: str, tmp_path: Any) -> Profile:
    path = tmp_path / "contoso.toml"
    path.write_text(text)
    return find_profile(str(path))


@pytest.mark.parametrize("definition", [demo(4), demo_cloud(4), demo_full(4)])
def test_a_chunk_is_a_document_of_the_demo(definition: Definition) -> None:
    """However the sample made its index: no field is written that it lacks."""
    profile = load_profile(build_settings({"INGEST_PROFILE": DEMO}, {}))
    document = bind(profile, definition).to_document(VALUES)
    assert document.pop("embedding") is VALUES["embedding"]
    assert document == {
        "id": CHUNK.id,
        "content": CHUNK.text,
        "category": "hr",
        "sourcepage": "hr/leave.pdf#page=2",
        "sourcefile": "hr/leave.pdf",
        "storageUrl": URL,
    }


def test_an_image_of_a_figure_is_one_of_the_demo_s_images() -> None:
    """The sample shows it beside the answer; a chunk of the document's own text has none."""
    settings = build_settings({"INGEST_PROFILE": DEMO, "INGEST_FIGURES_TO": "figures"}, {})
    mapping = bind(load_profile(settings), demo_full(4))
    image = {"figure_image": f"{URL}.png", "figure_box": [0.1, 0.2, 0.9, 0.5]}
    assert mapping.to_document(VALUES)["images"] == []
    assert mapping.to_document(VALUES | image)["images"] == [
        {"url": f"{URL}.png", "description": CHUNK.text, "boundingbox": [0.1, 0.2, 0.9, 0.5]}
    ]


def test_a_chunk_is_a_document_of_gpt_rag() -> None:
    """Its own purger leaves it alone: it deletes what has the source "blob"."""
    mapping = bind(find_profile(RAG), gpt_rag(4))
    document = mapping.to_document(VALUES)
    assert (mapping.key, mapping.vector) == ("id", "contentVector")
    assert document.pop("contentVector") is VALUES["embedding"]
    assert document == {
        "id": CHUNK.id,
        "parent_id": "hr/leave.pdf",
        "metadata_storage_path": URL,
        "metadata_storage_name": "leave.pdf",
        "chunk_id": 4,
        "content": CHUNK.text,
        "page": 2,
        "title": "Handbook",
        "category": "hr",
        "filepath": "hr/leave.pdf",
        "url": URL,
        "source": "ingest",
    }


def test_a_chunk_is_a_document_of_langchain() -> None:
    """Its retriever reads the metadata as JSON, and counts pages as its readers of PDFs do."""
    document = bind(find_profile("langchain"), langchain(4)).to_document(VALUES)
    metadata = json.loads(document.pop("metadata"))
    assert metadata == {"source": URL, "page": 1, "page_label": "ii", "title": "Handbook"}
    assert document == {
        "id": CHUNK.id,
        "content": CHUNK.text,
        "content_vector": VALUES["embedding"],
    }
    unlabelled = bind_profile(find_profile("langchain"), fields(langchain(4)))[0].to_document(
        VALUES | {"storageUrl": None, "page_label": ""}
    )
    found = json.loads(unlabelled["metadata"])
    assert (found["source"], found["page_label"]) == ("hr/leave.pdf", "2")


def test_three_fields_are_a_profile(tmp_path: Any) -> None:
    """An index needs a key, a text and a vector; I need not know what a semantic ranker is."""
    text = '[fields]\nkey = "id"\nvector = "embedding"\n'
    bare = write_profile(text + 'text = "content"', tmp_path)
    assert build_definition("bare", 4, "", None, bare).semantic_search is None
    title = 'text = { value = "content", searchable = true }\nname = { value = "title" }'
    found = write_profile(f"{text}{title}\n[semantic]\nname = 'own'", tmp_path).semantic
    assert (found.name, found.title, found.content, found.keywords) == ("own", "", ("text",), ())
    titled = write_profile(f"{text}{title}\n[semantic]\ntitle = 'name'\ncontent = []", tmp_path)
    assert build_definition("titled", 4, "", None, titled).semantic_search


def test_the_default_profile_is_the_same_mapping() -> None:
    """Each value in the field of its name, and a field of INGEST_BLOB_FIELDS too."""
    profile = load_profile(build_settings({"INGEST_BLOB_FIELDS": "unit"}, {}))
    mapping = bind_own_profile(profile)
    values = VALUES | {"unit": "HR", "of_a_root": "its own"}
    assert mapping.to_document(values) == {n: v for n, v in values.items() if n != "meta:unit"}
    assert not DEFAULT_PROFILE.is_foreign


def test_a_profile_of_ones_own(tmp_path: Any) -> None:
    """Metadata, constants and types that fit; the key has another name."""
    profile = write_profile(
        """
        [fields]
        key = "id"
        text = "content"
        vector = "embedding"
        path = "headings"
        titles = "title"
        page = "page_start"
        link = "url"
        unit = "meta:Unit"
        area = "tag:Area"
        tenant = { constant = 7 }
        [semantic]
        title = "titles"
        content = ["text"]
        keywords = []
        """,
        tmp_path,
    )
    types = {"titles": "Collection(Edm.String)", "page": "Edm.Int64", "tenant": "Edm.String"}
    existing = {
        r.field.name: dataclasses.replace(r.field, type=types.get(r.field.name, r.field.type))
        for r in profile.rules
    }
    existing["path"] = Field("path", filterable=True)
    mapping, missing, problems = bind_profile(profile, existing)
    document = mapping.to_document(VALUES | {"meta:Unit": "HR"})
    del document["vector"]

    assert (missing, problems, profile.is_foreign) == ([], [], True)
    assert document == {
        "key": CHUNK.id,
        "text": CHUNK.text,
        "path": "Leave > Paid",
        "titles": ["Handbook"],
        "page": 2,
        "link": f"{URL}#page=2",
        "unit": "HR",
        "area": None,  # of no blob, or of one without the tag
        "tenant": "7",
    }
    assert profile.blob_fields() == [
        BlobField("meta:Unit", "unit", tag=False, is_list=False),
        BlobField("tag:Area", "Area", tag=True, is_list=False),
    ]


def test_a_copy_keeps_all_that_its_chunk_was_made_of() -> None:
    """So that the chunk can be written again without reading or embedding anything."""
    again = copy_from_document(copy_to_document(VALUES | {"names": "n", "text_hash": "h"}))
    assert np.array_equal(again.pop("embedding"), VALUES["embedding"])
    assert again | {"names": VALUES["names"]} == {
        **{name: value for name, value in VALUES.items() if name != "embedding"},
        "text_hash": "h",
    }


@pytest.mark.parametrize(
    ("definition", "profile", "words"),
    [
        (demo(4), RAG, "it has no field contentVector for the embedding"),
        (
            gpt_rag(4) | {"fields": [f for f in gpt_rag(4)["fields"] if f["name"] != "content"]},
            RAG,
            "it has no field content",
        ),
    ],
)
def test_an_index_that_cannot_be_filled_says_why(
    definition: Definition, profile: str, words: str
) -> None:
    """Without a key, a text or a vector."""
    _, _, problems = bind_profile(find_profile(profile), fields(definition))
    assert words in "; ".join(problems)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fields = 1", "fields must be a table"),
        ("[fields]\nid = 'id'", "exactly one field must take the value content"),
        ("extends = 'gpt-rag'\n[fields]\ntitle = 'titel'", "titel, which is not a value"),
        ("extends = 'gpt-rag'\n[fields]\n1x = 'title'", "1x is not a field name"),
        ("extends = 'gpt-rag'\n[fields]\nx = {}", "x needs a value or a constant"),
        ("extends = 'gpt-rag'\n[fields]\nx = { value = 'title', key = true }", "x has no key"),
        ("extends = 'gpt-rag'\nsemantics = 1", "the profile has no semantics"),
        (
            "extends = 'gpt-rag'\n[vectors]\noversampling = 'x'",
            "vectors.oversampling must be of type float",
        ),
        ("extends = 'gpt-rag'\n[vectors]\ntruncate = 64", "truncate needs a compression"),
        ("extends = 'gpt-rag'\n[semantic]\ntitle = 'x'", "semantic names x"),
        ("extends = 'gpt-rag'\n[encryption]\nvault = 'x'", "encryption needs vault and key"),
        ("extends = 'ingest'\n[fields]\nkind = 'title'", "kind is a field of ingest"),
        ("extends = 'ingest'\n[vectors]\nstored = false", "stored = false needs"),
        ("extends = 'x'", "expected a file that ends in .toml, or one of ingest, azure-search"),
        ("[fields", "not valid TOML"),
    ],
)
def test_a_wrong_profile_is_explained(text: str, words: str, tmp_path: Any) -> None:
    """In one line, with what is expected."""
    with pytest.raises(ConfigError) as caught:
        write_profile(text, tmp_path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
