"""Runs that are killed, paused, met by others and followed at once, on an index whose reads lag.

    benchmarks/crash_points.py [SEEDS [FIRST_SEED]]

First so many lives of an index (1,000), each with random edits, kills, pauses and second runs at
random requests: after each, every chunk must be named by exactly one record, every record's chunks
must be there, and nothing stale is found. Then what lags cost, by lag and number of replicas. The
pipeline and the index are the real ones; time, documents and the model are not.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ingest.errors import BusyError
from tests.pipeline.worlds import World, edit, live, race

LAGS = (0.0, 1.0, 3.0, 8.0, 45.0)  # seconds, of the slower replica
RACES, SERIES, RUNS = 20, 20, 5  # per lag and number of replicas


def main() -> int:
    """Print failures, and the table of lags; returns the number of failures."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    failures = sum(not survives(seed) for seed in range(first, first + seeds))
    print(f"{seeds} lives: {failures} with an index that is not what its files say")
    print(
        "lag replicas  at once  paid twice  stale or left over  an unchanged run at once  requests"
    )
    for lag in LAGS:
        for replicas in (1, 2):
            print_costs(lag, replicas)
    return failures


def survives(seed: int) -> bool:
    """One life; whether the index was right after it."""
    world = World(lag=LAGS[seed % len(LAGS)], replicas=1 + seed // len(LAGS) % 2)
    try:
        live(world, seed)
    except AssertionError as error:
        print(f"seed {seed}: {error}")
        return False
    return True


def print_costs(lag: float, replicas: int) -> None:
    """Print a line: two runs at once, and edits between runs that follow one another at once."""
    at_once, twice = 0, 0
    wrong = 0
    for seed in range(RACES):
        world = World(lag=lag, replicas=replicas, files={"a.pdf": "one two", "b.pdf": "three"})
        codes = race(world, seed)
        paid = sum(world.paid.values()) - len(world.paid)
        twice += paid
        at_once += bool(paid) or (BusyError.exit_code not in codes and 0 not in codes)
        wrong += is_wrong(world)
    for seed in range(SERIES):
        random, world = Random(seed), World(lag=lag, replicas=replicas)
        world.files["0.pdf"] = "w0 w1"
        for _ in range(RUNS):
            world.run()
            before = Counter(world.paid)
            world.run()  # with nothing to do
            twice += sum((world.paid - before).values())
            edit(world, random)
        world.run()
        wrong += is_wrong(world)
    world.run()
    started = world.clock.now()
    numbers = [0]
    world.run(numbers.append)
    took = world.clock.now() - started
    print(
        f"{lag:3.0f} {replicas:8}  {at_once:7}  {twice:10}  {wrong:18}  "
        f"{took:22.1f} s  {numbers[-1]:8}"
    )


def is_wrong(world: World) -> bool:
    """Return whether the index is not what the files say."""
    try:
        world.check()
    except AssertionError:
        return True
    return False


if __name__ == "__main__":
    raise SystemExit(main())
