"""Whatever is wrong, the doctor says who must do what. Against the emulator, with the real SDKs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest

from ingest.commands.doctor.doctor import diagnose
from ingest.commands.doctor.env_names import find_contradictions, find_misspellings
from ingest.commands.doctor.finding import DoctorFinding, Verdict
from ingest.commands.doctor.network import unreachable_error
from ingest.config.settings import environment_settings
from ingest.embed.retirement import Retirement, describe_retirement
from tests.azure.logins import EXPIRED, laptop
from tests.conftest import DIMENSIONS, ROOT, Command, run_ingest
from tests.emulator import faults
from tests.emulator.emulator import FIGURES, Azure
from tests.emulator.identity import (
    BLOB_READER,
    COGNITIVE_USER,
    DATA_CONTRIBUTOR,
    DATA_READER,
    OPENAI_USER,
    SERVICE_CONTRIBUTOR,
    TENANT,
)
from tests.emulator.openai import Deployment
from tests.emulator.server import Response, failure
from tests.emulator.store import Delays
from tests.pdfs import prose, write

RIGHT, WRONG, UNKNOWN = Verdict
OTHER = "99999999-8888-7777-6666-555555555555"


def run_doctor(azure: Azure, root: str = str(ROOT / "data"), **more: str) -> list[DoctorFinding]:
    """Findings of the doctor for a client of the emulator with these settings."""
    return list(diagnose(azure.environment | more, {}, {}, [root]))


def find_problems(found: list[DoctorFinding]) -> dict[str, str]:
    """Problems by check."""
    return {finding.check: finding.text for finding in found if finding.verdict is WRONG}


def find_verdicts(found: list[DoctorFinding], check: str) -> list[Verdict]:
    return [finding.verdict for finding in found if finding.check == check]


def find_text(found: list[DoctorFinding], check: str) -> str:
    (finding,) = (finding for finding in found if finding.check == check)
    return finding.text


def fill_index(azure: Azure, folder: Path) -> None:
    """Let a run make and fill the index, which shows at once what was written."""
    azure.search.delays = Delays()
    write(folder / "a.pdf", prose("lathes"))
    done = run_ingest(folder, "run", ".", **azure.environment)
    assert done.returncode == 0, done.stderr


def test_all_is_well(azure: Azure, folder: Path) -> None:
    """The doctor lists identity, roles, deployment and index, each with a tick."""
    fill_index(azure, folder)
    azure.openai.tpm, azure.openai.rpm = 350_000, 2_100

    found = run_doctor(azure)

    assert {finding.verdict for finding in found} == {RIGHT}
    assert [finding.check for finding in found] == [
        *("settings", "identity", "embedder", "search"),
        *("role", "deployment", "retirement", "role", "role", "index", "sandbox", "source"),
        "clock",
    ]
    assert azure.identity.default.oid in find_text(found, "identity")
    assert f"tenant {TENANT}, by ManagedIdentityCredential" in find_text(found, "identity")
    said = f"text-embedding-3-large, {DIMENSIONS} dimensions; 350,000 tokens a minute, 2,100 req"
    assert said in find_text(found, "deployment")
    assert find_text(found, "index") == "chunks: about 1 file, 3 chunks"
    assert find_text(found, "source").endswith("data: 16 PDFs")


def test_the_end_of_a_model_is_told_months_ahead(azure: Azure) -> None:
    """The doctor warns months before a deployment's model is retired."""
    told = find_text(run_doctor(azure), "retirement")
    assert "text-embedding-3-large retires on 2027-04-15 by Microsoft's schedule of 2026" in told
    azure.openai.retirements = {
        "text-embedding-3-large": 1_830_297_600.0,
        "text-embedding-3-large-preview": 1_900_000_000.0,
        "gpt-9": 1_800_000_000.0,
    }
    told = find_text(run_doctor(azure), "retirement")
    assert "text-embedding-3-large retires on 2028-01-01 by the service's own list" in told

    retirement = Retirement("m", date(2028, 1, 1), "a list")
    assert "ingest rebuild" not in describe_retirement(retirement, date(2027, 4, 1))
    soon = describe_retirement(retirement, date(2027, 6, 1))
    assert "in 214 days: before that, deploy another model" in soon
    assert "ingest rebuild" in soon


