"""Values that pass between the stages of the pipeline: frozen, typed and free of I/O.

Import them from here; the modules of this package are named after their values.
"""

from __future__ import annotations

from typing import TypeAlias

from ingest.models.arrays import ColourImage, Embed, GreyImage, Vectors
from ingest.models.documents import (
    Attachment,
    Chunk,
    Details,
    Document,
    Heading,
    OcrFigure,
    OcrResult,
    PreparedDocument,
    RunningLines,
)
from ingest.models.figures import (
    ChunkFigure,
    DescribedFigure,
    Figure,
    FigureDescription,
    FigureKind,
    FigureOutcome,
    PageShares,
)
from ingest.models.index import (
    CachedPage,
    FigureFilter,
    Hit,
    IndexEntry,
    Mode,
    Record,
    Refusal,
    StoredChunk,
)
from ingest.models.recipe import (
    DESCRIBES,
    IMAGES_IN,
    RECIPE_DIGEST_CHARS,
    UNCHANGED_AT,
    Recipe,
    hash_text,
    vector_space,
)
from ingest.models.runs import (
    DeletionsWithheld,
    LeftOut,
    RunEvent,
    RunProgress,
    SourceResult,
    Summary,
    Timeline,
)
from ingest.models.sources import (
    ATTACHMENT_SEPARATOR,
    DOCUMENT_SUFFIXES,
    EVERYBODY,
    GROUPS,
    ID_PATTERN,
    NOBODY,
    NOT_INDEXED_OUTCOMES,
    OIDS,
    SKIPPED_CODES,
    Code,
    KnownRoot,
    ListingIssue,
    Outcome,
    Permissions,
    Source,
    SourceKey,
    Unread,
    Values,
    document_kind,
    hash_fields,
    is_document_name,
    parent_name,
    parse_ids,
    strip_document_suffix,
)

# Here, because `scripts/ingest` runs the package without installing it.
__version__ = "0.1.0"

# Names of version 0.1, kept for existing programs.
Kept: TypeAlias = DeletionsWithheld
Oddity: TypeAlias = ListingIssue
Settled: TypeAlias = SourceResult

__all__ = [
    "ATTACHMENT_SEPARATOR",
    "DESCRIBES",
    "DOCUMENT_SUFFIXES",
    "EVERYBODY",
    "GROUPS",
    "ID_PATTERN",
    "IMAGES_IN",
    "NOBODY",
    "NOT_INDEXED_OUTCOMES",
    "OIDS",
    "RECIPE_DIGEST_CHARS",
    "SKIPPED_CODES",
    "UNCHANGED_AT",
    "Attachment",
    "CachedPage",
    "Chunk",
    "ChunkFigure",
    "Code",
    "ColourImage",
    "DeletionsWithheld",
    "DescribedFigure",
    "Details",
    "Document",
    "Embed",
    "Figure",
    "FigureDescription",
    "FigureFilter",
    "FigureKind",
    "FigureOutcome",
    "GreyImage",
    "Heading",
    "Hit",
    "IndexEntry",
    "Kept",
    "KnownRoot",
    "LeftOut",
    "ListingIssue",
    "Mode",
    "OcrFigure",
    "OcrResult",
    "Oddity",
    "Outcome",
    "PageShares",
    "Permissions",
    "PreparedDocument",
    "Recipe",
    "Record",
    "Refusal",
    "RunEvent",
    "RunProgress",
    "RunningLines",
    "Settled",
    "Source",
    "SourceKey",
    "SourceResult",
    "StoredChunk",
    "Summary",
    "Timeline",
    "Unread",
    "Values",
    "Vectors",
    "__version__",
    "document_kind",
    "hash_fields",
    "hash_text",
    "is_document_name",
    "parent_name",
    "parse_ids",
    "strip_document_suffix",
    "vector_space",
]
