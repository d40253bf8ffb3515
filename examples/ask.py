"""Search an index and print each answer with its document and page.

python examples/ask.py "when must I bring a doctor's note?"
"""

import sys

from ingest import search

for hit in search(sys.argv[1], top=3):
    print(f"{hit.fields['source']}, page {hit.page}: {hit.excerpt}")
