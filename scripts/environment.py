"""Fill .venv with the locked packages. Called by scripts/environment; safe to call twice at once.

Needs nothing but the standard library. The stamp, a copy of the lock file, is written last: an
environment that was interrupted is not taken for a finished one.
"""

import fcntl
import importlib.util
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"


def main(kind: str) -> int:
    """Make or complete the environment; returns an exit code."""
    if importlib.util.find_spec("ensurepip") is None:
        print("This Python cannot make environments: on Debian, apt install python3-venv")
        return 2
    VENV.mkdir(exist_ok=True)
    with (VENV / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return complete(kind)


def complete(kind: str) -> int:
    """Do what is missing, unless another process did while we waited for the lock."""
    wanted, stamp = ROOT / "requirements" / f"{kind}.txt", VENV / f"{kind}.txt"
    python = VENV / "bin" / "python"
    if python.exists() and stamp.exists() and stamp.read_bytes() == wanted.read_bytes():
        return 0
    print(f"Setting up {VENV} (once; a minute or so) ...", flush=True)
    stamp.unlink(missing_ok=True)
    if not python.exists():
        venv.create(VENV, with_pip=True, symlinks=True)
    pip = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    # The lock file names all that is needed, and no more is looked for.
    locked = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(wanted)]
    done = subprocess.run([*pip, *locked], check=False)
    if done.returncode:
        print("The packages could not be installed; see above. Calling again goes on from here.")
        return 2
    shutil.copy(wanted, stamp)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
