"""Import all modules that commands use, and load the model, in the fork server's process."""

from __future__ import annotations

import importlib
import pkgutil

import ingest

# These two have the functions that the server runs.
import tests.fork_readers
import tests.fork_server  # noqa: F401 - as above
from ingest.chunk.tokens import count_tokens
from ingest.embed.minilm import load_tokenizer
from ingest.extract.language import load_language_model
from ingest.index.azure.definition import Vectorizer, build_definition

# These read the environment when they are imported, are too large for most calls, or change how
# all errors are pickled (Dask).
LATER = ("ingest.distributed", "ingest.runtime.telemetry", "ingest.__main__")
OTHERS = (
    *("azure.core.rest._requests_basic", "azure.identity", "azure.search.documents"),
    *("azure.identity._credentials.app_service", "httpcore2", "jinja2", "openai", "rich.progress"),
    *("azure.identity._internal.msal_managed_identity_client", "truststore"),
)

for module in pkgutil.walk_packages(ingest.__path__, "ingest."):
    if not module.name.startswith(LATER):
        importlib.import_module(module.name)
for name in OTHERS:
    importlib.import_module(name)
# The SDK inspects each of its classes when it makes the first object of it.
definition = build_definition("index", 8, "", Vectorizer("https://localhost", "a", "b"))
type(definition)(definition.as_dict())
load_tokenizer()
load_language_model()
count_tokens([""])
