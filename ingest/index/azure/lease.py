"""One run at a time on an index that is a service: a document that says who is writing.

The service has no locks, so this keeps honest runs apart and no more; what keeps the index right
is the order of what is written. A lease that was not renewed in time is nobody's, and neither is
one of a process of this machine that is gone.
"""

from __future__ import annotations

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

if TYPE_CHECKING:
    from ingest.index.azure.client import DocumentClient

log = logging.getLogger(__name__)

LEASE_DOCUMENT_KEY = "lease"
FREE_OWNER = "free"  # instead of an owner
LEASE_RENEW_SECONDS = 20.0  # seconds
LEASE_SECONDS = 90.0  # seconds without renewal, after which it is nobody's
LEASE_SETTLE_SECONDS = (
    0.3  # seconds, after which of two that came at once the later one is read by both
)


class Lease:
    """The lease of one index."""

    def __init__(self, documents: DocumentClient) -> None:
        self.documents = documents
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.stopped = threading.Event()
        self.renewer: threading.Thread | None = None

    def acquire(self, engine: str = "") -> float | None:
        """The seconds since another run may have written; None if none is known of.

        Raises BusyError if another run holds it. One of an `engine` is not known to be gone when
        its process is: its workers go on for a while.
        """
        if engine:
            self.owner = f"workers of {engine} for {self.owner}"
        quiet = self.raise_if_held()
        self.write_lease()
        time.sleep(LEASE_SETTLE_SECONDS)
        self.raise_if_held()
        self.renewer = threading.Thread(target=self.renew_until_stopped, name="lease", daemon=True)
        self.renewer.start()
        return quiet

    def raise_if_held(self) -> float | None:
        found = self.documents.get(LEASE_DOCUMENT_KEY)
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
        """The seconds since a run may have written; 0 while one holds it, inf if none ever did."""
        found = self.documents.get(LEASE_DOCUMENT_KEY)
        if not found:
            return math.inf
        return 0.0 if found["run"] != FREE_OWNER and is_owner_alive(found) else age_seconds(found)

    def stamp(self, owner: str) -> str:
        """When it was renewed by this owner; "" if it is not its."""
        found = self.documents.get(LEASE_DOCUMENT_KEY)
        return str(found["settled"]) if found and found["run"] == owner else ""

    def write_lease(self, owner: str = "") -> None:
        stamp = datetime.now(UTC).isoformat(timespec="seconds")
        lease = {
            "id": LEASE_DOCUMENT_KEY,
            "kind": "lease",
            "run": owner or self.owner,
            "settled": stamp,
        }
        self.documents.raise_if_refused(self.documents.write("upload", [lease]))

    def renew_until_stopped(self) -> None:
        """Renew until it is given back. A renewal that fails is made up for by the next one."""
        while not self.stopped.wait(LEASE_RENEW_SECONDS):
            try:
                self.write_lease()
            except IngestError as error:
                log.info("the lease could not be renewed: %s", error)

    def stop_renewing(self) -> bool:
        """Renew it no more, which gives it to the next run in a while. Whether it was held."""
        self.stopped.set()
        if not self.renewer:
            return False
        self.renewer.join()
        self.renewer = None
        return True

    def release(self) -> None:
        """Let the next run begin at once."""
        if self.stop_renewing():
            try:
                self.write_lease(FREE_OWNER)
            except IngestError as error:
                log.info("the lease could not be given back, it lapses by itself: %s", error)


def is_owner_alive(lease: dict[str, Any]) -> bool:
    """Whether the run that wrote a lease may still be there."""
    host, process, _ = str(lease["run"]).rsplit(":", 2)
    if host == socket.gethostname() and is_process_gone(int(process)):
        return False
    return age_seconds(lease) < LEASE_SECONDS


def age_seconds(lease: dict[str, Any]) -> float:
    """Seconds since it was written, as far as the clocks of two hosts agree."""
    return (datetime.now(UTC) - datetime.fromisoformat(str(lease["settled"]))).total_seconds()


def is_process_gone(process: int) -> bool:
    """Whether no process of this machine has the number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
