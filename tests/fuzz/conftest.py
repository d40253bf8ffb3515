"""Hypothesis profile for a long run."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("long", max_examples=30_000, deadline=None)
