"""Cores and memory in a container, by the files of its control group."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ingest.config import capacity
from ingest.config.capacity import (
    count_cores,
    count_workers,
    cpu_limit,
    document_memory,
    memory_limit,
)
from ingest.config.reader import sandbox_limits
from ingest.config.settings import Settings, build_settings
from ingest.errors import ConfigError

GIB = 1 << 30
V1_UNLIMITED = "9223372036854771712\n"


def make_machine(root: Path, group: str, **files: str) -> Path:
    """A machine with these files of control groups; `__` stands for `/`, `_` for `.`."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(group)
    for name, content in files.items():
        path = root / "sys/fs/cgroup" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(path.name.replace("_", ".", 1)).write_text(content)
    return root


@pytest.mark.parametrize(
    ("group", "files", "cpus", "memory"),
    [
        ("0::/\n", {"cpu_max": "200000 100000\n", "memory_max": f"{4 * GIB}\n"}, 2, 4 * GIB),
        ("0::/\n", {"cpu_max": "150000 100000\n", "memory_max": "max\n"}, 1.5, None),
        ("0::/\n", {"cpu_max": "max 100000\n"}, None, None),
        # The groups around it, such as a systemd slice, limit it too.
        (
            "0::/a.slice/b\n",
            {"a.slice__b__memory_max": "max\n", "a.slice__memory_max": f"{GIB}\n"},
            None,
            GIB,
        ),
        # In a container without a namespace of its own, the path is that of the host.
        ("0::/docker/1234\n", {"memory_max": f"{GIB}\n"}, None, GIB),
        (
            "4:memory:/x\n3:cpu,cpuacct:/x\n2:cpuset:/\n",
            {
                "cpu__x__cpu_cfs_quota_us": "50000\n",
                "cpu__x__cpu_cfs_period_us": "100000\n",
                "cpu__cpu_cfs_quota_us": "-1\n",
                "cpu__cpu_cfs_period_us": "100000\n",
                "memory__x__memory_limit_in_bytes": f"{2 * GIB}\n",
                "memory__memory_limit_in_bytes": V1_UNLIMITED,
            },
            0.5,
            2 * GIB,
        ),
    ],
)
def test_the_limits_of_a_container_are_found(
    tmp_path: Path, group: str, files: dict[str, str], cpus: float | None, memory: int | None
) -> None:
    """Both versions of control groups, with or without a limit, nested or not."""
    root = make_machine(tmp_path, group, **files)
    assert cpu_limit(root) == cpus
    assert memory_limit(root) == memory


@pytest.mark.parametrize(
    ("cpus", "gib", "env", "megabytes"),
    [
        ("100000 100000", 4, {}, 2048),  # more than that was never the default
        ("100000 100000", 2, {}, 1536),
        ("100000 100000", 4, {"INGEST_WORKERS": "2"}, 1792),
        ("100000 100000", 4, {"INGEST_WORKERS": "8"}, 448),
        ("100000 100000", 1, {"INGEST_WORKERS": "8"}, 256),  # with less, nothing could be read
        ("100000 100000", 2, {"INGEST_DOCUMENT_MEGABYTES": "3000"}, 3000),
        ("max 100000", None, {"INGEST_DOCUMENT_MEGABYTES": "0"}, 2048),
    ],
)
def test_documents_share_the_memory_of_the_container(
    tmp_path: Path, cpus: str, gib: int | None, env: dict[str, str], megabytes: int
) -> None:
    """One document cannot take all of it, and what I set counts."""
    memory = {"memory_max": str(gib * GIB)} if gib else {}
    root = make_machine(tmp_path, "0::/\n", cpu_max=cpus, **memory)
    settings = build_settings(env, {})
    assert document_memory(settings, root) == megabytes
    if gib and not env.get("INGEST_DOCUMENT_MEGABYTES") and megabytes > 256:
        assert count_workers(settings, root) * megabytes <= gib * 1024 - 512


@pytest.mark.parametrize(
    ("mebibytes", "workers", "megabytes"),
    [(256, 1, 256), (1024, 1, 512), (1600, 2, 544), (2048, 3, 512), (1 << 20, 64, 2048)],
)
def test_little_memory_on_a_large_machine_means_fewer_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mebibytes: int, workers: int, megabytes: int
) -> None:
    """`docker run -m 2g` limits no CPU: 64 readers would not fit."""
    monkeypatch.setitem(vars(capacity), "count_cores", lambda _root: 64)
    root = make_machine(tmp_path, "0::/\n", memory_max=str(mebibytes << 20))
    assert count_workers(Settings(), root) == workers
    assert document_memory(Settings(), root) == megabytes
    assert count_workers(Settings(workers=8), root) == 8


def test_a_reader_gets_that_limit() -> None:
    """A reader cannot map more memory than its limit; exceeding it fails the document."""
    assert sandbox_limits(Settings()).megabytes == document_memory(Settings()) >= 256


def test_cores_are_those_of_the_quota(tmp_path: Path) -> None:
    """A container of one CPU on a large machine reads one document at a time."""
    everywhere = count_cores(tmp_path / "no cgroups")
    assert everywhere == len(os.sched_getaffinity(0))
    for number, (quota, cores) in enumerate({"100000": 1, "20000": 1, "99900000": 999}.items()):
        root = make_machine(tmp_path / str(number), "0::/\n", cpu_max=f"{quota} 100000\n")
        assert count_cores(root) == min(cores, everywhere)


@pytest.mark.parametrize("megabytes", ["1", "255", "-1", "none"])
def test_too_little_memory_for_a_document_is_named(megabytes: str) -> None:
    """Only 0 stands for the default."""
    with pytest.raises(ConfigError, match="INGEST_DOCUMENT_MEGABYTES"):
        build_settings({"INGEST_DOCUMENT_MEGABYTES": megabytes}, {})
