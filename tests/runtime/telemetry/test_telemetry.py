"""Traces and metrics of real runs, as a collector on this machine receives them."""

from __future__ import annotations

import json
import re
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ingest.runtime.request_ids import request_id_prefix
from ingest.runtime.telemetry.exporters import choose_exporters
from tests.conftest import DIMENSIONS, Command, environment, run_ingest, run_process
from tests.emulator import faults
from tests.emulator.emulator import Azure, create_certificate, run_emulator
from tests.emulator.server import serve
from tests.pdfs import prose, write
from tests.processes import start
from tests.runtime.telemetry.receivers import Collector, Insights, collector

SMALL = {
    "INGEST_CHUNK_TOKENS": "64",
    "INGEST_EMBED_INPUTS": "6",
    "INGEST_LOG": "json",
}
SECRET = "hunter2"  # what a person sends to their collector with every request
TEXT = "zymurgy"  # stands in a document


@dataclass(frozen=True)
class Observed:
    """A run on Azure and what was seen of it."""

    azure: Azure
    collector: Collector
    events: list[dict[str, Any]]
    logs: list[dict[str, Any]]
    code: int

    @property
    def summary(self) -> dict[str, Any]:
        return self.events[-1]


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """One run over a folder and a container; a request is throttled, and one meets an error."""
    folder = tmp_path_factory.mktemp("observed")
    for n in range(3):
        write(folder / f"docs/{n}.pdf", *(prose(f"{TEXT} {n} {page}", 8) for page in range(2)))
    (folder / "docs/broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    with run_emulator(dimensions=DIMENSIONS) as azure, collector() as (seen, sends):
        azure.blob.put("shelf", "blob.pdf", (folder / "docs/0.pdf").read_bytes())
        azure.faults.add(faults.too_many(ms=20), "openai", "POST", "embeddings", nth=1)
        azure.faults.add(faults.fail_with(503), "search", "POST", "docs/search.index", nth=4)
        more = {"OTEL_EXPORTER_OTLP_HEADERS": f"x-token={SECRET}"}
        variables = azure.environment | SMALL | sends | more
        container = f"{azure.blob_endpoint}/shelf"
        done = run_ingest(folder, "run", "docs", container, "--json", **variables)
        assert SECRET not in done.stdout + done.stderr
        yield Observed(azure, seen, objects(done.stdout), objects(done.stderr), done.returncode)


def test_the_spans_of_a_run_are_a_tree(observed: Observed) -> None:
    """I open the trace: the run, below it the documents, below each what was done with it."""
    spans = {span.id: span for span in observed.collector.spans}
    (run,) = observed.collector.named("ingest run")
    documents = {s.attributes["ingest.source"]: s for s in observed.collector.named("document")}

    assert run.parent == ""
    assert {span.trace for span in spans.values()} == {run.trace}
    assert set(documents) == {"0.pdf", "1.pdf", "2.pdf", "broken.pdf", "blob.pdf"}
    assert all(document.parent == run.id for document in documents.values())
    for stage in ("fetching", "reading"):
        parents = [span.parent for span in observed.collector.named(stage)]
        assert sorted(parents) == sorted(document.id for document in documents.values())
    for stage in ("writing", "recording"):
        assert observed.collector.named(stage)
    assert all(span.parent in spans for span in spans.values() if span is not run)


def test_a_batch_is_linked_to_its_documents(observed: Observed) -> None:
    """From a slow call to the model I come to the documents that were in it."""
    documents = {span.id for span in observed.collector.named("document")}
    batches = observed.collector.named("embeddings text-embedding-3-large")

    assert batches
    for batch in batches:
        assert set(batch.links) <= documents
        assert bool(batch.links) == (batch.parent not in documents)
        assert batch.attributes["gen_ai.provider.name"] == "azure.ai.openai"
    ids = {batch.id for batch in batches}
    requests = observed.collector.named("POST")
    assert all(request.parent in ids for request in requests)
    assert len(requests) == len(batches) + 1  # one was refused, and asked again
    assert [r.attributes["error.type"] for r in requests if r.failed] == ["429"]


def test_the_sums_of_the_metrics_are_the_summary(observed: Observed) -> None:
    """The chart shows the numbers that the run itself reports."""
    seen, summary = observed.collector, observed.summary
    for name, number in summary["outcomes"].items():
        assert seen.total("ingest.documents", ingest__outcome=name) == number, name
    assert seen.total("ingest.pages") == summary["pages"] == 8
    assert seen.total("ingest.tokens") == summary["tokens_embedded"] > 0
    assert seen.total("gen_ai.client.token.usage") == summary["tokens_embedded"]
    assert seen.total("ingest.chunks") == summary["chunks_embedded"] > 0
    assert seen.count("ingest.stage.duration", ingest__stage="reading") == 5
    assert seen.count("ingest.document.duration") == 5
    assert seen.total("ingest.under_way") == 0


def test_what_is_throttled_is_counted(observed: Observed) -> None:
    """The metrics count each request by its status, 429s and waits included."""
    seen, azure = observed.collector, observed.azure
    calls = "http.client.request.duration"
    sent = [e for e in azure.exchanges if e.service != "identity"]

    assert seen.count(calls) == len(sent)
    assert seen.count(calls, http__response__status_code=429) == 1
    assert seen.count(calls, http__response__status_code=503) == 1
    assert seen.total("ingest.throttled") == 1
    assert seen.total("ingest.wait.time") > 0


def test_outcomes_stand_on_the_spans(observed: Observed) -> None:
    """I look for what failed, and why; the run itself did what it could."""
    documents = {s.attributes["ingest.source"]: s for s in observed.collector.named("document")}
    good, bad = documents["0.pdf"].attributes, documents["broken.pdf"]
    (run,) = observed.collector.named("ingest run")

    assert (good["ingest.outcome"], good["ingest.pages"]) == ("new", 2)
    assert good["ingest.tokens"] > 0
    assert (bad.attributes["ingest.outcome"], bad.failed) == ("failed", True)
    assert bad.attributes["ingest.code"] == "damaged"
    assert run.attributes["process.exit.code"] == observed.code == 3
    assert not run.failed


def test_the_run_has_one_name_everywhere(observed: Observed) -> None:
    """Logs, events, records, spans and the services' own logs are joined by one id."""
    run = observed.summary["run"]

    assert {event["run"] for event in observed.events} == {run}
    assert {line["run"] for line in observed.logs} == {run}
    assert {span.attributes.get("ingest.run") for span in observed.collector.spans} == {run}
    assert observed.collector.resource["service.instance.id"] == run
    assert observed.collector.resource["service.name"] == "ingest"
    observed.azure.search.settle()
    stored = observed.azure.search.dump("chunks").values()
    assert {d["run"] for d in stored if d["kind"] == "source"} == {run}
    (begin,) = [line for line in observed.logs if line["event"] == "begin"]
    (trace,) = {span.trace for span in observed.collector.spans}
    assert begin["requests"] == request_id_prefix(run) + "*"
    assert begin["trace"] == trace


def test_every_request_can_be_found_by_the_services_people(observed: Observed) -> None:
    """Each has a GUID of its own that begins as all of this run do."""
    exchanges = observed.azure.exchanges
    names = [e.named for e in exchanges if e.service != "identity"]

    assert {e.service for e in exchanges} == {"identity", "openai", "search", "blob"}
    assert len(set(names)) == len(names)
    assert all(name.startswith(request_id_prefix(observed.summary["run"])) for name in names)
    assert all(len(name) == 36 for name in names)


def test_no_content_and_no_secret_is_sent(observed: Observed) -> None:
    """What the documents say, and who we are, stays where it is."""
    sent = repr(observed.collector.spans) + repr(dict(observed.collector.points))
    assert TEXT not in sent
    assert SECRET not in sent
    assert observed.azure.identity.secret not in sent
    assert "Bearer" not in sent
    assert all(h["x-token"] == SECRET for h in observed.collector.headers)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    write(tmp_path / "docs/a.pdf", "some text")
    return tmp_path / "docs"


def test_the_console_shows_spans_and_leaves_the_output_alone(command: Command, docs: Path) -> None:
    """To try it, I need no collector: stderr has a line for each span and the end of the run."""
    to = {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "console"}
    done = command("run", "docs", "--json", **to, OTEL_SERVICE_NAME="night")

    assert done.returncode == 0
    assert [event["event"] for event in objects(done.stdout)] == ["source", "summary"]
    spans: list[str] = []
    words: list[str] = []
    for line in done.stderr.splitlines():
        (spans if line.startswith("{") else words).append(line)
    word = words.pop()
    assert word.endswith("exit 0: 1 new")
    assert all("so far" in line for line in words), words  # progress, on a machine that is busy
    shown = objects("\n".join(spans))
    names = [line["name"] for line in shown if "name" in line]
    assert names[-1] == "ingest run"
    assert {s["resource"]["attributes"]["service.name"] for s in shown if "name" in s} == {"night"}
    assert {"document", "fetching", "reading", "writing", "recording"} < set(names)
    assert any("resource_metrics" in line for line in shown)


def test_nothing_is_imported_where_nobody_asked(docs: Path) -> None:
    """A run without telemetry pays nothing for it."""
    code = (
        "import sys\nfrom ingest.cli import main\n"
        "code = main(['run', 'docs', '-q'])\n"
        "print(code, [m for m in sys.modules if m.startswith('opentelemetry')])"
    )
    done = run_process(sys.executable, "-P", "-c", code, cwd=docs.parent)
    assert done.stdout == "0 []\n", done.stderr


def test_without_the_extra_a_run_goes_on_and_says_so(docs: Path) -> None:
    """I set the variable and forgot the extra: one line tells me, the documents are indexed."""
    code = (
        "import sys\nsys.modules['opentelemetry'] = None\nfrom ingest.cli import main\n"
        "sys.exit(main(['run', 'docs']))"
    )
    to = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    done = run_process(sys.executable, "-P", "-c", code, cwd=docs.parent, **to)

    assert done.returncode == 0
    assert "1 new" in done.stdout
    warning, *_, end = done.stderr.splitlines()  # a slow one tells how far it is between them
    assert end.endswith("exit 0: 1 new")
    assert warning.endswith(
        "Z ingest: OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not installed: "
        "pip install '.[telemetry]'"
    )


@pytest.fixture
def deaf() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["deaf", "dead"])
def test_a_collector_that_is_not_there_costs_a_line(
    command: Command, docs: Path, deaf: str, kind: str
) -> None:
    """Telemetry is down: the run is not, nor does it wait for ever, nor complain for long."""
    endpoint = deaf if kind == "deaf" else "http://127.0.0.1:9"
    done = command("run", "docs", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, INGEST_LOG="json")

    assert done.returncode == 0
    # A machine that is busy gets a progress line, too.
    lines = [each for each in objects(done.stderr) if each["event"] != "progress"]
    assert len(lines) == 3, lines
    begin, end, lost = lines
    assert (begin["event"], end["event"]) == ("begin", "end")
    assert lost["message"] == (
        "not all telemetry arrived; the run is not affected: check OTEL_EXPORTER_OTLP_ENDPOINT"
    )


