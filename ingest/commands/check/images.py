"""Compare the stored images of figures with the records of an index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ingest.commands.check.finding import CheckFinding, FindingKind
from ingest.commands.check.scope import CheckContext
from ingest.models import Record, parent_name
from ingest.pipeline.images import ImageStore


def check_images(
    scope: CheckContext, store: ImageStore, idle_seconds: float
) -> Iterator[CheckFinding]:
    """Find images that no record names, and records whose images are gone.

    None while a run stores some.
    """
    unused = set(store.names())  # before the records: an image is stored before it is named
    stored = frozenset(unused)
    if scope.may_lag(idle_seconds):
        scope.retry_policy.wait(scope.index.listing_lag)
    if idle_seconds == 0 or scope.index.seconds_since_write() == 0:
        return
    for record in scope.until_stopped(scope.index.records()):
        unused.difference_update(record.details.images)
        is_complete = stored.issuperset(record.details.images)
        if not is_complete and scope.includes_source(record.root, outer_name(record)):
            count = len(set(record.details.images) - stored)
            text = f"images of its figures that are not in {store.place}: {count:,}"
            yield CheckFinding(FindingKind.IMAGE, text, record.root, record.source, count)
    if unused and not scope.is_only_named and not scope.run.stop.is_requested():
        text = f"images in {store.place} that no document shows: {len(unused):,}"
        yield CheckFinding(FindingKind.IMAGE, text, count=len(unused))


def mark_without_images(scope: CheckContext, records: Iterable[Record]) -> Iterator[Record]:
    """Mark the records whose images are gone, so that the pipeline reads their sources again.

    Yields the marked ones. Those that were read with other settings are not marked.
    """
    store, index = scope.services.images, scope.index
    digest = scope.services.recipe.digest
    if store is None:
        return
    stored = set(store.names())
    for listed in records:
        found = None if stored.issuperset(listed.details.images) else index.record(*listed.key)
        if (
            found
            and found.fingerprint.startswith(digest)
            and scope.includes_source(found.root, outer_name(found))
        ):
            index.save(replace(found, fingerprint="", modified="")).result()
            yield found


def outer_name(record: Record) -> str:
    """Return the name of a source, or of the one that it is attached to."""
    return parent_name(record.source) or record.source
