"""Redaction of credentials in foreign text: error bodies, headers and messages of libraries.

A gateway may repeat a request, and with it the token, in its error. `redact` is applied where such
text enters, and once more where an error or a log line is made.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from urllib.parse import quote

REDACTED = "[redacted]"
MIN_SECRET_CHARS = 8  # shorter ones would hide ordinary words
MAX_HELD_SECRETS = 256  # tokens are renewed every few minutes

_held: OrderedDict[str, None] = OrderedDict()
_lock = threading.Lock()

# Credentials that this process need not know. The group stays.
PATTERNS = (
    re.compile(r"()\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"),  # a JWT
    re.compile(r"(?i)\b((?:bearer|basic|sharedkey|sharedaccesssignature)\s+)[\w.~+/=:-]{16,}"),
    re.compile(r"(?i)((?:^|[?&;\s\"'])sig=)[^&\s\"'<>\\]+"),  # a shared access signature
    re.compile(
        r"(?i)((?:api[-_ ]?key|subscription-key|authorization|identity[-_]header|client_secret|"
        r"(?:access|refresh|id)_token|AccountKey|SharedAccessKey)\\?[\"']?\s*[:=]\s*\\?[\"']?)"
        r"(?!\[redacted)(?:bearer\s+)?[^\s\"',;&<>\\]{8,}"
    ),
)


def hold_secret(secret: str) -> None:
    """Remember a secret of this process, so that `redact` finds it in any context."""
    if len(secret) < MIN_SECRET_CHARS:
        return
    with _lock:
        for form in (secret, quote(secret, safe="")):
            _held[form] = None
            _held.move_to_end(form)
        while len(_held) > MAX_HELD_SECRETS:
            _held.popitem(last=False)


def redact(text: str) -> str:
    """Return the text without credentials."""
    with _lock:
        secrets = list(_held)
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    for pattern in PATTERNS:
        text = pattern.sub(rf"\1{REDACTED}", text)
    return text
