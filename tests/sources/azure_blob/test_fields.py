"""Index fields from blob metadata: the setting, the listing, the role it needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from azure.storage.blob import ContainerClient

from ingest.config.settings import build_settings
from ingest.errors import ConfigError, RoleError
from ingest.index.azure.serialize import estimate_bytes, request_body
from ingest.index.schema import (
    CHUNK_FIELD_NAMES,
    MAX_TERM_BYTES,
    RESERVED_FIELD_NAMES,
    chunk_to_document,
)
from ingest.models import BlobField, Chunk, IndexEntry, Source, Values
from ingest.sources.azure_blob.container import Container
from ingest.sources.azure_blob.location import parse_container_url
from tests.emulator.emulator import Azure
from tests.emulator.identity import BLOB_OWNER
from tests.sources.shelves import InAzurite, storage
from tests.sources.test_contract import in_azurite  # noqa: F401 - fixture


def parse_mapping(text: str) -> tuple[BlobField, ...]:
    return build_settings({"INGEST_BLOB_FIELDS": text}, {}).blob_fields


@contextmanager
def container(url: str, text: str) -> Iterator[Container]:
    """A root whose blobs fill these fields."""
    with closing(storage(url)) as requests:
        yield Container(parse_container_url(url), requests, 100, parse_mapping(text))


def read_fields(root: Container) -> dict[str, Values]:
    return {item.name: item.fields for item in root.list() if isinstance(item, Source)}


def test_a_field_may_have_the_name_of_what_fills_it_or_another() -> None:
    """Metadata is found however its name is written; index tags only as they are."""
    assert parse_mapping(" department, title=DocTitle ,area=tag:Area,") == (
        BlobField("department", "department", tag=False),
        BlobField("title", "doctitle", tag=False),
        BlobField("area", "Area", tag=True),
    )


@pytest.mark.parametrize(
    "text",
    [
        *("tag:Area", "two words=x", "2nd=x", "a=", "a=tag:", "=x", "ämter=x", "azureSearchX=x"),
        *("a,a=b", "a,A=b", "id=x", "content=x", "Root=x", "embedding=x", "size=x"),
    ],
)
def test_a_mapping_that_cannot_be_meant_names_the_variable(text: str) -> None:
    """One line says which setting is wrong, before anything is asked of a service."""
    with pytest.raises(ConfigError, match=r"INGEST_BLOB_FIELDS=.*expected") as caught:
        parse_mapping(text)
    assert "\n" not in str(caught.value)


def test_no_field_of_the_index_can_be_overwritten() -> None:
    """Only a category and a title can be mine to say."""
    assert set(CHUNK_FIELD_NAMES) - RESERVED_FIELD_NAMES == {"category", "title"}


def test_metadata_and_tags_come_with_the_listing(azure: Azure) -> None:
    """What a blob does not say, or says with nothing, is null and not left out."""
    azure.identity.default.grant(BLOB_OWNER)
    azure.blob.put("docs", "a.pdf", b"%PDF-", metadata={"Department": "Sales", "x": "y"})
    azure.blob.put("docs", "b.pdf", b"%PDF-", metadata={"department": ""}, tags={"Area": "North"})
    azure.blob.put("docs", "c.pdf", b"%PDF-", tags={"area": "South"})

    with container(f"{azure.blob_endpoint}/docs", "department,region=tag:Area") as root:
        found = read_fields(root)

    assert found == {
        "a.pdf": (("department", "Sales"), ("region", None)),
        "b.pdf": (("department", None), ("region", "North")),
        "c.pdf": (("department", None), ("region", None)),
    }


def test_a_change_of_tags_or_of_the_mapping_is_a_change(azure: Azure) -> None:
    """The service leaves the etag as it is, and the blob is read nevertheless."""
    azure.identity.default.grant(BLOB_OWNER)
    blob = azure.blob.put("docs", "a.pdf", b"%PDF-", tags={"Area": "North"})
    url = f"{azure.blob_endpoint}/docs"
    seen = []
    for text in ("", "area=tag:Area", "region=tag:Area", "region=tag:Area", "other=tag:Other"):
        with container(url, text) as root:
            (source,) = root.list()
            assert isinstance(source, Source)
            with root.open(source) as file:
                file.seek(0)
                assert file.read() == b"%PDF-"
            seen.append(source.modified)

    assert seen[0] == seen[4] == blob.etag
    assert seen[2] == seen[3]
    assert len(set(seen)) == 3


def test_tags_take_a_role_of_their_own(azure: Azure) -> None:
    """The right role is named, with what else helps; metadata needs no more than reading does."""
    azure.blob.put("docs", "a.pdf", b"%PDF-", metadata={"area": "North"})
    url = f"{azure.blob_endpoint}/docs"
    with container(url, "area") as root:
        assert read_fields(root) == {"a.pdf": (("area", "North"),)}
    with container(url, "area=tag:Area") as root, pytest.raises(RoleError) as caught:
        read_fields(root)
    for word in ('--role "Storage Blob Data Owner"', "INGEST_BLOB_FIELDS", "blobs/tags/read"):
        assert word in str(caught.value)


def test_a_value_too_long_to_filter_by_is_cut() -> None:
    """One blob's long description does not cost its document; no character is cut in two."""
    chunk = Chunk("id", "text", 1, 0, 0, 4, 1, 1, (), ())
    long = (("title", "Saws"), ("about", "é" * MAX_TERM_BYTES))
    source = Source("root", "a/b.pdf", "https://x/a/b.pdf", 1, "1", fields=long)
    document = chunk_to_document(IndexEntry(source, source.location, "f", "its own", chunk))

    assert estimate_bytes(document) > len(request_body("merge", [document]))
    assert document["about"] == "é" * (MAX_TERM_BYTES // 2)
    assert (document["category"], document["title"]) == ("a", "Saws")


@pytest.mark.azurite
def test_azurite_agrees_on_metadata_and_tags(in_azurite: InAzurite) -> None:  # noqa: F811
    """Microsoft's own emulator lists both, and a change of tags leaves the etag."""
    client: ContainerClient = in_azurite.client
    blob = client.upload_blob(
        "a.pdf", b"%PDF-", metadata={"Department": "Sales"}, tags={"Area": "North"}
    )
    url = in_azurite.root.name
    with container(url, "department,area=tag:Area") as root:
        assert read_fields(root) == {"a.pdf": (("department", "Sales"), ("area", "North"))}
        (before,) = root.list()
        blob.set_blob_tags({"Area": "South"})
        (after,) = root.list()
    assert isinstance(before, Source)
    assert isinstance(after, Source)
    assert dict(after.fields)["area"] == "South"
    assert before.modified.split(" ")[0] == after.modified.split(" ")[0]
    assert before.modified != after.modified
