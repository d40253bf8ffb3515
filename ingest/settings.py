"""Every setting: its name in the environment, its default, and what it means.

Flags win over the environment, the environment over `.env`, and an empty variable is an unset one.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ingest.chunk.limits import FEWEST_TOKENS, MOST_OVERLAP
from ingest.errors import ConfigError

EXTRACTORS = ("auto", "pdfium", "pypdf")


def cores() -> int:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def within(kind: Callable[[str], float], low: float, high: float) -> Callable[[str], Any]:
    """A parser of numbers from `low` to `high`."""

    def parse(text: str) -> float:
        number = kind(text)
        if not low <= number <= high:
            raise ValueError(f"from {low:g} to {high:g}" if high < math.inf else f"{low:g} or more")
        return number

    return parse


def one_of(*words: str) -> Callable[[str], str]:
    """A parser of one of a few words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(" or ".join(words))
        return text

    return parse


def yes_or_no(text: str) -> bool:
    """A parser of what people write for yes and no."""
    answers = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in answers:
        raise ValueError("true or false")
    return answers[text.lower()]


def setting(default: Any, env: str, doc: str, parse: Callable[[str], Any] = str) -> Any:
    """A field of Settings that the environment can set."""
    return field(default=default, metadata={"env": env, "doc": doc, "parse": parse})


@dataclass(frozen=True, slots=True)
class Settings:
    """What a command works with."""

    root: str = setting("", "INGEST_ROOT", "the root, where the command line names none")
    index: str = setting(".ingest", "INGEST_INDEX", "the folder of the embedded index")
    embedder: str = setting("local", "INGEST_EMBEDDER", "what makes the vectors", one_of("local"))
    extractor: str = setting(
        "auto",
        "INGEST_EXTRACTOR",
        "what reads the pages: auto, pdfium or pypdf (no native code)",
        one_of(*EXTRACTORS),
    )
    chunk_tokens: int = setting(
        512, "INGEST_CHUNK_TOKENS", "most tokens in a chunk", within(int, FEWEST_TOKENS, 8192)
    )
    chunk_overlap: float = setting(
        0.12,
        "INGEST_CHUNK_OVERLAP",
        "share of those that a chunk may repeat of the one before",
        within(float, 0, MOST_OVERLAP),
    )
    workers: int = setting(
        0,
        "INGEST_WORKERS",
        "documents read side by side, 0 for one a core",
        within(int, 0, 1024),
    )
    document_seconds: float = setting(
        300.0, "INGEST_DOCUMENT_SECONDS", "time to read one document", within(float, 0.1, math.inf)
    )
    document_megabytes: int = setting(
        2048,
        "INGEST_DOCUMENT_MEGABYTES",
        "memory to read one document (Linux)",
        within(int, 256, math.inf),
    )
    prune: bool = setting(True, "INGEST_PRUNE", "remove what vanished from its root", yes_or_no)
    max_deletes: int | None = setting(
        None,
        "INGEST_MAX_DELETES",
        "most sources a run may remove; unset: a tenth of the root, at least 10",
        within(int, 0, math.inf),
    )
    grace_seconds: float = setting(
        20.0,
        "INGEST_GRACE_SECONDS",
        "time to settle what is under way after ^C or SIGTERM",
        within(float, 0, math.inf),
    )


def settings(environment: Mapping[str, str], flags: Mapping[str, Any]) -> Settings:
    """The settings of the environment, with those flags that are not None in their place.

    Raises ConfigError for a value that cannot be meant.
    """
    values = {}
    for item in fields(Settings):
        text = flags.get(item.name)
        name = "--" + item.name.replace("_", "-")
        if text is None:
            name = item.metadata["env"]
            text = environment.get(name)
        if text is None or text == "":
            continue
        try:
            values[item.name] = item.metadata["parse"](str(text))
        except ValueError as error:
            expected = "a number" if "literal" in str(error) or "convert" in str(error) else error
            raise ConfigError(f"{name}={text}: expected {expected}") from None
    return Settings(**values)
