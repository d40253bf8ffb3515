"""Probe of a deployment: embed one word, to learn whether it works, and its model.

It is the only billed request of `ingest doctor`, so it is sent once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import httpx2
import openai

from ingest.azure.token_cache import TokenCache
from ingest.embed.account import Account
from ingest.embed.deployments import MODEL_DIMENSIONS, Endpoint
from ingest.embed.openai import (
    DIMENSIONS_MODEL_PREFIX,
    create_client,
    find_billed_tokens,
    parse_vectors,
    read_json,
    send_request,
)
from ingest.embed.openai_errors import (
    SplitCause,
    SplitRequired,
    classify_openai_error,
    create_context,
)
from ingest.embed.retirement import Retirement, listed_retirement
from ingest.embed.validation import PROBE_TEXT
from ingest.errors import ConfigError
from ingest.runtime.retry import RetryableError, RetryPolicy, call_with_retry

MODELS_API_VERSION = "2024-10-21"  # the v1 API lists models without their dates


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """A deployment's response to a probe."""

    model: str  # "" if the service does not report it
    dimensions: int
    quota: str  # rate limits, in words; "" if the service does not report them
    billed: int = 0  # tokens; 0 if the service does not report them


def probe_deployment(
    endpoint: Endpoint, key: str | TokenCache, retry_policy: RetryPolicy
) -> ProbeResult:
    """Embed one word. Raises ConfigError or ServiceError, as a run would."""
    client = create_client(endpoint, key)
    context = create_context(str(endpoint), key, [])

    def request() -> ProbeResult:
        headers, body = send_request(
            [PROBE_TEXT], endpoint, client, retry_policy.request_log.new_id()
        )
        answer = read_json(body)
        dimensions = len(parse_vectors(answer, 1)[0])
        return ProbeResult(
            known_name(str(answer.get("model") or "")),
            dimensions,
            describe_quota(headers),
            find_billed_tokens(answer),
        )

    def classify(error: Exception) -> Exception:
        verdict = classify_openai_error(error, context)
        if isinstance(verdict, RetryableError):
            verdict.waits_itself = False  # no rate limiter delays the next attempt of a probe
        return verdict

    try:
        return call_with_retry(request, classify, retry_policy, f"an answer of {endpoint}")
    except SplitRequired as error:
        is_refusal = error.cause is SplitCause.REFUSAL
        advice = ": check deployment, model and dimensions" if is_refusal else ""
        raise ConfigError(f"{error}{advice}") from error
    finally:
        client.close()


def identify_models(
    endpoints: Sequence[Endpoint],
    key: str | TokenCache,
    retry_policy: RetryPolicy,
    account: Account,
) -> list[Endpoint]:
    """Replace each unknown model by the one that the deployment reports to a probe.

    Raises ConfigError if the deployments have different models.
    """
    identified = [
        each if each.is_model_known else identify_model(each, key, retry_policy, account)
        for each in endpoints
    ]
    if len(models := {each.model for each in identified}) > 1:
        raise ConfigError(
            f"the deployments have different models ({', '.join(sorted(models))}), whose vectors "
            "cannot be compared: leave one out"
        )
    return identified


def identify_model(
    endpoint: Endpoint, key: str | TokenCache, retry_policy: RetryPolicy, account: Account
) -> Endpoint:
    """Return a deployment with the model that it reports; unchanged if it reports none."""
    tokens = sum(account.count_tokens([PROBE_TEXT]))
    with account.reserve(tokens) as bill:
        found = probe_deployment(endpoint, key, retry_policy)
        bill.tokens = found.billed or tokens
    return replace(endpoint, model=found.model, is_model_known=True) if found.model else endpoint


def fetch_retirement(endpoint: Endpoint, key: str | TokenCache, model: str) -> Retirement | None:
    """Read a model's retirement date from the service's list of models; None if it tells none.

    The role for embedding may read that list. Services other than Azure OpenAI have no dates.
    """
    if endpoint.url.rstrip("/").endswith("/v1"):
        return None
    client = create_client(replace(endpoint, api_version=MODELS_API_VERSION), key)
    try:
        response = client.get("/models", cast_to=httpx2.Response)
        return listed_retirement(model, response.json())
    except (openai.OpenAIError, ValueError, TypeError, AttributeError, KeyError):
        return None  # the schedule has to do
    finally:
        client.close()


def known_name(reported: str) -> str:
    """Return a model's name without the version that some services append."""
    return next((name for name in MODEL_DIMENSIONS if reported.startswith(name)), reported)


def describe_quota(headers: Mapping[str, str]) -> str:
    """Describe the rate limits in a response's headers; values that are not counts are left out."""
    parts = []
    for unit in ("tokens", "requests"):
        limit, left = (headers.get(f"x-ratelimit-{x}-{unit}", "") for x in ("limit", "remaining"))
        if limit.isdecimal() and int(limit):
            parts.append(f"{int(limit):,} {unit} a minute")
        elif left.isdecimal() and int(left):
            parts.append(f"{int(left):,} {unit} left of this minute")
    return ", ".join(parts)


def describe_deployment(result: ProbeResult, endpoint: Endpoint) -> str:
    """Describe a deployment. Raises ConfigError if it does not match the settings."""
    if not endpoint.is_model_known and result.model.startswith(DIMENSIONS_MODEL_PREFIX):
        result = shorten_vector(result, endpoint)
    if result.model != endpoint.model and {result.model, endpoint.model} <= set(MODEL_DIMENSIONS):
        raise ConfigError(
            f"the deployment {endpoint.deployment} has {result.model}, not {endpoint.model}: "
            f"set AZURE_OPENAI_EMBEDDING_MODEL={result.model}"
        )
    if result.dimensions != endpoint.dimensions:
        raise ConfigError(
            f"the deployment {endpoint.deployment} returns {result.dimensions} dimensions, not "
            f"{endpoint.dimensions}: set AZURE_OPENAI_EMBEDDING_DIMENSIONS={result.dimensions}"
        )
    model, quota = result.model or endpoint.model, result.quota or "quota not reported"
    return f"{endpoint.deployment}: {model}, {result.dimensions} dimensions; {quota}"


def shorten_vector(result: ProbeResult, endpoint: Endpoint) -> ProbeResult:
    """Return the response to a request for the configured dimensions, if the model has as many."""
    possible = endpoint.dimensions <= result.dimensions
    return replace(result, dimensions=endpoint.dimensions) if possible else result
