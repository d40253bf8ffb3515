"""The Microsoft Entra ID credential of this process.

A user-assigned managed identity if its client id is set; otherwise the `azd` and `az` logins of
this machine, unless its host provides an identity or AZURE_TOKEN_CREDENTIALS selects one; otherwise
DefaultAzureCredential, which reads that variable.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ingest.errors import ConfigError
from ingest.redaction import redact
from ingest.runtime.retry import TRANSIENT_STATUSES, RetryableError

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential
    from azure.core.pipeline import PipelineResponse

last_answer = threading.local()  # `status` of the last answer that this thread got

# `az` starts another Python; on a busy laptop the SDK's default of ten seconds is not enough.
LOGIN_TIMEOUT_SECONDS = 60

# In the messages of credentials that this machine does not have.
UNAVAILABLE = ("authentication unavailable", "azure-identity-broker", "PowerShell is not installed")


def create_credential(
    client_id: str, tenant: str, *, hosted: bool, authority: str = ""
) -> TokenCredential:
    """Create the credential of this process. No token is requested yet.

    Args:
        client_id: client id of the user-assigned managed identity to use; "" for none.
        tenant: tenant id for the `azd` and `az` logins; "" for their default.
        hosted: the host provides an identity, or AZURE_TOKEN_CREDENTIALS selects one, so the
            logins of this machine are not put first.
        authority: host of the cloud that signs in; "" for the public one. AZURE_AUTHORITY_HOST,
            which hosts and the SDK know, comes first.

    Raises ConfigError for a value of AZURE_TOKEN_CREDENTIALS that is not known.
    """
    from azure.identity import (
        AzureCliCredential,
        AzureDeveloperCliCredential,
        ChainedTokenCredential,
        DefaultAzureCredential,
        ManagedIdentityCredential,
    )

    if client_id:
        return ManagedIdentityCredential(client_id=client_id, raw_response_hook=note_status)
    logins: list[TokenCredential] = []
    if not hosted and shutil.which("azd"):
        azd = AzureDeveloperCliCredential(tenant_id=tenant, process_timeout=LOGIN_TIMEOUT_SECONDS)
        logins.append(azd)
    if not hosted and shutil.which("az"):
        logins.append(AzureCliCredential(tenant_id=tenant, process_timeout=LOGIN_TIMEOUT_SECONDS))
    options: dict[str, Any] = {"process_timeout": LOGIN_TIMEOUT_SECONDS}
    if logins:
        # Left out otherwise: a value, even False, overrides AZURE_TOKEN_CREDENTIALS.
        options |= {"exclude_developer_cli_credential": True, "exclude_cli_credential": True}
    if authority and not os.environ.get("AZURE_AUTHORITY_HOST"):
        options["authority"] = authority
    if tenant:
        options["workload_identity_tenant_id"] = tenant
    if hosted:  # elsewhere a proxy may answer in place of the endpoint of a host that has none
        options["raw_response_hook"] = note_status
    try:
        rest = DefaultAzureCredential(**options)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return ChainedTokenCredential(*logins, rest) if logins else rest


def note_status(response: PipelineResponse[Any, Any]) -> None:
    """Note the status of an identity endpoint's answer: the SDK's errors do not tell it."""
    last_answer.status = response.http_response.status_code


def request_access_token(credential: TokenCredential, scope: str) -> AccessToken:
    """Request a token. Raises RetryableError, with the SDK's words, if that may pass by itself."""
    from azure.core.exceptions import ServiceRequestError, ServiceResponseError

    last_answer.status = 0
    try:
        return credential.get_token(scope)
    except Exception as error:
        status: int = last_answer.status
        is_unreachable = isinstance(error, ServiceRequestError | ServiceResponseError)
        if not is_unreachable and status not in TRANSIENT_STATUSES:
            raise
        reason = f"the identity endpoint answered {status}: " if status else ""
        raise RetryableError(f"{reason}{summarize_error(error)}") from error


def summarize_error(error: Exception) -> str:
    """Shorten an SDK's multi-line error to one line, without its advice.

    A credential chain reports one line per credential; those that are not set up are left out.
    """
    lines = redact(str(error)).partition("To mitigate")[0].splitlines()
    tried = [line.strip() for line in lines if line.startswith("\t")]
    asked = [line for line in tried if not any(words in line for words in UNAVAILABLE)]
    text = " ".join(("; ".join(asked or tried) or " ".join(lines)).split())
    return text.rstrip(".")[:400] or type(error).__name__


def credential_name(credential: TokenCredential) -> str:
    """Return the class name of the credential, or of the one in a chain that gave a token."""
    inner = getattr(credential, "_successful_credential", None)
    return credential_name(inner) if inner else type(credential).__name__


class SharedCredential:
    """The credential of a process, shared by all token caches and created on first use."""

    def __init__(self, make: Callable[[], TokenCredential]) -> None:
        self.make = make
        self.lock = threading.Lock()
        self.cached: TokenCredential | None = None

    def get(self) -> TokenCredential:
        """Return the credential."""
        with self.lock:
            if self.cached is None:
                self.cached = self.make()
            return self.cached

    def discard(self, credential: TokenCredential) -> None:
        """Create a new credential next time: this one's own cache holds a rejected token."""
        with self.lock:
            if self.cached is credential:
                self.cached = None