def test_a_second_signal_waits_for_no_collector(docs: Path, deaf: str) -> None:
    """Who presses ^C twice means it, wherever telemetry is to go."""
    write(docs / "big.pdf", *(prose(f"topic {n}", 40) for n in range(20)))
    call = (sys.executable, "-P", "-m", "ingest", "run", "docs", "--log", "json")
    variables = environment() | {"OTEL_EXPORTER_OTLP_ENDPOINT": deaf}
    with start(*call, cwd=docs.parent, env=variables) as process:
        process.stderr.wait_for('"event": ?"begin"')
        process.send_group(signal.SIGINT)
        process.stderr.wait_for("stopping")
        process.send_group(signal.SIGINT)
        assert process.wait() == 130

    # Whoever waits for it in vain says so.
    assert "telemetry" not in process.stderr.text


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER=zipkin: expected console"),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            },
            "OTEL_EXPORTER_OTLP_PROTOCOL=grpc: set it to http/protobuf",
        ),
        (
            {"APPLICATIONINSIGHTS_CONNECTION_STRING": f"InstrumentationKey={SECRET}"},
            "telemetry is off, it could not be set up (ValueError): check APPLICATIONINSIGHTS",
        ),
    ],
)
def test_what_cannot_be_set_up_is_one_line(
    command: Command, docs: Path, variables: dict[str, str], line: str
) -> None:
    """A slip in a variable of telemetry stops no run, and shows no secret."""
    done = command("run", "docs", **variables)

    assert done.returncode == 0
    warning, *_, end = done.stderr.splitlines()  # a slow one tells how far it is between them
    assert line in warning
    assert end.endswith("exit 0: 1 new")
    assert SECRET not in done.stderr


