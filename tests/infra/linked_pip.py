"""A pip that takes what lock files name from the environment that the tests run in.

No registry is asked, and nothing is compiled: files are linked, hard, as a reader of documents may
not follow links out of its environment. What this cannot show is that a registry has the locked
files. All else is left to the real pip.

    python -m tests.infra.linked_pip FOLDER       makes an environment with such a pip, for builds
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import distributions
from itertools import pairwise
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
SITE = Path(sysconfig.get_path("purelib"))
SCRIPT = """#!{python}
import sys
from {module} import {function}
if __name__ == "__main__":
    sys.exit({function}())
"""


def stock(environment: Path, *locks: Path) -> None:
    """Give an environment the packages of these lock files. Raises LookupError if one lacks."""
    installed = {normal(each.metadata["Name"]): each for each in distributions(path=[str(SITE)])}
    wanted = {name for lock in locks for name in locked_names(lock)}
    if lacking := wanted - installed.keys():
        raise LookupError(f"not installed here: {', '.join(sorted(lacking))}")
    (site,) = environment.glob("lib/python*/site-packages")
    for name in wanted:
        for path in installed[name].files or ():
            if ".." not in path.parts and (SITE / path).exists():
                link(SITE / path, site / path)
        for entry in installed[name].entry_points.select(group="console_scripts"):
            script = environment / "bin" / entry.name
            values = {"python": environment / "bin/python", "module": entry.module}
            script.write_text(SCRIPT.format(**values, function=entry.attr))
            script.chmod(0o755)


def link(file: Path, to: Path) -> None:
    """Link a file, or copy it where it lies on another disk."""
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, to)
    except OSError:
        shutil.copy2(file, to)


def locked_names(lock: Path) -> list[str]:
    """The names in a lock file, of what this Python and system need."""
    lines = re.findall(r"^[^\s#-].*?(?= \\$|$)", lock.read_text(), re.MULTILINE)
    needed = map(Requirement, lines)
    return [normal(each.name) for each in needed if not each.marker or each.marker.evaluate()]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pip(*arguments: str) -> int:
    """One call of pip; returns its exit code."""
    locks = [Path(lock) for option, lock in pairwise(arguments) if option == "-r"]
    if not locks:
        call = [sys.executable, "-m", "pip", *arguments]
        return subprocess.run(call, env=os.environ | {"PIP_NO_INDEX": "1"}).returncode
    assert "--require-hashes" in arguments
    if arguments[0] == "--python":  # else for the builds, which find it here
        stock(Path(arguments[1]).parent.parent, *locks)
    return 0


def main(*arguments: str) -> int:
    if arguments[0] == "pip":
        return pip(*arguments[1:])
    venv.create(arguments[0])
    script = Path(arguments[0], "bin/pip")
    call = f"PYTHONPATH='{ROOT}' exec '{sys.executable}' -P -m tests.infra.linked_pip pip"
    script.write_text(f'#!/bin/sh\n{call} "$@"\n')
    script.chmod(0o755)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
