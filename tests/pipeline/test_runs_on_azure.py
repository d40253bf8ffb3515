"""Whole runs against an Azure that fails in every way it can. Nothing of an SDK is patched."""

from __future__ import annotations

import json
import logging
import os
import random
import re
import signal
import time
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest.azure.token_hosts import SEARCH_SCOPE
from ingest.errors import BusyError, ConfigError, RoleError, ServiceError
from ingest.index.azure.client import DocumentClient
from ingest.models import Mode
from ingest.pipeline.context import Run
from ingest.pipeline.root import ingest_root
from ingest.runtime.retry import RetryPolicy
from ingest.runtime.timing import CHARGED_TOKENS, THROTTLED_REQUESTS
from ingest.sources.folder import parse_folder_roots
from tests.conftest import (
    ROOT,
    Command,
    drop_times,
    environment,
    outcomes_by_source,
    results_by_source,
    run_ingest,
)
from tests.emulator import faults
from tests.emulator.emulator import Azure, run_emulator
from tests.emulator.gate import hold_requests
from tests.emulator.identity import DATA_CONTRIBUTOR, DATA_READER, OPENAI_USER, SERVICE_CONTRIBUTOR
from tests.emulator.server import Request, Response, Service
from tests.emulator.store import Delays
from tests.fork_server import running_ingest
from tests.pdfs import prose, write
from tests.processes import Process, wait_until
from tests.runs import SPEED, client, managed_token, open_run, run

INDEX = "chunks"


def read_index(azure: Azure) -> dict[str, Any]:
    """The index, but for what tells of runs: when, and by which one, each record was written."""
    azure.search.settle()
    return drop_times(azure.search.dump(INDEX))


def write_first(folder: Path) -> None:
    for n in range(9):
        write(folder / f"{n}.pdf", *(prose(f"topic {n} {page}", 8) for page in range(2)))
    write(folder / "gone.pdf", prose("cranes", 8))


def write_second(folder: Path) -> None:
    write(folder / "1.pdf", prose("saws", 8), prose("topic 1 1", 8), age=50)
    write(folder / "new.pdf", prose("anvils", 12))
    write(folder / "3.pdf", "", age=50)
    (folder / "gone.pdf").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """Two states of a folder, and the index of an undisturbed run over one after the other."""
    base = tmp_path_factory.mktemp("calm")
    folder = base / "docs"
    with run_emulator(dimensions=64) as azure, pytest.MonkeyPatch.context() as patch:
        for name, value in azure.environment.items():
            patch.setenv(name, value)
        write_first(folder)
        run(folder, client(azure))
        middle = read_index(azure)
        write_second(folder)
        run(folder, client(azure))
        wanted = read_index(azure)
    assert middle != wanted
    return base, folder, wanted


@pytest.mark.parametrize("seed", range(4))
def test_a_tenth_of_all_requests_may_fail(
    azure: Azure, calm: tuple[Path, Path, dict[str, Any]], seed: int
) -> None:
    """Throttled, cut off, half refused, unanswered: nothing is lost, doubled or left over."""
    _, folder, wanted = calm
    chosen = client(azure, AZURE_OPENAI_EMBEDDING_DIMENSIONS="64", INGEST_WORKERS="2")
    for path in folder.glob("*.pdf"):
        path.unlink()
    azure.faults.randomly(0.1, seed=seed, services=("openai", "search", "identity"))
    azure.openai.out_of_order = azure.search.results_out_of_order = True

    write_first(folder)
    one = run(folder, chosen)
    write_second(folder)
    two = run(folder, chosen)

    assert {*outcomes_by_source(one).values()} == {"new"}
    assert {*outcomes_by_source(two).values()} == {
        "new",
        "changed",
        "empty",
        "removed",
        "unchanged",
    }
    assert azure.faults.happened
    times = {"modified"}  # of the files, which were written again for this test
    found = read_index(azure)
    assert found.keys() == wanted.keys()
    for key, document in found.items():
        assert {k: v for k, v in document.items() if k not in times} == {
            k: v for k, v in wanted[key].items() if k not in times
        }


