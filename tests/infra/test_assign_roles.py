"""scripts/assign-roles: the calls of the Azure CLI, by a stub that keeps what it was told."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ingest.azure import roles
from tests.conftest import ROOT, run_process
from tests.infra.shells import SHELLS, install, script

PERSON, IDENTITY, GROUP = "oid-person", "oid-identity", "oid-group"
ACCOUNTS = "Microsoft.CognitiveServices/accounts"
SEARCH = "Microsoft.Search/searchServices"
STORAGE = "Microsoft.Storage/storageAccounts"
# Type, kind and id of each service in the group.
SERVICES = [(ACCOUNTS, "OpenAI", "/g/oai"), (SEARCH, "", "/g/srch"), (STORAGE, "", "/g/st")]
SCANS = (ACCOUNTS, "FormRecognizer", "/g/di")
SHELL = (ROOT / "scripts/assign-roles.sh").read_text()
POWERSHELL = (ROOT / "scripts/assign-roles.ps1").read_text()

STUB = """\
import json, pathlib, re, sys
state = pathlib.Path(__file__).with_name("state.json")
kept = json.loads(state.read_text())
words = sys.argv[1:]
given = dict(zip(words, words[1:]))
what = " ".join(words[: next(n for n, word in enumerate(words) if word.startswith("-"))])
kept["asked"].append(what)
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
elif what == "resource list":
    name, kinds = given["--query"].split("'")[1], re.findall("kind=='(.*?)'", given["--query"])
    answer = "\\n".join(
        i for type_, kind, i in kept["services"]
        if type_ == given["--resource-type"]
        and name in ("", i.rpartition("/")[2]) and (not kinds or kind in kinds)
    )
elif what == "role assignment list":
    one = [given["--assignee"], given["--role"], given["--scope"]]
    answer = "an-id" if one in kept["granted"] else ""
elif what == "role assignment create" and kept["refused"]:
    code = 1
    print("ERROR: (AuthorizationFailed) no", file=sys.stderr)
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
    """The stub for `az`, and what it knows."""

    folder: Path
    shell: str

    def __post_init__(self) -> None:
        install("az", STUB, self.folder)
        self.set(asked=[], granted=[], kinds=[], services=SERVICES, signed_in="user", refused=False)

    def set(self, **values: object) -> None:
        path = self.folder / "state.json"
        before = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(before | values))

    def known(self, what: str) -> list[Any]:
        found: list[Any] = json.loads((self.folder / "state.json").read_text())[what]
        return found

    def assign(self, *flags: str, **more: str) -> subprocess.CompletedProcess[str]:
        """The script, with this `az` and no other."""
        return run_process(
            *script(self.shell, "assign-roles"),
            *flags,
            cwd=self.folder,
            **({"PATH": f"{self.folder}:/usr/bin:/bin", "RESOURCE_GROUP": "rg"} | more),
        )


@pytest.fixture(params=SHELLS)
def cloud(request: pytest.FixtureRequest, tmp_path: Path) -> Cloud:
    return Cloud(tmp_path, request.param)


EMBED = (roles.OPENAI_USER.id, "/g/oai")
WRITE = (roles.INDEX_DATA_CONTRIBUTOR.id, "/g/srch")
CREATE = (roles.SEARCH_SERVICE_CONTRIBUTOR.id, "/g/srch")
READ = ("2a2b9908-6ea1-4ae2-8e65-a410df84e7d1", "/g/st")
READ_SCANS = (roles.COGNITIVE_USER.id, "/g/di")
SIGNED_IN = ["account show"] * 2 + ["ad signed-in-user show"]


@dataclass
class SetUp:
    """A resource group, how the script is called, and the calls of `az` that it must make."""

    identified: list[str]
    granted: list[tuple[str, str]]
    flags: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    services: list[tuple[str, str, str]] = field(default_factory=lambda: SERVICES)
    signed_in: str = "user"
    principal: str = PERSON
    kind: str = "User"


