"""Who this process is to Azure.

A user-assigned managed identity if its client id is set; else the logins of this machine's `azd`
and `az`, if it has them and its host brings no identity; else what DefaultAzureCredential finds.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

# `az` starts a Python of its own; on a busy laptop its default of ten seconds is not enough.
LOGIN_TIMEOUT_SECONDS = 60

COGNITIVE_SERVICES_SCOPE = "https://cognitiveservices.azure.com/.default"
SEARCH_SCOPE = "https://search.azure.com/.default"
STORAGE_SCOPE = "https://storage.azure.com/.default"
MONITOR_SCOPE = "https://monitor.azure.com//.default"  # two slashes: its audience ends in one


def create_credential(client_id: str, tenant: str, *, hosted: bool) -> TokenCredential:
    """The credential of this process. `hosted`: the host brings an identity of its own.

    Nothing is asked for yet, so nothing can fail yet.
    """
    from azure.identity import (
        AzureCliCredential,
        AzureDeveloperCliCredential,
        ChainedTokenCredential,
        DefaultAzureCredential,
        ManagedIdentityCredential,
    )

    if client_id:
        return ManagedIdentityCredential(client_id=client_id)
    logins: list[TokenCredential] = []
    if not hosted and shutil.which("azd"):
        azd = AzureDeveloperCliCredential(tenant_id=tenant, process_timeout=LOGIN_TIMEOUT_SECONDS)
        logins.append(azd)
    if not hosted and shutil.which("az"):
        logins.append(AzureCliCredential(tenant_id=tenant, process_timeout=LOGIN_TIMEOUT_SECONDS))
    rest = DefaultAzureCredential(
        process_timeout=LOGIN_TIMEOUT_SECONDS,
        exclude_developer_cli_credential=bool(logins),
        exclude_cli_credential=bool(logins),
        **({"workload_identity_tenant_id": tenant} if tenant else {}),
    )
    return ChainedTokenCredential(*logins, rest) if logins else rest


def credential_name(credential: TokenCredential) -> str:
    """The name of the credential in a chain that gave the last token; its own if it is no chain."""
    inner = getattr(credential, "_successful_credential", None)
    return credential_name(inner) if inner else type(credential).__name__


class SharedCredential:
    """The one credential of a process, made when it is first asked for."""

    def __init__(self, make: Callable[[], TokenCredential]) -> None:
        self.make = make
        self.lock = threading.Lock()
        self.cached: TokenCredential | None = None

    def get(self) -> TokenCredential:
        """The credential; always the same one."""
        with self.lock:
            if self.cached is None:
                self.cached = self.make()
            return self.cached

    def discard(self, credential: TokenCredential) -> None:
        """Make a new one next time: this one gives out of its own cache what a service rejected."""
        with self.lock:
            if self.cached is credential:
                self.cached = None
