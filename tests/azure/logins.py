"""A machine on which somebody is signed in with `az`, which gets its tokens from the emulator."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import environment
from tests.emulator.emulator import Azure
from tests.emulator.identity import TENANT

# What `az account get-access-token` does: prints a token, or says on stderr why there is none.
AZ = """\
import json, pathlib, sys, time, urllib.parse, urllib.request

folder = pathlib.Path({folder!r})
with (folder / "asked").open("a") as asked:
    print(*sys.argv[1:], file=asked)
trouble = folder / "trouble"
if trouble.exists():
    sys.exit(trouble.read_text())
assert sys.argv[1:3] == ["account", "get-access-token"], sys.argv
resource = sys.argv[sys.argv.index("--resource") + 1]
query = urllib.parse.urlencode({{"api-version": "2019-08-01", "resource": resource}})
request = urllib.request.Request({endpoint!r} + "?" + query)
request.add_header("X-IDENTITY-HEADER", {secret!r})
with urllib.request.urlopen(request) as answer:
    token = json.load(answer)
seconds = int(token["expires_on"])
local = time.strftime("%Y-%m-%d %H:%M:%S.000000", time.localtime(seconds))
print(json.dumps({{
    "accessToken": token["access_token"], "expiresOn": local, "expires_on": seconds,
    "subscription": "s", "tenant": {tenant!r}, "tokenType": "Bearer",
}}, indent=2))
"""

EXPIRED = """\
ERROR: AADSTS70043: The refresh token has expired or is invalid due to sign-in frequency checks by \
conditional access. The token was issued on 2026-11-20T05:53:09.5071163Z and the maximum allowed \
lifetime for this request is 43200. Trace ID: 5cb99b7e Correlation ID: 239f3c09 Timestamp: \
2026-11-24 21:26:54Z
Interactive authentication is needed. Please run:
az login --scope https://search.azure.com/.default
"""
NOBODY = "ERROR: Please run 'az login' to setup account.\n"


@dataclass(frozen=True)
class Laptop:
    """The folder that has the `az`."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """For a process on it: nothing of Azure but that `az`, and nobody else's settings."""
        kept = {k: v for k, v in environment().items() if not k.startswith(("IDENTITY_", "MSI_"))}
        return kept | {"PATH": str(self.folder), "NO_PROXY": "127.0.0.1,localhost"}

    @property
    def asked(self) -> list[str]:
        """The command lines that `az` was given."""
        log = self.folder / "asked"
        return log.read_text().splitlines() if log.exists() else []

    def trouble(self, said: str) -> None:
        """From now on `az` only says this."""
        (self.folder / "trouble").write_text(said)


def laptop(folder: Path, azure: Azure) -> Laptop:
    """A machine whose `az` is signed in to the emulator."""
    folder.mkdir()
    text = AZ.format(
        folder=str(folder),
        endpoint=azure.environment["IDENTITY_ENDPOINT"],
        secret=azure.identity.secret,
        tenant=TENANT,
    )
    (folder / "az.py").write_text(text)
    # Not by its first line, which would not find a Python in a folder with a space in its name.
    start = ["exec", sys.executable, str(folder / "az.py")]
    (folder / "az").write_text(f'#!/bin/sh\n{shlex.join(start)} "$@"\n')
    (folder / "az").chmod(0o755)
    return Laptop(folder)
