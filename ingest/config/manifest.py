"""Check an index's format and recipe, right after its lock is taken."""

from __future__ import annotations

from collections.abc import Iterator
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
from ingest.models import DESCRIBES, IMAGES_IN, Recipe
from ingest.runtime.formatting import format_dollars, pluralize
from ingest.runtime.prices import Rates

SETTING_NAMES = {
    "extractor": "INGEST_EXTRACTOR",
    "chunk_tokens": "INGEST_CHUNK_TOKENS",
    "overlap": "INGEST_CHUNK_OVERLAP",
    "model": "AZURE_OPENAI_EMBEDDING_MODEL",
    "dimensions": "AZURE_OPENAI_EMBEDDING_DIMENSIONS",
    "figures": "INGEST_FIGURES",
}
EMPTY, LOCAL = '""', "local"  # values of settings
MAX_RECORDS_TO_COMPARE = 1000  # in an index whose version wrote no manifest
TAKE_OVER_HINT = (
    "or convert it with ingest run --take-over, or make a new one next to it with ingest rebuild"
)


def check_format(index: Index, name: str) -> None:
    """Raise ConfigError if a newer version wrote the index in a format unknown to this one."""
    stored = index.manifest()
    if stored and stored.format > INDEX_FORMAT:
        raise ConfigError(
            f"the index {name} was written by ingest {stored.version} (format {stored.format}, "
            f"this one knows {INDEX_FORMAT}): upgrade ingest, or choose another index"
        )


def check_recipe(
    index: Index, wanted: Manifest, name: str, rates: Rates, *, take_over: bool
) -> None:
    """Save a recipe in an index's manifest. Raises ConfigError if it has a different one.

    `take_over`: replace any recipe; without it, only one that differs by the version alone.
    """
    refusal = describe_other_recipe(index, wanted, name, rates)
    if refusal and not take_over:
        raise ConfigError(refusal)
    if index.manifest() != wanted:
        index.save_manifest(wanted)


def describe_other_recipe(index: Index, wanted: Manifest, name: str, rates: Rates) -> str:
    """Describe how the recipe of an index differs, and the cost of converting it.

    Returns "" if a run may convert it without being asked to.
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
        remedy = f"set {', '.join(each for d in differences for each in stored_settings(d))}"
    else:
        return ""
    cost = describe_cost(index, rates)
    if stored and cost and describes_anew(stored, wanted):
        cost += ", and have its figures described (ingest plan says at what cost)"
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


def stored_settings(difference: Difference) -> Iterator[str]:
    """Yield the settings that an index was filled with, as in "INGEST_CHUNK_TOKENS=512"."""
    if difference.field != "figures":
        yield f"{setting_name(difference)}={named_value(difference.stored)}"
        return
    stored, wanted = (read_figures(value) for value in (difference.stored, difference.wanted))
    names = ("INGEST_FIGURES", "INGEST_OCR", "INGEST_FIGURES_TO")
    if stored[0] == DESCRIBES.strip():
        names = ("INGEST_FIGURES", "AZURE_OPENAI_FIGURES_MODEL", "INGEST_FIGURES_TO")
    for name, value, other in zip(names, stored, wanted, strict=True):
        if value != other and (value or stored[0] == wanted[0]):
            yield f"{name}={value or EMPTY}"


def read_figures(value: object) -> tuple[str, str, str]:
    """Return how a recipe reads figures, with which engine or model, and where pictures go."""
    how, _, rest = str(named_value(value)).partition(" ")
    by, _, place = rest.partition(IMAGES_IN)
    if how == "text":  # INGEST_OCR is "local", or a URL, which no recipe has
        by = LOCAL if by.startswith(LOCAL) else f"ENDPOINT ({by})"
    return how, by, place


def describes_anew(stored: Manifest, wanted: Manifest) -> bool:
    """Return whether the model that describes figures has changed."""
    before, after = (read_figures(one.recipe.get("figures", "")) for one in (stored, wanted))
    return after[0] == DESCRIBES.strip() and before[:2] != after[:2]


def has_known_recipe(index: Index, recipe: Recipe) -> bool:
    """Return whether a version without manifests filled an index with these settings.

    Its records have the digest of their recipe, which may differ only in the schema.
    """
    digests = tuple(replace(recipe, schema=n).digest for n in range(1, recipe.schema + 1))
    records = islice(index.records(), MAX_RECORDS_TO_COMPARE)
    fingerprints = [record.fingerprint for record in records if record.fingerprint]
    return not fingerprints or any(each.startswith(digests) for each in fingerprints)


def describe_cost(index: Index, rates: Rates) -> str:
    """Describe the cost of converting an index; "" if it is empty."""
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
