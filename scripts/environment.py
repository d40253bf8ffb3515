"""Fill .venv with the locked packages. Called by scripts/environment; safe to call twice at once.

Needs nothing but the standard library. The stamp, a copy of the lock file, is written last: an
environment that was interrupted is not taken for a finished one.
"""

import errno
import fcntl
import importlib.util
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"


def main(kind: str, venv: Path) -> int:
    """Make or complete the environment; returns an exit code."""
    if not all(map(importlib.util.find_spec, ("venv", "ensurepip"))):
        print("This Python cannot make environments: on Debian, apt install python3-venv")
        return 2
    try:
        venv.mkdir(parents=True, exist_ok=True)
        with (venv / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return complete(kind, venv)
    except KeyboardInterrupt:
        print("Stopped; calling again goes on from here.")
        return 130
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "make room there" if full else "clone the project to where you may write"
        print(f"Cannot write {venv} ({error.strerror}): {remedy}, or set INGEST_VENV=FOLDER.")
        return 2


def complete(kind: str, venv: Path) -> int:
    """Do what is missing, unless another process did while we waited for the lock."""
    python = venv / "bin" / "python"
    if python.exists() and stamped(kind, venv):
        return 0
    began = time.monotonic()
    for stamp in venv.glob("*.txt"):
        if not stamped(stamp.stem, venv):
            stamp.unlink()  # or it would count again in a checkout of its day
    print(f"Setting up {venv} with Python {sys.version.split()[0]} ...", flush=True)
    if not (python.exists() or made(venv)):
        return 2
    findable(venv)
    print(f"Installing the packages of requirements/{kind}.txt ...", flush=True)
    if not installed(kind, python):
        print(
            "The packages could not be installed, see above. Mend that (the network, the disk, "
            "pip's settings), and call again: it goes on from here."
        )
        return 2
    for each in (kind, *contained(kind)):
        shutil.copyfile(LOCKS / f"{each}.txt", venv / f"{each}.txt")
    print(f"Done in {time.monotonic() - began:.0f} s.", flush=True)
    return 0


def stamped(kind: str, venv: Path) -> bool:
    """Return whether an environment has the packages of a lock file as it is now."""
    lock, stamp = LOCKS / f"{kind}.txt", venv / f"{kind}.txt"
    return lock.exists() and stamp.exists() and lock.read_bytes() == stamp.read_bytes()


def made(venv: Path) -> bool:
    """Make an environment with pip and nothing else; False if that failed, which was said."""
    from venv import create

    for part in ("bin", "include", "lib", "lib64"):  # of one whose Python is gone
        if (venv / part).is_symlink():
            (venv / part).unlink()
        shutil.rmtree(venv / part, ignore_errors=True)
    create(venv, symlinks=True)
    ensurepip = [str(venv / "bin" / "python"), "-I", "-m", "ensurepip", "--default-pip"]
    done = subprocess.run(
        ensurepip, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        print(f"pip could not be installed into {venv}: {errors(done.stdout.splitlines())[0]}")
    return not done.returncode


def findable(venv: Path) -> None:
    """Let the environment's Python import this checkout's packages, from anywhere."""
    # Relative where it can be: a checkout that is moved stays whole.
    place = "../../../.." if venv.parent == ROOT else str(ROOT)
    for site in venv.glob("lib/python3*/site-packages"):
        (site / "ingest.pth").write_text(f"{place}\n", encoding="utf-8")


def installed(kind: str, python: Path) -> bool:
    """Let pip install the packages of a lock file; False if that failed, which was said.

    Of what it says, what is large is shown while that is downloaded, and the errors. Nothing is
    compiled: Python compiles what it imports, which is a small part.
    """
    pip = [str(python), "-I", "-m", "pip", "install", "--disable-pip-version-check"]
    # The lock file names all that is needed, and no more is looked for.
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
            elif "Retrying (Retry(total=4" in line:  # the first of five times
                print("  the network does not answer yet", flush=True)
    if process.returncode:
        print("\n".join(errors(lines)))
    return not process.returncode


def errors(lines: list[str]) -> list[str]:
    """What pip says of its failure: its errors, or if it names none, its last line."""
    for number, line in enumerate(lines):
        if line.startswith("ERROR"):
            return lines[number:]
    return [line for line in lines if line][-1:] or ["it said nothing"]


def contained(kind: str) -> list[str]:
    """The other lock files of which every line is in that one too."""
    lines = {lock.stem: set(lock.read_text().splitlines()) for lock in LOCKS.glob("*.txt")}
    return [other for other in sorted(lines) if lines[other] <= lines[kind] and other != kind]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
