"""Names of roots in an index: give each root that a command names the one that the index knows.

A root is known by the name that a person gave it (NAME=ROOT), or else by its place: its path in
an index of this machine, its URL, or, in an index that others share, a name after the folder and a
hash of the machine and the path. The key in the ids of its chunks is fixed at first sight, so a
root that gets a name, or another place, keeps its chunks.
"""

from __future__ import annotations

import hashlib
import logging
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ingest.config.connections import Connections
from ingest.config.index import index_location
from ingest.config.settings import Settings
from ingest.config.sources import open_roots
from ingest.errors import ConfigError
from ingest.index import Index
from ingest.models import KnownRoot
from ingest.sources import URL_PATTERN, Root
from ingest.sources.exclude import ExcludingRoot, without_exclusion
from ingest.sources.named import NamedRoot, folder_name, split_name
from ingest.sources.validation import ValidatedRoot, require_unique_names

log = logging.getLogger(__name__)

MACHINE_ID_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
HASH_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Place:
    """The folder or URL of a root, in a form that shows neither in an index that others share."""

    own: str  # the path or URL
    hash: str
    above: tuple[str, ...]  # the folders that it lies in, up to the container
    ancestors: tuple[str, ...]  # their hashes

    @classmethod
    def of(cls, own: str) -> Place:
        """Hash a path with the machine it is on, or a URL."""
        if URL_PATTERN.match(own):
            parts, machine = own.split("/"), ""
            above = ["/".join(parts[:n]) for n in range(4, len(parts))]  # from the container on
        else:
            machine = machine_id()
            above = [parent.as_posix() for parent in Path(own).parents]
        digest = [
            hashlib.sha256(f"{machine}\0{text}".encode()).hexdigest()[:HASH_DIGITS]
            for text in (own, *above)
        ]
        return cls(own, digest[0], tuple(above), tuple(digest[1:]))


def machine_id() -> str:
    """Return an id of this machine; all containers of an image have the same one."""
    for path in MACHINE_ID_FILES:
        try:
            if text := path.read_text().strip():
                return text
        except OSError:
            continue
    # Each container of a nightly job has another host name.
    return "" if sys.platform == "linux" else socket.gethostname()


def resolve_roots(
    roots: Sequence[Root], index: Index, settings: Settings, *, write: bool
) -> list[Root]:
    """Return roots under the names that the index knows, or is to know, them by.

    With `write`, the index learns new names and places. Raises ConfigError for a root that must not
    be taken for the one of its name, or that lies inside another root of the index.
    """
    is_shared = index_location(settings).is_service
    known = {root.name: root for root in index.roots()}
    found: list[Root] = []
    for root in roots:
        inner = without_exclusion(root)
        if isinstance(inner, ValidatedRoot):
            found.append(root)
            continue
        entry = find_root_entry(inner, index, known, is_shared=is_shared)
        if write:
            entry = save_entry(entry, index, known)
        # A run that writes gives the root its new name; until then the index has it under the old.
        name = entry.name if entry.name in known or not entry.renamed_from else entry.renamed_from
        found.append(rename_root(root, name, entry.key))
    return require_unique_names(found)


def rename_root(root: Root, name: str, key: str) -> Root:
    """Return a root under this name, and with this key in the ids of its chunks."""
    inner = without_exclusion(root)
    inner = inner.root if isinstance(inner, NamedRoot) else inner
    if (name, key) != (inner.name, inner.name):
        inner = NamedRoot(inner, name, "" if key == name else key)
    return replace(root, root=inner) if isinstance(root, ExcludingRoot) else inner


def find_root_entry(
    root: Root, index: Index, known: dict[str, KnownRoot], *, is_shared: bool
) -> KnownRoot:
    """Return the entry that a root is to have in the index."""
    given, inner = (root.name, root.root) if isinstance(root, NamedRoot) else ("", root)
    place = Place.of(inner.name)
    entry = known.get(given) if given else None
    here = next(
        (e for e in known.values() if place.own == e.location or place.hash == e.place), None
    )
    here = here or known.get(place.own)
    if not entry and not here and is_recorded(place.own, index):
        here = KnownRoot(place.own, place.own)  # of an earlier version
    if here and given and not entry:
        if here.is_named:
            raise ConfigError(
                f"{place.own} is in the index as {here.name}: use that name, or remove it first "
                f"(ingest check --forget {here.name})"
            )
        entry = replace(here, name=given, renamed_from=here.name)
    elif here and entry and entry.name != here.name:
        same = f"use its name (ingest run {here.name}={place.own}), or " if here.is_named else ""
        raise ConfigError(
            f"{place.own} is in the index as {here.name}, and {given} is another folder: {same}"
            f"remove one of them first (ingest check --forget {here.name})"
        )
    elif entry and entry.place != place.hash and is_recorded(place.own, index):
        log.warning(
            "the index has %s also under its path: ingest check --forget %s removes that",
            place.own,
            place.own,
        )
    entry = entry or here
    if not entry or entry.place not in ("", place.hash):
        others = {name: e for name, e in known.items() if not entry or e.key != entry.key}
        check_not_nested(place, others, index)
    entry = entry or create_entry(given, place, known, is_shared=is_shared)
    location = "" if is_shared and not URL_PATTERN.match(place.own) else place.own
    return replace(
        entry,
        place=place.hash,
        ancestors=place.ancestors,
        location=location,
        is_named=entry.is_named or bool(given),
    )


