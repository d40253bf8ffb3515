"""`ingest knowledge`: create a knowledge base for agents from the index."""

from __future__ import annotations

import argparse
import json
from contextlib import closing

from ingest.cli import load_settings
from ingest.config.connections import create_connections
from ingest.config.index import connect_azure_index, index_location
from ingest.config.profile import load_profile
from ingest.errors import ConfigError


def main(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    from ingest.index.azure.knowledge import create_knowledge

    settings = load_settings(options)
    if index_location(settings).is_local:
        raise ConfigError(
            "a knowledge base needs an index on Azure AI Search: set AZURE_SEARCH_ENDPOINT"
        )
    connections = create_connections(settings)
    with closing(connect_azure_index(settings, connections, may_be_absent=False)) as index:
        name = create_knowledge(index, load_profile(settings), options.name)
    url = f"{index_location(settings)}/knowledgebases/{name}"
    if options.json:
        print(json.dumps({"event": "knowledge", "name": name, "url": url}))
    elif not options.quiet:
        print(f"Knowledge base: {url}")
    return 0
