"""Filter expressions for permissions. Pure."""

from __future__ import annotations

from ingest.errors import ConfigError
from ingest.models import EVERYBODY, Permissions


def filter_expression(person: Permissions, oids_field: str, groups_field: str) -> str:
    """Return the filter for the chunks that a person may read; a field without a name is left out.

    A chunk without permissions matches no filter.
    """
    wanted = ((oids_field, person.oids), (groups_field, person.groups))
    parts = (
        f"{field}/any(x: search.in(x, {quote_ids((*ids, EVERYBODY))}, ','))"
        for field, ids in wanted
        if field
    )
    return f"({' or '.join(parts)})"


def quote_ids(ids: tuple[str, ...]) -> str:
    """Quote ids, which have no commas, for a filter expression."""
    return "'" + ",".join(ids).replace("'", "''") + "'"


def no_permissions_error(where: str) -> ConfigError:
    """Return the error for an index whose chunks have no permissions."""
    return ConfigError(
        f"{where} does not say who may read its chunks: set INGEST_PERMISSIONS, or fill oids and "
        "groups with INGEST_BLOB_FIELDS, and run ingest run (docs/permissions.md)"
    )
