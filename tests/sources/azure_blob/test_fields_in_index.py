"""Whole runs from a container into Azure AI Search: what blobs say, in the fields of the index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ingest.config.connections import create_connections
from ingest.config.factory import open_services
from ingest.config.settings import build_settings
from ingest.config.sources import open_roots
from ingest.errors import ConfigError
from ingest.models import Mode, Permissions, SourceResult
from ingest.pipeline.context import Run
from ingest.pipeline.root import ingest_root
from ingest.runtime.cancellation import Cancellation
from tests.conftest import DIMENSIONS, results_by_source
from tests.emulator.emulator import Azure
from tests.emulator.identity import BLOB_OWNER, SERVICE_CONTRIBUTOR
from tests.emulator.schema import normalize
from tests.emulator.store import Delays, Index
from tests.index.foreign_indexes import Definition, demo, demo_full
from tests.pdfs import pdf, prose

MAPPING = "department,title=DocTitle,category=tag:Area"
PERMITTED = {"INGEST_BLOB_FIELDS": "oids=meta:users[],groups=meta:teams[]"}
SAWS, ANVILS = pdf(prose("saws")), pdf(prose("anvils"))


@pytest.fixture(autouse=True)
def filled(azure: Azure) -> None:
    """Two blobs; one says much of itself, the other nothing."""
    azure.identity.default.grant(BLOB_OWNER)
    about = {"metadata": {"Department": "Sales", "doctitle": "Of Saws"}, "tags": {"Area": "North"}}
    azure.blob.put("docs", "tools/a.pdf", SAWS, **about)
    azure.blob.put("docs", "tools/b.pdf", ANVILS)


def variables(azure: Azure) -> dict[str, str]:
    return azure.environment


def run(azure: Azure, mapping: str = MAPPING, **more: str) -> dict[str, SourceResult]:
    """One run over the container; what became of each blob."""
    chosen = build_settings(variables(azure) | {"INGEST_BLOB_FIELDS": mapping} | more, {})
    stop, to = Cancellation(), create_connections(chosen)
    with (
        open_services(chosen, stop, write=True, connections=to) as all_,
        open_roots([f"{azure.blob_endpoint}/docs"], chosen, to) as (root,),
    ):
        return results_by_source(list(ingest_root(root, all_, Run("r", stop=stop))))


def find_blobs(azure: Azure, person: Permissions, **more: str) -> list[str]:
    """The blobs that a person finds."""
    azure.search.settle()
    chosen = build_settings(variables(azure) | PERMITTED | more, {})
    with open_services(chosen, Cancellation(), write=False) as all_:
        hits = all_.index.search_permitted("saws anvils", None, Mode.TEXT, 9, person)
        return sorted({str(hit.fields["source"]) for hit in hits})


def make_index(azure: Azure, definition: Definition) -> Index:
    """The index, as its application made it."""
    name = variables(azure)["AZURE_SEARCH_INDEX"]
    index = Index(normalize(definition | {"name": name}, name), azure.search.etag())
    azure.search.indexes[name] = index
    return index


def chunks(azure: Azure, where: str) -> list[dict[str, Any]]:
    """The chunks that a filter of an application finds."""
    azure.search.settle()
    chosen = build_settings(variables(azure), {})
    with open_services(chosen, Cancellation(), write=False) as all_:
        query = {"search_text": "*", "filter": f"kind eq 'chunk' and {where}", "top": 100}
        found: list[dict[str, Any]] = all_.index.documents.search_page(**query)  # type: ignore[attr-defined]
        return found


def distinct_values(rows: list[dict[str, Any]], *names: str) -> set[tuple[Any, ...]]:
    """Distinct combinations of the values of these fields."""
    return {tuple(chunk[name] for name in names) for chunk in rows}


def test_an_application_can_filter_by_what_blobs_say(azure: Azure) -> None:
    """New fields are there and null where nothing is said; title and category fall back."""
    run(azure)
    saws = chunks(azure, "department eq 'Sales'")
    anvils = chunks(azure, "department eq null")

    assert distinct_values(saws, "sourcefile", "title", "category") == {
        ("tools/a.pdf", "Of Saws", "North")
    }
    assert distinct_values(anvils, "sourcefile", "title", "category") == {
        ("tools/b.pdf", "b", "tools")
    }


@pytest.mark.parametrize("foreign", [False, True])
def test_a_blob_is_found_by_who_may_read_it(azure: Azure, tmp_path: Path, foreign: bool) -> None:
    """In an index of our own, and in one that an application made, which filters by itself."""
    more: dict[str, str] = {}
    if foreign:
        profile = tmp_path / "mine.toml"
        profile.write_text('extends = "azure-search-openai-demo"\n[permissions]\nelevated = true\n')
        more = {"INGEST_PROFILE": str(profile)}
        index = make_index(azure, demo_full(DIMENSIONS))
        index.definition["permissionFilterOption"] = "enabled"
    users, teams = PERMITTED["INGEST_BLOB_FIELDS"], {"Teams": '["hr", "it"]'}
    azure.blob.put("docs", "tools/a.pdf", SAWS, metadata={"Users": "ann,bob"})
    done = run(azure, users, **more)
    assert (done["tools/b.pdf"].code, done["tools/b.pdf"].harmless) == (
        "permissions-unknown",
        False,
    )
    assert find_blobs(azure, Permissions(("bob",)), **more) == ["tools/a.pdf"]
    assert find_blobs(azure, Permissions(("eve",), ("hr",)), **more) == []

    paid = azure.count("openai")
    azure.blob.put("docs", "tools/a.pdf", SAWS, metadata=teams)
    assert run(azure, users, **more)["tools/a.pdf"].outcome == "changed"
    assert azure.count("openai") == paid
    assert find_blobs(azure, Permissions(("bob",)), **more) == []
    assert find_blobs(azure, Permissions(("eve",), ("hr",)), **more) == ["tools/a.pdf"]


def test_an_application_s_index_without_such_fields_is_not_filled(azure: Azure) -> None:
    """Its chunks would be everybody's."""
    index = make_index(azure, demo(DIMENSIONS))
    with pytest.raises(ConfigError, match="has no field oids, groups for permissions"):
        run(azure, PERMITTED["INGEST_BLOB_FIELDS"], INGEST_PROFILE="azure-search-openai-demo")
    assert index.latest == {}


