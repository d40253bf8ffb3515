"""Advisory lease on a search service's index, with epochs that fence off a run that lost it.

The service has no locks and no conditional writes, so epochs decide who holds the lease
(index/azure/epochs.py). Right before each write, a run checks its epoch; if the epoch is over,
because the run was paused or cut off and another one took the lease, it writes nothing. The owner
and the time of the last renewal are in the document of the epoch and in the document `lease`, which
also records the model that filled the index. Times are by the service's clock.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from ingest.errors import BusyError, IngestError, ServiceError
from ingest.index.azure.client import DocumentClient
from ingest.index.azure.epochs import (
    CHAIN_FIELD,
    EPOCH_FIELD,
    Epochs,
    chain_of,
    epoch_key,
    epoch_of,
    new_chain_key,
    parse_holder,
)
from ingest.index.azure.owner import create_owner, describe_owner, is_owner_gone
from ingest.index.schema import SUMMARY_FIELD

T = TypeVar("T")

log = logging.getLogger(__name__)

LEASE_DOCUMENT_KEY = "lease"
FREE_OWNER = "free"  # instead of an owner
LEASE_RENEW_SECONDS = 20.0
LEASE_SECONDS = 90.0  # without renewal, after which another run may take it
CHECK_SECONDS = 1.0  # for which a check of the lease is valid
MAX_ANSWER_SECONDS = 10.0  # a slower answer is ignored: the process may have slept
# In a row: together they last as long as a lease without renewal.
MAX_LATE_ANSWERS = math.ceil(LEASE_SECONDS / MAX_ANSWER_SECONDS)
OWNER_SECONDS = 5.0  # until an epoch shows its owner, if it has one
POLL_SECONDS = 0.25


def read_clocks() -> tuple[float, float]:
    """Read two clocks. Suspension stops neither; freezing a VM may stop the first."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME), time.time()
    return time.monotonic(), time.time()


