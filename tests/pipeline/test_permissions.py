"""Permissions of documents, from their source to the hits of a search."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from ingest.config.connections import create_connections
from ingest.config.profile import load_profile
from ingest.config.settings import build_settings
from ingest.config.sources import open_roots
from ingest.errors import ConfigError, DocumentError, RootError
from ingest.index.azure.mapping import bind_profile
from ingest.index.azure.profile import DEFAULT_PROFILE
from ingest.index.permissions import filter_expression
from ingest.index.sqlite.index import SqliteIndex
from ingest.models import (
    GROUPS,
    OIDS,
    BlobField,
    Mode,
    Outcome,
    Permissions,
    PreparedDocument,
    Source,
    SourceResult,
    Values,
    hash_fields,
    parse_ids,
)
from ingest.pipeline.context import Reader, Run, Services
from ingest.pipeline.dry_run import DryRunEvent, dry_run
from ingest.pipeline.root import ingest_root
from ingest.sources.azure_blob.fields import split_list
from ingest.sources.folder import Folder
from ingest.sources.permissions import (
    PermittedFolder,
    complete_permissions,
    find_permissions,
    grant,
    parse_permissions,
)
from tests.conftest import DIMENSIONS, MODEL
from tests.emulator.filters import compile_filter
from tests.pipeline.worlds import Crash, Process, Words, World, digest, read

if TYPE_CHECKING:
    from ingest.pipeline.diff import Stale
    from ingest.sources import Root

    Stages = Callable[[Root, Services, Run], Iterator[DryRunEvent]]

SOURCE = Source("r", "a.pdf", "", 1, "etag", fields=(("unit", "HR"),))
CONTAINER = "https://a.blob.core.windows.net/docs"
IDS = ("ann", "bob", "staff", "all", "none")


@dataclass
class Guarded(Words):
    """A root of words, each document with the permissions that it has at present."""

    permissions: dict[str, Permissions | None] = field(default_factory=dict)  # None: unknown
    damaged: set[str] = field(default_factory=set)

    def list(self) -> Iterator[Source]:
        for source in super().list():
            found = self.permissions[source.name]
            yield (
                grant(source, found.to_values())
                if found
                else replace(source, permissions_unknown="nothing says")
            )


def read_guarded(root: Root, stale: Stale) -> PreparedDocument | None:
    assert isinstance(root, Guarded)
    if stale.source.name in root.damaged:
        raise DocumentError("damaged")
    made = read(root, stale._replace(known_fingerprint=""))
    assert made
    name = digest(made.fingerprint, hash_fields(stale.source.fields))
    made = replace(made, fingerprint=made.fingerprint[:12] + name)
    return None if made.fingerprint == stale.known_fingerprint else made


def run(
    world: World, root: Guarded, process: Process | None = None, stages: Stages = ingest_root
) -> dict[str, SourceResult]:
    """One run, or a dry run; its results, {} if it died."""
    process = process or Process()
    index = world.open(process, "elsewhere@boot/1:1")
    services = world.services(index, process)
    services = replace(services, reader=Reader(read_guarded, ThreadPoolExecutor(1)))
    try:
        index.hold()
        events = list(stages(root, services, Run("r", max_deletes=99)))
    except Crash:
        return {}
    finally:
        process.after = lambda _: None
        services.reader.threads.shutdown()
        services.embed_threads.shutdown()
        world.close(index, is_dead=process.is_dead)
    return {e.source: e for e in events if isinstance(e, SourceResult)}


def readers(folder: Path) -> dict[str, set[Permissions]]:
    """Permissions of the chunks of each document, as the index has them."""
    index = SqliteIndex(folder, MODEL, DIMENSIONS, create=False)
    found: dict[str, set[Permissions]] = {}
    for source, text in index.db.execute("SELECT source, readers FROM chunks"):
        oids, groups = json.loads(text)
        found.setdefault(source, set()).add(Permissions(tuple(oids), tuple(groups)))
    index.close()
    return found


@pytest.mark.parametrize("seed", range(3))
def test_chunks_never_get_wider_than_their_document(seed: int, tmp_path: Path) -> None:
    """Whatever changes, fails or dies: after a run each chunk has its document's permissions."""
    random, world = Random(seed), World(tmp_path)
    root = Guarded({"0.pdf": "w0 w1"}, permissions={"0.pdf": Permissions(("ann",))})
    for _ in range(8):
        before = dict(root.files), dict(root.permissions)
        for name in ("0.pdf", "1.pdf", "2.pdf"):
            if random.random() < 0.5 or name not in root.files:
                root.files[name] = " ".join(random.choices(("w0", "w1", "w2", "w3"), k=3))
            if random.random() < 0.6 or name not in root.permissions:
                ids = tuple(random.sample(IDS, random.randint(0, 2)))
                root.permissions[name] = random.choice(
                    (Permissions(ids), Permissions((), ids), None)
                )
        root.damaged = {name for name in root.files if random.random() < 0.2}
        at = random.randint(1, 20)

        def die(number: int, at: int = at) -> None:
            if number == at:
                raise Crash

        run(world, root, Process(die))
        if random.random() < 0.5:  # what a dead run has seen may not be what the next one sees
            root.files.update(before[0])
            root.permissions.update(before[1])
            root.damaged.clear()
        results = run(world, root)
        found = readers(tmp_path)
        for name, permissions in root.permissions.items():
            expected = dict(permissions.to_values()) if permissions else {}
            for chunk in found.get(name, ()):
                assert (chunk.oids, chunk.groups) == (expected[OIDS], expected[GROUPS])
            if permissions is None:
                assert name not in found
                assert (results[name].code, results[name].harmless) == (
                    "permissions-unknown",
                    False,
                )
            elif name not in root.damaged:
                assert name in found
    assert "w0" in world.paid


