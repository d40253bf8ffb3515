"""Locations, and the back ends that they select."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.config.connections import create_connections
from ingest.config.embedding import create_embedder
from ingest.config.index import index_name, open_index
from ingest.config.location import Location
from ingest.config.settings import Settings
from ingest.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "parts", "is_local", "is_service"),
    [
        (".ingest", ("", "", ".ingest"), True, False),
        ("local", ("", "", "local"), True, False),
        ("C:\\data", ("", "", "C:\\data"), True, False),
        ("https://a.search.windows.net", ("https", "a.search.windows.net", ""), False, True),
        ("https://a:443/b/c.pdf", ("https", "a:443", "b/c.pdf"), False, True),
        ("http://localhost:8080/v1", ("http", "localhost:8080", "v1"), False, False),
        ("s3://bucket/folder", ("s3", "bucket", "folder"), False, False),
    ],
)
def test_a_location_is_a_path_or_a_url(
    text: str, parts: tuple[str, str, str], is_local: bool, is_service: bool
) -> None:
    """I name a folder or a URL in one setting, and either is taken for what it is."""
    location = Location.parse(text)
    assert (location.scheme, location.host, location.path) == parts
    assert (location.is_local, location.is_service) == (is_local, is_service)
    assert str(location) == text


def test_the_index_is_opened_by_its_scheme(tmp_path: Path) -> None:
    """A folder holds an index of its own; a service is reached over https:// or not at all."""
    settings = Settings(index=str(tmp_path / "index"))
    connections = create_connections(settings)
    model = create_embedder(settings, connections)
    open_index(settings, model, connections, create=True).close()
    assert (tmp_path / "index").is_dir()
    assert index_name(settings) == str(tmp_path / "index")

    remote = Settings(index="http://service", search_index="mine")
    assert index_name(remote) == "mine on http://service"
    with pytest.raises(ConfigError, match="no index has the scheme"):
        open_index(remote, model, connections)
