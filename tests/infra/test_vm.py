"""infra/vm/: the nodes of a cluster on plain machines, as far as can be known without one."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import PurePosixPath

import yaml

from ingest.config.settings import Settings, build_settings, environment_settings
from tests.conftest import ROOT

TEXT = (ROOT / "infra/vm/cloud-init.yaml").read_text()
NODE = yaml.safe_load(TEXT)
FILES = {PurePosixPath(each["path"]).name: each["content"] for each in NODE["write_files"]}
IDENTITY = {"AZURE_TOKEN_CREDENTIALS"}  # read by azure-identity alone


class Unit(ConfigParser):
    """A unit of systemd, whose names have capitals."""

    def __init__(self, name: str) -> None:
        super().__init__(interpolation=None, strict=True)
        self.read_string(FILES[name])

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def test_it_is_a_file_that_cloud_init_runs() -> None:
    """It says so in its first line, and each command is one, not what YAML makes of a colon."""
    assert TEXT.startswith("#cloud-config\n")
    assert NODE.keys() == {"package_update", "packages", "write_files", "runcmd"}
    assert all(isinstance(command, str) for command in NODE["runcmd"])
    assert all(each.keys() == {"path", "content"} for each in NODE["write_files"])


def test_every_unit_starts_what_is_installed() -> None:
    """Units run the two programs of the environment that the commands make, as nobody."""
    made = " ".join(NODE["runcmd"])
    assert "python3 -m venv /opt/ingest" in made
    for name in ("dask-scheduler.service", "dask-worker.service", "ingest.service"):
        service = Unit(name)["Service"]
        program, *arguments = service["ExecStart"].split()
        assert PurePosixPath(program).parent == PurePosixPath("/opt/ingest/bin")
        assert service["DynamicUser"] == service["PrivateTmp"] == "yes"
        kind = arguments[0]
        assert (PurePosixPath(program).name, kind) in {
            ("dask", "scheduler"),
            ("dask", "worker"),
            ("ingest", "run"),
        }
    assert Unit("ingest.timer")["Timer"]["OnCalendar"].endswith("02:00:00 UTC")


def test_the_packages_are_the_locked_ones() -> None:
    """All nodes have the same versions, those that were tested."""
    (command,) = (each for each in NODE["runcmd"] if "--require-hashes" in each)
    named = re.findall(r"-r (\S+)", command)
    assert named == [f"requirements/{name}.txt" for name in ("core", "telemetry", "dask")]
    assert all((ROOT / name).exists() for name in named)


def test_what_a_node_is_told_are_settings() -> None:
    """No name is made up, and the engine is where its scheduler listens."""
    told = dict(line.split("=", 1) for line in FILES["ingest.env"].splitlines())
    assert told.keys() - IDENTITY <= {item.metadata["env"] for item in environment_settings()}
    filled = {
        name: "https://name.example" if name.endswith("_ENDPOINT") else fill_in(value)
        for name, value in told.items()
    }
    (port,) = re.findall(r"--port (\d+)", FILES["dask-scheduler.service"])
    read = build_settings(filled | {"AZURE_OPENAI_EMBEDDING_DIMENSIONS": "1536"}, {})
    assert read.engine.endswith(f":{port}")
    assert told["INGEST_ENGINE"] in FILES["dask-worker.service"]
    assert read.hosted
    assert read.openai_client_id
    assert not re.search(r"KEY|SECRET|PASSWORD", TEXT)


def fill_in(value: str) -> str:
    """A value whose variable has one."""
    return re.sub(r"\$\{\w+\}", "something", value)


def test_a_driver_has_the_time_to_end_in_order() -> None:
    """It may settle what is under way, and is not begun again for broken PDFs."""
    service = Unit("ingest.service")["Service"]
    assert int(service["TimeoutStopSec"]) >= Settings().grace_seconds + 30
    assert service["RestartPreventExitStatus"] == "2 3"
    assert "SuccessExitStatus" not in service  # what is new is a failure; the rest is given as 0
    name, _, value = service["Environment"].partition("=")
    assert build_settings({name: value}, {}).exit_ok == ("known",)
    assert int(service["RestartSec"]) > 90  # what a killed driver leaves behind: index/lease.py


def test_its_variables_are_explained() -> None:
    """Whatever is to be filled in has its line in docs/scale.md, and the units exist."""
    document = (ROOT / "docs/scale.md").read_text()
    names = set(re.findall(r"\$\{([A-Z_]+)\}", TEXT))
    for name in names - {item.metadata["env"] for item in environment_settings()}:
        assert name in document, name
    assert names >= {"UNITS", "SCHEDULER"}
    for unit in set(re.findall(r"[\w-]+\.(?:service|timer)\b", document)):
        assert unit in FILES