def test_chunks_come_back_however_far_their_removal_got(tmp_path: Path) -> None:
    """A run dies while it takes back a document whose permissions are known again in the next."""
    world, ann = World(tmp_path), Permissions(("ann",))
    root = Guarded({"a.pdf": "w0 w1"}, permissions={"a.pdf": ann})
    run(world, root)
    for at in range(1, 7):

        def die(number: int, at: int = at) -> None:
            if number == at:
                raise Crash

        root.permissions["a.pdf"] = None
        run(world, root, Process(die))
        root.permissions["a.pdf"] = ann
        run(world, root)
        assert "a.pdf" in readers(tmp_path), at


def test_a_plan_counts_the_chunks_that_unknown_permissions_delete(tmp_path: Path) -> None:
    """Before I turn permissions on, a plan says what the first run with them takes away."""
    world = World(tmp_path)
    root = Guarded({"a.pdf": "w0 w1"}, permissions={"a.pdf": Permissions(("ann",))})
    run(world, root)
    root.permissions["a.pdf"] = None
    planned = run(world, root, stages=dry_run)["a.pdf"]
    assert planned.deleted > 0
    assert planned.deleted == run(world, root)["a.pdf"].deleted
    assert run(world, root, stages=dry_run)["a.pdf"].deleted == 0


def test_a_changed_list_is_a_change_without_embedding(tmp_path: Path) -> None:
    """A person who leaves a group finds nothing any more, and no model is paid for that."""
    world = World(tmp_path)
    root = Guarded({"a.pdf": "w0 w1"}, permissions={"a.pdf": Permissions(("ann",), ("staff",))})
    run(world, root)
    paid = world.paid.total()
    root.permissions["a.pdf"] = Permissions(("ann",))
    assert run(world, root)["a.pdf"].outcome is Outcome.CHANGED
    assert run(world, root)["a.pdf"].outcome is Outcome.UNCHANGED
    assert world.paid.total() == paid

    index = SqliteIndex(tmp_path, MODEL, DIMENSIONS, create=False)
    for person, hits in (
        (Permissions(("ann",)), 1),
        (Permissions(("bob",), ("staff",)), 0),
        (Permissions(), 0),
    ):
        assert len(index.search_permitted("w0", None, Mode.TEXT, 5, person)) == hits
    index.close()


def test_an_index_without_permissions_is_not_searched_by_them(tmp_path: Path) -> None:
    """What nobody limited is not shown as if somebody had allowed it."""
    index = SqliteIndex(tmp_path, MODEL, DIMENSIONS, create=True)
    with pytest.raises(ConfigError, match="does not say who may read"):
        index.search_permitted("w0", None, Mode.TEXT, 5, Permissions(("ann",)))
    index.close()


def test_the_filter_of_a_service_is_the_rule() -> None:
    """The expression, as the service evaluates it, admits whom the permissions admit."""
    kind = {"type": "Collection(Edm.String)", "filterable": True}
    random = Random(1)
    for _ in range(300):
        lists = [tuple(random.sample(IDS, random.randint(0, 2))) for _ in range(4)]
        permissions = Permissions(lists[0], lists[1])
        person = Permissions(*(tuple(i for i in ids if i not in IDS[3:]) for ids in lists[2:]))
        expression = filter_expression(person, "users", "teams")
        test = compile_filter(expression, {"users": kind, "teams": kind}).test
        document = {"users": list(permissions.oids), "teams": list(permissions.groups)}
        assert test(document) is permissions.admits(person)


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({OIDS: ("b", "a", "b"), GROUPS: None}, ((OIDS, ("a", "b")), (GROUPS, ()))),
        ({OIDS: (), GROUPS: ()}, ((OIDS, ("none",)), (GROUPS, ()))),
        ({GROUPS: ()}, ((GROUPS, ("none",)),)),
        ({OIDS: None, GROUPS: None}, None),
        ({OIDS: ("two words",), GROUPS: ("g",)}, None),
    ],
)
def test_lists_that_are_missing_or_malformed(
    given: dict[str, tuple[str, ...] | None], fields: Values | None
) -> None:
    """Two empty lists admit nobody; a missing or malformed list is unknown, which admits nobody."""
    source = replace(SOURCE, fields=(*SOURCE.fields, *given.items()))
    made = complete_permissions(source, tuple(given))
    assert made.fields == (("unit", "HR"), *(fields or ()))
    assert bool(made.permissions_unknown) is (fields is None)
    assert complete_permissions(SOURCE, ()) is SOURCE


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("a, b,", ("a", "b")),
        ('["a", "b"]', ("a", "b")),
        ("[a", None),
        ('["a", 1]', None),
        (None, None),
    ],
)
def test_a_list_in_metadata(text: str | None, ids: tuple[str, ...] | None) -> None:
    """Blob metadata lists ids separated by commas, or as JSON."""
    assert split_list(text) == ids


