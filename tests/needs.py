"""Skip tests whose requirements the machine lacks, and report the skipped ones."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import pytest

# A marker, the program that its tests need, and what is left out without it.
NEEDS = (
    ("azurite", "npm", "AGAINST AZURITE", "npm here to install it with"),
    ("judged", "npm", "OF A PAGE BY ITS JUDGES", "npm here to install them with"),
    ("browser", "chromium", "IN A BROWSER", "chromium here (Debian's package of that name)"),
)
# Each line is about as long as the whole suite should take on its worker.
LONGEST: tuple[tuple[str, ...], ...] = (
    ("tests/distributed/",),
    ("tests/pipeline/test_runs_on_azure.py",),
    ("tests/cli/",),
    ("tests/extract/ocr/",),
    ("tests/infra/",),
    ("tests/test_guard.py", "tests/extract/sandbox/"),
)
UNREACHABLE = "npm cannot reach its registry"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests that this machine cannot run, and spread the longest over the workers."""
    for marker, program, _, _ in NEEDS:
        needing = [item for item in items if item.get_closest_marker(marker)]
        if not shutil.which(program):
            config.hook.pytest_deselected(items=needing)
            items[:] = [item for item in items if item not in needing]
    items[:] = spread_longest(items)


def spread_longest(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Put the longest tests where xdist's workers begin: each worker gets a part of the list.

    Otherwise one of them gets most of the longest, and is alone with them at the end.
    """
    ordered: list[pytest.Item] = []
    rest = [item for item in items if not item.nodeid.startswith(sum(LONGEST, ()))]
    for number, paths in enumerate(LONGEST, 1):
        ordered += [item for item in items if item.nodeid.startswith(paths)]
        missing = max(0, number * len(items) // len(LONGEST) - len(ordered))
        ordered += rest[:missing]
        rest = rest[missing:]
    return ordered + rest


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
