"""Retirement dates of embedding models: when their deployments stop answering. Pure.

The vectors of another model cannot be compared, so a successor takes a rebuild of the index.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

# learn.microsoft.com, "Model retirement schedule", its table of 2026-07-07.
SCHEDULE_DATE = "2026-07-07"
SCHEDULED_RETIREMENTS = {
    "text-embedding-3-large": date(2027, 4, 15),
    "text-embedding-3-small": date(2027, 4, 15),
    "text-embedding-ada-002": date(2027, 4, 15),
}
NOTICE_DAYS = 270  # before the date; from then on, the remedy is reported


@dataclass(frozen=True, slots=True)
class Retirement:
    """Retirement date of a model, and where it was read."""

    model: str
    day: date
    source: str


def scheduled_retirement(model: str) -> Retirement | None:
    """Return a model's date by Microsoft's schedule; None for another model."""
    day = SCHEDULED_RETIREMENTS.get(model)
    return Retirement(model, day, f"Microsoft's schedule of {SCHEDULE_DATE}") if day else None


def listed_retirement(model: str, listed: Any) -> Retirement | None:
    """Find a model's date in a service's own list of models; None if it is not there.

    The list has a model once for each version, as in text-embedding-ada-002-2.
    """
    dates = {
        str(item["id"]): item["deprecation"]["inference"]
        for item in listed.get("data", [])
        if str(item.get("id", "")).startswith(model)
        and (item.get("deprecation") or {}).get("inference")
    }
    seconds = dates.get(model) or max(dates.values(), default=None)
    if seconds is None:
        return None
    return Retirement(model, datetime.fromtimestamp(seconds, UTC).date(), "the service's own list")


def describe_retirement(retirement: Retirement, today: date) -> str:
    """Describe a date and, within NOTICE_DAYS of it, the remedy."""
    days = (retirement.day - today).days
    text = f"{retirement.model} retires on {retirement.day} by {retirement.source}"
    if days > NOTICE_DAYS:
        return text
    left = f"in {days} days" if days > 0 else "now"
    return (
        f"{text}, {left}: before that, deploy another model next to it, set "
        "AZURE_OPENAI_EMBEDDING_DEPLOYMENT and AZURE_OPENAI_EMBEDDING_MODEL to it, and run ingest "
        "rebuild, which embeds everything again"
    )
