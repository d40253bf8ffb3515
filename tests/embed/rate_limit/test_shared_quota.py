"""Whole runs that must share a quota: paced, at one deployment or several. Nothing is patched."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ingest.config.connections import create_connections
from ingest.config.factory import open_services
from ingest.config.settings import Settings
from ingest.models import RunEvent
from ingest.pipeline.context import Run
from ingest.pipeline.root import ingest_root
from ingest.runtime.cancellation import Cancellation
from ingest.runtime.timing import TOKEN_QUOTA, Stopwatch
from ingest.sources.folder import parse_folder_roots
from tests.conftest import outcomes_by_source
from tests.embed.rate_limit.simulation import Hurried
from tests.emulator.clock import Clock
from tests.emulator.emulator import Azure, create_certificate
from tests.emulator.faults import Faults, fail_with
from tests.emulator.openai import Deployment, OpenAI
from tests.emulator.server import serve
from tests.pdfs import prose, write
from tests.pipeline.test_runs_on_azure import read_index
from tests.runs import client

SPEED = 10.0
DOCUMENTS, PAGES = 8, 4
TPM = 4_000


class Hasty(Clock):
    """A clock as fast as the client's."""

    def now(self) -> float:
        return time.monotonic() * SPEED


@dataclass(frozen=True)
class Two:
    """Two more resources of the same Azure, each with a quota of its own, in hurried time."""

    resources: list[OpenAI]
    faults: list[Faults]
    endpoints: list[str]

    def tokens(self) -> list[int]:
        """What each was charged."""
        return [sum(r.estimated for r in resource.requests) for resource in self.resources]

    def refused(self) -> int:
        """How many requests were too many."""
        return sum(resource.statuses[429] for resource in self.resources)


@pytest.fixture
def two(azure: Azure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Two]:
    with ExitStack() as stack:
        found = Two([], [], [])
        trusted = azure.ca.read_text()
        for number in range(2):
            resource = OpenAI(azure.identity, Hasty())
            resource.deployments["embeddings"] = Deployment()
            ca = tmp_path / f"{number}.pem"
            tls, faults = create_certificate(ca), Faults()
            trusted += ca.read_text()
            found.resources.append(resource)
            found.faults.append(faults)
            service = faults.around("openai", resource.serve)
            found.endpoints.append(stack.enter_context(serve(service, tls)).address)
        both = tmp_path / "both.pem"
        both.write_text(trusted)
        monkeypatch.setenv("SSL_CERT_FILE", str(both))
        yield found


@contextmanager
def run_timed(folder: Path, chosen: Settings) -> Iterator[tuple[list[RunEvent], Stopwatch]]:
    """One run in hurried time; its events, and where the time went."""
    hurried, stop = Hurried(SPEED), Cancellation()
    to = create_connections(chosen, stop, clock=hurried.clock, sleep=hurried.sleep)
    (root,) = parse_folder_roots([str(folder)])
    with open_services(chosen, stop, write=True, connections=to) as all_:
        yield list(ingest_root(root, all_, Run("r", stop=stop))), all_.times


def write_library(folder: Path) -> None:
    """More text than a minute's quota has room for."""
    for number in range(DOCUMENTS):
        pages = (prose(f"topic {number} {page}", 20) for page in range(PAGES))
        write(folder / f"{number:02}.pdf", *pages)


def test_two_endpoints_share_the_work_and_refuse_nothing(
    azure: Azure, two: Two, folder: Path
) -> None:
    """Each says what is left of its quota: both are used, with a 429 each to find its end."""
    write_library(folder)
    for resource in two.resources:
        resource.tpm = TPM
    chosen = client(azure, AZURE_OPENAI_ENDPOINT=",".join(two.endpoints))

    with run_timed(folder, chosen) as (events, times):
        waited = times.wall_seconds(TOKEN_QUOTA)

    assert set(outcomes_by_source(events).values()) == {"new"}
    assert len(outcomes_by_source(events)) == DOCUMENTS
    assert two.refused() <= 8  # one each, and more where a busy machine is late
    assert waited > 0
    first, second = two.tokens()
    assert min(first, second) > 0.25 * (first + second)
    chunks = sum(document["kind"] == "chunk" for document in read_index(azure).values())
    assert sum(len(r.inputs) for resource in two.resources for r in resource.requests) == chunks
    assert sum(len(resource.repeated) for resource in two.resources) == 0


def test_an_endpoint_that_is_down_leaves_the_work_to_the_other(
    azure: Azure, two: Two, folder: Path
) -> None:
    """One region answers 503 all day: it is asked now and then, and the run ends well without."""
    write_library(folder)
    for resource in two.resources:
        resource.tpm = 4 * TPM
    two.faults[0].add(fail_with(503), "openai")
    chosen = client(azure, AZURE_OPENAI_ENDPOINT=",".join(two.endpoints))

    with run_timed(folder, chosen) as (events, _):
        pass

    assert set(outcomes_by_source(events).values()) == {"new"}
    assert two.resources[0].requests == []
    asked = len(two.faults[0].happened)
    assert 0 < asked < 0.3 * len(two.resources[1].requests)
    assert two.refused() <= 4