def test_documents_refused_inside_a_success_are_sent_again_alone(
    azure: Azure, folder: Path
) -> None:
    """Invariant 7: a 207 is read item by item; only what was refused is sent again."""
    write_first(folder)
    azure.faults.add(faults.refuse(503, every=2), "search", "POST", "docs/search.index", nth=9)

    assert set(outcomes_by_source(run(folder, client(azure))).values()) == {"new"}

    uploads = azure.search.uploads
    chunks = {key: n for key, n in uploads.items() if not key.startswith(("source-", "lease"))}
    assert set(chunks.values()) == {1}


def test_a_document_the_index_will_never_take_fails_alone(
    azure: Azure, folder: Path, tmp_path: Path
) -> None:
    """A permanent refusal fails its document, with the service's words, and is not paid again."""
    write_first(folder)
    bad = next(iter(chunk_keys(azure, folder)))
    azure.search.indexes.clear()
    azure.faults.add(faults.refuse(400, keys=[bad]), "search", "POST", "docs/search.index")

    settings = client(azure, INGEST_JOURNAL=str(tmp_path / "journal"))
    found = results_by_source(run(folder, settings))

    failed = [event for event in found.values() if event.outcome == "failed"]
    assert len(failed) == 1
    assert "a chunk was refused" in failed[0].reason
    assert "400" in failed[0].reason

    azure.faults.planned.clear()
    paid = azure.openai.texts.total()
    assert "failed" not in outcomes_by_source(run(folder, settings)).values()
    assert azure.openai.texts.total() == paid
    assert list((tmp_path / "journal").iterdir()) == []


def chunk_keys(azure: Azure, folder: Path) -> list[str]:
    """The keys of all chunks, from a run that went well."""
    run(folder, client(azure))
    return [key for key, document in read_index(azure).items() if document["kind"] == "chunk"]


def test_a_lost_answer_costs_one_more_request_and_no_copy(azure: Azure, folder: Path) -> None:
    """The service did the work and the answer was lost: doing it again changes nothing."""
    write_first(folder)
    azure.faults.add(faults.drop(), "search", "POST", "docs/search.index", nth={2, 5, 9})
    azure.faults.add(faults.drop(), "openai", nth=1)
    run(folder, client(azure))
    found = read_index(azure)

    azure.faults.quiet()
    azure.search.indexes.clear()
    run(folder, client(azure))
    assert read_index(azure) == found


def test_a_token_revoked_midway_is_replaced(azure: Azure, folder: Path) -> None:
    """Invariant 8: a 401 forces one renewal, and the run goes on."""
    write_first(folder)
    (root,) = parse_folder_roots([str(folder)])
    with open_run(client(azure)) as all_:
        events, revoked = [], False
        for event in ingest_root(root, all_, Run("r")):
            events.append(event)
            if len(outcomes_by_source(events)) >= 2 and not revoked:
                azure.identity.revoke_all()
                revoked = True
        assert len(outcomes_by_source(events)) == 10
        write_second(folder)
        azure.identity.revoke_all()
        again = outcomes_by_source(list(ingest_root(root, all_, Run("r", max_deletes=9))))
    assert "changed" in again.values()


def test_tokens_expire_all_night_and_the_run_goes_on(azure: Azure, folder: Path) -> None:
    """Invariant 8: an hour of the service's time, tokens of ten minutes, and not one failure."""
    azure.identity.valid = 600
    for n in range(60):
        write(folder / f"{n}.pdf", prose(f"topic {n}", 8))
    (root,) = parse_folder_roots([str(folder)])
    with open_run(client(azure)) as all_:
        done = 0
        for event in ingest_root(root, all_, Run("r")):
            if outcomes_by_source([event]):
                done += 1
                azure.clock.advance(60)
    assert done == 60
    assert len(azure.identity.issued) > 5
    assert azure.openai.repeated == {}


