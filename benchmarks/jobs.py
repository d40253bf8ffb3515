"""The time of jobs of two to five minutes of quota, in simulated time: 350,000 TPM, 2,100 RPM.

Each figure is the time of an ideal client, which knows the kind of the windows and their ends and
sends as fast as requests are answered, divided by ours, which has to find out: the worst and the
mean over sizes and moments of the start. The service counts fixed minutes of its own clock, fixed
minutes that begin with a request, or the last 60 seconds; it tells what is left, or only when to
come back. Each kind begins with the figure of another ideal client, which has no more tokens on
their way than ours may have. An answer takes 50 to 300 ms and 0.1 ms for each token. Chance is
seeded.

Also the share of a job's tokens that are on their way at a moment, the mean and the most: a kill -9
then pays them twice, as their answers reach nobody; what has arrived is in the journal.

    benchmarks/jobs.py [unseen | seen | former | late | edges | whole]

`unseen`: jobs and moments by which nothing was chosen. `seen`, `former`, `late` and `edges`: some
begin seconds before a window's end, and were looked at. `whole`: jobs of almost whole windows,
where a request too few in each window makes another one necessary.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from statistics import mean

from measure import tell

from ingest.embed.rate_limit.deployment import DeploymentLimiter
from ingest.embed.rate_limit.quota import MIN_TOKENS_UNDER_WAY, LearntLimit
from tests.embed.rate_limit.simulation import (
    FULL,
    REMAINING,
    RETRY_AFTER,
    Aligned,
    Ideal,
    Later,
    Ours,
    Quota,
    Seen,
    Sliding,
    Window,
    simulate,
)

TPM, RPM = 350_000, 2_100
PER_TOKEN = 1e-4  # seconds
SIZE = 8_000  # tokens of the ideal client's requests
JOBS = (2.2, 2.8, 3.71, 4.6)  # minutes of quota
STARTS = (0.0, 10.0, 25.0, 52.0)  # seconds after a full minute
# By name: jobs, starts, and the first seed.
GRIDS: dict[str, tuple[tuple[float, ...], tuple[float, ...], int]] = {
    "": (JOBS, STARTS, 0),
    "unseen": (
        (2.31, 2.76, 3.14, 3.62, 4.52),
        (1.7, 14.3, 22.6, 31.9, 43.4, 54.0, 56.9, 58.2),
        83000,
    ),
    "seen": (
        (2.17, 2.58, 3.27, 3.88, 4.43),
        (3.3, 11.7, 15.2, 28.4, 35.1, 51.3, 56.6, 58.9),
        47000,
    ),
    "former": (
        (2.23, 2.72, 3.42, 4.15, 4.87),
        (6.5, 20.0, 38.3, 47.0, 53.4, 55.1, 57.8, 59.4),
        31000,
    ),
    "late": ((2.1, 2.65, 3.3, 3.95, 4.75), (2.5, 13.0, 29.0, 44.5, 54.5, 56.2, 59.1), 9000),
    "edges": ((2.05, 2.45, 3.1, 4.05, 4.95), (4.0, 17.0, 33.0, 41.0, 48.5, 50.5, 57.0), 100),
    "whole": ((2.0, 2.52, 2.95, 5.0), (1.0, 8.0, 21.5, 36.0, 53.0, 58.3), 5000),
}
HOUR, SAMPLE_SECONDS = 3600.0, 0.25

KINDS: dict[str, Callable[[float], Window | Sliding]] = {
    "fixed, full minutes": lambda start: Aligned(began=start),
    "fixed, from a request on": lambda _: Window(),
    "rolling": lambda _: Sliding(),
    "fixed, 30 s": lambda start: Aligned(30.0, began=start),
    "fixed, 10 s": lambda start: Aligned(10.0, began=start),
}
TOLD = {"all headers": FULL, "remaining only": REMAINING, "Retry-After only": RETRY_AFTER}


@dataclass
class Samples:
    """The tokens that another client has on their way, four times a second."""

    of: Ours
    tokens: list[float] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)

    def start(self, _: Quota, at: Later) -> None:
        """Look again and again, until the job is done."""

        def look(now: float) -> None:
            self.tokens.append(self.of.flying)
            if self.of.left >= 1 or self.of.under_way:
                at(now + SAMPLE_SECONDS, look)

        at(0.0, look)


def main() -> None:
    """Measure and print."""
    for kind, window in KINDS.items():
        bounded(f"{kind}; ideal, {MIN_TOKENS_UNDER_WAY:,.0f} under way", window)
        for (what, told), limit in product(TOLD.items(), (None, TPM)):
            measured(f"{kind}; {what}; {'set' if limit else 'unset'}", window, told, limit)


@cache
def ideal_seconds(
    window: Callable[[float], Window | Sliding],
    job: float,
    start: float,
    seed: int,
    most_flying: float = math.inf,
) -> float:
    """How long a client takes that knows the windows."""
    ideal = Ideal(job * TPM, SIZE, PER_TOKEN, most_flying=most_flying)
    simulate(Quota(steady, window(start), rpm=RPM), HOUR, ideal, seed=seed)
    return ideal.ended


def bounded(title: str, window: Callable[[float], Window | Sliding]) -> None:
    """All jobs of one kind of window, by a client that knows it and may lose as little as ours."""
    jobs, starts, first = GRIDS["".join(sys.argv[1:])]
    ratios = [
        ideal_seconds(window, job, start, seed)
        / ideal_seconds(window, job, start, seed, MIN_TOKENS_UNDER_WAY)
        for seed, (job, start) in enumerate(product(jobs, starts), first)
    ]
    tell(title, f"{min(ratios):.2f} {mean(ratios):.2f}")


def measured(
    title: str,
    window: Callable[[float], Window | Sliding],
    told: tuple[str, ...],
    limit: int | None,
) -> None:
    """All jobs of one kind of window and of headers."""
    ratios, refused, flying, most, throttled, requests, minutes = [], [], [], [], 0, 0, 0.0
    jobs, starts, first = GRIDS["".join(sys.argv[1:])]
    for seed, (job, start) in enumerate(product(jobs, starts), first):
        known = LearntLimit(limit) if limit else LearntLimit()
        ours = Ours(DeploymentLimiter(known), per_token=PER_TOKEN, left=job * TPM)
        samples = Samples(ours)
        simulate(Quota(steady, window(start), told, RPM), HOUR, ours, samples, seed=seed)
        flying.append(mean(samples.tokens) / (job * TPM))
        most.append(max(samples.tokens) / (job * TPM))
        ratios.append(ideal_seconds(window, job, start, seed) / ours.ended)
        refused.append(ours.seen.share_refused)
        throttled += len(ours.seen.refused)
        requests += len(ours.seen.accepted)
        minutes += max(1.0, ours.ended / 60)
    tell(
        title,
        f"{min(ratios):.2f} {mean(ratios):.2f}",
        f"refused {100 * max(refused):.1f} %, {throttled} of {throttled + requests:,}; "
        f"{requests / minutes:.0f} requests a minute; "
        f"a kill {100 * mean(flying):.2f} %, {100 * max(most):.1f} %",
    )


def steady(_: float) -> float:
    """A quota that stays."""
    return TPM


if __name__ == "__main__":
    main()
