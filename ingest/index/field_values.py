"""Values of a dataclass as an index stores them, checked before they are trusted."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

field_types = cache(get_type_hints)


def field_values(kind: type, stored: object) -> dict[str, Any]:
    """Return the stored values of a dataclass, without null ones and fields of later versions.

    Lists become tuples. Raises TypeError for a value of another type than its field.
    """
    if not isinstance(stored, Mapping):
        raise TypeError(f"{stored!r:.99} is no object")
    found: dict[str, Any] = {}
    for name, type_ in field_types(kind).items():
        value = stored.get(name)
        if value.__class__ is list:
            value = tuple(value)
        if value is not None:
            found[name] = value
            if value.__class__ is not type_ and not has_type(value, type_):
                raise TypeError(f"{name} is {value!r:.99}")
    return found


def has_type(value: object, type_: Any) -> bool:
    """Return whether a value is of a field's type, with all of its items."""
    if type_ is Any or value.__class__ is type_:  # most are
        return True
    if get_origin(type_) is tuple:
        item = get_args(type_)[0]
        return isinstance(value, tuple) and all(has_type(each, item) for each in value)
    if get_origin(type_) is dict:
        item = get_args(type_)[1]
        return isinstance(value, dict) and all(has_type(each, item) for each in value.values())
    return isinstance(value, (int, float) if type_ is float else type_)
