"""Parsers of the values of settings. Each raises ValueError with what it expects."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from ingest.config.location import Location


def in_range(kind: Callable[[str], float], low: float, high: float) -> Callable[[str], Any]:
    """Return a parser of numbers from `low` to `high`."""

    def parse(text: str) -> float:
        number = kind(text)
        if not low <= number <= high:
            raise ValueError(f"from {low:g} to {high:g}" if high < math.inf else f"{low:g} or more")
        return number

    return parse


def zero_or(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a parser that also takes 0, which stands for the default."""
    return lambda text: 0 if text == "0" else parse(text)


def one_of(*words: str) -> Callable[[str], str]:
    """Return a parser of one of a few words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"{', '.join(words[:-1])} or {words[-1]}")
        return text

    return parse


def parse_bool(text: str) -> bool:
    """Parse yes or no, in the usual spellings."""
    answers = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in answers:
        raise ValueError("true or false")
    return answers[text.lower()]


def parse_unit(text: str, units: Mapping[str, float]) -> float:
    """Parse a number that may end with one of some units; NaN for any other text."""
    unit = units.get(text[-1:])
    try:
        return float(text[:-1] if unit else text) * (unit or 1)
    except ValueError:
        return math.nan


def parse_duration(text: str) -> float:
    """Parse a duration in seconds: "90", "90s", "10m", "2h"."""
    number = parse_unit(text, {"s": 1, "m": 60, "h": 3600})
    if not 0 <= number < math.inf:
        raise ValueError("seconds, or a number with s, m or h")
    return number


def parse_scheduler_address(text: str) -> str:
    """Parse a scheduler's address."""
    if not re.fullmatch(r"(tcp|tls)://[^/@\s]+:\d+", text):
        raise ValueError("tcp://HOST:PORT or tls://HOST:PORT")
    return text


def comma_separated(kind: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    """Return a parser of values separated by commas."""

    def parse(text: str) -> tuple[Any, ...]:
        try:
            return tuple(kind(part.strip()) for part in text.split(",") if part.strip())
        except ValueError as error:
            raise ValueError(f"{error}, or several, separated by commas") from None

    return parse


def parse_amount(text: str) -> float:
    """Parse a quota: 350000, 350k, 1.2M."""
    number = parse_unit(text.lower(), {"k": 1e3, "m": 1e6})
    if not 1 <= number < math.inf:
        raise ValueError("a number from 1 up, or one with k or M")
    return number


def parse_endpoint(text: str) -> str:
    """Parse a service's URL."""
    if not Location.parse(text).is_service or set(" ,;") & set(text):
        raise ValueError("an address that begins with https://")
    return text


def parse_ocr(text: str) -> str:
    """Parse the OCR engine: local, or a service's URL."""
    if text != "local" and (not Location.parse(text).is_service or set(" ,;") & set(text)):
        raise ValueError("local, or an endpoint: https://NAME.cognitiveservices.azure.com")
    return text
