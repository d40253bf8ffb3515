"""Install the locked packages into .venv, on any system; safe to run concurrently.

Called by scripts/environment and scripts/environment.ps1.

Uses only the standard library. The stamp, a copy of the lock file, is written last, so that an
interrupted installation does not count as complete.
"""

import errno
import importlib.util
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"


def main(kind: str, venv: Path) -> int:
    """Create or complete the environment; returns an exit code."""
    if not (LOCKS / f"{kind}.txt").is_file():
        print(f"scripts/environment {kind}: expected run, ocr, multilingual, emulator or dev")
        return 2
    if not all(map(importlib.util.find_spec, ("venv", "ensurepip"))):
        print("This Python cannot create environments: on Debian, apt install python3-venv")
        return 2
    try:
        venv.mkdir(parents=True, exist_ok=True)
        with exclusive(venv / "lock"):
            return complete(kind, venv)
    except KeyboardInterrupt:
        print("Stopped; run it again to continue.")
        return 130
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "free some space" if full else "clone the project to a writable folder"
        print(f"Cannot write {venv} ({error.strerror}): {remedy}, or set INGEST_VENV=FOLDER.")
        return 2


@contextmanager
def exclusive(file: Path) -> Iterator[None]:
    """Lock a file until the end of the block or of the process; waits for other holders.

    SQLite's is the one file lock that the standard library has on every system.
    """
    file.touch()  # raises OSError, with its reason, where SQLite would only say that it cannot open
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as database:
        while True:
            try:
                database.execute("BEGIN EXCLUSIVE")
                break
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    raise OSError(errno.EIO, str(error)) from error
            time.sleep(0.2)
        yield


def interpreter(venv: Path, system: str = os.name) -> Path:
    """Path of the environment's Python; `system` as `os.name` has it."""
    return venv / ("Scripts/python.exe" if system == "nt" else "bin/python")


def complete(kind: str, venv: Path) -> int:
    """Install what is missing, unless another process did so while this one waited for the lock."""
    python = interpreter(venv)
    if python.exists() and is_complete(kind, venv):
        return 0
    started = time.monotonic()
    for stamp in venv.glob("*.txt"):
        if not is_complete(stamp.stem, venv):
            stamp.unlink()  # otherwise it would be valid again after a checkout of its version
    print(f"Setting up {venv} with Python {sys.version.split()[0]} ...", flush=True)
    if not (python.exists() or create_venv(venv)):
        return 2
    add_checkout_to_path(venv)
    print(f"Installing the packages of requirements/{kind}.txt ...", flush=True)
    if not install_packages(kind, python):
        print(
            "The packages could not be installed, see above. Fix that (the network, the disk, "
            "pip's settings), and run it again to continue."
        )
        return 2
    for each in (kind, *contained_locks(kind)):
        shutil.copyfile(LOCKS / f"{each}.txt", venv / f"{each}.txt")
    print(f"Done in {time.monotonic() - started:.0f} s.", flush=True)
    return 0


def is_complete(kind: str, venv: Path) -> bool:
    """Return whether the environment has the packages of the current lock file."""
    lock, stamp = LOCKS / f"{kind}.txt", venv / f"{kind}.txt"
    return lock.exists() and stamp.exists() and lock.read_bytes() == stamp.read_bytes()


def create_venv(venv: Path) -> bool:
    """Create an environment with only pip; if that fails, print why and return False."""
    from venv import create

    # Parts of an environment without its Python.
    for part in ("bin", "include", "lib", "lib64", "Scripts"):
        if (venv / part).is_symlink():
            (venv / part).unlink()
        shutil.rmtree(venv / part, ignore_errors=True)
    create(venv, symlinks=os.name != "nt")  # which Windows allows to few
    ensurepip = [str(interpreter(venv)), "-I", "-m", "ensurepip", "--default-pip"]
    done = subprocess.run(
        ensurepip, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        print(f"pip could not be installed into {venv}: {pip_errors(done.stdout.splitlines())[0]}")
    return not done.returncode


def add_checkout_to_path(venv: Path) -> None:
    """Let the environment's Python import this checkout's packages from any folder."""
    for site in (*venv.glob("lib/python3*/site-packages"), *venv.glob("Lib/site-packages")):
        # A relative path if possible, so that the checkout can be moved.
        place = os.path.relpath(ROOT, site) if venv.parent == ROOT else ROOT
        (site / "ingest.pth").write_text(f"{place}\n", encoding="utf-8")


def install_packages(kind: str, python: Path) -> bool:
    """Install the packages of a lock file with pip; if that fails, print why and return False.

    Of pip's output, only large downloads and errors are shown. Nothing is compiled in advance:
    Python compiles only what it imports, which is a small part.
    """
    pip = [str(python), "-I", "-m", "pip", "install", "--disable-pip-version-check"]
    # The lock file is complete, so pip need not resolve dependencies.
    locked = ["--require-hashes", "--no-deps", "--only-binary", ":all:"]
    quick = ["--no-compile", "--progress-bar", "off", "-r", str(LOCKS / f"{kind}.txt")]
    lines: list[str] = []
    with subprocess.Popen(
        [*pip, *locked, *quick], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout
        for line in map(str.rstrip, process.stdout):
            lines.append(line)
            if large := re.search(r"([\w.]+)-\d\S* \((\S+ MB)\)", line):
                print(f"  {large[1]}, {large[2]}", flush=True)
            elif line.startswith("Installing collected"):
                print("  unpacking", flush=True)
            elif "Retrying (Retry(total=4" in line:  # the first of five
                print("  the network does not respond; retrying", flush=True)
    if process.returncode:
        print("\n".join(pip_errors(lines)))
    return not process.returncode


def pip_errors(lines: list[str]) -> list[str]:
    """Error lines of pip's output, or its last line if there are none."""
    for number, line in enumerate(lines):
        if line.startswith("ERROR"):
            return lines[number:]
    return [line for line in lines if line][-1:] or ["pip printed nothing"]


def contained_locks(kind: str) -> list[str]:
    """Names of the other lock files whose lines are all in this one."""
    lines = {lock.stem: set(lock.read_text().splitlines()) for lock in LOCKS.glob("*.txt")}
    return [other for other in sorted(lines) if lines[other] <= lines[kind] and other != kind]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
