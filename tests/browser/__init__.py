"""A page in a real browser: Debian's chromium, without a window, with nobody to talk to.

axe-core and html-validate, which judge the page, are installed by npm into this folder when a test
first needs them. tests/needs.py says what becomes of machines without either.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.npm import install

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HERE = Path(__file__).resolve().parent
QUIETLY = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass
class Opened:
    """A page that is open, and what it did that it must not."""

    page: Page
    complaints: list[str] = field(default_factory=list)  # of its console, and what it asked for


@dataclass(frozen=True)
class Judges:
    """Programs that judge a page."""

    axe: Path  # a script
    validator: Path

    def invalid(self, file: Path) -> str:
        """Errors in the HTML of the page."""
        command = ["node", self.validator, "--preset", "recommended", "--formatter", "text", file]
        return subprocess.run(
            list(map(str, command)), capture_output=True, text=True, check=False
        ).stdout

    def barriers(self, page: Page) -> list[str]:
        """Accessibility violations of the page as it is now."""
        page.evaluate(self.axe.read_text())
        found: Any = page.evaluate("axe.run()")
        return [
            f"{violation['id']}: {node['html']}"
            for violation in found["violations"]
            for node in violation["nodes"]
        ]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright  # takes a while, in each worker of pytest

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=QUIETLY)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def judges() -> Judges:
    install(HERE)
    return Judges(
        HERE / "node_modules/axe-core/axe.min.js",
        HERE / "node_modules/html-validate/bin/html-validate.mjs",
    )


@contextmanager
def open_file(browser: Browser, file: Path, **how: Any) -> Iterator[Opened]:
    """A file in a tab of its own; `how` is what playwright's new_context takes."""
    context = browser.new_context(**how)
    try:
        found = Opened(context.new_page())
        found.page.on("console", lambda said: found.complaints.append(said.text))
        found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
        found.page.on("request", lambda asked: found.complaints.append(asked.url))
        found.page.goto(file.as_uri())
        found.complaints.remove(file.as_uri())
        yield found
    finally:
        context.close()
