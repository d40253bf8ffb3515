"""The file `.env` of the working directory: settings of ingest, and nothing else.

A stranger's folder may contain one. So it gives only variables that cannot run code or decide who
gets a token, and it is refused where somebody else could have written it.
"""

from __future__ import annotations

import io
import logging
import os
import re
import stat
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from dotenv import dotenv_values

from ingest.azure.token_hosts import COGNITIVE_SERVICES_SCOPE, SEARCH_SCOPE, is_token_host
from ingest.config.location import Location
from ingest.config.settings import environment_settings
from ingest.errors import ConfigError

log = logging.getLogger(__name__)

ENV_FILE = ".env"
MAX_BYTES = 1 << 20

# Read by azure-identity: which identity signs in. None names a host, or a file to be sent.
IDENTITY_VARIABLES = frozenset(
    {
        "AZURE_CLIENT_ID",
        "AZURE_CLIENT_SECRET",
        "AZURE_CLIENT_CERTIFICATE_PATH",
        "AZURE_CLIENT_CERTIFICATE_PASSWORD",
        "AZURE_TOKEN_CREDENTIALS",
    }
)
# Keys, and the settings that say where they are sent.
KEY_RECIPIENTS = {
    "AZURE_OPENAI_KEY": (COGNITIVE_SERVICES_SCOPE, ("AZURE_OPENAI_ENDPOINT", "INGEST_EMBEDDER")),
    "AZURE_OPENAI_FIGURES_KEY": (
        COGNITIVE_SERVICES_SCOPE,
        ("AZURE_OPENAI_FIGURES_ENDPOINT", "AZURE_OPENAI_ENDPOINT"),
    ),
    "AZURE_SEARCH_KEY": (SEARCH_SCOPE, ("AZURE_SEARCH_ENDPOINT", "INGEST_INDEX")),
}
LOOPBACK_URL = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?(/.*)?")
# A setting all the same: with it, the file could name the host that gets a token.
ENVIRONMENT_ONLY = frozenset({"INGEST_TRUSTED_HOSTS"})
# Dangerous if they were honoured, so the author of the file must learn that they are not.
WARNED_PATTERNS = (
    *("LD_*", "DYLD_*", "GCONV_PATH", "GLIBC_TUNABLES", "PYTHON*", "*_PROXY", "*_proxy"),
    *("*_CA_BUNDLE", "SSL_CERT_*", "SSLKEYLOGFILE", "*AUTHORITY_HOST", "*IDENTITY_ENDPOINT"),
    *("MSI_ENDPOINT", "AZURE_FEDERATED_TOKEN_FILE", "PATH", *ENVIRONMENT_ONLY),
)


def read_env_file() -> dict[str, str]:
    """Return the variables of `.env` that ingest takes.

    Raises ConfigError if it cannot be read, or belongs to another user.
    """
    known = {item.metadata["env"] for item in environment_settings()} | IDENTITY_VARIABLES
    return {n: v for n, v in parse_env_file().items() if n in known - ENVIRONMENT_ONLY}


def check_key_hosts(environment: Mapping[str, str], given: Mapping[str, str]) -> None:
    """Raise ConfigError if `.env` alone names a host that would get a key of the environment.

    Azure's own hosts cannot pass a key on to the author of the file.
    """
    trusted = environment.get("INGEST_TRUSTED_HOSTS", "").lower().replace(",", " ").split()
    for key, (scope, names) in KEY_RECIPIENTS.items():
        for name in names:
            if not environment.get(key) or name in environment:
                continue
            for url in given.get(name, "").replace(",", " ").split():
                if is_foreign_host(url, scope, trusted):
                    raise ConfigError(
                        f"{name} in {ENV_FILE} would have {key} of the environment sent to {url}: "
                        f"set {name} in the environment if that is yours"
                    )


def is_foreign_host(url: str, scope: str, trusted: Sequence[str]) -> bool:
    """Return whether a URL leads to a host that is neither Azure's nor trusted nor this machine."""
    is_url = url.lower().startswith(("http://", "https://"))
    return is_url and not (LOOPBACK_URL.fullmatch(url) or is_token_host(url, scope, trusted))


def warn_about_ignored() -> None:
    """Log a warning for each variable of `.env` that would be dangerous if it took effect."""
    for name in sorted(parse_env_file()):
        if any(fnmatchcase(name, pattern) for pattern in WARNED_PATTERNS):
            log.warning(
                "%s in %s is ignored, because the author of the file could misuse it: set it in "
                "the environment if you need it",
                name,
                ENV_FILE,
            )


def parse_env_file() -> dict[str, str]:
    """Return all variables of `.env`. Raises ConfigError as `read_env_file` does."""
    try:
        # On Windows, files have no such owner.
        text = read_own_file(Path(ENV_FILE), os.geteuid() if hasattr(os, "geteuid") else None)
        values = dotenv_values(stream=io.StringIO(text), interpolate=False)
    except (ValueError, OSError) as error:
        raise ConfigError(f"{ENV_FILE} cannot be read ({error}): fix it or move it away") from None
    return {name: value for name, value in values.items() if value is not None}


def read_own_file(path: Path, user: int | None) -> str:
    """Return the content of a file of a user or root; "" if there is none.

    Raises ConfigError if it has another owner, and OSError or ValueError if it cannot be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        owners = {path.lstat().st_uid}
        handle = os.open(path, flags)  # a named pipe must not block
    except FileNotFoundError:
        return ""
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("not a regular file")
        owners.add(status.st_uid)
        if user is not None and owners - {0, user}:
            raise ConfigError(
                f"{path} belongs to another user, who could redirect this run: move it away, or "
                "make it yours (chown) once you have read it"
            )
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES:,} bytes")
    return data.decode()


def check_outside_roots(roots: Sequence[str]) -> None:
    """Raise ConfigError if `.env` lies inside a root, where people who add documents can write.

    It is not ignored, because then the run would fill another index.
    """
    file = Path(ENV_FILE)
    if not os.path.lexists(file):
        return
    places = [Path.cwd().resolve() / ENV_FILE, file.resolve()]
    for root in roots:
        folder = Path(root)
        if Location.parse(root).is_local and folder.is_dir():
            inside = folder.resolve()
            if any(place.is_relative_to(inside) for place in places):
                raise ConfigError(
                    f"{ENV_FILE} lies inside the root {root}, so anyone who adds documents could "
                    "change the settings: start ingest in another folder, with the file there"
                )
