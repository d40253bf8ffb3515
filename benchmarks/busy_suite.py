"""The suite on a busy machine: all tests beside four busy loops a core, several times in a row.

    benchmarks/busy_suite.py [TIMES] [LOOPS]     three times; no loops: as it is on a quiet machine

Unlike the others it ends with 1 where a run fails: that it passes is the claim.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(times: int = 3, loops: int = 4 * (os.cpu_count() or 1)) -> int:
    """Run the suite so many times beside so many loops; returns an exit code."""
    failed = 0
    for number in range(1, times + 1):
        with ExitStack() as busy:
            for _ in range(loops):
                loop = subprocess.Popen([sys.executable, "-c", "while True: pass"])
                busy.callback(loop.wait)
                busy.callback(loop.kill)
            wall, before = time.monotonic(), cpu()
            call = [ROOT / "scripts/test"]
            done = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=False)
            took, spent = time.monotonic() - wall, cpu() - before
        failed += done.returncode != 0
        result = "passed" if done.returncode == 0 else f"FAILED ({done.returncode})"
        print(f"{number} of {times}, {loops} loops: {result}, {took:.0f} s, {spent:.0f} s of CPU")
        if done.returncode:
            print(done.stdout[-20_000:])
    return min(failed, 1)


def cpu() -> float:
    """The CPU seconds of all children that have ended and were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
