"""Every setting: its name in the environment, its default, and what it means.

Flags win over the environment, the environment over `.env`, and an empty variable is an unset one.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any

from ingest.chunk import MAX_OVERLAP_SHARE, MIN_CHUNK_TOKENS
from ingest.errors import ConfigError
from ingest.index.schema import RESERVED_FIELD_NAMES
from ingest.runtime.prices import Price, parse_prices
from ingest.sources.azure_blob.fields import BlobField, blob_fields_parser
from ingest.sources.exclude import parse_glob

OCR_MODELS = ("read", "layout")
EXITS = ("3", "11", "known")
EXTRACTORS = ("auto", "pdfium", "pypdf")
MIN_READ_SECONDS = 0.1  # seconds to read anything in; with none, nothing could be read


def count_cores() -> int:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_range(kind: Callable[[str], float], low: float, high: float) -> Callable[[str], Any]:
    """A parser of numbers from `low` to `high`."""

    def parse(text: str) -> float:
        number = kind(text)
        if not low <= number <= high:
            raise ValueError(f"from {low:g} to {high:g}" if high < math.inf else f"{low:g} or more")
        return number

    return parse


def one_of(*words: str) -> Callable[[str], str]:
    """A parser of one of a few words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(" or ".join(words))
        return text

    return parse


def parse_bool(text: str) -> bool:
    """A parser of what people write for yes and no."""
    answers = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in answers:
        raise ValueError("true or false")
    return answers[text.lower()]


def setting_field(
    default: Any,
    env: str,
    doc: str,
    parse: Callable[[str], Any] = str,
    each: Callable[[str], Any] = str,
) -> Any:
    """A field of Settings that the environment can set; `each` parses one value of several."""
    return field(default=default, metadata={"env": env, "doc": doc, "parse": parse, "each": each})


def parse_duration(text: str) -> float:
    """A parser of durations: "90", "90s", "10m", "2h"."""
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:])
    try:
        number = float(text[:-1] if unit else text) * (unit or 1)
    except ValueError:
        number = -1.0
    if not 0 <= number < math.inf:
        raise ValueError("seconds, or a number with s, m or h")
    return number


def parse_scheduler_address(text: str) -> str:
    """A parser of the address of an engine."""
    if not re.fullmatch(r"(tcp|tls)://[^/@\s]+:\d+", text):
        raise ValueError("tcp://HOST:PORT or tls://HOST:PORT")
    return text


