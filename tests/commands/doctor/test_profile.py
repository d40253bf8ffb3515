"""The doctor and a run before an index that another application made. With the real SDKs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ingest.errors import ConfigError
from tests.commands.doctor.test_doctor import find_problems, find_text, run_doctor
from tests.conftest import DIMENSIONS
from tests.emulator.emulator import Azure
from tests.emulator.schema import normalize
from tests.emulator.store import Index
from tests.index.foreign_indexes import Definition, demo, gpt_rag
from tests.pdfs import prose, write
from tests.runs import client, run

DEMO = {"INGEST_PROFILE": "azure-search-openai-demo", "AZURE_SEARCH_INDEX": "gptkbindex"}


def create_index(azure: Azure, definition: Definition) -> Index:
    """The index, as its application made it."""
    name = str(definition["name"])
    azure.search.indexes[name] = found = Index(normalize(definition, name), azure.search.etag())
    return found


def test_an_application_s_index_is_filled_and_said_to_work(azure: Azure, folder: Path) -> None:
    """What it gets, what it lacks, where its records are; before and after the first run."""
    definition = demo(DIMENSIONS, "text-embedding-3-large")
    definition["fields"] = [f for f in definition["fields"] if f["name"] != "storageUrl"]
    index = create_index(azure, definition)
    before = run_doctor(azure, **DEMO)
    assert find_problems(before) == {}
    assert "no field for storageUrl (links to the file): --add-fields" in find_text(before, "index")
    assert azure.search.indexes.keys() == {"gptkbindex"}

    write(folder / "a.pdf", prose("lathes"))
    run(folder, client(azure, **DEMO))
    azure.search.settle()
    after = run_doctor(azure, **DEMO)
    assert find_problems(after) == {}
    said = f"about 1 file, {len(index.latest)} chunks by gptkbindex-ingest"
    assert said in find_text(after, "index")
    assert "a passage finds itself (cosine 1.00)" in find_text(after, "vectors")
    for document in index.latest.values():
        own = {"id", "content", "category", "sourcepage", "sourcefile", "embedding"}
        assert document.keys() == own

    run(folder, client(azure, **DEMO, INGEST_ADD_FIELDS="true"))
    assert {d["storageUrl"] for d in index.latest.values()} == {None}
    passages = sum(text != "probe" for text in azure.openai.texts.elements())
    assert passages == len(index.latest) + 1  # the doctor's


@pytest.mark.parametrize("other", ["vectorizer", "vectors"])
def test_vectors_of_another_model_are_noticed(azure: Azure, folder: Path, other: str) -> None:
    """Of the same size: by the model that the index names, or by what a passage is nearest to."""
    index = create_index(
        azure, demo(DIMENSIONS, "text-embedding-3-small" if other == "vectorizer" else "")
    )
    write(folder / "a.pdf", prose("lathes"))
    if other == "vectorizer":
        with pytest.raises(ConfigError, match="vectors of text-embedding-3-small, not text-embed"):
            run(folder, client(azure, **DEMO))
        assert (
            "vectors of text-embedding-3-small" in find_problems(run_doctor(azure, **DEMO))["index"]
        )
        assert index.latest == {}
        return
    stranger = {"id": "x", "content": "of its own", "embedding": np.ones(DIMENSIONS, np.float32)}
    index.written("x", stranger, azure.clock.now(), azure.search.delays)
    index.settle()
    for _ in range(2):
        with pytest.raises(ConfigError, match="another model than text-embedding-3-large"):
            run(folder, client(azure, **DEMO))
    said = find_problems(run_doctor(azure, **DEMO))["vectors"]
    assert "gptkbindex has vectors of another model than text-embedding-3-large" in said


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        (gpt_rag(DIMENSIONS), "it has no field embedding for the embedding"),
        (demo(2 * DIMENSIONS), f"embedding has {2 * DIMENSIONS} dimensions, not {DIMENSIONS}"),
    ],
)
def test_an_index_that_cannot_be_filled(azure: Azure, definition: Definition, words: str) -> None:
    """With the reason, and without a trace."""
    create_index(azure, definition | {"name": "gptkbindex"})
    assert words in find_problems(run_doctor(azure, **DEMO))["index"]
    assert azure.search.batches == []