def test_it_writes_nothing_and_pays_for_one_word(azure: Azure) -> None:
    """The doctor writes nothing and embeds one word, so I can run it in production."""
    run_doctor(azure)

    (paid,) = azure.openai.requests
    assert paid.inputs == ("probe",)
    assert azure.search.indexes == {}
    assert len(azure.search.batches) == 0
    for exchange in azure.exchanges:
        harmless = exchange.method == "GET" or exchange.path.endswith("/embeddings")
        assert harmless or (exchange.path.endswith("search.index") and exchange.status >= 400)


@pytest.mark.parametrize("missing", [OPENAI_USER, DATA_CONTRIBUTOR, SERVICE_CONTRIBUTOR])
def test_each_missing_role_is_named_with_its_command(azure: Azure, missing: str) -> None:
    """Each form of refusal is mapped to its missing role, and no other."""
    azure.identity.default.withdraw(missing)

    found = run_doctor(azure)

    assert list(find_problems(found)) == ["role"]
    said = find_problems(found)["role"]
    assert f"lacks the role {missing} on" in said
    assert f'az role assignment create --role "{missing}"' in said
    assert azure.identity.default.oid in said
    assert find_verdicts(found, "role").count(RIGHT) == 2


def test_a_reader_is_told_that_writing_needs_more(azure: Azure) -> None:
    """With a reader role, searches work and runs fail: the doctor says so without writing."""
    azure.identity.default.withdraw(DATA_CONTRIBUTOR)
    azure.identity.default.grant(DATA_READER)
    assert DATA_CONTRIBUTOR in find_problems(run_doctor(azure))["role"]


@pytest.mark.parametrize(
    "answer",
    [
        failure(403, "PermissionDenied", "Principal does not have access to API/Operation."),
        Response(403),
    ],
)
def test_a_missing_role_may_be_a_403(azure: Azure, answer: Response) -> None:
    """A service may answer a missing role with 401 or 403."""
    azure.faults.add(faults.answer_with("denied", answer), "openai", "POST")
    assert OPENAI_USER in find_problems(run_doctor(azure))["role"]


def test_a_role_that_is_not_needed_is_not_missed(azure: Azure, folder: Path) -> None:
    """A job that only fills an index does not need the role to create one."""
    fill_index(azure, folder)
    azure.identity.default.withdraw(SERVICE_CONTRIBUTOR)
    found = run_doctor(azure)
    assert find_problems(found) == {}
    assert any("not held, and not needed" in finding.text for finding in found)
    assert "1 file, 3 chunks" in find_text(found, "index")


def test_a_service_that_takes_keys_only_is_suspected(azure: Azure) -> None:
    """If all roles are assigned and all is forbidden, the service may accept keys only."""
    azure.search.token_auth = False
    roles = [finding.text for finding in run_doctor(azure) if finding.verdict is WRONG]
    assert len(roles) == 2
    assert "az search service update --auth-options aadOrApiKey" in roles[1]


def test_a_firewall_is_no_missing_role(azure: Azure) -> None:
    """A 403 of a firewall is not reported as a missing role."""
    answer = failure(403, "403", "Public access is disabled. Please configure private endpoint.")
    azure.faults.add(faults.answer_with("blocked", answer), "openai", "POST")
    found = find_problems(run_doctor(azure))
    assert list(found) == ["deployment"]
    assert "rejects requests from this network (Public access is disabled" in found["deployment"]


def test_tokens_that_are_refused_are_said_to_be(azure: Azure) -> None:
    """A 401 for an expired token or a wrong audience is not reported as a wrong key or role."""
    azure.identity.valid = -1
    found = find_problems(run_doctor(azure))
    for check in ("deployment", "role"):
        assert "does not accept the token of identity" in found[check]
        assert "clock is wrong" in found[check]
        assert "KEY" not in found[check]

    azure.identity.valid = None
    azure.openai.audiences = ("https://elsewhere.example", "https://cognitiveservices.azure.us")
    assert list(find_problems(run_doctor(azure))) == ["deployment"]


def test_the_wrong_tenant_is_named(azure: Azure) -> None:
    """A token of another tenant is reported, with how to get the right one."""
    azure.identity.tenant = OTHER
    found = find_problems(run_doctor(azure, AZURE_TENANT_ID=TENANT))
    assert f"is from tenant {OTHER}, and AZURE_TENANT_ID is {TENANT}" in found["identity"]
    assert f"az login --tenant {TENANT}" in found["identity"]
    for check in ("deployment", "role"):
        assert OTHER in found[check]
        assert "another tenant" in found[check]

    unsaid = find_problems(run_doctor(azure))
    assert "identity" not in unsaid
    assert "another tenant" in unsaid["deployment"]