def create_entry(
    given: str, place: Place, known: dict[str, KnownRoot], *, is_shared: bool
) -> KnownRoot:
    """Return an entry for a root that the index does not know. Raises ConfigError."""
    name = given or place.own
    if not given and is_shared and not URL_PATTERN.match(place.own):
        name = folder_name(place.own)
        if name in known:
            raise ConfigError(
                f"the index has a root {name} of another machine or folder than {place.own}: "
                f"if this is the same, take it over (ingest run {name}={place.own}); if not, give "
                f"it another name (ingest run NAME={place.own})"
            )
    key, keys = name, {entry.key for entry in known.values()}
    while key in keys:
        key += "'"
    return KnownRoot(name, key)


def check_not_nested(place: Place, known: dict[str, KnownRoot], index: Index) -> None:
    """Raise ConfigError if a root that is new here lies inside another one, or that in it."""
    outer = next((e.name for e in known.values() if e.place in place.ancestors), "")
    # A root of an earlier version is known by its path only.
    outer = outer or next((path for path in place.above if is_recorded(path, index)), "")
    inner = next((e.name for e in known.values() if place.hash in e.ancestors), "")
    if outer or inner:
        raise ConfigError(
            f"{inner or place.own} lies inside {outer or place.own}, so its documents would be "
            "indexed twice: name the outer one only; ingest check --forget "
            f"{outer or inner} removes the one in the index"
        )


def is_recorded(root: str, index: Index) -> bool:
    """Return whether an index has records of a root by this name."""
    return next(iter(index.records(root)), None) is not None


def save_entry(entry: KnownRoot, index: Index, known: dict[str, KnownRoot]) -> KnownRoot:
    """Save the entry of a root if it changed, and rename the root if it is to have a new name."""
    old = entry.renamed_from
    if old:
        known.pop(old, None)
    if known.get(entry.name) != entry:
        known[entry.name] = entry
        index.save_roots(list(known.values()))
    if not old:
        return entry
    if index.rename_root(old, entry.name):
        log.warning("%s is called %s from now on", old, entry.name)
        return entry  # looked for again by the next run, in case a query missed some
    known[entry.name] = replace(entry, renamed_from="")
    index.save_roots(list(known.values()))
    return known[entry.name]


@contextmanager
def open_known_root(
    name: str, index: Index, settings: Settings, connections: Connections
) -> Iterator[Root]:
    """Open a root by its name in the index. Raises ConfigError if it cannot be reached."""
    entry = next((root for root in index.roots() if root.name == name), None)
    argument = (entry.location or find_root_folder(entry, settings)) if entry else name
    with open_roots([argument], settings, connections) as roots:
        if not entry or entry.location:
            check_root_reachable(argument, roots)
        (root,) = roots
        yield rename_root(root, name, entry.key) if entry else root


def find_root_folder(entry: KnownRoot, settings: Settings) -> str:
    """Return the folder of a root whose path the index does not hold. Raises ConfigError.

    It is INGEST_ROOT, or a folder near the working directory that has the hash of the root's place.
    """
    given, place = split_name(settings.root)
    if given == entry.name:
        return place
    here = Path.cwd()
    near = [Path(place).resolve()] if place else []
    near += [here, *here.parents, *(path.resolve() for path in here.iterdir() if path.is_dir())]
    for folder in near:
        if Place.of(folder.as_posix()).hash == entry.place:
            return str(folder)
    raise ConfigError(
        f"the index does not say where the root {entry.name} is: set "
        f"INGEST_ROOT={entry.name}=FOLDER"
    )


def check_root_reachable(name: str, roots: Sequence[Root]) -> None:
    """Raise ConfigError unless one of the roots has the name that the index knows.

    A root that became a symbolic link has another name now, and one that is gone is parsed as a
    glob.
    """
    if any(root.name == name for root in roots):
        return
    if Path(name).exists():
        raise ConfigError(f"{name} is now a link to {Path(name).resolve()}: check the path")
    raise ConfigError(f"{name}: no such folder or file; check the path")
