"""One word embedded, to learn whether a deployment can be used and what it is.

It is the only thing that `ingest doctor` pays for, so it is asked for once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from ingest.azure.token_cache import TokenCache
from ingest.embed.deployments import MODEL_DIMENSIONS, Endpoint
from ingest.embed.openai import create_client, parse_vectors, send_request
from ingest.embed.openai_errors import SplitRequired, classify_openai_error, create_context
from ingest.errors import ConfigError
from ingest.runtime.retry import RetryableError, RetryPolicy, call_with_retry

PROBE_WORD = "probe"


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a deployment answered."""

    model: str  # "" where the service does not say
    dimensions: int
    quota: str  # in words; "" where the service does not say


def probe_deployment(
    endpoint: Endpoint, key: str | TokenCache, retry_policy: RetryPolicy
) -> ProbeResult:
    """The answer to one word. Raises ConfigError or ServiceError as a run would, for one text."""
    calls = create_client(endpoint, key)
    context = create_context(str(endpoint), key, [])

    def request() -> ProbeResult:
        headers, body = send_request(
            [PROBE_WORD], endpoint, calls, retry_policy.request_log.new_id()
        )
        dimensions = parse_vectors(body, 1).shape[1]
        return ProbeResult(
            str(orjson.loads(body).get("model", "")), dimensions, describe_quota(headers)
        )

    def classify(error: Exception) -> Exception:
        verdict = classify_openai_error(error, context)
        if isinstance(verdict, RetryableError):
            verdict.waits_itself = (
                False  # there is no line here that would hold the next request back
            )
        return verdict

    try:
        return call_with_retry(request, classify, retry_policy)
    except SplitRequired as error:
        advice = "" if error.by_quota else ": check deployment, model and dimensions"
        raise ConfigError(f"{error}{advice}") from error
    finally:
        calls.close()


def describe_quota(headers: Mapping[str, str]) -> str:
    """The rate limits in an answer's headers, in words; what is no count is not told."""
    told = []
    for what in ("tokens", "requests"):
        limit, left = (headers.get(f"x-ratelimit-{x}-{what}", "") for x in ("limit", "remaining"))
        if limit.isdecimal() and int(limit):
            told.append(f"{int(limit):,} {what} a minute")
        elif left.isdecimal() and int(left):
            told.append(f"{int(left):,} {what} left of this minute")
    return ", ".join(told)


def describe_deployment(result: ProbeResult, endpoint: Endpoint) -> str:
    """What a deployment is, in words. Raises ConfigError if it is not what the settings say."""
    if result.model != endpoint.model and {result.model, endpoint.model} <= set(MODEL_DIMENSIONS):
        raise ConfigError(
            f"the deployment {endpoint.deployment} is of {result.model}, not {endpoint.model}: "
            f"set AZURE_OPENAI_EMBEDDING_MODEL={result.model}"
        )
    if result.dimensions != endpoint.dimensions:
        raise ConfigError(
            f"the deployment {endpoint.deployment} gives {result.dimensions} dimensions, not "
            f"{endpoint.dimensions}: set AZURE_OPENAI_EMBEDDING_DIMENSIONS={result.dimensions}"
        )
    model, quota = result.model or endpoint.model, result.quota or "the service tells no quota"
    return f"{endpoint.deployment}: {model}, {result.dimensions} dimensions; {quota}"
