"""Sandbox processes of these tests are real ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ingest.extract.sandbox import pool, spawn


@pytest.fixture(scope="module", autouse=True)
def real_processes() -> Iterator[None]:
    """Start a new interpreter for each sandbox process, as users do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "spawn_process", spawn.spawn_process)
        yield