def test_no_identity_at_all(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a login, one check fails, and those that depend on it are skipped."""
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")
    monkeypatch.setenv("PATH", "")
    found = run_doctor(azure)
    assert list(find_problems(found)) == ["identity"]
    assert "az login" in find_problems(found)["identity"]
    assert find_verdicts(found, "role") == [UNKNOWN] * 3
    assert find_verdicts(found, "deployment") == find_verdicts(found, "index") == [UNKNOWN]


def test_the_login_of_a_laptop_and_its_end(azure: Azure, tmp_path: Path) -> None:
    """The user of `az` is named; after the login has expired, the doctor says to sign in."""
    machine = laptop(tmp_path / "bin", azure)
    client = {k: v for k, v in azure.environment.items() if "IDENTITY" not in k}
    del client["AZURE_TOKEN_CREDENTIALS"]
    doctor = ("doctor", str(ROOT / "data"))
    more = client | {"PATH": str(machine.folder)}

    well = run_ingest(tmp_path, *doctor, **more, IDENTITY_ENDPOINT="")
    assert well.returncode == 0, well.stdout + well.stderr
    assert f"{azure.identity.default.oid} of tenant {TENANT}, by AzureCliCredential" in well.stdout

    machine.trouble(EXPIRED)
    ill = run_ingest(tmp_path, *doctor, **more, IDENTITY_ENDPOINT="")
    assert ill.returncode == 2
    assert "AADSTS70043" in ill.stdout
    assert "sign in with az login" in ill.stdout


def test_keys(azure: Azure) -> None:
    """A key that is wrong, or that the resource does not take, is said to be; never shown."""
    azure.search.local_auth = True
    search = {"AZURE_SEARCH_KEY": azure.search.key}
    off = find_problems(run_doctor(azure, **search, AZURE_OPENAI_KEY="sesame"))
    assert "accepts no API keys: unset AZURE_OPENAI_KEY" in off["deployment"]

    azure.openai.local_auth = True
    found = find_problems(run_doctor(azure, AZURE_OPENAI_KEY="sesame", AZURE_SEARCH_KEY="sesame"))
    assert "does not accept the API key: check AZURE_OPENAI_KEY, or unset it" in found["deployment"]
    assert "does not accept the API key: check AZURE_SEARCH_KEY, or unset it" in found["key"]
    assert "sesame" not in repr(found)

    well = run_doctor(azure, **search, AZURE_OPENAI_KEY=azure.openai.key)
    assert find_problems(well) == {}
    assert azure.identity.requests == 0
    assert not {"identity", "role"} & {finding.check for finding in well}
    assert azure.openai.key not in repr(well)


def test_a_deployment_that_is_not_there(azure: Azure) -> None:
    """A misspelt deployment is not reported as a missing role."""
    found = run_doctor(azure, AZURE_OPENAI_EMBEDDING_DEPLOYMENT="typo")
    assert "(deployment typo) does not exist" in find_problems(found)["deployment"]
    assert list(find_problems(found)) == ["deployment"]


def test_a_deployment_of_another_model(azure: Azure) -> None:
    """The doctor reports a model setting that differs from the deployment's model."""
    azure.openai.deployments["embeddings"] = Deployment("text-embedding-3-small", 1536)
    found = find_problems(run_doctor(azure))["deployment"]
    assert "has text-embedding-3-small, not text-embedding-3-large" in found
    assert "set AZURE_OPENAI_EMBEDDING_MODEL=text-embedding-3-small" in found

    azure.openai.deployments["embeddings"] = Deployment("own", 24)
    found = find_problems(run_doctor(azure, AZURE_OPENAI_EMBEDDING_MODEL="own"))["deployment"]
    assert "returns 24 dimensions, not 8: set AZURE_OPENAI_EMBEDDING_DIMENSIONS=24" in found


def test_a_deployment_with_a_name_of_its_own(azure: Azure) -> None:
    """If no model is set, the doctor says which one it is, and whether Search can call it."""
    unnamed = {"AZURE_OPENAI_EMBEDDING_MODEL": "", "AZURE_OPENAI_EMBEDDING_DEPLOYMENT": "emb"}
    azure.openai.deployments["emb"] = Deployment()
    found = run_doctor(azure, **unnamed)
    assert find_problems(found) == {}
    assert f"emb: text-embedding-3-large, {DIMENSIONS} dimensions" in find_text(found, "deployment")
    assert "vectorizer" not in find_text(found, "deployment")

    azure.openai.deployments["emb"] = Deployment("own", DIMENSIONS)
    found = run_doctor(azure, **unnamed)
    assert find_problems(found) == {}
    assert "own, 8 dimensions" in find_text(found, "deployment")
    assert "cannot call it, so an index gets no vectorizer" in find_text(found, "deployment")


def test_each_of_several_deployments_is_asked(azure: Azure) -> None:
    """Of two that work side by side I learn which one is wrong."""
    azure.openai.deployments["second"] = Deployment()
    both = {"AZURE_OPENAI_ENDPOINT": f"{azure.openai_endpoint}, {azure.openai_endpoint}"}
    well = run_doctor(azure, **both, AZURE_OPENAI_EMBEDDING_DEPLOYMENT="embeddings,second")
    assert find_problems(well) == {}
    assert find_verdicts(well, "deployment") == [RIGHT, RIGHT]

    ill = run_doctor(azure, **both, AZURE_OPENAI_EMBEDDING_DEPLOYMENT="embeddings,third")
    assert find_verdicts(ill, "deployment") == [RIGHT, WRONG]
    assert "(deployment third) does not exist" in find_problems(ill)["deployment"]
    uneven = run_doctor(azure, AZURE_OPENAI_EMBEDDING_DEPLOYMENT="embeddings,second")
    assert "has 2 values for 1 endpoints" in find_problems(uneven)["deployment"]


def test_what_has_a_key_does_not_miss_an_identity(
    azure: Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Services with a key are checked even if nobody is signed in."""
    azure.openai.local_auth = True
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")
    monkeypatch.setenv("PATH", "")
    found = run_doctor(azure, AZURE_OPENAI_KEY=azure.openai.key)
    assert list(find_problems(found)) == ["identity"]
    assert find_verdicts(found, "deployment") == [RIGHT]
    assert find_verdicts(found, "index") == [UNKNOWN]


def test_too_many_dimensions(azure: Azure) -> None:
    """If the model cannot give that many dimensions, the service's message is shown."""
    found = find_problems(run_doctor(azure, AZURE_OPENAI_EMBEDDING_DIMENSIONS="4000"))["deployment"]
    assert "less than or equal to 3072" in found
    assert "check deployment, model and dimensions" in found


def test_a_used_up_quota_is_said(azure: Azure) -> None:
    """An exhausted quota is reported at once, without waiting for it."""
    azure.faults.add(faults.too_many(seconds=60), "openai", "POST")
    assert "the quota of" in find_problems(run_doctor(azure))["deployment"]
    assert [e.status for e in azure.exchanges if e.service == "openai" and e.method == "POST"] == [
        429
    ]


def test_an_index_with_other_vectors(azure: Azure, folder: Path) -> None:
    """The doctor names the difference in dimensions, and what to do."""
    fill_index(azure, folder)
    found = find_problems(run_doctor(azure, AZURE_OPENAI_EMBEDDING_DIMENSIONS="16"))
    assert "embedding has 8 dimensions, not 16; ingest rebuild makes a new one" in found["index"]


def test_an_index_of_an_older_version(azure: Azure, folder: Path) -> None:
    """Fields that the next run adds are no problem, and the doctor adds none."""
    fill_index(azure, folder)
    index = azure.search.indexes["chunks"]
    kept = [f for f in index.definition["fields"] if f["name"] != "page_label"]
    index.definition["fields"] = kept
    found = run_doctor(azure)
    assert find_problems(found) == {}
    assert find_text(found, "index").endswith("the next run adds 1 fields")
    assert index.definition["fields"] == kept


def test_what_cannot_be_reached(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown names, refused connections and untrusted certificates have remedies of their own."""
    found = run_doctor(
        azure,
        AZURE_OPENAI_ENDPOINT="https://127.0.0.1:1",
        AZURE_SEARCH_ENDPOINT="https://no-such-host.invalid",
    )
    assert "127.0.0.1 (127.0.0.1) cannot be reached (Connection refused)" in find_text(
        found, "embedder"
    )
    assert "no-such-host.invalid has no address (DNS" in find_text(found, "search")
    assert "private DNS zone" in find_text(found, "search")
    assert find_verdicts(found, "role") == [UNKNOWN] * 3
    assert find_verdicts(found, "clock") == [UNKNOWN]

    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    found = run_doctor(azure)
    assert "is not trusted here: set SSL_CERT_FILE" in find_text(found, "embedder")
    assert "is not trusted here: set REQUESTS_CA_BUNDLE" in find_text(found, "search")


def test_what_lies_behind_a_proxy(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a proxy, names are not resolved here, and the proxy is named as a cause."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    found = run_doctor(
        azure,
        AZURE_OPENAI_ENDPOINT="https://openai.invalid",
        AZURE_SEARCH_ENDPOINT="https://search.invalid",
    )
    for check in ("embedder", "search"):
        assert "at the other end of a proxy does not answer" in find_text(found, check)
        assert "NO_PROXY" in find_text(found, check)


@pytest.mark.parametrize(
    ("address", "private"),
    [("10.1.2.4", True), ("fd00::4", True), ("20.1.2.3", False), ("127.0.0.1", False)],
)
def test_a_private_endpoint_is_recognised(address: str, private: bool) -> None:
    """A service with a private endpoint is reported as out of reach from this network."""
    said = str(unreachable_error("s.search.windows.net", address, "no answer"))
    assert ("private endpoint" in said) == private
    assert ("VPN" in said) == private


def test_a_wrong_clock(azure: Azure) -> None:
    """A clock that differs from the service's by an hour is reported."""
    azure.clock.advance(3600)
    found = find_problems(run_doctor(azure))
    assert list(found) == ["clock"]
    assert "s behind that of 127.0.0.1" in found["clock"]
    azure.clock.ahead = -3600
    assert "s ahead of that of 127.0.0.1" in find_problems(run_doctor(azure))["clock"]


def test_a_service_of_ones_own(azure: Azure, tmp_path: Path) -> None:
    """Any service with the protocol is asked too, and needs no identity."""
    azure.openai.local_auth = True
    own = {
        "INGEST_EMBEDDER": f"{azure.openai_endpoint}/openai/v1",
        "AZURE_OPENAI_KEY": azure.openai.key,
        "INGEST_INDEX": str(tmp_path / "local"),
    }
    found = run_doctor(azure, **own)
    assert find_problems(found) == {}
    assert "overrides AZURE_SEARCH_ENDPOINT" in find_text(found, "settings")
    assert "empty or missing" in find_text(found, "index")
    assert not (tmp_path / "local").exists()
    assert azure.identity.requests == 0


def test_on_a_laptop_without_azure(command: Command, tmp_path: Path) -> None:
    """The local model, the folder of the index, the PDFs; nothing of a cloud is mentioned."""
    done = command("doctor", str(ROOT / "data"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines()] == [
        *("settings", "embedder", "index", "sandbox", "source")
    ]
    assert not (tmp_path / ".ingest").exists()

    (tmp_path / "empty").mkdir()
    (tmp_path / ".env").write_text("INGEST_ROOT=empty\nAZURE_OPENAI_ENPOINT=https://x\n")
    done = command("doctor", "--json")
    assert done.returncode == 2
    *found, summary = map(json.loads, done.stdout.splitlines())
    assert summary == {"event": "summary", "wrong": 2, "exit": 2}
    texts = {finding["check"]: finding["text"] for finding in found}
    assert texts["settings"].endswith("did you mean AZURE_OPENAI_ENDPOINT?")
    assert texts["source"].endswith("empty has no PDFs: check the path")


def test_what_counts_is_said(command: Command, tmp_path: Path) -> None:
    """If the environment and .env differ, the doctor says which value is used."""
    (tmp_path / ".env").write_text("INGEST_WORKERS=2\nINGEST_CHUNK_TOKENS=99\n")
    done = command("doctor", str(ROOT / "data"), INGEST_WORKERS="3", INGEST_CHUNK_TOKENS="99")
    assert done.returncode == 0
    settings = done.stdout.splitlines()[0]
    assert "INGEST_WORKERS from the environment overrides .env" in settings
    assert "INGEST_CHUNK_TOKENS" not in settings

    done = command("doctor", INGEST_WORKERS="many")
    assert done.returncode == 2
    assert "INGEST_WORKERS=many: expected a whole number" in done.stdout
    assert "fix the settings first" in done.stdout


def test_an_index_of_another_model(command: Command, tmp_path: Path) -> None:
    """The doctor reports an index whose vectors are of another model."""
    write(tmp_path / "docs/a.pdf", prose("lathes"))
    assert command("run", "docs").returncode == 0
    well = command("doctor", "docs")
    assert "1 file, 3 chunks" in well.stdout
    (tmp_path / "file").write_text("")
    done = command("doctor", "docs", "--index", "file")
    assert done.returncode == 2
    assert "is a file: name a folder" in done.stdout


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (
            {"AZURE_OPENAI_ENPOINT": "x"},
            ["AZURE_OPENAI_ENPOINT is not a setting: did you mean AZURE"],
        ),
        ({"azure_search_endpoint": "x"}, ["did you mean AZURE_SEARCH_ENDPOINT?"]),
        ({"INGEST_CHUNK_TOKEN": "9"}, ["did you mean INGEST_CHUNK_TOKENS?"]),
        ({"INGEST_COLOUR": "9"}, ["INGEST_COLOUR is not a setting: unset it"]),
        ({"AZURE_OPENAI_ENPOINT": "x", "AZURE_OPENAI_ENDPOINT": "y"}, []),
        ({"AZURE_OPENAI_CHATGPT_DEPLOYMENT": "x", "AZURE_CLIENT_ID": "y", "PATH": "z"}, []),
        ({"AZURE_OPENAI_ENPOINT": ""}, []),
    ],
)
def test_names_that_are_nearly_right(environment: Mapping[str, str], said: list[str]) -> None:
    """A misspelt name would be ignored in silence; other programs' names are their own."""
    found = list(find_misspellings(environment))
    assert len(found) == len(said)
    for line, part in zip(found, said, strict=True):
        assert part in line


def test_no_setting_is_taken_for_another() -> None:
    """All settings at once, and all that azd and the hook set, are no trouble to the spelling."""
    assert (
        list(find_misspellings({item.metadata["env"]: "x" for item in environment_settings()}))
        == []
    )

    paths = [ROOT / "azure.yaml", *ROOT.glob("infra/**/*.bicep*"), *ROOT.glob("scripts/*.sh")]
    texts = "".join(path.read_text() for path in paths)
    names = set(re.findall(r"\b(?:AZURE|INGEST)_[A-Z_]+\b", texts))
    assert "INGEST_POSTPROVISION" in names
    assert list(find_misspellings(dict.fromkeys(names, "x"))) == []


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"AZURE_OPENAI_EMBEDDING_DEPLOYMENT": "e"}, "but neither AZURE_OPENAI_ENDPOINT nor"),
        ({"AZURE_SEARCH_INDEX": "i"}, "but neither AZURE_SEARCH_ENDPOINT nor"),
        (
            {"AZURE_OPENAI_ENDPOINT": "https://a/openai/deployments/x?api-version=1"},
            "leave out /op",
        ),
        ({"AZURE_SEARCH_ENDPOINT": "https://a/indexes/x"}, "leave out /indexes/x"),
        ({"AZURE_CLIENT_ID": "a", "AZURE_OPENAI_CLIENT_ID": "b"}, "name different identities"),
        (
            {
                "AZURE_OPENAI_KEY": "k",
                "AZURE_OPENAI_CLIENT_ID": "b",
                "AZURE_OPENAI_ENDPOINT": "https://a",
            },
            "AZURE_OPENAI_KEY is used for embedding",
        ),
    ],
)
def test_settings_that_contradict_each_other(environment: dict[str, str], said: str) -> None:
    """Incomplete or contradictory settings are reported before a run has to guess."""
    (found,) = find_contradictions(environment)
    assert said in found
    assert list(find_contradictions({"AZURE_OPENAI_ENDPOINT": "https://a/openai/v1/"})) == []


