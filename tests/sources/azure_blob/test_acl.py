"""Access control lists of a hierarchical namespace: who may read a file, and a run that asks."""

from __future__ import annotations

from contextlib import closing
from random import Random

import pytest

from ingest.errors import ConfigError
from ingest.models import Permissions, Source
from ingest.sources.azure_blob.acl import EXECUTE, READ, Access, parse_access, readers
from ingest.sources.azure_blob.container import Container
from ingest.sources.azure_blob.location import parse_container_url
from tests.emulator import faults
from tests.emulator.emulator import Azure
from tests.sources.shelves import storage

USERS, GROUPS = ("u1", "u2", "u3"), ("g1", "g2")
OPEN = "user::rwx,group::r-x,other::--x"


def random_flags(random: Random) -> str:
    return "".join(flag if random.random() < 0.7 else "-" for flag in "rwx")


def random_acl(random: Random) -> tuple[str, str, str]:
    """An access control list by chance, its owner and its owning group."""
    named = [f"user:{u}" for u in USERS if random.random() < 0.4]
    named += [f"group:{g}" for g in GROUPS if random.random() < 0.4]
    mask = [f"mask::{random_flags(random)}"] if random.random() < 0.5 else []
    entries = [f"{name}:{random_flags(random)}" for name in ("user:", "group:", *named, "other:")]
    acl = ",".join([*entries, *mask, "default:user:u3:rwx", "default:other::rwx"])
    return acl, random.choice((*USERS, "$superuser")), random.choice((*GROUPS, "$superuser"))


def posix(lists: tuple[str, str, str], wanted: str, user: str, member_of: set[str]) -> bool:
    """The service's evaluation for one person, as its documentation has it."""
    acl, owner, group = lists
    entries = [e.split(":") for e in acl.split(",") if not e.startswith("default:")]
    mask = next((g for kind, _, g in entries if kind == "mask"), "rwx")
    if user == owner:
        return any(wanted in g for kind, id_, g in entries if (kind, id_) == ("user", ""))
    for kind, id_, given in entries:
        if (kind, id_) == ("user", user):
            return wanted in given and wanted in mask
    mine = [g for kind, id_, g in entries if kind == "group" and (id_ or group) in member_of]
    if mine:
        return any(wanted in given and wanted in mask for given in mine)
    return any(wanted in given for kind, _, given in entries if kind == "other")


def test_nobody_is_admitted_whom_the_lists_do_not_admit() -> None:
    """Any lists, of a file and two folders, and any person in any groups."""
    random, admitted = Random(25), 0
    for _ in range(1500):
        path = [(random_acl(random), wanted) for wanted in (READ, EXECUTE, EXECUTE)]
        found = readers([parse_access(*lists, wanted) for lists, wanted in path])
        for user in (*USERS, "stranger"):
            groups = {g for g in GROUPS if random.random() < 0.5}
            if found.admits(Permissions((user,), tuple(groups))):
                admitted += 1
                assert all(posix(lists, wanted, user, groups) for lists, wanted in path)
    assert admitted > 100


@pytest.mark.parametrize(
    ("file", "folder", "expected"),
    [
        (
            "user::rw-,user:ann:r--,group::---,mask::r--,other::---",
            OPEN,
            Permissions(("ann", "own")),
        ),
        ("user::rw-,user:ann:r--,group::r--,mask::---,other::---", OPEN, Permissions(("own",))),
        (
            "user::r--,group::---,group:hr:r--,mask::r--,other::---",
            OPEN,
            Permissions(("own",), ("hr",)),
        ),
        ("user::r--,group::r--,other::r--", OPEN, Permissions(("all",))),
        (
            "user::r--,group::r--,other::r--",
            "user::rwx,group::---,other::---",
            Permissions(("own",)),
        ),
        ("user::r--,user:eve:---,group:hr:r--,group::r--,other::r--", OPEN, Permissions(("own",))),
    ],
)
def test_who_may_read_a_file(file: str, folder: str, expected: Permissions) -> None:
    """After the mask, and as far as the folder lets through; a denied user outweighs a group."""
    path: list[Access] = [
        parse_access(file, "own", "owning", READ),
        parse_access(folder, "own", "owning", EXECUTE),
    ]
    found = readers(path)
    assert (found.oids, set(found.groups) - {"owning"}) == (expected.oids, set(expected.groups))


@pytest.mark.parametrize("acl", ["", "user::rwx", "user:rwx,group::r-x,other::---", "x::rwx"])
def test_what_is_no_list_is_refused(acl: str) -> None:
    """A malformed access control list is not taken for an empty one."""
    with pytest.raises(ValueError, match=r"."):
        parse_access(acl, "own", "owning", READ)


def test_a_container_is_listed_with_its_lists(azure: Azure) -> None:
    """Kept in step with every list on the way; one that cannot be understood is unknown."""
    url = f"{azure.blob_endpoint}/docs"
    azure.blob.hierarchical = True
    for name in ("hr/pay/a.pdf", "hr/pay/b.pdf", "hr/pay/c.pdf"):
        azure.blob.put("docs", name, b"%PDF-")
    azure.blob.access |= {
        ("docs", ""): ("$superuser", OPEN),
        ("docs", "hr"): ("$superuser", OPEN),
        ("docs", "hr/pay"): ("$superuser", OPEN),
        ("docs", "hr/pay/a.pdf"): ("ann", "user::rw-,group::---,group:hr:r--,other::---"),
        ("docs", "hr/pay/b.pdf"): ("ann", "user::rw-,group::---,other::---"),
        ("docs", "hr/pay/c.pdf"): ("ann", "nonsense"),
    }
    with closing(storage(url)) as requests:
        root = Container(parse_container_url(f"{url}/hr"), requests, 100, reads_acl=True)

        def listed() -> list[Source]:
            return [item for item in root.list() if isinstance(item, Source)]

        a, b, c = listed()
        assert (a.permissions, b.permissions) == (
            Permissions(("ann",), ("hr",)),
            Permissions(("ann",)),
        )
        assert (c.permissions, "access control list" in c.permissions_unknown) == (None, True)
        assert root.find("pay/a.pdf") == a
        reads = azure.count("blob", "HEAD")
        assert reads == 3 + 3 + 4  # each file and each folder once; then one file and its folders

        azure.blob.access["docs", "hr"] = ("$superuser", "user::rwx,group::---,other::---")
        changed, _, _ = listed()
        assert changed.permissions == Permissions(("none",))
        assert changed.modified != a.modified
        azure.faults.add(faults.fail_with(403), "blob", "HEAD", "c.pdf")
        _, _, c = listed()
        assert "and not on others" in c.permissions_unknown
        azure.blob.hierarchical = False
        with pytest.raises(ConfigError, match="needs a storage account with a hierarchical"):
            listed()
