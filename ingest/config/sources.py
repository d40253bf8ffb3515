"""Open the roots that a command line or another machine names."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from ingest.azure.token_hosts import STORAGE_SCOPE, check_token_host
from ingest.config.capacity import document_memory
from ingest.config.connections import Connections
from ingest.config.location import Location
from ingest.config.profile import load_profile, permission_values
from ingest.config.run_settings import ACL, SIDECAR
from ingest.config.settings import Settings
from ingest.errors import ConfigError, RootError
from ingest.sources import Root
from ingest.sources.exclude import exclude_globs, without_exclusion
from ingest.sources.folder import Folder, parse_folder_roots, parse_root_argument
from ingest.sources.named import NamedRoot, split_name
from ingest.sources.permissions import PermittedFolder
from ingest.sources.validation import ValidatedRoot

if TYPE_CHECKING:
    from ingest.sources.azure_blob.event_queue import EventQueue

# Messages of blob events are hidden for longer than a run takes.
MAX_RUN_SECONDS, AFTER_DEADLINE_SECONDS = 7200.0, 600.0

RootOpener: TypeAlias = Callable[[Sequence[str], Settings, Connections, ExitStack], Iterable[Root]]


@dataclass(frozen=True, slots=True)
class PortableRoot:
    """A root in a form to send to another machine, which opens it with its own identity."""

    place: Folder | str  # a URL
    name: str = ""  # "": the place is its name
    key: str = ""


@contextmanager
def open_roots(
    arguments: Sequence[str],
    settings: Settings,
    connections: Connections,
    missing: list[str] | None = None,
) -> Iterator[list[Root]]:
    """Open the roots that a command line names: folders, files, globs and container URLs.

    Sends no request. Raises ConfigError for an invalid root. With a list `missing`, roots that do
    not exist are described there and left out, unless all are.
    """
    for argument in arguments:
        if "AccountKey=" in argument:
            raise ConfigError(
                "a root is a container's URL, not a connection string; no key is needed"
            )
    by_scheme: dict[str, list[str]] = {scheme: [] for scheme in ROOT_OPENERS}
    named: dict[str, list[str]] = {}  # places by name
    for argument in arguments:
        name, place = split_name(argument)
        scheme = Location.parse(place).scheme
        if missing is not None and not scheme and (reason := describe_unreachable(place)):
            missing.append(reason)
            continue
        # The parser of container URLs explains why any other URL is wrong.
        by_scheme[scheme if scheme in ROOT_OPENERS else "https"].append(place)
        if name:
            named.setdefault(name, []).append(place)
    if missing and not any(by_scheme.values()):
        raise RootError("; ".join(missing))
    with ExitStack() as stack:
        roots: list[Root] = []
        for scheme, places in by_scheme.items():
            if places:
                roots += ROOT_OPENERS[scheme](places, settings, connections, stack)
        yield exclude_globs(name_roots(roots, named), settings.exclude)


def describe_unreachable(place: str) -> str:
    """Describe a folder or file that does not exist or may not be listed; "" if it can be."""
    try:
        parse_root_argument(place)
    except RootError as error:
        return str(error)
    return ""


def name_roots(roots: Iterable[Root], named: Mapping[str, Sequence[str]]) -> list[Root]:
    """Give roots the names of their arguments. Raises ConfigError if a name does not fit."""
    names: dict[str, str] = {}  # by the name without NAME=
    for name, places in named.items():
        own = {own_name(place) for place in places}
        if len(own) > 1:
            raise ConfigError(f"{' and '.join(sorted(own))} cannot both be called {name}")
        for root in own:
            if names.setdefault(root, name) != name:
                raise ConfigError(f"{root} cannot be called both {names[root]} and {name}")
    return [NamedRoot(root, names[root.name]) if root.name in names else root for root in roots]


def own_name(place: str) -> str:
    """Return the name of a root without NAME=: its path, or its URL."""
    location = Location.parse(place)
    if location.is_local:
        return parse_folder_roots([place])[0].name
    if not location.is_service:
        return place
    from ingest.sources.azure_blob.location import parse_container_url

    return parse_container_url(place).url


def open_folders(
    paths: Sequence[str], settings: Settings, _connections: Connections, _stack: ExitStack
) -> Sequence[Root]:
    """Open folders, files and globs. Raises ConfigError if permissions would be read elsewhere."""
    folders = parse_folder_roots(paths)
    if settings.permissions == SIDECAR:
        return [PermittedFolder(folder) for folder in folders]
    if permission_values(settings):
        raise ConfigError(
            f"{folders[0].name}: nothing says who may read its files: set "
            f"INGEST_PERMISSIONS={SIDECAR} (docs/permissions.md)"
        )
    return folders


def open_containers(
    urls: Sequence[str], settings: Settings, connections: Connections, stack: ExitStack
) -> Iterator[Root]:
    """Open blob containers; the stack closes their clients."""
    from ingest.sources.azure_blob.acl_client import acl_url
    from ingest.sources.azure_blob.client import StorageClient
    from ingest.sources.azure_blob.container import Container
    from ingest.sources.azure_blob.fields import permission_names
    from ingest.sources.azure_blob.location import parse_container_urls

    if settings.permissions == SIDECAR:
        raise ConfigError(
            f"{urls[0]}: INGEST_PERMISSIONS={SIDECAR} is for folders: set {ACL}, or fill oids and "
            "groups with INGEST_BLOB_FIELDS (docs/permissions.md)"
        )
    if settings.permissions and permission_names(settings.blob_fields):
        raise ConfigError(
            f"INGEST_PERMISSIONS={settings.permissions} and INGEST_BLOB_FIELDS both say who may "
            "read a blob: leave one of them out"
        )
    profile = load_profile(settings)
    for location in parse_container_urls(urls):
        token = connections.token_for(location.url, STORAGE_SCOPE)
        if settings.permissions == ACL:
            check_token_host(acl_url(location.url), STORAGE_SCOPE, connections.trusted_hosts)
        client = StorageClient(location.url, token, connections.retry_policy)
        stack.enter_context(closing(client))
        fields = (*settings.blob_fields, *profile.blob_fields())
        yield Container(
            location,
            client,
            document_memory(settings),
            fields,
            reads_acl=settings.permissions == ACL,
        )


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
    if isinstance(root, PermittedFolder):
        root = root.root  # a worker only opens what was listed
    if isinstance(root, NamedRoot):
        return replace(to_portable(root.root), name=root.name, key=root.key)
    if isinstance(root, Folder):
        return PortableRoot(root)
    if Location.parse(root.name).is_local or isinstance(root, ValidatedRoot):
        raise ConfigError(
            f"{root.name}: other machines cannot read a user-supplied root: leave the engine out"
        )
    return PortableRoot(root.name)


@contextmanager
def open_portable(
    portable: PortableRoot, settings: Settings, connections: Connections
) -> Iterator[Root]:
    """Open a root that another machine sent. Raises ConfigError if a folder is not here."""

    def name(root: Root) -> Root:
        return NamedRoot(root, portable.name, portable.key) if portable.name else root

    place = portable.place
    if isinstance(place, str):
        with open_roots([place], settings, connections) as (found,):
            yield name(found)
    elif place.folder.is_dir():
        yield name(place)
    else:
        raise ConfigError(
            f"{place.folder} does not exist on {socket.gethostname()}: mount it at the same "
            "path on every worker, or name a blob container"
        )
