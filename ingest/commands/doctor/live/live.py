"""Run the live probes, and record the results as JSON without secrets.

A probe that fails is recorded as an error, and the others go on: the refusal of an identity without
a role, or of a network behind a firewall, is one of the results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

from ingest.azure.token_hosts import SEARCH_SCOPE
from ingest.commands.doctor.finding import PROBE_RETRY_SECONDS
from ingest.commands.doctor.live import embedding_probes, search_probes
from ingest.commands.doctor.live.exchange import (
    Json,
    SendRaw,
    Service,
    send_with_openai,
    send_with_requests,
)
from ingest.commands.doctor.live.search_probes import LeftoverIndexError
from ingest.commands.doctor.live.visibility import (
    ThrowawayDocuments,
    measure_answers,
    measure_race,
    measure_visibility,
)
from ingest.config import embedding
from ingest.config.connections import Connections, create_connections
from ingest.config.index import index_location
from ingest.config.settings import Settings
from ingest.embed.deployments import Endpoint
from ingest.errors import ConfigError, IngestError
from ingest.index.azure.connection import SEARCH_API_VERSION
from ingest.models import __version__
from ingest.runtime.prices import PRICED_TOKENS, find_price

FORMAT = 1  # of the recording
SECONDS_PER_WRITE = 9.0  # typically, of a service whose reads lag by two seconds


@dataclass(slots=True)
class LivePlan:
    """Plan of the probes: the services, the throw-away index, and the cost."""

    settings: Settings
    connections: Connections
    endpoint: Endpoint | None  # None: a local model embeds
    search_url: str  # "": a local index
    index_name: str
    writes: int

    @property
    def cost(self) -> str:
        """Cost in cents, with the price that it rests on."""
        if self.endpoint is None:
            return "nothing"
        tokens = embedding_probes.most_tokens()
        price = find_price(self.endpoint.model, self.settings.prices)
        if price is None:
            return f"at most {tokens:,} tokens of {self.endpoint.model}, whose price is unknown"
        cents = tokens * price.usd / PRICED_TOKENS * 100
        return (
            f"at most {cents:.2f} cents ({tokens:,} tokens of {self.endpoint.model}, "
            f"${price.usd:g} a million on {price.dated})"
        )

    def describe(self) -> str:
        """Describe the probes and their cost, so that a person can stop them."""
        parts = [f"The live probes cost {self.cost}."]
        if self.search_url:
            minutes = max(1, round(self.writes * SECONDS_PER_WRITE / 60))
            parts.append(
                f"They create the index {self.index_name} on {urlsplit(self.search_url).netloc}, "
                f"take about {minutes} min, and delete it again, also after ^C."
            )
        return " ".join(parts)


def plan_live(settings: Settings, writes: int) -> LivePlan:
    """Plan the probes. Sends no request. Raises ConfigError if nothing is on Azure."""
    retry_seconds = min(settings.retry_seconds, PROBE_RETRY_SECONDS)
    settings = replace(settings, retry_seconds=retry_seconds, wait_for_roles=0.0)
    location = index_location(settings)
    endpoints = embedding.embedding_endpoints(settings)
    if not endpoints and not location.is_service:
        raise ConfigError(
            "--live probes Azure, but model and index are on this machine: set "
            "AZURE_OPENAI_ENDPOINT, AZURE_SEARCH_ENDPOINT or both"
        )
    return LivePlan(
        settings,
        create_connections(settings),
        endpoints[0] if endpoints else None,
        str(location) if location.is_service else "",
        search_probes.new_index_name(datetime.now(UTC)),
        writes,
    )


@dataclass(slots=True)
class Recording:
    """Results of the probes, as they are written to a file."""

    results: Json = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    leftover: str = ""  # why the throw-away index could not be deleted

    @contextmanager
    def keep_error(self, probe: str, service: Service) -> Iterator[None]:
        """Record an error of a probe, and continue."""
        try:
            yield
        except LeftoverIndexError:
            raise
        except IngestError as error:
            self.errors[probe] = service.scrub(str(error))

    def measure(self, probe: str, service: Service, call: Callable[[], Json | None]) -> None:
        """Run a probe and keep its result, or its error."""
        with self.keep_error(probe, service):
            if (result := call()) is not None:
                self.results.setdefault(service.name, {})[probe] = result

    def to_json(self) -> Json:
        """Return everything, with the date but not the time."""
        head = {
            "format": FORMAT,
            "ingest": __version__,
            "date": datetime.now(UTC).date().isoformat(),
        }
        return {**head, **self.results, "errors": self.errors}


def run_live(plan: LivePlan, say: Callable[[str], None]) -> Recording:
    """Run all probes. `say` is called with the name of each stage."""
    recording = Recording()
    if plan.endpoint is not None:
        with send_with_openai() as send:
            probe_embeddings(plan, plan.endpoint, send, recording, say)
    if plan.search_url:
        with send_with_requests() as send:
            probe_search(plan, send, recording, say)
    return recording


def probe_embeddings(
    plan: LivePlan,
    endpoint: Endpoint,
    send: SendRaw,
    recording: Recording,
    say: Callable[[str], None],
) -> None:
    """Probe the embedding service."""
    say(f"embedding service: tokens, headers, refusals of {endpoint.deployment}")
    key = embedding.embedder_key(plan.settings, plan.connections)
    policy = plan.connections.retry_policy
    service = Service("embeddings", endpoint.url.rstrip("/"), key, policy, send)
    api = endpoint.api_version or "v1"
    about = {"model": endpoint.model, "dimensions": endpoint.dimensions, "api_version": api}
    recording.results[service.name] = about
    recording.measure("usage", service, lambda: embedding_probes.measure_tokens(service, endpoint))
    recording.measure("limits", service, lambda: embedding_probes.measure_limits(service, endpoint))
    with recording.keep_error("refusals of embeddings", service):
        embedding_probes.record_refusals(service, endpoint)
    about["refusals"] = service.refusals


def probe_search(
    plan: LivePlan, send: SendRaw, recording: Recording, say: Callable[[str], None]
) -> None:
    """Probe the search service, with an index that lasts as long as this."""
    settings, connections = plan.settings, plan.connections
    key = settings.search_key or connections.token_for(plan.search_url, SEARCH_SCOPE)
    service = Service("search", plan.search_url.rstrip("/"), key, connections.retry_policy, send)
    about: Json = {"api_version": SEARCH_API_VERSION}
    recording.results[service.name] = about
    say("search service: refusals")
    with recording.keep_error("refusals of search", service):
        search_probes.record_refusals(service)
    with recording.keep_error("indexes left behind", service):
        for name in search_probes.delete_left_behind(service, datetime.now(UTC)):
            say(f"deleted {name}, which an earlier probe had left")
    try:
        with recording.keep_error("index", service):
            probe_index(plan, service, recording, say)
    except LeftoverIndexError as error:
        recording.leftover = str(error)
    about["refusals"] = service.refusals


def probe_index(
    plan: LivePlan, service: Service, recording: Recording, say: Callable[[str], None]
) -> None:
    """Probe reads and writes in a throw-away index."""
    with (
        closing(embedding.create_embedder(plan.settings, plan.connections)) as model,
        search_probes.throwaway_index(service, plan.settings, model.dimensions, plan.index_name),
    ):
        documents = ThrowawayDocuments(service, plan.index_name)
        say(f"search service: {plan.writes} writes and deletions, until every read shows them")
        recording.measure("visibility", service, lambda: measure_visibility(documents, plan.writes))
        say("search service: writers at once, answers to writes, limits")
        recording.measure("race", service, lambda: measure_race(documents))
        recording.measure("answers", service, lambda: measure_answers(documents))
        recording.measure(
            "limits", service, lambda: search_probes.measure_limits(service, plan.index_name)
        )
