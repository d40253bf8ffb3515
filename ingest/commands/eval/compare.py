"""Compare recipes: fill a temporary index by each, from the same roots, and evaluate them.

The user's index is neither read nor changed. A text that an earlier recipe has embedded is not
embedded again, but counts in the tokens reported for each recipe.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from tempfile import TemporaryDirectory
from typing import Any

from ingest.commands.eval.cache import cache_embeddings
from ingest.commands.eval.evaluate import evaluate
from ingest.commands.eval.questions import Question
from ingest.commands.eval.results import Evaluation
from ingest.config.connections import create_connections
from ingest.config.embedding import embedder_locations, is_model_local
from ingest.config.factory import open_services
from ingest.config.figures import describes_figures
from ingest.config.location import Location
from ingest.config.settings import Settings, environment_settings
from ingest.config.sources import open_roots
from ingest.errors import ConfigError
from ingest.index.azure.profile import DEFAULT_NAME
from ingest.models import SourceResult, Vectors
from ingest.pipeline.context import Run
from ingest.pipeline.dry_run import dry_run
from ingest.pipeline.root import ingest_root
from ingest.pipeline.totals import RunTotals
from ingest.runtime.cancellation import Cancellation

# Settings that may differ between recipes of one model, by their names on the command line.
RECIPE_SETTINGS = {
    "chunk-tokens": "chunk_tokens",
    "tokens": "chunk_tokens",
    "chunk-overlap": "chunk_overlap",
    "overlap": "chunk_overlap",
    "extractor": "extractor",
}


@dataclass(frozen=True, slots=True)
class RecipeResult:
    """Size and scores of the index of one recipe."""

    name: str
    chunks: int
    tokens: int  # to embed, without tokens of chunks that earlier recipes have embedded
    evaluation: Evaluation


def parse_recipes(specifications: Sequence[str], settings: Settings) -> list[Settings]:
    """Parse --compare: the settings unchanged, then each distinct variation of them.

    "tokens=256,512" gives two variations; several names in one specification are combined, so that
    "tokens=256,512,overlap=0,0.2" gives four. Raises ConfigError for an invalid specification.
    """
    found = [settings]
    for specification in specifications:
        values: dict[str, list[Any]] = {}
        name = ""
        for part in specification.split(","):
            before, equals, text = part.rpartition("=")
            name = before.strip() if equals else name
            if name not in RECIPE_SETTINGS:
                raise ConfigError(
                    f"--compare {specification}: expected {', '.join(RECIPE_SETTINGS)}, "
                    "as in chunk-tokens=256,512"
                )
            values.setdefault(RECIPE_SETTINGS[name], []).append(
                parse_setting(RECIPE_SETTINGS[name], text.strip())
            )
        for varied in product(*values.values()):
            changed = replace(settings, **dict(zip(values, varied, strict=True)))
            found += [changed] if changed not in found else []
    return found


def parse_setting(name: str, text: str) -> Any:
    """Parse the value of a setting. Raises ConfigError if it is invalid."""
    (field,) = (field for field in environment_settings() if field.name == name)
    try:
        return field.metadata["parse"](text)
    except ValueError:
        raise ConfigError(
            f"--compare {name}={text}: not a value of {field.metadata['env']}"
        ) from None


def describe_recipe(settings: Settings) -> str:
    """Describe a recipe to users."""
    parts = f"{settings.chunk_tokens} tokens, overlap {settings.chunk_overlap:g}"
    return parts if settings.extractor == "auto" else f"{parts}, {settings.extractor}"


def side_settings(settings: Settings, folder: str) -> Settings:
    """Return the settings for a temporary index: without paid OCR, figures and spending limits.

    A limit would leave the index half filled; `check_token_limit` checks the total beforehand.
    """
    ocr = "" if Location.parse(settings.ocr).is_service else settings.ocr
    unlimited = replace(settings, max_tokens=None, max_cost=None)
    return replace(
        unlimited,
        index=folder,
        blob_fields=(),
        profile=DEFAULT_NAME,
        ocr=ocr,
        figures="none" if describes_figures(settings) else settings.figures,
        engine="",
    )


def check_token_limit(
    variations: Sequence[Settings], names: Sequence[str], max_tokens: float | None
) -> None:
    """Raise ConfigError if a remote model would embed more tokens than allowed."""
    if max_tokens is None and is_model_local(variations[0]):
        return
    needed = sum(count_recipe_tokens(settings, names) for settings in variations)
    if needed > (max_tokens or 0):
        raise ConfigError(
            f"comparing {len(variations)} recipes takes up to {needed:,} tokens of "
            f"{', '.join(embedder_locations(variations[0]))}: allow them with --max-tokens {needed}"
        )


def count_recipe_tokens(settings: Settings, names: Sequence[str]) -> int:
    """Count the tokens that a recipe would embed."""
    stop = Cancellation()
    with TemporaryDirectory(prefix="ingest-") as folder:
        chosen = side_settings(settings, f"{folder}/none")
        to = create_connections(chosen, stop)
        with (
            open_roots(names, chosen, to) as roots,
            open_services(chosen, stop, write=False, connections=to) as services,
        ):
            run = Run("forecast")
            events = (event for root in roots for event in dry_run(root, services, run))
            return sum(event.tokens for event in events if isinstance(event, SourceResult))


def compare_recipes(
    variations: Sequence[Settings], names: Sequence[str], questions: Sequence[Question]
) -> Iterator[RecipeResult]:
    """Index and evaluate the recipes one by one. Raises ServiceError or ConfigError."""
    known: dict[str, Vectors] = {}
    for settings in variations:
        stop = Cancellation()
        with TemporaryDirectory(prefix="ingest-") as folder:
            chosen = side_settings(settings, folder)
            to = create_connections(chosen, stop)
            with (
                open_roots(names, chosen, to) as roots,
                open_services(chosen, stop, write=True, connections=to) as services,
            ):
                model = cache_embeddings(services.embedder, known)
                totals = RunTotals()
                for root in roots:
                    run = Run("compare", stop=stop)
                    for event in ingest_root(root, replace(services, embedder=model), run):
                        totals.add(event)
                if not totals.chunks:
                    raise ConfigError(f"no PDF with text in {', '.join(names)}: nothing to compare")
                evaluation = evaluate(services.index, model, questions)
        yield RecipeResult(describe_recipe(settings), totals.chunks, totals.tokens, evaluation)
