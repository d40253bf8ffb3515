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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ingest.errors import ConfigError, DocumentError
from ingest.models import Code, ListingIssue, Source, Unread, is_document_name
from ingest.sources import require_source

# A second write within the resolution of a file system's clock leaves size and time as they are.
# FAT's two seconds is the coarsest clock in use.
CLOCK_RESOLUTION_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder, and which of the names in it are meant; None for all of them."""

    folder: Path
    patterns: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """What the index calls it: the absolute path, links resolved, "/" between folders."""
        return escape_non_utf8(self.folder.as_posix())

    def covers(self, name: str) -> bool:
        """Whether a run on this root would have listed `name`."""
        return self.patterns is None or any(glob_matches(p, name) for p in self.patterns)

    def may_contain(self, folder: str) -> bool:
        """Whether anything below `folder` can be meant; it ends with a "/"."""
        depth = folder.count("/")
        return self.patterns is None or any(
            "**" in p or p.count("/") >= depth for p in self.patterns
        )

    def list(self) -> Iterator[Source | ListingIssue | Unread]:
        """Every PDF in the order of the names, and every odd thing met on the way.

        Raises ConfigError if the folder itself cannot be read any more.
        """
        try:
            yield from walk_folder(self, self.folder, "", frozenset())
        except OSError as error:
            raise ConfigError(f"{self.folder}: {error.strerror}; check the path") from error

    def find(self, name: str) -> Source:
        """The file of this name as it is now. Raises DocumentError if there is none."""
        path = self.folder / name
        # The index spells names in NFC. Where the folder does not, the listing finds the file.
        with suppress(OSError):
            status = path.stat()
            if stat.S_ISREG(status.st_mode):
                return Source(self.name, name, str(path), status.st_size, str(status.st_mtime_ns))
        return require_source(Folder(self.folder, (glob.escape(name),)).list())

    @contextmanager
    def open(self, source: Source) -> Iterator[BinaryIO]:
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
            check_unchanged(file, source)
            try:
                yield file
            except DocumentError:
                check_unchanged(file, source)  # what is half written is not damaged
                raise
            check_unchanged(file, source)


def parse_folder_roots(arguments: Iterable[str]) -> list[Folder]:
    """The roots that a command line names; files and globs of one folder become one root.

    Raises ConfigError for a root that does not exist, cannot be entered, or lies inside another.
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
        if inner.is_relative_to(outer):
            raise ConfigError(
                f"{inner} lies inside {outer}, so its documents would be indexed twice: "
                "name the outer one only"
            )
    return [Folder(folder, tuple(sorted(p)) if p else None) for folder, p in found.items()]


def parse_root_argument(argument: str) -> tuple[Path, str | None]:
    """The folder an argument means, and the pattern below it if it does not mean all of it."""
    path = Path(argument)
    try:
        if path.is_dir():
            os.scandir(path).close()
            return path.resolve(), None
        if path.exists():
            if not is_document_name(path.name):
                raise ConfigError(f"{argument}: neither a folder nor a .pdf file")
            return path.parent.resolve(), glob.escape(normalize_name(path.name))
    except OSError as error:
        raise ConfigError(f"{argument}: {error.strerror}; check its permissions") from error
    if glob.has_magic(argument):
        parts = path.parts
        fixed = list(itertools.takewhile(lambda part: not glob.has_magic(part), parts))
        if Path(*fixed).is_dir():
            return Path(*fixed).resolve(), normalize_name("/".join(parts[len(fixed) :]))
    raise ConfigError(f"{argument}: no such folder or file; check the path")


def walk_folder(
    root: Folder, folder: Path, prefix: str, ancestors: frozenset[tuple[int, int]]
) -> Iterator[Source | ListingIssue | Unread]:
    """The PDFs below one folder; `above` are the folders it lies in, by device and inode.

    A folder sorts as its name with a "/", which makes the whole walk come out in the order of
    the full names without holding them.
    """
    status = folder.stat()
    ancestors |= {(status.st_dev, status.st_ino)}
    with os.scandir(folder) as entries:
        here = sorted(((sort_key(e), e) for e in entries), key=lambda pair: pair[0])
    previous = ""
    for short, entry in here:
        name, twin, previous = prefix + short, short == previous, short
        if short.endswith("/"):
            if short.startswith(".") or not root.may_contain(name):
                continue
            if twin:
                yield ListingIssue(root.name, name, DUPLICATE_NAME_REASON, hides=True)
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
        elif not root.covers(name):
            continue
        elif is_document_name(short):
            yield (
                ListingIssue(root.name, name, DUPLICATE_NAME_REASON)
                if twin
                else entry_to_source(root, name, entry)
            )
        elif not short.startswith(".") and not twin:
            yield Unread(root.name, name)


DUPLICATE_NAME_REASON = (
    "another one has the same name once Unicode is normalised; rename one of them"
)


def sort_key(entry: os.DirEntry[str]) -> str:
    """An entry's name as the index spells it, a folder's with a "/"."""
    try:
        return normalize_name(entry.name) + ("/" if entry.is_dir() else "")
    except OSError:  # a link to itself is neither
        return normalize_name(entry.name)


def entry_to_source(root: Folder, name: str, entry: os.DirEntry[str]) -> Source | ListingIssue:
    """The source an entry is, or why it is none."""
    if entry.name.startswith("."):
        return ListingIssue(root.name, name, "hidden file", harmless=True)
    try:
        # Not entry.stat(): an entry keeps what it is told, and all of a folder's are held.
        status = os.stat(entry.path)  # noqa: PTH116 - a Path costs more than the call
    except OSError as error:
        if entry.is_symlink():
            return ListingIssue(root.name, name, f"a link that leads nowhere ({error.strerror})")
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


def at_once(path: str, flags: int) -> int:
    """An opener of files that waits for nobody, as the one of a named pipe would."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def check_unchanged(file: BinaryIO, source: Source) -> None:
    """Raises DocumentError if a file is not the one that was listed, or was written to since."""
    status = os.fstat(file.fileno())
    if (status.st_size, str(status.st_mtime_ns)) != (source.size, source.modified):
        raise DocumentError("changed while being read; run again", Code.CHANGED)


def normalize_name(name: str) -> str:
    """A file name in NFC: one name for what macOS and Linux may spell differently."""
    return unicodedata.normalize("NFC", escape_non_utf8(name))


def escape_non_utf8(name: str) -> str:
    r"""A name any index can hold: bytes that are not UTF-8 become \xNN."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def glob_matches(pattern: str, name: str) -> bool:
    """Whether a glob means a name: `**/` any folders, `*` and `?` never a "/"."""
    return re.fullmatch(glob_to_regex(pattern), name, re.DOTALL) is not None


def glob_to_regex(pattern: str) -> str:
    """A glob as a regular expression; glob.translate does this from Python 3.13 on."""
    tokens = re.findall(r"\*\*/|\*\*$|\*+|\?|\[[!^]?\]?[^\]]*\]|.", pattern, re.DOTALL)
    return "".join(map(glob_token_to_regex, tokens))


def glob_token_to_regex(token: str) -> str:
    """One token of a glob as a regular expression."""
    if token.startswith("[") and len(token) > 1:
        inside = token[1:-1].replace("\\", r"\\").replace("[", r"\[")
        return f"[^/{inside[1:]}]" if inside[0] in "!^" else f"[{inside}]"
    known = {"**/": "(?:[^/]+/)*", "**": ".*", "?": "[^/]"}
    return known.get(token) or ("[^/]*" if token.startswith("*") else re.escape(token))
