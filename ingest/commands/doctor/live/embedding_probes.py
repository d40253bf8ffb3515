"""Probes of a deployment of an embedding model, with a handful of short texts."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from http import HTTPStatus

from ingest.chunk.tokens import count_tokens
from ingest.commands.doctor.live.exchange import Json, Service
from ingest.commands.doctor.live.search_probes import BAD_TOKEN, WRONG_KEY
from ingest.embed.deployments import Endpoint
from ingest.embed.openai import DIMENSIONS_MODEL_PREFIX
from ingest.embed.rate_limit.quota import count_quota_tokens

REPETITIONS = 8  # of a text in the longer request: enough to tell how the quota counts it
SAMPLES = {
    "English": "The lathe's tailstock is aligned first; then the tool post is set to centre.",
    "Japanese": "旋盤の心押し台を先に調整し、次に刃物台を中心の高さに合わせます。",
    "German": "Die Drehmaschine wird zuerst ausgerichtet, danach die Werkzeughöhe überprüft.",
}
MAX_INPUT_TOKENS, MAX_INPUTS = 8192, 2048  # as documented
TOO_LONG = "word " * (MAX_INPUT_TOKENS + 8)
FINE_TUNING_JOB = "ftjob-none"


def billed_texts() -> list[str]:
    """Return the texts that are billed if the service behaves as documented."""
    return [text * times for text in SAMPLES.values() for times in (1, REPETITIONS)]


def most_tokens() -> int:
    """Return the most tokens that may be billed, by a service that refuses nothing."""
    return sum(count_tokens(billed_texts())) + sum(count_tokens([TOO_LONG])) + MAX_INPUTS + 1


def embeddings_path(endpoint: Endpoint, deployment: str = "") -> str:
    """Return the path of the embeddings of a deployment, below the endpoint's URL."""
    if endpoint.api_version:
        name = deployment or endpoint.deployment
        return f"/openai/deployments/{name}/embeddings?api-version={endpoint.api_version}"
    return "/embeddings" if endpoint.url.rstrip("/").endswith("/v1") else "/openai/v1/embeddings"


def embedding_body(endpoint: Endpoint, texts: list[str], deployment: str = "") -> Json:
    """Build the body of a request as a run sends it."""
    body: Json = {"model": deployment or endpoint.deployment, "input": texts}
    if endpoint.model.startswith(DIMENSIONS_MODEL_PREFIX):
        body["dimensions"] = endpoint.dimensions
    return {**body, "encoding_format": "base64"}


def measure_tokens(service: Service, endpoint: Endpoint) -> Json:
    """Embed the samples one by one: tokens by our count and the service's, and its headers."""
    path = embeddings_path(endpoint)
    counted: list[Json] = []
    headers: list[dict[str, str]] = []
    before: str | None = None
    for language, text in SAMPLES.items():
        for times in (1, REPETITIONS):
            sample = text * times
            reply = service.require("embeddings", "POST", path, embedding_body(endpoint, [sample]))
            kept = service.keep_headers(reply)
            remaining = kept.get("x-ratelimit-remaining-tokens")
            usage = reply.json().get("usage") or {}
            counted.append(
                {
                    "language": language,
                    "characters": len(sample),
                    "counted": sum(count_tokens([sample])),
                    "billed": usage.get("prompt_tokens"),
                    "expected_charge": count_quota_tokens(len(sample)),
                    "charged": difference(before, remaining),
                }
            )
            headers.append(kept)
            before = remaining
    return {"tokens": counted, "headers": headers}


def difference(before: str | None, after: str | None) -> int | None:
    """Return the tokens that a quota was charged; None if it is not reported, or was reset."""
    if not (before and after and before.isdecimal() and after.isdecimal()):
        return None
    charged = int(before) - int(after)
    return charged if charged > 0 else None


def record_refusals(service: Service, endpoint: Endpoint) -> None:
    """Record the refusals of bad credentials, a missing deployment and an unassigned role."""
    path, body = embeddings_path(endpoint), embedding_body(endpoint, ["word"])
    strangers: Mapping[str, Json] = {
        "no credentials": {},
        "bad token": BAD_TOKEN,
        "wrong key": WRONG_KEY,
    }
    for name, credentials in strangers.items():
        service.record_refusal(name, "POST", path, body, credentials)
    nobody = f"none-{secrets.token_hex(4)}"
    unknown = embeddings_path(endpoint, nobody)
    service.record_refusal(
        "missing deployment", "POST", unknown, embedding_body(endpoint, ["word"], nobody)
    )
    # No role for embedding includes this action, and there is no such job.
    service.record_refusal(
        "action without role", "POST", f"/openai/v1/fine_tuning/jobs/{FINE_TUNING_JOB}/cancel"
    )


def measure_limits(service: Service, endpoint: Endpoint) -> Json:
    """Find out whether requests just above the documented limits are refused."""
    path = embeddings_path(endpoint)
    found = {}
    for name, texts in {
        "input too long": [TOO_LONG],
        "too many inputs": ["a"] * (MAX_INPUTS + 1),
    }.items():
        reply = service.record_refusal(name, "POST", path, embedding_body(endpoint, texts))
        found[name] = reply.status != HTTPStatus.OK
    return {"refused": found, "input_tokens": MAX_INPUT_TOKENS, "inputs": MAX_INPUTS}
