"""A query of any length and characters is looked up or refused at once."""

from __future__ import annotations

import pytest

from ingest.errors import ConfigError
from ingest.index.query import MAX_QUERY_CHARS, clean_query


def test_a_whole_document_is_no_query() -> None:
    """Who pastes 50 kB is told the limit, instead of waiting for ten seconds of look-ups."""
    assert len(clean_query("w " * (MAX_QUERY_CHARS // 2))) == MAX_QUERY_CHARS - 1
    with pytest.raises(ConfigError, match="at most 4,000 are looked up"):
        clean_query("word " * 10_000)


def test_half_a_character_is_no_error() -> None:
    """An invalid character from a terminal does not end in a traceback."""
    assert clean_query("pr\udcfcfung \ud83d\ude00") == "pr\ufffdfung \U0001f600"
    with pytest.raises(ConfigError, match="empty"):
        clean_query(" \n")
