"""Spending limits of a run, and the prices that they are computed with."""

from __future__ import annotations

import math

from ingest.config.embedding import embedding_endpoints
from ingest.config.figures import describes_figures, figures_endpoint
from ingest.config.location import Location
from ingest.config.settings import Settings
from ingest.errors import ConfigError
from ingest.runtime.budget import Budget
from ingest.runtime.cancellation import Cancellation
from ingest.runtime.prices import FREE_PRICE, Rates, find_price


def create_budget(settings: Settings, stop: Cancellation) -> Budget:
    """Return the limits of tokens and money. Raises ConfigError if a limit needs a price."""
    rates = create_rates(settings)
    max_usd = math.inf if settings.max_cost is None else settings.max_cost
    if max_usd < math.inf and rates.embedding is None:
        model = embedding_endpoints(settings)[0].model
        raise ConfigError(
            f"--max-cost: the price of {model} is unknown: set INGEST_PRICES, in dollars for a "
            f"million tokens, as in 2026-11-01,{model}=0.02"
        )
    if max_usd < math.inf and rates.describing is None:
        model = figures_endpoint(settings).model
        raise ConfigError(
            f"--max-cost: the price of {model} is unknown: set INGEST_PRICES, in dollars for a "
            f"million tokens sent and answered, as in 2026-11-01,{model}=0.4/1.6"
        )
    return Budget(stop, settings.max_tokens or math.inf, max_usd, rates)


def create_rates(settings: Settings) -> Rates:
    """Return the prices of embedding and of OCR; both are free on this machine."""
    endpoints = embedding_endpoints(settings)
    ocr_is_billed = Location.parse(settings.ocr).is_service
    return Rates(
        find_price(endpoints[0].model, settings.prices) if endpoints else FREE_PRICE,
        find_price(settings.ocr_model, settings.prices) if ocr_is_billed else FREE_PRICE,
        find_price(figures_endpoint(settings).model, settings.prices)
        if describes_figures(settings)
        else FREE_PRICE,
    )
