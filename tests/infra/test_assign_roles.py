"""scripts/assign-roles: what is asked of the Azure CLI. A stand-in keeps what it was told."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ingest.azure import roles
from tests.conftest import ROOT, called

PERSON, IDENTITY, GROUP = "oid-person", "oid-identity", "oid-group"
SERVICES = {
    "Microsoft.CognitiveServices/accounts": ["/g/oai"],
    "Microsoft.Search/searchServices": ["/g/srch"],
    "Microsoft.Storage/storageAccounts": ["/g/st"],
}
SHELL = (ROOT / "scripts/assign-roles.sh").read_text()
POWERSHELL = (ROOT / "scripts/assign-roles.ps1").read_text()

STAND_IN = """\
import json, pathlib, sys
state = pathlib.Path(__file__).with_name("state.json")
kept = json.loads(state.read_text())
words = sys.argv[1:]
kept["asked"].append(words)
given = dict(zip(words, words[1:]))
what = " ".join(word for word in words[:3] if not word.startswith("-"))
answer, code = "", 0
if what == "account show":
    known = {"id": "sub-1", "user.type": kept["signed_in"], "user.name": "app-id"}
    answer = known[given["--query"]]
elif what == "ad signed-in-user show":
    answer = "oid-person"
elif what == "ad sp show":
    answer = "oid-identity"
elif what == "ad user show":
    code = given["--id"] != "oid-person"
elif what == "ad group show":
    code = given["--group"] != "oid-group"
elif what.startswith("resource list"):
    name = given["--query"].split("'")[1]
    ids = kept["services"].get(given["--resource-type"], [])
    answer = "\\n".join(i for i in ids if name in ("", i.rpartition("/")[2]))
elif what == "role assignment list":
    one = [given["--assignee"], given["--role"], given["--scope"]]
    answer = "an-id" if one in kept["granted"] else ""
elif what == "role assignment create":
    kept["granted"].append([given["--assignee-object-id"], given["--role"], given["--scope"]])
    kept["kinds"].append(given["--assignee-principal-type"])
else:
    code = 64
