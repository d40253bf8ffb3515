"""Setting up, as a stranger does: the scripts, a strange path, the built wheel."""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT, run_process
from tests.pdfs import prose, write


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The project at a path with spaces, with the environment that is already there."""
    copy = tmp_path / "my PDFs & projects"
    copy.mkdir()
    for name in ("ingest", "scripts", "requirements"):
        shutil.copytree(ROOT / name, copy / name)
    (copy / ".venv").symlink_to(ROOT / ".venv")
    return copy


def test_the_script_works_from_anywhere_and_from_a_path_with_spaces(
    checkout: Path, tmp_path: Path
) -> None:
    """Wherever I cloned it and wherever I am, folders are relative to where I am.

    A file of mine that is called like one of theirs is not run.
    """
    here = tmp_path / "else where"
    write(here / "docs/a.pdf", prose("lathes"))
    (here / "numpy.py").write_text("raise SystemExit('mine')")
    (here / "ingest").mkdir()

    done = run_process(checkout / "scripts/ingest", "run", "docs", cwd=here, PYTHONPATH="")

    assert done.returncode == 0, done.stderr
    assert "1 new" in done.stdout
    assert (here / ".ingest/index.db").exists()


def test_an_old_python_is_named(checkout: Path, tmp_path: Path) -> None:
    """I learn which Python I have and which I need, before anything is installed."""
    (checkout / ".venv").unlink()
    old = tmp_path / "old-python"
    # Answers what the script asks of a Python, as 3.9 would.
    old.write_text('#!/bin/sh\ncase "$2" in *print*) echo 3.9;; *) exit 1;; esac\n')
    old.chmod(0o755)

    done = run_process(checkout / "scripts/ingest", "--help", cwd=tmp_path, PYTHON=str(old))

    assert done.returncode == 2
    assert f"ingest needs Python 3.11 or newer; found: {old}=3.9." in done.stderr
    assert not (checkout / ".venv").exists()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as people install it."""
    out = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    done = run_process(*pip, "--wheel-dir", out, ROOT, cwd=out)
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_runs_the_main_job(wheel: Path, tmp_path: Path) -> None:
    """What is installed is complete: the files in it, not those of the checkout, do the job."""
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
        names = archive.namelist()
    assert not any(name.startswith(("tests", "scripts", "data", "examples")) for name in names)
    assert "ingest/py.typed" in names  # or no type checker looks at its types
    write(tmp_path / "docs/a.pdf", prose("lathes"))

    def run_installed(*arguments: str) -> str:
        python = [sys.executable, "-P", *arguments]
        done = run_process(*python, cwd=tmp_path, PYTHONPATH=str(site))
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "1 new" in run_installed("-m", "ingest", "run", "docs")
    code = (
        "import ingest; from ingest.cli import main; print(ingest.__file__); "
        "main(['search', 'lathes']); main(['report'])"
    )
    module, *found = run_installed("-c", code).splitlines()
    assert module.startswith(str(site))
    assert found[0].startswith("a.pdf")
    assert "a.pdf" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("package", "arguments", "extra"),
    [("onnxruntime", ["run", "docs"], "local"), ("jinja2", ["report"], "report")],
)
def test_without_an_extra_the_remedy_is_named(
    tmp_path: Path, package: str, arguments: list[str], extra: str
) -> None:
    """Where the extra is not installed I am told what to install, in one line."""
    write(tmp_path / "docs/a.pdf", prose("lathes"))
    code = (
        f"import sys; sys.modules['{package}'] = None\n"
        f"from ingest.cli import main; sys.exit(main({arguments}))"
    )
    done = run_process(sys.executable, "-P", "-c", code, cwd=tmp_path)

    assert done.returncode == 2
    assert f"pip install '.[{extra}]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_samples_are_what_their_script_writes(tmp_path: Path) -> None:
    """Every sample PDF can be rebuilt bit for bit from its text."""
    done = run_process(sys.executable, ROOT / "scripts/make_data", tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr

    made = {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*.pdf")}
    kept = {
        path.relative_to(ROOT): path.read_bytes()
        for folder in ("data", "tests/data/broken")
        for path in (ROOT / folder).rglob("*.pdf")
    }
    assert set(map(os.fspath, made)) == set(map(os.fspath, kept))
    assert [name for name in made if made[name] != kept[name]] == []
