"""An index on the service made anew, and an alias moved to it."""

from __future__ import annotations

import math
import threading
from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace as with_
from pathlib import Path
from typing import Any

import pytest

from ingest import ingest
from ingest.cli.rebuild import list_generations
from ingest.commands.rebuild.rebuild import (
    SwitchResult,
    open_generations,
    open_rebuild,
    switch_back,
    switch_index,
)
from ingest.commands.rebuild.verify import RebuildProgress
from ingest.config.connections import Connections, create_connections
from ingest.config.embedding import create_embedder
from ingest.config.index import open_index
from ingest.config.settings import Settings
from ingest.errors import BusyError, ConfigError, IngestError, RoleError
from ingest.index.azure.generations import ALIAS_PROPAGATION_SECONDS, AzureGenerations
from ingest.index.azure.index import AzureIndex
from ingest.models import SourceResult
from ingest.pipeline.context import Run
from ingest.pipeline.root import ingest_root
from tests import scans
from tests.conftest import make_older, outcomes_by_source
from tests.embed.rate_limit.simulation import Hurried
from tests.emulator import faults
from tests.emulator.emulator import Azure
from tests.emulator.identity import COGNITIVE_USER, SERVICE_CONTRIBUTOR
from tests.pdfs import prose, write
from tests.runs import SPEED, open_run, run
from tests.runs import client as any_client

INDEX, ALIAS = "chunks", "live"


def client_settings(azure: Azure, **more: str) -> Settings:
    return any_client(azure, INGEST_WORKERS="1", **more)


def connect(chosen: Settings) -> Connections:
    hurried = Hurried(SPEED)
    return create_connections(chosen, clock=hurried.clock, sleep=hurried.sleep)


@contextmanager
def open_alias(chosen: Settings) -> Iterator[AzureGenerations]:
    with open_generations(chosen, connect(chosen)) as found:
        assert isinstance(found, AzureGenerations)
        yield found


def rebuild(
    folder: Path, chosen: Settings, keep: int = 1, found: list[SourceResult] | None = None
) -> SwitchResult:
    """One rebuild; what became of each source goes into `found`."""
    wish = Run("rebuild")
    with open_rebuild(chosen, [str(folder)], wish, connect(chosen)) as work:
        taken = RebuildProgress(frozenset(root.name for root in work.roots))
        for root in work.roots:
            for event in ingest_root(root, work.services, wish):
                taken.add(event)
                if found is not None and isinstance(event, SourceResult):
                    found.append(event)
        return switch_index(work, taken, wish, (), keep)


def create_alias(azure: Azure) -> Settings:
    """The settings of who knows the index by an alias, which is as slow to move as a real one."""
    azure.search.delays.alias = ALIAS_PROPAGATION_SECONDS / SPEED
    with open_alias(client_settings(azure)) as found:
        found.create_alias(ALIAS)
    return client_settings(azure, AZURE_SEARCH_INDEX=ALIAS)


@pytest.fixture
def live(azure: Azure, folder: Path) -> Settings:
    """Three documents in an index with an alias."""
    for n in range(3):
        write(folder / f"{n}.pdf", prose(f"topic {n}", 12))
    run(folder, client_settings(azure))
    return create_alias(azure)


@pytest.fixture
def bare(azure: Azure) -> Settings:
    """An index with an alias and nothing in it yet."""
    chosen = client_settings(azure)
    with closing(create_embedder(chosen, connect(chosen))) as model:
        open_index(chosen, model, connect(chosen), create=True).close()
    return create_alias(azure)


def count_texts(azure: Azure) -> int:
    return sum(len(request.inputs) for request in azure.openai.requests)


def find_analyzers(azure: Azure, name: str) -> set[str]:
    fields = azure.search.indexes[name].definition["fields"]
    return {f["analyzer"] for f in fields if f["name"] == "content"}


def read_vectors(azure: Azure, name: str) -> dict[str, Any]:
    documents = azure.search.dump(name)
    return {key: d["embedding"] for key, d in documents.items() if d["kind"] == "chunk"}


def test_another_analyzer_costs_no_token(azure: Azure, folder: Path, live: Settings) -> None:
    """A new index with another analyzer takes over the vectors of the old one."""
    before = count_texts(azure)
    other = client_settings(azure, AZURE_SEARCH_INDEX=ALIAS, INGEST_ANALYZER="en.microsoft")
    with search_meanwhile(live, 3) as wrong:
        found: list[SourceResult] = []
        switched = rebuild(folder, other, found=found)

    assert wrong == []
    assert count_texts(azure) == before
    assert {(event.outcome, event.tokens) for event in found} == {("new", 0)}
    assert azure.search.aliases[ALIAS]["indexes"] == [switched.index] != [INDEX]
    assert find_analyzers(azure, INDEX) == {"standard-compounds"}
    assert find_analyzers(azure, switched.index) == {"en.microsoft"}
    assert read_vectors(azure, switched.index) == read_vectors(azure, INDEX)
    # An ordinary run goes on with the new one, through the alias.
    write(folder / "new.pdf", prose("anvils", 8))
    run(folder, live)
    assert len(read_vectors(azure, switched.index)) > len(read_vectors(azure, INDEX))


