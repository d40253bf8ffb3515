"""Types of command-line arguments: functions that parse one, for argparse."""

from __future__ import annotations

import argparse
import math

from ingest.config.parsers import parse_unit
from ingest.models import parse_ids


def integer(text: str) -> int:
    """Parse an integer."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be a whole number") from None


def port(text: str) -> int:
    """Parse a TCP port; 0 is any free one."""
    number = integer(text)
    if not 0 <= number < 65536:  # noqa: PLR2004
        raise argparse.ArgumentTypeError("must be from 0 to 65535")
    return number


def count(text: str) -> int:
    """Parse an integer of at least 0."""
    number = integer(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number


def age(text: str) -> float:
    """Parse an age in seconds: "36h", "2d"."""
    number = parse_unit(text, {"s": 1, "m": 60, "h": 3600, "d": 86400})
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError("must be a time, as in 36h or 2d")
    return number


def object_id(text: str) -> tuple[str, ...]:
    """Parse the object id of a user."""
    found = object_ids(text)
    if len(found) != 1:
        raise argparse.ArgumentTypeError("must be one object id")
    return found


def object_ids(text: str) -> tuple[str, ...]:
    """Parse object ids separated by commas; "" for none."""
    try:
        return parse_ids([part.strip() for part in text.split(",") if part.strip()], reserved=False)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def positive(text: str) -> int:
    """Parse an integer of at least 1."""
    number = integer(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number
