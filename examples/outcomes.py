"""Sync an index with folders, and print the outcome of each document as it finishes.

python examples/outcomes.py docs/
"""

import os
import sys

from ingest import IngestError, Settings, ingest

try:
    # Azure where the environment says so, else a local index.
    outcomes = ingest(*sys.argv[1:], settings=Settings.from_environment(os.environ))
    for outcome in outcomes:
        print(outcome.outcome, outcome.source, outcome.reason)
except IngestError as error:
    sys.exit(f"{error}")

summary = outcomes.summary
print(f"{summary.pages} pages read, {summary.tokens_embedded} tokens embedded")
for kept in outcomes.kept:
    print(f"{kept.sources} vanished documents are still in the index: {kept.reason}")