def test_changed_metadata_embeds_nothing(azure: Azure) -> None:
    """The text is the same, so its vector stays; only the fields are written."""
    run(azure)
    paid = azure.count("openai")
    azure.blob.put("docs", "tools/a.pdf", SAWS, metadata={"department": "Service"})
    done = run(azure)

    assert (done["tools/a.pdf"].outcome, done["tools/a.pdf"].embedded) == ("changed", 0)
    assert done["tools/b.pdf"].outcome == "unchanged"
    assert azure.count("openai") == paid
    assert not chunks(azure, "department eq 'Sales'")
    moved = chunks(azure, "department eq 'Service'")
    assert len(moved) == done["tools/a.pdf"].chunks
    assert distinct_values(moved, "title", "category") == {("a", "tools")}
    assert all(e.outcome == "unchanged" for e in run(azure).values())


def test_what_a_blob_no_longer_says_leaves_the_index(azure: Azure) -> None:
    """A value that was taken away does not stay because nothing took its place."""
    run(azure)
    azure.blob.put("docs", "tools/a.pdf", SAWS)
    run(azure)

    assert not chunks(azure, "department ne null")
    assert distinct_values(chunks(azure, "department eq null"), "sourcefile") == {
        ("tools/a.pdf",),
        ("tools/b.pdf",),
    }


def test_an_index_that_is_there_gets_the_fields(azure: Azure) -> None:
    """Mapping them later reads the blobs that say something, and embeds none of them."""
    run(azure, "")
    paid = azure.count("openai")
    done = run(azure)

    assert {name: str(event.outcome) for name, event in done.items()} == {
        "tools/a.pdf": "changed",
        "tools/b.pdf": "unchanged",
    }
    assert azure.count("openai") == paid
    assert distinct_values(chunks(azure, "department eq 'Sales'"), "sourcefile") == {
        ("tools/a.pdf",)
    }


def test_who_may_not_add_fields_is_told_so(azure: Azure) -> None:
    """A job with the data role alone takes fields that are there, and says who must add others."""
    run(azure)
    azure.identity.default.withdraw(SERVICE_CONTRIBUTOR)
    assert {str(event.outcome) for event in run(azure).values()} == {"unchanged"}
    with pytest.raises(ConfigError, match=r"\(department, owner\).*Search Service Contributor"):
        run(azure, MAPPING + ",owner")


def test_an_index_of_an_earlier_version_is_read_and_completed(azure: Azure) -> None:
    """After an update what the index has can be seen, and the next run adds what it lacks."""
    azure.search.delays = Delays()
    run(azure, "")
    (index,) = azure.search.indexes.values()
    for name in ("code", "details", "author", "language", "created", "confidence", "page_offsets"):
        del index.fields[name]
    index.definition["fields"] = list(index.fields.values())
    chosen = build_settings(variables(azure), {})
    with open_services(chosen, Cancellation(), write=False) as all_:
        assert len(list(all_.index.records())) == 2
        (hit,) = all_.index.search("saws", None, Mode.TEXT, 1)
        assert (hit.fields["page_offsets"], hit.fields["page_start"]) == (None, 1)

    assert len(run(azure, "")) == 2

    with open_services(chosen, Cancellation(), write=False) as all_:
        assert len(list(all_.index.records())) == 2


def test_a_job_that_may_not_complete_an_index_says_who_may(azure: Azure) -> None:
    """The nightly job after an update names the role, and takes nobody's document for broken."""
    run(azure, "")
    (index,) = azure.search.indexes.values()
    del index.fields["confidence"]
    index.definition["fields"] = list(index.fields.values())
    azure.identity.default.withdraw(SERVICE_CONTRIBUTOR)
    azure.blob.put("docs", "tools/c.pdf", pdf(prose("mills")))
    with pytest.raises(ConfigError, match=r"is of an earlier version.*Search Service Contributor"):
        run(azure, "")
