"""The images of described figures: where they are kept, and for how long."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ingest.commands.check.check import check_index
from ingest.commands.check.finding import CheckFinding
from ingest.commands.check.repair import repair_index
from ingest.commands.check.scope import CheckContext
from ingest.commands.doctor.figures import check_image_store, check_writable
from ingest.commands.doctor.finding import DoctorContext
from ingest.config.connections import create_connections
from ingest.config.images import open_images
from ingest.config.settings import Settings
from ingest.errors import BusyError, ConfigError, RoleError
from ingest.models import Mode, Record, RunEvent
from ingest.pipeline.context import Run, Services
from ingest.pipeline.images import OWNER_FILE_NAME, ImageStore
from ingest.pipeline.images.unused import delete_unused
from ingest.pipeline.root import ingest_root
from ingest.pipeline.run import run_on_roots
from ingest.pipeline.totals import RunTotals
from ingest.runtime.cancellation import Cancellation
from ingest.runtime.retry import RetryPolicy
from ingest.sources.folder import parse_folder_roots
from tests.emulator.emulator import Azure
from tests.emulator.identity import BLOB_CONTRIBUTOR
from tests.pipeline.reader.test_describing_figures import client, draw_figures, write
from tests.runs import open_run

PNG, JPEG = b"\x89PNG\r\n\x1a\n...", b"\xff\xd8\xff..."


@contextmanager
def images(chosen: Settings, *, write: bool = True) -> Iterator[ImageStore]:
    with open_images(chosen, create_connections(chosen), write=write) as store:
        assert store
        yield store


@pytest.fixture(params=["folder", "container"])
def chosen(request: pytest.FixtureRequest, azure: Azure, tmp_path: Path) -> Settings:
    """Settings that keep images in a new folder, or in an empty container."""
    azure.identity.default.grant(BLOB_CONTRIBUTOR)
    azure.blob.containers["figures"] = {}
    places = {
        "folder": str(tmp_path / "figures"),
        "container": f"{azure.blob_endpoint}/figures/of%20mine",
    }
    return client(azure, tmp_path, INGEST_FIGURES_TO=places[request.param])


def test_an_image_is_stored_once_under_its_hash(chosen: Settings) -> None:
    """The same logo in a thousand documents is one file, and an address leads to it."""
    with images(chosen) as store:
        names = {store.keep(image) for image in (PNG, JPEG, PNG)}
    with images(chosen) as store:
        assert {store.keep(PNG), store.keep(JPEG)} == names == set(store.names())
        assert sorted(name.rpartition(".")[2] for name in names) == ["jpg", "png"]
        assert all(store.has(name) and store.address(name).endswith(name) for name in names)
        store.delete([store.keep(PNG), store.keep(PNG)])
        assert set(store.names()) == {store.keep(JPEG)}


def test_images_of_another_index_are_refused(chosen: Settings, tmp_path: Path) -> None:
    """A run on my other index does not delete the figures of this one."""
    with images(replace(chosen, index=str(tmp_path / "looked")), write=False):
        pass  # without a mark
    with images(chosen):
        pass
    other = replace(chosen, index=str(tmp_path / "other"))
    for writes in (True, False):
        with pytest.raises(ConfigError, match=f"of another index.*{OWNER_FILE_NAME}"):  # noqa: SIM117
            with images(other, write=writes):
                pass


def test_a_folder_of_images_is_for_its_owner_only(azure: Azure, tmp_path: Path) -> None:
    """What is left of a killed run is listed too, so that it is not there for ever."""
    folder = tmp_path / "x" / "figures"
    with images(client(azure, tmp_path, INGEST_FIGURES_TO=str(folder))) as store:
        name = store.keep(PNG)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
        (folder / f".{name}.abc_1").write_bytes(PNG[:3])
        for mine in ("mine.png", f"{'0' * 40}.png"):  # another program names files by a hash, too
            (folder / mine).write_bytes(PNG)
        assert set(store.names()) == {name, f".{name}.abc_1"}


def test_a_container_of_images_takes_a_role(azure: Azure, tmp_path: Path) -> None:
    """Reading documents from an account is no permission to write to it, and I am told the role."""
    azure.blob.containers["figures"] = {}
    place = f"{azure.blob_endpoint}/figures"
    chosen = client(azure, tmp_path, INGEST_FIGURES_TO=place)
    with pytest.raises(RoleError, match="Storage Blob Data Contributor"):  # noqa: SIM117
        with images(chosen):
            pass
    with images(chosen, write=False) as store:  # a check only reads
        assert not list(store.names())
    with pytest.raises(RoleError, match="Storage Blob Data Contributor"):
        check_image_store(DoctorContext(chosen, create_connections(chosen), ()))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"INGEST_FIGURES": "text"}, "set --figures describe too"),
        ({"INGEST_ENGINE": "tcp://dask:8786"}, "name a blob container"),
        ({"INGEST_FIGURES_TO": "ftp://x/y"}, "INGEST_FIGURES_TO: ftp://x/y"),
    ],
)
def test_a_place_that_cannot_be_used_is_refused(
    azure: Azure, tmp_path: Path, more: dict[str, str], said: str
) -> None:
    """I learn before the run that it would keep no image, or where no worker can write."""
    with pytest.raises(ConfigError, match=said):  # noqa: SIM117
        with images(client(azure, tmp_path, **{"INGEST_FIGURES_TO": "figures"} | more)):
            pass


def test_a_folder_in_which_no_file_can_be_made_is_named(tmp_path: Path) -> None:
    """I learn it from `doctor`, not from the run that describes the figures."""
    check_writable(tmp_path / "new/folder")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"INGEST_FIGURES_TO: no file can be made in .*file"):
        check_writable(tmp_path / "file/figures")


def run(folder: Path, services: Services) -> list[RunEvent]:
    """One run over a folder."""
    order = Run("r", max_deletes=99, allow_empty=True)
    roots = parse_folder_roots([str(folder)])
    return list(run_on_roots(ingest_root, roots, services, order, RunTotals()))


def check(folder: Path, services: Services) -> CheckContext:
    policy = RetryPolicy(sleep=lambda _: None)
    (root,) = parse_folder_roots([str(folder)])
    return CheckContext(services, Run("c"), policy, [root], lambda _: root)


def findings(context: CheckContext) -> list[tuple[str, str, int]]:
    found = [event for event in check_index(context) if isinstance(event, CheckFinding)]
    return [(str(one.kind), one.source, one.count) for one in found]


@pytest.mark.parametrize("chosen", ["container"], indirect=True)
def test_an_image_stays_as_long_as_a_document_shows_it(
    azure: Azure, folder: Path, chosen: Settings
) -> None:
    """Copies and renames share an image; it goes with the last of them, or else is found.

    Nothing of that is paid for again.
    """
    first = write(folder / "a.pdf", draw_figures("blue valves"))
    with open_run(chosen, Cancellation()) as services:
        store = services.images
        assert store
        run(folder, services)
        (name,) = store.names()
        (hit, *_) = services.index.search("picture of blue valves", None, Mode.TEXT, 1)
        assert hit.fields["figure_image"] == store.address(name)
        first.rename(folder / "c.pdf")
        run(folder, services)
        write(folder / "copy/b.pdf", (folder / "c.pdf").read_bytes())
        run(folder, services)
        assert list(store.names()) == [name]
        (folder / "c.pdf").unlink()
        run(folder, services)
        assert list(store.names()) == [name]

        store.delete([name])
        orphan = store.keep(PNG)
        context = check(folder, services)
        assert findings(context) == [("image", "copy/b.pdf", 1), ("image", "", 1)]
        assert list(repair_index(context))
        assert orphan != name
        assert list(store.names()) == [name]
        assert findings(context) == []

        store.delete([name])
        services.index.save(mark_unread(services)).result()
        run(folder, services)
        assert list(store.names()) == [name]
        (folder / "copy/b.pdf").unlink()
        run(folder, services)
        assert not list(store.names())
        assert not list(services.index.cached_page_sources())
    assert len(azure.openai.chat.asked) == 1


@pytest.mark.parametrize("chosen", ["folder"], indirect=True)
def test_a_run_that_lost_its_index_deletes_no_image(chosen: Settings) -> None:
    """It was paused after it had compared; the run that took over shows the image again."""

    def refuse(holder: str) -> None:
        raise BusyError(f"the lease of {holder} is over")

    lost = SimpleNamespace(
        records=list, wait_until_listed=lambda: None, holder="1 host", join=refuse
    )
    with images(chosen) as store:
        name = store.keep(PNG)
        services = SimpleNamespace(images=store, index=lost, previous_index=None)
        with pytest.raises(BusyError, match="of 1 host is over"):
            delete_unused(cast("Any", services))
        assert list(store.names()) == [name]


def mark_unread(services: Services) -> Record:
    """The only record, so that the next run reads its source again."""
    (listed,) = services.index.records()
    found = services.index.record(*listed.key)
    assert found
    return replace(found, fingerprint="", modified="")