state.write_text(json.dumps(kept))
print(answer)
sys.exit(code)
"""


@dataclass
class Cloud:
    """The stand-in for `az`, and what it knows."""

    folder: Path

    def __post_init__(self) -> None:
        (self.folder / "az.py").write_text(STAND_IN)
        az = self.folder / "az"
        command = shlex.join([sys.executable, str(self.folder / "az.py")])
        az.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        az.chmod(0o755)
        self.set(asked=[], granted=[], kinds=[], services=SERVICES, signed_in="user")

    def set(self, **values: object) -> None:
        path = self.folder / "state.json"
        before = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(before | values))

    def known(self, what: str) -> list[list[str]]:
        found: list[list[str]] = json.loads((self.folder / "state.json").read_text())[what]
        return found

    def assign(self, *flags: str, **more: str) -> subprocess.CompletedProcess[str]:
        """The script, with this `az` and no other."""
        return called(
            ROOT / "scripts/assign-roles.sh",
            *flags,
            cwd=self.folder,
            **({"PATH": f"{self.folder}:/usr/bin:/bin", "RESOURCE_GROUP": "rg"} | more),
        )


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    return Cloud(tmp_path)


FOR_ALL = [
    (roles.OPENAI_USER.id, "/g/oai"),
    (roles.INDEX_DATA_CONTRIBUTOR.id, "/g/srch"),
    ("2a2b9908-6ea1-4ae2-8e65-a410df84e7d1", "/g/st"),
]
TO_MAKE_THE_INDEX = (roles.SEARCH_SERVICE_CONTRIBUTOR.id, "/g/srch")


def test_whoever_is_signed_in_gets_what_a_first_run_needs(cloud: Cloud) -> None:
    """Without a PRINCIPAL_ID it is me, as a person, and I may create the index."""
    done = cloud.assign()

    assert done.returncode == 0, done.stderr
    expected = sorted([[PERSON, *pair] for pair in [*FOR_ALL, TO_MAKE_THE_INDEX]])
    assert sorted(cloud.known("granted")) == expected
    assert set(map(str, cloud.known("kinds"))) == {"User"}
    assert done.stdout.count("granted: ") == 4
    assert "--wait-for-roles" in done.stdout


def test_a_pipeline_is_signed_in_as_an_application(cloud: Cloud) -> None:
    """Its object id is looked up: the name it signs in by is another id."""
    cloud.set(signed_in="servicePrincipal")
    assert cloud.assign().returncode == 0
    assert {principal for principal, *_ in cloud.known("granted")} == {IDENTITY}
    assert set(map(str, cloud.known("kinds"))) == {"ServicePrincipal"}


@pytest.mark.parametrize(
    ("principal", "kind"),
    [(PERSON, "User"), (GROUP, "Group"), (IDENTITY, "ServicePrincipal")],
)
def test_the_kind_of_a_principal_is_found_out(cloud: Cloud, principal: str, kind: str) -> None:
    """I need not know what an object id is of."""
    assert cloud.assign(PRINCIPAL_ID=principal).returncode == 0
    assert sorted(cloud.known("granted")) == sorted([principal, *pair] for pair in FOR_ALL)
    assert set(map(str, cloud.known("kinds"))) == {kind}


def test_an_identity_creates_the_index_only_if_i_say_so(cloud: Cloud) -> None:
    """The job of every night gets no right that it needs once."""
    cloud.assign("--create-index", PRINCIPAL_ID=IDENTITY)
    assert [IDENTITY, *TO_MAKE_THE_INDEX] in cloud.known("granted")


def test_running_it_again_grants_nothing(cloud: Cloud) -> None:
    """I can put it into a pipeline."""
    cloud.assign()
    before = cloud.known("granted")

    done = cloud.assign()

    assert done.returncode == 0
    assert cloud.known("granted") == before
    assert done.stdout.count("there: ") == 4


def test_a_dry_run_prints_the_commands_and_changes_nothing(cloud: Cloud) -> None:
    """What it prints, somebody who may grant roles can run."""
    done = cloud.assign("--dry-run")

    assert done.returncode == 0, done.stderr
    assert cloud.known("granted") == []
    commands = [shlex.split(line) for line in done.stdout.splitlines()]
    assert len(commands) == 4
    for command in commands:
        assert command[:4] == ["az", "role", "assignment", "create"]
        environment = {"PATH": f"{cloud.folder}:/usr/bin:/bin"}
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    assert len(cloud.known("granted")) == 4


def test_only_what_is_there_is_granted(cloud: Cloud) -> None:
    """PDFs on a disk need no storage account."""
    cloud.set(services={k: v for k, v in SERVICES.items() if "Storage" not in k})
    assert cloud.assign(PRINCIPAL_ID=IDENTITY).returncode == 0
    assert len(cloud.known("granted")) == 2


def test_two_of_a_kind_must_be_told_apart(cloud: Cloud) -> None:
    """No role is granted on a service that I did not mean."""
    two = {**SERVICES, "Microsoft.Search/searchServices": ["/g/one", "/g/two"]}
    cloud.set(services=two)

    done = cloud.assign()
    assert done.returncode == 2
    assert "more than one search service: name it with SEARCH_NAME" in done.stderr
    assert cloud.known("granted") == []

    assert cloud.assign(SEARCH_NAME="two").returncode == 0
    scopes = {scope for *_, scope in cloud.known("granted")}
    assert "/g/two" in scopes
    assert "/g/one" not in scopes


def test_what_reads_scans_is_granted_where_it_is_named(cloud: Cloud) -> None:
    """Document Intelligence is an account like OpenAI's, and its role another one."""
    two = {**SERVICES, "Microsoft.CognitiveServices/accounts": ["/g/oai", "/g/di"]}
    cloud.set(services=two)
    assert cloud.assign(OPENAI_NAME="oai", OCR_NAME="di", PRINCIPAL_ID=IDENTITY).returncode == 0
    granted = cloud.known("granted")
    assert [IDENTITY, roles.COGNITIVE_USER.id, "/g/di"] in granted
    assert [IDENTITY, roles.OPENAI_USER.id, "/g/oai"] in granted
    assert len(granted) == 4


