"""A reader that was taken over neither reads, slows nor outlives its parent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.errors import ConfigError
from ingest.extract.sandbox import child, pool
from ingest.extract.sandbox.pool import SandboxLimits, SandboxPool, missing_layers
from tests.conftest import ROOT
from tests.extract.sandbox.attempts import behave

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what holds there is Linux's")

SECRET = "s3cret-of-the-parent"

# A parent with a secret in its environment, and a child with all layers but Landlock.
PARENT = f"""
import ctypes, os, subprocess, sys
from ingest.extract.sandbox import isolation
from ingest.extract.sandbox.parent import hide_memory
isolation.drop_capabilities(ctypes.CDLL(None))  # those of root would protect it too
if sys.argv[1] == "hide":
    hide_memory()
code = '''
import ctypes, os
from ingest.extract.sandbox import isolation
libc = ctypes.CDLL(None, use_errno=True)
isolation.drop_capabilities(libc)
libc.prctl(isolation.PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0)))
libc.syscall.restype = ctypes.c_long
assert isolation.install_filter(libc)
for name in ("environ", "mem"):
    try:
        with open(f"/proc/{{os.getppid()}}/{{name}}", "rb") as file:
            print(name, "opened", b"{SECRET}" in file.read(1 << 20) if name == "environ" else "")
    except PermissionError:
        print(name, "refused")
'''
subprocess.run([sys.executable, "-c", code], check=True)
"""


@pytest.mark.parametrize(
    ("how", "expected"),
    [("hide", ["environ refused", "mem refused"]), ("show", ["environ opened True", "mem opened"])],
)
def test_without_landlock_the_parent_s_memory_is_still_its_own(
    how: str, expected: list[str]
) -> None:
    """On an old kernel, a token does not get from my memory into an index."""
    done = subprocess.run(
        [sys.executable, "-c", PARENT, how],
        cwd=ROOT,
        env=os.environ | {"MY_TOKEN": SECRET},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert [line.strip() for line in done.stdout.splitlines()] == expected


def test_a_process_with_readers_is_hidden() -> None:
    """Whatever starts readers cannot be looked into by them."""
    code = (
        "import ctypes\n"
        "from ingest.extract.sandbox.pool import SandboxLimits, SandboxPool\n"
        "SandboxPool(pow, SandboxLimits(9, 1024)).close()\n"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))\n"  # PR_GET_DUMPABLE
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout == "0\n"


def test_what_slows_or_outlives_a_parent_is_refused(tmp_path: Path) -> None:
    """No priority, no signal by way of a file, no memory in pipes, and no life after me."""
    (tmp_path / "file").touch()
    children = SandboxPool(behave, SandboxLimits(30, 1024))
    try:
        with (tmp_path / "file").open("rb") as file:
            answers = children(("harm", tmp_path, 0), file)
        assert isinstance(answers, dict)
        assert set(answers.values()) == {"refused"}, answers
        (reader,) = children.processes
        limits = Path(f"/proc/{reader.reader.pid}/limits").read_text()
        (line,) = (row for row in limits.splitlines() if row.startswith("Max cpu time"))
        assert line.split()[4] == str(child.MAX_CPU_SECONDS)
    finally:
        children.close()


def test_a_sandbox_without_all_layers_is_refused_if_i_say_so() -> None:
    """With INGEST_SANDBOX=require nothing is read where a layer is lacking."""
    assert missing_layers(pool.LAYERS) == ""
    assert "lacks landlock for the sandbox" in missing_layers(("limits", "seccomp"))
    layers = pool.LAYERS
    vars(pool)["LAYERS"] = (*layers, "moat")
    children = SandboxPool(behave, SandboxLimits(30, 1024, require_layers=True))
    try:
        with pytest.raises(ConfigError, match=r"lacks moat.*INGEST_SANDBOX=require"):
            children.warm_up()
    finally:
        vars(pool)["LAYERS"] = layers
        children.close()


def test_a_lacking_layer_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """I learn that this kernel lacks a layer, and not again for every reader."""
    children = SandboxPool(behave, SandboxLimits(30, 1024))
    try:
        for _ in range(2):
            children.report_layers(("limits", "seccomp"))
        (record,) = caplog.records
        assert "lacks landlock" in record.getMessage()
    finally:
        children.close()
