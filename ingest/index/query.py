"""Bounds on the text of a query."""

from __future__ import annotations

from ingest.errors import ConfigError

MAX_QUERY_CHARS = 4_000  # two pages of text; the words of much longer ones take seconds to look up


def clean_query(text: str) -> str:
    """Return a query that every index can look up. Raises ConfigError if it is empty or too long.

    Lone surrogates, which a terminal with another encoding produces, become U+FFFD.
    """
    query = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").strip()
    if not query:
        raise ConfigError(
            "the query is empty: pass a question or words, as in: ingest search notice period"
        )
    if len(query) > MAX_QUERY_CHARS:
        raise ConfigError(
            f"the query has {len(query):,} characters, and at most {MAX_QUERY_CHARS:,} are looked "
            "up: shorten it"
        )
    return query
