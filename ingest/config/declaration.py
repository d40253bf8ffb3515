"""Declaration of one setting: default, environment variable, meaning, parser and option."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any, NamedTuple


class Flag(NamedTuple):
    """Command-line option of a setting; named like the field, with hyphens."""

    help: str
    metavar: str | None = None  # None for a switch


def setting_field(  # noqa: PLR0913 - all that the documents and the command line say about it
    default: Any,
    env: str,
    doc: str,
    parse: Callable[[str], Any] = str,
    each: Callable[[str], Any] = str,
    *,
    flag: Flag | None = None,
) -> Any:
    """Declare a setting.

    Args:
        default: its value if nothing sets it.
        env: the environment variable that sets it.
        doc: its meaning, for docs/configuration.md.
        parse: parses the text of the variable. Raises ValueError with what it expects.
        each: parses one value of an option that may be repeated.
        flag: the option that sets it, of the commands that cli/arguments.py names; None for none.
    """
    metadata = {"env": env, "doc": doc, "parse": parse, "each": each, "flag": flag}
    return field(default=default, metadata=metadata)


def secret_field(env: str, doc: str) -> Any:
    """Declare a setting that is never shown."""
    return field(
        default="", repr=False, metadata={"env": env, "doc": doc, "parse": str, "flag": None}
    )
