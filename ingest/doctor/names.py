"""Settings that are misspelt, or say two things at once. Names only: no value of a secret is read.

A name that is nobody's setting and not like one of ours is somebody else's, and no trouble.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from ingest.settings import documented

# "AZURE_OPENAI_ENPOINT" is 0.98 like the right name; the names of other programs are below 0.9.
ALIKE = 0.9
# Not the program's settings, but those of scripts/postprovision.sh and scripts/environment.
OF_SCRIPTS = {"INGEST_POSTPROVISION", "INGEST_POSTPROVISION_FAILURE", "INGEST_VENV"}
# Both of a pair may be set, and then the first is what counts.
OVERRIDES = (
    ("INGEST_INDEX", "AZURE_SEARCH_ENDPOINT"),
    ("INGEST_EMBEDDER", "AZURE_OPENAI_ENDPOINT"),
)
# The first is of no use without one of the others.
NEEDS = {
    "AZURE_OPENAI_EMBEDDING_DEPLOYMENT": ("AZURE_OPENAI_ENDPOINT", "INGEST_EMBEDDER"),
    "AZURE_SEARCH_INDEX": ("AZURE_SEARCH_ENDPOINT", "INGEST_INDEX"),
    "AZURE_OPENAI_KEY": ("AZURE_OPENAI_ENDPOINT", "INGEST_EMBEDDER"),
    "AZURE_SEARCH_KEY": ("AZURE_SEARCH_ENDPOINT", "INGEST_INDEX"),
    "INGEST_OCR_MODEL": ("INGEST_OCR",),
}
ENDPOINTS = {
    "AZURE_OPENAI_ENDPOINT": ("", "/", "/openai/v1", "/openai/v1/"),
    "AZURE_SEARCH_ENDPOINT": ("", "/"),
    "INGEST_OCR": ("", "/", "local"),
}


def misspelt(environment: Mapping[str, str]) -> Iterator[str]:
    """What is meant to be a setting and is none, and what to call it."""
    known = [item.metadata["env"] for item in documented()]
    for name in sorted(set(environment) - set(known) - OF_SCRIPTS):
        if not environment[name]:
            continue
        likely = difflib.get_close_matches(name.upper(), known, 1, ALIKE)
        if likely and not environment.get(likely[0]):
            yield f"{name} is no setting: did you mean {likely[0]}?"
        elif name.startswith("INGEST_"):
            yield f"{name} is no setting: unset it (README.md lists those there are)"


def contradictions(environment: Mapping[str, str]) -> Iterator[str]:
    """Settings that cannot all be meant, and which of them to change."""
    there = {name for name, value in environment.items() if value}
    for name, others in NEEDS.items():
        if name in there and not there & set(others):
            neither = "neither " if len(others) > 1 else "not "
            yield f"{name} is set, but {neither}{' nor '.join(others)}: set one, or unset it"
    for name, paths in ENDPOINTS.items():
        for url in map(urlsplit, environment.get(name, "").replace(" ", "").split(",")):
            if url.path not in paths or url.query:
                more = f"?{url.query}" if url.query else ""
                yield f"{name} goes too far: leave out {url.path}{more}"
    one, other = environment.get("AZURE_CLIENT_ID"), environment.get("AZURE_OPENAI_CLIENT_ID")
    if one and other and one != other:
        yield (
            "AZURE_CLIENT_ID and AZURE_OPENAI_CLIENT_ID name two identities, and the second is "
            "used: unset one of them"
        )
    if {"AZURE_OPENAI_KEY", "AZURE_OPENAI_CLIENT_ID"} <= there:
        yield (
            "AZURE_OPENAI_KEY is used, and so AZURE_OPENAI_CLIENT_ID is not, for embedding: "
            "unset one of them"
        )


def remarks(environment: Mapping[str, str], file: Mapping[str, str | None]) -> Iterator[str]:
    """What is set twice and rightly so: which one counts."""
    for winner, loser in OVERRIDES:
        if environment.get(winner) and environment.get(loser):
            yield f"{winner} counts, not {loser}"
    for item in documented():
        name = item.metadata["env"]
        if file.get(name) and file[name] != environment.get(name):
            yield f"{name} counts as the environment has it, not .env"
