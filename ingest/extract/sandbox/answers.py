"""Answers of sandbox processes: MessagePack, checked against a type with limits.

A document may have compromised the process that answers, so nothing in an answer is believed: its
size is limited before it is received, and its types, counts and depth while it is decoded.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ingest.errors import MAX_REASON_CHARS, DocumentError
from ingest.models import Code

MAX_ANSWER_BYTES = 256 << 20  # of the largest document; its text has up to 50 million characters
RECEIVE_SECONDS = 30.0  # for the rest of an answer that has begun to arrive
READ_BYTES = 1 << 20

# Codes of errors that a reader can find in a document.
READER_CODES = frozenset(
    {
        Code.NO_TEXT,
        Code.ENCRYPTED,
        Code.NOT_A_PDF,
        Code.TOO_LARGE,
        Code.VANISHED,
        Code.UNREADABLE,
        Code.DAMAGED,
        Code.TOO_MUCH_MEMORY,
        Code.CRASHED,
        Code.PAGES_MISSING,
    }
)

VALUE, ERROR = b"v", b"e"  # first byte of an answer

# msgspec shares the fields of a dataclass between threads before it has listed all of them: a
# decoder that another thread builds meanwhile would end the process.
BUILDING = threading.Lock()


class InvalidAnswerError(Exception):
    """An answer that no honest reader gives."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Answer of a reader that has no result: the code and the reason of a DocumentError."""

    code: Code
    reason: Annotated[str, Meta(max_length=MAX_REASON_CHARS)]


def encode_answer(outcome: object) -> bytes:
    """Encode a result, or a DocumentError. Raises UnicodeError for a lone surrogate."""
    if isinstance(outcome, DocumentError):
        return ERROR + msgspec.msgpack.encode(Failure(outcome.code, str(outcome)))
    return VALUE + msgspec.msgpack.encode(outcome)


def build_decoder(kind: Any) -> Callable[[bytes], Any]:
    """Return a function that decodes an answer: to a value of a type, or to a Failure.

    It raises InvalidAnswerError.
    """
    with BUILDING:
        value = msgspec.msgpack.Decoder(kind)
        failure = msgspec.msgpack.Decoder(Failure)

    def decode(message: bytes) -> Any:
        try:
            if message[:1] == VALUE:
                return value.decode(memoryview(message)[1:])
            if message[:1] == ERROR:
                found = failure.decode(memoryview(message)[1:])
                if found.code in READER_CODES:
                    return found
        except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
            raise InvalidAnswerError(str(error)) from None
        raise InvalidAnswerError("it is neither a result nor an error of a document")

    return decode


def receive_answer(pipe: Connection, max_bytes: int, wait: Callable[[], None]) -> bytes:
    """Receive an answer of at most `max_bytes`. `wait` returns once its first byte can be read.

    Raises EOFError or OSError; InvalidAnswerError if it is too large, or does not arrive whole.
    """
    wait()
    if sys.platform == "win32":
        return pipe.recv_bytes(max_bytes)
    due = time.monotonic() + RECEIVE_SECONDS
    # As Connection.send_bytes writes it. Connection.recv_bytes would wait for the rest for ever.
    (size,) = struct.unpack("!i", receive_exactly(pipe, 4, due))
    if size == -1:
        (size,) = struct.unpack("!Q", receive_exactly(pipe, 8, due))
    if not 0 <= size <= max_bytes:
        raise InvalidAnswerError(f"it is larger than {max_bytes >> 20} MB")
    return receive_exactly(pipe, size, due)


def receive_exactly(pipe: Connection, size: int, due: float) -> bytes:
    """Receive this number of bytes until a time. Raises EOFError, OSError, InvalidAnswerError."""
    received = bytearray()
    while len(received) < size:
        left = due - time.monotonic()
        if left <= 0 or not pipe.poll(left):
            raise InvalidAnswerError(f"only {len(received):,} of {size:,} bytes of it arrived")
        part = os.read(pipe.fileno(), min(READ_BYTES, size - len(received)))
        if not part:
            raise EOFError
        received += part
    return bytes(received)
