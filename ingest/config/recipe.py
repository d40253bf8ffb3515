"""Recipe of a run: the settings and the model that determine its chunks and vectors."""

from __future__ import annotations

from dataclasses import fields

from ingest.config.figures import describes_figures, figures_endpoint
from ingest.config.images import images_recipe
from ingest.config.reader import figure_ocr_name
from ingest.config.settings import Settings
from ingest.embed import Embedder
from ingest.models import DESCRIBES, Recipe


def create_recipe(settings: Settings, model: Embedder) -> Recipe:
    """Return the settings that determine chunks and vectors: those with the name of a field."""
    shared = {
        f.name: getattr(settings, f.name) for f in fields(Recipe) if hasattr(settings, f.name)
    }
    named = {
        "overlap": settings.chunk_overlap,
        "model": model.model,
        "dimensions": model.dimensions,
        "figures": figures_recipe(settings),
    }
    return Recipe(**{**shared, **named})


def figures_recipe(settings: Settings) -> str:
    """Return how figures are read, and by which engine or model, as a recipe records it."""
    if describes_figures(settings):
        return f"{DESCRIBES}{figures_endpoint(settings).model}{images_recipe(settings)}"
    name = figure_ocr_name(settings)
    return f"text {name}" if name else ""
