"""Leaving sources out of a root, where a mistake would look like deletions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.connect import portable
from ingest.errors import ConfigError
from ingest.model import Oddity, Source, Unread
from ingest.settings import settings
from ingest.sources import Root
from ingest.sources.exclude import Excluding, excluding
from ingest.sources.folder import Folder
from tests.conftest import ROOT


class Listed:
    """A root with nothing but a listing."""

    name = "r"

    def __init__(self, *items: Source | Oddity) -> None:
        self.items = items

    def covers(self, _: str) -> bool:
        return True

    def listed(self) -> Iterator[Source | Oddity | Unread]:
        yield from self.items

    def opened(self, source: Source) -> AbstractContextManager[BinaryIO]:
        raise NotImplementedError


def listed(root: Root, *globs: str) -> list[str]:
    (left,) = excluding([root], globs)
    return [item.name for item in left.listed() if not isinstance(item, Unread)]


def test_a_folder_that_cannot_be_read_hides_nothing_once_all_of_it_is_excluded() -> None:
    """A blind spot holds back deletions, unless I have said that nothing there concerns the run."""
    root = Listed(Oddity("r", "x/", "cannot be read", hides=True))
    assert listed(root, "x/") == listed(root, "x/**") == listed(root, "**") == []
    assert listed(root, "x/*") == ["x/"]  # what lies deeper is not excluded, and is not seen
    assert listed(root, "x/**/a.pdf") == ["x/"]
    assert listed(root, "y/") == ["x/"]


def test_a_dead_link_can_be_excluded() -> None:
    """What is known to be odd need not be reported every night."""
    root = Listed(Oddity("r", "a.pdf", "a link that leads nowhere"))
    assert listed(root) == ["a.pdf"]
    assert listed(root, "a.pdf") == []


def test_what_is_inside_an_excluded_pdf_goes_with_it() -> None:
    """The documents of a portfolio are neither read nor removed where the portfolio is left out."""
    root = Excluding(Listed(), ("p.pdf",))
    assert not root.covers("p.pdf//letter.pdf")
    assert root.covers("q.pdf//p.pdf")


@given(st.lists(st.text("ab/*?", min_size=1, max_size=5), max_size=3), st.text("ab/", max_size=6))
def test_a_name_is_either_covered_or_excluded(globs: list[str], name: str) -> None:
    """No source falls between: it would be taken for vanished."""
    root = Excluding(Listed(), tuple(globs))
    assert root.covers(name) != root.excludes(name)


def test_workers_elsewhere_open_the_root_itself() -> None:
    """What is left out is the driver's business: it says which sources they settle."""
    folder = Folder(ROOT / "data")
    (root,) = excluding([folder], ["x/"])
    assert portable(root) is folder


def test_globs_come_from_flags_and_from_the_environment() -> None:
    """With commas in the variable; a flag has one, so that a name may have a comma."""
    assert settings({"INGEST_EXCLUDE": "a/, b*.pdf"}, {}).exclude == ("a/", "b*.pdf")
    found = settings({"INGEST_EXCLUDE": "x"}, {"exclude": ["Miller, A.pdf", "y/"]})
    assert found.exclude == ("Miller, A.pdf", "y/")


@pytest.mark.parametrize("glob", ["/docs/a.pdf", "./a.pdf", "https://x.example/docs/a.pdf"])
def test_a_glob_that_could_never_match_is_refused(glob: str) -> None:
    """A path instead of a name in the root would exclude nothing, without a word."""
    with pytest.raises(ConfigError, match="relative to the root"):
        settings({"INGEST_EXCLUDE": glob}, {})
    with pytest.raises(ConfigError, match="--exclude"):
        settings({}, {"exclude": [glob]})
