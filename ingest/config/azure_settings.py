"""Settings of Azure services, and of others with the same API."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.azure.clouds import parse_cloud
from ingest.azure.token_hosts import parse_trusted_host
from ingest.config.declaration import secret_field, setting_field
from ingest.config.parsers import comma_separated, in_range, parse_amount, parse_endpoint


@dataclass(frozen=True)
class AzureSettings:
    """Endpoints, deployments, quotas, and the identity that signs in to them."""

    openai_endpoint: tuple[str, ...] = setting_field(
        (),
        "AZURE_OPENAI_ENDPOINT",
        "the Azure OpenAI resource for embedding; several, separated by commas, share the work",
        comma_separated(parse_endpoint),
    )
    openai_deployment: tuple[str, ...] = setting_field(
        (),
        "AZURE_OPENAI_EMBEDDING_DEPLOYMENT",
        "deployment of an embedding model; one for all resources, or one for each",
        comma_separated(str),
    )
    openai_model: str = setting_field(
        "", "AZURE_OPENAI_EMBEDDING_MODEL", "name of that model; unset: the deployment's name"
    )
    openai_dimensions: int | None = setting_field(
        None,
        "AZURE_OPENAI_EMBEDDING_DIMENSIONS",
        "dimensions of its vectors; unset: the default of a known model",
        in_range(int, 1, 4096),
    )
    openai_api_version: str = setting_field(
        "", "AZURE_OPENAI_API_VERSION", "API version, for the older form of URL; unset: the v1 API"
    )
    openai_tpm: tuple[float, ...] = setting_field(
        (),
        "AZURE_OPENAI_TPM",
        "quota in tokens a minute, as in `350k`; one for all, or one for each; unset: learnt",
        comma_separated(parse_amount),
    )
    openai_rpm: tuple[float, ...] = setting_field(
        (),
        "AZURE_OPENAI_RPM",
        "quota in requests a minute, likewise",
        comma_separated(parse_amount),
    )
    openai_key: str = secret_field(
        "AZURE_OPENAI_KEY", "API key; leave unset to sign in with Microsoft Entra ID"
    )
    figures_deployment: str = setting_field(
        "",
        "AZURE_OPENAI_FIGURES_DEPLOYMENT",
        "deployment of a chat model that sees images, for `INGEST_FIGURES=describe`",
    )
    figures_endpoint: str = setting_field(
        "",
        "AZURE_OPENAI_FIGURES_ENDPOINT",
        "the Azure OpenAI resource of that deployment, or the URL of an OpenAI-compatible service, "
        "ending in `/v1`; unset: the first of `AZURE_OPENAI_ENDPOINT`",
        parse_endpoint,
    )
    figures_model: str = setting_field(
        "",
        "AZURE_OPENAI_FIGURES_MODEL",
        "name of its model; unset: the deployment's name; another one has all figures described "
        "again",
    )
    figures_key: str = secret_field(
        "AZURE_OPENAI_FIGURES_KEY",
        "API key of an endpoint of its own; leave unset to sign in with Microsoft Entra ID",
    )
    openai_client_id: str = setting_field(
        "",
        "AZURE_OPENAI_CLIENT_ID",
        "client id of the user-assigned managed identity to use; unset: DefaultAzureCredential",
    )
    tenant: str = setting_field("", "AZURE_TENANT_ID", "the tenant to sign in to")
    cloud: str = setting_field(
        "",
        "AZURE_CLOUD",
        "the cloud: `public`, `usgovernment` or `china`; unset: that of the endpoints",
        parse_cloud,
    )
    search_endpoint: str = setting_field(
        "",
        "AZURE_SEARCH_ENDPOINT",
        "the Azure AI Search service that holds the index",
        parse_endpoint,
    )
    search_index: str = setting_field(
        "ingest", "AZURE_SEARCH_INDEX", "name of the index, or of its alias, on that service"
    )
    search_key: str = secret_field(
        "AZURE_SEARCH_KEY", "API key; leave unset to sign in with Microsoft Entra ID"
    )
    trusted_hosts: tuple[str, ...] = setting_field(
        (),
        "INGEST_TRUSTED_HOSTS",
        "hosts besides Azure's own that may receive a token, such as a gateway: "
        "`gateway.contoso.com`, or `.contoso.com` for all below; never taken from `.env`",
        comma_separated(parse_trusted_host),
        parse_trusted_host,
    )
    search_analyzer: str = setting_field(
        "standard-compounds", "INGEST_ANALYZER", "text analyzer of a new index on Azure AI Search"
    )
