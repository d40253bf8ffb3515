"""Skip tests whose requirements the machine lacks, and report the skipped ones."""

from __future__ import annotations

import shutil

import pytest

# A marker, the program that its tests need, and what is left out without it.
NEEDS = (
    ("azurite", "npm", "AGAINST AZURITE", "npm here to install it with"),
    ("judged", "npm", "OF A PAGE BY ITS JUDGES", "npm here to install them with"),
    ("browser", "chromium", "IN A BROWSER", "chromium here (Debian's package of that name)"),
)
LONGEST = ("tests/distributed/", "tests/test_guard.py", "tests/extract/sandbox/test_hostile.py")
UNREACHABLE = "npm cannot reach its registry"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests that this machine cannot run, and put the longest first."""
    for marker, program, _, _ in NEEDS:
        needing = [item for item in items if item.get_closest_marker(marker)]
        if not shutil.which(program):
            config.hook.pytest_deselected(items=needing)
            items[:] = [item for item in items if item not in needing]
    # The longest come first, so that no worker is left alone with them at the end.
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report the skipped tests."""
    for _, program, what, lack in NEEDS:
        if not shutil.which(program):
            line = f"THE TESTS {what} WERE LEFT OUT: there is no {lack}"
            terminalreporter.write_line(line, red=True)
    skipped = terminalreporter.stats.get("skipped", [])
    if count := sum(UNREACHABLE in str(report.longrepr) for report in skipped):
        line = f"{count} TESTS WERE LEFT OUT: {UNREACHABLE}"
        terminalreporter.write_line(line, red=True)
