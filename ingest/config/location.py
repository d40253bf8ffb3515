"""Locations in settings and on the command line: a local path or name, or the URL of a service."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Location:
    """A location, split into its parts. The scheme selects the back end that opens it."""

    text: str  # as it was given
    scheme: str  # "https"; "" for a local path or name
    host: str  # with its port; "" for a local one
    path: str

    @classmethod
    def parse(cls, text: str) -> Location:
        """Split a location. Never fails: a back end validates the parts that it needs."""
        scheme, separator, rest = text.partition("://")
        if not separator:
            return cls(text, "", "", text)
        host, _, path = rest.partition("/")
        return cls(text, scheme, host, path)

    @property
    def is_local(self) -> bool:
        """True for a path or name on this machine."""
        return not self.scheme

    @property
    def is_service(self) -> bool:
        """True for a service called over HTTPS."""
        return self.scheme == "https"

    def __str__(self) -> str:
        return self.text
