"""PDFs on a disk: a folder, one file, or a glob.

The listing is in the order of the names, code point by code point, because it is merged with
the index's records in that order; a listing in any other order would look like deletions.
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
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ingest.errors import ConfigError, DocumentError
from ingest.model import Code, Oddity, Source, Unread

# A second write within the resolution of a file system's clock leaves size and time as they are.
# FAT's two seconds is the coarsest clock in use.
CLOCK_RESOLUTION = 2.0


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder, and which of the names in it are meant; None for all of them."""

    folder: Path
    patterns: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """What the index calls it: the absolute path, links resolved, "/" between folders."""
        return portable(self.folder.as_posix())

    def covers(self, name: str) -> bool:
        """Whether a run on this root would have listed `name`."""
        return self.patterns is None or any(matches(p, name) for p in self.patterns)

    def enters(self, folder: str) -> bool:
        """Whether anything below `folder` can be meant; it ends with a "/"."""
        depth = folder.count("/")
        return self.patterns is None or any(
            "**" in p or p.count("/") >= depth for p in self.patterns
        )

    def listed(self) -> Iterator[Source | Oddity | Unread]:
        """Every PDF in the order of the names, and every odd thing met on the way.

        Raises ConfigError if the folder itself cannot be read any more.
        """
        try:
            yield from walk(self, self.folder, "", frozenset())
        except OSError as error:
            raise ConfigError(f"{self.folder}: {error.strerror}; check the path") from error

    @contextmanager
    def opened(self, source: Source) -> Iterator[BinaryIO]:
        """The file of a source, which must be as listed until the caller is done with it.

        Raises DocumentError if it vanished, cannot be read, or changes meanwhile.
        """
        try:
            # What has become a pipe since it was listed must not be waited for.
            file = open(source.location, "rb", opener=at_once)  # noqa: SIM115 - closed below
        except FileNotFoundError:
            raise DocumentError("vanished before it was read", Code.VANISHED) from None
        except OSError as error:
            reason = f"cannot be read: {error.strerror}; check its permissions"
            raise DocumentError(reason, Code.UNREADABLE) from error
        with file:
            as_listed(file, source)
            try:
                yield file
            except DocumentError:
                as_listed(file, source)  # what is half written is not damaged
                raise
            as_listed(file, source)


def roots(arguments: Iterable[str]) -> list[Folder]:
    """The roots that a command line names; files and globs of one folder become one root.

    Raises ConfigError for a root that does not exist, cannot be entered, or lies inside another.
    """
    found: dict[Path, set[str] | None] = {}
    for argument in arguments:
        folder, pattern = located(argument)
        patterns = found.setdefault(folder, set())
        if pattern is None or patterns is None:
            found[folder] = None
        else:
            patterns.add(pattern)
    for inner, outer in itertools.permutations(found, 2):
        if inner.is_relative_to(outer):
            raise ConfigError(
                f"{inner} lies inside {outer}, so its documents would be indexed twice: "
                "name the outer one only"
            )
    return [Folder(folder, tuple(sorted(p)) if p else None) for folder, p in found.items()]


def located(argument: str) -> tuple[Path, str | None]:
    """The folder an argument means, and the pattern below it if it does not mean all of it."""
    path = Path(argument)
    try:
        if path.is_dir():
            os.scandir(path).close()
            return path.resolve(), None
        if path.exists():
            if not path.name.lower().endswith(".pdf"):
                raise ConfigError(f"{argument}: neither a folder nor a .pdf file")
            return path.parent.resolve(), glob.escape(normal(path.name))
    except OSError as error:
        raise ConfigError(f"{argument}: {error.strerror}; check its permissions") from error
    if glob.has_magic(argument):
        parts = path.parts
        fixed = list(itertools.takewhile(lambda part: not glob.has_magic(part), parts))
        if Path(*fixed).is_dir():
            return Path(*fixed).resolve(), normal("/".join(parts[len(fixed) :]))
    raise ConfigError(f"{argument}: no such folder or file; check the path")


