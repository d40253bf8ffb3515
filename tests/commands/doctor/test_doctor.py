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
from tests.conftest import DIMENSIONS, ROOT, Command, ingested
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


def examined(azure: Azure, root: str = str(ROOT / "data"), **more: str) -> list[DoctorFinding]:
    """Findings of the doctor for a client of the emulator with these settings."""
    return list(diagnose(azure.environment | more, {}, {}, [root]))


def wrong(found: list[DoctorFinding]) -> dict[str, str]:
    """Problems by check."""
    return {finding.check: finding.text for finding in found if finding.verdict is WRONG}


def verdicts(found: list[DoctorFinding], check: str) -> list[Verdict]:
    return [finding.verdict for finding in found if finding.check == check]


def text(found: list[DoctorFinding], check: str) -> str:
    (finding,) = (finding for finding in found if finding.check == check)
    return finding.text


def filled(azure: Azure, folder: Path) -> None:
    """Let a run make and fill the index, which shows at once what was written."""
    azure.search.delays = Delays()
    write(folder / "a.pdf", prose("lathes"))
    done = ingested(folder, "run", ".", **azure.environment)
    assert done.returncode == 0, done.stderr


def test_all_is_well(azure: Azure, folder: Path) -> None:
    """Who I am, what I may, what the deployment and the index are: a tick each, and its facts."""
    filled(azure, folder)
    azure.openai.tpm, azure.openai.rpm = 350_000, 2_100

    found = examined(azure)

    assert {finding.verdict for finding in found} == {RIGHT}
    assert [finding.check for finding in found] == [
        *("settings", "identity", "embedder", "search"),
        *("role", "deployment", "retirement", "role", "role", "index", "sandbox", "source"),
        "clock",
    ]
    assert azure.identity.default.oid in text(found, "identity")
    assert f"tenant {TENANT}, by ManagedIdentityCredential" in text(found, "identity")
    said = f"text-embedding-3-large, {DIMENSIONS} dimensions; 350,000 tokens a minute, 2,100 req"
    assert said in text(found, "deployment")
    assert text(found, "index") == "chunks: about 1 file, 3 chunks"
    assert text(found, "source").endswith("data: 16 PDFs")


def test_the_end_of_a_model_is_told_months_ahead(azure: Azure) -> None:
    """I plan a rebuild before my deployment stops: by the service's own date, else a schedule."""
    told = text(examined(azure), "retirement")
    assert "text-embedding-3-large retires on 2027-04-15 by Microsoft's schedule of 2026" in told
    azure.openai.retirements = {
        "text-embedding-3-large": 1_830_297_600.0,
        "text-embedding-3-large-preview": 1_900_000_000.0,
        "gpt-9": 1_800_000_000.0,
    }
    told = text(examined(azure), "retirement")
    assert "text-embedding-3-large retires on 2028-01-01 by the service's own list" in told

    retirement = Retirement("m", date(2028, 1, 1), "a list")
    assert "ingest rebuild" not in describe_retirement(retirement, date(2027, 4, 1))
    soon = describe_retirement(retirement, date(2027, 6, 1))
    assert "in 214 days: before that, deploy another model" in soon
    assert "ingest rebuild" in soon


def test_it_writes_nothing_and_pays_for_one_word(azure: Azure) -> None:
    """I may run it against production at any time."""
    examined(azure)

    (paid,) = azure.openai.requests
    assert paid.inputs == ("probe",)
    assert azure.search.indexes == {}
    assert len(azure.search.batches) == 0
    for exchange in azure.exchanges:
        harmless = exchange.method == "GET" or exchange.path.endswith("/embeddings")
        assert harmless or (exchange.path.endswith("search.index") and exchange.status >= 400)


@pytest.mark.parametrize("missing", [OPENAI_USER, DATA_CONTRIBUTOR, SERVICE_CONTRIBUTOR])
def test_each_missing_role_is_named_with_its_command(azure: Azure, missing: str) -> None:
    """401 PermissionDenied, an empty 403, "Authorization failed.": each is its role, no other."""
    azure.identity.default.withdraw(missing)

    found = examined(azure)

    assert list(wrong(found)) == ["role"]
    said = wrong(found)["role"]
    assert f"lacks the role {missing} on" in said
    assert f'az role assignment create --role "{missing}"' in said
    assert azure.identity.default.oid in said
    assert verdicts(found, "role").count(RIGHT) == 2


