"""Private files: only their owner can read them, and nothing is written through a symbolic link."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ingest.errors import ConfigError
from ingest.index.sqlite.index import SqliteIndex
from ingest.runtime.private_file import write_private_file


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_an_index_is_for_its_owner_only(tmp_path: Path) -> None:
    """The texts of locked documents, which it holds, are not for the other users here."""
    index = SqliteIndex(tmp_path / "x" / "index", "model", 8, create=True)
    try:
        assert mode(tmp_path / "x/index") == 0o700
        files = list((tmp_path / "x/index").glob("*.db*"))
        assert [mode(file) for file in files] == [0o600] * len(files)
        assert any(file.name.endswith("-wal") for file in files)
    finally:
        index.close()


def test_an_index_is_not_made_through_a_link(tmp_path: Path) -> None:
    """Who may write in my folder cannot have me overwrite a file of mine elsewhere."""
    (tmp_path / "index").mkdir()
    (tmp_path / "index/index.db").symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(ConfigError, match="is a symbolic link"):
        SqliteIndex(tmp_path / "index", "model", 8, create=True)
    assert not (tmp_path / "elsewhere.db").exists()


def test_a_page_replaces_a_link_and_keeps_its_target(tmp_path: Path) -> None:
    """A report is a new file for me only, whatever lay at its path."""
    target = tmp_path / "target"
    target.write_text("mine")
    (tmp_path / "report.html").symlink_to(target)
    write_private_file(tmp_path / "report.html", "text")
    assert target.read_text() == "mine"
    assert (tmp_path / "report.html").read_text() == "text"
    assert mode(tmp_path / "report.html") == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "target"]
