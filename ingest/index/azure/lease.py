"""Advisory lease on a search service's index: a document that names the run that is writing.

The service has no locks, so the lease only keeps cooperating runs apart; the order of writes keeps
the index correct. A lease ends when it is not renewed in time, or when its process on this machine
is gone. It also records the model that filled the index.
"""

from __future__ import annotations

import json
import logging
import math
import os
import secrets
import socket
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ingest.errors import BusyError, IngestError
from ingest.index.schema import SUMMARY_FIELD

if TYPE_CHECKING:
    from ingest.index.azure.client import DocumentClient

log = logging.getLogger(__name__)

LEASE_DOCUMENT_KEY = "lease"
FREE_OWNER = "free"  # instead of an owner
LEASE_RENEW_SECONDS = 20.0
LEASE_SECONDS = 90.0  # without renewal, after which another run may take it
LEASE_SETTLE_SECONDS = 0.3  # after which two concurrent runs both read the later one's lease


class Lease:
    """Lease of one index."""

    def __init__(self, documents: DocumentClient) -> None:
        self.documents = documents
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.stopped = threading.Event()
        self.renewer: threading.Thread | None = None
        self.vector_space: tuple[str, int] | None = None  # written with every renewal

    def acquire(
        self, engine: str = "", filled_by: tuple[str, int] | None = None, *, is_new: bool = False
    ) -> float | None:
        """Take the lease; return the seconds since another run may have written, None if none has.

        Raises BusyError if another run holds it. The lease of a distributed engine outlives its
        process until it expires, because the workers continue for a while.
        """
        if engine:
            self.owner = f"workers of {engine} for {self.owner}"
        found = self.read_lease()
        idle = self.raise_if_held(found)
        recorded = parse_vector_space(found)
        # An index with vectors of two models, or of an unknown one, is recorded as neither's.
        self.vector_space = (
            filled_by if is_new else recorded if filled_by in (None, recorded) else None
        )
        self.write_lease()
        time.sleep(LEASE_SETTLE_SECONDS)
        self.raise_if_held(self.read_lease())
        self.renewer = threading.Thread(target=self.renew_until_stopped, name="lease", daemon=True)
        self.renewer.start()
        return idle

    def read_lease(self) -> dict[str, Any] | None:
        """Read the lease document."""
        return self.documents.get(LEASE_DOCUMENT_KEY)

    def read_vector_space(self) -> tuple[str, int] | None:
        """Read the recorded model and its dimensions; None where they are not recorded."""
        return parse_vector_space(self.read_lease())

    def raise_if_held(self, found: dict[str, Any] | None) -> float | None:
        """Raise BusyError if another run holds a lease; return the lease's age in seconds."""
        if not found:
            return None
        if found["run"] not in (self.owner, FREE_OWNER) and is_owner_alive(found):
            raise BusyError(
                f"another run ({found['run'].rpartition(':')[0]}) is writing to the index "
                f"{self.documents.name}: wait for it to end; if it was killed, for "
                f"{max(1.0, LEASE_SECONDS - age_seconds(found)):.0f} s"
            )
        return age_seconds(found)

    def seconds_since_write(self) -> float:
        """Return the seconds since a run may have written; 0 while one holds the lease."""
        found = self.read_lease()
        if not found:
            return math.inf
        return 0.0 if found["run"] != FREE_OWNER and is_owner_alive(found) else age_seconds(found)

    def stamp(self, owner: str) -> str:
        """Return the time of this owner's last renewal; "" if it does not hold the lease."""
        found = self.read_lease()
        return str(found["settled"]) if found and found["run"] == owner else ""

    def write_lease(self, owner: str = "") -> None:
        stamp = datetime.now(UTC).isoformat(timespec="seconds")
        lease = {
            "id": LEASE_DOCUMENT_KEY,
            "kind": "lease",
            "run": owner or self.owner,
            "settled": stamp,
        }
        if self.vector_space:
            model, dimensions = self.vector_space
            lease[SUMMARY_FIELD] = json.dumps({"model": model, "dimensions": dimensions})
        self.documents.raise_if_refused(self.documents.write("upload", [lease]))

    def renew_until_stopped(self) -> None:
        """Renew until the lease is released. The next renewal makes up for one that fails."""
        while not self.stopped.wait(LEASE_RENEW_SECONDS):
            try:
                self.write_lease()
            except IngestError as error:
                log.info("the lease could not be renewed: %s", error)

    def stop_renewing(self) -> bool:
        """Stop renewing, so that the lease expires. Returns True if it was held."""
        self.stopped.set()
        if not self.renewer:
            return False
        self.renewer.join()
        self.renewer = None
        return True

    def release(self) -> None:
        """Release the lease, so that the next run can start at once."""
        if self.stop_renewing():
            try:
                self.write_lease(FREE_OWNER)
            except IngestError as error:
                log.info("the lease could not be released and expires by itself: %s", error)


def parse_vector_space(lease: dict[str, Any] | None) -> tuple[str, int] | None:
    """Parse the model, with its dimensions, that a lease document records."""
    text = lease.get(SUMMARY_FIELD) if lease else None
    if not text:
        return None
    recorded = json.loads(text)
    return str(recorded["model"]), int(recorded["dimensions"])


def is_owner_alive(lease: dict[str, Any]) -> bool:
    """Return False if the run that wrote a lease has ended or stopped renewing it."""
    host, process_id, _ = str(lease["run"]).rsplit(":", 2)
    if host == socket.gethostname() and is_process_gone(int(process_id)):
        return False
    return age_seconds(lease) < LEASE_SECONDS


def age_seconds(lease: dict[str, Any]) -> float:
    """Return the seconds since a lease was written, by the clocks of two hosts."""
    return (datetime.now(UTC) - datetime.fromisoformat(str(lease["settled"]))).total_seconds()


def is_process_gone(process_id: int) -> bool:
    """Return True if no process of this machine has the id."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
