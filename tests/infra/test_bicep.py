"""infra/: what can be known of the Bicep files without their compiler, and without Azure.

Every name is declared and used, every module gets what it requires, and what the files say of
roles, settings and keys is what the code and the documents say.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tree_sitter import Node

from ingest.azure import roles
from ingest.config.capacity import document_memory
from ingest.config.settings import build_settings, environment_settings
from ingest.extract.ocr.local import MIN_MEGABYTES
from ingest.pipeline.exit_codes import KNOWN_AFTER
from ingest.runtime.telemetry.exporters import ExporterChoice, choose_exporters, requires_token
from tests.conftest import ROOT, run_process
from tests.infra.bicep import (
    FILES,
    INFRA,
    TEMPLATES,
    Template,
    at,
    functions,
    members,
    properties,
    references,
    target,
    text,
    variables,
    walk,
)
from tests.infra.shells import install

MAIN = TEMPLATES[INFRA / "main.bicep"]
SETTINGS = {item.metadata["env"] for item in environment_settings()}

# Stable versions that exist, as of November 2026; two types have never had a stable one.
VERSIONS = {
    "Microsoft.App/jobs": "2026-01-01",
    "Microsoft.App/managedEnvironments": "2026-01-01",
    "Microsoft.Authorization/roleAssignments": "2022-04-01",
    "Microsoft.CognitiveServices/accounts": "2026-07-01",
    "Microsoft.CognitiveServices/accounts/deployments": "2026-07-01",
    "Microsoft.ContainerRegistry/registries": "2025-11-01",
    "Microsoft.EventGrid/systemTopics": "2025-02-15",
    "Microsoft.EventGrid/systemTopics/eventSubscriptions": "2025-02-15",
    "Microsoft.Insights/actionGroups": "2024-10-01-preview",
    "Microsoft.Insights/components": "2020-02-02",
    "Microsoft.Insights/diagnosticSettings": "2021-05-01-preview",
    "Microsoft.Insights/scheduledQueryRules": "2026-03-01",
    "Microsoft.ManagedIdentity/userAssignedIdentities": "2024-11-30",
    "Microsoft.Network/privateDnsZones": "2024-06-01",
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks": "2024-06-01",
    "Microsoft.Network/privateEndpoints": "2025-05-01",
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups": "2025-05-01",
    "Microsoft.Network/virtualNetworks": "2025-05-01",
    "Microsoft.OperationalInsights/workspaces": "2026-03-01",
    "Microsoft.Resources/resourceGroups": "2025-04-01",
    "Microsoft.Search/searchServices": "2025-05-01",
    "Microsoft.Storage/storageAccounts": "2026-04-01",
    "Microsoft.Storage/storageAccounts/blobServices": "2026-04-01",
    "Microsoft.Storage/storageAccounts/blobServices/containers": "2026-04-01",
    "Microsoft.Storage/storageAccounts/queueServices": "2026-04-01",
    "Microsoft.Storage/storageAccounts/queueServices/queues": "2026-04-01",
    "Microsoft.Web/serverfarms": "2025-03-01",
    "Microsoft.Web/sites": "2025-03-01",
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": "2025-03-01",
}
FUNCTIONS = {
    *("concat", "contains", "empty", "environment", "fail", "guid", "json", "length"),
    *("loadJsonContent", "resourceGroup", "split", "string"),
    *("subscription", "subscriptionResourceId", "toLower", "union", "uniqueString"),
}
ROLES = {
    "acr-pull": ("AcrPull", "7f951dda-4ed3-4680-a7ca-43fe172d538d"),
    "blob-contributor": ("Storage Blob Data Contributor", "ba92f5b4-2d11-453d-a403-e96b0029c9fe"),
    "blob-reader": ("Storage Blob Data Reader", "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"),
    "cognitive-user": (roles.COGNITIVE_USER.name, roles.COGNITIVE_USER.id),
    "metrics-publisher": ("Monitoring Metrics Publisher", "3913510d-42f4-4e42-8a64-420c390055eb"),
    "openai-user": (roles.OPENAI_USER.name, roles.OPENAI_USER.id),
    "queue-processor": (roles.QUEUE_PROCESSOR.name, roles.QUEUE_PROCESSOR.id),
    "queue-reader": ("Storage Queue Data Reader", "19e7f393-937e-4f77-808e-94535e297925"),
    "queue-sender": ("Storage Queue Data Message Sender", "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a"),
    "search-index-data": (roles.INDEX_DATA_CONTRIBUTOR.name, roles.INDEX_DATA_CONTRIBUTOR.id),
    "search-service": (roles.SEARCH_SERVICE_CONTRIBUTOR.name, roles.SEARCH_SERVICE_CONTRIBUTOR.id),
}
# Read by SDKs and hosts rather than by ingest.
OF_OTHERS = {
    *("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", "APPLICATIONINSIGHTS_CONNECTION_STRING"),
    *("AZURE_CLIENT_ID", "AZURE_TOKEN_CREDENTIALS", "SCM_DO_BUILD_DURING_DEPLOYMENT"),
}


def relative_name(path: Path) -> str:
    return str(path.relative_to(INFRA))


@pytest.fixture(params=FILES, ids=relative_name)
def template(request: pytest.FixtureRequest) -> Template:
    return TEMPLATES[request.param]


def test_every_file_can_be_read(template: Template) -> None:
    """No file has a slip of the pen."""
    assert not template.broken


def test_every_name_is_declared_and_used(template: Template) -> None:
    """A misspelt name, or a parameter that does nothing, is found before a deployment."""
    used = set[str]()
    for node in template.nodes():
        assert references(template, node) <= template.declared(), text(node)
        assert functions(node) <= FUNCTIONS, text(node)
        used |= references(template, node)
    assert {*template.parameters, *template.variables} <= used


def test_every_module_gets_what_it_requires_and_nothing_else(template: Template) -> None:
    """Files, parameters and outputs of modules agree with how they are called."""
    for name, node in template.modules.items():
        called = TEMPLATES[(template.path.parent / target(node)).resolve()]
        passed = set(properties(at(node, "params")))
        assert called.required() <= passed <= set(called.parameters), name
    for node in template.nodes():
        for module, output in members(node):
            path = template.path.parent / target(template.modules[module])
            assert output in TEMPLATES[path.resolve()].outputs, f"{module}.{output}"


def test_every_module_is_used() -> None:
    """No file lies about that nobody deploys."""
    called = {
        (template.path.parent / target(node)).resolve()
        for template in TEMPLATES.values()
        for node in template.modules.values()
    }
    assert called == set(FILES) - {MAIN.path}


def test_what_may_be_absent_is_asked_for_carefully(template: Template) -> None:
    """The outputs of a module under a condition are null without it; `!` says so."""
    conditional = {name for name, node in template.modules.items() if b" if (" in line(node)}
    source = template.path.read_text()
    for name in template.modules:
        plain = re.findall(rf"\b{name}\.outputs\b", source)
        assert not (name in conditional and plain), name
        assert name in conditional or not re.findall(rf"\b{name}!", source), name


def line(node: Node) -> bytes:
    """The first line of a declaration, which has its condition."""
    return (node.text or b"").splitlines()[0]


def test_api_versions_are_the_ones_that_were_checked() -> None:
    """One version a type, in every file, and none by chance."""
    used = {
        tuple(target(node).split("@"))
        for template in TEMPLATES.values()
        for node in template.resources.values()
    }
    assert used == set(VERSIONS.items())


@pytest.mark.parametrize("name", ROLES)
def test_each_role_is_assigned_by_one_small_file(name: str) -> None:
    """The id is that of the role it is called by, to one resource, under a name of its own.

    The name is unique in a tenant: one that another resource has is refused, so that the second
    `azd provision` with another container or another account would fail.
    """
    role, id_ = ROLES[name]
    template = TEMPLATES[INFRA / f"roles/{name}.bicep"]
    source = template.path.read_text()

    assert f"description = '{role}: " in source
    assert re.findall(r"'([0-9a-f-]{36})'", source) == [id_]
    assert {"principalId", "principalType"} <= template.required()
    assignment = template.resources["assignment"]
    scope = text(at(assignment, "scope"))
    assert text(at(assignment, "name")) == f"guid({scope}.id, principalId, roleDefinitionId)"
    assert "existing" in text(template.resources[scope])


def test_roles_of_the_host_wait_for_its_services() -> None:
    """With the job as host nothing else orders them; the compiler's advice is silenced there only.

    Everywhere else that advice is an error.
    """
    node = MAIN.modules["hostRoles"]
    assert text(at(node, "dependsOn")) == "[newOpenAi, newSearch, newStorage, newOcr]"
    lines = [each.strip() for each in text(node).splitlines()]
    silenced = lines.index("#disable-next-line no-unnecessary-dependson")
    assert lines[silenced + 1].startswith("dependsOn: ")
    assert lines[silenced - 1].startswith("// ")
    assert sum(path.read_text().count("#disable") for path in FILES) == 1
    rules = json.loads((INFRA / "bicepconfig.json").read_text())["analyzers"]["core"]["rules"]
    assert rules == {"no-unnecessary-dependson": {"level": "error"}}


@pytest.mark.parametrize(
    ("variable", "parameter"),
    [
        ("openAi", "existingOpenAi"),
        ("search", "existingSearch"),
        ("storage", "existingStorage"),
        ("ocr", "existingDocumentIntelligence"),
    ],
)
def test_an_existing_service_without_its_group_is_named(variable: str, parameter: str) -> None:
    """INFRA_EXISTING_OPENAI=name ends with what is expected, not with an index out of bounds."""
    value = " ".join(text(MAIN.variables[variable]).split())
    parts = f"split({parameter}, '/')"
    assert value.endswith(
        f": length({parts}) == 2 && !contains({parts}, '') ? {parts} "
        f": fail('{parameter}: expected GROUP/NAME, got ${{{parameter}}}')"
    )


def test_any_kind_of_principal_may_deploy() -> None:
    """A team that deploys as a group gets the roles of a deployer."""
    for file in ("main.bicep", "modules/access.bicep", *(f"roles/{name}.bicep" for name in ROLES)):
        types = "@allowed(['User', 'Group', 'ServicePrincipal'])\nparam principalType string"
        assert types in (INFRA / file).read_text(), file


COMPILER = """\
import pathlib, sys
command, *words = sys.argv[1:]
if command == "build":
    print("{}")
    print(pathlib.Path(__file__).with_name("said").read_text(), end="", file=sys.stderr)
