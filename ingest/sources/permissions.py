"""Permissions of documents: from a `.permissions.toml` in their root, or from their own values.

docs/permissions.md has the rules. Unknown permissions never count as "everybody".
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from ingest.errors import RootError
from ingest.models import (
    GROUPS,
    OIDS,
    ListingIssue,
    Permissions,
    Source,
    Unread,
    Values,
    hash_fields,
    parse_ids,
)
from ingest.sources.exclude import matches_any_glob
from ingest.sources.folder import Folder

FILE_NAME = ".permissions.toml"
PermissionRules = tuple[tuple[str, Permissions], ...]  # globs, and who may read what they match


def complete_permissions(source: Source, names: Sequence[str]) -> Source:
    """Return a source with a list of ids for each name, or with the reason why they are unknown.

    A missing list counts as empty if the source has the other one.
    """
    if not names:
        return source
    given = {name: value for name, value in source.fields if name in names and value is not None}
    others = tuple((name, value) for name, value in source.fields if name not in names)
    reason = f"has no {' or '.join(names)}, so it is not known who may read it"
    try:
        lists = {name: parse_ids(given.get(name) or ()) for name in names}
    except ValueError as error:
        given, reason = {}, f"{error}, so it is not known who may read it"
    if not given:
        return replace(source, fields=others, permissions_unknown=reason)
    found = Permissions(lists.get(OIDS, ()), lists.get(GROUPS, ()))
    return grant(replace(source, fields=others), found.to_values(names))


def grant(source: Source, values: Values) -> Source:
    """Return a source with these permissions, which become part of its version."""
    version, _, _ = source.modified.partition(" ")
    fields = (*source.fields, *values)
    return replace(source, fields=fields, modified=f"{version} {hash_fields(fields)}")


def parse_permissions(text: str) -> PermissionRules:
    """Parse a `.permissions.toml`. Raises ValueError."""
    rules = []
    for glob, given in tomllib.loads(text).items():
        if not isinstance(given, dict) or not given or not given.keys() <= {OIDS, GROUPS}:
            raise ValueError(f'"{glob}" needs {OIDS} or {GROUPS}: "{glob}" = {{ {OIDS} = [] }}')
        lists = {name: given.get(name, []) for name in (OIDS, GROUPS)}
        if not all(isinstance(ids, list) for ids in lists.values()):
            raise ValueError(f'"{glob}": {OIDS} and {GROUPS} must be lists')
        rules.append((glob, Permissions(parse_ids(lists[OIDS]), parse_ids(lists[GROUPS]))))
    return tuple(rules)


def find_permissions(rules: PermissionRules, name: str) -> Permissions | None:
    """Return the permissions of the last glob that matches a name; None if none does."""
    return next((found for glob, found in reversed(rules) if matches_any_glob([glob], name)), None)


@dataclass(frozen=True, slots=True)
class PermittedFolder:
    """Folder whose files get the permissions of its `.permissions.toml`."""

    root: Folder

    @property
    def name(self) -> str:
        return self.root.name

    def covers(self, name: str) -> bool:
        return self.root.covers(name)

    def list(self) -> Iterator[Source | ListingIssue | Unread]:
        """List the folder. Raises RootError if its permissions cannot be read."""
        rules = self.read_rules()
        for item in self.root.list():
            yield permit(item, rules) if isinstance(item, Source) else item

    def find(self, name: str) -> Source:
        """Return the current state of one file."""
        return permit(self.root.find(name), self.read_rules())

    def open(self, source: Source) -> AbstractContextManager[BinaryIO]:
        """Open a file."""
        return self.root.open(source)

    def read_rules(self) -> PermissionRules:
        """Read the permissions. Raises RootError: without them, nothing is known of any file."""
        path = Path(self.root.folder, FILE_NAME)
        try:
            return parse_permissions(path.read_text(encoding="utf-8"))
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
        except ValueError as error:  # of UTF-8 and TOML too
            reason = f"is invalid: {error}"
        raise RootError(f"{path} {reason}; INGEST_PERMISSIONS=sidecar needs it")


def permit(source: Source, rules: PermissionRules) -> Source:
    """Return a source with the permissions of the rules."""
    found = find_permissions(rules, source.name)
    if found is None:
        reason = f"no glob of {FILE_NAME} matches it, so it is not known who may read it"
        return replace(source, permissions_unknown=reason)
    return grant(source, found.to_values())
