"""Access control lists of a hierarchical namespace (ADLS Gen2): who may read a file.

The service evaluates them as POSIX does: a user's own entry decides alone, then those of the user's
groups, then `other`. Reading a file takes `r` on it and `x` on every folder above. Who belongs to
which group is not known here, so an entry counts only if it admits each of its members whatever
else they belong to: the result may be narrower than the lists, and is never wider.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ingest.models import EVERYBODY, Permissions

SUPERUSER = "$superuser"  # the owner if no user is
READ, EXECUTE = "r", "x"


class Entry(NamedTuple):
    """One entry of an access control list."""

    kind: str  # user, group, mask or other
    id: str  # "" for the owner or the owning group
    granted: str  # such as "r-x"


@dataclass(frozen=True, slots=True)
class Access:
    """Holders of one permission on one path, by an entry of their own, or by `other`."""

    users: Mapping[str, bool]
    groups: Mapping[str, bool]
    other: bool

    @property
    def admits_the_rest(self) -> bool:
        """Return whether those without an entry have it, whatever groups they belong to."""
        return self.other and all(self.groups.values())

    def admits_user(self, oid: str) -> bool:
        """Return whether a user surely has it."""
        return self.users.get(oid, self.admits_the_rest)

    def admits_group(self, oid: str) -> bool:
        """Return whether each member of a group surely has it: no user's entry denies it."""
        return all(self.users.values()) and self.groups.get(oid, self.admits_the_rest)

    @property
    def admits_everybody(self) -> bool:
        """Return whether all have it."""
        return self.admits_the_rest and all(self.users.values())


def parse_access(acl: str, owner: str, group: str, wanted: str) -> Access:
    """Parse the ids with the permission `wanted` from the headers of a path. Raises ValueError."""
    entries = [parse_entry(text) for text in acl.split(",") if not text.startswith("default:")]
    mask = next((entry.granted for entry in entries if entry.kind == "mask"), wanted)
    users: dict[str, bool] = {}
    groups: dict[str, bool] = {}
    other = owns = False
    for entry in entries:
        has = wanted in entry.granted
        if entry.kind == "other":
            other = has
        elif entry.kind == "group":
            oid = entry.id or group
            # If an entry names the owning group, either of the two may grant.
            groups[oid] = groups.get(oid, False) or (has and wanted in mask)
        elif entry.kind == "user" and entry.id:
            users[entry.id] = has and wanted in mask
        elif entry.kind == "user":
            owns = has
    if {entry.kind for entry in entries if not entry.id} < {"user", "group", "other"}:
        raise ValueError(f"{acl!r} lacks the owner, the owning group or other")
    users[owner] = owns  # its own entry decides, even if another one names it
    for found in (users, groups):
        found.pop(SUPERUSER, None)
    return Access(users, groups, other)


def parse_entry(text: str) -> Entry:
    """Parse `kind:id:rwx`. Raises ValueError."""
    kind, oid, granted = text.strip().split(":")
    if kind not in {"user", "group", "mask", "other"} or len(granted) != len("rwx"):
        raise ValueError(f"{text!r} is not an entry of an access control list")
    return Entry(kind, oid, granted)


def readers(path: Sequence[Access]) -> Permissions:
    """Return who surely has access all along a path: the file's, and that of each folder above."""
    if all(access.admits_everybody for access in path):
        return Permissions((EVERYBODY,))
    users = union(access.users for access in path)
    groups = union(access.groups for access in path)
    return Permissions(
        tuple(oid for oid in users if all(access.admits_user(oid) for access in path)),
        tuple(oid for oid in groups if all(access.admits_group(oid) for access in path)),
    )


def union(keys: Iterable[Mapping[str, bool]]) -> list[str]:
    """Return the keys of all mappings, each once."""
    return sorted({key for each in keys for key in each})