def test_mistakes_are_named(cloud: Cloud) -> None:
    """A wrong group, no group, a wrong flag: one line says which."""
    cloud.set(services={})
    for done, words in (
        (cloud.assign(), "has none of the services"),
        (cloud.assign(RESOURCE_GROUP=""), "set RESOURCE_GROUP"),
        (cloud.assign("--force"), "expected --dry-run or --create-index"),
        (cloud.assign(PATH="/usr/bin:/bin"), "az, is not installed"),
    ):
        assert done.returncode == 2
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_failure_of_the_cli_is_not_taken_for_an_answer(cloud: Cloud) -> None:
    """Not signed in, az fails: nothing is granted, and the script fails too."""
    (cloud.folder / "az").write_text('#!/bin/sh\necho "Please run az login" >&2\nexit 1\n')
    done = cloud.assign()
    assert done.returncode != 0
    assert "az login" in done.stderr
    assert "granted" not in done.stdout


COMMANDS = (
    *("account show", "ad sp show", "ad user show", "ad group show", "ad signed-in-user show"),
    *("resource list", "role assignment list", "role assignment create"),
)
ENDS = {"tsv", "none", "dev"}  # of a call: the form of its output, or that it has none


def az_calls(source: str) -> list[tuple[str, ...]]:
    """Each call of `az` in a script of either kind, in order: the command and its options."""
    code = re.sub(r"<#.*?#>|^\s*#.*?$", "", source, flags=re.MULTILINE | re.DOTALL)
    words = re.findall(r"-{0,2}[A-Za-z][\w-]*", code)
    calls: list[list[str]] = []
    inside = False
    for place, word in enumerate(words):
        ahead = (" ".join(words[place : place + n]) for n in (2, 3))
        if command := next((found for found in ahead if found in COMMANDS), None):
            calls.append([command])
            inside = True
        elif inside and word.startswith("--"):
            calls[-1].append(word)
        inside = inside and word not in ENDS
    return sorted(tuple(call) for call in calls)


def granted(source: str) -> list[tuple[str, str, str]]:
    """Role, id and resource of every grant, in order."""
    pattern = r"""(?i)grant(?:-role)? ["']([\w ]+)["'] '?([0-9a-f-]{36})'? "?\$(\w+)"?"""
    return re.findall(pattern, source)


def test_both_scripts_ask_the_same_of_the_cli() -> None:
    """On Windows the same calls are made, for the same roles. PowerShell itself is not run here."""
    assert granted(SHELL) == granted(POWERSHELL)
    assert len(granted(SHELL)) == 5
    assert az_calls(SHELL) == az_calls(POWERSHELL)
    assert len(az_calls(SHELL)) >= 8
    for name in ("RESOURCE_GROUP", "PRINCIPAL_ID", "SUBSCRIPTION_ID"):
        assert name in SHELL
        assert f"$env:{name}" in POWERSHELL
    assert re.search(r"search\" \] && \[ -n \"\$create_index", SHELL)
    assert "$search -and $CreateIndex" in POWERSHELL


def test_both_hooks_decide_the_same() -> None:
    """Each exit code of a run, and each choice, is met in both hooks."""
    shell, powershell = (
        (ROOT / f"scripts/postprovision.{end}").read_text() for end in ("sh", "ps1")
    )
    cases = re.findall(r"^ {8}(\d+|\*|default)\)? ", shell + powershell, re.MULTILINE)
    assert cases == ["0", "3", "1", "11", "*", "0", "3", "1", "11", "default"]
    for words in (
        *("--wait-for-roles 10m", "containerapp job execution list", "containerapp job start"),
        *("length([?properties.status=='Running'])", "INGEST_POSTPROVISION=skip"),
        *("the documents named above", "azd hooks run postprovision", "expected warn or fail"),
    ):
        assert words in shell
        assert words in powershell
    said = re.findall(r"""(?:say|Write-Word|passing|Stop-Passing) ["']([^"']+)["']""", shell)
    for sentence in said:
        assert sentence.split("$")[0].split(";")[0] in powershell, sentence


def test_the_shell_scripts_have_no_traps() -> None:
    """Unquoted words and bashisms would fail on somebody else's machine first."""
    scripts = [p for p in (ROOT / "scripts").iterdir() if p.is_file() and shebang(p) == "#!/bin/sh"]
    assert len(scripts) > 5
    done = called(Path(sys.executable).parent / "shellcheck", *scripts, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def shebang(path: Path) -> str:
    return path.read_text().partition("\n")[0]