def walk(
    root: Folder, folder: Path, prefix: str, above: frozenset[tuple[int, int]]
) -> Iterator[Source | Oddity | Unread]:
    """The PDFs below one folder; `above` are the folders it lies in, by device and inode.

    A folder sorts as its name with a "/", which makes the whole walk come out in the order of
    the full names without holding them.
    """
    status = folder.stat()
    above |= {(status.st_dev, status.st_ino)}
    with os.scandir(folder) as entries:
        here = sorted(((sort_name(e), e) for e in entries), key=lambda pair: pair[0])
    previous = ""
    for short, entry in here:
        name, twin, previous = prefix + short, short == previous, short
        if short.endswith("/"):
            if short.startswith(".") or not root.enters(name):
                continue
            if twin:
                yield Oddity(root.name, name, TWIN, hides=True)
                continue
            try:
                target = entry.stat()
                if (target.st_dev, target.st_ino) in above:
                    reason = "a link back to a folder it lies in"
                    yield Oddity(root.name, name, reason, harmless=True)
                else:
                    yield from walk(root, Path(entry.path), name, above)
            except OSError as error:
                reason = f"folder cannot be read: {error.strerror}; check its permissions"
                yield Oddity(root.name, name, reason, code=Code.UNREADABLE, hides=True)
        elif not root.covers(name):
            continue
        elif short.lower().endswith(".pdf"):
            yield Oddity(root.name, name, TWIN) if twin else described(root, name, entry)
        elif not short.startswith(".") and not twin:
            yield Unread(root.name, name)


TWIN = "another one has the same name once Unicode is normalised; rename one of them"


def sort_name(entry: os.DirEntry[str]) -> str:
    """An entry's name as the index spells it, a folder's with a "/"."""
    try:
        return normal(entry.name) + ("/" if entry.is_dir() else "")
    except OSError:  # a link to itself is neither
        return normal(entry.name)


def described(root: Folder, name: str, entry: os.DirEntry[str]) -> Source | Oddity:
    """The source an entry is, or why it is none."""
    if entry.name.startswith("."):
        return Oddity(root.name, name, "hidden file", harmless=True)
    try:
        # Not entry.stat(): an entry keeps what it is told, and all of a folder's are held.
        status = os.stat(entry.path)  # noqa: PTH116 - a Path costs more than the call
    except OSError as error:
        if entry.is_symlink():
            return Oddity(root.name, name, f"a link that leads nowhere ({error.strerror})")
        return Oddity(root.name, name, "vanished while being listed", code=Code.VANISHED)
    if not stat.S_ISREG(status.st_mode):
        return Oddity(root.name, name, "not a regular file")
    return Source(
        root=root.name,
        name=name,
        location=entry.path,
        size=status.st_size,
        modified=str(status.st_mtime_ns),
        recent=time.time() - status.st_mtime < CLOCK_RESOLUTION,
    )


def at_once(path: str, flags: int) -> int:
    """An opener of files that waits for nobody, as the one of a named pipe would."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def as_listed(file: BinaryIO, source: Source) -> None:
    """Raises DocumentError if a file is not the one that was listed, or was written to since."""
    status = os.fstat(file.fileno())
    if (status.st_size, str(status.st_mtime_ns)) != (source.size, source.modified):
        raise DocumentError("changed while being read; run again", Code.CHANGED)


def normal(name: str) -> str:
    """A file name in NFC: one name for what macOS and Linux may spell differently."""
    return unicodedata.normalize("NFC", portable(name))


def portable(name: str) -> str:
    r"""A name any index can hold: bytes that are not UTF-8 become \xNN."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def matches(pattern: str, name: str) -> bool:
    """Whether a glob means a name: `**/` any folders, `*` and `?` never a "/"."""
    return re.fullmatch(as_regex(pattern), name, re.DOTALL) is not None


def as_regex(pattern: str) -> str:
    """A glob as a regular expression; glob.translate does this from Python 3.13 on."""
    tokens = re.findall(r"\*\*/|\*\*$|\*+|\?|\[[!^]?\]?[^\]]*\]|.", pattern, re.DOTALL)
    return "".join(map(translated, tokens))


def translated(token: str) -> str:
    """One token of a glob as a regular expression."""
    if token.startswith("[") and len(token) > 1:
        inside = token[1:-1].replace("\\", r"\\").replace("[", r"\[")
        return f"[^/{inside[1:]}]" if inside[0] in "!^" else f"[{inside}]"
    known = {"**/": "(?:[^/]+/)*", "**": ".*", "?": "[^/]"}
    return known.get(token) or ("[^/]*" if token.startswith("*") else re.escape(token))
