"""The hook that azd runs, with the environment that azd gives it, against the emulator."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT, run_process
from tests.emulator import faults
from tests.emulator.emulator import Azure
from tests.emulator.identity import OPENAI_USER
from tests.emulator.server import Request, Response, Service
from tests.infra.shells import SHELLS, script
from tests.pdfs import prose, write

JOB = {"AZURE_CONTAINER_JOB_NAME": "job-x", "AZURE_RESOURCE_GROUP": "rg-x"}


def hook(
    azure: Azure, *words: str, shell: str = "sh", **more: str
) -> subprocess.CompletedProcess[str]:
    """The hook, as azd starts it: in the project's folder, with the outputs of the deployment."""
    return run_process(
        *script(shell, "postprovision"), *words, cwd=ROOT, **(azure.environment | more)
    )


def indexed_sources(azure: Azure) -> set[str]:
    """The sources that have chunks in the index."""
    azure.search.settle()
    return {d["source"] for d in azure.search.dump("chunks").values() if d["kind"] == "chunk"}


def az(folder: Path, *, running: str = "0", start: int = 0, update: int = 0) -> dict[str, str]:
    """An `az` that notes what it is asked, and the environment that finds it."""
    path = folder / "az"
    log = shlex.quote(str(folder / "asked"))
    path.write_text(
        f'#!/bin/sh\necho "$*" >>{log}\n'
        f'case "$*" in *"execution list"*) echo {running};; *"job start"*) exit {start};;'
        f' *"job update"*) exit {update};; esac\n'
    )
    path.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def read_calls(folder: Path) -> list[str]:
    log = folder / "asked"
    return log.read_text().splitlines() if log.exists() else []


def test_a_fresh_deployment_ends_with_the_samples_in_the_index(azure: Azure) -> None:
    """After `azd up` I can search; running it again pays nothing."""
    done = hook(azure)

    assert done.returncode == 0, done.stderr
    assert len(indexed_sources(azure)) == 13
    paid = len(azure.openai.requests)

    assert hook(azure).returncode == 0
    assert len(azure.openai.requests) == paid > 0


def test_a_folder_of_mine_is_ingested_instead(azure: Azure, folder: Path) -> None:
    """INGEST_POSTPROVISION names it, whatever my shell has set; the log has no secret of mine.

    Right after a deployment my role is minutes old: the hook waits instead of failing. One of my
    PDFs is broken: it is named, the others are in the index, and azd goes on.
    """
    write(folder / "a.pdf", prose("lathes"))
    shutil.copy(ROOT / "tests/data/broken/truncated.pdf", folder)
    azure.identity.default.withdraw(OPENAI_USER)

    def soon(request: Request, service: Service) -> Response:
        refused = service(request)
        azure.identity.default.grant(OPENAI_USER)
        return refused

    azure.faults.add(faults.Fault("too early", soon), "openai", nth=1)

    done = hook(
        azure, INGEST_POSTPROVISION=str(folder), INGEST_INDEX="/nowhere", INGEST_EMBEDDER="local"
    )

    assert done.returncode == 0, done.stderr
    assert "not yet: " in done.stderr
    assert "truncated.pdf" in done.stderr
    assert "filled, except for the documents named above" in done.stderr
    assert indexed_sources(azure) == {"a.pdf"}
    assert azure.identity.issued
    for secret in (azure.identity.secret, *azure.identity.issued):
        assert secret not in done.stdout + done.stderr


@pytest.mark.parametrize(("failure", "code"), [("", 0), ("fail", 1)])
def test_a_service_that_fails_ends_azd_only_if_i_say_so(
    azure: Azure, folder: Path, failure: str, code: int
) -> None:
    """What I cannot mend does not undo a deployment, and I am told how to go on."""
    write(folder / "a.pdf", prose("lathes"))
    azure.faults.add(faults.fail_with(503), "openai")

    done = hook(
        azure,
        INGEST_POSTPROVISION=str(folder),
        INGEST_POSTPROVISION_FAILURE=failure,
        INGEST_RETRY_SECONDS="1",
    )

    assert done.returncode == code, done.stderr
    assert "continue with: azd hooks run postprovision" in done.stderr


@pytest.mark.parametrize("failure", ["warn", "fail"])
def test_what_i_must_put_right_is_always_told(azure: Azure, folder: Path, failure: str) -> None:
    """A setting that cannot be meant ends azd with the remedy, whatever I chose for failures."""
    write(folder / "a.pdf", prose("lathes"))

    done = hook(
        azure,
        INGEST_POSTPROVISION=str(folder),
        INGEST_POSTPROVISION_FAILURE=failure,
        AZURE_OPENAI_EMBEDDING_DIMENSIONS="many",
    )

    assert done.returncode == 2
    assert "AZURE_OPENAI_EMBEDDING_DIMENSIONS=many: expected a whole number" in done.stderr


def test_outside_of_azd_it_says_how_it_is_run(azure: Azure) -> None:
    """Started by hand without azd's environment, it does not fill some local index."""
    done = hook(azure, AZURE_SEARCH_ENDPOINT="")
    assert done.returncode == 2
    assert "azd hooks run postprovision" in done.stderr


