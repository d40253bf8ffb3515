"""Built-in target profiles: the default one, and a TOML file for each of the others."""

from __future__ import annotations

from importlib import resources

from ingest.errors import ConfigError
from ingest.index.azure.profile import DEFAULT_NAME, DEFAULT_PROFILE, Profile
from ingest.index.azure.profile_toml import parse_profile

SUFFIX = ".toml"


def foreign_names() -> list[str]:
    """List the built-in profiles but the default one."""
    files = resources.files(__name__).iterdir()
    return sorted(f.name.removesuffix(SUFFIX) for f in files if f.name.endswith(SUFFIX))


def find_built_in(name: str) -> Profile:
    """Return the built-in profile of that name. Raises ConfigError if there is none."""
    if name == DEFAULT_NAME:
        return DEFAULT_PROFILE
    if name not in foreign_names():
        raise ConfigError(
            f"INGEST_PROFILE={name}: expected a file that ends in {SUFFIX}, or one of "
            f"{', '.join((DEFAULT_NAME, *foreign_names()))}"
        )
    text = resources.files(__name__).joinpath(name + SUFFIX).read_text(encoding="utf-8")
    return parse_profile(name, text, find_built_in)
