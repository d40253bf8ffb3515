"""Bisection of embedding requests that fail because of some of their texts.

A text is blamed only if the service embeds another one at the same time: a failing service must
not look like a bad document.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ingest.embed import PartialEmbedding
from ingest.embed.openai import Deployments, embed_with_retry
from ingest.embed.openai_errors import SplitCause, SplitRequired
from ingest.embed.validation import PROBE_TEXT, find_flaw
from ingest.errors import ConfigError

if TYPE_CHECKING:
    from ingest.models import Vectors

MAX_FAILURES = 3  # of a request, until its texts are suspected
MAX_FAILURES_OF_PART = 2  # likewise, of a part of one
CONFIRMATIONS = 2  # further attempts for a single text, each after a successful probe


def embed_texts(texts: Sequence[str], deployments: Deployments) -> Vectors:
    """Embed texts, one row each, in as few requests as the service accepts.

    Raises PartialEmbedding if the service refuses some of the texts.
    """
    found = embed_each(texts, deployments, MAX_FAILURES)
    rows = [each for each in found if not isinstance(each, str)]
    reasons = {place: each for place, each in enumerate(found) if isinstance(each, str)}
    vectors = np.stack(rows) if rows else np.empty((0, 0), np.float32)
    if reasons:
        raise PartialEmbedding(vectors, reasons)
    return vectors


def embed_each(
    texts: Sequence[str], deployments: Deployments, max_failures: int, *, is_probed: bool = False
) -> list[Vectors | str]:
    """Return the vector of each text, or the reason why the service refuses it."""
    try:
        found = embed_once(texts, deployments, max_failures)
    except SplitRequired as error:
        if error.cause is SplitCause.FAILURE or (
            error.cause is SplitCause.REFUSAL and not is_probed
        ):
            check_service(deployments)
        return embed_halves(texts, deployments, error)
    flawed = [place for place, each in enumerate(found) if isinstance(each, str)]
    if flawed:
        check_service(deployments)
    for place in flawed:
        found[place] = embed_alone(texts[place], deployments, str(found[place]))
    return found


def embed_halves(
    texts: Sequence[str], deployments: Deployments, error: SplitRequired
) -> list[Vectors | str]:
    """Embed texts that failed together with `error`, by halving them recursively."""
    if len(texts) == 1:
        if error.cause is SplitCause.QUOTA:
            raise ConfigError(str(error)) from error
        if error.cause is SplitCause.REFUSAL:
            return [str(error)]
        reason = f"the embedding service fails on it, and not on others ({error})"
        return [embed_alone(texts[0], deployments, reason)]
    middle = len(texts) // 2
    found: list[Vectors | str] = []
    for half in (texts[:middle], texts[middle:]):
        if error.cause is SplitCause.FAILURE:
            deployments.before_resend(half)
        found += embed_each(half, deployments, MAX_FAILURES_OF_PART, is_probed=True)
    return found


def embed_alone(text: str, deployments: Deployments, reason: str) -> Vectors | str:
    """Embed a text that failed alone; return `reason` if it fails again and a probe does not."""
    for _ in range(CONFIRMATIONS):
        deployments.before_resend([text])
        try:
            (found,) = embed_once([text], deployments, max_failures=1)
        except SplitRequired as error:
            if error.cause is not SplitCause.FAILURE:
                return str(error)
        else:
            if not isinstance(found, str):
                return found
        check_service(deployments)
    return reason


def embed_once(
    texts: Sequence[str], deployments: Deployments, max_failures: float
) -> list[Vectors | str]:
    """Embed texts in one request; return the vector of each, or what is wrong with it."""
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
    deployments.before_resend([PROBE_TEXT])
    where = deployments.endpoints[0]
    try:
        (found,) = embed_once([PROBE_TEXT], deployments, float("inf"))
    except SplitRequired as error:
        raise ConfigError(f"{error}: check deployment, model and dimensions") from error
    if isinstance(found, str):
        raise ConfigError(
            f"{where}: {found}: check deployment and model, and set "
            "AZURE_OPENAI_EMBEDDING_DIMENSIONS to what the model returns"
        )
