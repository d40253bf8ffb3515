"""Read PDF passwords from a file, and encode them as PDF software may have done.

Passwords and their lengths never appear in an error or a log.
"""

from __future__ import annotations

import stringprep
import unicodedata
from collections.abc import Iterator, Sequence
from operator import methodcaller
from pathlib import Path

from ingest.errors import PASSWORD_NEEDED_REASON, ConfigError, DocumentError
from ingest.models import Code

# Bits of a PDF's permissions, counted from 1: ISO 32000-2, table 22.
PERMISSION_BITS = {
    "print": 3,
    "modify": 4,
    "copy": 5,
    "annotate": 6,
    "fill": 9,
    "assemble": 11,
    "print-finely": 12,
}
UNSUPPORTED_ENCRYPTION = (
    "encrypted with a certificate or by other means, not with a password; "
    "ask for a copy without encryption"
)


def read_passwords(path: str) -> tuple[str, ...]:
    """Read the passwords in a file, one per line; blank lines are ignored. No path means none.

    Raises:
        ConfigError: The file cannot be read or has no passwords.
    """
    if not path:
        return ()
    try:
        lines = Path(path).expanduser().read_text("utf-8-sig").split("\n")
    except (OSError, RuntimeError) as error:  # RuntimeError: `~` of a user without a home folder
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"passwords: {path} cannot be read ({reason})") from None
    except UnicodeDecodeError:  # its message would show a part of a password
        raise ConfigError(f"passwords: {path} is not UTF-8: save it as UTF-8") from None
    found = (line.removesuffix("\r") for line in lines)
    kept = tuple(dict.fromkeys(line for line in found if line.strip()))
    if not kept:
        raise ConfigError(f"passwords: {path} has no passwords: write them there, one per line")
    return kept


def encode_passwords(passwords: Sequence[str]) -> Iterator[bytes]:
    """Yield the empty password, then each password in every encoding that PDF software uses.

    The standard asks for UTF-8 after SASLprep with AES-256, and for PDFDocEncoding with older
    methods, but programs differ.
    """
    from pypdf.generic import encode_pdfdocencoding

    yield b""
    for password in passwords:
        found = [password.encode("utf-8", "ignore")]
        if not password.isascii():
            found.append(saslprep(password).encode("utf-8", "ignore"))
            for encode in (encode_pdfdocencoding, methodcaller("encode", "cp1252")):
                try:
                    found.append(bytes(encode(password)))
                except UnicodeError:
                    continue
        # PDFium takes C strings, which end at a zero byte.
        yield from dict.fromkeys(encoded for encoded in found if encoded and 0 not in encoded)


def saslprep(password: str) -> str:
    """Normalize a password with SASLprep (RFC 4013)."""
    mapped = (
        " " if stringprep.in_table_c12(character) else character
        for character in password
        if not stringprep.in_table_b1(character)
    )
    return unicodedata.normalize("NFKC", "".join(mapped))


def locked_error(passwords: Sequence[str]) -> DocumentError:
    """Return the error for a document that none of the passwords opens."""
    if not passwords:
        return DocumentError(PASSWORD_NEEDED_REASON, Code.ENCRYPTED)
    count = len(passwords)
    tried = (
        f"none of the {count} passwords opens it"
        if count > 1
        else "the configured one does not open it"
    )
    return DocumentError(f"needs a password; {tried}", Code.ENCRYPTED)


def unsupported_encryption_error() -> DocumentError:
    """Return the error for a document that is encrypted, but not with a password."""
    return DocumentError(UNSUPPORTED_ENCRYPTION, Code.ENCRYPTED)


def list_denied_permissions(permissions: int) -> tuple[str, ...]:
    """List the actions that the permissions of an encrypted document deny."""
    return tuple(name for name, bit in PERMISSION_BITS.items() if not permissions >> (bit - 1) & 1)
