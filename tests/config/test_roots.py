"""Names of roots: a folder may move, and two people may fill one index."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ingest import ConfigError, Embedder, Settings, ingest, preview
from ingest.config.connections import create_connections
from ingest.config.factory import open_services
from ingest.config.roots import Place, open_known_root
from ingest.config.settings import build_settings
from ingest.config.sources import PortableRoot, name_roots, open_portable, to_portable
from ingest.index.sqlite.index import SqliteIndex
from ingest.models import KnownRoot
from ingest.pipeline.context import Run
from ingest.pipeline.root import ingest_root
from ingest.runtime.cancellation import Cancellation
from ingest.sources.folder import Folder
from ingest.sources.named import NamedRoot, folder_name, split_name
from tests.conftest import DIMENSIONS, MODEL, Embeds
from tests.emulator.emulator import Azure
from tests.pdfs import prose, write


class Local:
    """An index in a folder, and what its runs sent to the model."""

    def __init__(self, path: Path) -> None:
        self.path, self.embeds = path, Embeds()
        self.settings = Settings(index=str(path), workers=1, max_deletes=99)

    def run(self, *roots: object, dry: bool = False) -> dict[str, str]:
        """One run; the outcomes by root and name."""
        model = Embedder(self.embeds, MODEL, DIMENSIONS)
        run = preview if dry else ingest
        events = list(run(*map(str, roots), settings=self.settings, embed=model))
        return {f"{e.root}/{e.source}": str(e.outcome) for e in events}

    def open(self) -> SqliteIndex:
        return SqliteIndex(self.path, MODEL, DIMENSIONS, create=False)

    def ids(self) -> dict[str, str]:
        index = self.open()
        try:
            return {chunk.id: chunk.root for chunk in index.chunks()}
        finally:
            index.close()


@pytest.fixture
def local(tmp_path: Path) -> Local:
    return Local(tmp_path / "index")


@pytest.fixture
def filled(folder: Path) -> Path:
    write(folder / "a.pdf", prose("lathes", 12))
    write(folder / "b.pdf", prose("mills", 12))
    return folder


def test_what_is_a_name_and_what_is_a_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with an equals sign in its name is not taken for NAME=FOLDER."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "year=2026/a.pdf", "x")
    assert split_name("handbook=./docs") == ("handbook", "./docs")
    assert split_name("staff handbook=docs") == ("staff handbook", "docs")
    assert split_name("h=https://x.blob.core.windows.net/c/y=1") == (
        "h",
        "https://x.blob.core.windows.net/c/y=1",
    )
    for place in (
        "docs",
        "year=2026",
        "year=2026/",
        "year=2026/*.pdf",
        "./h=docs",
        "https://x.blob.core.windows.net/year=2026",
    ):
        assert split_name(place) == ("", place)
    with pytest.raises(ConfigError, match="names no folder: expected handbook=FOLDER"):
        split_name("handbook=")
    for name in ("हिन्दी", "ไทยคู่มือ", "می\u200cخواهم", "2026", "a.b-c_d", "n" * 64):
        assert split_name(f"{name}=docs") == (name, "docs")
    assert split_name("Handbu\u0308cher=docs") == ("Handbücher", "docs")  # a file of macOS
    for name in ("c#", "a+b", "_x", "o'brien", "n" * 65):
        with pytest.raises(ConfigError, match="a root's name begins with a letter or digit"):
            split_name(f"{name}=docs")
    for place in (".", "https://x.blob.core.windows.net/c"):
        with pytest.raises(ConfigError, match=r"\(no '/'\)"):
            split_name(f"a/b={place}")
    assert [folder_name(p) for p in ("/a/My docs", "/a/y=1/", "/", "/a/.x")] == [
        "My docs",
        "y-1",
        "root",
        "x",
    ]


def test_names_and_places_go_together_one_to_one(filled: Path) -> None:
    """Files of one folder share its name, and two folders need two names."""
    (filled / "x").mkdir()
    root = Folder(filled)
    files = [str(filled / "a.pdf"), str(filled / "b.pdf")]
    assert name_roots([root], {"h": files}) == [NamedRoot(root, "h")]
    with pytest.raises(ConfigError, match="cannot both be called h"):
        name_roots([root], {"h": [str(filled), str(filled / "x")]})
    with pytest.raises(ConfigError, match="cannot be called both h and i"):
        name_roots([root], {"h": files[:1], "i": files[1:]})


def test_a_root_gets_a_name_and_moves_and_nothing_is_embedded_or_read_again(
    local: Local, filled: Path
) -> None:
    """Known by its path at first; then by its name, wherever it is."""
    assert local.run(filled) == {f"{filled}/a.pdf": "new", f"{filled}/b.pdf": "new"}
    ids = local.ids()
    paid = len(local.embeds.texts)

    assert local.run(f"handbook={filled}", dry=True) == {
        f"{filled}/a.pdf": "unchanged",
        f"{filled}/b.pdf": "unchanged",
    }
    assert set(local.ids().values()) == {str(filled)}
    assert set(local.run(f"handbook={filled}").values()) == {"unchanged"}
    assert local.ids() == dict.fromkeys(ids, "handbook")
    unchanged = {"handbook/a.pdf": "unchanged", "handbook/b.pdf": "unchanged"}
    assert local.run(filled) == unchanged  # it is known by its place, too

    moved = filled.rename(filled.with_name("docs2"))
    write(moved / "c.pdf", prose("saws", 3))
    assert local.run(f"handbook={moved}", dry=True) == unchanged | {"handbook/c.pdf": "new"}
    assert local.run(f"handbook={moved}") == unchanged | {"handbook/c.pdf": "new"}
    assert local.ids().keys() > ids.keys()
    assert paid < len(local.embeds.texts) < paid + 5

    # Another folder where the first one was is another root, with chunks of its own.
    shutil.copytree(moved, filled)
    assert set(local.run(filled).values()) == {"new"}
    assert set(local.ids().values()) == {"handbook", str(filled)}
    assert len(local.embeds.texts) < paid + 5


def test_a_rename_that_was_interrupted_is_completed(local: Local, filled: Path) -> None:
    """If a rename is killed between two records, the next run completes it."""
    local.run(filled)
    ids = local.ids()
    index = local.open()
    index.save_roots([KnownRoot("handbook", str(filled), renamed_from=str(filled))])
    index.db.execute("UPDATE records SET root = 'handbook' WHERE source = 'a.pdf'")
    index.close()
    paid = list(local.embeds.texts)
    assert set(local.run(f"handbook={filled}").values()) == {"unchanged"}
    assert local.ids() == dict.fromkeys(ids, "handbook")
    local.run(f"handbook={filled}")
    index = local.open()
    assert [root.renamed_from for root in index.roots()] == [""]
    index.close()
    assert local.embeds.texts == paid


def test_a_root_has_one_name(local: Local, filled: Path) -> None:
    """Two names for a folder, or one name for two folders, are refused."""
    local.run(f"handbook={filled}")
    with pytest.raises(ConfigError, match=r"is in the index as handbook: use that name"):
        local.run(f"manual={filled}")
    other = filled.with_name("other")
    shutil.copytree(filled, other)
    with pytest.raises(ConfigError, match=r"two roots are called 'handbook'"):
        local.run(filled, f"handbook={other}")


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("first", ["", "x"])
def test_nested_roots_are_refused_in_separate_runs_too(
    local: Local, filled: Path, first: str, named: bool
) -> None:
    """The same document would be in the index twice."""
    write(filled / "x/c.pdf", prose("saws", 3))
    second = "x" if not first else ""
    prefix = "name=" if named else ""
    local.run(f"{prefix}{filled / first}")
    with pytest.raises(ConfigError, match=r"lies inside .* would be indexed twice"):
        local.run(filled / second)
    local.run(f"{prefix}{filled / first}")


def test_a_root_that_moved_into_another_is_refused(local: Local, filled: Path) -> None:
    """A folder with a name was moved into one that is indexed as a whole."""
    other = write(filled.with_name("other") / "c.pdf", prose("saws", 3)).parent
    local.run(f"all={filled}")
    local.run(f"part={other}")
    moved = other.rename(filled / "part")
    with pytest.raises(ConfigError, match=r"lies inside all, so .* indexed twice"):
        local.run(f"part={moved}")


def test_nested_containers_are_compared_by_their_parts() -> None:
    """A folder of a container lies in it; a container with a longer name does not."""
    url = "https://x.blob.core.windows.net"
    outer, inner = Place.of(f"{url}/docs"), Place.of(f"{url}/docs/a/b")
    assert outer.hash in inner.ancestors
    assert not {outer.hash} & {*Place.of(f"{url}/docs2").ancestors, *outer.ancestors}


def test_a_worker_opens_a_named_root(filled: Path) -> None:
    """A worker gets a root's name and key with it."""
    settings = Settings()
    connections = create_connections(settings)
    root = NamedRoot(Folder(filled), "handbook", "/old")
    portable = to_portable(root)
    assert portable == PortableRoot(Folder(filled), "handbook", "/old")
    with open_portable(portable, settings, connections) as opened:
        assert {item.root for item in opened.list()} == {"handbook"}
        source = opened.find("a.pdf")
        assert (source.root, source.root_key) == ("handbook", "/old")


