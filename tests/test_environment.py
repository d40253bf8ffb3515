"""The environment that the scripts set up: what it says, what it keeps, how it fails.

The checkout here is a copy whose lock files name no packages, so that nothing is downloaded.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import sqlite3
import sys
from pathlib import Path
from subprocess import CompletedProcess
from types import ModuleType

import pytest

from tests.conftest import ROOT, run_process
from tests.infra.shells import SHELLS, install, script

# Settings of this machine's pip lead nowhere: what is asked for cannot be had.
OFFLINE = {
    "PIP_CONFIG_FILE": "/dev/null",
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_EXTRA_INDEX_URL": "",
    "PIP_FIND_LINKS": "",
    "PIP_RETRIES": "0",
}
MISSING = f"nothing-that-exists==1.0 --hash=sha256:{'0' * 64}\n"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts, lock files without packages, and an environment made from the first of them."""
    copy = tmp_path_factory.mktemp("projects") / "my PDFs & projects"
    shutil.copytree(ROOT / "scripts", copy / "scripts")
    for kind, text in {"run": "# a\n", "dev": "# a\n# b\n", "missing": MISSING}.items():
        (copy / "requirements").mkdir(exist_ok=True)
        (copy / f"requirements/{kind}.txt").write_text(text)
    (copy / "ingest").mkdir()
    (copy / "ingest/__init__.py").write_text("")
    # What a Python that is gone leaves behind.
    (copy / ".venv/bin").mkdir(parents=True)
    (copy / ".venv/bin/python").symlink_to("/gone/python3")

    done = environment(copy, "run")

    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{copy}/.venv/bin/python\n"
    setting_up, installing, *_, over = done.stderr.splitlines()
    assert setting_up.startswith(f"Setting up {copy}/.venv with Python 3.")
    assert installing == "Installing the packages of requirements/run.txt ..."
    assert over.startswith("Done in ")
    return copy


def environment(checkout: Path, kind: str, **more: str) -> CompletedProcess[str]:
    """Run `scripts/environment`, which the other scripts call."""
    script = checkout / "scripts/environment"
    return run_process(script, kind, cwd=checkout.parent, **OFFLINE | {"INGEST_VENV": ""} | more)


def test_a_second_call_does_nothing(checkout: Path) -> None:
    """Only the first command takes its time; another says nothing and answers at once."""
    done = environment(checkout, "run", PYTHON="/nowhere")
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unfinished_environment_is_finished(checkout: Path) -> None:
    """A set-up that was interrupted, or of another commit, is not taken for a finished one."""
    (checkout / ".venv/run.txt").write_text("# of another commit\n")

    assert "Done in" in environment(checkout, "run").stderr
    assert environment(checkout, "run").stderr == ""


def test_what_one_command_needs_is_there_for_the_others(checkout: Path) -> None:
    """After the tests ran, the first command has nothing to set up; each adds, none removes."""
    (checkout / ".venv/run.txt").unlink()

    assert "requirements/dev.txt" in environment(checkout, "dev").stderr
    assert environment(checkout, "run").stderr == ""
    assert environment(checkout, "dev").stderr == ""


def test_the_environments_python_finds_the_package(checkout: Path, tmp_path: Path) -> None:
    """I call an example with it from any folder, and a checkout that was moved is whole."""
    moved = checkout.rename(checkout.with_name("moved"))
    try:
        where = ["-c", "import ingest; print(ingest.__file__)"]
        done = run_process(moved / ".venv/bin/python", *where, cwd=tmp_path, PYTHONPATH="")
    finally:
        moved.rename(checkout)
    assert done.stdout == f"{moved}/ingest/__init__.py\n"


def test_a_folder_that_cannot_be_written_is_named(checkout: Path, tmp_path: Path) -> None:
    """The clone is read-only: one line says so, and what to do."""
    (tmp_path / "file").write_text("")

    done = environment(checkout, "run", INGEST_VENV=f"{tmp_path}/file/venv")

    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Cannot write {tmp_path}/file/venv (Not a directory): ")
    assert line.endswith("or set INGEST_VENV=FOLDER.")


@pytest.mark.parametrize("kind", ["--help", "everything"])
def test_an_unknown_set_of_packages_gets_the_known_ones(checkout: Path, kind: str) -> None:
    """A question or a typo installs nothing, and I learn what there is."""
    done = environment(checkout, kind)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"scripts/environment {kind}: expected run, ocr, multilingual, emulator or dev\n"
    )


