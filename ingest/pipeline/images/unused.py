"""Delete the stored images that no document shows any more.

Invariant: an image goes only after the records that named it, and so after the chunks. The caller
holds the index, so that no other run stores an image meanwhile.
"""

from __future__ import annotations

import logging

from ingest.index import RecordStore, confirm_lock
from ingest.models import Outcome, SourceResult
from ingest.pipeline.context import Services

log = logging.getLogger(__name__)

DELETED_AT_ONCE = 100  # images
KEEPING_OUTCOMES = (Outcome.UNCHANGED, Outcome.FAILED, Outcome.NEW)


def may_leave_images(event: object) -> bool:
    """Return whether a document may have lost a figure."""
    return isinstance(event, SourceResult) and (
        event.outcome not in KEEPING_OUTCOMES or event.deleted > 0
    )


def delete_unused(services: Services) -> int:
    """Delete the images that no record names; return their number."""
    store, index = services.images, services.index
    if store is None:
        return 0
    stored = set(store.names())  # before the records: an image is stored before it is named
    if not stored:
        return 0
    index.wait_until_listed()
    unused = stored - used_images(index)
    if services.previous_index:
        unused -= used_images(services.previous_index)
    left = sorted(unused)
    while left:
        for each in filter(None, (index, services.previous_index)):
            confirm_lock(each)  # another run may show an image again that is stored already
        store.delete(left[:DELETED_AT_ONCE])
        left = left[DELETED_AT_ONCE:]
    if unused:
        log.info("deleted %d images of figures that no document shows any more", len(unused))
    return len(unused)


def used_images(index: RecordStore) -> set[str]:
    """Return the names of the images that records name."""
    return {name for record in index.records() for name in record.details.images}
