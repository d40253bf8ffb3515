"""Open the place for the images of figures: a folder, or a blob container."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ingest.azure.token_hosts import STORAGE_SCOPE
from ingest.config.connections import Connections
from ingest.config.figures import describes_figures
from ingest.config.index import index_location, index_name
from ingest.config.location import Location
from ingest.config.settings import Settings
from ingest.errors import ConfigError
from ingest.models import IMAGES_IN
from ingest.pipeline.images import ImageStore


@contextmanager
def open_images(
    settings: Settings, connections: Connections, *, write: bool
) -> Iterator[ImageStore | None]:
    """Open the place that INGEST_FIGURES_TO names; None without one.

    Without `write`, nothing is created there. Raises ConfigError, and ServiceError.
    """
    location = Location.parse(settings.figures_to)
    if not settings.figures_to:
        yield None
        return
    if write and not describes_figures(settings):
        raise ConfigError(
            "--figures-to keeps the images of figures that a model describes: set --figures "
            "describe too, or leave it out"
        )
    if location.is_local:
        from ingest.pipeline.images.folder import ImageFolder

        if settings.engine:
            raise ConfigError(
                f"--figures-to {location}: the workers of --engine {settings.engine} cannot reach "
                "a folder of this machine: name a blob container"
            )
        try:
            path = Path(location.path).expanduser().absolute()
        except RuntimeError as error:  # `~` of a user without a home folder
            raise ConfigError(f"INGEST_FIGURES_TO: {location}: {error}") from None
        folder = ImageFolder(path)
        folder.claim(index_key(settings), write=write)
        yield folder
    else:
        from ingest.pipeline.images.container import ImageContainer
        from ingest.sources.azure_blob.client import StorageClient
        from ingest.sources.azure_blob.location import parse_container_url

        try:
            place = parse_container_url(settings.figures_to)
        except ConfigError as error:
            raise ConfigError(f"INGEST_FIGURES_TO: {error}") from None
        token = connections.token_for(place.url, STORAGE_SCOPE)
        client = StorageClient(place.url, token, connections.retry_policy)
        with closing(ImageContainer(place, client)) as container:
            container.claim(index_key(settings), write=write)
            yield container


def images_recipe(settings: Settings) -> str:
    """Return where images are kept, as far as an index is to be read again for another place.

    The path of a folder may name a person.
    """
    if not settings.figures_to:
        return ""
    is_local = Location.parse(settings.figures_to).is_local
    return f"{IMAGES_IN}{'a folder' if is_local else settings.figures_to}"


def index_key(settings: Settings) -> str:
    """Return a key of the index; a hash, because a path may name a person."""
    location = index_location(settings)
    name = Path(location.path).resolve().as_posix() if location.is_local else index_name(settings)
    return hashlib.sha256(name.encode()).hexdigest()[:40]
