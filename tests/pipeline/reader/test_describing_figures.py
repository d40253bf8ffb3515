"""Whole runs with descriptions of figures: each figure is asked for once, whatever happens."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from ingest.config.connections import create_connections
from ingest.config.factory import open_services
from ingest.config.settings import Settings, build_settings
from ingest.models import Mode, RunEvent
from ingest.pipeline.context import Run, Services
from ingest.pipeline.stages import ingest_root
from ingest.runtime.cancellation import Cancellation
from ingest.sources.folder import parse_folder_roots
from tests.conftest import settled
from tests.emulator.emulator import FIGURES, Azure
from tests.pdfs import aged
from tests.scans import squares

SPEED = 20.0  # waits are that much shorter than real ones


def with_figures(*codes: str, words: str = "Typed above.") -> bytes:
    """A PDF with a page for each code: text, a picture that shows the code, and its caption."""
    out = io.BytesIO()
    canvas = Canvas(out, (400, 560), invariant=True)
    for number, code in enumerate(codes, 1):
        canvas.drawString(30, 520, f"{words} Page {number}.")
        canvas.drawImage(ImageReader(squares(code)), 30, 250, 240, 240)
        canvas.drawString(30, 235, f"Figure {number}. About {code}")
        canvas.drawString(30, 180, f"Typed below {code}.")
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def write(path: Path, data: bytes) -> Path:
    """A PDF on disk, old enough that its time can be trusted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return aged(path, 100.0)


def client(azure: Azure, tmp_path: Path, **more: str) -> Settings:
    """The settings of a client that has figures described, with an index on this machine."""
    named = {
        "INGEST_FIGURES": "describe",
        "AZURE_OPENAI_FIGURES_DEPLOYMENT": FIGURES,
        "AZURE_OPENAI_FIGURES_MODEL": "gpt-4.1-mini",
        "INGEST_INDEX": str(tmp_path / "index"),
        "INGEST_WORKERS": "1",
    }
    return build_settings(azure.environment | named | more, {})


@contextmanager
def connected(chosen: Settings, stop: Cancellation, *, write: bool = True) -> Iterator[Services]:
    to = create_connections(
        chosen,
        stop,
        clock=lambda: time.monotonic() * SPEED,
        sleep=lambda seconds: time.sleep(seconds / SPEED),
    )
    with open_services(chosen, stop, write=write, connections=to, take_over=True) as all_:
        yield all_


def run(folder: Path, chosen: Settings) -> list[RunEvent]:
    """One run over a folder, in this process; its events."""
    (root,) = parse_folder_roots([str(folder)])
    stop = Cancellation()
    with connected(chosen, stop) as all_:
        return list(ingest_root(root, all_, Run("r", max_deletes=99, stop=stop)))


def test_a_figure_is_described_and_found(azure: Azure, folder: Path, tmp_path: Path) -> None:
    """The picture that the model gets is the figure alone, and its description is in the index."""
    write(folder / "a.pdf", with_figures("blue valves"))
    chosen = client(azure, tmp_path)

    event = settled(run(folder, chosen))["a.pdf"]

    assert (event.outcome, event.details.figure_outcomes) == ("new", {"described": 1})
    (asked,) = azure.openai.chat.asked
    assert asked.code == "blue valves"
    assert "Caption: Figure 1. About blue valves" in asked.words
    assert "Paragraph before: Typed above. Page 1." in asked.words
    assert asked.has_schema
    with connected(chosen, Cancellation(), write=False) as all_:
        (hit, *_) = all_.index.search("picture of blue valves", None, Mode.TEXT, 5)
    assert "Picture of blue valves" in str(hit.fields["content"])
