"""Local folders as roots: all PDFs in a folder, one file, or a glob.

The listing is in code-point order of names, because it is merged with the index's records in that
order; any other order would look like deletions.
"""

from __future__ import annotations

import glob
import itertools
import os
import re
import stat
import time
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ingest.errors import ConfigError, DocumentError, RootError, RootGoneError
from ingest.models import DOCUMENT_SUFFIXES, Code, ListingIssue, Source, Unread, is_document_name
from ingest.sources import require_source

# A second write within the resolution of a file system's clock can leave size and time unchanged.
# FAT has the coarsest clock in use: two seconds.
CLOCK_RESOLUTION_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder, and the glob patterns of the names to read in it; None for all names."""

    folder: Path
    patterns: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """The absolute path, with links resolved and "/" between folders."""
        return escape_non_utf8(self.folder.as_posix())

    def covers(self, name: str) -> bool:
        """Return whether a pattern matches the name."""
        return self.patterns is None or any(glob_matches(p, name) for p in self.patterns)

    def may_contain(self, folder: str) -> bool:
        """Return whether a pattern can match a name below `folder`, which ends with a "/"."""
        depth = folder.count("/")
        return self.patterns is None or any(
            "**" in p or p.count("/") >= depth for p in self.patterns
        )

    def list(self) -> Iterator[Source | ListingIssue | Unread]:
        """List every PDF and every issue, in order of names.

        Raises ConfigError if the folder itself can no longer be read.
        """
        item = None
        try:
            for item in walk_folder(self, self.folder, "", frozenset()):
                if isinstance(item, ListingIssue):
                    self.raise_if_gone()
                yield item
        except OSError as error:
            raise ConfigError(f"{self.folder}: {error.strerror}; check the path") from error
        if item:
            self.raise_if_gone()

    def raise_if_gone(self) -> None:
        """Raise RootError if the folder was removed, emptied or unmounted since it was listed."""
        with suppress(OSError), os.scandir(self.folder) as entries:
            if next(entries, None):
                return
        raise RootError(self.gone_reason())

    def gone_reason(self) -> str:
        """Return the error message for a folder that vanished."""
        return (
            f"{self.folder} vanished during the run; nothing was removed from the index: mount it "
            "again, or check the path"
        )

    def find(self, name: str) -> Source:
        """Return the current state of one file. Raises DocumentError if there is none."""
        path = self.folder / name
        # Names are in NFC. Where the file system spells one differently, the listing finds it.
        with suppress(OSError):
            status = path.stat()
            if stat.S_ISREG(status.st_mode):
                return Source(self.name, name, str(path), status.st_size, str(status.st_mtime_ns))
        return require_source(Folder(self.folder, (glob.escape(name),)).list())

    @contextmanager
    def open(self, source: Source) -> Iterator[BinaryIO]:
        """Open the file of a source.

        Raises DocumentError if it vanished, cannot be read, or changes until the context ends.
        """
        try:
            # The file may have become a named pipe since it was listed: do not wait for a writer.
            file = open(source.location, "rb", opener=open_nonblocking)  # noqa: SIM115 - closed below
        except FileNotFoundError:
            if not self.folder.is_dir():
                raise RootGoneError(self.gone_reason(), Code.VANISHED) from None
            raise DocumentError("vanished before it was read", Code.VANISHED) from None
        except OSError as error:
            reason = f"cannot be read: {error.strerror}; check its permissions"
            raise DocumentError(reason, Code.UNREADABLE) from error
        with file:
            check_unchanged(file, source)
            try:
                yield file
            except DocumentError:
                check_unchanged(file, source)  # a file still being written is not damaged
                raise
            check_unchanged(file, source)


def parse_folder_roots(arguments: Iterable[str]) -> list[Folder]:
    """Parse the arguments that name folders; files and globs of one folder become one root.

    Raises ConfigError for a root that does not exist, cannot be read, or lies inside another.
    """
    found: dict[Path, set[str] | None] = {}
    for argument in arguments:
        folder, pattern = parse_root_argument(argument)
        patterns = found.setdefault(folder, set())
        if pattern is None or patterns is None:
            found[folder] = None
        else:
            patterns.add(pattern)
    for inner, outer in itertools.permutations(found, 2):
        if inner.is_relative_to(outer) and found[inner] and found[outer]:
            raise ConfigError(
                f"{inner} lies inside {outer}: name files of one folder, or {outer} with a glob"
            )
        if inner.is_relative_to(outer):
            raise ConfigError(
                f"{inner} lies inside {outer}, so its documents would be indexed twice: "
                "name the outer one only"
            )
    return [Folder(folder, tuple(sorted(p)) if p else None) for folder, p in found.items()]


def parse_root_argument(argument: str) -> tuple[Path, str | None]:
    """Parse an argument into a folder and a pattern for names in it, or None for all names."""
    path = Path(argument)
    try:
        if path.is_dir():
            os.scandir(path).close()
            return path.resolve(), None
        if path.exists():
            if not is_document_name(path.name):
                suffixes = " or ".join(DOCUMENT_SUFFIXES)
                raise ConfigError(f"{argument}: neither a folder nor a {suffixes} file")
            return path.parent.resolve(), glob.escape(normalize_name(path.name))
    except OSError as error:
        raise RootError(f"{argument}: {error.strerror}; check its permissions") from error
    if glob.has_magic(argument):
        parts = path.parts
        fixed = list(itertools.takewhile(lambda part: not glob.has_magic(part), parts))
        if Path(*fixed).is_dir():
            return Path(*fixed).resolve(), normalize_name("/".join(parts[len(fixed) :]))
    raise RootError(f"{argument}: no such folder or file; check the path")


def walk_folder(
    root: Folder, folder: Path, prefix: str, ancestors: frozenset[tuple[int, int]]
) -> Iterator[Source | ListingIssue | Unread]:
    """List the PDFs below a folder; `ancestors` are its parent folders, by device and inode.

    A folder sorts as its name with a "/", so the walk yields full names in order without
    collecting them first.
    """
    status = folder.stat()
    ancestors |= {(status.st_dev, status.st_ino)}
    with os.scandir(folder) as entries:
        here = name_entries(entries)
    for short, (entry, twin_of) in sorted(here.items()):
        name, same_as = prefix + short, twin_of and prefix + twin_of
        if short.endswith("/"):
            if entry.name.startswith(".") or not root.may_contain(same_as or name):
                continue
            if same_as:
                yield duplicate_name_issue(root, name, same_as)
                continue
            try:
                target = entry.stat()
                if (target.st_dev, target.st_ino) in ancestors:
                    reason = "a link back to a folder it lies in"
                    yield ListingIssue(root.name, name, reason, harmless=True)
                else:
                    yield from walk_folder(root, Path(entry.path), name, ancestors)
            except OSError as error:
                reason = f"folder cannot be read: {error.strerror}; check its permissions"
                yield ListingIssue(root.name, name, reason, code=Code.UNREADABLE, hides=True)
        elif not root.covers(same_as or name):
            continue
        elif is_document_name(short):
            yield (
                duplicate_name_issue(root, name, same_as)
                if same_as and not entry.name.startswith(".")
                else entry_to_source(root, name, entry)
            )
        elif not entry.name.startswith("."):
            yield Unread(root.name, name)


def name_entries(
    entries: Iterable[os.DirEntry[str]],
) -> dict[str, tuple[os.DirEntry[str], str]]:
    """Give each entry of a folder a unique name; returns entries by name.

    Several entries may have one name in NFC. The one that is spelt in NFC gets it, or else the
    first in byte order. Each other one is named by its escaped spelling, and comes with the NFC
    name.
    """
    by_name: dict[str, list[os.DirEntry[str]]] = {}
    for entry in entries:
        by_name.setdefault(listed_name(entry), []).append(entry)
    named: dict[str, tuple[os.DirEntry[str], str]] = {}
    for name, twins in sorted(by_name.items()):
        if len(twins) > 1:
            twins.sort(key=lambda e: os.fsencode(e.name))
            twins.sort(key=lambda e: e.name != name.removesuffix("/"))
        named[name] = twins[0], ""
        for twin in twins[1:]:
            spelling = twin.name.encode("ascii", "backslashreplace").decode()
            spelling += "/" * name.endswith("/")
            while spelling in by_name or spelling in named:
                spelling = f"\\{spelling}"
            named[spelling] = twin, name
    return named


def duplicate_name_issue(root: Folder, name: str, same_as: str) -> ListingIssue:
    """Return the issue of a file, or a folder, whose name another one has in NFC."""
    reason = f"{same_as} has the same name once Unicode is normalised; rename one of them"
    return ListingIssue(root.name, name, reason, hides=name.endswith("/"), same_as=same_as)


def listed_name(entry: os.DirEntry[str]) -> str:
    """Return an entry's normalized name, a folder's with a "/"."""
    try:
        return normalize_name(entry.name) + ("/" if entry.is_dir() else "")
    except OSError:  # a link to itself is neither a file nor a folder
        return normalize_name(entry.name)


def entry_to_source(root: Folder, name: str, entry: os.DirEntry[str]) -> Source | ListingIssue:
    """Convert a directory entry to a source, or to the issue that keeps it from being one."""
    if entry.name.startswith("."):
        return ListingIssue(root.name, name, "hidden file", harmless=True)
    try:
        # Not entry.stat(), which caches its result: all entries of a folder are in memory.
        status = os.stat(entry.path)  # noqa: PTH116 - a Path costs more than the call
    except OSError as error:
        if entry.is_symlink():
            return ListingIssue(root.name, name, f"a link that leads nowhere ({error.strerror})")
        if not isinstance(error, FileNotFoundError):  # its folder may be read, and not passed
            reason = f"cannot be read: {error.strerror}; check the permissions of its folder"
            return ListingIssue(root.name, name, reason, code=Code.UNREADABLE)
        return ListingIssue(root.name, name, "vanished while being listed", code=Code.VANISHED)
    if not stat.S_ISREG(status.st_mode):
        return ListingIssue(root.name, name, "not a regular file")
    return Source(
        root=root.name,
        name=name,
        location=entry.path,
        size=status.st_size,
        modified=str(status.st_mtime_ns),
        recent=time.time() - status.st_mtime < CLOCK_RESOLUTION_SECONDS,
    )


def open_nonblocking(path: str, flags: int) -> int:
    """Opener for `open` that does not block, as opening a named pipe would."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def check_unchanged(file: BinaryIO, source: Source) -> None:
    """Raise DocumentError if a file was replaced or written to since it was listed."""
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device may never end
        raise DocumentError("changed: it is no longer a regular file; run again", Code.CHANGED)
    modified, _, _ = source.modified.partition(" ")
    if (status.st_size, str(status.st_mtime_ns)) != (source.size, modified):
        raise DocumentError("changed while being read; run again", Code.CHANGED)