elif command == "format":
    print(pathlib.Path(words[0]).read_text().replace("badly ", ""), end="")
"""


def test_the_checks_compile_the_templates_where_a_compiler_is(tmp_path: Path) -> None:
    """A warning or a badly formatted file fails scripts/check; without a compiler it says so."""
    (tmp_path / "scripts").mkdir()
    script = shutil.copy(ROOT / "scripts/check-bicep", tmp_path / "scripts")
    file, said = tmp_path / "infra/main.bicep", tmp_path / "said"
    (tmp_path / "infra/modules").mkdir(parents=True)
    (tmp_path / "infra/modules/a.bicep").write_text("")
    file.write_text("var a = 1\n")
    said.write_text("")

    def check() -> tuple[int, str]:
        done = run_process(
            script, cwd=tmp_path, PATH=f"{tmp_path}:/usr/bin:/bin", HOME=str(tmp_path)
        )
        return done.returncode, done.stdout + done.stderr

    code, output = check()
    assert (code, output.count("\n")) == (0, 1)
    assert "infra/ was not compiled" in output

    install("bicep", COMPILER, tmp_path)
    code, output = check()
    assert code == 0, output
    assert "compiles without a warning" in output

    said.write_text("infra/main.bicep(1,2) : Warning BCP225: The discriminator\n")
    code, output = check()
    assert code == 1
    assert "BCP225" in output

    said.write_text("")
    file.write_text("badly var a = 1\n")
    assert check() == (1, "infra/main.bicep: not formatted as bicep format would\n")
    assert "scripts/check-bicep" in (ROOT / "scripts/check").read_text().splitlines()


def test_the_roles_are_the_documented_ones() -> None:
    """The tables of the documents, the files and the code name the same roles by the same ids."""
    assert {path.stem for path in FILES if path.parent.name == "roles"} == set(ROLES)
    pattern = r"^\| ([\w ]+) \| `([0-9a-f-]{36})` \|"
    rows = re.findall(pattern, (ROOT / "docs/deploy.md").read_text(), re.MULTILINE)
    assert set(rows) == set(ROLES.values())
    few = re.findall(pattern, (ROOT / "docs/azure.md").read_text(), re.MULTILINE)
    assert few
    known = {(role.name, role.id) for role in vars(roles).values() if isinstance(role, roles.Role)}
    assert set(few) <= known


def test_nobody_gets_more_than_needed() -> None:
    """The host reads PDFs and writes documents; the person who deploys creates the index."""
    host, deployer = MAIN.modules["hostRoles"], MAIN.modules["deployerRoles"]
    assert text(at(host, "params.blobs")) == "read"
    assert text(at(host, "params.createsIndex")) == "privateEndpoints"
    assert text(at(host, "params.principalType")) == "ServicePrincipal"
    assert text(at(deployer, "params.blobs")) == "deployerUploads ? 'write' : 'none'"
    assert text(MAIN.parameters["deployerUploads"]).endswith("= false")
    assert text(at(deployer, "params.createsIndex")) == "true"
    assert text(at(deployer, "params.principalType")) == "principalType"
    assert {name: target(node) for name, node in access().items()} == {
        "embeds": "../roles/openai-user.bicep",
        "recognises": "../roles/cognitive-user.bicep",
        "writesDocuments": "../roles/search-index-data.bicep",
        "makesIndex": "../roles/search-service.bicep",
        "readsBlobs": "../roles/blob-reader.bicep",
        "writesBlobs": "../roles/blob-contributor.bicep",
    }
    for name, asked in {
        "recognises": b"if (!empty(documentIntelligence[1]))",
        "makesIndex": b"if (createsIndex)",
        "readsBlobs": b"if (blobs == 'read')",
        "writesBlobs": b"if (blobs == 'write')",
    }.items():
        assert asked in line(access()[name])


def access() -> dict[str, Node]:
    return TEMPLATES[INFRA / "modules/access.bicep"].modules


def test_the_search_service_may_embed_queries() -> None:
    """A question that comes as text is embedded by the service's own identity."""
    node = MAIN.modules["searchEmbeds"]
    assert target(node) == "roles/openai-user.bicep"
    assert "newSearch!.outputs.principalId" in text(at(node, "params.principalId"))


