"""infra/aks/: held against the schemas of Kubernetes and of Dask's operator, without a cluster.

Nothing that they do not know passes, and what the manifest says of images, ports, users and names
is what the code, the Dockerfile and the documents say.
"""

from __future__ import annotations

import copy
import json
import re
from functools import cache
from importlib.resources import files
from typing import Any, TypeAlias

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError

from ingest.config.settings import Settings, build_settings, environment_settings
from tests.conftest import ROOT

Document: TypeAlias = dict[str, Any]

TEXT = (ROOT / "infra/aks/ingest.yaml").read_text()
DOCUMENTS: list[Document] = list(yaml.load_all(TEXT, yaml.CSafeLoader))
KUBERNETES = "1.34"
SETTINGS = {item.metadata["env"] for item in environment_settings()}


def find(kind: str) -> Document:
    """A copy of the one document of a kind."""
    (found,) = (each for each in DOCUMENTS if each["kind"] == kind)
    return copy.deepcopy(found)


@cache
def definition(kind: str) -> Draft202012Validator:
    """Schema of a kind that the operator accepts, without unknown fields."""
    path = files("dask_kubernetes").joinpath(
        f"operator/deployment/helm/dask-kubernetes-operator/crds/{kind.lower()}.yaml"
    )
    (version,) = yaml.load(path.read_text(), yaml.CSafeLoader)["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    schema["properties"] |= {name: {} for name in ("apiVersion", "kind", "metadata")}
    return Draft202012Validator(close_schema(schema))


def close_schema(schema: Any) -> Any:
    """The schema, so that it refuses what it does not name, as kubectl does."""
    if isinstance(schema, list):
        return [close_schema(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: close_schema(each) for name, each in schema.items()}
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema:
        made["additionalProperties"] = False
    return made


def refusal(document: Document) -> str:
    """Reason why a cluster would refuse the document; "" if it would not."""
    try:
        check(document)
    except ValidationError as error:
        return str(error.message)
    return ""


def check(document: Document) -> None:
    """Raises if a cluster would refuse the document."""
    if document["apiVersion"] == "kubernetes.dask.org/v1":
        definition(document["kind"]).validate(document)
    else:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


def pods() -> dict[str, Document]:
    """Every pod there will be, by its container's name: as a Pod."""
    cluster, job = find("DaskCluster"), find("CronJob")
    inherited = cluster["metadata"]["labels"]  # as the operator has it
    made = {}
    for part, labels in (
        (cluster["spec"]["scheduler"], inherited),
        (cluster["spec"]["worker"], inherited),
        (job["spec"]["jobTemplate"]["spec"]["template"], {}),
    ):
        own = part.get("metadata", {})
        metadata = {"name": "pod", **own, "labels": {**labels, **own.get("labels", {})}}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": part["spec"]}
        made[part["spec"]["containers"][0]["name"]] = pod
    return made


def container(name: str) -> Document:
    (found,) = pods()[name]["spec"]["containers"]
    made: Document = found
    return made


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: each["kind"])
def test_a_cluster_accepts_the_manifest(document: Document) -> None:
    """`kubectl apply` finds no field that it does not know, lacks none and takes every value."""
    assert refusal(document) == ""


@pytest.mark.parametrize("pod", pods().values(), ids=list(pods()))
def test_a_cluster_accepts_what_the_operator_makes_of_it(pod: Document) -> None:
    """The operator's own definition is laxer with pods than the cluster that is to run them."""
    assert refusal(pod) == ""


def set_field(kind: str, path: str, value: Any) -> Document:
    """A document with one field set, or left out where the value is None."""
    made = find(kind)
    *way, last = path.split(".")
    inner: Any = made
    for name in way:
        inner = inner[int(name) if name.isdigit() else name]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return made


POD = "spec.jobTemplate.spec.template.spec"


@pytest.mark.parametrize(
    ("kind", "path", "value", "told"),
    [
        ("CronJob", "spec.schedule", None, "schedule"),
        ("CronJob", "spec.concurrency", "Forbid", "concurrency"),
        ("CronJob", f"{POD}.containers.0.securityContext.readOnlyRoot", True, "readOnlyRoot"),
        ("DaskCluster", "spec.worker", None, "worker"),
        ("DaskCluster", "spec.workers", {}, "workers"),
        ("DaskCluster", "spec.worker.replicas", "2", "integer"),
        ("DaskCluster", "spec.worker.spec.serviceAccountname", "ingest", "serviceAccountname"),
        ("DaskAutoscaler", "spec.maximum", None, "maximum"),
        ("NetworkPolicy", "spec.ingress.0.to", [], "to"),
    ],
)
def test_a_fault_in_it_is_found(kind: str, path: str, value: Any, told: str) -> None:
    """A misspelt, missing or mistyped field does not pass, at any depth."""
    with pytest.raises(ValidationError, match=told):
        check(set_field(kind, path, value))


def test_every_node_is_the_same_image_and_can_change_nothing_in_it() -> None:
    """One image for all, as its own user, with a temporary folder and nothing else to write to."""
    (user,) = set(re.findall(r"^USER (\d+):", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    assert list(pods()) == ["scheduler", "worker", "ingest"]
    for name, pod in pods().items():
        assert container(name)["image"] == "${IMAGE}"
        assert pod["spec"]["securityContext"]["runAsUser"] == int(user)
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        own = container(name)["securityContext"]
        assert own["readOnlyRootFilesystem"] is True
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert [mount["mountPath"] for mount in container(name)["volumeMounts"]] == ["/tmp"]
        assert container(name)["resources"]["requests"].keys() == {"cpu", "memory"}


def test_who_signs_in_is_who_has_the_identity() -> None:
    """Workers and driver are the identity of the service account; the scheduler is nobody."""
    account = find("ServiceAccount")
    assert "azure.workload.identity/client-id" in account["metadata"]["annotations"]
    for name, pod in pods().items():
        signed = name != "scheduler"
        labels = pod["metadata"]["labels"]
        assert (labels.get("azure.workload.identity/use") == "true") is signed
        assert (pod["spec"].get("serviceAccountName") == account["metadata"]["name"]) is signed
    assert not re.search(r"KEY|SECRET|PASSWORD", TEXT)


def test_the_commands_are_those_of_the_image() -> None:
    """The driver is the image's entry point, and does as much as `ingest run` does."""
    assert "command" not in container("ingest")
    assert container("ingest")["args"] == ["run"]
    assert container("scheduler")["command"] == ["dask", "scheduler"]
    assert container("worker")["command"] == ["dask", "worker"]


def test_what_the_driver_is_told_are_settings() -> None:
    """No name is made up, every value is read as it stands, and the engine is the service there."""
    variables = find("ConfigMap")["data"]
    assert variables.keys() <= SETTINGS
    assert all(isinstance(value, str) for value in variables.values())  # an empty one, too
    made_up = {name: "https://name.example" for name in variables if name.endswith("_ENDPOINT")}
    made_up |= {"AZURE_OPENAI_EMBEDDING_DIMENSIONS": "1536", "INGEST_OCR": ""}
    read = build_settings(variables | made_up, {})
    cluster = find("DaskCluster")
    service, metadata = cluster["spec"]["scheduler"]["service"], cluster["metadata"]
    ports = {port["name"]: port["port"] for port in service["ports"]}
    # The operator names the service so, and tells workers this address.
    host = f"{metadata['name']}-scheduler.{metadata['namespace']}.svc.cluster.local"
    assert read.engine == f"tcp://{host}:{ports['tcp-comm']}"
    assert service["selector"]["dask.org/cluster-name"] == metadata["name"]
    assert find("DaskAutoscaler")["spec"]["cluster"] == metadata["name"]


FLAGS = {"tcp-comm": "--port ", "http-dashboard": "--dashboard-address :"}


def test_ports_are_what_listens() -> None:
    """Probes, service and the operator ask where the scheduler and the workers listen."""
    for name in ("scheduler", "worker"):
        arguments = " ".join(container(name)["args"])
        for port in container(name)["ports"]:
            assert f"{FLAGS[port['name']]}{port['containerPort']} " in f"{arguments} "
        for probe in ("readinessProbe", "livenessProbe"):
            if probe in container(name):
                assert container(name)[probe]["httpGet"]["port"] == "http-dashboard"
    variables = {each["name"]: each["value"] for each in container("scheduler")["env"]}
    routes = variables["DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES"]
    assert json.loads(routes) == ["distributed.http.health", "distributed.http.scheduler.api"]


def test_a_driver_has_the_time_to_end_in_order() -> None:
    """SIGTERM is given longer than a run takes to settle what is under way and to let go."""
    pod = pods()["ingest"]["spec"]
    assert pod["terminationGracePeriodSeconds"] >= Settings().grace_seconds + 30
    job = find("CronJob")["spec"]
    assert job["concurrencyPolicy"] == "Forbid"
    failure, _ = job["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert failure["onExitCodes"]["values"] == [2, 3]  # 1 and 11 pass by themselves
    assert find("ConfigMap")["data"]["INGEST_EXIT_OK"] == "known"
    # What a killed driver leaves behind lapses before the last try: index/lease.py.
    waits = [10 * 2**n for n in range(job["jobTemplate"]["spec"]["backoffLimit"])]
    assert sum(waits) > 90


def test_nobody_else_reaches_the_scheduler() -> None:
    """Its ports run any code they are sent, so the network admits only pods with one label."""
    policy = find("NetworkPolicy")["spec"]
    ours, operator = policy["ingress"]
    assert policy["podSelector"] == {}
    (mine,) = ours["from"][0]["podSelector"]["matchLabels"].items()
    for pod in pods().values():
        assert mine in pod["metadata"]["labels"].items()
    assert {port["port"] for port in operator["ports"]} == {8786, 8787}


def test_its_variables_are_explained() -> None:
    """Whatever is to be filled in has its line in docs/scale.md."""
    names = set(re.findall(r"\$\{([A-Z_]+)\}", TEXT))
    document = (ROOT / "docs/scale.md").read_text()
    for name in names:
        assert name in document or name in SETTINGS, name
    assert {"IMAGE", "AZURE_CLIENT_ID"} <= names
