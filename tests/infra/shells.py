"""Shells that the scripts in scripts/ are run with: sh, and PowerShell where it is installed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.conftest import ROOT

SHELLS = ["sh", *filter(shutil.which, ["pwsh"])]


def script(shell: str, name: str) -> list[str]:
    """Command that runs a script without the user's profile."""
    if shell == "sh":
        return [str(ROOT / f"scripts/{name}.sh")]
    pwsh = shutil.which(shell)
    assert pwsh
    return [pwsh, "-NoProfile", "-NonInteractive", "-File", str(ROOT / f"scripts/{name}.ps1")]


def install(name: str, source: str, folder: Path) -> None:
    """Put a command written in Python into a folder that is to be on PATH."""
    (folder / f"{name}.py").write_text(source)
    command = folder / name
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{folder}/{name}.py" "$@"\n')
    command.chmod(0o755)
