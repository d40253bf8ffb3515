"""Ways in which a document may harm its reader. Each reader imports this, so it imports little."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ingest.errors import DocumentError
from ingest.extract.sandbox.pool import OnPage
from ingest.models import Code


def behave(how: str, file: BinaryIO, on_page: OnPage) -> str:
    """Do to the reader what the document's name says."""
    if how == "read":
        return file.read().decode()
    if how == "hang":
        while True:
            pass
    if how == "crash":
        os.kill(os.getpid(), signal.SIGABRT)
    if how == "leave":
        os._exit(7)
    if how == "oom":
        return Path("/proc/self/oom_score_adj").read_text()
    if how == "grow":
        return str(len(bytearray(4 << 30)))
    if how == "refuse":
        raise DocumentError("locked", Code.ENCRYPTED)
    if how == "trip":
        raise KeyError("a bug")
    if how in ("step", "page"):
        on_page(3, 9)
        time.sleep(0 if how == "step" else 600)
    if how == "burn":
        resource.setrlimit(resource.RLIMIT_CPU, (1, 100))
        on_page(3, 9)
        while True:
            pass
    if how == "rates":
        return " ".join(f"{seconds:.0f}" for seconds in allowances(on_page))
    if how == "print":
        os.write(1, b"noise")
        os.write(2, b"noise")
    return f"{how} by {os.getpid()}"


def allowances(on_page: OnPage) -> Iterator[float]:
    """The seconds of CPU left when opening, reading a page, and making something of the pages."""
    for page in (None, 1, 0):
        if page is not None:
            time.sleep(1.1)
            on_page(page, 500)
        yield resource.getrlimit(resource.RLIMIT_CPU)[0] - time.process_time()