SET_UPS = {
    "signed in": SetUp(SIGNED_IN, [EMBED, WRITE, CREATE, READ]),
    "pipeline": SetUp(
        ["account show"] * 3 + ["ad sp show"],
        [EMBED, WRITE, CREATE, READ],
        signed_in="servicePrincipal",
        principal=IDENTITY,
        kind="ServicePrincipal",
    ),
    "person": SetUp(
        ["account show", "ad user show"], [EMBED, WRITE, READ], env={"PRINCIPAL_ID": PERSON}
    ),
    "group": SetUp(
        ["account show", "ad user show", "ad group show"],
        [EMBED, WRITE, READ],
        env={"PRINCIPAL_ID": GROUP},
        principal=GROUP,
        kind="Group",
    ),
    "identity that creates the index": SetUp(
        ["ad user show", "ad group show"],
        [EMBED, WRITE, CREATE, READ],
        flags=["--create-index"],
        env={"PRINCIPAL_ID": IDENTITY, "SUBSCRIPTION_ID": "sub-2"},
        principal=IDENTITY,
        kind="ServicePrincipal",
    ),
    "no storage": SetUp(SIGNED_IN, [EMBED, WRITE, CREATE], services=SERVICES[:2]),
    "scans that nobody asked for": SetUp(
        SIGNED_IN, [EMBED, WRITE, CREATE, READ], services=[*SERVICES, SCANS]
    ),
    "scans": SetUp(
        SIGNED_IN,
        [EMBED, READ_SCANS, WRITE, CREATE, READ],
        env={"OCR_NAME": "di"},
        services=[*SERVICES, SCANS],
    ),
    "two search services": SetUp(
        SIGNED_IN,
        [EMBED, WRITE, CREATE, READ],
        env={"SEARCH_NAME": "srch"},
        services=[*SERVICES, (SEARCH, "", "/g/other")],
    ),
}


@pytest.mark.parametrize("name", SET_UPS)
def test_each_set_up_makes_its_calls_in_order(cloud: Cloud, name: str) -> None:
    """I get the roles of my set-up and no other, by the same calls in both shells."""
    case = SET_UPS[name]
    cloud.set(services=case.services, signed_in=case.signed_in)

    done = cloud.assign(*case.flags, **case.env)

    assert done.returncode == 0, done.stderr
    assert cloud.known("granted") == [[case.principal, *pair] for pair in case.granted]
    assert cloud.known("kinds") == [case.kind] * len(case.granted)
    assert cloud.known("asked") == [
        *case.identified,
        *["resource list"] * (4 if "OCR_NAME" in case.env else 3),
        *["role assignment list", "role assignment create"] * len(case.granted),
    ]
    output = re.findall(r"^granted: .* on (\S+)$", done.stdout, re.MULTILINE)
    assert output == [scope for _, scope in case.granted]
    assert "--wait-for-roles" in done.stdout


def test_running_it_again_grants_nothing(cloud: Cloud) -> None:
    """I can put it into a pipeline."""
    cloud.assign()
    before = cloud.known("granted")

    done = cloud.assign()

    assert done.returncode == 0
    assert cloud.known("granted") == before
    assert done.stdout.count("there: ") == 4


@pytest.mark.parametrize("option", ["--dry-run", "--what-if", "-DryRun", "-WhatIf"])
def test_a_dry_run_prints_the_commands_and_changes_nothing(cloud: Cloud, option: str) -> None:
    """Somebody who may grant roles can run what it prints; no spelling of it grants any."""
    done = cloud.assign(option)

    assert cloud.known("granted") == []
    if cloud.shell == "sh" and not option.startswith("--"):
        assert (done.returncode, cloud.known("asked")) == (2, [])
        return
    assert done.returncode == 0, done.stderr
    commands = [shlex.split(line) for line in done.stdout.splitlines()]
    assert len(commands) == 4
    for command in commands:
        assert command[:4] == ["az", "role", "assignment", "create"]
    environment = {"PATH": f"{cloud.folder}:/usr/bin:/bin"}
    subprocess.run(commands[0], env=environment, check=True, stdout=subprocess.DEVNULL)
    assert cloud.known("granted") == [[PERSON, *EMBED]]


@pytest.mark.parametrize("name", ["assign-roles", "postprovision"])
def test_an_unknown_word_ends_the_script_before_azure_is_asked(cloud: Cloud, name: str) -> None:
    """A misspelt option is named, and nothing is done without it."""
    for words in (["--bogus"], ["-Bogus"], ["stray"], ["--dry-run", "stray"]):
        done = run_process(
            *script(cloud.shell, name),
            *words,
            cwd=cloud.folder,
            PATH=f"{cloud.folder}:/usr/bin:/bin",
            RESOURCE_GROUP="rg",
        )
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"{name}: {words[-1]}: expected ")
        assert cloud.known("asked") == []


@pytest.mark.parametrize("name", ["assign-roles", "postprovision"])
def test_help_is_the_header(cloud: Cloud, name: str) -> None:
    """I am told what it does and what it reads, and nothing is done."""
    for option in ("--help", "-?"):
        done = run_process(*script(cloud.shell, name), option, cwd=cloud.folder)
        assert (done.returncode, done.stderr) == (0, "")
        output = " ".join(done.stdout.split())  # PowerShell wraps it
        assert "Safe to run again" in output
        variable = "OCR_NAME" if name == "assign-roles" else "INGEST_POSTPROVISION_FAILURE"
        assert variable in output
    assert cloud.known("asked") == []


