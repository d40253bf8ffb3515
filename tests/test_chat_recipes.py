"""The recipes of docs/chat.md for azure-search-openai-demo, against that project's own defaults."""

from __future__ import annotations

import re

import pytest

from ingest.config.embedding import embedding_endpoints
from ingest.config.profile import load_profile
from ingest.config.settings import build_settings
from tests.conftest import ROOT

# infra/main.bicep and main.parameters.json of the sample, November 2026.
DEMO_DEFAULTS = {
    "AZURE_SEARCH_INDEX": "gptkbindex",
    "AZURE_SEARCH_FIELD_NAME_EMBEDDING": "embedding",
    "AZURE_OPENAI_EMB_MODEL_NAME": "text-embedding-3-large",
    "AZURE_OPENAI_EMB_DIMENSIONS": "3072",
}
SECTION = (ROOT / "docs/chat.md").read_text(encoding="utf-8").partition("## azure-search-openai")[2]
RECIPES = re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)


@pytest.mark.parametrize("recipe", RECIPES)
def test_both_sides_of_a_recipe_mean_the_same_vectors(recipe: str) -> None:
    """Index, field, model and dimensions are those of the sample, or passed to it."""
    demo = DEMO_DEFAULTS | dict(re.findall(r"^azd env set (\w+) (\S+)", recipe, re.MULTILINE))
    settings = build_settings(dict(re.findall(r"^export (\w+)=(\S+)", recipe, re.MULTILINE)), {})
    (endpoint,) = embedding_endpoints(settings)

    assert {
        "AZURE_SEARCH_INDEX": settings.search_index,
        "AZURE_SEARCH_FIELD_NAME_EMBEDDING": load_profile(settings).field_of("embedding"),
        "AZURE_OPENAI_EMB_MODEL_NAME": endpoint.model,
        "AZURE_OPENAI_EMB_DIMENSIONS": str(endpoint.dimensions),
    } == {name: demo[name] for name in DEMO_DEFAULTS}
    services = {
        "AZURE_SEARCH_SERVICE": settings.search_endpoint,
        "AZURE_OPENAI_SERVICE": endpoint.url,
        "AZURE_OPENAI_EMB_DEPLOYMENT": f"https://{endpoint.deployment}",
    }
    for name in services.keys() & demo.keys():
        assert services[name].startswith(f"https://{demo[name]}")
    assert settings.search_index in DEMO_DEFAULTS.values() or services.keys() <= demo.keys()


def test_there_are_two_recipes() -> None:
    """The sample's own index, and one of ours."""
    assert len(RECIPES) == 2
