"""Leaving sources out of a root, where a mistake would look like deletions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.config.settings import build_settings
from ingest.config.sources import to_portable
from ingest.errors import ConfigError
from ingest.models import ListingIssue, Source, Unread
from ingest.sources import Root
from ingest.sources.exclude import ExcludingRoot, exclude_globs
from ingest.sources.folder import Folder
from tests.conftest import ROOT


class Listed:
    """A root with nothing but a listing."""

    name = "r"

    def __init__(self, *items: Source | ListingIssue) -> None:
        self.items = items

    def covers(self, _: str) -> bool:
        return True

    def list(self) -> Iterator[Source | ListingIssue | Unread]:
        yield from self.items

    def find(self, name: str) -> Source:
        raise NotImplementedError

    def open(self, source: Source) -> AbstractContextManager[BinaryIO]:
        raise NotImplementedError


def list_names(root: Root, *globs: str) -> list[str]:
    (left,) = exclude_globs([root], globs)
    return [item.name for item in left.list() if not isinstance(item, Unread)]


def test_a_folder_that_cannot_be_read_hides_nothing_once_all_of_it_is_excluded() -> None:
    """A blind spot holds back deletions, unless I have said that nothing there concerns the run."""
    root = Listed(ListingIssue("r", "x/", "cannot be read", hides=True))
    assert list_names(root, "x/") == list_names(root, "x/**") == list_names(root, "**") == []
    assert list_names(root, "x/*") == ["x/"]  # what lies deeper is not excluded, and is not seen
    assert list_names(root, "x/**/a.pdf") == ["x/"]
    assert list_names(root, "y/") == ["x/"]


def test_a_dead_link_can_be_excluded() -> None:
    """What is known to be odd need not be reported every night."""
    root = Listed(ListingIssue("r", "a.pdf", "a link that leads nowhere"))
    assert list_names(root) == ["a.pdf"]
    assert list_names(root, "a.pdf") == []


def test_a_file_that_another_one_hides_is_excluded_by_the_name_of_both() -> None:
    """My glob means the name that I see, however a second file of that name is spelt."""
    root = Listed(
        ListingIssue("r", "e\\u0301.pdf", "twin", same_as="é.pdf"),
        ListingIssue("r", "o\\u0308/", "twin", hides=True, same_as="ö/"),
    )
    assert list_names(root, "é.pdf", "ö/") == []
    assert len(list_names(root, "e.pdf")) == 2


def test_what_is_inside_an_excluded_pdf_goes_with_it() -> None:
    """The documents of a portfolio are neither read nor removed where the portfolio is left out."""
    root = ExcludingRoot(Listed(), ("p.pdf",))
    assert not root.covers("p.pdf//letter.pdf")
    assert root.covers("q.pdf//p.pdf")


@given(st.lists(st.text("ab/*?", min_size=1, max_size=5), max_size=3), st.text("ab/", max_size=6))
def test_a_name_is_either_covered_or_excluded(globs: list[str], name: str) -> None:
    """No source falls between: it would be taken for vanished."""
    root = ExcludingRoot(Listed(), tuple(globs))
    assert root.covers(name) != root.excludes(name)


def test_workers_elsewhere_open_the_root_itself() -> None:
    """What is left out is the driver's business: it says which sources they settle."""
    folder = Folder(ROOT / "data")
    (root,) = exclude_globs([folder], ["x/"])
    assert to_portable(root).place is folder


def test_globs_come_from_flags_and_from_the_environment() -> None:
    """With commas in the variable; a flag has one, so that a name may have a comma."""
    assert build_settings({"INGEST_EXCLUDE": "a/, b*.pdf"}, {}).exclude == ("a/", "b*.pdf")
    found = build_settings({"INGEST_EXCLUDE": "x"}, {"exclude": ["Miller, A.pdf", "y/"]})
    assert found.exclude == ("Miller, A.pdf", "y/")


@pytest.mark.parametrize("glob", ["/docs/a.pdf", "./a.pdf", "https://x.example/docs/a.pdf"])
def test_a_glob_that_could_never_match_is_refused(glob: str) -> None:
    """A path instead of a name in the root would exclude nothing, without a word."""
    with pytest.raises(ConfigError, match="relative to the root"):
        build_settings({"INGEST_EXCLUDE": glob}, {})
    with pytest.raises(ConfigError, match="--exclude"):
        build_settings({}, {"exclude": [glob]})