def test_metadata_fills_the_permissions_of_any_index() -> None:
    """In the fields that a profile names, as a list that filters can use."""
    settings = {"INGEST_BLOB_FIELDS": "oids=meta:AAD_Users[],topics=tag:Topics[]"}
    chosen = build_settings(settings, {})
    assert chosen.blob_fields == (
        BlobField("oids", "aad_users", tag=False, is_list=True),
        BlobField("topics", "Topics", tag=True, is_list=True),
    )
    profile = load_profile(chosen)
    fields = {rule.field.name: rule.field for rule in profile.rules}
    mapping, _, problems = bind_profile(profile, fields)
    assert not problems
    assert fields["oids"].filterable
    values = {"source": "a.pdf", "oids": ["ann"], "topics": ["x", "y"]}
    assert mapping.to_document(values).items() >= {"oids": ["ann"], "topics": ["x", "y"]}.items()
    assert load_profile(build_settings({}, {})) == DEFAULT_PROFILE


def test_the_last_glob_that_matches_counts(tmp_path: Path) -> None:
    """The last matching glob decides; a file that no glob matches has unknown permissions."""
    rules = parse_permissions(
        '"**" = {groups = ["all"]}\n"hr/" = {groups = ["hr"]}\n"hr/me.pdf" = {oids = []}'
    )
    assert find_permissions(rules, "a.pdf") == Permissions((), ("all",))
    assert find_permissions(rules, "hr/x/y.pdf") == Permissions((), ("hr",))
    assert find_permissions(rules, "hr/me.pdf//attached.pdf") == Permissions()
    assert find_permissions(rules[1:], "a.pdf") is None

    folder = PermittedFolder(Folder(tmp_path))
    with pytest.raises(RootError, match=r"\.permissions\.toml cannot be read"):
        list(folder.list())
    (tmp_path / ".permissions.toml").write_text('"b.pdf" = {oids = ["ann"]}')
    for name in ("a.pdf", "b.pdf"):
        (tmp_path / name).write_bytes(b"%PDF-")
    unknown, known = (item for item in folder.list() if isinstance(item, Source))
    assert unknown.permissions_unknown
    assert known.permissions == Permissions(("ann",))
    with folder.open(known) as file:  # its version is that of the file, and of its permissions
        assert file.read() == b"%PDF-"
    assert folder.find("b.pdf").modified == known.modified


@pytest.mark.parametrize(
    "text",
    ['"a" = 1', '"a" = {}', '"a" = {users = []}', '"a" = {oids = "x"}', "a", '"a"={oids=["x y"]}'],
)
def test_permissions_that_cannot_be_meant(text: str) -> None:
    """A mistake in a permissions file is an error: it must not open a document."""
    with pytest.raises(ValueError, match=r"."):
        parse_permissions(text)


@pytest.mark.parametrize(
    ("place", "settings", "words"),
    [
        ("", {"INGEST_BLOB_FIELDS": "oids=meta:x[]"}, "set INGEST_PERMISSIONS=sidecar"),
        ("", {"INGEST_PERMISSIONS": "acl"}, "set INGEST_PERMISSIONS=sidecar"),
        (CONTAINER, {"INGEST_PERMISSIONS": "sidecar"}, "is for folders"),
        (
            CONTAINER,
            {"INGEST_PERMISSIONS": "acl", "INGEST_BLOB_FIELDS": "groups=meta:x[]"},
            "both say who may read a blob",
        ),
    ],
)
def test_settings_that_do_not_say_who_may_read_a_root(
    place: str, settings: dict[str, str], words: str, tmp_path: Path
) -> None:
    """Nothing is read by a rule that is for something else."""
    chosen = build_settings(settings, {})
    with (
        pytest.raises(ConfigError, match=words),
        open_roots([place or str(tmp_path)], chosen, create_connections(chosen)),
    ):
        pass


def test_nobody_searches_as_everybody() -> None:
    """Reserved ids that mean everybody or nobody are refused as a person's ids."""
    for word in ("all", "none"):
        with pytest.raises(ValueError, match="not an object id"):
            parse_ids([word], reserved=False)
