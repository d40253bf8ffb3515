"""Options of a profile for a new index, and what an update leaves alone. Through the real SDK."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.config.connections import create_connections
from ingest.config.embedding import create_embedder
from ingest.config.index import connect_azure_index, open_index
from ingest.config.settings import Settings
from ingest.errors import ConfigError, RoleError
from ingest.index import Flaw
from ingest.models import ChunkFigure, FigureKind, IndexEntry
from tests.commands.doctor.test_profile import create_index
from tests.conftest import DIMENSIONS
from tests.emulator.emulator import Azure
from tests.emulator.identity import SERVICE_CONTRIBUTOR
from tests.index.foreign_indexes import gpt_rag, langchain
from tests.index.test_contract import A, B
from tests.runs import client

OPTIONS = """
[vectors]
compression = "binary"
truncate = 4
oversampling = 10

[encryption]
vault = "https://contoso.vault.azure.net"
key = "search"
version = "7"
"""
KEY = {
    "keyVaultKeyName": "search",
    "keyVaultKeyVersion": "7",
    "keyVaultUri": "https://contoso.vault.azure.net",
}


def find_flaws(settings: Settings, *entries: IndexEntry) -> list[Flaw]:
    """Open the index as a run does, which creates or updates it; what is wrong with it."""
    connections = create_connections(settings)
    with (
        closing(create_embedder(settings, connections)) as model,
        closing(open_index(settings, model, connections, create=True)) as index,
    ):
        index.hold()
        if not index.totals().chunks:
            index.upload(entries or [A, B])
            index.wait_until_listed()
        return list(index.flaws(DIMENSIONS, thorough=False))


@pytest.mark.parametrize("base", ["ingest", "gpt-rag"])
def test_a_new_index_has_the_options_of_its_profile(
    azure: Azure, base: str, tmp_path: Path
) -> None:
    """Compressed to bits, truncated, and encrypted with a key of one's own, records too."""
    profile = tmp_path / "contoso.toml"
    profile.write_text(f'extends = "{base}"\n{OPTIONS}')
    find_flaws(client(azure, INGEST_PROFILE=str(profile), AZURE_SEARCH_INDEX="new"))

    names = {"new"} if base == "ingest" else {"new", "new-ingest"}
    assert azure.search.indexes.keys() == names
    definition = azure.search.indexes["new"].definition
    (compression,) = definition["vectorSearch"]["compressions"]
    assert (compression["kind"], compression["truncationDimension"]) == ("binaryQuantization", 4)
    assert compression["rescoringOptions"]["defaultOversampling"] == 10
    assert definition["vectorSearch"]["profiles"][0]["compression"] == compression["name"]
    assert all(azure.search.indexes[name].definition["encryptionKey"] == KEY for name in names)


def test_a_new_index_of_the_demo_has_images(azure: Azure) -> None:
    """An index that I create has a field for them; the path of a folder of mine stays here."""
    settings = client(
        azure,
        INGEST_PROFILE="azure-search-openai-demo",
        INGEST_FIGURES_TO="figures",
        AZURE_SEARCH_INDEX="new",
    )
    image = "file:///home/ann/figures/1.png"
    figure = ChunkFigure(FigureKind.CHART, (0.0, 0.0, 1.0, 0.5), "gpt", image)
    find_flaws(settings, replace(A, chunk=replace(A.chunk, figure=figure)))
    (stored,) = azure.search.indexes["new"].latest.values()
    (shown,) = stored["images"]
    assert (shown["url"], shown["boundingbox"]) == ("1.png", [0.0, 0.0, 1.0, 0.5])


def test_an_update_leaves_what_an_application_added_alone(azure: Azure) -> None:
    """Scoring profiles, synonym maps, suggesters, CORS, and fields of other names."""
    definition = gpt_rag(DIMENSIONS)
    definition["fields"] = [f for f in definition["fields"] if f["name"] != "filepath"]
    for found in definition["fields"]:
        if found["name"] == "content":
            found["synonymMaps"] = ["terms"]
    suggester = {"name": "sg", "searchMode": "analyzingInfixMatching", "sourceFields": ["title"]}
    scoring = {"name": "fresh", "text": {"weights": {"title": 2.0}}}
    index = create_index(
        azure, definition | {"scoringProfiles": [scoring], "suggesters": [suggester]}
    )
    before = index.definition

    chosen = client(azure, INGEST_PROFILE="gpt-rag", AZURE_SEARCH_INDEX="ragindex")
    find_flaws(chosen)
    assert index.definition == before
    find_flaws(
        client(
            azure, INGEST_PROFILE="gpt-rag", AZURE_SEARCH_INDEX="ragindex", INGEST_ADD_FIELDS="yes"
        )
    )
    *old, new = index.definition["fields"]
    assert (old, new["name"]) == (before["fields"], "filepath")
    assert index.definition | {"fields": old} == before


