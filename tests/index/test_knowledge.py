"""A knowledge base over an index, through the real SDK."""

from __future__ import annotations

import json

import pytest

from ingest.cli.knowledge import main
from ingest.cli.parser import build_parser
from ingest.errors import ConfigError
from tests.conftest import DIMENSIONS
from tests.emulator.emulator import Azure
from tests.emulator.identity import SERVICE_CONTRIBUTOR
from tests.emulator.schema import normalize
from tests.emulator.store import Index
from tests.index.foreign_indexes import Definition, demo


def prepare(azure: Azure, patch: pytest.MonkeyPatch, definition: Definition) -> None:
    """An application's index, and the settings to fill it."""
    name = "gptkbindex"
    azure.search.indexes[name] = Index(normalize(definition, name), azure.search.etag())
    settings = {"AZURE_SEARCH_INDEX": name, "INGEST_PROFILE": "azure-search-openai-demo"}
    for key, value in (azure.environment | settings).items():
        patch.setenv(key, value)


def command(*arguments: str) -> int:
    """The command's exit code."""
    return main(build_parser().parse_args(["knowledge", *arguments]))


def test_a_knowledge_base_is_made_and_updated(
    azure: Azure, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It cites by the fields that the index has, and says where it is; without a key."""
    prepare(azure, monkeypatch, demo(DIMENSIONS))
    assert command("--json") == 0
    assert json.loads(capsys.readouterr().out)["url"].endswith("/knowledgebases/gptkbindex")
    source = azure.search.knowledge["knowledgesources", "gptkbindex"]
    parameters = source["searchIndexParameters"]
    assert parameters["searchIndexName"] == "gptkbindex"
    assert parameters["semanticConfigurationName"] == "default"
    cited = {field["name"] for field in parameters["sourceDataFields"]}
    assert cited == {"storageUrl", "sourcepage", "sourcefile"}
    assert command("--name", "handbook") == 0
    base = azure.search.knowledge["knowledgebases", "handbook"]
    assert base["knowledgeSources"] == [{"name": "handbook"}]


@pytest.mark.parametrize(
    ("flaw", "words"),
    [
        ("semantic", "has no semantic configuration"),
        ("index", "gptkbindex does not exist"),
        ("role", "Search Service Contributor"),
        ("folder", "set AZURE_SEARCH_ENDPOINT"),
    ],
)
def test_what_is_missing_is_named(
    flaw: str, words: str, azure: Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is made."""
    definition = demo(DIMENSIONS)
    if flaw == "semantic":
        del definition["semantic"]
    prepare(azure, monkeypatch, definition)
    if flaw == "index":
        azure.search.indexes.clear()
    if flaw == "role":
        azure.identity.default.withdraw(SERVICE_CONTRIBUTOR)
    with pytest.raises(ConfigError, match=words):
        command(*(["--index", "somewhere"] if flaw == "folder" else []))
    assert azure.search.knowledge == {}
