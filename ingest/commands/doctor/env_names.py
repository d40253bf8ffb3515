"""Find misspelt and contradictory environment variables. Never reads the value of a secret.

A name that is neither a setting nor similar to one belongs to another program, and is ignored.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from ingest.azure.clouds import CLOUDS, PUBLIC, cloud_of, find_cloud, parse_cloud
from ingest.azure.token_hosts import is_token_host
from ingest.config.endpoints import ENDPOINT_SETTINGS
from ingest.config.settings import environment_settings

# "AZURE_OPENAI_ENPOINT" has 0.98; the names of other programs are below 0.9.
MIN_SIMILARITY = 0.9
# Settings of scripts/postprovision.sh and scripts/environment, and not of the program.
SCRIPT_VARIABLES = {"INGEST_POSTPROVISION", "INGEST_POSTPROVISION_FAILURE", "INGEST_VENV"}
# If both of a pair are set, the first one is used.
OVERRIDING_VARIABLES = (
    ("INGEST_INDEX", "AZURE_SEARCH_ENDPOINT"),
    ("INGEST_EMBEDDER", "AZURE_OPENAI_ENDPOINT"),
)
# The first setting has no effect unless one of the others is set.
REQUIRED_VARIABLES = {
    "AZURE_OPENAI_EMBEDDING_DEPLOYMENT": ("AZURE_OPENAI_ENDPOINT", "INGEST_EMBEDDER"),
    "AZURE_SEARCH_INDEX": ("AZURE_SEARCH_ENDPOINT", "INGEST_INDEX"),
    "AZURE_OPENAI_KEY": ("AZURE_OPENAI_ENDPOINT", "INGEST_EMBEDDER"),
    "AZURE_SEARCH_KEY": ("AZURE_SEARCH_ENDPOINT", "INGEST_INDEX"),
    "INGEST_OCR_MODEL": ("INGEST_OCR",),
    "AZURE_OPENAI_FIGURES_KEY": ("AZURE_OPENAI_FIGURES_ENDPOINT",),
}
ENDPOINT_PATHS = {
    "AZURE_OPENAI_ENDPOINT": ("", "/", "/openai/v1", "/openai/v1/"),
    "AZURE_SEARCH_ENDPOINT": ("", "/"),
    "INGEST_OCR": ("", "/", "local"),
}


def find_setting_problems(
    environment: Mapping[str, str], flags: Mapping[str, Any], file: Mapping[str, str]
) -> list[str]:
    """Find misspelt and contradictory settings of the environment, of `file` (.env) and flags."""
    given = {
        item.metadata["env"]: flags[item.name]
        for item in environment_settings()
        if flags.get(item.name)
    }
    return [
        *find_misspellings({**file, **environment}),
        *find_contradictions({**environment, **given}),
    ]


def find_misspellings(environment: Mapping[str, str]) -> Iterator[str]:
    """Find variables that look like settings but are not, and suggest the right name."""
    known = [item.metadata["env"] for item in environment_settings()]
    for name in sorted(set(environment) - set(known) - SCRIPT_VARIABLES):
        if not environment[name]:
            continue
        likely = difflib.get_close_matches(name.upper(), known, 1, MIN_SIMILARITY)
        if likely and not environment.get(likely[0]):
            yield f"{name} is not a setting: did you mean {likely[0]}?"
        elif name.startswith("INGEST_"):
            yield f"{name} is not a setting: unset it (docs/configuration.md lists the settings)"


# Settings whose values show the cloud, the most reliable first.
SERVICE_VARIABLES = (
    *("AZURE_SEARCH_ENDPOINT", "AZURE_OPENAI_ENDPOINT", "INGEST_INDEX", "INGEST_EMBEDDER"),
    *("INGEST_OCR", "INGEST_ROOT", "INGEST_EVENT_QUEUE"),
)


def find_contradictions(environment: Mapping[str, str]) -> Iterator[str]:
    """Find settings that contradict each other, and say which to change."""
    names = {name for name, value in environment.items() if value}
    for name, others in REQUIRED_VARIABLES.items():
        if name in names and not names & set(others):
            neither = "neither " if len(others) > 1 else "not "
            yield f"{name} is set, but {neither}{' nor '.join(others)}: set one, or unset it"
    for name, paths in ENDPOINT_PATHS.items():
        for url in map(urlsplit, environment.get(name, "").replace(" ", "").split(",")):
            if is_shortened(url.geturl()):
                continue
            if url.path not in paths or url.query:
                more = f"?{url.query}" if url.query else ""
                yield f"{name} is too long: leave out {url.path}{more}"
    one, other = environment.get("AZURE_CLIENT_ID"), environment.get("AZURE_OPENAI_CLIENT_ID")
    if one and other and one != other:
        yield (
            "AZURE_CLIENT_ID and AZURE_OPENAI_CLIENT_ID name different identities, and the second "
            "is used: unset one of them"
        )
    yield from find_cloud_conflicts(environment)
    if {"AZURE_OPENAI_KEY", "AZURE_OPENAI_CLIENT_ID"} <= names:
        yield (
            "AZURE_OPENAI_KEY is used for embedding, so AZURE_OPENAI_CLIENT_ID is ignored: unset "
            "one of them"
        )


def find_cloud_conflicts(environment: Mapping[str, str]) -> Iterator[str]:
    """Report services of another cloud than the one to sign in to."""
    given = {name: environment.get(name, "") for name in SERVICE_VARIABLES}
    found = {name: cloud for name, text in given.items() if (cloud := cloud_of(text))}
    try:
        chosen = find_cloud(parse_cloud(environment["AZURE_CLOUD"]), ())
        reason = "AZURE_CLOUD"
    except (KeyError, ValueError):
        reason, chosen = next(iter(found.items()), ("", PUBLIC))
    for name, cloud in found.items():
        if cloud is not chosen:
            yield (
                f"{name} is a service of {cloud.name}, and {reason} names {chosen.name}, whose "
                "tokens it refuses: correct one of them"
            )
    authority = environment.get("AZURE_AUTHORITY_HOST", "").removeprefix("https://").strip("/")
    known = {cloud.authority: cloud for cloud in CLOUDS}
    if authority in known and found and known[authority] is not chosen:
        yield (
            f"AZURE_AUTHORITY_HOST is that of {known[authority].name}, and {reason} names "
            f"{chosen.name}: correct one of them"
        )


def is_shortened(url: str) -> bool:
    """Return whether the settings shorten a URL to scheme and host, as they do for Azure."""
    return any(is_token_host(url, scope) for scope in set(ENDPOINT_SETTINGS.values()))


def describe_overrides(environment: Mapping[str, str], file: Mapping[str, str]) -> Iterator[str]:
    """Describe settings that override others: which one is used."""
    for winner, loser in OVERRIDING_VARIABLES:
        if environment.get(winner) and environment.get(loser):
            yield f"{winner} overrides {loser}"
    for item in environment_settings():
        name = item.metadata["env"]
        if file.get(name) and file[name] != environment.get(name):
            yield f"{name} from the environment overrides .env"
