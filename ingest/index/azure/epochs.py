"""Epochs of a lease: a chain of documents, one for each time the lease was taken or given up.

An epoch begins when its document is created. The service tells one writer alone that it created a
document (201), so two runs cannot begin the same epoch. Odd epochs belong to a run; even ones
belong to nobody: a run begins one when it ends, or another run does when it takes the lease away.

Reads lag behind writes, by an unknown time. The answer to a write does not, so the chain is
never read: a merge that changes nothing is answered with 200 or 404.
"""

from __future__ import annotations

from http import HTTPStatus
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.index.azure.client import DocumentClient

EPOCHS_PER_REQUEST = 8
KEPT_EPOCHS = 100  # older documents are deleted; a reader that lags is not that far behind


def epoch_key(epoch: int) -> str:
    """Return the document key of an epoch."""
    return f"lease-{epoch}"


class Epochs:
    """The epochs of one index."""

    def __init__(self, documents: DocumentClient) -> None:
        self.documents = documents

    def begin(self, epoch: int, stamp: str) -> bool:
        """Begin an epoch. Returns False if it had begun, perhaps by a request without an answer."""
        # No other field: the owner that an earlier writer named must stay.
        document = {"id": epoch_key(epoch), "kind": "lease", "settled": stamp}
        statuses = self.documents.write_statuses("mergeOrUpload", [document])
        if epoch > KEPT_EPOCHS and epoch % EPOCHS_PER_REQUEST == 0:
            # Two groups, as the run that should have deleted the first one may have died.
            old = range(epoch - KEPT_EPOCHS - 2 * EPOCHS_PER_REQUEST, epoch - KEPT_EPOCHS)
            self.documents.write_statuses("delete", [{"id": key} for key in map(epoch_key, old)])
        return statuses[epoch_key(epoch)] == HTTPStatus.CREATED

    def has_begun(self, epoch: int) -> bool:
        """Return whether an epoch has begun."""
        return self.count_begun([epoch]) == 1

    def is_over(self, epoch: int) -> bool:
        """Return whether a run's epoch is over: the next one has begun, or all are long deleted."""
        return self.count_begun([epoch, epoch + 1]) != 1

    def latest(self, known: int) -> int:
        """Return the latest epoch, given one that has begun, or 0."""
        while True:
            following = range(known + 1, known + 1 + EPOCHS_PER_REQUEST)
            begun = self.count_begun(following)
            known += begun
            if begun < EPOCHS_PER_REQUEST:
                return known

    def count_begun(self, epochs: Sequence[int]) -> int:
        """Count how many have begun, up to the first that has not."""
        keys = list(map(epoch_key, epochs))
        statuses = self.documents.write_statuses(
            "merge", [{"id": key, "kind": "lease"} for key in keys]
        )
        return sum(1 for _ in takewhile(lambda key: statuses[key] == HTTPStatus.OK, keys))
