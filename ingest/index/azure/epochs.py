"""Epochs of a lease: a chain of documents, one for each time the lease was taken or given up.

An epoch begins when its document is created. The service tells one writer alone that it created a
document (201), so two runs cannot begin the same epoch. Odd epochs belong to a run; even ones
belong to nobody: a run begins one when it ends, or another run does when it takes the lease away.

Reads lag behind writes, by an unknown time. The answer to a write does not, so the chain is
never read: a merge that changes nothing is answered with 200 or 404.

An index that was deleted and made again begins a new chain with the same numbers. A document with
a random key, which the lease names, tells the two apart.
"""

from __future__ import annotations

import re
import secrets
from http import HTTPStatus
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from ingest.index.azure.client import DocumentClient
from ingest.index.azure.listing import MAX_PAGE_DOCUMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence


# Of the lease document: fields that every index has.
EPOCH_FIELD, CHAIN_FIELD = "size", "fingerprint"
EPOCH_KEY_PATTERN = re.compile(r"lease-(\d+)")
CHAIN_KEY_PATTERN = re.compile(r"lease-of-[0-9a-f]+")
EPOCHS_PER_REQUEST = 8
KEPT_EPOCHS = 100  # older documents are deleted; a reader that lags is not that far behind


def epoch_key(epoch: int) -> str:
    """Return the document key of an epoch."""
    return f"lease-{epoch}"


def new_chain_key() -> str:
    """Return a document key for a new chain of epochs."""
    return f"lease-of-{secrets.token_hex(8)}"


def epoch_of(lease: dict[str, Any] | None) -> int:
    """Return the epoch that a lease document names; 0 for one of a version without epochs."""
    return max(0, int(lease.get(EPOCH_FIELD) or 0)) if lease else 0


def chain_of(lease: dict[str, Any] | None) -> str:
    """Return the key of the chain that a lease document names; "" if it names none."""
    key = str(lease.get(CHAIN_FIELD)) if lease else ""
    return key if CHAIN_KEY_PATTERN.fullmatch(key) else ""


def parse_holder(holder: str) -> tuple[int, str]:
    """Parse the epoch and its chain of a worker's run."""
    epoch, _, chain = holder.partition(" ")
    return int(epoch), chain


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
        return self.count_existing([epoch_key(epoch)]) == 1

    def is_over(self, chain: str, epoch: int) -> bool:
        """Return whether a run's epoch is over.

        The next one has begun, or all are long deleted, or the index is another one.
        """
        own = [chain, epoch_key(epoch)]
        return self.count_existing([*own, epoch_key(epoch + 1)]) != len(own)

    def latest(self, known: int) -> int:
        """Return the latest epoch, given one that has begun; 0 if there is none."""
        while True:
            first = max(1, known)
            following = range(first, first + EPOCHS_PER_REQUEST)
            begun = self.count_existing(list(map(epoch_key, following)))
            if begun == EPOCHS_PER_REQUEST:
                known = following[-1]
            elif begun:
                return following[begun - 1]
            # Another program has changed or deleted the lease document, or there was none.
            elif not (known := self.latest_listed()):
                return 0

    def latest_listed(self) -> int:
        """Return the latest epoch that a query finds, or 0."""
        query = {"search_text": "*", "filter": "kind eq 'lease'", "select": ["id"]}
        page = self.documents.search_page(**query, top=MAX_PAGE_DOCUMENTS)
        keys = (EPOCH_KEY_PATTERN.fullmatch(str(document["id"])) for document in page)
        return max((int(key[1]) for key in keys if key), default=0)

    def count_existing(self, keys: Sequence[str]) -> int:
        """Count how many documents exist, up to the first that does not."""
        statuses = self.documents.write_statuses(
            "merge", [{"id": key, "kind": "lease"} for key in keys]
        )
        return sum(1 for _ in takewhile(lambda key: statuses[key] == HTTPStatus.OK, keys))