class Shared:
    """An index that several people fill."""

    def __init__(self, azure: Azure) -> None:
        self.azure = azure
        own = {"INGEST_WORKERS": "1", "INGEST_CHUNK_TOKENS": "64"}
        self.settings = build_settings(azure.environment | own, {})

    def run(self, root: object) -> dict[str, str]:
        events = list(ingest(str(root), settings=self.settings))
        self.azure.search.settle()  # so that a report right after it knows the roots
        return {f"{e.root}/{e.source}": str(e.outcome) for e in events}

    def billed(self) -> int:
        return sum(request.tokens for request in self.azure.openai.requests)

    def dump(self) -> str:
        return str(self.azure.search.dump(self.settings.search_index))


def test_two_people_fill_one_index(azure: Azure, tmp_path: Path, filled: Path) -> None:
    """Both have the same samples in checkouts of their own: they are there, and paid for, once."""
    index = Shared(azure)
    anna, bob = tmp_path / "anna/data", tmp_path / "bob/data"
    shutil.copytree(filled, anna)
    shutil.copytree(filled, bob)
    assert index.run(anna) == {"data/a.pdf": "new", "data/b.pdf": "new"}
    assert "anna" not in index.dump()
    paid = index.billed()

    with pytest.raises(ConfigError, match=r"take it over \(ingest run data=.*NAME=") as refused:
        index.run(bob)
    assert str(bob) in str(refused.value)
    unchanged = {"samples/a.pdf": "unchanged", "samples/b.pdf": "unchanged"}
    assert index.run(f"samples={anna}") == unchanged
    assert {*index.run(f"samples={bob}").values()} <= {"unchanged"}
    assert index.run(bob) == unchanged
    with pytest.raises(ConfigError, match="use that name"):
        index.run(f"other={bob}")
    assert index.billed() == paid
    roots = [d["root"] for d in azure.search.dump(index.settings.search_index).values()]
    assert {root for root in roots if root} == {"samples"}


