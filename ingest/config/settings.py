"""Settings: the name of each in the environment, its default, and its meaning.

Flags override the environment, which overrides `.env`. An empty variable counts as unset.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from typing import Any

from ingest.azure.clouds import parse_cloud
from ingest.azure.token_hosts import parse_trusted_host
from ingest.chunk import MAX_OVERLAP_SHARE, MIN_CHUNK_TOKENS
from ingest.config.declaration import Flag, secret_field, setting_field
from ingest.config.endpoints import shorten_endpoints
from ingest.config.parsers import (
    comma_separated,
    in_range,
    one_of,
    parse_amount,
    parse_bool,
    parse_duration,
    parse_endpoint,
    parse_ocr,
    parse_scheduler_address,
    zero_or,
)
from ingest.errors import ConfigError
from ingest.index import HYBRID_WEIGHT
from ingest.index.azure.profile import DEFAULT_NAME
from ingest.index.schema import RESERVED_FIELD_NAMES
from ingest.runtime.prices import Price, parse_prices
from ingest.sources.azure_blob.fields import BlobField, blob_fields_parser
from ingest.sources.exclude import parse_glob

OCR_MODELS = ("read", "layout")
FIGURES = ("none", "text", "describe")
EXITS = ("3", "11", "known")
PDF_ENGINES = ("auto", "pdfium", "pypdf")
SIDECAR, ACL = "sidecar", "acl"  # of INGEST_PERMISSIONS
MIN_READ_SECONDS = 0.1  # with less, no document could be read
MIN_DOCUMENT_MEGABYTES = 256


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a process, parsed. Durations are in seconds; several values are a tuple."""

    root: str = setting_field(
        "",
        "INGEST_ROOT",
        "the root if the command line names none: a folder, or a blob container's URL, or either "
        "with a name: `handbook=./docs`",
    )
    index: str = setting_field(
        "",
        "INGEST_INDEX",
        "a folder, or the endpoint of a search service; "
        "unset: `AZURE_SEARCH_ENDPOINT`, else `.ingest`",
    )
    embedder: str = setting_field(
        "",
        "INGEST_EMBEDDER",
        "`local` (English), `local:multilingual`, or the URL of an OpenAI-compatible service, "
        "ending in `/v1`; unset: `AZURE_OPENAI_ENDPOINT`, else `local`",
        flag=Flag(
            "embedding model: local, local:multilingual, or https://.../v1 (Azure OpenAI if "
            "set, else local)",
            "NAME",
        ),
    )
    blob_fields: tuple[BlobField, ...] = setting_field(
        (),
        "INGEST_BLOB_FIELDS",
        "index fields filled from blob metadata or index tags, as in "
        "`department,title=DocTitle,area=tag:Area`; new fields on Azure AI Search only",
        blob_fields_parser(RESERVED_FIELD_NAMES),
    )
    permissions: str = setting_field(
        "",
        "INGEST_PERMISSIONS",
        "source of permissions: `sidecar` (a folder's `.permissions.toml`) or `acl` (access "
        "control lists of a hierarchical namespace); unset: blob metadata or index tags, if "
        "`INGEST_BLOB_FIELDS` names `oids` or `groups` ([permissions.md](permissions.md))",
        one_of(SIDECAR, ACL),
    )
    profile: str = setting_field(
        DEFAULT_NAME,
        "INGEST_PROFILE",
        "layout of the index on Azure AI Search: `ingest`, `azure-search-openai-demo`, `gpt-rag`, "
        "or a TOML file ([profiles.md](profiles.md))",
    )
    add_fields: bool = setting_field(
        False,
        "INGEST_ADD_FIELDS",
        "add to another application's index the fields of the profile that it lacks",
        parse_bool,
        flag=Flag("add the fields of INGEST_PROFILE that another application's index lacks (no)"),
    )
    extractor: str = setting_field(
        "auto",
        "INGEST_EXTRACTOR",
        "PDF engine: auto, pdfium or pypdf (no native code)",
        one_of(*PDF_ENGINES),
        flag=Flag("PDF engine: auto, pdfium or pypdf (auto)", "NAME"),
    )
    ocr: str = setting_field(
        "",
        "INGEST_OCR",
        "OCR for scanned pages: `local`, or the endpoint of Azure Document Intelligence, which is "
        "billed by the page; unset: no OCR",
        parse_ocr,
        flag=Flag("OCR for scanned pages: local, or https://... (none)", "NAME"),
    )
    ocr_model: str = setting_field(
        "read",
        "INGEST_OCR_MODEL",
        "model of Azure Document Intelligence: read, or layout (tables too)",
        one_of(*OCR_MODELS),
    )
    figures: str = setting_field(
        "none",
        "INGEST_FIGURES",
        "`text`: read the words in pictures, on pages that have text of their own, with the OCR of "
        "INGEST_OCR, or else the local one; `describe`: have a chat model describe charts, "
        "diagrams and pictures, which is billed ([figures.md](figures.md)); `none`: neither",
        one_of(*FIGURES),
        flag=Flag(
            "read the words in pictures: text; or have a model describe figures: describe (none)",
            "WHAT",
        ),
    )
    figures_to: str = setting_field(
        "",
        "INGEST_FIGURES_TO",
        "a folder, or a blob container's URL, that keeps the images of described figures "
        "([figures.md](figures.md#images)); unset: they are not kept",
        flag=Flag("store the images of described figures in this folder or container", "PLACE"),
    )
    verify_text: float = setting_field(
        0.0,
        "INGEST_VERIFY_TEXT",
        "share of the lines that the local OCR reads too, to find text that differs from what a "
        "viewer shows; 0.02 is enough",
        in_range(float, 0, 1),
    )
    passwords: str = setting_field(
        "",
        "INGEST_PASSWORDS",
        "a file with passwords to try on locked PDFs, one per line, in UTF-8",
        flag=Flag("passwords to try on locked PDFs, one per line (none)", "FILE"),
    )
    chunk_tokens: int = setting_field(
        512,
        "INGEST_CHUNK_TOKENS",
        "maximum tokens in a chunk",
        in_range(int, MIN_CHUNK_TOKENS, 8192),
        flag=Flag("maximum tokens per chunk (512)", "N"),
    )
    chunk_overlap: float = setting_field(
        0.12,
        "INGEST_CHUNK_OVERLAP",
        "share of a chunk that may repeat the end of the previous one",
        in_range(float, 0, MAX_OVERLAP_SHARE),
        flag=Flag("share of a chunk that the next repeats (0.12)", "SHARE"),
    )
    workers: int = setting_field(
        0,
        "INGEST_WORKERS",
        "documents read in parallel; 0: one for each core, in a container by its limits",
        in_range(int, 0, 1024),
        flag=Flag("documents to read in parallel (one per core)", "N"),
    )
    engine: str = setting_field(
        "",
        "INGEST_ENGINE",
        "Dask scheduler whose workers do the work: `tcp://host:8786`; unset: this machine does",
        parse_scheduler_address,
        flag=Flag(
            "distribute the work over a Dask cluster: tcp://HOST:8786, see docs/scale.md "
            "(this machine)",
            "URL",
        ),
    )
    document_seconds: float = setting_field(
        120.0,
        "INGEST_DOCUMENT_SECONDS",
        "timeout for reading a document, plus one second for each page",
        in_range(parse_duration, MIN_READ_SECONDS, math.inf),
    )
    page_seconds: float = setting_field(
        30.0,
        "INGEST_PAGE_SECONDS",
        "timeout for reading one page; a page that exceeds it is left out",
        in_range(parse_duration, MIN_READ_SECONDS, math.inf),
    )
    document_megabytes: int = setting_field(
        0,
        "INGEST_DOCUMENT_MEGABYTES",
        "memory limit for reading one document (Linux); 0: 2048, in a container at most its memory "
        "without 512, over the documents read in parallel",
        zero_or(in_range(int, MIN_DOCUMENT_MEGABYTES, math.inf)),
    )
    sandbox: str = setting_field(
        "auto",
        "INGEST_SANDBOX",
        "`require`: read nothing unless this system has all layers of the sandbox; `auto`: warn",
        one_of("auto", "require"),
    )
    prune: bool = setting_field(
        True,
        "INGEST_PRUNE",
        "remove sources that vanished from their root",
        parse_bool,
        flag=Flag("remove documents that are gone from their root (yes)"),
    )
    max_deletes: int | None = setting_field(
        None,
        "INGEST_MAX_DELETES",
        "maximum sources a run may remove; unset: a tenth of the root, at least 10",
        in_range(int, 0, math.inf),
        flag=Flag("remove no more than N documents (a tenth of the root, at least 10)", "N"),
    )
    allow_empty: bool = setting_field(
        False,
        "INGEST_ALLOW_EMPTY",
        "a root without any PDF is meant to be empty: remove what the index has of it",
        parse_bool,
        flag=Flag(
            "accept a root without any PDF as empty: remove its documents from the index (no)"
        ),
    )
    exclude: tuple[str, ...] = setting_field(
        (),
        "INGEST_EXCLUDE",
        "globs of sources to leave out, relative to the root, separated by commas: "
        "`drafts/**,**/old-*.pdf`; chunks of them that are in the index stay",
        comma_separated(parse_glob),
        parse_glob,
        flag=Flag(
            "skip documents by their path in the root, as in 'drafts/**'; may be repeated; "
            "those already in the index stay there",
            "GLOB",
        ),
    )
    event_queue: str = setting_field(
        "",
        "INGEST_EVENT_QUEUE",
        "storage queue with blob events of `INGEST_ROOT`; a run hides its messages before it "
        "lists, and deletes them if it ends with exit code 0 or 3",
        parse_endpoint,
    )
    exit_ok: tuple[str, ...] = setting_field(
        (),
        "INGEST_EXIT_OK",
        "exit codes to replace by 0: `3`, `11`, or `known`, which is 3 if every problem was first "
        "reported at least twelve hours ago",
        comma_separated(one_of(*EXITS)),
    )
    grace_seconds: float = setting_field(
        20.0,
        "INGEST_GRACE_SECONDS",
        "time to finish work in progress after ^C or SIGTERM",
        parse_duration,
    )
    deadline: float | None = setting_field(
        None,
        "INGEST_DEADLINE",
        "time after the start by which a run must have stopped: `25m`; unset: none",
        parse_duration,
        flag=Flag("stop after this time, as in 25m (never)", "TIME"),
    )
    max_tokens: float | None = setting_field(
        None,
        "INGEST_MAX_TOKENS",
        "maximum tokens a run may embed, and have figures described with, as in `100k`: it stops "
        "before that; unset: no limit",
        parse_amount,
        flag=Flag("stop before embedding more tokens, as in 100k (no limit)", "N"),
    )
    max_cost: float | None = setting_field(
        None,
        "INGEST_MAX_COST",
        "maximum dollars a run may spend on embedding, OCR and figures; unset: no limit",
        in_range(float, 0, math.inf),
        flag=Flag("stop before the run costs more, OCR and figures included (no limit)", "USD"),
    )
    prices: tuple[Price, ...] = setting_field(
        (),
        "INGEST_PRICES",
        "dollars for a million tokens or a thousand scanned pages, and the date of the prices: "
        "`2026-11-01,text-embedding-3-small=0.02,read=1.5`; of a chat model, for those sent and "
        "those answered: `gpt-4.1-mini=0.4/1.6`; unset: list prices",
        parse_prices,
    )
    retry_seconds: float = setting_field(
        900.0, "INGEST_RETRY_SECONDS", "how long to retry one request", parse_duration
    )
    wait_for_roles: float = setting_field(
        0.0,
        "INGEST_WAIT_FOR_ROLES",
        "how long to wait for new role assignments and deployments to take effect: `10m`",
        parse_duration,
        flag=Flag(
            "wait up to this long for new role assignments to take effect, as in 10m (0)", "TIME"
        ),
    )
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
    hybrid_weight: float = setting_field(
        HYBRID_WEIGHT,
        "INGEST_HYBRID_WEIGHT",
        "weight of vectors in a hybrid search, where words have 1; `ingest eval` finds the best "
        "for your questions",
        in_range(float, 0, 100),
    )
    embed_inputs: int = setting_field(
        2048,
        "INGEST_EMBED_INPUTS",
        "maximum texts in one embedding request",
        in_range(int, 1, 2048),
    )
    embed_tokens: int = setting_field(
        300_000,
        "INGEST_EMBED_TOKENS",
        "maximum tokens in one embedding request",
        in_range(int, 1, 300_000),
    )
    journal: str = setting_field(
        "~/.cache/ingest",
        "INGEST_JOURNAL",
        "folder for vectors that are paid for and not written yet; or `off`",
    )
    embed_at_once: int = setting_field(
        16, "INGEST_EMBED_AT_ONCE", "maximum concurrent embedding requests", in_range(int, 1, 64)
    )
    log: str = setting_field(
        "auto",
        "INGEST_LOG",
        "format of stderr: `text`, `json` (one object per line), or `auto`, which is text",
        one_of("auto", "text", "json"),
    )
    hosted: bool = False  # the host has an identity of its own

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Return the settings of an environment such as `os.environ`.

        docs/configuration.md lists their names. Raises ConfigError for an invalid value.
        """
        return build_settings(environment, {})


# If one of these is set, the process has an identity and should not use a person's login.
HOST_IDENTITY_VARIABLES = (
    "IDENTITY_ENDPOINT",
    "MSI_ENDPOINT",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_TOKEN_CREDENTIALS",
)


def environment_settings() -> list[Field[Any]]:
    """Return the settings that the environment can set."""
    return [item for item in fields(Settings) if item.metadata]


def build_settings(environment: Mapping[str, str], flags: Mapping[str, Any]) -> Settings:
    """Return the settings of the environment, overridden by the flags that are not None.

    Raises ConfigError for an invalid value.
    """
    values: dict[str, Any] = {
        "hosted": any(environment.get(name) for name in HOST_IDENTITY_VARIABLES)
    }
    for item in environment_settings():
        text = flags.get(item.name)
        name = "--" + item.name.replace("_", "-")
        if text is None:
            name = item.metadata["env"]
            text = environment.get(name)
        if text is None or text == "":
            continue
        if isinstance(text, list):  # a repeated flag; each value may contain commas
            values[item.name] = tuple(
                parse_setting_value(item, each, name, "each") for each in text
            )
        else:
            values[item.name] = parse_setting_value(item, str(text), name)
    return Settings(**shorten_endpoints(values))


def validate_settings(settings: Settings) -> Settings:
    """Return the settings if the environment could give each of them. Raises ConfigError."""
    for item in environment_settings():
        value = getattr(settings, item.name)
        if value != item.default and not isinstance(value, tuple):
            parse_setting_value(item, str(value), item.name)
    return settings


def parse_setting_value(item: Field[Any], text: str, name: str, parse: str = "parse") -> Any:
    """Parse the value of the setting called `name`. Raises ConfigError if it is invalid."""
    try:
        return item.metadata[parse](text)
    except ValueError as error:
        expected = "a number" if "literal" in str(error) or "convert" in str(error) else error
        raise ConfigError(f"{name}={text}: expected {expected}") from None
