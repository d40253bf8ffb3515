"""Packages that npm installs for tests, locked, into the folder that names them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from filelock import FileLock


def install(folder: Path) -> None:
    """Put the locked packages there, unless they are there already."""
    lock = folder / "package-lock.json"
    stamp = folder / "node_modules" / lock.name  # written last
    with FileLock(folder / ".lock"):
        if stamp.exists() and stamp.read_bytes() == lock.read_bytes():
            return
        quietly = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(
            ["npm", "ci", *quietly], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        shutil.copy(lock, stamp)
