"""Sandbox processes of these tests are real ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fork_readers import real_readers


@pytest.fixture(scope="module", autouse=True)
def real_processes() -> Iterator[None]:
    """Start a new interpreter for each sandbox process, as users do."""
    with real_readers():
        yield
