"""Azure built-in roles that the services require, and the commands that find their scope."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Role:
    """An Azure built-in role, and the command that finds the resource to assign it on."""

    name: str
    id: str
    # az command that prints the resource id; {host}: the endpoint's host, {name}: its first label
    find_command: str
    alternative: str = ""  # appended to the error: a remedy other than assigning the role


OPENAI_USER = Role(
    "Cognitive Services OpenAI User",
    "5e0bd9bd-7b93-4f28-af87-19fc36ad61bd",
    "az cognitiveservices account list "
    "--query \"[?contains(properties.endpoint, '{host}')].id\" -o tsv",
)
COGNITIVE_USER = Role(
    "Cognitive Services User", "a97b65f3-24c7-4388-baec-2e87135dc908", OPENAI_USER.find_command
)
INDEX_DATA_CONTRIBUTOR = Role(
    "Search Index Data Contributor",
    "8ebe5a00-799e-43f5-93ac-243d3dce84a7",
    "az resource list --resource-type Microsoft.Search/searchServices "
    "--query \"[?name=='{name}'].id\" -o tsv",
)
SEARCH_SERVICE_CONTRIBUTOR = Role(
    "Search Service Contributor",
    "7ca78c08-252a-4471-8644-bb5ff32d4ba0",
    INDEX_DATA_CONTRIBUTOR.find_command,
)

BLOB_READER = Role(
    "Storage Blob Data Reader",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    "az storage account list --query \"[?name=='{name}'].id\" -o tsv",
)
BLOB_CONTRIBUTOR = Role(
    "Storage Blob Data Contributor",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    BLOB_READER.find_command,
)

QUEUE_PROCESSOR = Role(
    "Storage Queue Data Message Processor",
    "8a0f0c08-91a1-4084-bc3d-661d67233fed",
    BLOB_READER.find_command,
)

# The least privileged built-in role that can read index tags.
BLOB_OWNER = Role(
    "Storage Blob Data Owner",
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    BLOB_READER.find_command,
    "; or remove tag: from INGEST_BLOB_FIELDS, or, in addition to Storage Blob Data Reader, assign "
    "a custom role with Microsoft.Storage/storageAccounts/blobServices/containers/blobs/tags/read",
)

# By default a search service accepts API keys only.
ENABLE_TOKENS_COMMAND = (
    "az search service update --auth-options aadOrApiKey "
    "--aad-auth-failure-mode http401WithBearerChallenge -g GROUP -n NAME"
)