@contextmanager
def search_meanwhile(chosen: Settings, sources: int) -> Iterator[list[object]]:
    """Somebody asks the alias all the time; whatever is not the right answer is in the list.

    While an alias is moved, some requests still go to the index before.
    """
    over, wrong = threading.Event(), list[object]()

    def ask() -> None:
        with open_alias(chosen) as found:
            while not over.is_set():
                try:
                    if found.alias_index.totals().sources != sources:
                        wrong.append(found.alias_index.totals())
                except IngestError as error:
                    wrong.append(error)

    reader = threading.Thread(target=ask)
    reader.start()
    try:
        yield wrong
    finally:
        over.set()
        reader.join()


def test_another_model_is_paid_for_once(azure: Azure, folder: Path, live: Settings) -> None:
    """With other dimensions, every text is embedded once, even if requests fail midway."""
    sixteen = client_settings(
        azure, AZURE_SEARCH_INDEX=ALIAS, AZURE_OPENAI_EMBEDDING_DIMENSIONS="16"
    )
    with pytest.raises(ConfigError, match="8 dimensions, not 16; ingest rebuild makes a new one"):
        run(folder, sixteen)
    before = count_texts(azure)
    azure.search.delays.search = 0.5  # seconds in which counts do not close
    azure.faults.add(faults.fail_with(400), "search", "PUT", "/aliases", nth=1)
    with search_meanwhile(live, 3) as wrong:
        with pytest.raises(ConfigError):
            rebuild(folder, sixteen)
        assert azure.search.aliases[ALIAS]["indexes"] == [INDEX]
        (begun,) = set(azure.search.indexes) - {INDEX}
        switched = rebuild(folder, sixteen)

    assert wrong == []
    assert switched.index == begun
    found = read_vectors(azure, begun)
    assert count_texts(azure) - before == len(found)
    assert {len(vector) for vector in found.values()} == {16}


def test_pages_that_were_paid_for_are_not_sent_again(
    azure: Azure, folder: Path, tmp_path: Path
) -> None:
    """A new index on the service takes over the cached pages, even if the old one is gone."""
    azure.identity.default.grant(COGNITIVE_USER)
    scans.write(folder / "a.pdf", "The heron stands in the reeds.")
    chosen = client_settings(
        azure, INGEST_OCR=azure.ocr_endpoint, INGEST_INDEX=str(tmp_path / "index")
    )
    run(folder, chosen)
    for size in (32, 48):
        switched = rebuild(folder, with_(chosen, chunk_tokens=size), keep=0)
        assert len(switched.dropped) == 1
    assert azure.ocr.billed == {"The heron stands in the reeds.": 1}
    assert count_texts(azure) == 1


def test_going_back_is_one_step(azure: Azure, folder: Path, live: Settings) -> None:
    """The previous index is complete; the newer one stays, and a rebuild continues with it."""
    switched = rebuild(folder, live)
    back, holds = switch_back(live, connect(live))
    assert (back.index, back.before, holds.sources) == (INDEX, switched.index, 3)
    with pytest.raises(ConfigError, match="no index before"):
        switch_back(live, connect(live))
    assert rebuild(folder, live).index == switched.index


def test_the_first_index_may_be_a_rebuild(azure: Azure, folder: Path) -> None:
    """A first rebuild creates the alias; a later one need not keep the index before it."""
    azure.search.delays.alias = ALIAS_PROPAGATION_SECONDS / SPEED
    write(folder / "a.pdf", prose("anvils", 8))
    chosen = client_settings(azure, AZURE_SEARCH_INDEX="fresh")
    azure.search.count_error = 1  # which does not keep a rebuild from being complete
    one = rebuild(folder, chosen)
    azure.search.count_error = 0
    assert one.before == ""
    assert azure.search.aliases["fresh"]["indexes"] == [one.index]
    with search_meanwhile(chosen, 1) as wrong:
        two = rebuild(folder, chosen, keep=0)
    assert wrong == []
    assert (two.before, two.dropped) == (one.index, [one.index])
    assert set(azure.search.indexes) == {two.index}
    assert outcomes_by_source(list(ingest(str(folder), settings=chosen))) == {"a.pdf": "unchanged"}


