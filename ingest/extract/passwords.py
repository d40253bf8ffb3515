"""Passwords of PDFs: from a file, and in the bytes that a PDF may have been locked with.

They are never shown: not in an error, not in a log, not by their number of characters.
"""

from __future__ import annotations

import stringprep
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from ingest.errors import PASSWORD_NEEDED_REASON, ConfigError, DocumentError
from ingest.models import Code

# What a PDF asks people not to do, by the bit of its permissions: ISO 32000-2, table 22.
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
    "encrypted for certificates or in a way of its own, not by a password; ask for a plain copy"
)


def read_passwords(path: str) -> tuple[str, ...]:
    """The lines of a file that are not blank; none without a file.

    Raises ConfigError for a file without any: it would pass for one that opens nothing.
    """
    if not path:
        return ()
    try:
        lines = Path(path).expanduser().read_text("utf-8-sig").split("\n")
    except OSError as error:
        raise ConfigError(f"passwords: {path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:  # whose message would show a part of one
        raise ConfigError(f"passwords: {path} is not UTF-8: save it as such") from None
    found = (line.removesuffix("\r") for line in lines)
    kept = tuple(dict.fromkeys(line for line in found if line.strip()))
    if not kept:
        raise ConfigError(f"passwords: {path} has none in it: write them there, one a line")
    return kept


def encode_passwords(passwords: Sequence[str]) -> Iterator[bytes]:
    """No password, then each as the programs that lock PDFs write it, the standard's way first.

    AES-256 takes UTF-8 after SASLprep, older methods the PDF's own encoding; programs differ.
    """
    from pypdf.generic import encode_pdfdocencoding

    yield b""
    for password in passwords:
        found = [password.encode("utf-8", "ignore")]
        if not password.isascii():
            found.append(saslprep(password).encode("utf-8", "ignore"))
            for encode in (encode_pdfdocencoding, encode_cp1252):
                try:
                    found.append(bytes(encode(password)))
                except UnicodeError:
                    continue
        # A zero would end it where it is handed over.
        yield from dict.fromkeys(spelling for spelling in found if spelling and 0 not in spelling)


def encode_cp1252(password: str) -> bytes:
    """A password as typed on Windows in western Europe. Raises UnicodeError."""
    return password.encode("cp1252")


def saslprep(password: str) -> str:
    """A password in the form that stands for all its equals: SASLprep, RFC 4013."""
    mapped = (
        " " if stringprep.in_table_c12(character) else character
        for character in password
        if not stringprep.in_table_b1(character)
    )
    return unicodedata.normalize("NFKC", "".join(mapped))


def locked_error(passwords: Sequence[str]) -> DocumentError:
    """That none of these passwords opens a document."""
    if not passwords:
        return DocumentError(PASSWORD_NEEDED_REASON, Code.ENCRYPTED)
    count = len(passwords)
    tried = (
        f"none of the {count} passwords opens it"
        if count > 1
        else "the one there is does not open it"
    )
    return DocumentError(f"needs a password; {tried}", Code.ENCRYPTED)


def unsupported_encryption_error() -> DocumentError:
    """That a document is encrypted, and not by a password."""
    return DocumentError(UNSUPPORTED_ENCRYPTION, Code.ENCRYPTED)


def list_denied_permissions(permissions: int) -> tuple[str, ...]:
    """What the permissions of an encrypted document do not allow."""
    return tuple(deed for deed, bit in PERMISSION_BITS.items() if not permissions >> (bit - 1) & 1)
