"""Values between the stages: what identifies a recipe."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ingest import models
from ingest.models import Recipe

RECIPE = Recipe("auto", 512, 0.12, "text-embedding-3-small", 1536)


def test_an_index_of_an_earlier_version_is_up_to_date() -> None:
    """An upgrade reads everything again only if `schema` was raised: else the digest stays."""
    assert RECIPE.digest == "2eb0211350c0"


@dataclass(frozen=True)
class Extended(Recipe):
    """A recipe with an option that a later version added."""

    titles: bool = False


def test_a_new_option_changes_nothing_until_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option at the value that means "as before" leaves every document unchanged."""
    monkeypatch.setitem(models.UNCHANGED_AT, "titles", False)
    assert Extended("auto", 512, 0.12, "text-embedding-3-small", 1536, 4).digest == RECIPE.digest
    used = Extended("auto", 512, 0.12, "text-embedding-3-small", 1536, 4, titles=True)
    assert used.digest != RECIPE.digest


def test_a_changed_default_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents that were read with another default than today are read again."""
    monkeypatch.setitem(models.UNCHANGED_AT, "titles", True)  # the default was True once
    assert Extended("auto", 512, 0.12, "text-embedding-3-small", 1536, 4).digest != RECIPE.digest