def test_nothing_has_a_key() -> None:
    """Where a key can be switched off it is, and no template reads or passes one."""
    for file, resource, path, value in (
        ("openai", "account", "properties.disableLocalAuth", "true"),
        ("document-intelligence", "account", "properties.disableLocalAuth", "true"),
        ("search", "service", "properties.disableLocalAuth", "true"),
        ("storage", "account", "properties.allowSharedKeyAccess", "false"),
        ("storage", "account", "properties.allowBlobPublicAccess", "false"),
        ("registry", "registry", "properties.adminUserEnabled", "false"),
        ("logs", "logs", "properties.features.disableLocalAuth", "true"),
        ("insights", "insights", "properties.DisableLocalAuth", "true"),
        ("appservice", "ftpPassword", "properties.allow", "false"),
        ("appservice", "scmPassword", "properties.allow", "false"),
    ):
        node = TEMPLATES[INFRA / f"modules/{file}.bicep"].resources[resource]
        assert text(at(node, path)) == value, f"{file}: {path}"
    search = TEMPLATES[INFRA / "modules/search.bicep"].resources["service"]
    assert "authOptions" not in properties(at(search, "properties"))
    for file in ("openai", "document-intelligence"):
        account = TEMPLATES[INFRA / f"modules/{file}.bicep"].resources["account"]
        assert text(at(account, "properties.customSubDomainName")) == "name"
    for found in FILES:
        assert not re.search(r"listKeys|listCredentials|\w+Key: |@secure", found.read_text()), found


