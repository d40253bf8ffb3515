"""Mark hits of outdated text: their source could not be read since it changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ingest.index import RecordStore
from ingest.models import Hit, SourceKey, parent_name
from ingest.pipeline.diff import INTERRUPTED_REASON


def mark_outdated(hits: Sequence[Hit], index: RecordStore) -> list[Hit]:
    """Return the hits; each of outdated text has the reason why its source could not be read."""
    sources = [(str(hit.fields["root"]), str(hit.fields["source"])) for hit in hits]
    keys = {*sources, *map(container_of, sources)}
    errors = index.errors_of(keys) if hits else {}
    # A source that a run is reading, or was reading when it was killed, may be as it was.
    known = {key: text for key, text in errors.items() if not text.endswith(INTERRUPTED_REASON)}
    return [
        replace(hit, outdated=known.get(source) or known.get(container_of(source), ""))
        for hit, source in zip(hits, sources, strict=True)
    ]


def container_of(source: SourceKey) -> SourceKey:
    """Return the document that a source is attached to; the source itself if it is none."""
    root, name = source
    return root, parent_name(name) or name
