"""Optical character recognition: the text of pages that are pictures. One file per back end."""

from __future__ import annotations

from typing import NamedTuple

OCR_API_VERSION = "2024-11-30"  # of Document Intelligence
MAX_CONCURRENT_PAGES = 8  # pages under way at a service


class PageRejected(Exception):
    """A page will never be read by this service; the run goes on without its text."""


class ResultLost(Exception):
    """Of a page that was sent there will be no answer: it has to be sent again."""


class SubmittedPage(NamedTuple):
    """A page that a service has taken, and so is paid for."""

    operation: str  # under which its answer is kept for a day
    poll_after_seconds: float  # until it is worth asking
