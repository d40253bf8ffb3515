"""HTTP/1.1 with keep-alive on loopback, from a function of a request to a response.

Header and body leave in one write, without which Nagle's algorithm and delayed acknowledgements
cost 40 ms a request.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias, cast
from urllib.parse import parse_qsl, unquote, urlsplit

Json: TypeAlias = dict[str, Any]

PATIENCE = 60.0  # seconds for threads to end


class Cut(Enum):
    """Way in which a connection ends before its response is complete."""

    CLOSED = auto()  # without a byte of an answer
    RESET = auto()  # the same, by a TCP reset
    TRUNCATED = auto()  # in the middle of the body


@dataclass(frozen=True)
class Request:
    """Request of a client."""

    method: str
    path: str  # decoded, without the query
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    closing: threading.Event = field(default_factory=threading.Event, repr=False)

    def pause(self, seconds: float) -> None:
        """Sleep, but not longer than the server lives."""
        if seconds > 0:
            self.closing.wait(seconds)


@dataclass(frozen=True)
class Response:
    """Response of a service."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: Cut | None = None


Service: TypeAlias = Callable[[Request], Response]


def answer(status: int, value: object, headers: Mapping[str, str] | None = None) -> Response:
    """A response that carries JSON."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(
        status, body, {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
    )


def failure(status: int, code: str, message: str, *details: str) -> Response:
    """An error as Azure words it; details are codes that go with the same message."""
    error: Json = {"code": code, "message": message}
    if details:
        error["details"] = [{"code": detail, "message": message} for detail in details]
    return answer(status, {"error": error})


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def serve(self) -> None:
        """Read one request, answer it."""
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return
        url = urlsplit(self.path)
        request = Request(
            self.command,
            unquote(url.path),
            dict(parse_qsl(url.query, keep_blank_values=True)),
            {name.lower(): value for name, value in self.headers.items()},
            body,
            self.server.closing,
        )
        self.send(self.server.answer(request))

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = serve  # noqa: N815

    def send(self, response: Response) -> None:
        """Write a response as its `cut` says."""
        if response.cut:
            self.close_connection = True
        if response.cut is Cut.RESET:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if response.cut in {Cut.RESET, Cut.CLOSED}:
            return
        lines = [f"HTTP/1.1 {response.status} {self.phrase(response.status)}"]
        lines += [f"{name}: {value}" for name, value in response.headers.items()]
        lines.append(f"Date: {formatdate(self.server.now(), usegmt=True)}")
        if response.status != 204 and "Content-Length" not in response.headers:  # as after HEAD
            lines.append(f"Content-Length: {len(response.body)}")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        whole = len(response.body)
        self.wfile.write(head + response.body[: whole // 2 if response.cut else whole])

    def phrase(self, status: int) -> str:
        """Reason phrase of the status."""
        return self.responses[status][0] if status in self.responses else "Unknown"

    def log_message(self, *_: object) -> None:
        """Say nothing: the emulator keeps its own list."""


class Server(ThreadingHTTPServer):
    """A listening socket and the connections that came in through it."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(
        self, service: Service, tls: ssl.SSLContext | None, now: Callable[[], float] = time.time
    ) -> None:
        self.service = service
        self.now = now
        self.tls = tls
        self.closing = threading.Event()
        self.crashes: list[Exception] = []
        self.connections: set[socket.socket] = set()
        self.changed = threading.Condition()
        super().__init__(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    @property
    def address(self) -> str:
        """The URL of the root, without a slash behind it."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.server_port}"

    def answer(self, request: Request) -> Response:
        """Response of the service. An exception is a bug of the emulator, and is saved."""
        try:
            return self.service(request)
        except Exception as error:  # noqa: BLE001
            self.crashes.append(error)
            return failure(500, "EmulatorError", repr(error))

    def listen(self) -> None:
        """Accept connections, without the polling of serve_forever, until closed."""
        while True:
            try:
                connection, client = self.get_request()
            except OSError:
                continue  # the client was gone before we looked
            if self.closing.is_set():
                connection.close()
                return
            self.process_request(connection, client)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection, in its own thread, the TLS handshake included."""
        connection = cast("socket.socket", request)
        if self.tls:
            connection = self.tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        with self.changed:
            self.connections.add(connection)
        try:
            if isinstance(connection, ssl.SSLSocket):
                connection.do_handshake()
            if not self.closing.is_set():
                Handler(connection, client_address, self)
        except OSError:
            pass  # the client went away, or never trusted us
        finally:
            with suppress(OSError):
                connection.close()
            with self.changed:
                self.connections.discard(connection)
                self.changed.notify_all()

    def close(self) -> None:
        """Stop listening, end every connection, and wait for their threads."""
        self.closing.set()
        with suppress(OSError):
            socket.create_connection(
                ("127.0.0.1", self.server_port), PATIENCE
            ).close()  # wakes `listen`
        ends = time.monotonic() + PATIENCE
        with self.changed:
            for connection in self.connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            while self.connections and (left := ends - time.monotonic()) > 0:
                self.changed.wait(left)
        self.thread.join(PATIENCE)
        self.server_close()


@contextmanager
def serve(
    service: Service, tls: ssl.SSLContext | None = None, now: Callable[[], float] = time.time
) -> Iterator[Server]:
    """The service on a free port of 127.0.0.1. Raises at the end what the service raised."""
    server = Server(service, tls, now)
    try:
        yield server
    finally:
        server.close()
    if server.crashes:
        raise server.crashes[0]