@pytest.mark.parametrize(
    ("variables", "traces", "metrics"),
    [
        ({}, (), ()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, (), ()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, ("otlp",), ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/v1/traces"}, ("otlp",), ()),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_METRICS_EXPORTER": "none"},
            ("otlp",),
            (),
        ),
        ({"OTEL_TRACES_EXPORTER": "console,otlp"}, ("console", "otlp"), ()),
        ({"APPLICATIONINSIGHTS_CONNECTION_STRING": "x"}, ("azure",), ("azure",)),
        (
            {"APPLICATIONINSIGHTS_CONNECTION_STRING": "x", "OTEL_TRACES_EXPORTER": "none"},
            (),
            ("azure",),
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "TRUE"}, (), ()),
    ],
)
def test_the_variables_mean_what_they_mean_elsewhere(
    variables: dict[str, str], traces: tuple[str, ...], metrics: tuple[str, ...]
) -> None:
    """What I know from other programs holds here too."""
    choice = choose_exporters(variables)
    assert (choice.traces, choice.metrics) == (traces, metrics)
    assert bool(choice.requested_by) == bool(traces or metrics)


# A run that prints whom it connects to, and whose address it asks for.
OVERHEARD = """
import sys
def heard(event, arguments):
    if event == "socket.connect":
        print("asked:", arguments[1][0])
    elif event == "socket.getaddrinfo":
        print("asked:", arguments[0])
sys.addaudithook(heard)
from ingest.cli import main, progress
progress.PROGRESS_LOG_SECONDS = float("inf")  # a busy machine has lines of progress
sys.exit(main(["run", "docs"]))
"""


