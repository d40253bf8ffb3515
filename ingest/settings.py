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

from ingest.chunk.limits import FEWEST_TOKENS, MOST_OVERLAP
from ingest.errors import ConfigError
from ingest.index.schema import RESERVED
from ingest.prices import Price, prices
from ingest.sources.exclude import relative_glob
from ingest.sources.mapping import BlobField, mapping

OCR_MODELS = ("read", "layout")
EXITS = ("3", "11", "known")
EXTRACTORS = ("auto", "pdfium", "pypdf")
SHORTEST = 0.1  # seconds to read anything in; with none, nothing could be read


def cores() -> int:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def within(kind: Callable[[str], float], low: float, high: float) -> Callable[[str], Any]:
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


def yes_or_no(text: str) -> bool:
    """A parser of what people write for yes and no."""
    answers = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in answers:
        raise ValueError("true or false")
    return answers[text.lower()]


def setting(
    default: Any,
    env: str,
    doc: str,
    parse: Callable[[str], Any] = str,
    each: Callable[[str], Any] = str,
) -> Any:
    """A field of Settings that the environment can set; `each` parses one value of several."""
    return field(default=default, metadata={"env": env, "doc": doc, "parse": parse, "each": each})


def seconds(text: str) -> float:
    """A parser of durations: "90", "90s", "10m", "2h"."""
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:])
    try:
        number = float(text[:-1] if unit else text) * (unit or 1)
    except ValueError:
        number = -1.0
    if not 0 <= number < math.inf:
        raise ValueError("seconds, or a number with s, m or h")
    return number


def scheduler(text: str) -> str:
    """A parser of the address of an engine."""
    if not re.fullmatch(r"(tcp|tls)://[^/@\s]+:\d+", text):
        raise ValueError("tcp://HOST:PORT or tls://HOST:PORT")
    return text


