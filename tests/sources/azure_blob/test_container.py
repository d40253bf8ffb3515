"""A container as a root: everything a service can do to a run that reads from it."""

from __future__ import annotations

import io
import json
import resource
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pypdf
import pytest
from azure.storage.blob import ContainerClient, StandardBlobTier

from ingest.config.connections import create_connections
from ingest.config.settings import build_settings
from ingest.config.sources import open_roots
from ingest.errors import ConfigError, DocumentError, IngestError, RoleError, ServiceError
from ingest.models import OIDS, Outcome, Source
from ingest.runtime.retry import RetryPolicy
from ingest.sources.azure_blob.container import MAX_PROBES, Container
from ingest.sources.azure_blob.fields import parse_blob_field
from ingest.sources.azure_blob.location import parse_container_url, parse_container_urls
from tests.conftest import Bench, Command, outcomes_by_source, results_by_source
from tests.emulator import faults
from tests.emulator.blob import Blob
from tests.emulator.emulator import Azure
from tests.emulator.faults import Fault
from tests.emulator.identity import BLOB_READER
from tests.emulator.server import Request, Response, Service
from tests.pdfs import pdf, prose, write
from tests.sources.shelves import HURRIED, Emulated, InAzurite, container, storage
from tests.sources.test_contract import emulated, in_azurite  # noqa: F401 - fixtures

ACCOUNT = "https://acc.blob.core.windows.net"
LARGE = bytes(range(256)) * 8192  # 2 MB, and no two ranges alike where it matters


@pytest.fixture
def shelf(emulated: Emulated) -> Emulated:  # noqa: F811
    return emulated


def list_sources(shelf: Emulated) -> list[Source]:
    return [item for item in shelf.root.list() if isinstance(item, Source)]


def read(shelf: Emulated, source: Source) -> bytes:
    with shelf.root.open(source) as file:
        file.seek(0)
        return file.read()


def downloads(shelf: Emulated) -> int:
    return shelf.azure.count("blob", "GET", f"/{shelf.container}/")