def test_a_container_is_looked_into(azure: Azure) -> None:
    """The doctor counts the PDFs of a container, or names the role that it lacks."""
    azure.blob.put("docs", "a.pdf", b"%PDF-")
    url = f"{azure.blob_endpoint}/docs"

    assert find_text(run_doctor(azure, url), "source") == f"{url}: 1 PDF"
    azure.identity.default.withdraw(BLOB_READER)
    assert "lacks the role Storage Blob Data Reader" in find_text(run_doctor(azure, url), "source")


def run_doctor_with_ocr(azure: Azure, **more: str) -> list[DoctorFinding]:
    """Findings where scanned pages go to Document Intelligence."""
    return run_doctor(azure, **{"INGEST_OCR": azure.ocr_endpoint} | more)


def test_the_service_that_reads_scans_is_asked_and_nothing_is_sent(azure: Azure) -> None:
    """Its address, its role and its model, for no money."""
    azure.identity.default.grant(COGNITIVE_USER)
    found = run_doctor_with_ocr(azure, INGEST_OCR_MODEL="layout")
    assert find_problems(found) == {}
    assert find_verdicts(found, "ocr") == [RIGHT]
    assert "prebuilt-layout, API 2024-11-30, billed per page" in find_text(found, "model")
    assert any(f"{COGNITIVE_USER}: held" in finding.text for finding in found)
    assert azure.count("ocr", "POST") == 0


