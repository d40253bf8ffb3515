"""An application's index made anew next to the live one, and its alias moved."""

from __future__ import annotations

from pathlib import Path

from tests.commands.rebuild.test_rebuild_on_azure import client_settings, open_alias, rebuild
from tests.conftest import outcomes_by_source
from tests.emulator.emulator import Azure
from tests.emulator.schema import normalize
from tests.emulator.store import Index
from tests.index.foreign_indexes import gpt_rag
from tests.pdfs import prose, write
from tests.runs import run


def test_an_application_s_index_is_rebuilt_as_it_is(azure: Azure, folder: Path) -> None:
    """With all its fields; records go with it, and nothing is paid for again."""
    definition = gpt_rag(8) | {"scoringProfiles": [{"name": "fresh"}]}
    index = Index(normalize(definition, "ragindex"), azure.search.etag())
    azure.search.indexes["ragindex"] = index
    profile = {"INGEST_PROFILE": "gpt-rag"}
    chosen = client_settings(azure, AZURE_SEARCH_INDEX="ragindex", **profile)
    write(folder / "a.pdf", prose("cranes", 12))
    run(folder, chosen)
    with open_alias(chosen) as found:
        found.create_alias("live")
    paid = azure.openai.texts.total()

    live = client_settings(azure, AZURE_SEARCH_INDEX="live", **profile)
    new = rebuild(folder, live, keep=0)
    made = azure.search.indexes[new.index]
    assert azure.openai.texts.total() == paid
    assert azure.search.indexes.keys() == {
        *("ragindex", "ragindex-ingest"),  # which an application made, so it stays
        *(new.index, f"{new.index}-ingest"),
    }
    assert made.definition["scoringProfiles"] == [{"name": "fresh"}]
    assert [f["name"] for f in made.definition["fields"]] == [
        f["name"] for f in index.definition["fields"]
    ]
    assert made.latest.keys() == index.latest.keys()

    assert set(outcomes_by_source(run(folder, live)).values()) == {"unchanged"}
    again = rebuild(folder, live, keep=0)
    assert again.dropped == [new.index]
    assert f"{new.index}-ingest" not in azure.search.indexes
