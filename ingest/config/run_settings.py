"""Settings of the roots, of reading documents, and of the limits of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ingest.chunk import MAX_OVERLAP_SHARE, MIN_CHUNK_TOKENS
from ingest.config.declaration import Flag, setting_field
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
from ingest.index.azure.profile import DEFAULT_NAME
from ingest.index.schema import RESERVED_FIELD_NAMES
from ingest.models import BlobField
from ingest.runtime.prices import Price, parse_prices
from ingest.sources.azure_blob.fields import blob_fields_parser
from ingest.sources.exclude import parse_glob

OCR_MODELS = ("read", "layout")
FIGURES = ("none", "text", "describe")
EXITS = ("3", "11", "known")
PDF_ENGINES = ("auto", "pdfium", "pypdf")
SIDECAR, ACL = "sidecar", "acl"  # of INGEST_PERMISSIONS
MIN_READ_SECONDS = 0.1  # with less, no document could be read
MIN_DOCUMENT_MEGABYTES = 256


@dataclass(frozen=True)
class RunSettings:
    """The roots, how their documents are read, and the limits of a run."""

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
        "`langchain`, or a TOML file ([profiles.md](profiles.md))",
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
            "text: read the words in pictures; describe: have a model describe figures (none)",
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
