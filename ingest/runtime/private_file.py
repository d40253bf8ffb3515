"""Files that only their owner may read, replaced atomically."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from ingest.errors import ConfigError

OWNER_ONLY_FOLDER = 0o700
OWNER_ONLY_FILE = 0o600


def write_private_file(path: Path, content: str | bytes) -> None:
    """Replace a file by one that only its owner may read. A link is replaced, never followed.

    A device or a pipe, such as /dev/stdout, is written to. Raises OSError.
    """
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        path.write_bytes(data)
        return
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # for its owner only
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def create_private_folder(folder: Path) -> None:
    """Create a folder that only its owner may enter; one that exists keeps its permissions."""
    folder.mkdir(mode=OWNER_ONLY_FOLDER, parents=True, exist_ok=True)


def create_private_file(path: Path) -> None:
    """Create an empty file that only its owner may read, unless there is one.

    Raises ConfigError if it is a symbolic link, and OSError.
    """
    if path.is_symlink():
        raise ConfigError(f"{path} is a symbolic link, which is not written through: remove it")
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)
    with suppress(FileExistsError):
        os.close(os.open(path, flags, OWNER_ONLY_FILE))
