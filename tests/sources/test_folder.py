"""Listing a root: all that is there, in order, and a word on what is odd."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import ConfigError, DocumentError
from ingest.models import ListingIssue, Outcome, Source, Unread
from ingest.pipeline.diff import SkipRule, Stale, compare
from ingest.sources import source_url
from ingest.sources.folder import glob_matches, normalize_name, parse_folder_roots
from tests.pdfs import set_age, write


def names(*arguments: str) -> list[str]:
    listed = [item for root in parse_folder_roots(arguments) for item in root.list()]
    return [item.name for item in listed if not isinstance(item, Unread)]


def oddities(folder: Path) -> dict[str, ListingIssue]:
    (root,) = parse_folder_roots([str(folder)])
    return {item.name: item for item in root.list() if isinstance(item, ListingIssue)}


def touch(folder: Path, *files: str) -> None:
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%PDF-")


def test_a_folder_means_all_pdfs_below_it(folder: Path) -> None:
    """I name a folder; everything in it that ends in .pdf is meant, however deep or spelt."""
    touch(folder, "b.pdf", "a/deep/er/c.PDF", "a.txt", "pdf", "README.md")

    assert names(str(folder)) == ["a/deep/er/c.PDF", "b.pdf"]


@given(st.sets(st.text("ab-/.é0 ", min_size=1, max_size=8)))
def test_the_order_is_that_of_the_names(
    tmp_path_factory: pytest.TempPathFactory, made: set[str]
) -> None:
    """Listing and records are merged; a listing out of order would look like deletions."""
    folder = tmp_path_factory.mktemp("order")
    for name in made:
        parts = [part for part in name.split("/") if part.strip(". ")]
        path = folder.joinpath(*(part.strip(". ") + "x" for part in parts), "y.pdf")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    touch(folder, "a-b.pdf", "a/z.pdf", "a.pdf", "a0.pdf")

    found = names(str(folder))

    assert found == sorted(found)
    assert set(found) == {
        unicodedata.normalize("NFC", p.relative_to(folder).as_posix())
        for p in folder.rglob("*.pdf")
    }


def test_one_file_is_a_source_of_its_folder(folder: Path) -> None:
    """Whether I name the file or its folder, it is the same source."""
    touch(folder, "a.pdf", "b.pdf")
    (whole,), (one,) = (
        parse_folder_roots([str(folder)]),
        parse_folder_roots([str(folder / "b.pdf")]),
    )

    assert one.name == whole.name
    assert [item.name for item in one.list()] == ["b.pdf"]
    assert not one.covers("a.pdf")


def test_a_glob_means_what_a_shell_means(folder: Path) -> None:
    """Quoted or expanded by the shell, a pattern names the same files."""
    touch(folder, "a.pdf", "x/b.pdf", "x/y/c.pdf", "x/d1.pdf")

    assert names(f"{folder}/*.pdf") == ["a.pdf"]
    assert names(f"{folder}/x/*.pdf") == ["b.pdf", "d1.pdf"]
    assert names(f"{folder}/**/*.pdf") == ["a.pdf", "x/b.pdf", "x/d1.pdf", "x/y/c.pdf"]
    assert names(f"{folder}/x/d[0-9].pdf", f"{folder}/x/b.pdf") == ["b.pdf", "d1.pdf"]


def test_a_name_with_glob_characters_is_a_name(folder: Path) -> None:
    """A file called [draft]*.pdf can be named."""
    touch(folder, "[draft]*.pdf", "d.pdf")

    assert names(str(folder / "[draft]*.pdf")) == ["[draft]*.pdf"]


@pytest.mark.parametrize(
    ("pattern", "name", "does"),
    [
        ("*.pdf", "a.pdf", True),
        ("*.pdf", "x/a.pdf", False),
        ("**/*.pdf", "a.pdf", True),
        ("**/*.pdf", "x/y/a.pdf", True),
        ("x/**", "x/y/a.pdf", True),
        ("?.pdf", "ab.pdf", False),
        ("[!a].pdf", "b.pdf", True),
        ("[!a].pdf", "a.pdf", False),
        ("[[]a].pdf", "[a].pdf", True),
        ("a+b.pdf", "a+b.pdf", True),
    ],
)
def test_patterns(pattern: str, name: str, does: bool) -> None:
    """A glob knows `*`, `?`, `[...]` and `**`, and nothing else."""
    assert glob_matches(pattern, name) is does


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("missing", "no such folder"),
        ("none/*.pdf", "no such folder"),
        ("a.txt", "neither a folder"),
    ],
)
def test_a_root_that_cannot_be_meant_is_refused(folder: Path, argument: str, reason: str) -> None:
    """A typing error is an error, not an empty root whose documents have vanished."""
    touch(folder, "a.txt")
    with pytest.raises(ConfigError, match=reason):
        parse_folder_roots([str(folder / argument)])


def test_roots_inside_each_other_are_refused(folder: Path) -> None:
    """No document is indexed twice because I named it twice."""
    touch(folder, "x/a.pdf")
    with pytest.raises(ConfigError, match="lies inside"):
        parse_folder_roots([str(folder), str(folder / "x")])
    assert len(parse_folder_roots([str(folder), f"{folder}/."])) == 1


def test_names_are_in_nfc(folder: Path) -> None:
    """A file copied from a Mac has the same name on Linux."""
    touch(folder, unicodedata.normalize("NFD", "Müller/Übersicht.pdf"))

    assert names(str(folder)) == ["Müller/Übersicht.pdf"]


def test_of_two_spellings_of_one_name_the_composed_one_is_read(folder: Path) -> None:
    """Where a disk has both spellings, one is read, and I see which ones are not."""
    touch(folder, unicodedata.normalize("NFD", "é.pdf"), "é.pdf", "f.pdf")
    touch(folder, unicodedata.normalize("NFD", "ö/a.pdf"), "ö/b.pdf")
    (folder / os.fsdecode(b"\xff.pdf")).touch()
    (folder / r"\xff.pdf").touch()

    (root,) = parse_folder_roots([str(folder)])
    read = {item.name: Path(item.location).name for item in root.list() if isinstance(item, Source)}
    odd = oddities(folder)

    assert read == {n: n.rpartition("/")[2] for n in ("é.pdf", "f.pdf", "ö/b.pdf", r"\xff.pdf")}
    assert {item.name: item.same_as for item in odd.values()} == {
        r"e\u0301.pdf": "é.pdf",
        r"o\u0308/": "ö/",
        r"\udcff.pdf": r"\xff.pdf",
    }
    assert not any(item.harmless for item in odd.values())
    assert [item.name for item in odd.values() if item.hides] == [r"o\u0308/"]


PARTS = ["e\u0301", "é", "\u2126", "Ω", "\udcff", r"\xff", r"\udcff", r"e\u0301", "\\", "한", "a"]


@given(
    st.lists(st.lists(st.sampled_from(PARTS), min_size=1, max_size=2).map("".join), max_size=12)
    | st.lists(st.binary(min_size=1, max_size=6).map(os.fsdecode), max_size=6)
)
def test_every_name_that_a_disk_can_hold_has_one_outcome(
    tmp_path_factory: pytest.TempPathFactory, stems: list[str]
) -> None:
    """Whatever bytes my file names are made of, none is lost and none ends the run."""
    folder = tmp_path_factory.mktemp("twins")
    for stem in {stem.replace("/", "").replace("\0", "") for stem in stems}:
        (folder / f"{stem}.pdf").touch()
    (root,) = parse_folder_roots([str(folder)])

    changes = list(compare(root.list(), [], SkipRule("")))

    read = {c.source.name: c.source.location for c in changes if isinstance(c, Stale)}
    assert len(changes) == len(list(folder.iterdir()))
    assert set(read) == {
        normalize_name(path.name) for path in folder.iterdir() if path.name[0] != "."
    }
    for name, location in read.items():
        assert normalize_name(Path(location).name) == name
        assert Path(location).name == name or not (folder / name).exists()


def test_hidden_files_are_named_and_hidden_folders_left_alone(folder: Path) -> None:
    """What macOS leaves beside a file is no document, and nobody has to act on it."""
    touch(folder, "._a.pdf", "a.pdf", ".git/b.pdf")

    assert names(str(folder)) == ["._a.pdf", "a.pdf"]
    assert oddities(folder)["._a.pdf"].harmless


def test_links_are_followed_but_not_round_in_circles(folder: Path, tmp_path: Path) -> None:
    """A link to a folder is a folder; a link back up ends, and is named."""
    touch(folder, "x/a.pdf")
    touch(tmp_path, "elsewhere/b.pdf")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "x" / "loop").symlink_to(folder)
    (folder / "nothing.pdf").symlink_to(folder / "gone.pdf")
    (folder / "self.pdf").symlink_to(folder / "self.pdf")

    found = names(str(folder))

    assert found == ["link/b.pdf", "nothing.pdf", "self.pdf", "x/a.pdf", "x/loop/"]
    odd = oddities(folder)
    assert set(odd) == {"nothing.pdf", "self.pdf", "x/loop/"}
    assert odd["x/loop/"].harmless
    assert not odd["nothing.pdf"].harmless


def test_what_is_no_file_is_not_opened(folder: Path) -> None:
    """A pipe with a .pdf name does not hold the run up for ever."""
    os.mkfifo(folder / "pipe.pdf")
    (folder / "folder.pdf").mkdir()

    assert oddities(folder)["pipe.pdf"].reason == "not a regular file"


def test_a_file_that_becomes_a_pipe_is_not_waited_for(folder: Path) -> None:
    """Whatever takes its place after the listing, the run does not hang on it."""
    touch(folder, "a.pdf")
    (root,) = parse_folder_roots([str(folder)])
    (source,) = root.list()
    assert isinstance(source, Source)
    (folder / "a.pdf").unlink()
    os.mkfifo(folder / "a.pdf")

    with pytest.raises(DocumentError, match="changed"), root.open(source):
        pass


def test_a_pipe_that_looks_like_the_file_is_not_read(folder: Path) -> None:
    """A pipe that was given the size and time of the listed file does not block the run."""
    (folder / "a.pdf").touch()
    (root,) = parse_folder_roots([str(folder)])
    (source,) = root.list()
    assert isinstance(source, Source)
    (folder / "a.pdf").unlink()
    os.mkfifo(folder / "a.pdf")
    os.utime(folder / "a.pdf", ns=(0, int(source.modified)))

    with pytest.raises(DocumentError, match="no longer a regular file"), root.open(source):
        pass


def test_any_file_name_can_be_held(folder: Path) -> None:
    """Names with new lines, quotes or bytes that are no text are sources like any other."""
    for name in (b"new\nline.pdf", b"quo'te\".pdf", b"\xff\xfe.pdf", "😀 .pdf".encode()):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"%PDF-")

    found = names(str(folder))

    assert found == sorted(["new\nline.pdf", "quo'te\".pdf", "\\xff\\xfe.pdf", "😀 .pdf"])
    for root in parse_folder_roots([str(folder)]):
        for item in root.list():
            assert isinstance(item, Source)
            with root.open(item) as file:
                assert file.read() == b"%PDF-"


def test_a_folder_that_cannot_be_read_hides_what_is_in_it(folder: Path) -> None:
    """Without a look inside, nothing in it counts as vanished."""
    touch(folder, "a.pdf", "x/b.pdf", "y.pdf")
    (root,) = parse_folder_roots([str(folder)])
    listing = root.list()
    next(listing)
    (folder / "x" / "b.pdf").unlink()
    (folder / "x").rmdir()

    hidden, last = listing

    assert isinstance(hidden, ListingIssue)
    assert hidden.name == "x/"
    assert hidden.hides
    assert not hidden.harmless
    assert last.name == "y.pdf"


def test_a_file_that_cannot_be_looked_at_is_not_taken_for_gone(folder: Path) -> None:
    """A folder that may be listed and not entered: I read why, and that the file is there."""
    touch(folder, "x/a.pdf", "x/b.pdf")
    (root,) = parse_folder_roots([str(folder)])
    listing = root.list()
    next(listing)
    (folder / "x").rename(folder / "y")
    (folder / "x").symlink_to("x")  # nothing can be looked at through a link to itself

    (issue,) = listing

    assert isinstance(issue, ListingIssue)
    assert (issue.name, issue.code) == ("x/b.pdf", "unreadable")


def test_a_file_that_changes_is_not_read_half(folder: Path) -> None:
    """A PDF still being copied is left for the next run, not indexed in part."""
    path = write(folder / "a.pdf", "first")
    (root,) = parse_folder_roots([str(folder)])
    (source,) = root.list()
    assert isinstance(source, Source)
    path.write_bytes(b"%PDF-longer than before")

    changed = pytest.raises(DocumentError, match="changed while being read")
    with changed as caught, root.open(source):
        pass
    assert caught.value.outcome is Outcome.SKIPPED

    path.unlink()
    with pytest.raises(DocumentError, match="vanished before it was read"), root.open(source):
        pass


def test_a_fresh_file_is_not_trusted_by_its_time(folder: Path) -> None:
    """Two writes in one tick of a coarse clock do not hide the second from me."""
    touch(folder, "new.pdf")
    set_age(write(folder / "old.pdf", "text"))

    recent = {
        i.name: i.recent
        for r in parse_folder_roots([str(folder)])
        for i in r.list()
        if isinstance(i, Source)
    }

    assert recent == {"new.pdf": True, "old.pdf": False}


def test_a_source_can_be_opened_by_a_person(folder: Path) -> None:
    """The address in an answer is one that a browser opens."""
    touch(folder, "a b#c.pdf")
    ((source,),) = ([*root.list()] for root in parse_folder_roots([str(folder)]))
    assert isinstance(source, Source)
    assert source_url(source) == f"{folder.as_uri()}/a%20b%23c.pdf"
