"""Connections to services: one credential and one retry policy for all of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ingest.azure.clouds import PUBLIC, Cloud, find_cloud
from ingest.azure.credential import SharedCredential, create_credential
from ingest.azure.token_cache import TokenCache
from ingest.azure.token_hosts import check_token_host
from ingest.config.settings import Settings
from ingest.redaction import hold_secret
from ingest.runtime.cancellation import Cancellation
from ingest.runtime.request_ids import OnResponse, RequestLog, request_ids
from ingest.runtime.retry import RetryPolicy
from ingest.runtime.timing import Observer, Stopwatch

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Connections:
    """Credential, retry policy and stopwatch for all services."""

    credential: SharedCredential
    retry_policy: RetryPolicy
    times: Stopwatch = field(default_factory=Stopwatch)
    trusted_hosts: tuple[str, ...] = ()  # besides Azure's own, for tokens
    cloud: Cloud = PUBLIC

    def token_for(self, url: str, scope: str) -> TokenCache:
        """Return a source of tokens for a service. Raises ConfigError if it may not get one."""
        check_token_host(url, scope, self.trusted_hosts)
        scope = self.cloud.scope(scope)
        return TokenCache(self.credential, scope, retry_policy=self.retry_policy)


def create_connections(
    settings: Settings, stop: Cancellation | None = None, **time: Any
) -> Connections:
    """Create the connections of a process. Sends no request.

    `time` may replace the `sleep` and the `clock` of the retry policy.
    """
    cloud = find_cloud(settings.cloud, service_urls(settings))
    make = partial(
        create_credential,
        settings.openai_client_id,
        settings.tenant,
        hosted=settings.hosted,
        authority="" if cloud is PUBLIC else cloud.authority,
    )
    for key in (settings.openai_key, settings.figures_key, settings.search_key):
        hold_secret(key)
    stopped = stop.is_overdue if stop else lambda: False
    times = Stopwatch()
    return Connections(
        SharedCredential(make),
        RetryPolicy(
            settings.retry_seconds,
            settings.wait_for_roles,
            stopped,
            wait_for=times.wait_for,
            **time,
        ),
        times,
        trusted_hosts=settings.trusted_hosts,
        cloud=cloud,
    )


def service_urls(settings: Settings) -> Iterator[str]:
    """Yield the settings that may name a service of Azure."""
    yield from (settings.search_endpoint, settings.index)
    yield from (*settings.openai_endpoint, settings.embedder, settings.figures_endpoint)
    yield from (settings.ocr, settings.root, settings.event_queue, settings.figures_to)


def connections_of_run(
    connections: Connections,
    run: str,
    observer: Observer | None,
    on_response: OnResponse,
    start: int = 1,
) -> Connections:
    """Return connections whose requests carry the run's id and are reported to callbacks.

    Request numbers begin at `start`; two processes of one run must not use the same number.
    """
    request_log = RequestLog(request_ids(run, start), on_response)
    times = Stopwatch(observer=observer)
    return replace(
        connections,
        retry_policy=replace(
            connections.retry_policy, request_log=request_log, wait_for=times.wait_for
        ),
        times=times,
    )


def warn_about_key(variable: str) -> None:
    """Log a warning that a service is called with an API key."""
    log.warning(
        "%s is set, so its API key is used; a leaked key works until it is rotated: unset it to "
        "sign in with Microsoft Entra ID",
        variable,
    )