def test_it_can_be_skipped_and_a_misspelt_choice_is_named(azure: Azure) -> None:
    """`skip` does nothing; a word that means nothing is not taken for another."""
    assert hook(azure, INGEST_POSTPROVISION="skip").returncode == 0
    assert azure.exchanges == []
    done = hook(azure, INGEST_POSTPROVISION_FAILURE="ignore")
    assert done.returncode == 2
    assert "expected warn or fail" in done.stderr


def test_after_a_deployment_only_the_job_is_started(azure: Azure, tmp_path: Path) -> None:
    """The same hook after `azd deploy` does not ingest from here a second time."""
    assert hook(azure, "deployed").returncode == 0
    assert azure.exchanges == []

    done = hook(azure, "deployed", INGEST_POSTPROVISION="job", **JOB, **az(tmp_path))
    assert done.returncode == 0, done.stderr
    assert read_calls(tmp_path)[-1].startswith("containerapp job start --name job-x")
    assert azure.exchanges == []


@pytest.mark.parametrize("shell", SHELLS)
def test_private_endpoints_mean_the_job(azure: Azure, tmp_path: Path, shell: str) -> None:
    """Where I cannot reach the services from here, the job fills the index without my saying so."""
    private = {"INFRA_PRIVATE_ENDPOINTS": "true"} | JOB | az(tmp_path)
    image = {"SERVICE_INGEST_IMAGE_NAME": "registry/ingest:1"}

    first = hook(azure, shell=shell, **private)
    assert first.returncode == 0
    assert "azd deploy gives it one" in first.stderr
    assert read_calls(tmp_path) == []

    dry = hook(azure, "--dry-run", shell=shell, **image, **private)
    start = "containerapp job start --name job-x --resource-group rg-x"
    assert (dry.returncode, dry.stdout) == (0, f"az {start}\n")

    later = hook(azure, shell=shell, **image, **private)
    assert later.returncode == 0
    assert "the job was started" in later.stderr
    query = (
        "containerapp job execution list --name job-x --resource-group rg-x "
        "--query length([?properties.status=='Running']) --output tsv"
    )
    assert read_calls(tmp_path) == [query, query, f"{start} --output none"]
    assert azure.exchanges == []


@pytest.mark.parametrize("shell", SHELLS)
def test_the_job_of_blob_events_gets_the_image_that_was_deployed(
    azure: Azure, tmp_path: Path, shell: str
) -> None:
    """A deployment reaches one job only; both must run the same program."""
    more = {
        "AZURE_CONTAINER_EVENT_JOB_NAME": "job-events-x",
        "AZURE_SUBSCRIPTION_ID": "sub-1",
        "SERVICE_INGEST_IMAGE_NAME": "registry/ingest:2",
        "INGEST_POSTPROVISION": "skip",
    }
    update = (
        "containerapp job update --name job-events-x --resource-group rg-x --subscription sub-1 "
        "--image registry/ingest:2"
    )
    assert hook(azure, shell=shell, **more, **JOB, **az(tmp_path)).returncode == 0
    assert read_calls(tmp_path) == []  # it is the deployment that changes the image

    dry = hook(azure, "deployed", "--dry-run", shell=shell, **more, **JOB, **az(tmp_path))
    assert (dry.returncode, dry.stdout, read_calls(tmp_path)) == (0, f"az {update}\n", [])

    done = hook(azure, "deployed", shell=shell, **more, **JOB, **az(tmp_path))
    assert done.returncode == 0, done.stderr
    assert read_calls(tmp_path) == [f"{update} --output none"]

    failing = {"INGEST_POSTPROVISION_FAILURE": "fail"} | az(tmp_path, update=1)
    done = hook(azure, "deployed", shell=shell, **more, **JOB, **failing)
    assert (done.returncode, done.stdout) == (1, "")
    assert "did not get the new image; azd provision gives it" in done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_a_dry_run_fills_nothing(azure: Azure, shell: str) -> None:
    """I see what the hook would run after a deployment, and nothing is asked of a service."""
    done = hook(azure, "--what-if", shell=shell)
    assert done.returncode == 0, done.stderr
    ending = "" if shell == "sh" else ".ps1"
    assert done.stdout == f"scripts/ingest{ending} run samples=data/ --wait-for-roles 10m\n"
    assert azure.exchanges == []


def test_a_job_that_runs_is_not_started_twice(azure: Azure, tmp_path: Path) -> None:
    """Two runs on one index would only make the second one fail."""
    done = hook(azure, "deployed", INGEST_POSTPROVISION="job", **JOB, **az(tmp_path, running="1"))
    assert "running already" in done.stderr
    assert not any("job start" in line for line in read_calls(tmp_path))


@pytest.mark.parametrize(("failure", "code"), [("warn", 0), ("fail", 1)])
def test_a_job_that_does_not_start_is_not_said_to_run(
    azure: Azure, tmp_path: Path, failure: str, code: int
) -> None:
    """I am not told that it was started when it was not."""
    more = {"INGEST_POSTPROVISION": "job", "INGEST_POSTPROVISION_FAILURE": failure}
    done = hook(azure, "deployed", **more, **JOB, **az(tmp_path, start=1))
    assert done.returncode == code
    assert "could not be started" in done.stderr
    assert "was started" not in done.stderr
