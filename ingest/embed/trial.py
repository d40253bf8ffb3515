"""One word embedded, to learn whether a deployment can be used and what it is.

It is the only thing that `ingest doctor` pays for, so it is asked for once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from ingest.auth.token_cache import TokenCache
from ingest.embed.endpoint import DIMENSIONS, Endpoint
from ingest.embed.openai import client, rows, sent
from ingest.embed.refusals import Smaller, judged
from ingest.errors import ConfigError
from ingest.retry import Again, Patience, patiently

WORD = "probe"


@dataclass(frozen=True, slots=True)
class Trial:
    """What a deployment answered."""

    model: str  # "" where the service does not say
    dimensions: int
    quota: str  # in words; "" where the service does not say


def tried(endpoint: Endpoint, key: str | TokenCache, patience: Patience) -> Trial:
    """The answer to one word. Raises ConfigError or ServiceError as a run would, for one text."""
    calls = client(endpoint, key)
    renewals: list[str] = []

    def request() -> Trial:
        headers, body = sent([WORD], endpoint, calls, patience.exchanges.named())
        dimensions = rows(body, 1).shape[1]
        return Trial(str(orjson.loads(body).get("model", "")), dimensions, quota(headers))

    def judge(error: Exception) -> Exception:
        verdict = judged(error, str(endpoint), key, renewals)
        if isinstance(verdict, Again):
            verdict.waits = False  # there is no line here that would hold the next request back
        return verdict

    try:
        return patiently(request, judge, patience)
    except Smaller as error:
        advice = "" if error.quota else ": check deployment, model and dimensions"
        raise ConfigError(f"{error}{advice}") from error
    finally:
        calls.close()


def quota(headers: Mapping[str, str]) -> str:
    """The rate limits in an answer's headers, in words; what is no count is not told."""
    told = []
    for what in ("tokens", "requests"):
        limit, left = (headers.get(f"x-ratelimit-{x}-{what}", "") for x in ("limit", "remaining"))
        if limit.isdecimal() and int(limit):
            told.append(f"{int(limit):,} {what} a minute")
        elif left.isdecimal() and int(left):
            told.append(f"{int(left):,} {what} left of this minute")
    return ", ".join(told)


def described(trial: Trial, endpoint: Endpoint) -> str:
    """What a deployment is, in words. Raises ConfigError if it is not what the settings say."""
    if trial.model != endpoint.model and {trial.model, endpoint.model} <= set(DIMENSIONS):
        raise ConfigError(
            f"the deployment {endpoint.deployment} is of {trial.model}, not {endpoint.model}: "
            f"set AZURE_OPENAI_EMBEDDING_MODEL={trial.model}"
        )
    if trial.dimensions != endpoint.dimensions:
        raise ConfigError(
            f"the deployment {endpoint.deployment} gives {trial.dimensions} dimensions, not "
            f"{endpoint.dimensions}: set AZURE_OPENAI_EMBEDDING_DIMENSIONS={trial.dimensions}"
        )
    model, quota = trial.model or endpoint.model, trial.quota or "the service tells no quota"
    return f"{endpoint.deployment}: {model}, {trial.dimensions} dimensions; {quota}"
