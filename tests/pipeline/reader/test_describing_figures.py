"""Whole runs with descriptions of figures: each figure is asked for once, whatever happens."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from ingest.cli.plan import format_estimate
from ingest.commands.plan import PlanTotals, estimate
from ingest.config.settings import Settings, build_settings
from ingest.errors import ServiceError
from ingest.models import IndexEntry, Mode, Refusal, SourceResult
from ingest.pipeline.context import Run
from ingest.pipeline.dry_run import dry_run
from ingest.pipeline.root import ingest_root
from ingest.runtime.cancellation import Cancellation
from ingest.sources.folder import parse_folder_roots
from tests.conftest import results_by_source
from tests.emulator.emulator import FIGURES, Azure
from tests.emulator.faults import drop, fail_with, too_many
from tests.pdfs import pdf, prose, set_age
from tests.runs import open_run, run
from tests.scans import squares


def draw_figures(*codes: str, words: str = "Typed above.") -> bytes:
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
    return set_age(path, 100.0)


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


def test_a_figure_is_described_and_found(azure: Azure, folder: Path, tmp_path: Path) -> None:
    """The picture that the model gets is the figure alone, and all it says of it is indexed."""
    values = {"axes": ["Year"], "rows": [["Year", "Sales"], ["2024", "12"]]}
    azure.openai.chat.answers = {"blue valves": values}
    write(folder / "a.pdf", draw_figures("blue valves"))
    chosen = client(azure, tmp_path)

    event = results_by_source(run(folder, chosen))["a.pdf"]

    assert (event.outcome, event.details.figure_outcomes) == ("new", {"described": 1})
    (asked,) = azure.openai.chat.asked
    assert asked.code == "blue valves"
    assert "Caption: Figure 1. About blue valves" in asked.words
    assert "Paragraph before: Typed above. Page 1." in asked.words
    assert asked.has_schema
    with open_run(chosen, Cancellation(), write=False) as all_:
        (hit, *_) = all_.index.search("picture of blue valves", None, Mode.TEXT, 5)
    assert "Picture of blue valves" in str(hit.fields["content"])
    assert "\n\nYear\n\n| Year | Sales |\n| --- | --- |\n| 2024 | 12 |" in str(
        hit.fields["content"]
    )


def test_each_figure_has_an_outcome(azure: Azure, folder: Path, tmp_path: Path) -> None:
    """Refused in either way, decoration, cut off and described: counted, and asked for once."""
    chat = azure.openai.chat
    codes = ("filtered answer", "filtered request", "logo", "long", "endless", "fine")
    chat.refusing = {"filtered answer": "finish", "filtered request": "400"}
    chat.kinds = {"logo": "decoration"}
    chat.needed.update({"long": 4000, "endless": 90_000})
    write(folder / "a.pdf", draw_figures(*codes))
    chosen = client(azure, tmp_path)

    event = results_by_source(run(folder, chosen))["a.pdf"]

    counts = {"cut-off": 1, "decoration": 1, "described": 2, "refused": 2}
    assert event.details.figure_outcomes == counts
    assert event.harmless
    rooms = {code: [one.room for one in chat.asked if one.code == code] for code in codes}
    assert len(rooms["long"]) == len(rooms["endless"]) == 2
    assert rooms["long"][0] < rooms["long"][1]
    asked = len(chat.asked) + chat.refused
    (folder / "a.pdf").rename(folder / "b.pdf")
    renamed = results_by_source(run(folder, chosen))["b.pdf"]
    assert renamed.details.figure_outcomes == counts
    assert len(chat.asked) + chat.refused == asked


def test_rerun_rename_copy_and_edit_cost_nothing(
    azure: Azure, folder: Path, tmp_path: Path
) -> None:
    """Only a figure that no document of the root had is asked for."""
    write(folder / "a.pdf", draw_figures("blue valves", "red pumps"))
    chosen = client(azure, tmp_path)
    run(folder, chosen)
    run(folder, chosen)
    (folder / "a.pdf").rename(folder / "b.pdf")
    write(folder / "c.pdf", (folder / "b.pdf").read_bytes())
    run(folder, chosen)
    assert azure.openai.chat.codes == {"blue valves": 1, "red pumps": 1}

    write(folder / "c.pdf", draw_figures("blue valves", "red pumps", "green taps"))
    event = results_by_source(run(folder, chosen))["c.pdf"]
    assert event.details.figure_outcomes == {"described": 3}
    (folder / "c.pdf").unlink()  # it was the last to show what b.pdf shows, too
    write(folder / "b.pdf", draw_figures("blue valves", "red pumps", "old taps"))
    run(folder, chosen)
    paid = {"blue valves": 1, "red pumps": 1, "green taps": 1, "old taps": 1}
    assert azure.openai.chat.codes == paid
    write(folder / "b.pdf", pdf(prose("taps")))  # it has no figures any more
    write(folder / "blank.pdf", draw_figures())
    run(folder, chosen)
    (folder / "b.pdf").unlink()
    run(folder, chosen)
    with open_run(chosen, Cancellation(), write=False) as all_:
        assert list(all_.index.cached_page_sources()) == []


def test_an_outage_leaves_the_text_in_the_index(azure: Azure, folder: Path, tmp_path: Path) -> None:
    """The document is listed as needing its figures, and the next run asks for these alone."""
    write(folder / "a.pdf", draw_figures("blue valves", "red pumps"))
    chosen = client(azure, tmp_path, INGEST_RETRY_SECONDS="2")
    down = azure.faults.add(fail_with(500), "openai", "POST", "chat/completions")

    event = results_by_source(run(folder, chosen))["a.pdf"]

    assert (event.outcome, event.code, event.harmless) == ("new", "figures-undescribed", False)
    assert event.reason.startswith("2 of 2 figures not described (pages 1-2): ")
    assert event.chunks
    embedded = azure.openai.texts.copy()
    azure.faults.planned.remove(down)
    event = results_by_source(run(folder, chosen))["a.pdf"]
    assert (event.outcome, event.code) == ("changed", "")
    assert event.details.figure_outcomes == {"described": 2}
    assert all(azure.openai.texts[text] == count for text, count in embedded.items())
    assert results_by_source(run(folder, chosen))["a.pdf"].outcome == "unchanged"


def test_an_answer_that_is_no_description_is_given_up(
    azure: Azure, folder: Path, tmp_path: Path
) -> None:
    """It is tried in three runs; nothing empty is ever indexed."""
    azure.openai.chat.answers = {"blue valves": "I see a valve."}
    write(folder / "a.pdf", draw_figures("blue valves"))
    chosen = client(azure, tmp_path)
    found = [
        results_by_source(run(folder, chosen))["a.pdf"].details.figure_outcomes for _ in range(4)
    ]
    assert found == [{"failed": 1}, {"failed": 1}, {"refused": 1}, {"refused": 1}]
    assert azure.openai.chat.codes == {"blue valves": 3}


def test_a_picture_that_the_service_fails_on_is_given_up(
    azure: Azure, folder: Path, tmp_path: Path
) -> None:
    """Others are described meanwhile; alone, it is blamed once a probe is answered."""
    azure.openai.chat.refusing = {"blue valves": "broken", "red pumps": "invalid"}
    write(folder / "a.pdf", draw_figures("blue valves", "red pumps", "green taps"))
    chosen = client(azure, tmp_path)
    found = [
        results_by_source(run(folder, chosen))["a.pdf"].details.figure_outcomes for _ in range(4)
    ]
    failed, given_up = {"described": 1, "failed": 2}, {"described": 1, "refused": 2}
    assert found == [failed, failed, given_up, given_up]
    assert azure.openai.chat.refused == 3 * 3 + 3
    assert azure.openai.chat.codes["green taps"] == 1


def test_a_model_that_sees_no_pictures_is_not_asked_for_each(
    azure: Azure, folder: Path, tmp_path: Path
) -> None:
    """No picture is blamed: a run with another deployment describes them all."""
    azure.openai.chat.sees = False
    write(folder / "a.pdf", draw_figures("blue valves", "red pumps"))
    event = results_by_source(run(folder, client(azure, tmp_path)))["a.pdf"]
    assert event.details.figure_outcomes == {"failed": 2}
    assert "does not describe pictures" in event.reason
    azure.openai.chat.sees = True
    event = results_by_source(run(folder, client(azure, tmp_path)))["a.pdf"]
    assert event.details.figure_outcomes == {"described": 2}


def test_an_older_server_is_asked_in_its_own_way(
    azure: Azure, folder: Path, tmp_path: Path
) -> None:
    """A server without schemas and with max_tokens is learnt once, not for each figure."""
    chat = azure.openai.chat
    chat.unsupported = {"json_schema", "max_completion_tokens"}
    write(folder / "a.pdf", draw_figures("blue valves", "red pumps"))
    event = results_by_source(run(folder, client(azure, tmp_path)))["a.pdf"]
    assert event.details.figure_outcomes == {"described": 2}
    assert not any(one.has_schema for one in chat.asked)


def test_text_is_indexed_before_a_budget_ends(azure: Azure, folder: Path, tmp_path: Path) -> None:
    """The limit stops the run at the figures: all text is there, and the next run goes on."""
    for name in "abc":
        write(folder / f"{name}.pdf", draw_figures(f"figure {name}", words=f"Of {name}."))
    chosen = client(azure, tmp_path, INGEST_MAX_TOKENS="4500")

    events = results_by_source(run(folder, chosen))

    described = [event.details.figure_outcomes for event in events.values()]
    assert {event.outcome for event in events.values()} == {"new"}
    assert all(event.chunks for event in events.values())
    assert {"failed": 1} in described
    asked = azure.openai.chat.asked
    assert sum(one.sent for one in asked) < 4500
    later = results_by_source(run(folder, replace(chosen, max_tokens=None)))
    assert {str(event.details.figure_outcomes) for event in later.values()} == {"{'described': 1}"}
    assert len(azure.openai.chat.codes) == len(azure.openai.chat.asked) == 3


def test_a_run_that_dies_before_the_upload_pays_nothing_twice(
    azure: Azure, folder: Path, tmp_path: Path
) -> None:
    """Every answer is in the index before anything else is done with it."""
    write(folder / "a.pdf", draw_figures("blue valves", "red pumps"))
    chosen = client(azure, tmp_path)
    (root,) = parse_folder_roots([str(folder)])

    def die(entries: Sequence[IndexEntry]) -> list[Refusal]:
        if any(entry.chunk.figure for entry in entries):
            raise ServiceError("killed")
        return upload(entries)

    stop = Cancellation()
    with (
        pytest.raises(ServiceError, match="killed"),
        open_run(chosen, stop) as all_,
    ):
        upload = all_.index.upload
        all_.index.upload = die  # type: ignore[method-assign]
        list(ingest_root(root, all_, Run("r", stop=stop)))
    assert results_by_source(run(folder, chosen))["a.pdf"].details.figure_outcomes == {
        "described": 2
    }
    assert azure.openai.chat.codes == {"blue valves": 1, "red pumps": 1}


def test_another_root_is_never_given_a_description(
    azure: Azure, folder: Path, tmp_path: Path
) -> None:
    """A document that has taken its reader over may claim any figure, but only of its own root."""
    data = draw_figures("blue valves")
    write(folder / "a.pdf", data)
    write(tmp_path / "secret/a.pdf", data)
    chosen = client(azure, tmp_path)
    run(tmp_path / "secret", chosen)
    run(folder, chosen)
    assert azure.openai.chat.codes == {"blue valves": 2}


def test_a_plan_tells_what_the_figures_would_cost(
    azure: Azure, folder: Path, tmp_path: Path
) -> None:
    """Before a run: figures, tokens and dollars, close to what is billed; nothing is asked for."""
    write(folder / "a.pdf", draw_figures("blue valves", "red pumps"))
    (root,) = parse_folder_roots([str(folder)])
    chosen = client(azure, tmp_path)
    with open_run(chosen, Cancellation(), write=False) as all_:
        spending = PlanTotals(all_.budget)
        for event in dry_run(root, all_, Run("plan")):
            spending.add(event, sum(all_.reader.unsent_pages()))
            if isinstance(event, SourceResult):
                assert event.reason == "2 figures to be described, once all text is indexed"
        planned = estimate(spending, all_, remote=False)
    assert (planned.figures, azure.openai.chat.asked) == (2, [])
    lines = "\n".join(format_estimate(planned))
    assert "for the figures, at $0.40 for 1,000,000 sent, $1.60 for answers (gpt-4.1-mini" in lines

    run(folder, chosen)
    billed = sum(one.sent for one in azure.openai.chat.asked)
    assert planned.chat.sent == pytest.approx(billed, rel=0.1)


def test_quotas_and_lost_answers_are_waited_for(azure: Azure, folder: Path, tmp_path: Path) -> None:
    """A 429 with its headers, and a connection that breaks: every figure is described."""
    write(folder / "a.pdf", draw_figures("blue valves", "red pumps", "green taps"))
    path = "chat/completions"
    azure.faults.add(too_many(1), "openai", "POST", path, nth=1)
    azure.faults.add(drop(), "openai", "POST", path, nth=3)
    event = results_by_source(run(folder, client(azure, tmp_path)))["a.pdf"]
    assert event.details.figure_outcomes == {"described": 3}
    assert azure.count("openai", "POST", path) == 5