def test_a_root_of_an_earlier_version_is_known_by_its_path(azure: Azure, filled: Path) -> None:
    """Nightly jobs go on with it; its name, once it has one, takes the path out of the index."""
    index = Shared(azure)
    stop = Cancellation()
    with open_services(index.settings, stop, write=True) as services:
        list(ingest_root(Folder(filled), services, Run("r", stop=stop)))  # as it was done
    assert {*index.run(filled)} == {f"{filled}/a.pdf", f"{filled}/b.pdf"}
    before = azure.search.dump(index.settings.search_index)
    paid = index.billed()

    unchanged = {"handbook/a.pdf": "unchanged", "handbook/b.pdf": "unchanged"}
    assert index.run(f"handbook={filled}") == unchanged
    assert index.run(f"handbook={filled}") == unchanged
    assert index.billed() == paid
    after = azure.search.dump(index.settings.search_index)
    chunks = {key for key, d in before.items() if d["kind"] == "chunk"}
    assert {key for key, d in after.items() if d["kind"] == "chunk"} == chunks
    assert {d["root"] for d in after.values() if d["root"]} == {"handbook"}


def test_a_root_is_found_again_by_its_name(
    azure: Azure, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report opens it where INGEST_ROOT says, or near the working directory; else it says so."""
    index = Shared(azure)
    index.run(f"handbook={filled}")
    connections = create_connections(index.settings)
    here = replace(index.settings, root=f"handbook={filled}")
    with open_services(index.settings, Cancellation(), write=False) as services:
        with open_known_root("handbook", services.index, here, connections) as root:
            assert {item.root for item in root.list()} == {"handbook"}
        with (
            pytest.raises(ConfigError, match="set INGEST_ROOT=handbook=FOLDER"),
            open_known_root("handbook", services.index, index.settings, connections),
        ):
            pass
        monkeypatch.chdir(filled.parent)
        with open_known_root("handbook", services.index, index.settings, connections) as root:
            assert root.find("a.pdf").key == ("handbook", "a.pdf")


def test_what_is_in_the_index_twice_is_said(
    local: Local, filled: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two roots that turn out to be one folder: I decide which of them goes."""
    other = filled.with_name("other")
    shutil.copytree(filled, other)
    local.run(filled)
    local.run(f"handbook={other}")
    with pytest.raises(ConfigError, match=r"and handbook is another folder: .*--forget /"):
        local.run(f"handbook={filled}")

    index = local.open()
    index.save_roots([root for root in index.roots() if root.name == "handbook"])  # an earlier one
    index.close()
    assert set(local.run(f"handbook={filled}").values()) == {"unchanged"}
    assert "also under its path" in caplog.text


def test_a_root_of_an_earlier_version_is_nested_too(local: Local, filled: Path) -> None:
    """It is known by its path only, which is enough to compare it."""
    write(filled / "x/c.pdf", prose("saws", 3))
    local.run(filled)
    index = local.open()
    index.save_roots([])
    index.close()
    with pytest.raises(ConfigError, match="lies inside"):
        local.run(f"handbook={filled / 'x'}")
