"""Temporary copies of documents that are not local files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from ingest.errors import ServiceError


@contextmanager
def temporary_file() -> Iterator[BinaryIO]:
    """Create a file without a name, which vanishes even if this process is killed."""
    try:
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it is closed below
    except OSError as error:
        raise disk_full_error(error.strerror or str(error)) from error
    with file:
        yield file


def write_block(file: BinaryIO, piece: bytes) -> None:
    """Write to a temporary file. Raises ServiceError if its disk is full."""
    try:
        file.write(piece)
    except OSError as error:
        raise disk_full_error(error.strerror or str(error)) from error


def disk_full_error(reason: str) -> ServiceError:
    """Return the error for a temporary file that cannot be written."""
    return ServiceError(
        f"{reason}: documents being read and the listing of a container need room in a temporary "
        "folder; TMPDIR names another one"
    )