def test_the_role_to_read_scans_is_named_with_its_command(azure: Azure) -> None:
    """The role to embed is another one, and not enough."""
    found = run_doctor_with_ocr(azure)
    assert list(find_problems(found)) == ["role"]
    assert f'--role "{COGNITIVE_USER}"' in find_problems(found)["role"]
    assert azure.ocr_endpoint in find_problems(found)["role"]
    assert find_verdicts(found, "model") == [UNKNOWN]


def test_an_endpoint_that_reads_no_scans_is_wrong(azure: Azure) -> None:
    """I gave the address of the search service."""
    azure.identity.default.grant(COGNITIVE_USER)
    found = run_doctor(azure, INGEST_OCR=azure.openai_endpoint)
    assert "Document Intelligence resource" in find_problems(found)["model"]


def test_the_local_ocr_and_the_passwords_are_looked_at(tmp_path: Path, command: Command) -> None:
    """What `run` would be given is given to the doctor too, and wrong values are named."""
    keys = tmp_path / "keys"
    keys.write_text("Xylophon\nGlockenspiel\n")
    (tmp_path / "docs").mkdir()
    write(tmp_path / "docs/a.pdf", "lathes")
    ask = ("doctor", "docs", "--ocr", "local", "--passwords", "keys")

    well = command(*ask)
    assert "✓ ocr         local:rapidocr" in well.stdout
    assert "✓ passwords   2 to try" in well.stdout
    assert "Xylophon" not in well.stdout
    assert well.returncode == 0

    keys.write_text("\n")
    ill = command(*ask, INGEST_DOCUMENT_MEGABYTES="500")
    assert "✗ ocr         INGEST_DOCUMENT_MEGABYTES=500: the local OCR needs 1600" in ill.stdout
    assert "✗ passwords   passwords: keys has no passwords" in ill.stdout
    assert ill.returncode == 2


