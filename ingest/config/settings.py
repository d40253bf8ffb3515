"""Settings: the name of each in the environment, its default, and its meaning.

Flags override the environment, which overrides `.env`. An empty variable counts as unset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from typing import Any

from ingest.config.azure_settings import AzureSettings
from ingest.config.declaration import setting_field
from ingest.config.endpoints import shorten_endpoints
from ingest.config.parsers import in_range, one_of
from ingest.config.run_settings import RunSettings
from ingest.errors import ConfigError
from ingest.index import HYBRID_WEIGHT


@dataclass(frozen=True)
class Settings(AzureSettings, RunSettings):
    """The settings of a process, parsed. Durations are in seconds; several values are a tuple."""

    hybrid_weight: float = setting_field(
        HYBRID_WEIGHT,
        "INGEST_HYBRID_WEIGHT",
        "weight of vectors in a hybrid search, where words have 1; `ingest eval` finds the best "
        "for your questions",
        in_range(float, 0, 100),
    )
    embed_inputs: int = setting_field(
        2048,
        "INGEST_EMBED_INPUTS",
        "maximum texts in one embedding request",
        in_range(int, 1, 2048),
    )
    embed_tokens: int = setting_field(
        300_000,
        "INGEST_EMBED_TOKENS",
        "maximum tokens in one embedding request",
        in_range(int, 1, 300_000),
    )
    journal: str = setting_field(
        "~/.cache/ingest",
        "INGEST_JOURNAL",
        "folder for vectors that are paid for and not written yet; or `off`",
    )
    embed_at_once: int = setting_field(
        16, "INGEST_EMBED_AT_ONCE", "maximum concurrent embedding requests", in_range(int, 1, 64)
    )
    log: str = setting_field(
        "auto",
        "INGEST_LOG",
        "format of stderr: `text`, `json` (one object per line), or `auto`, which is text",
        one_of("auto", "text", "json"),
    )
    hosted: bool = False  # the host has an identity of its own

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Return the settings of an environment such as `os.environ`.

        docs/configuration.md lists their names. Raises ConfigError for an invalid value.
        """
        return build_settings(environment, {})


# If one of these is set, the process has an identity and should not use a person's login.
HOST_IDENTITY_VARIABLES = (
    "IDENTITY_ENDPOINT",
    "MSI_ENDPOINT",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_TOKEN_CREDENTIALS",
)


def environment_settings() -> list[Field[Any]]:
    """Return the settings that the environment can set."""
    return [item for item in fields(Settings) if item.metadata]


def build_settings(environment: Mapping[str, str], flags: Mapping[str, Any]) -> Settings:
    """Return the settings of the environment, overridden by the flags that are not None.

    Raises ConfigError for an invalid value.
    """
    values: dict[str, Any] = {
        "hosted": any(environment.get(name) for name in HOST_IDENTITY_VARIABLES)
    }
    for item in environment_settings():
        text = flags.get(item.name)
        name = "--" + item.name.replace("_", "-")
        if text is None:
            name = item.metadata["env"]
            text = environment.get(name)
        if text is None or text == "":
            continue
        if isinstance(text, list):  # a repeated flag; each value may contain commas
            values[item.name] = tuple(
                parse_setting_value(item, each, name, "each") for each in text
            )
        else:
            values[item.name] = parse_setting_value(item, str(text), name)
    return Settings(**shorten_endpoints(values))


def validate_settings(settings: Settings) -> Settings:
    """Return the settings if the environment could give each of them. Raises ConfigError."""
    for item in environment_settings():
        value = getattr(settings, item.name)
        if value != item.default and not isinstance(value, tuple):
            parse_setting_value(item, str(value), item.name)
    return settings


def parse_setting_value(item: Field[Any], text: str, name: str, parse: str = "parse") -> Any:
    """Parse the value of the setting called `name`. Raises ConfigError if it is invalid."""
    try:
        return item.metadata[parse](text)
    except ValueError as error:
        expected = str(error)
        if "invalid literal" in expected:  # of int()
            expected = "a whole number"
        elif "could not convert" in expected:  # of float()
            expected = "a number"
        raise ConfigError(f"{name}={text}: expected {expected}") from None