def test_an_index_with_a_name_of_its_own_is_never_removed(azure: Azure, bare: Settings) -> None:
    """An index that was not created for the alias stays, since others may search it by name."""
    with open_alias(bare) as found:
        assert not found.drop(INDEX)
    assert INDEX in azure.search.indexes


def test_vectors_are_waited_for(azure: Azure, live: Settings) -> None:
    """A service shows a new retrievable field late: it is waited for, instead of paying again."""
    make_older(azure, INDEX)
    azure.search.delays.schema = 0.5
    with open_alias(live) as found:
        found.resume_or_create()[1].close()
        with closing(found.open(INDEX)) as old:
            ids = [chunk.id for chunk in old.chunks()]
            assert old.vectors(ids).keys() == set(ids) == read_vectors(azure, INDEX).keys()


def test_what_was_begun_and_is_not_wanted_any_more_goes(azure: Azure, bare: Settings) -> None:
    """The rest of a failed rebuild with another analyzer is removed."""
    names = []
    for analyzer in ("fr.lucene", "de.lucene", "de.lucene"):
        with open_alias(with_(bare, search_analyzer=analyzer)) as found:
            name, made = found.resume_or_create()
            made.close()
            names.append(name)
    assert names[0] != names[1] == names[2]
    assert set(azure.search.indexes) == {INDEX, names[1]}
    assert find_analyzers(azure, names[1]) == {"de.lucene"}


def test_an_index_holds_vectors_of_one_model(azure: Azure, folder: Path, live: Settings) -> None:
    """Also where another has as many dimensions: neither a run nor a rebuild mixes the two."""
    other = client_settings(
        azure, AZURE_SEARCH_INDEX=ALIAS, AZURE_OPENAI_EMBEDDING_MODEL="text-embedding-3-small"
    )
    before = count_texts(azure)
    with pytest.raises(
        ConfigError, match=r"holds vectors of .*3-large, not .*3-small; ingest rebuild"
    ):
        run(folder, other)
    assert count_texts(azure) == before

    with open_alias(live) as found:
        found.resume_or_create()[1].close()  # begun for the first model, and left
        (begun,) = set(azure.search.indexes) - {INDEX}
    assert rebuild(folder, other).index != begun
    assert begun not in azure.search.indexes


def test_runs_are_held_off_meanwhile(bare: Settings, folder: Path) -> None:
    """A run must wait for a rebuild, since the switch would lose its writes."""
    with (
        open_rebuild(bare, [str(folder)], Run("r"), connect(bare)),
        pytest.raises(BusyError),
        open_run(bare),
    ):
        pass


def test_a_rebuild_that_was_paused_does_not_hide_what_a_run_wrote_since(
    azure: Azure, bare: Settings, folder: Path
) -> None:
    """If a run took over during a pause, the switch is refused, as it would hide newer chunks."""
    before = azure.search.aliases.copy()
    with open_rebuild(bare, [str(folder)], Run("r"), connect(bare)) as work:
        earlier = work.services.previous_index
        assert isinstance(earlier, AzureIndex)
        for epoch in (earlier.lease.epoch + 1, earlier.lease.epoch + 2):
            assert earlier.lease.epochs.begin(epoch, earlier.lease.stamp_now())
        earlier.lease.checked = (-math.inf, -math.inf)
        with pytest.raises(BusyError, match="taken over"):
            switch_index(work, RebuildProgress(frozenset()), Run("r"), (), 1)
    assert azure.search.aliases == before


def test_an_index_with_a_name_of_its_own_needs_an_alias(
    azure: Azure, bare: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error says how to create the alias that a rebuild needs; a list shows the index."""
    list_generations(client_settings(azure), Namespace(json=False, quiet=False))
    assert capsys.readouterr().out.startswith(f"in use   {INDEX}  ")
    with open_alias(client_settings(azure)) as found:
        with pytest.raises(ConfigError, match=r"chunks .* is an index, .* --alias NAME"):
            found.current()
        found.create_alias(ALIAS)  # again
    for name, alias, words in (
        (INDEX, INDEX, "choose another --alias"),
        ("nowhere", "other", "does not exist"),
        (ALIAS, "other", "is an alias already"),
    ):
        with (
            open_alias(client_settings(azure, AZURE_SEARCH_INDEX=name)) as found,
            pytest.raises(ConfigError, match=words),
        ):
            found.create_alias(alias)


def test_the_role_for_aliases_is_named(azure: Azure, bare: Settings, folder: Path) -> None:
    """An identity that may fill an index but not move its alias learns which role it lacks."""
    azure.identity.default.withdraw(SERVICE_CONTRIBUTOR)
    with pytest.raises(RoleError, match="Search Service Contributor"):
        rebuild(folder, bare)