def test_a_model_without_a_service_is_a_contradiction() -> None:
    """INGEST_OCR_MODEL alone does nothing; a gateway for OCR has no path."""
    assert "INGEST_OCR_MODEL is set, but not INGEST_OCR" in next(
        find_contradictions({"INGEST_OCR_MODEL": "read"})
    )
    assert list(find_contradictions({"INGEST_OCR": "local", "INGEST_OCR_MODEL": "read"})) == []
    # `--figures describe` of one run needs nothing else, and other commands do not complain.
    assert list(find_contradictions({"AZURE_OPENAI_FIGURES_DEPLOYMENT": "chat"})) == []
    (said,) = find_contradictions({"INGEST_OCR": "https://x.contoso.com/documentintelligence"})
    assert "INGEST_OCR is too long: leave out /documentintelligence" in said


def test_the_model_that_describes_figures_is_shown_a_picture(azure: Azure) -> None:
    """Whether the deployment exists, sees pictures and answers in form, before a long run."""
    wanted = {"INGEST_FIGURES": "describe", "AZURE_OPENAI_FIGURES_DEPLOYMENT": FIGURES}
    told = find_text(run_doctor(azure, **wanted), "figures")
    assert told.startswith("figures: gpt-4.1-mini-2025-04-14 described a picture as chart, by a")
    azure.openai.chat.sees = False
    told = find_problems(run_doctor(azure, **wanted))["figures"]
    assert "does not describe pictures (the service refused it (Invalid content type." in told