JOB = TEMPLATES[INFRA / "modules/job.bicep"]
SITE = TEMPLATES[INFRA / "modules/appservice.bicep"]


def test_what_a_host_is_told_are_settings_that_exist() -> None:
    """A name that ingest does not read would be a setting that silently does nothing."""
    for template in (MAIN, JOB, SITE):
        assert variables(template)
        assert set(variables(template)) <= SETTINGS | OF_OTHERS
    assert {"AZURE_OPENAI_ENDPOINT", "AZURE_SEARCH_ENDPOINT", "INGEST_ROOT"} <= set(variables(MAIN))


def test_the_job_is_the_identity_that_was_made_for_it() -> None:
    """Every client in the process, of embeddings, of search and of blobs, signs in as the same."""
    told = variables(JOB)
    assert told["AZURE_OPENAI_CLIENT_ID"] == told["AZURE_CLIENT_ID"] == "identityClientId"
    assert told["AZURE_TOKEN_CREDENTIALS"] == "ManagedIdentityCredential"
    passed = at(MAIN.modules["job"], "params")
    assert text(properties(passed)["identityClientId"]) == "identity!.outputs.clientId"
    assert text(properties(passed)["environmentVariables"]) == "settings"
    # A system-assigned identity has no client id: one that is named would not be found.
    assert "AZURE_OPENAI_CLIENT_ID" not in variables(SITE) | variables(MAIN)
    assert "AZURE_CLIENT_ID" not in variables(SITE) | variables(MAIN)


