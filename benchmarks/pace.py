"""What a run gets of a quota over an hour, in simulated time: 350,000 TPM, 2,100 RPM.

The service is that of tests/embed/rate_limit/simulation.py: its minute begins with the first
request after the last
one ended, and its answers say what is left, as Azure documents it. Chance is seeded; each figure is
the worst of some seeds. benchmarks/quota.py is the same in real minutes and with real requests.
"""

from __future__ import annotations

from measure import tell

from ingest.embed.rate_limit.deployment import DeploymentLimiter
from tests.embed.rate_limit.simulation import Greedy, Ours, Quota, simulate

TPM, RPM = 350_000, 2_100
HOUR = 3600.0  # seconds; the first minute is not measured
SEEDS = range(5)
DROPS, RETURNS = 600.0, 1200.0  # when a tenth is left of the quota, and when it is back
NOTICED = 20  # seconds over which a rate is taken


def main() -> None:
    """Measure and print."""
    alone()
    beside_another()
    two_of_us()
    dropped()


def steady(_: float) -> float:
    """A quota that stays."""
    return TPM


def dropping(now: float) -> float:
    """One that is a tenth for ten minutes."""
    return TPM / 10 if DROPS <= now < RETURNS else TPM


def share(client: Ours, start: float, end: float) -> float:
    """Of the full quota, what a client got from a time to another."""
    tokens: float = client.seen.tokens(start, end)
    return tokens / (TPM * (end - start) / 60)


def refused(clients: list[Ours], target: str = "") -> None:
    """Say the most that was refused."""
    worst = max(clients, key=lambda client: client.seen.share_refused).seen
    requests = len(worst.refused) + len(worst.accepted)
    beside = f"{len(worst.refused)} of {requests:,} requests"
    tell(
        "  refused", f"{100 * worst.share_refused:.2f} %", "; ".join(filter(None, [beside, target]))
    )


def alone() -> None:
    """One client, all the time."""
    runs = [Ours(DeploymentLimiter()) for _ in SEEDS]
    for seed, ours in zip(SEEDS, runs, strict=True):
        simulate(Quota(steady, rpm=RPM), HOUR, ours, seed=seed)
    got = min(share(ours, 60, HOUR) for ours in runs)
    tell("alone: tokens / quota", f"{got:.3f}", f"{got * TPM:,.0f} a minute; target >= 0.97")
    refused(runs, "target <= 0.5 %")


def beside_another() -> None:
    """One client, and another that takes half in random spells."""
    runs = [(Ours(DeploymentLimiter()), Greedy()) for _ in SEEDS]
    for seed, (ours, other) in zip(SEEDS, runs, strict=True):
        simulate(Quota(steady, rpm=RPM), HOUR, ours, other, seed=seed)
    total = TPM * (HOUR - 60) / 60
    taken = [other.seen.tokens(60, HOUR) for _, other in runs]
    got = min(
        ours.seen.tokens(60, HOUR) / (total - others)
        for (ours, _), others in zip(runs, taken, strict=True)
    )
    tell("beside another: tokens / what it left", f"{got:.3f}", "target >= 0.90")
    refused([ours for ours, _ in runs], "target <= 3 %")
    told = max(other.seen.share_refused for _, other in runs)
    tell(
        "  the other's refused", f"{100 * told:.2f} %", f"it took {max(taken) / total:.2f} or less"
    )


def two_of_us() -> None:
    """Two clients that keep a pace."""
    runs = [[Ours(DeploymentLimiter()), Ours(DeploymentLimiter())] for _ in SEEDS]
    for seed, two in zip(SEEDS, runs, strict=True):
        simulate(Quota(steady, rpm=RPM), HOUR, *two, seed=seed)
    both = min(sum(share(ours, 60, HOUR) for ours in two) for two in runs)
    least = min(share(ours, 60, HOUR) for two in runs for ours in two)
    tell("two of us: tokens / quota", f"{both:.3f}", f"the lesser had {least:.3f}")
    refused([ours for two in runs for ours in two])


def dropped() -> None:
    """A quota that drops to a tenth and comes back."""
    runs = [Ours(DeploymentLimiter()) for _ in SEEDS]
    for seed, ours in zip(SEEDS, runs, strict=True):
        simulate(Quota(dropping, rpm=RPM), RETURNS + 300, ours, seed=seed)
    during = min(10 * share(ours, DROPS + 60, RETURNS) for ours in runs)
    tell("dropped to a tenth: tokens / quota", f"{during:.3f}", "from a minute after")
    back = max(seconds_until_used(ours) for ours in runs)
    tell("back again: seconds until 0.9 is used", f"{back:.0f}", f"over {NOTICED} s; target <= 60")
    refused(runs)


def seconds_until_used(client: Ours) -> float:
    """How long after the return the rate was up; the whole time, if it never was."""
    for seconds in range(1, 300):
        end = RETURNS + seconds
        if client.seen.tokens(end - NOTICED, end) >= 0.9 * TPM * NOTICED / 60:
            return seconds
    return 300


if __name__ == "__main__":
    main()
