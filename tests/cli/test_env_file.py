"""A `.env` gives settings of ingest, and nothing by which its writer could take over."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ingest.cli.env_file import check_key_hosts, read_env_file, read_own_file
from ingest.errors import ConfigError
from tests.conftest import Command, CommandHere

HOSTILE = (
    *("LD_PRELOAD", "PYTHONPATH", "HTTPS_PROXY", "https_proxy", "REQUESTS_CA_BUNDLE"),
    *("SSL_CERT_FILE", "AZURE_AUTHORITY_HOST", "INGEST_TRUSTED_HOSTS", "IDENTITY_ENDPOINT"),
)


def test_only_settings_of_ingest_take_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `.env` from a stranger cannot run code; other programs' variables in it are ignored."""
    monkeypatch.chdir(tmp_path)
    names = [*HOSTILE, "AZURE_LOCATION", "SERVICE_IMAGE", "AZURE_CLIENT_ID", "INGEST_LOG"]
    (tmp_path / ".env").write_text("".join(f'{name}="x"\n' for name in names))
    assert read_env_file() == {"AZURE_CLIENT_ID": "x", "INGEST_LOG": "x"}


def test_values_of_the_environment_are_not_copied_into_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`.env` cannot copy my secrets into a name that is sent to its index."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MY_SECRET", "hunter2")
    (tmp_path / ".env").write_text("AZURE_SEARCH_INDEX=${MY_SECRET}\n")
    assert read_env_file() == {"AZURE_SEARCH_INDEX": "${MY_SECRET}"}


@pytest.mark.parametrize("command", ["status", "search lathes", "report", "plan docs"])
def test_a_misspelt_setting_is_named_by_each_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command_here: CommandHere, command: str
) -> None:
    """A misspelt setting, in the environment or in `.env`, is reported by each command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INGEST_INDX", "elsewhere")
    (tmp_path / ".env").write_text("INGEST_CHUNK_TOKEN=99\n")
    (tmp_path / "docs").mkdir()
    _, _, errors = command_here(*command.split())
    assert "INGEST_INDX is not a setting: did you mean INGEST_INDEX?" in errors
    assert "INGEST_CHUNK_TOKEN is not a setting: did you mean INGEST_CHUNK_TOKENS?" in errors


def test_dangerous_names_are_warned_of_and_others_are_not(command: Command, tmp_path: Path) -> None:
    """A proxy in `.env` is ignored with a warning, variables of azd without one."""
    (tmp_path / "docs").mkdir()
    lines = [f"{name}=/nowhere/x.so" for name in HOSTILE]
    (tmp_path / ".env").write_text("\n".join([*lines, "AZURE_LOCATION=eu", "INGEST_ROOT=docs"]))
    done = command("plan")
    assert done.returncode == 0, done.stderr
    assert [name for name in HOSTILE if f"{name} in .env is ignored" not in done.stderr] == []
    assert "AZURE_LOCATION" not in done.stderr
    assert "preload" not in done.stderr.replace("LD_PRELOAD", "")  # no child's loader looked for it


@pytest.mark.parametrize(
    ("key", "name", "url"),
    [
        ("AZURE_OPENAI_KEY", "INGEST_EMBEDDER", "https://evil.example/v1"),
        ("AZURE_OPENAI_KEY", "AZURE_OPENAI_ENDPOINT", "https://a.openai.azure.com,http://evil"),
        ("AZURE_OPENAI_FIGURES_KEY", "AZURE_OPENAI_FIGURES_ENDPOINT", "https://evil.example/v1"),
        ("AZURE_SEARCH_KEY", "AZURE_SEARCH_ENDPOINT", "https://a.search.windows.net.evil.example"),
        ("AZURE_SEARCH_KEY", "INGEST_INDEX", "https://evil.example/indexes/x"),
        ("AZURE_OPENAI_KEY", "INGEST_EMBEDDER", "http://evil.example\\@localhost/v1"),
    ],
)
def test_it_does_not_choose_who_gets_my_key(key: str, name: str, url: str) -> None:
    """A stranger's `.env` cannot have the key of my environment sent to its service."""
    with pytest.raises(ConfigError, match=f"{name} in .env would have {key} of the environment"):
        check_key_hosts({key: "s3cret"}, {name: url})
    check_key_hosts({}, {name: url, key: "its own"})
    check_key_hosts({key: "s3cret", name: "https://mine.example"}, {name: url})  # mine counts
    check_key_hosts({key: "s3cret"}, {name: "http://localhost:11434/v1"})
    hosts = {"INGEST_TRUSTED_HOSTS": "gateway.example"}
    check_key_hosts({key: "s3cret"} | hosts, {name: "https://gateway.example/v1"})


def test_inside_a_root_it_ends_the_command(command: Command, tmp_path: Path) -> None:
    """A `.env` inside a root is refused, since anyone who adds documents could write it."""
    (tmp_path / ".env").write_text("INGEST_INDEX=elsewhere\n")
    for arguments, more in ((("run", "."), {}), (("doctor",), {"INGEST_ROOT": "."})):
        done = command(*arguments, **more)
        assert done.returncode == 2
        assert ".env lies inside the root ." in done.stderr
    assert not (tmp_path / "elsewhere").exists()


def test_another_user_s_file_ends_the_command(tmp_path: Path) -> None:
    """A `.env` of another user is refused, even in a folder that all may write to."""
    file = tmp_path / ".env"
    file.write_text("INGEST_INDEX=elsewhere\n")
    if os.geteuid() == 0:
        os.chown(file, 54321, -1)
    owner = file.stat().st_uid
    assert read_own_file(file, owner) == "INGEST_INDEX=elsewhere\n"
    with pytest.raises(ConfigError, match="belongs to another user"):
        read_own_file(file, owner + 1)


def test_a_named_pipe_does_not_block_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe instead of a file is an error at once."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / ".env")
    with pytest.raises(ConfigError, match="not a regular file"):
        read_env_file()
