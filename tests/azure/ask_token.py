"""Print a token that Microsoft's SDK gets; a module of its own, which imports little."""

from __future__ import annotations

import sys

from azure.identity import ManagedIdentityCredential


def print_token(scope: str) -> int:
    """Print the token of a managed identity; returns an exit code."""
    sys.stdout.write(ManagedIdentityCredential().get_token(scope).token)
    return 0