def test_a_reader_is_told_that_writing_needs_more(azure: Azure) -> None:
    """Data Reader lets a search work and a run fail: the doctor sees it without writing."""
    azure.identity.default.withdraw(DATA_CONTRIBUTOR)
    azure.identity.default.grant(DATA_READER)
    assert DATA_CONTRIBUTOR in wrong(examined(azure))["role"]


@pytest.mark.parametrize(
    "answer",
    [
        failure(403, "PermissionDenied", "Principal does not have access to API/Operation."),
        Response(403),
    ],
)
def test_a_missing_role_may_be_a_403(azure: Azure, answer: Response) -> None:
    """The documentation of the service has 401 and 403, and both mean the same."""
    azure.faults.add(faults.instead("denied", answer), "openai", "POST")
    assert OPENAI_USER in wrong(examined(azure))["role"]


def test_a_role_that_is_not_needed_is_not_missed(azure: Azure, folder: Path) -> None:
    """A job that only fills an index may do without the right to make one."""
    filled(azure, folder)
    azure.identity.default.withdraw(SERVICE_CONTRIBUTOR)
    found = examined(azure)
    assert wrong(found) == {}
    assert any("not held, and not needed" in finding.text for finding in found)
    assert "1 file, 3 chunks" in text(found, "index")


def test_a_service_that_takes_keys_only_is_suspected(azure: Azure) -> None:
    """Everything forbidden though all roles are held: the service was never told to take tokens."""
    azure.search.token_auth = False
    roles = [finding.text for finding in examined(azure) if finding.verdict is WRONG]
    assert len(roles) == 2
    assert "az search service update --auth-options aadOrApiKey" in roles[1]


def test_a_firewall_is_no_missing_role(azure: Azure) -> None:
    """A 403 for where I am is not mistaken for one of who I am."""
    answer = failure(403, "403", "Public access is disabled. Please configure private endpoint.")
    azure.faults.add(faults.instead("blocked", answer), "openai", "POST")
    found = wrong(examined(azure))
    assert list(found) == ["deployment"]
    assert "rejects requests from this network (Public access is disabled" in found["deployment"]


def test_tokens_that_are_refused_are_said_to_be(azure: Azure) -> None:
    """The flat 401, for expired tokens or another audience: not taken for a wrong key or role."""
    azure.identity.valid = -1
    found = wrong(examined(azure))
    for check in ("deployment", "role"):
        assert "does not accept the token of identity" in found[check]
        assert "clock is wrong" in found[check]
        assert "KEY" not in found[check]

    azure.identity.valid = None
    azure.openai.audiences = ("https://elsewhere.example", "https://cognitiveservices.azure.us")
    assert list(wrong(examined(azure))) == ["deployment"]


def test_the_wrong_tenant_is_named(azure: Azure) -> None:
    """I read which tenant the token is from, and how to get one of the other."""
    azure.identity.tenant = OTHER
    found = wrong(examined(azure, AZURE_TENANT_ID=TENANT))
    assert f"is from tenant {OTHER}, and AZURE_TENANT_ID is {TENANT}" in found["identity"]
    assert f"az login --tenant {TENANT}" in found["identity"]
    for check in ("deployment", "role"):
        assert OTHER in found[check]
        assert "another tenant" in found[check]

    unsaid = wrong(examined(azure))
    assert "identity" not in unsaid
    assert "another tenant" in unsaid["deployment"]


