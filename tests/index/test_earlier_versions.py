"""Every command on the index of every earlier version: it works, or one line says what to do.

tests/data/earlier_indexes has an index of each format that a version wrote, by its commit: a run
over the two PDFs there, in /srv/handbook, into a folder (.db.gz), and on a search service (.json.gz
with the definition and the documents).
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ingest.index.azure.serialize import record_key
from tests.conftest import CommandHere
from tests.emulator.emulator import Azure
from tests.emulator.store import Delays, Index

FIXTURES = Path(__file__).parent.parent / "data" / "earlier_indexes"
OLD_ROOT = "/srv/handbook"
VERSIONS = {  # and how their run named the root
    "deb3b2a": "{}",  # format 1, and the first one on a service
    "eb5ef11": "{}",  # format 2: codes and details
    "c8ab391": "handbook={}",  # names of roots, hashes of texts, words of names, offsets in chunks
}
COMMANDS = {  # and their exit codes; one PDF is broken
    "status": 0,
    "search --mode text lathes": 0,
    "check ROOT": 0,
    "plan ROOT": 3,
    "report": 0,
    "rebuild ROOT": 3,
    "run ROOT": 3,
}


@pytest.fixture
def handbook(tmp_path: Path, azure: Azure, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of the indexes, at another place, and this process at work beside it."""
    folder = tmp_path / "handbook"
    folder.mkdir()
    for name in ("lathes.pdf", "broken.pdf"):
        shutil.copy(FIXTURES / name, folder)
        os.utime(folder / name, (1.7e9, 1.7e9))
    azure.search.delays = Delays()
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "AZURE_OPENAI_EMBEDDING_MODEL": "text-embedding-3-small",
        "INGEST_JOURNAL": "off",
        "INGEST_WORKERS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    return folder


def unpack_local(version: str, root: Path) -> None:
    """Put the local index of a version into the folder `ix`, with the root where it is now."""
    folder = Path("ix")
    folder.mkdir()
    (folder / "index.db").write_bytes(gzip.decompress((FIXTURES / f"{version}.db.gz").read_bytes()))
    with closing(sqlite3.connect(folder / "index.db")) as db:
        for table in ("records", "chunks"):
            db.execute(f"UPDATE {table} SET root = ? WHERE root = ?", (str(root), OLD_ROOT))
        db.commit()


def unpack_service(version: str, root: Path, azure: Azure) -> None:
    """Put the index of a version on the emulator, with the root where it is now."""
    made = json.loads(gzip.decompress((FIXTURES / f"{version}.json.gz").read_bytes()))
    index = Index(made["definition"], "1")
    azure.search.indexes["chunks"] = index
    for document in made["documents"]:
        index.written(**move(document, root), now=0.0, delays=azure.search.delays)


def move(document: dict[str, Any], root: Path) -> dict[str, Any]:
    """The key of a document and its content, with the root where it is now."""
    if document.get("root") == OLD_ROOT:
        document["root"] = str(root)
        if document["kind"] == "source":
            document["id"] = record_key(str(root), document["source"])
    if document.get("embedding"):
        document["embedding"] = np.array(document["embedding"], np.float32)
    return {"key": document["id"], "document": document}


@pytest.mark.parametrize(
    ("version", "kind"),
    [  # sqlite/test_format.py has a local index of format 2
        ("deb3b2a", "local"),
        ("deb3b2a", "service"),
        ("eb5ef11", "service"),
        ("c8ab391", "local"),
        ("c8ab391", "service"),
    ],
)
def test_every_command_works_on_an_index_of_an_earlier_version(
    version: str, kind: str, handbook: Path, azure: Azure, command_here: CommandHere
) -> None:
    """I upgrade, and look first: each command works, and the run embeds the one text at most."""
    if kind == "local":
        unpack_local(version, handbook)
    else:
        unpack_service(version, handbook, azure)
    place = ["--index", "ix"] if kind == "local" else []
    root = VERSIONS[version].format(handbook)
    for line, code in COMMANDS.items():
        ended, said, errors = command_here(*line.replace("ROOT", root).split(), *place)
        if kind == "service" and line.startswith("rebuild"):  # of an index without an alias
            assert ended == 2, errors
            (reason,) = errors.splitlines()
            assert "ingest rebuild --alias NAME creates an alias" in reason
        else:
            assert ended == code, (line, said, errors)
        if line.startswith("search"):
            assert "lathes.pdf  page 1" in said
    assert sum(azure.openai.texts.values()) <= 1
