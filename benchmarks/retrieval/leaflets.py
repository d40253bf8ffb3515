"""Arabic leaflets of an invented municipality as PDFs, one for each question about them.

The texts stand with their questions in `arabic.jsonl`, and are typeset as the samples are. A
leaflet is named by its number, so that its name says nothing.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parents[1] / "scripts" / "make_data"))

from documents import typeset_guide  # noqa: E402 - not a package


def make_leaflets(folder: Path) -> None:
    """Write all leaflets into a folder."""
    for line in (HERE / "arabic.jsonl").read_text("utf-8").splitlines():
        leaflet = json.loads(line)
        text = "title: {title}\nauthor: {title}\nsubject: {title}\nkeywords: {title}\n"
        text += "date: 2025-01-27\n\n{text}\n"
        (folder / leaflet["source"]).write_bytes(typeset_guide(text.format(**leaflet), "ar"))
