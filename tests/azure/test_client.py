"""Errors of requests to Azure, as I read them."""

from __future__ import annotations

import pytest
from azure.core.exceptions import ServiceRequestError

from ingest.azure.client import classify_transport_error

POOL = "HTTPSConnectionPool(host='a', port=443): Max retries exceeded with url: /indexes('x')/docs"


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        ("""NewError("C(p=1): Failed to connect: [Errno 1]")""", "Failed to connect: [Errno 1]"),
        (
            """NameError("C(): Failed to resolve a ([Errno 2])")""",
            "Failed to resolve a ([Errno 2])",
        ),
        ("TimeError(<C()>, 'Connection to a timed out. (1)')", "Connection to a timed out. (1)"),
        ("something else", f"{POOL} (Caused by something else)"),
    ],
)
def test_why_a_connection_failed_is_in_the_error(cause: str, reason: str) -> None:
    """A closed port, a misspelt host and a firewall look different, however long the URL is."""
    error = ServiceRequestError(f"{POOL} (Caused by {cause})")
    assert f" ({reason})" in str(classify_transport_error(error, "https://a"))