def test_no_identity_at_all(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody signed in is one cross, and what depends on it is not checked."""
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")
    monkeypatch.setenv("PATH", "")
    found = examined(azure)
    assert list(wrong(found)) == ["identity"]
    assert "az login" in wrong(found)["identity"]
    assert verdicts(found, "role") == [UNKNOWN] * 3
    assert verdicts(found, "deployment") == verdicts(found, "index") == [UNKNOWN]


def test_the_login_of_a_laptop_and_its_end(azure: Azure, tmp_path: Path) -> None:
    """As az's user I am named; once the login has expired I am told to sign in."""
    machine = laptop(tmp_path / "bin", azure)
    client = {k: v for k, v in azure.environment.items() if "IDENTITY" not in k}
    del client["AZURE_TOKEN_CREDENTIALS"]
    doctor = ("doctor", str(ROOT / "data"))
    more = client | {"PATH": str(machine.folder)}

    well = ingested(tmp_path, *doctor, **more, IDENTITY_ENDPOINT="")
    assert well.returncode == 0, well.stdout + well.stderr
    assert f"{azure.identity.default.oid} of tenant {TENANT}, by AzureCliCredential" in well.stdout

    machine.trouble(EXPIRED)
    ill = ingested(tmp_path, *doctor, **more, IDENTITY_ENDPOINT="")
    assert ill.returncode == 2
    assert "AADSTS70043" in ill.stdout
    assert "sign in with az login" in ill.stdout


def test_keys(azure: Azure) -> None:
    """A key that is wrong, or that the resource does not take, is said to be; never shown."""
    azure.search.local_auth = True
    search = {"AZURE_SEARCH_KEY": azure.search.key}
    off = wrong(examined(azure, **search, AZURE_OPENAI_KEY="sesame"))
    assert "accepts no API keys: unset AZURE_OPENAI_KEY" in off["deployment"]

    azure.openai.local_auth = True
    found = wrong(examined(azure, AZURE_OPENAI_KEY="sesame", AZURE_SEARCH_KEY="sesame"))
    assert "does not accept the API key: check AZURE_OPENAI_KEY, or unset it" in found["deployment"]
    assert "does not accept the API key: check AZURE_SEARCH_KEY, or unset it" in found["key"]
    assert "sesame" not in repr(found)

    well = examined(azure, **search, AZURE_OPENAI_KEY=azure.openai.key)
    assert wrong(well) == {}
    assert azure.identity.requests == 0
    assert not {"identity", "role"} & {finding.check for finding in well}
    assert azure.openai.key not in repr(well)


def test_a_deployment_that_is_not_there(azure: Azure) -> None:
    """A name that is spelt wrong is not a missing role."""
    found = examined(azure, AZURE_OPENAI_EMBEDDING_DEPLOYMENT="typo")
    assert "(deployment typo) does not exist" in wrong(found)["deployment"]
    assert list(wrong(found)) == ["deployment"]


def test_a_deployment_of_another_model(azure: Azure) -> None:
    """The model is what makes the vectors: the setting must say the same as the service."""
    azure.openai.deployments["embeddings"] = Deployment("text-embedding-3-small", 1536)
    found = wrong(examined(azure))["deployment"]
    assert "has text-embedding-3-small, not text-embedding-3-large" in found
    assert "set AZURE_OPENAI_EMBEDDING_MODEL=text-embedding-3-small" in found

    azure.openai.deployments["embeddings"] = Deployment("own", 24)
    found = wrong(examined(azure, AZURE_OPENAI_EMBEDDING_MODEL="own"))["deployment"]
    assert "returns 24 dimensions, not 8: set AZURE_OPENAI_EMBEDDING_DIMENSIONS=24" in found


def test_a_deployment_with_a_name_of_its_own(azure: Azure) -> None:
    """I named no model: I read which one it is, and whether the search service can call it."""
    unnamed = {"AZURE_OPENAI_EMBEDDING_MODEL": "", "AZURE_OPENAI_EMBEDDING_DEPLOYMENT": "emb"}
    azure.openai.deployments["emb"] = Deployment()
    found = examined(azure, **unnamed)
    assert wrong(found) == {}
    assert f"emb: text-embedding-3-large, {DIMENSIONS} dimensions" in text(found, "deployment")
    assert "vectorizer" not in text(found, "deployment")

    azure.openai.deployments["emb"] = Deployment("own", DIMENSIONS)
    found = examined(azure, **unnamed)
    assert wrong(found) == {}
    assert "own, 8 dimensions" in text(found, "deployment")
    assert "cannot call it, so an index gets no vectorizer" in text(found, "deployment")


def test_each_of_several_deployments_is_asked(azure: Azure) -> None:
    """Of two that work side by side I learn which one is wrong."""
    azure.openai.deployments["second"] = Deployment()
    both = {"AZURE_OPENAI_ENDPOINT": f"{azure.openai_endpoint}, {azure.openai_endpoint}"}
    well = examined(azure, **both, AZURE_OPENAI_EMBEDDING_DEPLOYMENT="embeddings,second")
    assert wrong(well) == {}
    assert verdicts(well, "deployment") == [RIGHT, RIGHT]

    ill = examined(azure, **both, AZURE_OPENAI_EMBEDDING_DEPLOYMENT="embeddings,third")
    assert verdicts(ill, "deployment") == [RIGHT, WRONG]
    assert "(deployment third) does not exist" in wrong(ill)["deployment"]
    uneven = examined(azure, AZURE_OPENAI_EMBEDDING_DEPLOYMENT="embeddings,second")
    assert "has 2 values for 1 endpoints" in wrong(uneven)["deployment"]


def test_what_has_a_key_does_not_miss_an_identity(
    azure: Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody signed in: what is opened by a key is checked all the same."""
    azure.openai.local_auth = True
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")
    monkeypatch.setenv("PATH", "")
    found = examined(azure, AZURE_OPENAI_KEY=azure.openai.key)
    assert list(wrong(found)) == ["identity"]
    assert verdicts(found, "deployment") == [RIGHT]
    assert verdicts(found, "index") == [UNKNOWN]


def test_too_many_dimensions(azure: Azure) -> None:
    """What the model cannot give is said in the service's words."""
    found = wrong(examined(azure, AZURE_OPENAI_EMBEDDING_DIMENSIONS="4000"))["deployment"]
    assert "less than or equal to 3072" in found
    assert "check deployment, model and dimensions" in found


def test_a_used_up_quota_is_said(azure: Azure) -> None:
    """At once, without a request before the time that the service names."""
    azure.faults.add(faults.too_many(seconds=60), "openai", "POST")
    assert "the quota of" in wrong(examined(azure))["deployment"]
    assert [e.status for e in azure.exchanges if e.service == "openai" and e.method == "POST"] == [
        429
    ]


def test_an_index_with_other_vectors(azure: Azure, folder: Path) -> None:
    """The very difference, and what to do."""
    filled(azure, folder)
    found = wrong(examined(azure, AZURE_OPENAI_EMBEDDING_DIMENSIONS="16"))
    assert "embedding has 8 dimensions, not 16; ingest rebuild makes a new one" in found["index"]


def test_an_index_of_an_older_version(azure: Azure, folder: Path) -> None:
    """Fields that the next run adds are no trouble, and nothing is added now."""
    filled(azure, folder)
    index = azure.search.indexes["chunks"]
    kept = [f for f in index.definition["fields"] if f["name"] != "page_label"]
    index.definition["fields"] = kept
    found = examined(azure)
    assert wrong(found) == {}
    assert text(found, "index").endswith("the next run adds 1 fields")
    assert index.definition["fields"] == kept


def test_what_cannot_be_reached(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    """No name, no connection, no trust: each with its remedy, and nothing after it is tried."""
    found = examined(
        azure,
        AZURE_OPENAI_ENDPOINT="https://127.0.0.1:1",
        AZURE_SEARCH_ENDPOINT="https://no-such-host.invalid",
    )
    assert "127.0.0.1 (127.0.0.1) cannot be reached (Connection refused)" in text(found, "embedder")
    assert "no-such-host.invalid has no address (DNS" in text(found, "search")
    assert "private DNS zone" in text(found, "search")
    assert verdicts(found, "role") == [UNKNOWN] * 3
    assert verdicts(found, "clock") == [UNKNOWN]

    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    found = examined(azure)
    assert "is not trusted here: set SSL_CERT_FILE" in text(found, "embedder")
    assert "is not trusted here: set REQUESTS_CA_BUNDLE" in text(found, "search")


def test_what_lies_behind_a_proxy(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the proxy knows the names, mine are not looked up, and the proxy is suspected."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    found = examined(
        azure,
        AZURE_OPENAI_ENDPOINT="https://openai.invalid",
        AZURE_SEARCH_ENDPOINT="https://search.invalid",
    )
    for check in ("embedder", "search"):
        assert "at the other end of a proxy does not answer" in text(found, check)
        assert "NO_PROXY" in text(found, check)


@pytest.mark.parametrize(
    ("address", "private"),
    [("10.1.2.4", True), ("fd00::4", True), ("20.1.2.3", False), ("127.0.0.1", False)],
)
def test_a_private_endpoint_is_recognised(address: str, private: bool) -> None:
    """From my desk I learn that the service is in a network I am not in."""
    said = str(unreachable_error("s.search.windows.net", address, "no answer"))
    assert ("private endpoint" in said) == private
    assert ("VPN" in said) == private


def test_a_wrong_clock(azure: Azure) -> None:
    """The reason that nobody thinks of: an hour between my clock and the service's."""
    azure.clock.advance(3600)
    found = wrong(examined(azure))
    assert list(found) == ["clock"]
    assert "s behind that of 127.0.0.1" in found["clock"]
    azure.clock.ahead = -3600
    assert "s ahead of that of 127.0.0.1" in wrong(examined(azure))["clock"]


def test_a_service_of_ones_own(azure: Azure, tmp_path: Path) -> None:
    """Any service with the protocol is asked too, and needs no identity."""
    azure.openai.local_auth = True
    own = {
        "INGEST_EMBEDDER": f"{azure.openai_endpoint}/openai/v1",
        "AZURE_OPENAI_KEY": azure.openai.key,
        "INGEST_INDEX": str(tmp_path / "local"),
    }
    found = examined(azure, **own)
    assert wrong(found) == {}
    assert "overrides AZURE_SEARCH_ENDPOINT" in text(found, "settings")
    assert "empty or missing" in text(found, "index")
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
    """Where the environment and .env differ I learn which one it is."""
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
    """The folder holds vectors that the model does not go with."""
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
    """Half of a configuration, or two at once, is pointed out before a run guesses."""
    (found,) = find_contradictions(environment)
    assert said in found
    assert list(find_contradictions({"AZURE_OPENAI_ENDPOINT": "https://a/openai/v1/"})) == []


def test_a_container_is_looked_into(azure: Azure) -> None:
    """How many PDFs a job would find; and if it may not look, the role that it lacks."""
    azure.blob.put("docs", "a.pdf", b"%PDF-")
    url = f"{azure.blob_endpoint}/docs"

    assert text(examined(azure, url), "source") == f"{url}: 1 PDF"
    azure.identity.default.withdraw(BLOB_READER)
    assert "lacks the role Storage Blob Data Reader" in text(examined(azure, url), "source")


def with_scans(azure: Azure, **more: str) -> list[DoctorFinding]:
    """Findings where scanned pages go to Document Intelligence."""
    return examined(azure, **{"INGEST_OCR": azure.ocr_endpoint} | more)


def test_the_service_that_reads_scans_is_asked_and_nothing_is_sent(azure: Azure) -> None:
    """Its address, its role and its model, for no money."""
    azure.identity.default.grant(COGNITIVE_USER)
    found = with_scans(azure, INGEST_OCR_MODEL="layout")
    assert wrong(found) == {}
    assert verdicts(found, "ocr") == [RIGHT]
    assert "prebuilt-layout, API 2024-11-30, billed per page" in text(found, "model")
    assert any(f"{COGNITIVE_USER}: held" in finding.text for finding in found)
    assert azure.count("ocr", "POST") == 0


def test_the_role_to_read_scans_is_named_with_its_command(azure: Azure) -> None:
    """The role to embed is another one, and not enough."""
    found = with_scans(azure)
    assert list(wrong(found)) == ["role"]
    assert f'--role "{COGNITIVE_USER}"' in wrong(found)["role"]
    assert azure.ocr_endpoint in wrong(found)["role"]
    assert verdicts(found, "model") == [UNKNOWN]


def test_an_endpoint_that_reads_no_scans_is_wrong(azure: Azure) -> None:
    """I gave the address of the search service."""
    azure.identity.default.grant(COGNITIVE_USER)
    found = examined(azure, INGEST_OCR=azure.openai_endpoint)
    assert "Document Intelligence resource" in wrong(found)["model"]


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
    told = text(examined(azure, **wanted), "figures")
    assert told.startswith("figures: gpt-4.1-mini-2025-04-14 described a picture as chart, by a")
    azure.openai.chat.sees = False
    told = wrong(examined(azure, **wanted))["figures"]
    assert "does not describe pictures (the service refused it (Invalid content type." in told