def test_throttling_is_waited_out(
    azure: Azure, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Invariant 9: a run waits as long as the service says, and logs the wait."""
    write_first(folder)
    throttled, refused = faults.too_many(seconds=30), list[float]()

    def refuse(request: Request, service: Service) -> Response:
        refused.append(azure.clock.now())
        return throttled.act(request, service)

    azure.faults.add(faults.Fault("429", refuse), "openai", nth={1, 2})
    with caplog.at_level(logging.WARNING, "ingest"):
        logging.getLogger("ingest").propagate = True
        (root,) = parse_folder_roots([str(folder)])
        with open_run(client(azure)) as all_:
            assert set(outcomes_by_source(list(ingest_root(root, all_, Run("r")))).values()) == {
                "new"
            }

    assert (azure.openai.requests[0].at - refused[-1]) * SPEED >= 30
    assert all_.times.counts[THROTTLED_REQUESTS] == 2
    charged = sum(request.estimated for request in azure.openai.requests)
    assert all_.times.counts[CHARGED_TOKENS] == charged
    assert re.search(r"waiting 3\d s: the quota of https://", caplog.text)


def test_a_request_larger_than_the_quota_is_made_smaller(azure: Azure, folder: Path) -> None:
    """`retry after 86400 seconds` means: never like this."""
    write(folder / "a.pdf", *(prose(f"topic {page}", 8) for page in range(6)))  # 24 chunks
    azure.openai.tpm = 600_000
    azure.openai.tpm_window = 0.05  # seconds, so a request of more than 500 tokens never fits

    events = run(folder, client(azure, INGEST_EMBED_INPUTS="40"))

    assert set(outcomes_by_source(events).values()) == {"new"}
    assert max(len(request.inputs) for request in azure.openai.requests) < 20


def test_one_text_the_service_refuses_costs_only_its_document(azure: Azure, folder: Path) -> None:
    """Where the service counts differently, one chunk is named and the batch is not lost."""
    write_first(folder)
    write(folder / "long.pdf", "x" * 60 + "\n" + prose("a much longer text", 2))
    azure.openai.tokens = 40
    found = results_by_source(run(folder, client(azure, INGEST_CHUNK_TOKENS="64")))

    assert {event.outcome for event in found.values()} <= {"failed", "new"}
    failed = [event for event in found.values() if event.outcome == "failed"]
    assert failed
    assert all("the embedding service refused it" in event.reason for event in failed)


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        (OPENAI_USER, ["Cognitive Services OpenAI User", "az cognitiveservices account list"]),
        (DATA_CONTRIBUTOR, ["Search Index Data Contributor", "az resource list"]),
        (SERVICE_CONTRIBUTOR, ["Search Service Contributor"]),
    ],
)
def test_a_missing_role_is_named_with_the_command_that_grants_it(
    azure: Azure, folder: Path, missing: str, words: list[str]
) -> None:
    """Who lacks which role on what, and a command to copy."""
    write_first(folder)
    azure.identity.default.withdraw(missing)
    if missing == DATA_CONTRIBUTOR:
        azure.identity.default.withdraw(DATA_READER)

    with pytest.raises(RoleError) as caught:
        run(folder, client(azure))

    text = str(caught.value)
    for word in (*words, "az role assignment create", azure.identity.default.oid, "tenant"):
        assert word in text
    assert "\n" not in text


def test_new_roles_are_waited_for(azure: Azure, folder: Path) -> None:
    """Right after a deployment the run polls until its roles hold."""
    write_first(folder)
    azure.identity.default.withdraw(OPENAI_USER)
    azure.identity.default.grant(OPENAI_USER, at=azure.clock.now() + 3)

    events = run(folder, client(azure, INGEST_WAIT_FOR_ROLES="10m"))
    assert set(outcomes_by_source(events).values()) == {"new"}


def test_an_identity_that_may_only_write_documents_can_fill_an_index(
    azure: Azure, folder: Path
) -> None:
    """Creating needs a role that filling does not: the job does not wait for it."""
    write_first(folder)
    run(folder, client(azure))
    azure.identity.default.withdraw(SERVICE_CONTRIBUTOR)
    write_second(folder)
    events = run(folder, client(azure, INGEST_WAIT_FOR_ROLES="10s"))
    assert "changed" in outcomes_by_source(events).values()
    assert azure.search.statuses[403] == 1


def test_a_schema_that_differs_is_said_exactly(azure: Azure, folder: Path) -> None:
    """An index with other vectors is left alone, and I learn what differs."""
    write_first(folder)
    run(folder, client(azure))

    with pytest.raises(
        ConfigError, match="embedding has 8 dimensions, not 16; ingest rebuild makes"
    ):
        run(folder, client(azure, AZURE_OPENAI_EMBEDDING_DIMENSIONS="16"))


def test_fields_that_are_missing_are_added(azure: Azure, folder: Path) -> None:
    """An index of an older version is completed, and what it holds stays."""
    write_first(folder)
    run(folder, client(azure))
    before = read_index(azure)
    index = azure.search.indexes[INDEX]
    index.definition["fields"] = [
        f for f in index.definition["fields"] if f["name"] not in {"page_label", "empty_pages"}
    ]
    run(folder, client(azure))
    names = {f["name"] for f in index.definition["fields"]}
    assert {"page_label", "empty_pages"} <= names
    assert read_index(azure).keys() == before.keys()


def test_two_runs_do_not_meet(azure: Azure, folder: Path) -> None:
    """A second run steps back, and may start once the first one is over."""
    write_first(folder)
    with (
        open_run(client(azure)),
        pytest.raises(BusyError, match="another run"),
        open_run(client(azure)),
    ):
        pass
    assert set(outcomes_by_source(run(folder, client(azure))).values()) == {"new"}


def test_two_copies_of_a_job_damage_nothing(azure: Azure, folder: Path) -> None:
    """Two containers started at the same moment: one does it all, one ends with 11."""
    for n in range(3):
        write(folder / f"{n}.pdf", prose(f"topic {n}", 8))
    with (
        command(azure, folder, "run", "docs") as one,
        command(azure, folder, "run", "docs") as two,
    ):
        with hold_requests(azure, "openai"):  # until one has seen that the other is there
            wait_until(lambda: not (one.running() and two.running()))
        codes = {one.wait(): one.stderr.text, two.wait(): two.stderr.text}

    assert codes.keys() == {0, BusyError.exit_code}, codes
    assert "another run" in codes[BusyError.exit_code]
    assert set(azure.openai.texts.values()) == {1}  # nothing was paid for twice
    code, output, _ = run_command(azure, folder, "run", "docs", "-v", "--json")
    assert code == 0
    assert {e["outcome"] for e in map(json.loads, output.splitlines()) if "outcome" in e} == {
        "unchanged"
    }


def test_a_stopped_process_that_goes_on_after_another_run_writes_nothing(
    azure: Azure, folder: Path
) -> None:
    """A laptop is closed over a run, and the nightly job indexes a newer version meanwhile."""
    write(folder / "a.pdf", *(prose(f"saws {page}", 12) for page in range(4)))
    azure.openai.latency = 1.0
    with command(azure, folder, "run", "docs") as process:
        wait_until(lambda: len(azure.openai.requests) >= 1)
        process.send(signal.SIGSTOP)
        azure.openai.latency = 0.0
        then = datetime.now(UTC) - timedelta(seconds=100)
        for key, document in azure.search.dump(INDEX).items():
            if key.startswith("lease"):
                write_old_lease(azure, document | {"settled": then.isoformat(timespec="seconds")})
        write(folder / "a.pdf", prose("anvils", 12), age=50)
        code, _, errors = run_command(azure, folder, "run", "docs")
        assert code == 0, errors
        wanted = read_index(azure)
        process.send(signal.SIGCONT)
        assert process.wait() == BusyError.exit_code, process.stderr.text
    assert "another run has taken over the index" in process.stderr.text
    assert read_index(azure) == wanted


def test_an_index_deleted_midway_is_an_error_and_the_next_run_fills_it(
    azure: Azure, folder: Path
) -> None:
    """Invariant 1: the state lives in the index; a new index is simply not up to date."""
    write_first(folder)
    run(folder, client(azure))
    wanted = read_index(azure)
    azure.search.indexes.clear()
    (root,) = parse_folder_roots([str(folder)])
    with pytest.raises((ConfigError, ServiceError)), open_run(client(azure)) as all_:
        for event in ingest_root(root, all_, Run("r")):
            if outcomes_by_source([event]):
                azure.search.indexes.clear()

    assert set(outcomes_by_source(run(folder, client(azure))).values()) == {"new"}
    assert read_index(azure) == wanted


def test_search_answers_by_words_and_meaning(azure: Azure, folder: Path) -> None:
    """What was indexed is found, with the fields that applications expect."""
    write_first(folder)
    run(folder, client(azure))
    with open_run(client(azure)) as all_:
        question = "says of cranes that item"
        vector = all_.embedder.embed([question])[0]
        for mode in Mode:
            hits = all_.index.search(question, vector, mode, 3)
            assert len(hits) == 3
        assert all_.index.search("cranes", None, Mode.TEXT, 1)[0].fields["source"] == "gone.pdf"


@pytest.mark.parametrize("api_version", ["", "2024-10-21"])
def test_both_forms_of_url_work(azure: Azure, folder: Path, api_version: str) -> None:
    """Endpoints of the v1 API and of the older API work."""
    write_first(folder)
    run(folder, client(azure, AZURE_OPENAI_API_VERSION=api_version))
    route = "deployments" if api_version else "v1"
    assert {request.route for request in azure.openai.requests} == {route}


def test_keys_work_for_who_must(azure: Azure, folder: Path) -> None:
    """A configured key is used and never shown; no token is requested then."""
    write_first(folder)
    azure.openai.local_auth = azure.search.local_auth = True
    keys = {"AZURE_OPENAI_KEY": azure.openai.key, "AZURE_SEARCH_KEY": azure.search.key}
    run(folder, client(azure, **keys))
    assert azure.identity.requests == 0

    with pytest.raises(ConfigError, match="does not accept the API key") as caught:
        run(folder, client(azure, **{**keys, "AZURE_OPENAI_KEY": "wrong-key"}))
        azure.search.indexes.clear()
        run(folder, client(azure, **{**keys, "AZURE_OPENAI_KEY": "wrong-key"}))
    assert "wrong-key" not in str(caught.value)


def test_what_does_not_exist_is_named(azure: Azure, folder: Path) -> None:
    """A deployment or a host that is spelt wrong ends in one line."""
    write_first(folder)
    with pytest.raises(ConfigError, match="does not exist: check the endpoint and the deployment"):
        run(folder, client(azure, AZURE_OPENAI_EMBEDDING_DEPLOYMENT="typo"))
    with pytest.raises(ConfigError, match="cannot be reached"):
        trusted = {"INGEST_TRUSTED_HOSTS": "127.0.0.1,no-such-host.invalid"}
        run(folder, client(azure, AZURE_SEARCH_ENDPOINT="https://no-such-host.invalid", **trusted))


def test_a_new_deployment_is_waited_for(azure: Azure, folder: Path) -> None:
    """Right after it was made, the service says for minutes that there is no such deployment."""
    write_first(folder)
    made = azure.openai.deployments.pop("embeddings")

    def soon(request: Request, service: Service) -> Response:
        refused = service(request)
        azure.openai.deployments["embeddings"] = made
        return refused

    azure.faults.add(faults.Fault("too early", soon), "openai", nth=1)

    events = run(folder, client(azure, INGEST_WAIT_FOR_ROLES="10m"))

    assert set(outcomes_by_source(events).values()) == {"new"}
    assert azure.openai.statuses[404] == 1


def test_a_quiet_index_is_not_asked_for_records_it_does_not_list(
    azure: Azure, folder: Path
) -> None:
    """New documents cost no lookup, unless another run wrote so lately that listings lag behind."""
    write_first(folder)
    run(folder, client(azure))
    asked = azure.count("search", "GET", "docs('source-")
    assert asked == 0  # the index was made by this run

    write(folder / "soon.pdf", prose("soon", 8))
    run(folder, client(azure))
    assert azure.count("search", "GET", "docs('source-") == asked + 1

    later = datetime.now(UTC) - timedelta(minutes=10)
    lease = azure.search.dump(INDEX)["lease"]
    assert lease["run"] == "free"
    write_old_lease(azure, lease | {"settled": later.isoformat(timespec="seconds")})
    write(folder / "later.pdf", prose("later", 8))
    run(folder, client(azure))
    assert azure.count("search", "GET", "docs('source-") == asked + 1


def write_old_lease(azure: Azure, lease: dict[str, Any]) -> None:
    """Write the lease as it would look had the last run been long ago."""
    token = managed_token(SEARCH_SCOPE)
    documents = DocumentClient(
        azure.search_endpoint, INDEX, token, RetryPolicy(), may_be_absent=False
    )
    kept = {name: lease[name] for name in ("id", "kind", "run", "settled", "size")}
    assert documents.write("upload", [kept]) == []
    documents.close()
    azure.search.settle()


COMMANDS = {
    "INGEST_CHUNK_TOKENS": "64",
    "INGEST_EMBED_INPUTS": "6",
    "INGEST_EMBED_AT_ONCE": "2",
}


def command(azure: Azure, folder: Path, *arguments: str) -> AbstractContextManager[Process]:
    """The real command as a client of the emulator."""
    env = environment() | COMMANDS | azure.environment
    return running_ingest(*arguments, cwd=folder.parent, env=env)


def run_command(azure: Azure, folder: Path, *arguments: str) -> tuple[int, str, str]:
    """The real command's exit code, its output and its errors, once it has ended."""
    done = run_ingest(folder.parent, *arguments, **COMMANDS | azure.environment)
    return done.returncode, done.stdout, done.stderr


def test_killed_runs_pay_for_no_text_twice_but_those_in_flight(azure: Azure, folder: Path) -> None:
    """Killed at random moments; the rerun goes on where the killed one was."""
    for n in range(9):
        write(folder / f"{n:02}.pdf", *(prose(f"topic {n} {page}", 12) for page in range(2)))
    azure.openai.latency = 0.15
    moments = random.Random(time.time_ns())
    kills = 2
    for _ in range(kills):
        before = len(azure.openai.requests)
        with command(azure, folder, "run", "docs") as process:
            wait_until(lambda before=before: len(azure.openai.requests) >= before + 2)  # type: ignore[misc]
            time.sleep(moments.uniform(0, 0.6))
            process.send(signal.SIGKILL)
    code, _, errors = run_command(azure, folder, "run", "docs")

    assert code == 0, errors
    in_flight = 6 * 3  # texts in a request, requests at once; what was received is in the journal
    assert len(azure.openai.repeated) <= kills * in_flight
    found = read_index(azure)
    azure.search.indexes.clear()
    assert run_command(azure, folder, "run", "docs")[0] == 0
    assert read_index(azure) == found


def test_no_secret_shows_anywhere_at_any_verbosity(azure: Azure, folder: Path) -> None:
    """Invariant 10: not in a log, an error, a result or a record, even where everything fails."""
    write_first(folder)
    azure.faults.randomly(0.2, seed=3)
    shown = ""
    for arguments in (
        ["run", "docs", "-vvv"],
        ["run", "docs", "--json", "-vvv"],
        ["status", "--json", "-vv"],
    ):
        _, output, errors = run_command(azure, folder, *arguments)
        shown += output + errors
    azure.identity.default.withdraw(OPENAI_USER)
    write(folder / "more.pdf", prose("more"))
    _, output, errors = run_command(azure, folder, "run", "docs", "-vvv")
    shown += output + errors + repr(read_index(azure))

    assert azure.identity.default.oid in shown  # the error is there, and says who
    secrets = [*azure.identity.issued, azure.identity.secret, azure.openai.key, azure.search.key]
    assert len(secrets) > 5
    for secret in secrets:
        assert secret not in shown
        assert secret.split(".")[-1] not in shown or len(secret.split(".")[-1]) < 8
    assert "authorization" not in shown.lower()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_while_the_quota_is_waited_for_is_a_stop(
    azure: Azure, folder: Path, number: signal.Signals, code: int
) -> None:
    """With a small quota that is nearly always: I get my summary, and no error is made of it.

    It says what the service billed, though not all that was under way got its turn.
    """
    write_first(folder)
    azure.openai.tpm = 1500
    azure.environment["INGEST_GRACE_SECONDS"] = "1"
    with command(azure, folder, "run", "docs", "--json") as process:
        wait_until(lambda: len(azure.openai.requests) >= 3)
        process.send(number)
        assert process.wait() == code, process.stderr.text
    spent = json.loads(process.stdout.text.splitlines()[-1])["spent"]
    billed = sum(request.tokens for request in azure.openai.requests)
    assert spent["tokens"] - spent["lost_tokens"] <= billed <= spent["tokens"]
    azure.openai.tpm = None
    assert run_command(azure, folder, "run", "docs")[0] == 0
    assert azure.openai.repeated == {}


def test_a_deadline_is_kept(azure: Azure, folder: Path) -> None:
    """A job with a time limit ends in order, though no answer comes; the next one goes on."""
    for n in range(9):
        write(folder / f"{n:02}.pdf", *(prose(f"topic {n} {page}", 12) for page in range(3)))
    azure.environment["INGEST_GRACE_SECONDS"] = "1"
    with (
        command(azure, folder, "run", "docs", "--deadline", "5s") as process,
        hold_requests(azure, "openai", after=2),  # until it has ended
    ):
        assert process.wait() == 1, process.stderr.text
    assert "stopped early: run again to continue" in process.stdout.text
    assert run_command(azure, folder, "run", "docs")[0] == 0


def test_what_is_written_may_be_seen_late(
    azure: Azure, calm: tuple[Path, Path, dict[str, Any]]
) -> None:
    """A run right after another pays for nothing twice, though searches lag behind."""
    _, folder, wanted = calm
    for path in folder.glob("*.pdf"):
        path.unlink()
    delays = azure.search.delays
    delays.search = delays.lookup = delays.count = 20 / SPEED
    chosen = client(azure, AZURE_OPENAI_EMBEDDING_DIMENSIONS="64")
    write_first(folder)
    run(folder, chosen)
    assert set(outcomes_by_source(run(folder, chosen)).values()) == {"unchanged"}
    assert azure.openai.repeated == {}

    write_second(folder)
    run(folder, chosen)
    assert read_index(azure).keys() == wanted.keys()


def test_a_first_run_says_what_it_wrote(azure: Azure, folder: Path) -> None:
    """The service's counts lag, and still I read how much is in the index that I have filled."""
    write(folder / "a.pdf", prose("lathes"))
    write(folder / "b.pdf", prose("mills"))
    azure.search.delays.search = 3600
    done = run_ingest(folder.parent, "run", "docs", "-v", **azure.environment | COMMANDS)
    assert "holds about 2 files, 40 chunks" in done.stdout, done.stdout + done.stderr
    assert done.stderr.count("the service counts 0 files, 0 chunks so far") == 1


def test_an_error_is_said_at_once_though_others_wait(azure: Azure, folder: Path) -> None:
    """What nobody can mend by waiting does not wait for those that do."""
    write_first(folder)
    azure.faults.add(faults.too_many(seconds=280), "openai", nth=set(range(2, 99)))
    refusing = azure.faults.add(faults.fail_with(400), "search", "POST", "docs/search.index")
    refusing.due = lambda _: len(azure.openai.requests) > 0  # once others wait for the quota
    with pytest.raises(ServiceError, match="refused a request \\(400"):
        run(folder, client(azure))
    assert azure.count("openai") <= 4  # those that had to wait have not come again


def test_a_plan_before_the_first_run_needs_no_index(azure: Azure, folder: Path) -> None:
    """What a first run would cost can be asked before anything exists; nothing is made."""
    write_first(folder)
    code, output, errors = run_command(azure, folder, "plan", "docs")
    assert code == 0, errors
    assert "Files:   10 new" in output
    assert azure.search.indexes == {}
    assert azure.openai.requests == []

    code, _, errors = run_command(azure, folder, "search", "cranes")
    assert code == 2
    assert "chunks on https://" in errors
    assert "is empty or does not exist: ingest run fills it" in errors


def test_any_service_with_the_protocol_embeds(azure: Azure, folder: Path, tmp_path: Path) -> None:
    """A server of one's own, named by its URL, fills an index on this machine."""
    write_first(folder)
    azure.openai.local_auth = True
    own = {
        "INGEST_EMBEDDER": f"{azure.openai_endpoint}/openai/v1",
        "AZURE_OPENAI_KEY": azure.openai.key,
        "INGEST_INDEX": str(tmp_path / "local"),
    }
    assert set(outcomes_by_source(run(folder, client(azure, **own))).values()) == {"new"}
    assert (tmp_path / "local" / "index.db").exists()
    assert azure.search.indexes == {}


def test_no_sdk_is_patched() -> None:
    """What the tests prove of the SDKs holds for the SDKs that users have."""
    tests = ROOT / "tests"
    folders = (each for each in tests.iterdir() if each.name != "azurite")  # npm may fill that now
    for path in (*tests.glob("*.py"), *(path for each in folders for path in each.rglob("*.py"))):
        text = path.read_text()
        for word in ("mock" + ".patch", "monkeypatch.set" + "attr", "unittest" + ".mock"):
            assert word not in text, path
    assert os.environ.get("PYTHONSTARTUP") is None


def test_a_run_that_fails_says_what_was_paid_and_not_written(
    azure: Azure, folder: Path, command: Command
) -> None:
    """The index refuses chunks that were embedded: I read how much, and what becomes of it."""
    write(folder / "a.pdf", prose("lathes", 8))

    def refuse(request: Request, service: Service) -> Response:
        return Response(403) if b'"content":' in request.body else service(request)

    azure.faults.add(faults.Fault("403", refuse), "search", "POST", "docs/search.index")
    failed = command("run", str(folder), **azure.environment)
    assert failed.returncode == ConfigError.exit_code
    lost = r"[1-9]\d* tokens were paid for and not written: the next run on this machine takes"
    assert re.search(lost, failed.stderr), failed.stderr
    azure.faults.quiet()
    assert command("run", str(folder), **azure.environment).returncode == 0
    assert azure.openai.repeated == {}


def test_a_record_that_the_index_never_shows_costs_its_source(azure: Azure, folder: Path) -> None:
    """The look-up of one record fails for ever: its source fails, the others are done."""
    azure.search.delays = Delays()
    for name in ("a.pdf", "b.pdf", "c.pdf"):
        write(folder / name, prose(name, 8))
    run(folder, client(azure))
    documents = azure.search.dump(INDEX).values()
    keys = {d["source"]: d["id"] for d in documents if d["kind"] == "source"}
    write(folder / "a.pdf", prose("another a", 8), age=50)
    write(folder / "b.pdf", prose("another b", 8), age=50)
    (folder / "c.pdf").unlink()
    for name in ("b.pdf", "c.pdf"):
        azure.faults.add(faults.fail_with(500), "search", "GET", keys[name])
    events = results_by_source(run(folder, client(azure, INGEST_RETRY_SECONDS="60")))
    found = outcomes_by_source([*events.values()])
    assert found == {"a.pdf": "changed", "b.pdf": "failed", "c.pdf": "failed"}
    assert "cannot be asked for it" in events["b.pdf"].reason
    azure.faults.planned.clear()
    found = outcomes_by_source(run(folder, client(azure)))
    assert found == {"a.pdf": "unchanged", "b.pdf": "changed", "c.pdf": "removed"}


def test_a_record_that_the_index_never_takes_costs_its_source(azure: Azure, folder: Path) -> None:
    """The source fails with a reason, the others are indexed, and it is no suspect of a crash."""
    for name in ("a.pdf", "b.pdf"):
        write(folder / name, prose(name, 8))
    run(folder, client(azure))
    documents = azure.search.dump(INDEX).values()
    keys = {d["id"] for d in documents if (d["kind"], d["source"]) == ("source", "b.pdf")}
    for name in ("a.pdf", "b.pdf"):
        write(folder / name, prose(f"another {name}", 8), age=50)
    azure.faults.add(faults.refuse(409, keys=keys), "search", "POST", "search.index")
    events = results_by_source(run(folder, client(azure, INGEST_RETRY_SECONDS="5")))
    assert outcomes_by_source([*events.values()]) == {"a.pdf": "changed", "b.pdf": "failed"}
    assert events["b.pdf"].code == "refused"
    azure.faults.planned.clear()
    azure.search.settle()
    assert outcomes_by_source(run(folder, client(azure))) == {
        "a.pdf": "unchanged",
        "b.pdf": "changed",
    }
