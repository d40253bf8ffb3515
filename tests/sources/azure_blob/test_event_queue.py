"""Runs that blob events start: the messages of a queue, before, during and after a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from ingest.azure.token_hosts import STORAGE_SCOPE
from ingest.config.connections import create_connections
from ingest.config.settings import build_settings
from ingest.config.sources import open_event_queue
from ingest.errors import ConfigError, RoleError
from ingest.sources.azure_blob.event_queue import EventQueue
from tests.conftest import Command
from tests.emulator import faults
from tests.emulator.emulator import Azure
from tests.emulator.faults import Fault
from tests.emulator.identity import QUEUE_PROCESSOR
from tests.emulator.server import Request, Response, Service
from tests.pdfs import pdf, prose
from tests.runs import managed_token
from tests.sources.shelves import HURRIED

HOUR = 3600.0


@pytest.fixture
def queue(azure: Azure) -> Iterator[EventQueue]:
    azure.queue.queues["events"] = []
    with closing(
        EventQueue(f"{azure.queue_endpoint}/events", managed_token(STORAGE_SCOPE), HURRIED, HOUR)
    ) as made:
        yield made


def test_what_a_run_finds_is_hidden_and_what_comes_later_is_not(
    azure: Azure, queue: EventQueue
) -> None:
    """A burst starts one run, and a blob that arrives during it starts the next one."""
    for _ in range(70):
        azure.queue.put("events")

    queue.hide()
    assert azure.queue.visible("events") == 0
    assert azure.count("queue", "GET") == 4  # 32, 32, 6 and none

    azure.queue.put("events")
    queue.delete_hidden()
    assert azure.queue.visible("events") == len(azure.queue.queues["events"]) == 1


def test_a_run_that_dies_leaves_its_messages(azure: Azure, queue: EventQueue) -> None:
    """They are visible again when the run would be over, and start another one."""
    azure.queue.put("events")
    queue.hide()
    assert azure.queue.visible("events") == 0
    azure.clock.advance(HOUR)
    assert azure.queue.visible("events") == 1


def test_messages_that_cannot_be_deleted_do_not_fail_a_run(
    azure: Azure, queue: EventQueue, caplog: pytest.LogCaptureFixture
) -> None:
    """The index is right; another run starts for nothing, and I read why."""
    for _ in range(3):
        azure.queue.put("events")
    queue.hide()
    del azure.queue.queues["events"][0]  # as if its receipt had expired
    azure.faults.add(faults.fail_with(503), "queue", "DELETE", nth=1)  # is retried

    with caplog.at_level(logging.WARNING):
        queue.delete_hidden()

    assert azure.queue.queues["events"] == []
    assert "1 of 3 messages stay in the queue" in caplog.text


def test_a_queue_that_cannot_be_used_is_named(azure: Azure, queue: EventQueue) -> None:
    """A missing role, or a wrong address: the remedy is in the message."""
    azure.identity.default.withdraw(QUEUE_PROCESSOR)
    with pytest.raises(RoleError, match=f"lacks the role {QUEUE_PROCESSOR} on {queue.url}"):
        queue.hide()
    azure.identity.default.grant(QUEUE_PROCESSOR)
    queue.url += "x"
    with pytest.raises(ConfigError, match=r"used \(404 QueueNotFound\): check INGEST_EVENT_QUEUE"):
        queue.hide()


def test_a_run_takes_the_messages_of_its_root(azure: Azure, command: Command) -> None:
    """A new blob is in the index, and its message gone; one that came while I listed is not.

    A run that fails leaves its messages.
    """
    env = azure.environment | {
        "INGEST_ROOT": f"{azure.blob_endpoint}/docs",
        "INGEST_EVENT_QUEUE": f"{azure.queue_endpoint}/events",
        "INGEST_RETRY_SECONDS": "1",
    }
    azure.blob.put("docs", "a.pdf", pdf(prose("lathes")))
    azure.blob.put("docs", "broken.pdf", b"%PDF-broken")
    azure.queue.put("events")
    azure.queue.put("events")

    def arriving(request: Request, service: Service) -> Response:
        assert azure.queue.visible("events") == 0
        azure.queue.put("events")
        return service(request)

    azure.faults.add(Fault("a blob arrives", arriving), "blob", "GET", "/docs", nth=1)
    done = command("run", **env)

    assert done.returncode == 3, done.stderr
    azure.search.settle()
    chunks = [d for d in azure.search.dump("chunks").values() if d["kind"] == "chunk"]
    assert {d["source"] for d in chunks} == {"a.pdf"}
    assert azure.queue.visible("events") == len(azure.queue.queues["events"]) == 1

    azure.faults.add(faults.fail_with(503), "blob")
    assert command("run", **env).returncode == 1
    assert azure.queue.visible("events") == 0
    assert len(azure.queue.queues["events"]) == 1


def test_a_run_of_other_roots_leaves_the_messages(azure: Azure) -> None:
    """They are events of INGEST_ROOT, which such a run does not list."""
    env = azure.environment | {"INGEST_EVENT_QUEUE": f"{azure.queue_endpoint}/events"}
    settings = build_settings(env, {})
    connections = create_connections(settings)
    with open_event_queue(["docs/"], settings, connections) as queue:
        assert queue is None
    with open_event_queue([], settings, connections) as queue:
        assert queue
        assert queue.hidden_seconds > HOUR
    with open_event_queue([], replace(settings, deadline=60), connections) as queue:
        assert queue
        assert queue.hidden_seconds > 60