def comma_separated(kind: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    """A parser of one or more values with commas between them."""
    return lambda text: tuple(kind(part.strip()) for part in text.split(",") if part.strip())


def parse_amount(text: str) -> float:
    """A parser of a quota: 350000, 350k, 1.2M."""
    unit = {"k": 1e3, "m": 1e6}.get(text[-1:].lower())
    try:
        number = float(text[:-1] if unit else text) * (unit or 1)
    except ValueError:
        number = 0.0
    if not 1 <= number < math.inf:
        raise ValueError("a number from 1 up, or one with k or M")
    return number


def parse_endpoint(text: str) -> str:
    """A parser of a service's address."""
    if not text.startswith("https://") or " " in text or ";" in text:
        raise ValueError("an address that begins with https://, or several with commas between")
    return text


def parse_ocr(text: str) -> str:
    """A parser of what reads scanned pages."""
    if text != "local" and (not text.startswith("https://") or set(" ,;") & set(text)):
        raise ValueError("local, or an endpoint: https://NAME.cognitiveservices.azure.com")
    return text


def secret_field(env: str, doc: str) -> Any:
    """A setting that never shows."""
    return field(default="", repr=False, metadata={"env": env, "doc": doc, "parse": str})


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run works with: values in the place of the text that the environment has.

    Times are in seconds; what may be several is a tuple.
    """

    root: str = setting_field(
        "",
        "INGEST_ROOT",
        "the root, where the command line names none: a folder, or a blob container's URL",
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
        "`local`, or the URL of a service like OpenAI's, ending in `/v1`; "
        "unset: `AZURE_OPENAI_ENDPOINT`, else `local`",
    )
    blob_fields: tuple[BlobField, ...] = setting_field(
        (),
        "INGEST_BLOB_FIELDS",
        "fields filled from blobs, as in `department,title=DocTitle,area=tag:Area`: "
        "metadata or index tags; new ones on Azure AI Search only",
        blob_fields_parser(RESERVED_FIELD_NAMES),
    )
    extractor: str = setting_field(
        "auto",
        "INGEST_EXTRACTOR",
        "what reads the pages: auto, pdfium or pypdf (no native code)",
        one_of(*EXTRACTORS),
    )
    ocr: str = setting_field(
        "",
        "INGEST_OCR",
        "what reads scanned pages: `local`, or the endpoint of Azure Document Intelligence, which "
        "is paid by the page; unset: nothing",
        parse_ocr,
    )
    ocr_model: str = setting_field(
        "read", "INGEST_OCR_MODEL", "its model: read, or layout (tables too)", one_of(*OCR_MODELS)
    )
    passwords: str = setting_field(
        "",
        "INGEST_PASSWORDS",
        "a file of passwords to try on locked PDFs, one a line, in UTF-8",
    )
    chunk_tokens: int = setting_field(
        512, "INGEST_CHUNK_TOKENS", "most tokens in a chunk", in_range(int, MIN_CHUNK_TOKENS, 8192)
    )
    chunk_overlap: float = setting_field(
        0.12,
        "INGEST_CHUNK_OVERLAP",
        "share of those that a chunk may repeat of the one before",
        in_range(float, 0, MAX_OVERLAP_SHARE),
    )
    workers: int = setting_field(
        0,
        "INGEST_WORKERS",
        "documents read side by side, 0 for one a core",
        in_range(int, 0, 1024),
    )
    engine: str = setting_field(
        "",
        "INGEST_ENGINE",
        "the scheduler whose workers read, embed and write: `tcp://host:8786`; unset: this machine",
        parse_scheduler_address,
    )
    document_seconds: float = setting_field(
        120.0,
        "INGEST_DOCUMENT_SECONDS",
        "time to read a document, and a second more for each page",
        in_range(parse_duration, MIN_READ_SECONDS, math.inf),
    )
    page_seconds: float = setting_field(
        30.0,
        "INGEST_PAGE_SECONDS",
        "time to read one page; what takes longer is left out, and the other pages are kept",
        in_range(parse_duration, MIN_READ_SECONDS, math.inf),
    )
    document_megabytes: int = setting_field(
        2048,
        "INGEST_DOCUMENT_MEGABYTES",
        "memory to read one document (Linux)",
        in_range(int, 256, math.inf),
    )
    prune: bool = setting_field(
        True, "INGEST_PRUNE", "remove what vanished from its root", parse_bool
    )
    max_deletes: int | None = setting_field(
        None,
        "INGEST_MAX_DELETES",
        "most sources a run may remove; unset: a tenth of the root, at least 10",
        in_range(int, 0, math.inf),
    )
    exclude: tuple[str, ...] = setting_field(
        (),
        "INGEST_EXCLUDE",
        "globs of sources to leave out, by their names relative to the root, with commas between: "
        "`drafts/**,**/old-*.pdf`; what the index has of them stays",
        comma_separated(parse_glob),
        parse_glob,
    )
    exit_ok: tuple[str, ...] = setting_field(
        (),
        "INGEST_EXIT_OK",
        "exit codes that a scheduler is given as 0: `3`, `11`, or `known`, which is 3 where all "
        "troubles were reported twelve hours ago already",
        comma_separated(one_of(*EXITS)),
    )
    grace_seconds: float = setting_field(
        20.0,
        "INGEST_GRACE_SECONDS",
        "time to settle what is under way after ^C or SIGTERM",
        parse_duration,
    )
    deadline: float | None = setting_field(
        None,
        "INGEST_DEADLINE",
        "stop by then, counted from the start: `25m`; unset: never",
        parse_duration,
    )
    max_tokens: float | None = setting_field(
        None,
        "INGEST_MAX_TOKENS",
        "most tokens a run may embed, as in `100k`: it stops before it would be more; unset: any",
        parse_amount,
    )
    max_cost: float | None = setting_field(
        None,
        "INGEST_MAX_COST",
        "most dollars a run may spend on embedding and on scans, the same",
        in_range(float, 0, math.inf),
    )
    prices: tuple[Price, ...] = setting_field(
        (),
        "INGEST_PRICES",
        "dollars for a million tokens or a thousand scanned pages, and their date, as in "
        "`2026-11-01,text-embedding-3-small=0.02,read=1.5`; unset: list prices",
        parse_prices,
    )
    retry_seconds: float = setting_field(
        900.0, "INGEST_RETRY_SECONDS", "how long to go on trying one request", parse_duration
    )
    wait_for_roles: float = setting_field(
        0.0,
        "INGEST_WAIT_FOR_ROLES",
        "how long to wait for new roles and deployments: `10m`",
        parse_duration,
    )
    openai_endpoint: tuple[str, ...] = setting_field(
        (),
        "AZURE_OPENAI_ENDPOINT",
        "the Azure OpenAI resource that embeds; several, with commas, work side by side",
        comma_separated(parse_endpoint),
    )
    openai_deployment: tuple[str, ...] = setting_field(
        (),
        "AZURE_OPENAI_EMBEDDING_DEPLOYMENT",
        "its deployment of an embedding model; one for all resources, or one for each",
        comma_separated(str),
    )
    openai_model: str = setting_field(
        "", "AZURE_OPENAI_EMBEDDING_MODEL", "that model; unset: the deployment's name"
    )
    openai_dimensions: int | None = setting_field(
        None,
        "AZURE_OPENAI_EMBEDDING_DIMENSIONS",
        "of its vectors; unset: as many as a known model gives",
        in_range(int, 1, 4096),
    )
    openai_api_version: str = setting_field(
        "", "AZURE_OPENAI_API_VERSION", "for the older form of URL; unset: the v1 API"
    )
    openai_tpm: tuple[float, ...] = setting_field(
        (),
        "AZURE_OPENAI_TPM",
        "most tokens a minute, as in `350k`; one for all, or one for each; unset: learnt",
        comma_separated(parse_amount),
    )
    openai_rpm: tuple[float, ...] = setting_field(
        (), "AZURE_OPENAI_RPM", "most requests a minute, the same", comma_separated(parse_amount)
    )
    openai_key: str = secret_field("AZURE_OPENAI_KEY", "a key, for who must; unset: no key is used")
    openai_client_id: str = setting_field(
        "",
        "AZURE_OPENAI_CLIENT_ID",
        "the user-assigned managed identity to be; unset: DefaultAzureCredential",
    )
    tenant: str = setting_field("", "AZURE_TENANT_ID", "the tenant to sign in to")
    search_endpoint: str = setting_field(
        "",
        "AZURE_SEARCH_ENDPOINT",
        "the Azure AI Search service that holds the index",
        parse_endpoint,
    )
    search_index: str = setting_field(
        "ingest", "AZURE_SEARCH_INDEX", "the index's name there, or its alias's"
    )
    search_key: str = secret_field("AZURE_SEARCH_KEY", "a key, for who must; unset: no key is used")
    search_analyzer: str = setting_field(
        "standard.lucene", "INGEST_ANALYZER", "analyzer of the texts in a new index there"
    )
    embed_inputs: int = setting_field(
        2048, "INGEST_EMBED_INPUTS", "most texts in one embedding request", in_range(int, 1, 2048)
    )
    embed_tokens: int = setting_field(
        300_000,
        "INGEST_EMBED_TOKENS",
        "most tokens in one embedding request",
        in_range(int, 1, 300_000),
    )
    embed_at_once: int = setting_field(
        16, "INGEST_EMBED_AT_ONCE", "embedding requests under way at once", in_range(int, 1, 64)
    )
    log: str = setting_field(
        "auto",
        "INGEST_LOG",
        "what stderr gets: `text` (`auto` is the same) or `json`, an object a line",
        one_of("auto", "text", "json"),
    )
    hosted: bool = False  # the host brings an identity

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """The settings of an environment, such as `os.environ`, by the names in README.md.

        Raises ConfigError for a value that cannot be meant.
        """
        return build_settings(environment, {})


# Any of these says that a process has an identity of its own, and should not borrow a person's.
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
    """The settings that have a name in the environment."""
    return [item for item in fields(Settings) if item.metadata]


def build_settings(environment: Mapping[str, str], flags: Mapping[str, Any]) -> Settings:
    """The settings of the environment, with those flags that are not None in their place.

    Raises ConfigError for a value that cannot be meant.
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
        if isinstance(text, list):  # a flag that was repeated; each has one value, commas and all
            values[item.name] = tuple(
                parse_setting_value(item, each, name, "each") for each in text
            )
        else:
            values[item.name] = parse_setting_value(item, str(text), name)
    return Settings(**values)


def validate_settings(settings: Settings) -> Settings:
    """The settings, if each is one that the environment could give. Raises ConfigError."""
    for item in environment_settings():
        value = getattr(settings, item.name)
        if value != item.default and not isinstance(value, tuple):
            parse_setting_value(item, str(value), item.name)
    return settings


def parse_setting_value(item: Field[Any], text: str, name: str, parse: str = "parse") -> Any:
    """The value of a setting that is called `name`. Raises ConfigError if it cannot be meant."""
    try:
        return item.metadata[parse](text)
    except ValueError as error:
        expected = "a number" if "literal" in str(error) or "convert" in str(error) else error
        raise ConfigError(f"{name}={text}: expected {expected}") from None
