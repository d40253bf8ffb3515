"""An index on the service made anew, and an alias moved to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError

from ingest.connections import Connections, connections
from ingest.errors import BusyError, ConfigError, RoleError, ServiceError
from ingest.index.alias import Alias
from ingest.model import Settled
from ingest.pipeline import Run, ingest
from ingest.proof import Taken
from ingest.rebuild import Switched, go_back, lineage, rebuilding, replace
from ingest.settings import Settings
from tests.azure import faults
from tests.azure.emulator import Azure
from tests.azure.identity import SERVICE_CONTRIBUTOR
from tests.azure.test_runs import Hurried, client, connected, run
from tests.pdfs import prose, write

INDEX, ALIAS = "chunks", "live"


def time_(chosen: Settings) -> Connections:
    hurried = Hurried()
    return connections(chosen, clock=hurried.clock, sleep=hurried.sleep)


@contextmanager
def line(chosen: Settings) -> Iterator[Alias]:
    with lineage(chosen, time_(chosen)) as found:
        assert isinstance(found, Alias)
        yield found


def rebuild(
    folder: Path, chosen: Settings, keep: int = 1, found: list[Settled] | None = None
) -> Switched:
    """One rebuild; what became of each source goes into `found`."""
    wish = Run("rebuild")
    with rebuilding(chosen, [str(folder)], wish, time_(chosen)) as work:
        taken = Taken(frozenset(root.name for root in work.roots))
        for root in work.roots:
            for event in ingest(root, work.services, wish):
                taken.add(event)
                if found is not None and isinstance(event, Settled):
                    found.append(event)
        return replace(work, taken, wish, (), keep)


@pytest.fixture
def live(azure: Azure, folder: Path) -> Settings:
    """Four documents in an index that an application knows by its alias; all as slow as it is."""
    for n in range(4):
        write(folder / f"{n}.pdf", *(prose(f"topic {n} {page}", 8) for page in range(2)))
    run(folder, client(azure))
    azure.search.delays.alias = 10 / 20  # seconds, hurried
    with line(client(azure)) as found:
        found.give(ALIAS)
    return client(azure, AZURE_SEARCH_INDEX=ALIAS)


def billed(azure: Azure) -> int:
    return sum(len(request.inputs) for request in azure.openai.requests)


def analyzers(azure: Azure, name: str) -> set[str]:
    fields = azure.search.indexes[name].definition["fields"]
    return {f["analyzer"] for f in fields if f["name"] == "content"}


def hidden(azure: Azure, name: str) -> bool:
    fields = azure.search.indexes[name].definition["fields"]
    return not any(f["retrievable"] for f in fields if f["name"] == "embedding")


def vectors(azure: Azure, name: str) -> dict[str, Any]:
    documents = azure.search.dump(name)
    return {key: d["embedding"] for key, d in documents.items() if d["kind"] == "chunk"}


def test_another_analyzer_costs_no_token(azure: Azure, folder: Path, live: Settings) -> None:
    """What the service cannot change in place is a new index, with the vectors there are."""
    azure.search.delays.schema = 0.2  # until the vectors can be had
    before = billed(azure)
    other = client(azure, AZURE_SEARCH_INDEX=ALIAS, INGEST_ANALYZER="en.microsoft")
    found: list[Settled] = []
    switched = rebuild(folder, other, found=found)

    assert billed(azure) == before
    assert {(event.outcome, event.tokens) for event in found} == {("new", 0)}
    assert azure.search.aliases[ALIAS]["indexes"] == [switched.index] != [INDEX]
    assert (analyzers(azure, INDEX), analyzers(azure, switched.index)) == (
        {"standard.lucene"},
        {"en.microsoft"},
    )
    assert vectors(azure, switched.index) == vectors(azure, INDEX)
    assert hidden(azure, INDEX)
    assert hidden(azure, switched.index)
    # An ordinary run goes on with the new one, through the alias.
    write(folder / "new.pdf", prose("anvils", 8))
    run(folder, live)
    assert len(vectors(azure, switched.index)) > len(vectors(azure, INDEX))


def test_another_model_is_paid_for_once(azure: Azure, folder: Path, live: Settings) -> None:
    """Other dimensions need other vectors: all of them, and none twice."""
    before = billed(azure)
    sixteen = client(azure, AZURE_SEARCH_INDEX=ALIAS, AZURE_OPENAI_EMBEDDING_DIMENSIONS="16")
    with pytest.raises(ConfigError, match="8 dimensions, not 16; ingest rebuild makes a new one"):
        run(folder, sixteen)
    switched = rebuild(folder, sixteen)

    found = vectors(azure, switched.index)
    assert billed(azure) - before == len(found)
    assert {len(vector) for vector in found.values()} == {16}
    assert hidden(azure, INDEX)


def test_a_rebuild_that_failed_is_continued(azure: Azure, folder: Path, live: Settings) -> None:
    """A service goes away midway: readers notice nothing, and the next one pays for the rest."""
    sixteen = client(azure, AZURE_SEARCH_INDEX=ALIAS, AZURE_OPENAI_EMBEDDING_DIMENSIONS="16")
    azure.faults.add(faults.error(400), "openai", nth=3)
    with pytest.raises((ConfigError, ServiceError)):
        rebuild(folder, sixteen)
    assert azure.search.aliases[ALIAS]["indexes"] == [INDEX]
    assert hidden(azure, INDEX)
    (begun,) = set(azure.search.indexes) - {INDEX}

    assert rebuild(folder, sixteen).index == begun
    assert azure.openai.repeated == {}


def test_what_was_begun_and_is_not_wanted_any_more_goes(
    azure: Azure, folder: Path, live: Settings
) -> None:
    """I changed my mind about the analyzer after a rebuild failed."""
    azure.faults.add(faults.error(403), "search", "PUT", "/aliases")
    with pytest.raises(RoleError):
        rebuild(folder, client(azure, AZURE_SEARCH_INDEX=ALIAS, INGEST_ANALYZER="fr.lucene"))
    switched = rebuild(folder, client(azure, AZURE_SEARCH_INDEX=ALIAS, INGEST_ANALYZER="de.lucene"))
    assert analyzers(azure, switched.index) == {"de.lucene"}
    assert set(azure.search.indexes) == {INDEX, switched.index}


def test_a_killed_rebuild_leaves_vectors_to_be_hidden(
    azure: Azure, folder: Path, live: Settings
) -> None:
    """Nobody was there to hide them again; the next rebuild knows that it has to."""
    with line(live) as found:
        found.next()
        found.to_hide.clear()  # as if it had been killed here
    assert not hidden(azure, INDEX)
    rebuild(folder, live)
    assert hidden(azure, INDEX)


def test_vectors_that_an_application_asks_for_stay(
    azure: Azure, folder: Path, live: Settings
) -> None:
    """Who made the vectors retrievable by hand finds them so."""
    with line(live) as found:
        found.show_vectors(INDEX, shown=True)
    rebuild(folder, live)
    assert not hidden(azure, INDEX)


def test_a_search_through_the_alias_never_fails(azure: Azure, folder: Path, live: Settings) -> None:
    """Some requests follow the alias later than others; each meets an index that is whole."""
    over, wrong = threading.Event(), list[object]()

    def ask() -> None:
        with line(live) as found:
            while not over.is_set():
                try:
                    if found.via.totals().sources != 4:
                        wrong.append(found.via.totals())
                except (ConfigError, ServiceError, HttpResponseError) as error:
                    wrong.append(error)

    reader = threading.Thread(target=ask)
    reader.start()
    rebuild(folder, live, keep=0)
    over.set()
    reader.join()
    assert wrong == []
    assert len(azure.search.indexes) == 1


def test_going_back_is_one_step(azure: Azure, folder: Path, live: Settings) -> None:
    """The index before is still whole; the newer one stays, and a rebuild goes on with it."""
    switched = rebuild(folder, live)
    back, holds = go_back(live, time_(live))
    assert (back.index, back.before, holds.sources) == (INDEX, switched.index, 4)
    with pytest.raises(ConfigError, match="no index before"):
        go_back(live, time_(live))

    assert rebuild(folder, live).index == switched.index
    assert rebuild(folder, live).dropped == [INDEX]


def test_runs_are_held_off_meanwhile(azure: Azure, folder: Path, live: Settings) -> None:
    """What a run wrote into the old index would be lost at the switch."""
    with (
        rebuilding(live, [str(folder)], Run("r"), time_(live)),
        pytest.raises(BusyError),
        connected(live),
    ):
        pass


def test_an_index_with_a_name_of_its_own_needs_an_alias(
    azure: Azure, folder: Path, live: Settings
) -> None:
    """No alias can have an index's name, so I am told to give it one, once."""
    with pytest.raises(ConfigError, match=r"chunks .* is an index, .* --alias NAME"):
        rebuild(folder, client(azure))
    for name, alias, words in (
        (INDEX, INDEX, "choose another --alias"),
        ("nowhere", "other", "does not exist"),
        (ALIAS, "other", "is an alias already"),
    ):
        with (
            line(client(azure, AZURE_SEARCH_INDEX=name)) as found,
            pytest.raises(ConfigError, match=words),
        ):
            found.give(alias)
    with line(client(azure)) as found:
        found.give(ALIAS)  # again


def test_the_first_index_may_be_a_rebuild(azure: Azure, folder: Path) -> None:
    """Who begins so has an alias from the start."""
    write(folder / "a.pdf", prose("anvils", 8))
    chosen = client(azure, AZURE_SEARCH_INDEX="fresh")
    switched = rebuild(folder, chosen)
    assert switched.before == ""
    assert azure.search.aliases["fresh"]["indexes"] == [switched.index]
    run(folder, chosen)


def test_the_role_for_aliases_is_named(azure: Azure, folder: Path, live: Settings) -> None:
    """Who fills an index may not always move its alias."""
    azure.identity.default.withdraw(SERVICE_CONTRIBUTOR)
    with pytest.raises(RoleError, match="Search Service Contributor"):
        rebuild(folder, live)
