"""Manifest of an index: the format and the recipe that it is written in, and by which version.

Each writer compares it with its own, so that neither an earlier version nor a job with other
settings converts an index unasked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from ingest.index.field_values import field_values
from ingest.models import Recipe, __version__

# Incremented when earlier versions must no longer write to an index.
INDEX_FORMAT = 3

SCHEMA_FIELD = "schema"  # of a recipe: a new version changes it by itself
# Those fields of a recipe whose default a new version may change, too.
DEFAULTED_FIELDS = ("extractor", "chunk_tokens", "overlap")


@dataclass(frozen=True, slots=True)
class Manifest:
    """Format, recipe and version that an index is written in."""

    format: int
    version: str  # of ingest
    digest: str  # of the recipe
    recipe: dict[str, Any]
    defaults: dict[str, Any]  # of the settings in the recipe, in that version


@dataclass(frozen=True, slots=True)
class Difference:
    """A field of a recipe with another value than in an index."""

    field: str
    stored: object
    wanted: object


def create_manifest(recipe: Recipe, default: Recipe) -> Manifest:
    """Return the manifest of an index that this version writes; `default`: without settings."""
    defaults = {name: getattr(default, name) for name in DEFAULTED_FIELDS}
    return Manifest(INDEX_FORMAT, __version__, recipe.digest, asdict(recipe), defaults)


def manifest_to_json(manifest: Manifest) -> str:
    """Serialize a manifest."""
    return json.dumps(asdict(manifest), separators=(",", ":"))


def manifest_from_json(text: str) -> Manifest | None:
    """Deserialize a manifest of any version; None for one that cannot be read.

    The next run compares the records with its own, as in an index without a manifest.
    """
    try:
        found = Manifest(**field_values(Manifest, json.loads(text)))
    except (ValueError, TypeError):
        return None
    return found if isinstance(found.recipe.get(SCHEMA_FIELD), int) else None


def is_from_newer_version(stored: Manifest, wanted: Manifest) -> bool:
    """Return whether a newer version has changed how an index's documents are read."""
    if stored.digest == wanted.digest:
        return False
    is_unknown = not stored.recipe.keys() <= wanted.recipe.keys()
    return is_unknown or stored.recipe[SCHEMA_FIELD] > wanted.recipe[SCHEMA_FIELD]


def find_differences(stored: Manifest, wanted: Manifest) -> Iterator[Difference]:
    """Yield the differences of two recipes that come from settings, not from the version.

    A setting that is left at its default, then and now, may differ because the default does.
    """
    for name, new in wanted.recipe.items():
        old = stored.recipe.get(name, new)  # an option of this version
        is_default = name in stored.defaults and (
            (old, new) == (stored.defaults[name], wanted.defaults[name])
        )
        if name != SCHEMA_FIELD and old != new and not is_default:
            yield Difference(name, old, new)
