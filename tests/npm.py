"""Install locked npm packages for tests, next to their package-lock.json."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

from tests.needs import UNREACHABLE

QUIETLY = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
BRIEFLY = ("--fetch-retries=1", "--fetch-timeout=60000")
OFFLINE = "ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH"


def install(folder: Path) -> None:
    """Install the locked packages of a folder, unless they are up to date.

    Skips the test if the registry cannot be reached; see needs.py.
    """
    lock = folder / "package-lock.json"
    stamp = folder / "node_modules" / lock.name  # written last
    with FileLock(folder / ".lock"):
        if stamp.exists() and stamp.read_bytes() == lock.read_bytes():
            return
        call = ["npm", "ci", *QUIETLY, *BRIEFLY]
        done = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode and re.search(OFFLINE, done.stderr):
            pytest.skip(UNREACHABLE)
        assert done.returncode == 0, done.stderr
        shutil.copy(lock, stamp)
