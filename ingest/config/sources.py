"""Open the roots that a command line or another machine names."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ingest.azure.credential import STORAGE_SCOPE
from ingest.config.capacity import document_memory
from ingest.config.connections import Connections
from ingest.config.location import Location
from ingest.config.settings import Settings
from ingest.errors import ConfigError
from ingest.sources import Root
from ingest.sources.exclude import exclude_globs, without_exclusion
from ingest.sources.folder import Folder, parse_folder_roots
from ingest.sources.validation import ValidatedRoot

if TYPE_CHECKING:
    from ingest.sources.azure_blob.event_queue import EventQueue

# Messages of blob events are hidden for as long as a run takes, and then some.
MAX_RUN_SECONDS, AFTER_DEADLINE_SECONDS = 7200.0, 600.0

# A root on its way to another machine, which opens it with its own identity.
PortableRoot: TypeAlias = "Folder | str"

RootOpener: TypeAlias = Callable[[Sequence[str], Settings, Connections, ExitStack], Iterable[Root]]


@contextmanager
def open_roots(
    arguments: Sequence[str], settings: Settings, connections: Connections
) -> Iterator[list[Root]]:
    """Open the roots that a command line names: folders, files, globs and container URLs.

    Sends no request. Raises ConfigError for an invalid root.
    """
    for argument in arguments:
        if "AccountKey=" in argument:
            raise ConfigError(
                "a root is a container's URL, not a connection string; no key is needed"
            )
    by_scheme: dict[str, list[str]] = {scheme: [] for scheme in ROOT_OPENERS}
    for argument in arguments:
        scheme = Location.parse(argument).scheme
        # A container's parser explains what is wrong with any other URL.
        by_scheme[scheme if scheme in ROOT_OPENERS else "https"].append(argument)
    with ExitStack() as stack:
        roots: list[Root] = []
        for scheme, names in by_scheme.items():
            if names:
                roots += ROOT_OPENERS[scheme](names, settings, connections, stack)
        yield exclude_globs(roots, settings.exclude)


def open_folders(
    paths: Sequence[str], _settings: Settings, _connections: Connections, _stack: ExitStack
) -> list[Folder]:
    """Open folders, files and globs."""
    return parse_folder_roots(paths)


def open_containers(
    urls: Sequence[str], settings: Settings, connections: Connections, stack: ExitStack
) -> Iterator[Root]:
    """Open blob containers; the stack closes their clients."""
    from ingest.sources.azure_blob.client import BlobStorageClient
    from ingest.sources.azure_blob.container import Container, parse_container_urls

    for location in parse_container_urls(urls):
        token = connections.token_for(location.url, STORAGE_SCOPE)
        client = BlobStorageClient(location.url, token, connections.retry_policy)
        stack.enter_context(closing(client))
        yield Container(location, client, document_memory(settings), settings.blob_fields)


@contextmanager
def open_event_queue(
    arguments: Sequence[str], settings: Settings, connections: Connections
) -> Iterator[EventQueue | None]:
    """Open the queue with events of the settings' root. Sends no request.

    Yields None without such a queue, or if other roots are named on the command line.
    """
    if arguments or not settings.event_queue:
        yield None
        return
    from ingest.sources.azure_blob.event_queue import EventQueue

    token = connections.token_for(settings.event_queue, STORAGE_SCOPE)
    hidden_seconds = (settings.deadline or MAX_RUN_SECONDS) + AFTER_DEADLINE_SECONDS
    queue = EventQueue(settings.event_queue, token, connections.retry_policy, hidden_seconds)
    with closing(queue):
        yield queue


# Scheme: opener of all roots with that scheme.
ROOT_OPENERS: Mapping[str, RootOpener] = {"": open_folders, "https": open_containers}


def to_portable(root: Root) -> PortableRoot:
    """Return a root in the form that other machines can open.

    Raises ConfigError for a user-supplied one.
    """
    root = without_exclusion(root)
    if isinstance(root, Folder):
        return root
    if Location.parse(root.name).is_local or isinstance(root, ValidatedRoot):
        raise ConfigError(
            f"{root.name}: other machines cannot read a user-supplied root: leave the engine out"
        )
    return root.name


@contextmanager
def open_portable(
    portable: PortableRoot, settings: Settings, connections: Connections
) -> Iterator[Root]:
    """Open a root that another machine sent. Raises ConfigError if a folder is not here."""
    if isinstance(portable, str):
        with open_roots([portable], settings, connections) as (found,):
            yield found
    elif portable.folder.is_dir():
        yield portable
    else:
        raise ConfigError(
            f"{portable.folder} does not exist on {socket.gethostname()}: mount it at the same "
            "path on every worker, or name a blob container"
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
