"""Summarize a recording of the live probes for a person. Pure."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from statistics import median

from ingest.commands.doctor.live.exchange import Json
from ingest.runtime.formatting import pluralize

BUCKET_ENDS = (0.0, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)  # seconds
BAR = "#"


def summarize(recording: Json) -> Iterator[str]:
    """Return the lines of a summary."""
    search, embeddings = recording.get("search", {}), recording.get("embeddings", {})
    for change, reads in search.get("visibility", {}).items():
        for read, lags in reads.items():
            yield from summarize_lags(f"{read}, {change}", lags)
    if race := search.get("race"):
        yield summarize_race(race)
    if answers := search.get("answers"):
        yield summarize_answers(answers)
    for size, reply in search.get("limits", {}).get("batches", {}).items():
        yield f"a batch of {int(size):,} actions: {reply['status']}"
    yield from summarize_tokens(embeddings.get("usage", {}))
    for name, refused in embeddings.get("limits", {}).get("refused", {}).items():
        yield f"{name}: {'refused' if refused else 'accepted, although the documents say not'}"
    for service in ("search", "embeddings"):
        for name, reply in recording.get(service, {}).get("refusals", {}).items():
            body = " ".join(reply["body"].split()) or "no body"
            yield f"{service}, {name}: {reply['status']} {body[:100]}"
    for probe, error in recording["errors"].items():
        yield f"{probe} failed: {error}"


def summarize_lags(title: str, lags: Sequence[Json]) -> Iterator[str]:
    """Return the histogram of a kind of read: seconds until every read showed a write."""
    settled = sorted(lag["settled"] for lag in lags if lag["settled"] is not None)
    back = sum(lag["back"] for lag in lags)
    delay = f"median {median(settled):.2f} s, longest {settled[-1]:.2f} s" if settled else "never"
    late = f", {len(lags) - len(settled)} not within a minute" if len(lags) > len(settled) else ""
    went_back = f", {pluralize(back, 'read')} went back in time" if back else ""
    yield f"{title}: {delay}{late}{went_back}"
    counts = [0] * (len(BUCKET_ENDS) + 1)
    for seconds in settled:
        counts[bisect.bisect_left(BUCKET_ENDS, seconds)] += 1
    for end, count in zip(BUCKET_ENDS, counts, strict=False):
        if count:
            label = "at once" if not end else f"<= {end:g} s"
            yield f"  {label:>9}  {BAR * count} {count}"


def summarize_race(race: Json) -> str:
    """Describe whether exactly one writer got the answer that it created a document."""
    alone = sum(statuses.get("201") == 1 for statuses in race["rounds"])
    rounds = len(race["rounds"])
    return (
        f"{race['writers']} writers of one document: exactly one got 201 in {alone} of {rounds} "
        f"rounds{'' if alone == rounds else ', which the lease relies on: please report it'}"
    )


EXPECTED_ANSWERS = [201, 200, 200, 200, 404, 201, 200]


def summarize_answers(answers: Json) -> str:
    """Report whether each answer to a write agreed with the writes before it."""
    wrong = [statuses for statuses in answers["statuses"] if statuses != EXPECTED_ANSWERS]
    if not wrong:
        return f"answers to {len(EXPECTED_ANSWERS)} writes of one document: as expected each time"
    return f"answers to writes: {wrong[0]}, not {EXPECTED_ANSWERS}: please report it"


def summarize_tokens(usage: Json) -> Iterator[str]:
    """Return how tokens are counted and charged, and which rate limit headers there are."""
    for item in usage.get("tokens", []):
        charged = item["charged"] or "not reported"
        yield (
            f"{item['characters']:,} characters of {item['language']}: {item['counted']} tokens by "
            f"our count, {item['billed']} billed; of the quota {item['expected_charge']} expected, "
            f"{charged}"
        )
    names = sorted({name for headers in usage.get("headers", []) for name in headers})
    if usage:
        limits = [name for name in names if name.startswith("x-ratelimit-")]
        yield f"rate limit headers of a success: {', '.join(limits) or 'none'}"