def test_the_default_profile_leaves_an_application_s_index_alone(azure: Azure) -> None:
    """It names the profile instead of the attributes that are lacking, or a raw 400."""
    index = create_index(azure, gpt_rag(DIMENSIONS))
    before = index.definition
    with pytest.raises(ConfigError, match="application: set INGEST_PROFILE=gpt-rag, which fits"):
        find_flaws(client(azure, AZURE_SEARCH_INDEX="ragindex"))
    assert index.definition == before
    assert azure.search.indexes.keys() == {"ragindex"}


def test_an_index_of_unknown_layout_is_described(azure: Azure) -> None:
    """The message has what I need to write a profile: the fields of the index."""
    definition = langchain(DIMENSIONS)
    definition["fields"][0]["name"] = "chunk_id"
    create_index(azure, definition)
    with pytest.raises(ConfigError, match="maps its fields chunk_id, content, content_vector, met"):
        find_flaws(client(azure, AZURE_SEARCH_INDEX="langchain"))


def test_who_may_only_write_documents_fills_what_others_prepared(azure: Azure) -> None:
    """By the fields that an earlier run has recorded; before one, the missing role is named."""
    azure.search.delays.search = azure.search.delays.lookup = 0
    index = create_index(azure, gpt_rag(DIMENSIONS))
    chosen = client(azure, INGEST_PROFILE="gpt-rag", AZURE_SEARCH_INDEX="ragindex")
    azure.identity.default.withdraw(SERVICE_CONTRIBUTOR)
    with pytest.raises(RoleError, match="Search Service Contributor"):
        find_flaws(chosen)
    azure.identity.default.grant(SERVICE_CONTRIBUTOR)
    assert find_flaws(chosen) == []
    with pytest.raises(ConfigError, match="filled with vectors of text-embedding-3-large"):
        find_flaws(replace(chosen, openai_model="text-embedding-3-small"))
    azure.identity.default.withdraw(SERVICE_CONTRIBUTOR)
    assert find_flaws(chosen) == []

    index.written(A.chunk.id, None, azure.clock.now(), azure.search.delays)
    connections = create_connections(chosen)
    with closing(connect_azure_index(chosen, connections, may_be_absent=False)) as found:
        (flaw,) = found.flaws(DIMENSIONS, thorough=False)
        assert (flaw.id, flaw.reason) == (A.chunk.id, "ragindex lacks it or its text")
        found.repair_local()
    assert index.latest.keys() == {A.chunk.id, B.chunk.id}


def test_a_chunk_or_its_copy_that_was_emptied_is_found(azure: Azure) -> None:
    """Each of them is a flaw for a thorough check, and a text is written again from its copy."""
    azure.search.delays.search = azure.search.delays.lookup = 0
    index = create_index(azure, gpt_rag(DIMENSIONS))
    chosen = client(azure, INGEST_PROFILE="gpt-rag", AZURE_SEARCH_INDEX="ragindex")
    assert find_flaws(chosen) == []
    a, b = A.chunk.id, B.chunk.id
    copies = azure.search.indexes["ragindex-ingest"]
    for spoilt, key, name in (
        (index, a, "content"),
        (copies, a, "sourcepage"),
        (copies, b, "embedding"),
    ):
        values = {**spoilt.latest[key], name: None}
        spoilt.written(key, values, azure.clock.now(), azure.search.delays)
    connections = create_connections(chosen)
    with closing(connect_azure_index(chosen, connections, may_be_absent=False)) as found:
        flaws = {flaw.id: flaw.reason for flaw in found.flaws(DIMENSIONS, thorough=True)}
        assert flaws == {a: "ragindex lacks it or its text", b: "its copy has no vector"}
        copies.written(
            a, {**copies.latest[a], "sourcepage": "1"}, azure.clock.now(), azure.search.delays
        )
        found.repair_local()
    assert index.latest[a]["content"] == A.chunk.text
