"""Cite the page of a quotation: a function for applications that query Azure AI Search.

ingest search "notice period" --json | python examples/cite.py "three months"
"""

import argparse
import json
import sys
from bisect import bisect_right
from typing import Any


def cite(hit: dict[str, Any], quotation: str) -> str:
    """Return the page of a quotation from a hit's content, as in `folder/file.pdf#page=4`.

    The quotation may be a caption, or what a model quoted; white space does not matter. The
    description of a figure is no quotation of the document: its page is followed by who wrote it.
    """
    if hit.get("figure_kind"):
        figure = hit.get("figure_label") or "figure"
        return f"{hit['sourcepage']} ({figure}, described by {hit['figure_model']})"
    offsets = [offset for offset, c in enumerate(hit["content"]) if not c.isspace()]
    start = "".join(hit["content"].split()).find("".join(quotation.split()))
    if start < 0 or not hit["page_offsets"]:  # not quoted, or a chunk of an earlier version
        return str(hit["sourcepage"])
    page = hit["page_start"] + bisect_right(hit["page_offsets"], offsets[start]) - 1
    return f"{hit['sourcefile']}#page={page}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("quotation")
    quotation = parser.parse_args().quotation
    for line in sys.stdin:
        print(cite(json.loads(line), quotation))