class Lease:
    """Lease of one index."""

    def __init__(
        self, documents: DocumentClient, clocks: Callable[[], tuple[float, float]] = read_clocks
    ) -> None:
        self.documents = documents
        self.clocks = clocks
        self.epochs = Epochs(documents)
        self.owner = create_owner()
        self.epoch = 0  # that this process writes in; 0: none
        self.chain = ""  # key of the document of the chain that the epoch is in
        self.is_lost = False
        self.on_lost: Callable[[BusyError], None] = lambda _: None
        self.checked = (-math.inf, -math.inf)  # when the epoch was last known not to be over
        self.late_answers = 0  # in a row
        self.check_lock = threading.Lock()
        self.stopped = threading.Event()
        self.renewer: threading.Thread | None = None
        self.vector_space: tuple[str, int] | None = None  # written with every renewal

    @property
    def holder(self) -> str:
        """Epoch and its chain, for the workers of a distributed engine."""
        return f"{self.epoch} {self.chain}"

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
        latest = self.epochs.latest(epoch_of(found))
        if found and not epoch_of(found):  # of a version without epochs
            self.raise_if_held(found)
        taken = self.begin_epoch(latest)
        if found is None and latest:  # an earlier run has written one
            found = self.poll(self.read_lease, LEASE_SECONDS)
        recorded = parse_vector_space(found)
        # An index with vectors of two models, or of an unknown one, is recorded as neither's.
        self.vector_space = (
            filled_by if is_new else recorded if filled_by in (None, recorded) else None
        )
        self.epoch = taken
        self.chain = chain_of(found) or new_chain_key()
        self.write_lease({"id": self.chain, "kind": "lease"})
        self.documents.fence = self.raise_if_lost
        self.renewer = threading.Thread(target=self.renew_until_stopped, name="lease", daemon=True)
        self.renewer.start()
        if found is None:
            return None
        is_current = found.get("run") == FREE_OWNER and epoch_of(found) in (0, taken - 1)
        return self.age_seconds(found) if is_current else 0.0

    def begin_epoch(self, latest: int) -> int:
        """Begin an epoch of this run, given the latest one; raises BusyError if that is held."""
        while True:
            if latest % 2:
                if holder := self.read_holder(latest):
                    self.raise_if_held(holder)
                self.epochs.begin(latest + 1, self.stamp_now())
                latest += 1
            self.checked = self.clocks()  # before the request, since the process may be paused
            if self.epochs.begin(latest + 1, self.stamp_now()):
                return latest + 1
            # Another run was faster, or the answer was lost and the epoch will have no owner.
            latest += 1

    def read_holder(self, epoch: int) -> dict[str, Any] | None:
        """Read the document of an epoch, once it can be seen; None if it has no owner."""
        key = epoch_key(epoch)
        if self.poll(lambda: self.documents.get(key), LEASE_SECONDS) is None:
            raise BusyError(
                f"another run has just begun to write to the index {self.documents.name}: wait "
                "for it to end"
            )

        def read_owned() -> dict[str, Any] | None:
            found = self.documents.get(key)
            return found if found and found.get("run") else None

        return self.poll(read_owned, OWNER_SECONDS)

    def poll(self, read: Callable[[], T | None], seconds: float) -> T | None:
        """Repeat a read until it returns something, or the time is over."""
        waited = 0.0  # not by a clock, since the process may have been paused
        policy = self.documents.retry_policy
        with policy.wait_for(f"the index {self.documents.name} to show what was written"):
            while (found := read()) is None and waited < seconds:
                policy.wait(POLL_SECONDS)
                waited += POLL_SECONDS
        return found

    def join(self, holder: str) -> None:
        """Write in the epoch of a worker's run. Raises BusyError if it is over."""
        self.epoch, self.chain = parse_holder(holder)
        self.documents.fence = self.raise_if_lost
        self.raise_if_lost()

    def raise_if_lost(self) -> None:
        """Raise BusyError if another run has taken the lease. Asks at most once a second.

        Raises ServiceError if answers come too late for as long as a lease lasts.
        """
        if not self.is_lost and not self.is_check_recent():
            came = self.clocks()
            with self.check_lock:
                while not (self.is_lost or self.is_check_recent() or self.was_asked_since(came)):
                    if self.late_answers >= MAX_LATE_ANSWERS:
                        raise self.late_error()
                    if self.check():
                        break
        if self.is_lost:
            raise self.lost_error()

    def is_check_recent(self) -> bool:
        """Return whether the last check is younger than CHECK_SECONDS, by every clock."""
        return self.seconds_since(self.checked) < CHECK_SECONDS

    def was_asked_since(self, then: tuple[float, float]) -> bool:
        """Return whether another thread has asked since, and its answer is still valid."""
        asked = self.checked
        is_later = all(a >= b for a, b in zip(asked, then, strict=True))
        return is_later and self.seconds_since(asked) < MAX_ANSWER_SECONDS

    def seconds_since(self, then: tuple[float, float]) -> float:
        """Return the seconds since both clocks were read, the larger of the two."""
        return max(now - before for now, before in zip(self.clocks(), then, strict=True))

    def check(self) -> bool:
        """Ask whether the epoch is over; return whether the answer came in time.

        A process that was paused meanwhile may hold an answer from before another run began.
        """
        asked = self.clocks()
        if self.is_over():
            self.is_lost = True
            self.on_lost(self.lost_error())
            return True
        self.checked = asked
        is_in_time = self.seconds_since(asked) < MAX_ANSWER_SECONDS
        self.late_answers = 0 if is_in_time else self.late_answers + 1
        return is_in_time

    def is_over(self) -> bool:
        """Ask whether the epoch is over."""
        return self.epochs.is_over(self.chain, self.epoch)

    def late_error(self) -> ServiceError:
        """Return the error of a run that cannot tell whether it still holds the lease."""
        return ServiceError(
            f"{self.documents.endpoint} took longer than {MAX_ANSWER_SECONDS:.0f} s for each of "
            f"{MAX_LATE_ANSWERS} answers, so that another run may have taken over the index "
            f"{self.documents.name} meanwhile: run again later"
        )

    def lost_error(self) -> BusyError:
        return BusyError(
            f"another run has taken over the index {self.documents.name}, or it was deleted, while "
            "this one was paused or cut off: run again when that one has ended"
        )

    def read_lease(self) -> dict[str, Any] | None:
        """Read the lease document."""
        return self.documents.get(LEASE_DOCUMENT_KEY)

    def read_vector_space(self) -> tuple[str, int] | None:
        """Read the recorded model and its dimensions; None where they are not recorded."""
        return parse_vector_space(self.read_lease())

    def raise_if_held(self, found: dict[str, Any]) -> None:
        """Raise BusyError if another run holds a lease."""
        if self.is_alive(found) and not self.is_abandoned(found):
            left = LEASE_SECONDS - max(0.0, self.age_seconds(found))
            raise BusyError(
                f"another run ({describe_owner(str(found.get('run')))}) is writing to the index "
                f"{self.documents.name}: wait for it to end; if it was killed, for "
                f"{max(1.0, left):.0f} s"
            )

    def is_alive(self, found: dict[str, Any]) -> bool:
        """Return False if a lease is free, or its run has ended or stopped renewing it."""
        owner = str(found.get("run"))
        if owner in (FREE_OWNER, self.owner) or is_owner_gone(owner):
            return False
        return self.age_seconds(found) < LEASE_SECONDS

    def is_abandoned(self, found: dict[str, Any]) -> bool:
        """Return whether a lease dated in the future is not renewed. Watches it for a while."""
        if self.age_seconds(found) > -LEASE_SECONDS:
            return False
        key, dated = str(found["id"]), found["settled"]

        def read_renewed() -> dict[str, Any] | None:
            again = self.documents.get(key)
            return again if again and again.get("settled") != dated else None

        return self.poll(read_renewed, 2 * LEASE_RENEW_SECONDS) is None

    def age_seconds(self, found: dict[str, Any]) -> float:
        """Return the seconds since a lease was written; infinite if it has no valid time."""
        try:
            written = datetime.fromisoformat(str(found.get("settled")))
            return (self.documents.now() - written).total_seconds()
        except (ValueError, TypeError):  # another program wrote it
            return math.inf

    def seconds_since_write(self) -> float:
        """Return the seconds since a run may have written; 0 while one holds the lease."""
        found = self.read_lease()
        if not found:
            return math.inf
        return 0.0 if self.is_alive(found) else max(0.0, self.age_seconds(found))

    def stamp(self, holder: str) -> str:
        """Return the time of a holder's last renewal; "" if its epoch is over."""
        epoch, chain = parse_holder(holder)
        if self.epochs.is_over(chain, epoch):
            return ""
        found = self.documents.get(epoch_key(epoch))
        return str(found["settled"]) if found else "not seen yet"

    def stamp_now(self) -> str:
        return self.documents.now().isoformat(timespec="seconds")

    def write_lease(self, *more: dict[str, Any]) -> None:
        """Write the owner and the time into the documents of the epoch and of the lease."""
        owner = {"kind": "lease", "run": self.owner, "settled": self.stamp_now()}
        documents = [{"id": epoch_key(self.epoch), **owner}, self.lease_document(owner, self.epoch)]
        self.documents.write_statuses("mergeOrUpload", [*documents, *more])

    def lease_document(self, owner: dict[str, Any], epoch: int) -> dict[str, Any]:
        """Return the lease document."""
        space = self.vector_space
        summary = json.dumps({"model": space[0], "dimensions": space[1]}) if space else None
        which = {EPOCH_FIELD: epoch, CHAIN_FIELD: self.chain, SUMMARY_FIELD: summary}
        return {"id": LEASE_DOCUMENT_KEY, **owner, **which}

    def renew_until_stopped(self) -> None:
        """Renew until the lease is released or lost. The next renewal makes up for a failed one."""
        while not self.stopped.wait(LEASE_RENEW_SECONDS) and not self.is_lost:
            try:
                if self.check() and not self.is_lost:
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
        return not self.is_lost

    def release(self) -> None:
        """Release the lease, so that the next run can start at once."""
        if not self.stop_renewing():
            return
        self.documents.fence = lambda: None
        free = {"kind": "lease", "run": FREE_OWNER, "settled": self.stamp_now()}
        try:
            if self.is_over():  # perhaps of an index that was made again, which has another chain
                return
            begun = self.epochs.begin(self.epoch + 1, free["settled"])
            if begun or not self.epochs.has_begun(self.epoch + 2):
                document = self.lease_document(free, self.epoch + 1)
                self.documents.write_statuses("mergeOrUpload", [document])
        except IngestError as error:
            log.info("the lease could not be released and expires by itself: %s", error)


def parse_vector_space(lease: dict[str, Any] | None) -> tuple[str, int] | None:
    """Parse the model, with its dimensions, that a lease document records."""
    text = lease.get(SUMMARY_FIELD) if lease else None
    try:
        recorded = json.loads(text or "{}")
        return str(recorded["model"]), int(recorded["dimensions"])
    except (ValueError, TypeError, KeyError):
        return None
