"""Load the target profile that INGEST_PROFILE names: a built-in one, or a file."""

from __future__ import annotations

from pathlib import Path

from ingest.config.settings import Settings
from ingest.errors import ConfigError
from ingest.index.azure.profile import IMAGES, Profile
from ingest.index.azure.profile_toml import parse_profile
from ingest.index.azure.profiles import SUFFIX, find_built_in
from ingest.index.schema import additional_fields
from ingest.models import GROUPS, OIDS
from ingest.sources.azure_blob.fields import permission_names


def load_profile(settings: Settings) -> Profile:
    """Return the profile of the settings, with the fields of INGEST_BLOB_FIELDS.

    Raises ConfigError if there is none of that name, or if it is invalid.
    """
    permitted = permission_values(settings)
    fields = [f for f in settings.blob_fields if f.name not in permitted]
    lists = {f.name for f in fields if f.is_list}
    found = find_profile(settings.profile).with_permissions(permitted)
    if not settings.figures_to:
        found = found.without_value(IMAGES)
    return found.with_fields(additional_fields((f.name for f in fields), lists))


def permission_values(settings: Settings) -> tuple[str, ...]:
    """Return the names of the values that hold permissions; () if none are configured."""
    return (OIDS, GROUPS) if settings.permissions else permission_names(settings.blob_fields)


def find_profile(name: str) -> Profile:
    """Return a built-in profile, or parse one from a file. Raises ConfigError."""
    if not name.endswith(SUFFIX):
        return find_built_in(name)
    try:
        text = Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"INGEST_PROFILE={name} cannot be read: {error}") from None
    return parse_profile(Path(name).stem, text, find_built_in)
