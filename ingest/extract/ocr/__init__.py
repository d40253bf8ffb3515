"""Optical character recognition (OCR) of scanned pages. One module per back end."""

from __future__ import annotations

from typing import NamedTuple

OCR_API_VERSION = "2024-11-30"  # of Azure Document Intelligence
RENDER_DPI = 200  # of the images of pages; OCR reads it well, more costs time and gains little
MAX_CONCURRENT_PAGES = 8  # at a service


class PageRejected(Exception):
    """The service will never accept this page; the run continues without its text."""


class ResultLost(Exception):
    """The result of a page is lost: the page has to be submitted again."""


class SubmittedPage(NamedTuple):
    """A page that a service has accepted, and has charged for."""

    operation: str  # id of the result, which the service keeps for a day
    poll_after_seconds: float  # until the first poll
    is_new: bool = False  # accepted just now
