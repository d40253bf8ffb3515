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
    from ingest.index.azure.client import Documents

log = logging.getLogger(__name__)

KEY = "lease"
FREE = "free"  # instead of an owner
RENEWED_EVERY = 20.0  # seconds
LASTS = 90.0  # seconds without renewal, after which it is nobody's
SETTLING = 0.3  # seconds, after which of two that came at once the later one is read by both


class Lease:
    """The lease of one index."""

    def __init__(self, documents: Documents) -> None:
        self.documents = documents
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.over = threading.Event()
        self.keeper: threading.Thread | None = None

    def take(self, engine: str = "") -> float | None:
        """The seconds since another run may have written; None if none is known of.

        Raises BusyError if another run holds it. One of an `engine` is not known to be gone when
        its process is: its workers go on for a while.
        """
        if engine:
            self.owner = f"workers of {engine} for {self.owner}"
        quiet = self.refuse_if_held()
        self.write()
        time.sleep(SETTLING)
        self.refuse_if_held()
        self.keeper = threading.Thread(target=self.keep, name="lease", daemon=True)
        self.keeper.start()
        return quiet

    def refuse_if_held(self) -> float | None:
        found = self.documents.get(KEY)
        if not found:
            return None
        if found["run"] not in (self.owner, FREE) and living(found):
            raise BusyError(
                f"another run ({found['run'].rpartition(':')[0]}) is writing to the index "
                f"{self.documents.name}: wait for it to end; if it was killed, for "
                f"{max(1.0, LASTS - age(found)):.0f} s"
            )
        return age(found)

    def quiet(self) -> float:
        """The seconds since a run may have written; 0 while one holds it, inf if none ever did."""
        found = self.documents.get(KEY)
        if not found:
            return math.inf
        return 0.0 if found["run"] != FREE and living(found) else age(found)

    def sign(self, owner: str) -> str:
        """When it was renewed by this owner; "" if it is not its."""
        found = self.documents.get(KEY)
        return str(found["settled"]) if found and found["run"] == owner else ""

    def write(self, owner: str = "") -> None:
        stamp = datetime.now(UTC).isoformat(timespec="seconds")
        lease = {"id": KEY, "kind": "lease", "run": owner or self.owner, "settled": stamp}
        self.documents.must(self.documents.acted("upload", [lease]))

    def keep(self) -> None:
        """Renew until it is given back. A renewal that fails is made up for by the next one."""
        while not self.over.wait(RENEWED_EVERY):
            try:
                self.write()
            except IngestError as error:
                log.info("the lease could not be renewed: %s", error)

    def lapse(self) -> bool:
        """Renew it no more, which gives it to the next run in a while. Whether it was held."""
        self.over.set()
        if not self.keeper:
            return False
        self.keeper.join()
        self.keeper = None
        return True

    def give_back(self) -> None:
        """Let the next run begin at once."""
        if self.lapse():
            try:
                self.write(FREE)
            except IngestError as error:
                log.info("the lease could not be given back, it lapses by itself: %s", error)


def living(lease: dict[str, Any]) -> bool:
    """Whether the run that wrote a lease may still be there."""
    host, process, _ = str(lease["run"]).rsplit(":", 2)
    if host == socket.gethostname() and gone(int(process)):
        return False
    return age(lease) < LASTS


def age(lease: dict[str, Any]) -> float:
    """Seconds since it was written, as far as the clocks of two hosts agree."""
    return (datetime.now(UTC) - datetime.fromisoformat(str(lease["settled"]))).total_seconds()


def gone(process: int) -> bool:
    """Whether no process of this machine has the number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