def act_before(act: Callable[[], object]) -> Fault:
    """Something that happens just before the service answers."""

    def acting(request: Request, service: Service) -> Response:
        act()
        return service(request)

    return Fault("meanwhile", acting)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (f"{ACCOUNT}/docs", f"{ACCOUNT}/docs"),
        ("HTTPS://Acc.Blob.core.windows.net/docs/", f"{ACCOUNT}/docs"),
        (f"{ACCOUNT}/docs/My%20Files/2026/", f"{ACCOUNT}/docs/My%20Files/2026"),
        (f"{ACCOUNT}/docs/My Files", f"{ACCOUNT}/docs/My%20Files"),
        ("https://acc.blob.core.windows.net:443/docs", f"{ACCOUNT}/docs"),
        ("https://acc.dfs.core.windows.net/docs", f"{ACCOUNT}/docs"),
        (
            "https://acc.z7.blob.storage.azure.net/docs/x",
            "https://acc.z7.blob.storage.azure.net/docs/x",
        ),
        ("https://127.0.0.1:10000/acc/docs/x", "https://127.0.0.1:10000/acc/docs/x"),
        ("https://[::1]:10000/acc/docs", "https://[::1]:10000/acc/docs"),
    ],
)
def test_a_url_names_a_container_or_a_folder_in_it(url: str, name: str) -> None:
    """However I copied it from the portal, it is the same root."""
    assert parse_container_url(url).url == name


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://acc.blob.core.windows.net/docs", "no root has the scheme"),
        ("abfss://docs@acc.dfs.core.windows.net/x", "no root has the scheme"),
        (f"{ACCOUNT}/docs?sp=r&sig=SECRET", "no key and no SAS is needed"),
        (f"{ACCOUNT}/docs/x#SECRET", "no key and no SAS is needed"),
        ("https://acc:SECRET@acc.blob.core.windows.net/docs", "no key and no SAS is needed"),
        (ACCOUNT, "names no container"),
        ("https://127.0.0.1:10000/acc", "names no container"),
        ("https:///docs", "names no container"),
        (f"{ACCOUNT}/docs/a.pdf", "name the folder"),
        ("https://contoso.com/a.pdf?v=SECRET", "document on the web is not a root: download it"),
        ("http://contoso.com/x/a.pdf", "document on the web is not a root: download it"),
        ("https://contoso.sharepoint.com/:f:/s/x?e=SECRET", "SharePoint .* cannot be read: sync"),
        ("AccountName=acc;AccountKey=SECRET;EndpointSuffix=core.windows.net", "no key"),
        (f"{ACCOUNT}/docs%3Fsp=r&sig=SECRET", "no key and no SAS is needed"),
        ("https://[SECRET/docs", "looks like a URL"),
        ("https://SECRET\u2100@acc.blob.core.windows.net/docs", "looks like a URL"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(url: str, reason: str) -> None:
    """One line says what to write instead, and never repeats a key that I pasted."""
    chosen = build_settings({}, {})
    with (
        pytest.raises(ConfigError, match=reason) as caught,
        open_roots([url], chosen, create_connections(chosen)),
    ):
        pass
    assert "SECRET" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_roots_inside_each_other_are_refused() -> None:
    """No document is indexed twice because I named it twice."""
    with pytest.raises(ConfigError, match="lies inside"):
        parse_container_urls([f"{ACCOUNT}/docs", f"{ACCOUNT}/docs/x"])
    assert (
        len(parse_container_urls([f"{ACCOUNT}/docs/x", f"{ACCOUNT}/docs/x/", f"{ACCOUNT}/docs/x1"]))
        == 2
    )


def test_folders_and_containers_can_be_named_together(folder: Path) -> None:
    """One run serves them all; what is no URL is a path."""
    chosen = build_settings({}, {})
    with open_roots([str(folder), f"{ACCOUNT}/docs"], chosen, create_connections(chosen)) as found:
        assert [root.name for root in found] == [str(folder), f"{ACCOUNT}/docs"]


def test_a_folder_of_a_container_is_a_root(azure: Azure) -> None:
    """Names and categories are relative to it, and its neighbours are not mine."""
    for name in ("x/a.pdf", "x/y/b.pdf", "x1/c.pdf", "d.pdf"):
        azure.blob.put("docs", name, name.encode())
    url = f"{azure.blob_endpoint}/docs/x"
    with closing(storage(url)) as requests:
        root = container(url, requests)
        sources = [item for item in root.list() if isinstance(item, Source)]
        with root.open(sources[1]) as file:
            file.seek(0)
            assert file.read() == b"x/y/b.pdf"
    assert [(source.root, source.name) for source in sources] == [(url, "a.pdf"), (url, "y/b.pdf")]
    assert sources[1].location == f"{url}/y/b.pdf"


@pytest.mark.parametrize("hierarchical", [False, True])
def test_the_order_of_the_service_is_not_ours(shelf: Emulated, hierarchical: bool) -> None:
    """Blobs are sorted by name, since the service's order would look like deletions."""
    names = ["a/z.pdf", "a-b.pdf", "a.pdf", "a/b/c.pdf", "a b.pdf", "\U0001f600.pdf", "\uff5e.pdf"]
    for name in names:
        shelf.put(name, b"%PDF-")
    shelf.azure.blob.hierarchical = hierarchical
    shelf.azure.blob.most_listed = 2

    assert [source.name for source in list_sources(shelf)] == sorted(names)
    assert shelf.azure.count("blob", "GET") == 4


def test_names_that_xml_cannot_hold_arrive(shelf: Emulated) -> None:
    """Any name a blob can have is read back as it is."""
    names = ["50%25.pdf", "\uffff%41.pdf", "a&<b>'\".pdf"]
    for name in names:
        shelf.put(name, name.encode())

    assert {source.name: read(shelf, source) for source in list_sources(shelf)} == {
        name: name.encode() for name in names
    }


def test_a_blob_named_like_an_attachment_is_not_taken_for_it(shelf: Emulated, bench: Bench) -> None:
    """Two documents of one name would replace each other in every run, and be paid each time."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("a cover")))
    writer.add_attachment("b.pdf", pdf("inside"))
    outer = io.BytesIO()
    writer.write(outer)
    shelf.put("a.pdf", outer.getvalue())
    shelf.put("a.pdf//b.pdf", pdf("beside"))
    first = results_by_source(bench.run(root=shelf.root))
    assert {name: str(result.outcome) for name, result in first.items()} == {
        "a.pdf": "new",
        "a.pdf//b.pdf": "new",
        "a.pdf/%2Fb.pdf": "skipped",
    }
    assert first["a.pdf/%2Fb.pdf"].reason.endswith("attached to a.pdf: rename it")
    assert [chunk.text for chunk in bench.index.chunks(shelf.root.name, "a.pdf//b.pdf")] == [
        "inside"
    ]
    again = outcomes_by_source(bench.run(root=shelf.root))
    assert sorted(again.values()) == ["skipped", "unchanged", "unchanged"]


def test_what_stands_for_a_folder_is_left_out(shelf: Emulated) -> None:
    """A folder may be called x.pdf; some tools and a hierarchical namespace list it as a blob."""
    for key in ("hdi_isfolder", "Hdi_isfolder"):
        shelf.azure.blob.put(shelf.container, f"{key}.pdf", b"", metadata={key: "true"})
    shelf.azure.blob.put(shelf.container, "a.pdf", b"x", metadata={"author": "me"})

    assert [item.name for item in shelf.root.list()] == ["a.pdf"]


def test_a_listing_that_fails_midway_removes_nothing(shelf: Emulated, bench: Bench) -> None:
    """Invariant 6: half a listing is an error, and never means that the rest is gone."""
    for n in range(4):
        shelf.put(f"{n}.pdf", pdf(prose(f"topic {n}")))
    assert len(outcomes_by_source(bench.run(root=shelf.root))) == 4
    shelf.azure.blob.most_listed = 2
    shelf.azure.faults.add(faults.fail_with(503), "blob", "GET", nth=range(2, 10_000))

    with pytest.raises(ServiceError, match="503"):
        bench.run(root=shelf.root)

    shelf.azure.faults.quiet()
    assert set(outcomes_by_source(bench.run(root=shelf.root)).values()) == {"unchanged"}


@pytest.mark.parametrize("fault", [faults.answer_empty(), faults.truncate(), faults.drop()])
def test_a_listing_that_cannot_be_read_is_asked_for_again(shelf: Emulated, fault: Fault) -> None:
    """Invariant 7: a success that is empty or cut short is not a container without blobs."""
    shelf.put("a.pdf", b"%PDF-")
    shelf.azure.faults.add(fault, "blob", "GET", nth=1)

    assert [source.name for source in list_sources(shelf)] == ["a.pdf"]


def test_a_listing_that_goes_in_circles_ends(shelf: Emulated) -> None:
    """A proxy drops the marker of the next page: one page for ever is an error, and no listing."""

    def drop_marker(request: Request, service: Service) -> Response:
        query = {name: value for name, value in request.query.items() if name != "marker"}
        return service(replace(request, query=query))

    for n in range(4):
        shelf.put(f"{n}.pdf", b"%PDF-")
    shelf.azure.blob.most_listed = 2
    shelf.azure.faults.add(Fault("no marker", drop_marker), "blob", "GET")
    with pytest.raises(ServiceError, match="a page of its listing that follows itself"):
        list_sources(shelf)


def test_unchanged_blobs_are_not_downloaded(shelf: Emulated, bench: Bench) -> None:
    """A run without changes only lists the container."""
    for n in range(3):
        shelf.put(f"{n}.pdf", pdf(prose(f"topic {n}")))
    bench.run(root=shelf.root)
    assert downloads(shelf) == 3

    bench.run(root=shelf.root)
    assert downloads(shelf) == 3
    shelf.put("1.pdf", pdf(prose("topic 1")))  # the same bytes, written again
    assert set(outcomes_by_source(bench.run(root=shelf.root)).values()) == {"unchanged"}
    assert downloads(shelf) == 4
    bench.run(root=shelf.root)
    assert downloads(shelf) == 4


def test_a_download_that_breaks_goes_on_from_there(shelf: Emulated) -> None:
    """A large document over a bad line arrives, and what came is not fetched again."""
    shelf.put("a.pdf", LARGE)
    ranges: list[str | None] = []

    def half(request: Request, service: Service) -> Response:
        ranges.append(request.headers.get("range"))
        return faults.truncate().act(request, service)

    shelf.azure.faults.add(Fault("half", half), "blob", "GET", "a.pdf", nth=range(1, 5))
    (source,) = list_sources(shelf)

    assert read(shelf, source) == LARGE
    starts = [int(span.removeprefix("bytes=").rstrip("-")) for span in ranges if span]
    assert ranges[0] is None
    assert starts == sorted(set(starts))
    assert starts[0] > len(LARGE) / 3
    assert downloads(shelf) == 5


def test_a_blob_that_changed_after_the_listing_is_read_anew(shelf: Emulated, bench: Bench) -> None:
    """Somebody saved it meanwhile: the new one is read, whole; the next run finds it unchanged."""
    shelf.put("a.pdf", pdf(prose("saws")))
    save = act_before(lambda: shelf.put("a.pdf", pdf(prose("planes"))))
    shelf.azure.faults.add(save, "blob", "GET", "a.pdf", nth=1)

    assert outcomes_by_source(bench.run(root=shelf.root)) == {"a.pdf": "new"}
    assert "planes" in bench.embeds.texts[0]
    assert outcomes_by_source(bench.run(root=shelf.root)) == {"a.pdf": "unchanged"}


def test_a_blob_that_changed_after_the_listing_may_have_other_readers(azure: Azure) -> None:
    """Its new text never gets the readers of the old one: it is left to the next run."""
    azure.blob.put("docs", "a.pdf", b"%PDF-a", metadata={"Users": "all"})
    url, users = f"{azure.blob_endpoint}/docs", parse_blob_field(f"{OIDS}=meta:Users[]")
    with closing(storage(url)) as requests:
        root = Container(parse_container_url(url), requests, 100, [users])
        (listed,) = (item for item in root.list() if isinstance(item, Source))
        azure.blob.put("docs", "a.pdf", b"%PDF-b", metadata={"Users": "ann"})
        with pytest.raises(DocumentError, match="changed while being read"), root.open(listed):
            pass


def test_a_blob_that_changes_while_it_is_read_is_not_mixed(shelf: Emulated) -> None:
    """Half of the old and half of the new is no document."""
    shelf.put("a.pdf", LARGE)
    shelf.azure.faults.add(faults.truncate(), "blob", "GET", "a.pdf", nth=1)
    save = act_before(lambda: shelf.put("a.pdf", LARGE[::-1]))
    shelf.azure.faults.add(save, "blob", "GET", "a.pdf", nth=2)
    (source,) = list_sources(shelf)

    assert read(shelf, source) == LARGE[::-1]


def test_a_blob_that_changes_all_the_time_is_skipped(shelf: Emulated, bench: Bench) -> None:
    """A blob that changes during each download is left to the next run."""
    shelf.put("a.pdf", pdf(prose("saws")))
    shelf.put("b.pdf", pdf(prose("files")))
    save = act_before(lambda: shelf.put("a.pdf", pdf(prose("planes"))))
    shelf.azure.faults.add(save, "blob", "GET", "a.pdf")

    events = results_by_source(bench.run(root=shelf.root))

    assert events["a.pdf"].outcome is Outcome.SKIPPED
    assert events["a.pdf"].reason == "changed while being read; run again"
    assert events["b.pdf"].outcome is Outcome.NEW


def test_an_archived_blob_is_named_and_not_asked_for(shelf: Emulated, bench: Bench) -> None:
    """I learn how to have it read; once it is rehydrated, it is."""
    data = pdf(prose("saws"))
    blobs = shelf.azure.blob.containers[shelf.container]
    blobs["a.pdf"] = Blob(data, "1", tier="Archive")
    blobs["b.pdf"] = Blob(data, "2", tier="Archive", archive_status="rehydrate-pending-to-hot")

    for _ in range(4):
        events = results_by_source(bench.run(root=shelf.root))
        assert {event.outcome for event in events.values()} == {Outcome.SKIPPED}
    assert "az storage blob set-tier" in events["a.pdf"].reason
    assert "is being rehydrated" in events["b.pdf"].reason
    assert not downloads(shelf)

    blobs["a.pdf"] = Blob(data, "1")  # a change of tier leaves the etag as it is
    assert outcomes_by_source(bench.run(root=shelf.root)) == {"a.pdf": "new", "b.pdf": "skipped"}


def test_what_was_archived_after_it_was_read_stays(shelf: Emulated, bench: Bench) -> None:
    """Nothing changed in it, so nothing need be read."""
    shelf.put("a.pdf", pdf(prose("saws")))
    bench.run(root=shelf.root)
    blobs = shelf.azure.blob.containers[shelf.container]
    blobs["a.pdf"] = replace(blobs["a.pdf"], tier="Archive")

    assert outcomes_by_source(bench.run(root=shelf.root)) == {"a.pdf": "unchanged"}


def test_a_blob_archived_after_the_listing_is_skipped(shelf: Emulated) -> None:
    """The same, said by the service."""
    shelf.put("a.pdf", b"%PDF-")
    (source,) = list_sources(shelf)
    blobs = shelf.azure.blob.containers[shelf.container]
    blobs["a.pdf"] = replace(blobs["a.pdf"], tier="Archive")

    with pytest.raises(DocumentError, match="archived; rehydrate it") as caught:
        read(shelf, source)
    assert caught.value.outcome is Outcome.SKIPPED


def test_a_blob_larger_than_its_reader_is_not_fetched(azure: Azure) -> None:
    """One giant does not fill the disk; the setting that allows it is named."""
    azure.blob.put("docs", "a.pdf", b"%PDF-" + bytes(1 << 20))
    url = f"{azure.blob_endpoint}/docs"
    with closing(storage(url)) as requests:
        root = container(url, requests, most=1)
        (source,) = root.list()
        assert isinstance(source, Source)
        with pytest.raises(DocumentError, match="INGEST_DOCUMENT_MEGABYTES"), root.open(source):
            pass
    assert azure.count("blob", "GET", "a.pdf") == 0


def test_a_missing_role_is_named_with_the_command_that_grants_it(shelf: Emulated) -> None:
    """Who lacks which role on what, and a command to copy."""
    shelf.azure.identity.default.withdraw(BLOB_READER)
    with pytest.raises(RoleError) as caught:
        list_sources(shelf)
    text = str(caught.value)
    for word in (
        "Storage Blob Data Reader",
        "az role assignment create",
        "az storage account list",
    ):
        assert word in text
    assert shelf.azure.identity.default.oid in text


def test_a_role_that_was_just_granted_is_waited_for(azure: Azure) -> None:
    """Right after a deployment the run polls until its role holds."""
    azure.blob.put("docs", "a.pdf", b"%PDF-")
    azure.identity.default.withdraw(BLOB_READER)
    azure.identity.default.grant(BLOB_READER, at=azure.clock.now() + 1)
    url = f"{azure.blob_endpoint}/docs"
    with closing(storage(url, replace(HURRIED, role_seconds=600))) as requests:
        assert len(list(container(url, requests).list())) == 1


def test_a_network_that_is_not_allowed_is_no_missing_role(shelf: Emulated) -> None:
    """Granting roles would not help; the message says what does."""
    shelf.azure.blob.firewall = True
    with pytest.raises(ConfigError, match="network settings of the storage account") as caught:
        list_sources(shelf)
    assert not isinstance(caught.value, RoleError)


def test_what_does_not_exist_is_named(azure: Azure) -> None:
    """A typing error in the container or the account is an error, and no empty root."""
    for url, reason in (
        (f"{azure.blob_endpoint}/typo", "there is no such container"),
        ("https://no-such-account.invalid/docs", "cannot be reached"),
    ):
        with closing(storage(url)) as requests, pytest.raises(ConfigError, match=reason):
            list(container(url, requests).list())


def test_a_token_revoked_midway_is_replaced(shelf: Emulated) -> None:
    """A 401 forces a new token, and the listing goes on."""
    for n in range(4):
        shelf.put(f"{n}.pdf", b"%PDF-")
    shelf.azure.blob.most_listed = 2
    revoke = act_before(shelf.azure.identity.revoke_all)
    shelf.azure.faults.add(revoke, "blob", "GET", nth=2)

    assert len(list_sources(shelf)) == 4
    assert shelf.azure.identity.audiences == ["https://storage.azure.com"] * 2


def test_a_token_the_account_never_accepts_is_said(shelf: Emulated) -> None:
    """Signed in to another tenant, I read of tenants and not of roles."""
    shelf.azure.faults.add(faults.unauthorized(), "blob")
    with pytest.raises(ConfigError, match="AZURE_TENANT_ID"):
        list_sources(shelf)


def test_the_services_word_is_a_floor(azure: Azure) -> None:
    """Invariant 9: no request is sent before the Retry-After has passed."""
    azure.blob.put("docs", "a.pdf", b"%PDF-")
    azure.faults.add(faults.fail_with(503, seconds=7), "blob", "GET", nth=1)
    waited: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        now[0] += seconds

    url = f"{azure.blob_endpoint}/docs"
    with closing(storage(url, RetryPolicy(60, sleep=sleep, clock=lambda: now[0]))) as requests:
        assert len(list(container(url, requests).list())) == 1
    assert sum(waited) >= 7


@pytest.mark.parametrize("others_can", [True, False])
@pytest.mark.parametrize(("status", "error"), [(500, ServiceError), (403, RoleError)])
def test_a_blob_that_cannot_be_downloaded_costs_itself(
    azure: Azure, status: int, error: type[IngestError], *, others_can: bool
) -> None:
    """On a broken disk, or by a condition of a role; an outage or no role is none of its doing."""
    azure.blob.put("docs", "a.pdf", b"%PDF-a")
    azure.blob.put("docs", "b.pdf", b"%PDF-b")
    for n in range(MAX_PROBES):
        azure.blob.put("docs", f"empty{n}.pdf", b"")
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    url = f"{azure.blob_endpoint}/docs"
    with closing(storage(url, RetryPolicy(60, sleep=sleep, clock=lambda: now[0]))) as requests:
        root = container(url, requests)
        a, _, *empty = (item for item in root.list() if isinstance(item, Source))
        for each in empty:  # nothing can be asked of them
            with root.open(each):
                pass
        path = "a.pdf" if others_can else ".pdf"
        azure.faults.add(faults.fail_with(status), "blob", "GET", path)
        with pytest.raises(DocumentError if others_can else error) as caught, root.open(a):
            pass
    assert ("though others can" in str(caught.value)) == others_can
    assert ("lacks the role" in str(caught.value)) == (status == 403 and not others_can)


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_fifth_of_all_requests_may_fail(shelf: Emulated, bench: Bench, seed: int) -> None:
    """Throttled, cut off, unanswered: every document arrives, and none is taken for gone."""
    for n in range(12):
        shelf.put(f"{n}.pdf", pdf(prose(f"topic {n}")))
    shelf.azure.blob.most_listed = 3
    shelf.azure.faults.randomly(0.2, seed=seed, services=("blob",))

    assert set(outcomes_by_source(bench.run(root=shelf.root)).values()) == {"new"}
    shelf.remove("3.pdf")
    after = outcomes_by_source(bench.run(root=shelf.root))

    assert after.pop("3.pdf") == "removed"
    assert list(after.values()) == ["unchanged"] * 11
    assert shelf.azure.faults.happened


def test_a_stop_ends_a_long_listing(azure: Azure) -> None:
    """^C is not held up by a million names."""
    azure.blob.put("docs", "a.pdf", b"%PDF-")
    url = f"{azure.blob_endpoint}/docs"
    stopped = pytest.raises(ServiceError, match="stopped")
    with closing(storage(url, RetryPolicy(is_cancelled=lambda: True))) as requests, stopped:
        list(container(url, requests).list())
    assert azure.count("blob") == 0


def test_a_full_disk_is_said(shelf: Emulated) -> None:
    """A full disk on this machine is named in the error."""
    shelf.put("a.pdf", LARGE)
    (source,) = list_sources(shelf)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(LARGE) // 2, before[1]))
    try:
        with pytest.raises(ServiceError, match="TMPDIR names another one"):
            read(shelf, source)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.azurite
def test_azurite_agrees(in_azurite: InAzurite) -> None:  # noqa: F811
    """Azurite has the same leases, snapshots and archived blobs."""
    client: ContainerClient = in_azurite.client
    for name in ("archived.pdf", "leased.pdf", "snapshot.pdf"):
        in_azurite.put(name, name.encode())
    lease = client.get_blob_client("leased.pdf").acquire_lease()
    client.get_blob_client("snapshot.pdf").create_snapshot()
    client.get_blob_client("archived.pdf").set_standard_blob_tier(StandardBlobTier.ARCHIVE)

    sources = [item for item in in_azurite.root.list() if isinstance(item, Source)]
    named = {source.name: source for source in sources}
    assert list(named) == ["archived.pdf", "leased.pdf", "snapshot.pdf"]
    assert [bool(source.unreadable) for source in sources] == [True, False, False]
    with in_azurite.root.open(named["leased.pdf"]) as file:
        file.seek(0)
        assert file.read() == b"leased.pdf"
    lease.release()
    with pytest.raises(DocumentError, match="archived"), in_azurite.root.open(sources[0]):
        pass


def test_the_command_reads_a_container(azure: Azure, command: Command, tmp_path: Path) -> None:
    """`ingest run URL`, as a scheduled job says it: the answers lead back to the blobs."""
    for n in range(3):
        azure.blob.put("docs", f"tools/{n}.pdf", pdf(prose(f"lathes {n}")))
    write(tmp_path / "own/a.pdf", prose("anvils"))
    url = f"{azure.blob_endpoint}/docs"
    more = {**azure.environment, "INGEST_INDEX": "index", "INGEST_EMBEDDER": "local"}

    done = command("run", url, "own", **more)
    assert done.returncode == 0, done.stderr
    assert "4 new" in done.stdout
    again = command("run", "--json", **more, INGEST_ROOT=url)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count('"outcome": "unchanged"') == 3
    found = command("search", "lathes 1", "--json", "-n", "1", **more)
    hit: dict[str, Any] = json.loads(found.stdout.splitlines()[0])
    assert hit["storageUrl"].startswith(f"{url}/tools/")
    assert hit["category"] == "tools"


def test_no_secret_shows_anywhere_at_any_verbosity(azure: Azure, command: Command) -> None:
    """Invariant 10: not in a log, an error or a result, even where everything fails."""
    for n in range(5):
        azure.blob.put("docs", f"{n}.pdf", pdf(prose(f"lathes {n}")))
    azure.faults.randomly(0.3, seed=3, services=("blob",))
    more = {**azure.environment, "INGEST_INDEX": "index", "INGEST_EMBEDDER": "local"}
    shown = ""
    for arguments in (["run", "-vvv"], ["run", "--json", "-vvv"]):
        done = command(*arguments, f"{azure.blob_endpoint}/docs", **more)
        shown += done.stdout + done.stderr
    azure.identity.default.withdraw(BLOB_READER)
    done = command("run", f"{azure.blob_endpoint}/docs", "-vvv", **more)
    shown += done.stdout + done.stderr

    assert azure.identity.default.oid in shown  # the error is there, and says who
    assert len(azure.identity.issued) > 2
    for secret in [*azure.identity.issued, azure.identity.secret]:
        assert secret not in shown
