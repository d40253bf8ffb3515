"""Images of figures in a folder of this machine, which only its owner may read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ingest.errors import ConfigError
from ingest.pipeline.images import OWNER_FILE_NAME, STORED_NAME, name_image, other_owner_error
from ingest.runtime.private_file import create_private_folder, write_private_file


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """ImageStore in a folder."""

    folder: Path  # absolute

    @property
    def place(self) -> str:
        """The folder."""
        return str(self.folder)

    def claim(self, owner: str, *, write: bool) -> None:
        """Create the folder if need be, and note in it whose images these are."""
        path = self.folder / OWNER_FILE_NAME
        with self.explain_errors():
            if write:
                create_private_folder(self.folder)
            if write and not path.exists():
                write_private_file(path, owner)
            if path.exists() and path.read_text(encoding="utf-8") != owner:
                raise other_owner_error(self.place)

    def keep(self, image: bytes) -> str:
        """Store an image, unless it is there; return its name."""
        name = name_image(image)
        if not self.has(name):
            with self.explain_errors():
                write_private_file(self.folder / name, image)
        return name

    def has(self, name: str) -> bool:
        """Return whether an image is stored."""
        return (self.folder / name).is_file()

    def address(self, name: str) -> str:
        """Return the URL of a file."""
        return (self.folder / name).as_uri()

    def names(self) -> Iterator[str]:
        """Yield the names of all stored images, and of partial files that a killed process left."""
        with self.explain_errors():
            found = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
        return filter(STORED_NAME.fullmatch, found)

    def delete(self, names: Collection[str]) -> None:
        """Delete images."""
        with self.explain_errors():
            for name in names:
                (self.folder / name).unlink(missing_ok=True)

    @contextmanager
    def explain_errors(self) -> Iterator[None]:
        """Raise ConfigError for a failure of the disk."""
        try:
            yield
        except OSError as error:
            raise ConfigError(
                f"INGEST_FIGURES_TO: {error.filename or self.folder}: {error.strerror or error}; "
                "check its permissions and the room on its disk"
            ) from error
