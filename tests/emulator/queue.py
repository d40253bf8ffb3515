"""Queue Storage as a run uses it: one account's queues.

`put` is Event Grid, which delivers a message for each blob event; `visible` is what a scale rule
counts.
"""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from tests.emulator.blob import ACCOUNT, AUDIENCES, Failure, error_response
from tests.emulator.clock import Clock
from tests.emulator.identity import QUEUE_PROCESSOR, Identity
from tests.emulator.server import Request, Response

MOST_MESSAGES = 32


@dataclass
class Message:
    """One message; it is hidden until `visible_at`, by the emulator's clock."""

    id: str
    text: str
    visible_at: float
    receipt: str = ""


class Queues:
    """The queues of one account, each a list of messages in the order of delivery."""

    def __init__(self, identity: Identity, clock: Clock) -> None:
        self.identity = identity
        self.clock = clock
        self.queues: dict[str, list[Message]] = {}
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()

    def put(self, queue: str, text: str = "{}") -> None:
        """Deliver a message."""
        made = Message(f"m-{next(self.numbers)}", text, self.clock.now())
        with self.lock:
            self.queues.setdefault(queue, []).append(made)

    def visible(self, queue: str) -> int:
        """Count the messages that anyone may retrieve now."""
        now = self.clock.now()
        with self.lock:
            return sum(message.visible_at <= now for message in self.queues[queue])

    def serve(self, request: Request) -> Response:
        """Answer one request, as the service words it."""
        try:
            return self.answer(request)
        except Failure as failure:
            return error_response(failure, request)

    def answer(self, request: Request) -> Response:
        """Answer one request. Raises Failure."""
        _, account, name, *rest = request.path.split("/")
        principal = self.identity.bearer(request, AUDIENCES)
        if principal is None:
            raise Failure(HTTPStatus.UNAUTHORIZED, "InvalidAuthenticationInfo")
        if not self.identity.has(principal, QUEUE_PROCESSOR):
            raise Failure(HTTPStatus.FORBIDDEN, "AuthorizationPermissionMismatch")
        if account != ACCOUNT or name not in self.queues:
            raise Failure(HTTPStatus.NOT_FOUND, "QueueNotFound")
        messages = self.queues[name]
        with self.lock:
            if request.method == "GET" and rest == ["messages"]:
                return self.retrieve(messages, request)
            if request.method == "DELETE" and rest[:1] == ["messages"]:
                return delete(messages, unquote(rest[1]), request.query.get("popreceipt", ""))
        raise Failure(HTTPStatus.BAD_REQUEST, "InvalidUri")

    def retrieve(self, messages: list[Message], request: Request) -> Response:
        """Some visible messages, which are hidden from now on."""
        most = int(request.query.get("numofmessages", 1))
        if not 1 <= most <= MOST_MESSAGES:
            raise Failure(HTTPStatus.BAD_REQUEST, "OutOfRangeQueryParameterValue")
        now = self.clock.now()
        root = ET.Element("QueueMessagesList")
        for message in [each for each in messages if each.visible_at <= now][:most]:
            item = ET.SubElement(root, "QueueMessage")
            ET.SubElement(item, "MessageId").text = message.id
            message.visible_at = now + float(request.query.get("visibilitytimeout", 30))
            message.receipt = f"AgAAA+{next(self.numbers)}/w=="
            ET.SubElement(item, "PopReceipt").text = message.receipt
            ET.SubElement(item, "MessageText").text = message.text
        body = ET.tostring(root, encoding="utf-8", xml_declaration=True)
        return Response(HTTPStatus.OK, body, {"Content-Type": "application/xml"})


def delete(messages: list[Message], id_: str, receipt: str) -> Response:
    """Delete a message by the receipt of its last retrieval. Raises Failure."""
    for number, message in enumerate(messages):
        if message.id == id_:
            if message.receipt != receipt:
                raise Failure(HTTPStatus.BAD_REQUEST, "PopReceiptMismatch")
            del messages[number]
            return Response(HTTPStatus.NO_CONTENT, b"", {})
    raise Failure(HTTPStatus.NOT_FOUND, "MessageNotFound")