def several(kind: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    """A parser of one or more values with commas between them."""
    return lambda text: tuple(kind(part.strip()) for part in text.split(",") if part.strip())


def amount(text: str) -> float:
    """A parser of a quota: 350000, 350k, 1.2M."""
    unit = {"k": 1e3, "m": 1e6}.get(text[-1:].lower())
    try:
        number = float(text[:-1] if unit else text) * (unit or 1)
    except ValueError:
        number = 0.0
    if not 1 <= number < math.inf:
        raise ValueError("a number from 1 up, or one with k or M")
    return number


def endpoint(text: str) -> str:
    """A parser of a service's address."""
    if not text.startswith("https://") or " " in text or ";" in text:
        raise ValueError("an address that begins with https://, or several with commas between")
    return text


def recogniser(text: str) -> str:
    """A parser of what reads scanned pages."""
    if text != "local" and (not text.startswith("https://") or set(" ,;") & set(text)):
        raise ValueError("local, or an endpoint: https://NAME.cognitiveservices.azure.com")
    return text


def secret(env: str, doc: str) -> Any:
    """A setting that never shows."""
    return field(default="", repr=False, metadata={"env": env, "doc": doc, "parse": str})


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run works with: values in the place of the text that the environment has.

    Times are in seconds; what may be several is a tuple.
    """

    root: str = setting(
        "",
        "INGEST_ROOT",
        "the root, where the command line names none: a folder, or a blob container's URL",
    )
    index: str = setting(
        "",
        "INGEST_INDEX",
        "a folder, or the endpoint of a search service; "
        "unset: `AZURE_SEARCH_ENDPOINT`, else `.ingest`",
    )
    embedder: str = setting(
        "",
        "INGEST_EMBEDDER",
        "`local`, or the URL of a service like OpenAI's, ending in `/v1`; "
        "unset: `AZURE_OPENAI_ENDPOINT`, else `local`",
    )
    blob_fields: tuple[BlobField, ...] = setting(
        (),
        "INGEST_BLOB_FIELDS",
        "fields filled from blobs, as in `department,title=DocTitle,area=tag:Area`: "
        "metadata or index tags; new ones on Azure AI Search only",
        mapping(RESERVED),
    )
    extractor: str = setting(
        "auto",
        "INGEST_EXTRACTOR",
        "what reads the pages: auto, pdfium or pypdf (no native code)",
        one_of(*EXTRACTORS),
    )
    ocr: str = setting(
        "",
        "INGEST_OCR",
        "what reads scanned pages: `local`, or the endpoint of Azure Document Intelligence, which "
        "is paid by the page; unset: nothing",
        recogniser,
    )
    ocr_model: str = setting(
        "read", "INGEST_OCR_MODEL", "its model: read, or layout (tables too)", one_of(*OCR_MODELS)
    )
    passwords: str = setting(
        "",
        "INGEST_PASSWORDS",
        "a file of passwords to try on locked PDFs, one a line, in UTF-8",
    )
    chunk_tokens: int = setting(
        512, "INGEST_CHUNK_TOKENS", "most tokens in a chunk", within(int, FEWEST_TOKENS, 8192)
    )
    chunk_overlap: float = setting(
        0.12,
        "INGEST_CHUNK_OVERLAP",
        "share of those that a chunk may repeat of the one before",
        within(float, 0, MOST_OVERLAP),
    )
    workers: int = setting(
        0,
        "INGEST_WORKERS",
        "documents read side by side, 0 for one a core",
        within(int, 0, 1024),
    )
    engine: str = setting(
        "",
        "INGEST_ENGINE",
        "the scheduler whose workers read, embed and write: `tcp://host:8786`; unset: this machine",
        scheduler,
    )
    document_seconds: float = setting(
        120.0,
        "INGEST_DOCUMENT_SECONDS",
        "time to read a document, and a second more for each page",
        within(seconds, SHORTEST, math.inf),
    )
    page_seconds: float = setting(
        30.0,
        "INGEST_PAGE_SECONDS",
        "time to read one page; what takes longer is left out, and the other pages are kept",
        within(seconds, SHORTEST, math.inf),
    )
    document_megabytes: int = setting(
        2048,
        "INGEST_DOCUMENT_MEGABYTES",
        "memory to read one document (Linux)",
        within(int, 256, math.inf),
    )
    prune: bool = setting(True, "INGEST_PRUNE", "remove what vanished from its root", yes_or_no)
    max_deletes: int | None = setting(
        None,
        "INGEST_MAX_DELETES",
        "most sources a run may remove; unset: a tenth of the root, at least 10",
        within(int, 0, math.inf),
    )
    exclude: tuple[str, ...] = setting(
        (),
        "INGEST_EXCLUDE",
        "globs of sources to leave out, by their names relative to the root, with commas between: "
        "`drafts/**,**/old-*.pdf`; what the index has of them stays",
        several(relative_glob),
        relative_glob,
    )
    exit_ok: tuple[str, ...] = setting(
        (),
        "INGEST_EXIT_OK",
        "exit codes that a scheduler is given as 0: `3`, `11`, or `known`, which is 3 where all "
        "troubles were reported twelve hours ago already",
        several(one_of(*EXITS)),
    )
    grace_seconds: float = setting(
        20.0,
        "INGEST_GRACE_SECONDS",
        "time to settle what is under way after ^C or SIGTERM",
        seconds,
    )
    deadline: float | None = setting(
        None,
        "INGEST_DEADLINE",
        "stop by then, counted from the start: `25m`; unset: never",
        seconds,
    )
    max_tokens: float | None = setting(
        None,
        "INGEST_MAX_TOKENS",
        "most tokens a run may embed, as in `100k`: it stops before it would be more; unset: any",
        amount,
    )
    max_cost: float | None = setting(
        None,
        "INGEST_MAX_COST",
        "most dollars a run may spend on embedding and on scans, the same",
        within(float, 0, math.inf),
    )
    prices: tuple[Price, ...] = setting(
        (),
        "INGEST_PRICES",
        "dollars for a million tokens or a thousand scanned pages, and their date, as in "
        "`2026-11-01,text-embedding-3-small=0.02,read=1.5`; unset: list prices",
        prices,
    )
    retry_seconds: float = setting(
        900.0, "INGEST_RETRY_SECONDS", "how long to go on trying one request", seconds
    )
    wait_for_roles: float = setting(
        0.0,
        "INGEST_WAIT_FOR_ROLES",
        "how long to wait for new roles and deployments: `10m`",
        seconds,
    )
    openai_endpoint: tuple[str, ...] = setting(
        (),
        "AZURE_OPENAI_ENDPOINT",
        "the Azure OpenAI resource that embeds; several, with commas, work side by side",
        several(endpoint),
    )
    openai_deployment: tuple[str, ...] = setting(
        (),
        "AZURE_OPENAI_EMBEDDING_DEPLOYMENT",
        "its deployment of an embedding model; one for all resources, or one for each",
        several(str),
    )
    openai_model: str = setting(
        "", "AZURE_OPENAI_EMBEDDING_MODEL", "that model; unset: the deployment's name"
    )
    openai_dimensions: int | None = setting(
        None,
        "AZURE_OPENAI_EMBEDDING_DIMENSIONS",
        "of its vectors; unset: as many as a known model gives",
        within(int, 1, 4096),
    )
    openai_api_version: str = setting(
        "", "AZURE_OPENAI_API_VERSION", "for the older form of URL; unset: the v1 API"
    )
    openai_tpm: tuple[float, ...] = setting(
        (),
        "AZURE_OPENAI_TPM",
        "most tokens a minute, as in `350k`; one for all, or one for each; unset: learnt",
        several(amount),
    )
    openai_rpm: tuple[float, ...] = setting(
        (), "AZURE_OPENAI_RPM", "most requests a minute, the same", several(amount)
    )
    openai_key: str = secret("AZURE_OPENAI_KEY", "a key, for who must; unset: no key is used")
    openai_client_id: str = setting(
        "",
        "AZURE_OPENAI_CLIENT_ID",
        "the user-assigned managed identity to be; unset: DefaultAzureCredential",
    )
    tenant: str = setting("", "AZURE_TENANT_ID", "the tenant to sign in to")
    search_endpoint: str = setting(
        "", "AZURE_SEARCH_ENDPOINT", "the Azure AI Search service that holds the index", endpoint
    )
    search_index: str = setting(
        "ingest", "AZURE_SEARCH_INDEX", "the index's name there, or its alias's"
    )
    search_key: str = secret("AZURE_SEARCH_KEY", "a key, for who must; unset: no key is used")
    search_analyzer: str = setting(
        "standard.lucene", "INGEST_ANALYZER", "analyzer of the texts in a new index there"
    )
    embed_inputs: int = setting(
        2048, "INGEST_EMBED_INPUTS", "most texts in one embedding request", within(int, 1, 2048)
    )
    embed_tokens: int = setting(
        300_000,
        "INGEST_EMBED_TOKENS",
        "most tokens in one embedding request",
        within(int, 1, 300_000),
    )
    embed_at_once: int = setting(
        16, "INGEST_EMBED_AT_ONCE", "embedding requests under way at once", within(int, 1, 64)
    )
    log: str = setting(
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
        return settings(environment, {})


# Any of these says that a process has an identity of its own, and should not borrow a person's.
BROUGHT_BY_HOSTS = (
    "IDENTITY_ENDPOINT",
    "MSI_ENDPOINT",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_TOKEN_CREDENTIALS",
)


def documented() -> list[Field[Any]]:
    """The settings that have a name in the environment."""
    return [item for item in fields(Settings) if item.metadata]


def settings(environment: Mapping[str, str], flags: Mapping[str, Any]) -> Settings:
    """The settings of the environment, with those flags that are not None in their place.

    Raises ConfigError for a value that cannot be meant.
    """
    values: dict[str, Any] = {"hosted": any(environment.get(name) for name in BROUGHT_BY_HOSTS)}
    for item in documented():
        text = flags.get(item.name)
        name = "--" + item.name.replace("_", "-")
        if text is None:
            name = item.metadata["env"]
            text = environment.get(name)
        if text is None or text == "":
            continue
        if isinstance(text, list):  # a flag that was repeated; each has one value, commas and all
            values[item.name] = tuple(parsed(item, each, name, "each") for each in text)
        else:
            values[item.name] = parsed(item, str(text), name)
    return Settings(**values)


def valid(chosen: Settings) -> Settings:
    """The settings, if each is one that the environment could give. Raises ConfigError."""
    for item in documented():
        value = getattr(chosen, item.name)
        if value != item.default and not isinstance(value, tuple):
            parsed(item, str(value), item.name)
    return chosen


def parsed(item: Field[Any], text: str, name: str, parse: str = "parse") -> Any:
    """The value of a setting that is called `name`. Raises ConfigError if it cannot be meant."""
    try:
        return item.metadata[parse](text)
    except ValueError as error:
        expected = "a number" if "literal" in str(error) or "convert" in str(error) else error
        raise ConfigError(f"{name}={text}: expected {expected}") from None
