"""What to make of a request to a service of Azure that got no answer, or none that can be read."""

from __future__ import annotations

from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError

from ingest.errors import ConfigError
from ingest.runtime.retry import RetryableError


def classify_transport_error(error: Exception, where: str) -> Exception:
    """Again, or the error for whoever must act; the error itself if it is of another kind."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return ConfigError(f"{where}: its certificate is not trusted here: set REQUESTS_CA_BUNDLE")
    if isinstance(error, ServiceRequestError) and is_unresolvable(error):
        return ConfigError(
            f"{where} cannot be reached ({short_message(error)}): check the endpoint"
        )
    if isinstance(error, (ServiceRequestError, ServiceResponseError)):
        return RetryableError(f"the connection to {where} broke ({short_message(error)})")
    if isinstance(error, (AzureError, ValueError, TypeError, AttributeError, KeyError)):
        # An answer that is empty, cut short or no JSON: a success that cannot be read is none.
        return RetryableError(f"{where} gave an answer that cannot be read")
    return error


def short_message(error: Exception) -> str:
    """What an SDK's error says first."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]


def is_unresolvable(error: Exception) -> bool:
    """Whether the name of the service does not exist, which waiting does not change."""
    text = str(error).lower()
    return any(sign in text for sign in ("name or service not known", "failed to resolve"))