def normalize_name(name: str) -> str:
    """Return a file name in NFC, since macOS and Linux may encode one name differently."""
    return unicodedata.normalize("NFC", escape_non_utf8(name))


def escape_non_utf8(name: str) -> str:
    r"""Return a name that any index can store: bytes that are not UTF-8 become \xNN."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def glob_matches(pattern: str, name: str) -> bool:
    """Match a name against a glob: `**/` matches any folders, `*` and `?` never match a "/"."""
    return re.fullmatch(glob_to_regex(pattern), name, re.DOTALL) is not None


def glob_to_regex(pattern: str) -> str:
    """Convert a glob to a regular expression, as glob.translate does from Python 3.13 on."""
    tokens = re.findall(r"\*\*/|\*\*$|\*+|\?|\[[!^]?\]?[^\]]*\]|.", pattern, re.DOTALL)
    return "".join(map(glob_token_to_regex, tokens))


def glob_token_to_regex(token: str) -> str:
    """Convert one token of a glob to a regular expression."""
    if token.startswith("[") and len(token) > 1:
        inside = token[1:-1].replace("\\", r"\\").replace("[", r"\[")
        return f"[^/{inside[1:]}]" if inside[0] in "!^" else f"[{inside}]"
    known = {"**/": "(?:[^/]+/)*", "**": ".*", "?": "[^/]"}
    return known.get(token) or ("[^/]*" if token.startswith("*") else re.escape(token))
