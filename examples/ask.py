"""Search the index of the environment and print each answer with its document and page.

python examples/ask.py "when must I bring a doctor's note?"
"""

import argparse
import os

from ingest import Settings, search

parser = argparse.ArgumentParser()
parser.add_argument("question")
question = parser.parse_args().question
settings = Settings.from_environment(os.environ)  # Azure where it is set, else a local index
for hit in search(question, top=3, settings=settings):
    print(f"{hit.fields['source']}, page {hit.page}: {hit.excerpt}")