def test_the_job_ends_in_good_order_before_its_time_is_up() -> None:
    """The deadline is the time-out less five minutes, and ingest understands it."""
    (seconds,) = re.findall(r"\$\{timeout - (\d+)\}s", variables(JOB)["INGEST_DEADLINE"])
    least = int(re.findall(r"@minValue\((\d+)\)\s*param timeout", JOB.path.read_text())[0])
    assert least > 2 * int(seconds)
    found = build_settings({"INGEST_DEADLINE": f"{least - int(seconds)}s"}, {})
    assert found.deadline == least - int(seconds)
    assert int(seconds) > found.grace_seconds

    job = JOB.resources["job"]
    assert text(at(job, "properties.configuration.replicaTimeout")) == "timeout"
    schedule = JOB.variables["scheduleTrigger"]
    assert text(at(schedule, "parallelism")) == "1"
    assert text(at(schedule, "cronExpression")) == "schedule"
    assert "['run']" in text(at(job, "properties.template.containers"))


def test_the_job_has_memory_for_each_document_that_it_reads_at_once(tmp_path: Path) -> None:
    """With its CPUs and its memory even local OCR of two documents fits."""
    (container,) = (node for node in walk(JOB.resources["job"]) if "cpu" in keys(node))
    cpus = float(re.findall(r"json\('([\d.]+)'\)", text(properties(container)["cpu"]))[0])
    memory = int(text(properties(container)["memory"]).removesuffix("Gi")) << 30
    assert memory == cpus * (2 << 30)  # the only memory that Container Apps gives to these CPUs

    for name, content in {
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/memory.max": f"{memory}\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(content)
    settings = replace(build_settings({}, {}), workers=int(cpus))
    assert MIN_MEGABYTES <= document_memory(settings, tmp_path) < (memory >> 20) / cpus


def keys(node: Node) -> set[str]:
    """The keys of an object; none of anything else."""
    return set(properties(node)) if node.type == "object" else set()


def test_the_job_does_not_fail_every_night_for_what_is_broken_for_good() -> None:
    """What was reported the night before is no failure; what is new is one, and after a retry."""
    told = re.findall("'(.*?)'", variables(JOB)["INGEST_EXIT_OK"])
    accepted = [build_settings({"INGEST_EXIT_OK": each}, {}).exit_ok for each in told]
    assert accepted == [("known", "11"), ("known",)]  # of blob events, of the night
    job = JOB.resources["job"]
    hours = KNOWN_AFTER.total_seconds() / 3600
    retries = int(text(at(job, "properties.configuration.replicaRetryLimit")))
    timeout = int(re.findall(r"param jobTimeout int = (\d+)", MAIN.path.read_text())[0])
    assert (retries + 1) * timeout < hours * 3600


def test_blob_events_start_a_job_of_their_own() -> None:
    """With INFRA_TRIGGER=event a blob starts a run in a minute, without a key, and one at a time.

    The nightly job stays: only it has azd's tag, and both have the same image and settings.
    """
    assert text(MAIN.parameters["trigger"]).endswith("= 'schedule'")
    for module in ("events", "eventJob", "processesEvents", "countsEvents"):
        assert line(MAIN.modules[module]).endswith(b"= if (isEventDriven) {")
    assert b"= if (isJob) {" in line(MAIN.modules["job"])
    driven = " ".join(text(MAIN.variables["isEventDriven"]).split())
    assert "trigger == 'schedule' ? false : isJob && !privateEndpoints ? true : fail(" in driven
    nightly, events = (properties(at(MAIN.modules[m], "params")) for m in ("job", "eventJob"))
    own = {"name", "schedule", "queueAccount", "queueName"}
    assert {key: text(value) for key, value in nightly.items() if key not in own} == {
        key: text(value) for key, value in events.items() if key not in own
    }
    job = JOB.resources["job"]
    assert text(at(job, "tags")).startswith("isEventDriven ? tags : union(tags, {")
    configuration = "properties.configuration"
    assert text(at(job, f"{configuration}.triggerType")) == "isEventDriven ? 'Event' : 'Schedule'"
    for config, value in (
        ("scheduleTriggerConfig", "isEventDriven ? null : scheduleTrigger"),
        ("eventTriggerConfig", "isEventDriven ? eventTrigger : null"),
    ):
        assert text(at(job, f"{configuration}.{config}")) == value

    trigger = JOB.variables["eventTrigger"]
    assert text(at(trigger, "scale.maxExecutions")) == text(at(trigger, "parallelism")) == "1"
    (rule,) = (node for node in walk(at(trigger, "scale.rules")) if "metadata" in keys(node))
    named = {key: text(value) for key, value in properties(rule).items() if key != "metadata"}
    assert named == {"name": "blob-events", "type": "azure-queue", "identity": "identityId"}
    assert {k: text(v) for k, v in properties(properties(rule)["metadata"]).items()} == {
        "accountName": "queueAccount",
        "queueName": "queueName",
        "queueLength": "1",
        "queueLengthStrategy": "visibleonly",
    }


def test_events_of_the_container_go_to_the_queue_that_a_run_reads() -> None:
    """Event Grid delivers as its own identity; the job may take messages, and count them."""
    template = TEMPLATES[INFRA / "modules/events.bicep"]
    events = template.resources["blobEvents"]
    assert text(at(events, "properties.deliveryWithResourceIdentity.identity.type")) == (
        "SystemAssigned"
    )
    destination = "properties.deliveryWithResourceIdentity.destination"
    assert text(at(events, f"{destination}.endpointType")) == "StorageQueue"
    assert text(at(events, f"{destination}.properties.queueName")) == "queue.name"
    assert text(at(events, "properties.filter.subjectBeginsWith")) == (
        "/blobServices/default/containers/${containerName}/"
    )
    kinds = text(at(events, "properties.filter.includedEventTypes"))
    assert {"'Microsoft.Storage.BlobCreated'", "'Microsoft.Storage.BlobDeleted'"} < set(
        kinds.split()
    )
    sender = template.modules["sendsEvents"]
    assert target(sender) == "../roles/queue-sender.bicep"
    assert text(at(sender, "params.principalId")) == "topic.identity.principalId"
    for module, role in (("processesEvents", "processor"), ("countsEvents", "reader")):
        assert target(MAIN.modules[module]) == f"roles/queue-{role}.bicep"
        principal = text(at(MAIN.modules[module], "params.principalId"))
        assert principal == "identity!.outputs.principalId"

    assert variables(MAIN)["INGEST_EVENT_QUEUE"] == "isEventDriven ? queueUrl : ''"
    url = text(MAIN.variables["queueUrl"]).partition(" = ")[2].strip("'")
    assert url.endswith("/${queueName}")
    assert text(at(MAIN.modules["events"], "params.queueName")) == "queueName"
    assert build_settings({"INGEST_EVENT_QUEUE": "https://st.queue.core.windows.net/q"}, {})


def test_private_endpoints_close_the_public_ones() -> None:
    """A private endpoint beside an open door protects nothing."""
    for file in ("openai", "search", "storage", "document-intelligence"):
        template = TEMPLATES[INFRA / f"modules/{file}.bicep"]
        (node,) = (n for n in template.resources.values() if b"location" in (n.text or b""))
        assert text(at(node, "properties.publicNetworkAccess")) == "publicNetworkAccess"
    assert text(MAIN.variables["publicNetworkAccess"]).endswith(
        "privateEndpoints ? 'Disabled' : 'Enabled'"
    )
    private = TEMPLATES[INFRA / "modules/private.bicep"].modules
    zones = {
        name: text(at(node, "params.zone")) for name, node in private.items() if name != "network"
    }
    assert zones == {
        "openAi": "privatelink.${cloud.openAi}",
        "search": "privatelink.${cloud.search}",
        "storage": "privatelink.blob.${environment().suffixes.storage}",
        "documentIntelligence": "privatelink.${cloud.cognitiveServices}",
    }
    served = {name: text(at(private[name], "params.service")) for name in zones}
    assert served == {
        "openAi": "account",
        "search": "searchService",
        "storage": "blob",
        "documentIntelligence": "account",
    }


def test_scans_are_only_paid_for_by_whom_asked_for_it() -> None:
    """Without a wish there is no Document Intelligence, no role on it, and the setting is empty."""
    assert text(MAIN.parameters["documentIntelligence"]).endswith("= false")
    assert b"if (makesOcr)" in line(MAIN.modules["newOcr"])
    assert "empty(ocr[1]) ? ''" in text(MAIN.variables["ocrEndpoint"])
    assert variables(MAIN)["INGEST_OCR"] == "ocrEndpoint"
    assert build_settings({"INGEST_OCR": ""}, {}).ocr == ""


def test_traces_are_only_paid_for_by_whom_asked_for_them() -> None:
    """Without a wish there is no Application Insights, and the host is told of none.

    With it, job and App Service sign in there as themselves, and ingest understands how.
    """
    assert text(MAIN.parameters["applicationInsights"]).endswith("= false")
    for module in ("insights", "insightsPublish"):
        assert line(MAIN.modules[module]).endswith(b"if (applicationInsights) {")
    publish = MAIN.modules["insightsPublish"]
    assert target(publish) == "roles/metrics-publisher.bicep"
    host = text(at(MAIN.modules["hostRoles"], "params.principalId"))
    assert text(at(publish, "params.principalId")) == host
    for module, template in (("job", JOB), ("site", SITE)):
        passed = properties(at(MAIN.modules[module], "params"))["insightsConnection"]
        assert text(passed) == "applicationInsights ? insights!.outputs.connectionString : ''"
        told = variables(template)
        assert told["APPLICATIONINSIGHTS_CONNECTION_STRING"] == "insightsConnection"
        assert requires_token({name: value.strip("'") for name, value in told.items()})
    assert choose_exporters({"APPLICATIONINSIGHTS_CONNECTION_STRING": ""}) == ExporterChoice()


def test_alerts_are_sent_only_to_an_address_that_is_given() -> None:
    """Without one there is no rule; with one I hear of failed documents and of missing runs."""
    assert text(MAIN.parameters["alertEmail"]).endswith("= ''")
    assert line(MAIN.modules["alerts"]).endswith(b"= if (!empty(alertAddress)) {")
    assert "|| isJob ? alertEmail : fail('alertEmail: " in text(MAIN.variables["alertAddress"])
    rules = TEMPLATES[INFRA / "modules/alerts.bicep"].resources
    assert text(at(rules["operator"], "properties.emailReceivers")).count("address") == 1
    seen = {}
    for name in ("failedDocuments", "noGoodRun"):
        assert text(at(rules[name], "properties.scopes")) == "[logsId]"
        assert text(at(rules[name], "properties.actions.actionGroups")) == "[operator.id]"
        (one,) = (node for node in walk(rules[name]) if "query" in keys(node))
        query, *limit = (text(properties(one)[k]) for k in ("query", "operator", "threshold"))
        assert query.startswith("ContainerAppConsoleLogs | ")
        seen[name] = (re.findall(r'line\.event == "(\w+)"', query), limit)
    assert seen == {
        "failedDocuments": (["source"], ["GreaterThan", "0"]),
        "noGoodRun": (["end"], ["LessThan", "1"]),
    }
    # Longer than a night, a run and its retry, so that a slow run is no missing one.
    (hours,) = re.findall(r"ago\((\d+)h\)", text(rules["noGoodRun"]))
    timeout = int(re.findall(r"param jobTimeout int = (\d+)", MAIN.path.read_text())[0])
    assert int(hours) >= 24 + 2 * timeout / 3600
