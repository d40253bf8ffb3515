"""Bisection of embedding requests that fail because of some of their texts.

A text is blamed only if the service embeds another one at the same time: a failing service must
not look like a bad document.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ingest.embed.openai import Deployments, embed_with_retry
from ingest.embed.openai_errors import SplitCause, SplitRequired
from ingest.embed.parts import EmbeddedPart
from ingest.embed.validation import PROBE_TEXT, find_flaw
from ingest.errors import ConfigError
from ingest.models import Vectors
from ingest.runtime.retry import CONFIRMATIONS, MAX_FAILURES, MAX_FAILURES_OF_SUSPECT

# A text is suspected of these only while the service embeds another one.
UNCERTAIN_CAUSES = (SplitCause.FAILURE, SplitCause.DENIAL)
MAX_FAILURES_OF_PART = 2  # of a request for a part of the texts of one that failed


def embed_parts(
    texts: Sequence[str],
    deployments: Deployments,
    places: Sequence[int] = (),
    max_failures: int = MAX_FAILURES,
    *,
    is_probed: bool = False,
) -> Iterator[EmbeddedPart]:
    """Embed texts in as few requests as the service accepts; yields the results of each.

    `places` of the texts to embed; all if empty.
    """
    places = places or range(len(texts))
    try:
        found = embed_once([texts[place] for place in places], deployments, max_failures)
    except SplitRequired as error:
        if error.cause in UNCERTAIN_CAUSES or (error.cause is SplitCause.REFUSAL and not is_probed):
            check_service(deployments)
        yield from embed_halves(texts, deployments, places, error)
        return
    answers = dict(zip(places, found, strict=True))
    flawed = {place: answer for place, answer in answers.items() if isinstance(answer, str)}
    vectors = {place: answer for place, answer in answers.items() if place not in flawed}
    if vectors:
        yield EmbeddedPart(list(vectors), list(vectors.values()))
    if flawed:
        check_service(deployments)
    for place, flaw in flawed.items():
        yield EmbeddedPart([place], [embed_alone(texts[place], deployments, flaw)])


def embed_halves(
    texts: Sequence[str], deployments: Deployments, places: Sequence[int], error: SplitRequired
) -> Iterator[EmbeddedPart]:
    """Embed texts that failed together with `error`, by halving them recursively."""
    if len(places) == 1:
        if error.cause is SplitCause.QUOTA:
            raise ConfigError(str(error)) from error
        reason = str(error)
        if error.cause in UNCERTAIN_CAUSES:
            reason = f"the embedding service fails on it, and not on others ({error})"
            yield EmbeddedPart(places, [embed_alone(texts[places[0]], deployments, reason)])
        else:
            yield EmbeddedPart(places, [reason])
        return
    middle = len(places) // 2
    for half in (places[:middle], places[middle:]):
        yield from embed_parts(texts, deployments, half, MAX_FAILURES_OF_PART, is_probed=True)


def embed_alone(text: str, deployments: Deployments, reason: str) -> Vectors | str:
    """Embed a text that failed alone; return `reason` if it fails again and a probe does not."""
    for _ in range(CONFIRMATIONS):
        try:
            (found,) = embed_once([text], deployments, MAX_FAILURES_OF_SUSPECT)
        except SplitRequired as error:
            if error.cause not in UNCERTAIN_CAUSES:
                return str(error)
        else:
            if not isinstance(found, str):
                return found
        check_service(deployments)
    return reason


def embed_once(
    texts: Sequence[str], deployments: Deployments, max_failures: float
) -> list[Vectors | str]:
    """Embed texts in one request; return the vector of each, or the reason why it is unusable."""
    dimensions = deployments.endpoints[0].dimensions
    found: list[Vectors | str] = []
    for vector in embed_with_retry(texts, deployments, max_failures):
        flaw = find_flaw(vector, dimensions)
        found.append(f"the embedding service returned {flaw}" if flaw else vector)
    return found


def check_service(deployments: Deployments) -> None:
    """Raise ConfigError if the service embeds no text at all, so that the texts are not blamed.

    Waits until a service that is down works again, as any request does.
    """
    where = deployments.endpoints[0]
    try:
        (found,) = embed_once([PROBE_TEXT], deployments, float("inf"))
    except SplitRequired as error:
        is_denied = error.cause is SplitCause.DENIAL
        advice = "" if is_denied else ": check deployment, model and dimensions"
        raise ConfigError(f"{error}{advice}") from error
    if isinstance(found, str):
        raise ConfigError(
            f"{where}: {found}: check deployment and model, and set "
            "AZURE_OPENAI_EMBEDDING_DIMENSIONS to what the model returns"
        )
