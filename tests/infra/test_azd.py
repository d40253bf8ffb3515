"""azure.yaml and what goes in and out of infra/: azd finds everything, and twice the same."""

from __future__ import annotations

import json
import re

import yaml

from ingest.config.settings import environment_settings
from tests.conftest import ROOT
from tests.infra.bicep import INFRA, TEMPLATES, at, text, variables

MAIN = TEMPLATES[INFRA / "main.bicep"]
JOB = TEMPLATES[INFRA / "modules/job.bicep"]
AZD = yaml.safe_load((ROOT / "azure.yaml").read_text())
SETTINGS = {item.metadata["env"] for item in environment_settings()}
PARAMETERS = {
    name: entry["value"]
    for name, entry in json.loads((INFRA / "main.parameters.json").read_text())[
        "parameters"
    ].items()
}


def test_parameters_are_those_of_the_template_with_its_defaults() -> None:
    """What I do not set by `azd env set` is what the template says anyway."""
    assert set(PARAMETERS) == set(MAIN.parameters)
    for name, value in PARAMETERS.items():
        (default,) = re.findall(r"^\$\{[A-Z_]+=?(.*)\}$", value)
        declared = text(MAIN.parameters[name]).partition(" = ")[2].strip("'")
        assert default == declared, name


def test_outputs_are_settings_by_their_names() -> None:
    """`azd env get-values` gives what `ingest run` reads, and not the identity of the host."""
    of_azd = {
        *("AZURE_RESOURCE_GROUP", "AZURE_CONTAINER_REGISTRY_ENDPOINT"),
        *("AZURE_CONTAINER_JOB_NAME", "AZURE_CONTAINER_EVENT_JOB_NAME", "AZURE_APP_SERVICE_NAME"),
    }
    assert set(MAIN.outputs) - SETTINGS == of_azd
    assert {"AZURE_OPENAI_ENDPOINT", "AZURE_SEARCH_ENDPOINT"} <= set(MAIN.outputs)
    assert not {"AZURE_OPENAI_CLIENT_ID", "AZURE_CLIENT_ID"} & set(MAIN.outputs)
    outputs = {name: value for name, value in variables(MAIN).items() if name in MAIN.outputs}
    for name, value in outputs.items():
        declared = text(MAIN.outputs[name]).partition(" = ")[2]
        assert value in {declared, f"string({declared})"}, name


def test_an_output_that_is_also_an_input_comes_back_as_it_was() -> None:
    """The second `azd up` deploys what the first one did."""
    inputs = {re.sub(r"^\$\{([A-Z_]+).*", r"\1", value): name for name, value in PARAMETERS.items()}
    both = set(inputs) & set(MAIN.outputs)
    assert both
    for env in both:
        assert text(MAIN.outputs[env]).partition(" = ")[2] == inputs[env], env


def test_azd_finds_the_job_the_image_and_the_hooks() -> None:
    """The service of azure.yaml is the resource that has its tag; hooks are scripts that exist."""
    (service,) = AZD["services"]
    tags = at(JOB.resources["job"], "tags")
    assert f"'azd-service-name': '{service}'" in text(tags)
    assert AZD["services"][service]["host"] == "containerapp"
    assert (ROOT / AZD["services"][service]["docker"]["path"]).exists()
    assert f"SERVICE_{service.upper()}_IMAGE_NAME" in PARAMETERS["jobImage"]
    assert (ROOT / AZD["infra"]["path"] / "main.bicep").exists()
    for name, systems in AZD["hooks"].items():
        for system, ending in (("posix", ".sh"), ("windows", ".ps1")):
            script, *words = systems[system]["run"].split()
            assert script.endswith(ending)
            assert (ROOT / script).stat().st_mode & 0o111
            assert words == ([] if name == "postprovision" else ["deployed"])


def test_hooks_use_what_azd_gives_them() -> None:
    """Every variable of azd's that a hook reads is an output, a parameter, or azd's own."""
    own = {"AZURE_SUBSCRIPTION_ID", "SERVICE_INGEST_IMAGE_NAME"}
    inputs = {re.sub(r"^\$\{([A-Z_]+).*", r"\1", value) for value in PARAMETERS.values()}
    for script in ("postprovision.sh", "postprovision.ps1"):
        source = (ROOT / "scripts" / script).read_text()
        read_ = set(re.findall(r"(?:\$\{?|\$env:)((?:AZURE|INFRA|SERVICE)_[A-Z_]+)", source))
        assert {"AZURE_SEARCH_ENDPOINT", "AZURE_CONTAINER_JOB_NAME"} <= read_
        assert read_ <= set(MAIN.outputs) | inputs | own


def test_what_can_be_chosen_is_documented() -> None:
    """Every name for `azd env set` is in the document, with its default."""
    text_ = (ROOT / "docs/deploy.md").read_text()
    for value in PARAMETERS.values():
        name, _, default = value[2:-1].partition("=")
        if name.startswith("INFRA_"):
            shown = f"`{default}`" if default else ""
            assert f"| `{name}` | {shown} |" in text_, name


def test_azd_offers_regions_with_quota_for_the_default_deployment() -> None:
    """I choose a region in which the first `azd up` can deploy the model."""
    defaults = [
        re.sub(r"^.*=(.*)\}$", r"\1", PARAMETERS[name])
        for name in ("embeddingSku", "embeddingModel", "embeddingCapacity")
    ]
    source = (INFRA / "main.bicep").read_text()
    offered = re.search(r"usageName: \['([^']+)'\]\n  \}\n\}\)\nparam location ", source)
    assert offered
    assert offered[1] == "OpenAI.{}.{},{}".format(*defaults)