def test_application_insights_takes_a_token_and_nothing_else_is_told(
    azure: Azure, docs: Path, tmp_path: Path
) -> None:
    """Keyless there too: the identity of the run signs in, for that service alone."""
    seen, ca = Insights(), tmp_path / "insights.pem"
    with serve(seen.serve, create_certificate(ca)) as server:
        both = tmp_path / "both.pem"
        both.write_text(azure.ca.read_text() + ca.read_text())
        variables = azure.environment | SMALL
        variables |= {
            "INGEST_LOG": "text",
            "REQUESTS_CA_BUNDLE": str(both),
            "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "Authorization=AAD",
            "APPLICATIONINSIGHTS_CONNECTION_STRING": (
                "InstrumentationKey=00000000-0000-0000-0000-000000000001;"
                f"IngestionEndpoint={server.address};LiveEndpoint={server.address}"
            ),
        }
        done = run_process(sys.executable, "-P", "-c", OVERHEARD, cwd=tmp_path, **variables)

    assert done.returncode == 0
    (end,) = done.stderr.splitlines()
    assert "exit 0: " in end
    assert set(re.findall(r"^asked: (.*)$", done.stdout, re.MULTILINE)) == {"127.0.0.1"}
    assert {asked.rpartition("/")[2] for asked in seen.asked} == {"track"}
    (token,) = seen.tokens
    issued = azure.identity.issued[token.removeprefix("Bearer ")]
    assert issued.audience == "https://monitor.azure.com"
    bases = [item["data"]["baseData"] for item in seen.items]
    names = {base.get("name") for base in bases}
    assert {"ingest run", "document", "embeddings text-embedding-3-large"} <= names
    metrics = {m["name"]: m["value"] for base in bases for m in base.get("metrics") or ()}
    assert metrics["ingest.documents"] == 1


def test_a_run_that_cannot_start_is_traced_too(command: Command, tmp_path: Path) -> None:
    """The job has a wrong setting: the trace ends as an error, instead of not being there."""
    with collector() as (seen, sends):
        done = command("run", "nowhere", **sends)

    assert done.returncode == 2
    (run,) = seen.spans
    assert (run.name, run.failed) == ("ingest run", True)


def test_help_is_as_fast_as_before(tmp_path: Path) -> None:
    """The log's form and the telemetry are looked at by commands only."""
    code = (
        "import sys, contextlib\nfrom ingest.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['run', '--help'])\n"
        "telemetry = ('opentelemetry', 'ingest.runtime.telemetry')\n"
        "print([m for m in sys.modules if m.startswith(telemetry)])"
    )
    done = run_process(sys.executable, "-c", code, cwd=tmp_path)
    assert done.stdout.endswith("[]\n")
