"""Words of a text, as the analyzer of a field makes them: pattern filters and CJK width only."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from typing import TypeAlias

import regex

from tests.emulator.server import Json

Analyze: TypeAlias = Callable[[str], list[str]]

# A character of a script without spaces is a word.
WORD = regex.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+")
WIDE = regex.compile("[\uff01-\uff9f]+")
GROUP = regex.compile(r"\$(\d)")


def analyzer(definition: Json, field: str) -> Analyze:
    """The analyzer of a field of an index."""
    used = next((f["analyzer"] for f in definition["fields"] if f["name"] == field), None)
    custom: Json = next((a for a in definition.get("analyzers") or [] if a["name"] == used), {})
    filters = list(pattern_filters(definition, custom))
    folds_width = "cjk_width" in (custom.get("tokenFilters") or [])

    def analyze(text: str) -> list[str]:
        for pattern, replacement in filters:
            text = pattern.sub(replacement, text)
        if folds_width:
            text = WIDE.sub(lambda m: unicodedata.normalize("NFKC", m.group()), text)
        return list(WORD.findall(text.lower()))

    return analyze


def pattern_filters(definition: Json, custom: Json) -> Iterator[tuple[regex.Pattern[str], str]]:
    """The character filters of a custom analyzer, as patterns and replacements of ours."""
    made = {f["name"]: f for f in definition.get("charFilters") or []}
    for name in custom.get("charFilters") or []:
        replacement = GROUP.sub(r"\\g<\1>", made[name]["replacement"])
        yield regex.compile(made[name]["pattern"]), replacement
