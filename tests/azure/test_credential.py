"""Choice of the credential, from the settings and the machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from azure.identity import (
    AzureDeveloperCliCredential,
    ChainedTokenCredential,
    DefaultAzureCredential,
    ManagedIdentityCredential,
)

from ingest.azure.credential import create_credential, summarize_error
from ingest.config.settings import build_settings
from ingest.errors import ConfigError


def test_a_client_id_means_that_managed_identity() -> None:
    """In a container with several identities, the one I named is used and no other is tried."""
    assert isinstance(create_credential("client", "", hosted=True), ManagedIdentityCredential)


def test_a_host_with_an_identity_uses_it() -> None:
    """A job in a container does not look for a person's login."""
    assert isinstance(create_credential("", "", hosted=True), DefaultAzureCredential)


SELECTED = {
    "ManagedIdentityCredential": {"ManagedIdentityCredential"},
    "AzureCliCredential": {"AzureCliCredential"},
    "prod": {"EnvironmentCredential", "ManagedIdentityCredential"},
}


@pytest.mark.parametrize("selected", SELECTED)
def test_the_credentials_that_the_environment_selects(
    monkeypatch: pytest.MonkeyPatch, selected: str
) -> None:
    """With AZURE_TOKEN_CREDENTIALS, no other credential and no login is tried."""
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", selected)
    settings = build_settings({"AZURE_TOKEN_CREDENTIALS": selected}, {})

    found = create_credential("", "", hosted=settings.hosted)

    assert isinstance(found, DefaultAzureCredential)
    names = {type(each).__name__ for each in found.credentials}
    # Those that cannot work here are kept as such, to be named in the error.
    assert names - {"FailedDACCredential", "WorkloadIdentityCredential"} == SELECTED[selected]


def test_a_selected_credential_that_is_spelt_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """I read the valid values instead of a traceback."""
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "managed")
    with pytest.raises(ConfigError, match="AZURE_TOKEN_CREDENTIALS: managed"):
        create_credential("", "", hosted=True)


def test_a_laptop_uses_its_logins_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where azd and az are installed they are asked before anything that takes seconds to fail."""
    for name in ("azd", "az"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    found = create_credential("", "tenant", hosted=False)

    assert isinstance(found, ChainedTokenCredential)
    assert isinstance(found.credentials[0], AzureDeveloperCliCredential)

    monkeypatch.setenv("PATH", "")
    assert isinstance(create_credential("", "", hosted=False), DefaultAzureCredential)


def test_an_empty_variable_is_an_unset_one() -> None:
    """A template that sets every variable does not select anything by doing so."""
    empty = build_settings(
        {"AZURE_OPENAI_CLIENT_ID": "", "IDENTITY_ENDPOINT": "", "INGEST_PRUNE": ""}, {}
    )
    assert empty == build_settings({}, {})
    assert build_settings({"IDENTITY_ENDPOINT": "http://x"}, {}).hosted


def test_settings_never_show_a_key() -> None:
    """Invariant 10: printing the settings shows no secret."""
    shown = repr(build_settings({"AZURE_OPENAI_KEY": "k3y", "AZURE_SEARCH_KEY": "k4y"}, {}))
    assert "k3y" not in shown
    assert "k4y" not in shown


def test_only_logins_that_i_could_use_are_in_the_error() -> None:
    """On a laptop without a login I read of `az` and `azd`, and of no editor or shell."""
    error = Exception(
        "DefaultAzureCredential failed to retrieve a token.\nAttempted credentials:\n"
        "\tEnvironmentCredential: EnvironmentCredential authentication unavailable.\n"
        "\tVisualStudioCodeCredential: requires the 'azure-identity-broker' package.\n"
        "\tAzureCliCredential: Azure CLI not found on path\n"
        "\tAzurePowerShellCredential: PowerShell is not installed\n"
        "To mitigate this issue, read a page."
    )
    assert summarize_error(error) == "AzureCliCredential: Azure CLI not found on path"
