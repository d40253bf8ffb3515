"""Guard of an index's format and recipe, which every writer passes once it holds the lock."""

from __future__ import annotations

import logging
from dataclasses import replace
from itertools import islice

from ingest.errors import ConfigError
from ingest.index import Index
from ingest.index.manifest import (
    INDEX_FORMAT,
    Difference,
    Manifest,
    find_differences,
    is_from_newer_version,
)
from ingest.models import Recipe
from ingest.runtime.formatting import format_dollars, pluralize
from ingest.runtime.prices import Rates

log = logging.getLogger(__name__)

SETTING_NAMES = {
    "extractor": "INGEST_EXTRACTOR",
    "chunk_tokens": "INGEST_CHUNK_TOKENS",
    "overlap": "INGEST_CHUNK_OVERLAP",
    "model": "AZURE_OPENAI_EMBEDDING_MODEL",
    "dimensions": "AZURE_OPENAI_EMBEDDING_DIMENSIONS",
    "figures": "INGEST_FIGURES",
}
MAX_RECORDS_TO_COMPARE = 1000  # of an index of a version without manifests
TAKE_OVER_HINT = (
    "ingest run --take-over converts it all the same, and ingest rebuild makes a new one next to it"
)


def check_format(index: Index, name: str) -> None:
    """Raise ConfigError if a newer version has written to an index in a way unknown to this one."""
    stored = index.manifest()
    if stored and stored.format > INDEX_FORMAT:
        raise ConfigError(
            f"the index {name} was written by ingest {stored.version} (format {stored.format}, "
            f"this one knows {INDEX_FORMAT}): upgrade ingest, or choose another index"
        )


def check_recipe(
    index: Index, wanted: Manifest, name: str, rates: Rates, *, take_over: bool
) -> None:
    """Save a recipe in an index's manifest. Raises ConfigError if the index has another one.

    `take_over`: replace any recipe. One that differs only by the version is replaced in any case.
    """
    refusal = describe_other_recipe(index, wanted, name, rates)
    if refusal and not take_over:
        raise ConfigError(refusal)
    if index.manifest() != wanted:
        index.save_manifest(wanted)


def describe_other_recipe(index: Index, wanted: Manifest, name: str, rates: Rates) -> str:
    """Describe why a run must not change an index's recipe unasked, and what it would cost.

    Returns "" if it may.
    """
    stored = index.manifest()
    if stored is None:
        if index.is_new or has_known_recipe(index, Recipe(**wanted.recipe)):
            return ""
        reason = "was filled with another extractor, chunk size, overlap or model"
        remedy = "use its settings"
    elif is_from_newer_version(stored, wanted):
        reason = f"was filled by ingest {stored.version}, which reads documents in a newer way"
        remedy = "upgrade ingest"
    elif differences := list(find_differences(stored, wanted)):
        reason = f"was filled with {join(differences)}"
        remedy = (
            f"set {', '.join(f'{setting_name(d)}={setting_value(d.stored)}' for d in differences)}"
        )
    else:
        return ""
    cost = describe_cost(index, rates)
    return f"the index {name} {reason}: {cost}; {remedy}; {TAKE_OVER_HINT}" if cost else ""


def join(differences: list[Difference]) -> str:
    """Join differences, as in "INGEST_CHUNK_TOKENS=512, not 256"."""
    return " and ".join(
        f"{setting_name(d)}={named_value(d.stored)}, not {named_value(d.wanted)}"
        for d in differences
    )


def setting_name(difference: Difference) -> str:
    """Return the name of the setting that decides a field of the recipe."""
    if difference.field == "model" and str(difference.stored).startswith("local"):
        return "INGEST_EMBEDDER"
    return SETTING_NAMES.get(difference.field, difference.field)


def named_value(value: object) -> object:
    """Return a value of a recipe; "none" for an empty one."""
    return "none" if value == "" else value


def setting_value(value: object) -> str:
    """Return a setting's value from a recipe's, which may name the engine after it."""
    return str(named_value(value)).partition(" ")[0]


def has_known_recipe(index: Index, recipe: Recipe) -> bool:
    """Return whether a version without manifests has filled an index with the same settings.

    Its records have the digest of its recipe, which differs in the schema at most.
    """
    digests = tuple(replace(recipe, schema=n).digest for n in range(1, recipe.schema + 1))
    records = islice(index.records(), MAX_RECORDS_TO_COMPARE)
    fingerprints = [record.fingerprint for record in records if record.fingerprint]
    return not fingerprints or any(each.startswith(digests) for each in fingerprints)


def describe_cost(index: Index, rates: Rates) -> str:
    """Describe what it would cost to convert an index; "" if it holds nothing."""
    documents = tokens = 0
    for record in index.records():
        documents += record.chunks > 0
        tokens += record.tokens
    if not documents:
        return ""
    usd = rates.usd(tokens, 0)
    price = f", {format_dollars(usd)}" if usd else ""
    return (
        f"this would read {pluralize(documents, 'document')} again and embed up to "
        f"{pluralize(tokens, 'token')}{price}"
    )