def test_a_refused_role_is_not_called_granted(cloud: Cloud) -> None:
    """When Azure refuses I read which role on what, and whom to ask."""
    cloud.set(refused=True)

    done = cloud.assign()

    assert done.returncode == 1
    assert done.stdout == "\n"  # of the stub
    *_, line = done.stderr.splitlines()
    assert line.startswith("assign-roles: Cognitive Services OpenAI User on /g/oai was not granted")
    for administrator in ("Owner", "User Access", "Role Based Access Control"):
        assert administrator in line


def test_mistakes_are_named(cloud: Cloud) -> None:
    """A wrong group, a wrong name, one name for two: one line says which; no role is granted."""
    two = [*SERVICES, (SEARCH, "", "/g/other")]
    for services, env, words in (
        ([], {}, "has none of the services"),
        (SERVICES, {"RESOURCE_GROUP": ""}, "set RESOURCE_GROUP"),
        (SERVICES, {"PATH": "/usr/bin:/bin"}, "az, is not installed"),
        (two, {}, "more than one search service: name it with SEARCH_NAME"),
        (SERVICES, {"STORAGE_NAME": "stt"}, "no storage account named stt: check STORAGE_NAME"),
        ([*SERVICES, SCANS], {"OPENAI_NAME": "di"}, "no OpenAI account named di"),
        (SERVICES, {"OCR_NAME": "oai"}, "no Document Intelligence account named oai"),
    ):
        cloud.set(services=services)
        done = cloud.assign(**env)
        assert done.returncode == 2
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert cloud.known("granted") == []


def test_a_failure_of_the_cli_is_not_taken_for_an_answer(cloud: Cloud) -> None:
    """Not signed in, az fails: nothing is granted, and the script fails too."""
    (cloud.folder / "az").write_text('#!/bin/sh\necho "Please run az login" >&2\nexit 1\n')
    done = cloud.assign()
    assert done.returncode != 0
    assert "az login" in done.stderr
    assert "granted" not in done.stdout


@pytest.mark.parametrize("name", ["assign-roles", "postprovision"])
def test_powershell_grants_nothing_that_it_was_not_asked_to(name: str) -> None:
    """-WhatIf and -Confirm are known, and every other word is judged before the first call of az.

    Seen in the text, because PowerShell is rarely where the tests run.
    """
    source = (ROOT / f"scripts/{name}.ps1").read_text()
    _, _, code = source.partition("[CmdletBinding(SupportsShouldProcess")
    assert "[Parameter(ValueFromRemainingArguments, DontShow)][string[]]$Rest" in code
    main = "\n".join(line for line in code.splitlines() if not line.startswith((" ", "function")))
    assert main.index("if ($WhatIfPreference) { $DryRun = $true }") < main.index("$Rest) {")
    assert main.index("foreach ($word in $Rest)") < main.index("$env:")
    for act in re.findall(r"& az (?:@create|containerapp job start).*", code):
        before, _, after = code.partition(act)
        assert before.rindex("if ($DryRun)") < before.rindex("ShouldProcess(")
        assert "granted: " not in before
        assert "was started" not in before
        assert "if ($LASTEXITCODE -ne 0)" in after.splitlines()[1]


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


def find_grants(source: str) -> list[tuple[str, str, str]]:
    """Role, id and resource of every grant, in order."""
    pattern = r"""(?i)grant(?:-role)? ["']([\w ]+)["'] '?([0-9a-f-]{36})'? "?\$(\w+)"?"""
    return re.findall(pattern, source)


def test_both_scripts_ask_the_same_of_the_cli() -> None:
    """On Windows the same calls are made, for the same roles. PowerShell itself is not run here."""
    assert find_grants(SHELL) == find_grants(POWERSHELL)
    assert len(find_grants(SHELL)) == 5
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
    runs = shell[shell.index("case $code") :] + powershell[powershell.index("switch (") :]
    cases = re.findall(r"^ {8}(\d+|\*|default)\)? ", runs, re.MULTILINE)
    assert cases == ["0", "3", "1", "11", "*", "0", "3", "1", "11", "default"]
    for words in (
        *("--wait-for-roles 10m", "containerapp job execution list", "containerapp job start"),
        *("length([?properties.status=='Running'])", "INGEST_POSTPROVISION=skip"),
        *("the documents named above", "azd hooks run postprovision", "expected warn or fail"),
    ):
        assert words in shell
        assert words in powershell
    output = re.findall(r"""(?:say|Write-Word|passing|Stop-Passing) ["']([^"']+)["']""", shell)
    for sentence in output:
        assert sentence.split("$")[0].split(";")[0] in powershell, sentence


def test_the_shell_scripts_have_no_traps() -> None:
    """Unquoted words and bashisms would fail on somebody else's machine first."""
    scripts = [p for p in (ROOT / "scripts").iterdir() if p.is_file() and shebang(p) == "#!/bin/sh"]
    assert len(scripts) > 5
    done = run_process(Path(sys.executable).parent / "shellcheck", *scripts, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def shebang(path: Path) -> str:
    return path.read_text().partition("\n")[0]
