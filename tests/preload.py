"""All that commands import when they need it, and the model: for the server of warm.py."""

from __future__ import annotations

import importlib
import pkgutil

import ingest
import tests.warm  # noqa: F401 - what it runs
from ingest.embed.local import tokenizer

# They look at the environment when they are imported, or are too much for most calls.
LATER = ("ingest.scale", "ingest.telemetry", "ingest.__main__")
OTHERS = ("azure.identity", "azure.search.documents", "jinja2", "openai", "rich.progress")

for module in pkgutil.walk_packages(ingest.__path__, "ingest."):
    if not module.name.startswith(LATER):
        importlib.import_module(module.name)
for name in OTHERS:
    importlib.import_module(name)
tokenizer()