def test_a_package_that_cannot_be_had_is_named(checkout: Path) -> None:
    """There is no network: pip's error stands above one line that says how to go on."""
    done = environment(checkout, "missing")

    assert (done.returncode, done.stdout) == (2, "")
    *_, error, last = done.stderr.splitlines()
    assert error.startswith("ERROR: No matching distribution found for nothing-that-exists")
    assert last.startswith("The packages could not be installed, see above.")
    assert "Traceback" not in done.stderr
    assert not (checkout / ".venv/missing.txt").exists()


@pytest.fixture
def installer(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """scripts/environment.py, where the modules of POSIX alone cannot be imported."""
    for name in ("fcntl", "pwd", "grp", "resource"):
        monkeypatch.setitem(sys.modules, name, None)
    spec = importlib.util.spec_from_file_location("installer", ROOT / "scripts/environment.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_windows_has_its_own_layout_and_the_same_lock(
    installer: ModuleType, tmp_path: Path
) -> None:
    """Python is found in Scripts there, and two first commands at once do not mix their files."""
    assert installer.interpreter(tmp_path, "nt") == tmp_path / "Scripts/python.exe"
    assert installer.interpreter(tmp_path, "posix") == tmp_path / "bin/python"

    site = tmp_path / "Lib/site-packages"
    site.mkdir(parents=True)
    installer.add_checkout_to_path(tmp_path)
    assert (site / "ingest.pth").read_text() == f"{ROOT}\n"

    lock = tmp_path / "lock"
    other = sqlite3.connect(lock, timeout=0)
    with installer.exclusive(lock), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    other.close()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_python_that_is_too_old_or_only_a_name_is_not_used(tmp_path: Path, shell: str) -> None:
    """The Store's python3 ends with 9009, and pip of Python 3.9 fails late: I am told at once."""
    for version, source in (("none", "raise SystemExit(49)"), ("python=3.9", OLD)):
        install("python", source, tmp_path)
        command = script(shell, "environment")
        done = run_process(
            *command[:-1],
            command[-1].removesuffix(".sh"),
            "run",
            cwd=tmp_path,
            INGEST_VENV=str(tmp_path / "venv"),
            PATH=f"{tmp_path}:/usr/bin:/bin",
            PYTHON="python",
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert f"needs Python 3.11 or newer; found: {version}" in done.stderr
    assert not (tmp_path / "venv").exists()


# Answers as Python 3.9 would: which code is asked for depends on the shell.
OLD = "import sys; print('3.9') if 'print' in sys.argv[2] else sys.exit(1)"


def test_windows_scripts_try_each_python_and_share_the_installer() -> None:
    """Seen in the text, because PowerShell is rarely where the tests run."""
    environment, hook, ingest = (
        (ROOT / f"scripts/{name}.ps1").read_text()
        for name in ("environment", "postprovision", "ingest")
    )
    assert re.search(
        r"foreach \(\$candidate in \$candidates\) \{\s+\$version = Get-Version", environment
    )
    assert "& $candidate -c" in environment
    assert "'environment.py') $Kind $venv" in environment
    assert "'environment.ps1') run" in ingest
    assert "-P -m ingest @args" in ingest
    assert "'ingest.ps1') run $what" in hook
    assert not re.search(r"\bpip\b|venv", hook)


def test_the_emulators_help_installs_nothing(tmp_path: Path) -> None:
    """I look at what it can do before anything is downloaded."""
    done = run_process(
        ROOT / "scripts/azure-emulator", "--help", cwd=tmp_path, INGEST_VENV=f"{tmp_path}/venv"
    )
    assert done.returncode == 0, done.stderr
    assert "--latency" in done.stdout
    assert not (tmp_path / "venv").exists()


def test_what_has_an_environment_is_locked() -> None:
    """Each smaller environment is part of the tests' own: the versions tested are those used."""
    lines = {
        kind: set((ROOT / f"requirements/{kind}.txt").read_text().splitlines())
        for kind in ("run", "ocr", "emulator", "dev")
    }
    assert lines["run"] < lines["ocr"] < lines["dev"]
    assert lines["run"] < lines["emulator"] < lines["dev"]
