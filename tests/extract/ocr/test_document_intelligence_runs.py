"""Whole runs with Document Intelligence: every page is paid for once, whatever fails."""

from __future__ import annotations

import io
import json
import random
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pypdf
import pytest
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from ingest.config.settings import Settings, build_settings
from ingest.errors import RoleError, ServiceError
from ingest.models import Mode
from ingest.pipeline.context import Run
from ingest.pipeline.dry_run import dry_run
from ingest.sources.folder import parse_folder_roots
from tests.conftest import environment, outcomes_by_source, results_by_source
from tests.emulator import faults
from tests.emulator.emulator import FIGURES, Azure
from tests.emulator.identity import COGNITIVE_USER
from tests.emulator.server import Request, Response, Service
from tests.fork_server import running_ingest
from tests.pdfs import pdf, prose
from tests.pdfs import write as write_typed
from tests.processes import wait_until
from tests.runs import open_run, run
from tests.scans import scan, squares, write


def pages(count: int) -> list[str]:
    """Texts that have no line in common, by which they might be taken for headers."""
    names = ("".join("abcdefghij"[int(digit)] for digit in f"{n:03}") for n in range(count))
    return [f"The river {name} is long." for name in names]


@pytest.fixture
def azure(azure: Azure) -> Azure:
    azure.identity.default.grant(COGNITIVE_USER)
    return azure


def client(azure: Azure, **more: str) -> Settings:
    """The settings of a client with remote recognition."""
    named = {"INGEST_WORKERS": "1"}
    return build_settings(azure.environment | named | {"INGEST_OCR": azure.ocr_endpoint} | more, {})


def find_texts(azure: Azure, question: str) -> list[str]:
    """The texts that the index has for a question."""
    azure.search.settle()
    with open_run(client(azure), write=False) as all_:
        hits = all_.index.search(question, None, Mode.TEXT, 5)
    return [str(hit.fields["content"]) for hit in hits]


def test_scanned_pages_are_read_and_found(azure: Azure, folder: Path) -> None:
    """A scan between typed pages is in the index with its text, its page and its confidence."""
    write(folder / "a.pdf", "= Typed beginning.", "The heron stands in the reeds.", "= Typed end.")

    event = results_by_source(run(folder, client(azure)))["a.pdf"]

    assert (event.outcome, event.pages, event.empty_pages) == ("new", 3, 0)
    assert event.details.scanned == (2,)
    assert event.details.ocr == "azure-read"
    assert event.details.missing == ()
    assert "heron stands in the reeds" in find_texts(azure, "heron")[0]
    assert azure.ocr.billed == {"The heron stands in the reeds.": 1}


def test_typed_documents_cost_nothing(azure: Azure, folder: Path) -> None:
    """Only pages that are pictures leave the machine as pictures."""
    write_typed(folder / "a.pdf", prose("cranes"))
    run(folder, client(azure))
    assert azure.count("ocr") == 0


def test_words_in_a_figure_are_read_and_paid_for_once(azure: Azure, folder: Path) -> None:
    """A picture between paragraphs is sent alone, and not again if its document is copied."""
    (folder / "a.pdf").write_bytes(draw_typed("The valve is blue."))
    asks = client(azure, INGEST_FIGURES="text")
    (root,) = parse_folder_roots([str(folder)])
    with open_run(asks, write=False) as all_:
        assert list(dry_run(root, all_, Run("p")))
        assert all_.reader.unsent_pages() == (0, 1)

    event = results_by_source(run(folder, asks))["a.pdf"]
    (folder / "b.pdf").write_bytes((folder / "a.pdf").read_bytes())
    run(folder, asks)

    assert event.details.scanned == ()
    assert (
        "Typed above.\n\nThe valve is blue.\n\nFigure 1. A valve" in find_texts(azure, "valve")[0]
    )
    assert azure.ocr.billed == {"The valve is blue.": 1}


def test_figures_of_scans_are_those_of_the_service(azure: Azure, folder: Path) -> None:
    """The layout model finds a chart on a scan, which is described at its caption, and once."""
    page = "Sales grew.\nFigure 2. Sales of herons\nThey fell later."
    azure.ocr.figures[page] = [((0.1, 0.1, 0.9, 0.6), "Figure 2. Sales of herons")]
    write(folder / "a.pdf", page)
    asks = client(
        azure,
        INGEST_OCR_MODEL="layout",
        INGEST_FIGURES="describe",
        AZURE_OPENAI_FIGURES_DEPLOYMENT=FIGURES,
        AZURE_OPENAI_FIGURES_MODEL="gpt-4.1-mini",
    )

    details = results_by_source(run(folder, asks))["a.pdf"].details
    write(folder / "b.pdf", "Another beginning.", page)
    run(folder, asks)

    assert (details.figures, details.figure_outcomes) == ((1,), {"described": 1})
    (asked,) = azure.openai.chat.asked
    assert "Caption: Figure 2. Sales of herons" in asked.words
    assert "Paragraph after: They fell later." in asked.words
    assert azure.ocr.billed[page] == 1


def test_without_figures_pictures_on_typed_pages_stay_here(azure: Azure, folder: Path) -> None:
    """Figures are off by default, and cost nothing then."""
    (folder / "a.pdf").write_bytes(draw_typed("The valve is blue."))
    run(folder, client(azure))
    assert azure.count("ocr") == 0


def draw_typed(words: str) -> bytes:
    """A typed page with a picture that shows words, and its caption."""
    out = io.BytesIO()
    canvas = Canvas(out, (400, 560), invariant=True)
    canvas.drawString(30, 520, "Typed above.")
    canvas.drawImage(ImageReader(squares(words)), 30, 250, 240, 240)
    canvas.drawString(30, 235, "Figure 1. A valve")
    canvas.drawString(30, 180, "Typed below.")
    canvas.save()
    return out.getvalue()


def test_a_page_in_two_documents_is_paid_for_once(azure: Azure, folder: Path) -> None:
    """At the same time, in the same document, and in a later run."""
    azure.ocr.seconds = 0.5
    for n in range(6):
        write(folder / f"{n}.pdf", "A cover of all.", f"Page {n}.", "A cover of all.")
    assert {*outcomes_by_source(run(folder, client(azure))).values()} == {"new"}

    write(folder / "later.pdf", "= Typed.", "A cover of all.")
    assert outcomes_by_source(run(folder, client(azure)))["later.pdf"] == "new"

    assert azure.ocr.billed.keys() == {"A cover of all.", *(f"Page {n}." for n in range(6))}
    assert azure.ocr.repeated == {}


def test_nothing_is_paid_again_when_documents_are_read_anew(azure: Azure, folder: Path) -> None:
    """Another chunk size reads every document again, and asks for no page."""
    write(folder / "a.pdf", *pages(12))
    run(folder, client(azure))
    asked = azure.count("ocr")

    again = run(folder, client(azure, INGEST_CHUNK_TOKENS="64"))

    assert outcomes_by_source(again) == {"a.pdf": "changed"}
    assert azure.ocr.repeated == {}
    assert azure.count("ocr") == asked


def test_a_renamed_document_keeps_its_pages(azure: Azure, folder: Path) -> None:
    """What was paid for is forgotten with its source, but not if another has it meanwhile."""
    write(folder / "old.pdf", "The lighthouse is painted red.")
    run(folder, client(azure))
    (folder / "old.pdf").rename(folder / "new.pdf")
    assert outcomes_by_source(run(folder, client(azure))) == {
        "new.pdf": "new",
        "old.pdf": "removed",
    }

    run(folder, client(azure, INGEST_CHUNK_TOKENS="64"))
    assert azure.ocr.repeated == {}


def test_a_removed_document_leaves_no_text_behind(azure: Azure, folder: Path) -> None:
    """What was recognised in it goes with it."""
    write(folder / "a.pdf", "A secret of a scan.")
    write(folder / "b.pdf", "Something else.")
    run(folder, client(azure))
    (folder / "a.pdf").unlink()
    azure.search.settle()
    run(folder, client(azure))

    azure.search.settle()
    left = str(azure.search.dump("chunks"))
    assert "secret" not in left
    assert "Something else" in left


@pytest.mark.parametrize("seed", range(2))
def test_a_third_of_all_requests_may_fail(azure: Azure, folder: Path, seed: int) -> None:
    """Throttled, cut off, unanswered: every page is read. Only a lost receipt is paid for twice."""
    texts = pages(10)
    write(folder / "a.pdf", *texts[:6])
    write(folder / "b.pdf", *texts[4:])
    azure.faults.randomly(0.3, seed, services=("ocr",))

    events = results_by_source(run(folder, client(azure)))

    assert azure.faults.happened
    assert {(e.details.missing, e.empty_pages) for e in events.values()} == {((), 0)}
    assert azure.ocr.billed.keys() == set(texts)
    lost = Counter(name for _, method, _, name in azure.faults.happened if method == "POST")
    assert sum(azure.ocr.billed.values()) - len(texts) <= lost["lost"] + lost["truncated"]


def test_a_lost_answer_is_asked_for_again_and_not_paid_again(azure: Azure, folder: Path) -> None:
    """The service read the page and the connection broke: its answer is still there."""
    write(folder / "a.pdf", "One page.")
    azure.faults.add(faults.drop(), "ocr", "GET", nth={1, 2})
    run(folder, client(azure))
    assert azure.ocr.billed == {"One page.": 1}


def test_the_quota_is_kept_to(azure: Azure, folder: Path) -> None:
    """A quota below the client's rate is respected, and every page is read once."""
    azure.ocr.tps, azure.ocr.get_tps = 20, 40
    write(folder / "a.pdf", *pages(30))
    event = results_by_source(run(folder, client(azure)))["a.pdf"]
    assert event.empty_pages == 0
    assert azure.ocr.repeated == {}
    assert azure.ocr.most_at_once <= 8


def test_a_page_that_is_refused_is_missing_and_the_others_are_read(
    azure: Azure, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One picture that the service will not take costs its page, with the service's words."""
    write(folder / "a.pdf", "Good.", "Bad.", "Unreadable.", "Fine.")
    azure.ocr.failing = {"Bad.": ["400 InvalidContent"] * 9, "Unreadable.": ["InvalidContent"] * 9}

    event = results_by_source(run(folder, client(azure)))["a.pdf"]

    assert event.details.missing == (2, 3)
    assert event.empty_pages == 2
    assert event.details.ocr == "azure-read"
    assert "Bad page." in caplog.text
    assert azure.ocr.billed == Counter({"Good.": 1, "Fine.": 1})


@pytest.mark.parametrize("alone", [True, False])
def test_a_page_on_which_the_service_fails_for_ever_costs_itself(
    azure: Azure, folder: Path, *, alone: bool
) -> None:
    """Sent or asked for: it is missing, and paid for once, whether others are read or not."""
    texts = ["Not sent.", "Not read."]
    write(folder / "a.pdf", *texts, *([] if alone else pages(4)))
    lost: set[str] = set()

    def act(request: Request, service: Service) -> Response:
        if request.method == "GET":
            is_lost = request.path.rpartition("/")[2] in lost
            return Response(502) if is_lost else service(request)
        text, _ = azure.ocr.looked_at(request.body)
        if text == "Not sent.":
            return Response(500 if alone else 403, b"<html>Blocked</html>")
        response = service(request)
        if text == "Not read.":
            lost.add(response.headers["apim-request-id"])
        return response

    azure.faults.add(faults.Fault("spoilt", act), "ocr")
    for _ in range(2 if alone else 1):
        event = results_by_source(run(folder, client(azure)))["a.pdf"]
        assert event.details.missing == (1, 2)
    assert azure.ocr.billed["Not read."] == 1


def test_an_outage_costs_one_white_page(azure: Azure, folder: Path) -> None:
    """Pages are accepted, and charged, and no text comes: one probe is enough for all of them."""
    write(folder / "a.pdf", *pages(8))
    azure.faults.add(faults.fail_with(500), "ocr", "GET", "analyzeResults")
    with pytest.raises(ServiceError):
        run(folder, client(azure, INGEST_RETRY_SECONDS="20"))
    assert azure.ocr.billed[""] == 1


def test_an_operation_that_fails_is_begun_again(azure: Azure, folder: Path) -> None:
    """The service failed on a page, once: the page is read. Three times: it is missing."""
    write(folder / "a.pdf", "Once.", "Always.")
    azure.ocr.failing = {"Once.": ["InternalServerError"], "Always.": ["InternalServerError"] * 9}
    event = results_by_source(run(folder, client(azure)))["a.pdf"]
    assert event.details.missing == (2,)
    assert len(azure.ocr.failing["Always."]) == 6


def test_an_expired_operation_is_begun_again(azure: Azure, folder: Path) -> None:
    """A run died, the next one comes two days later: the answer is gone, the page is read."""
    write(folder / "a.pdf", "One page.")
    azure.faults.add(faults.fail_with(500), "ocr", "GET", nth=None)
    with pytest.raises(ServiceError):
        run(folder, client(azure, INGEST_RETRY_SECONDS="3"))
    azure.faults.planned.clear()
    azure.clock.advance(2 * 86_400)
    azure.identity.revoke_all()

    assert outcomes_by_source(run(folder, client(azure))) == {"a.pdf": "new"}
    assert azure.ocr.billed == {"One page.": 2}


def test_a_failing_service_ends_the_run_and_what_was_paid_for_is_kept(
    azure: Azure, folder: Path
) -> None:
    """It is an error, not a document without text; the next run asks for the answers."""
    write(folder / "a.pdf", *pages(20))
    azure.faults.add(faults.fail_with(503), "ocr", "GET", nth=range(9, 999))
    with pytest.raises(ServiceError, match=azure.ocr_endpoint):
        run(folder, client(azure, INGEST_RETRY_SECONDS="20"))
    assert sum(azure.ocr.billed.values()) >= 8

    azure.faults.planned.clear()
    event = results_by_source(run(folder, client(azure)))["a.pdf"]
    assert event.empty_pages == 0
    assert azure.ocr.repeated == {}


def test_a_missing_role_is_named_with_the_command(azure: Azure, folder: Path) -> None:
    """I see who lacks what, and how to grant it."""
    azure.identity.default.withdraw(COGNITIVE_USER)
    write(folder / "a.pdf", *pages(20))
    with pytest.raises(RoleError, match=f"{COGNITIVE_USER}.*az role assignment create"):
        run(folder, client(azure))
    assert azure.ocr.billed == {}


def test_a_role_that_does_not_hold_yet_is_waited_for(azure: Azure, folder: Path) -> None:
    """Fresh from a deployment, with --wait-for-roles."""
    azure.identity.default.withdraw(COGNITIVE_USER)
    azure.identity.default.grant(COGNITIVE_USER, at=azure.clock.now() + 1.5)
    write(folder / "a.pdf", "One page.")
    events = run(folder, client(azure, INGEST_WAIT_FOR_ROLES="60"))
    assert outcomes_by_source(events) == {"a.pdf": "new"}


def test_a_revoked_token_is_renewed(azure: Azure, folder: Path) -> None:
    """A 401 in the middle costs one more request."""
    write(folder / "a.pdf", *pages(5))
    azure.faults.add(faults.unauthorized(), "ocr", "POST", nth=2)
    azure.faults.add(faults.unauthorized(), "ocr", "GET", nth=2)
    assert outcomes_by_source(run(folder, client(azure))) == {"a.pdf": "new"}
    assert azure.ocr.repeated == {}


def test_a_plan_sends_nothing_and_counts_what_a_run_would_send(azure: Azure, folder: Path) -> None:
    """I see what it would cost; pages that were paid for do not count again."""
    write(folder / "a.pdf", "Paid before.")
    run(folder, client(azure))
    azure.search.settle()
    before, asked = azure.search.dump("chunks"), azure.count("ocr")
    write(folder / "b.pdf", "Paid before.", "New one.", "New two.", "New one.")

    (root,) = parse_folder_roots([str(folder)])
    with open_run(client(azure), write=False) as all_:
        events = list(dry_run(root, all_, Run("p")))
        assert all_.reader.unsent_pages() == (2, 0)

    assert outcomes_by_source(events) == {"a.pdf": "unchanged", "b.pdf": "new"}
    assert azure.count("ocr") == asked
    assert azure.search.dump("chunks") == before


def test_scans_inside_another_pdf_are_read(azure: Azure, folder: Path) -> None:
    """An attachment that was scanned is a source of its own, and its page one like any other."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("A covering letter.")))
    writer.add_attachment("inner.pdf", scan("The heron is inside.", "= Typed."))
    writer.write(folder / "outer.pdf")
    write(folder / "z.pdf", "The heron is inside.")

    events = results_by_source(run(folder, client(azure)))

    inner = events["outer.pdf//inner.pdf"]
    assert (inner.outcome, inner.details.scanned, inner.empty_pages) == ("new", (1,), 0)
    assert azure.ocr.billed == {"The heron is inside.": 1}


def test_layout_gives_tables_as_markdown(azure: Azure, folder: Path) -> None:
    """INGEST_OCR_MODEL=layout reads tables; each model has its own cached pages."""
    write(folder / "a.pdf", "Prices of 2026\nItem\tPrice\nSaw\t12\nEnd of the list.")
    run(folder, client(azure))
    run(folder, client(azure, INGEST_OCR_MODEL="layout", INGEST_CHUNK_TOKENS="64"))
    (text,) = find_texts(azure, "saw")
    assert "| Item | Price |\n| --- | --- |\n| Saw | 12 |" in text
    assert sum(azure.ocr.billed.values()) == 2


def test_pages_of_a_local_index_are_kept_there(azure: Azure, folder: Path, tmp_path: Path) -> None:
    """The index on disk remembers what was paid for, too."""
    chosen = client(azure, INGEST_INDEX=str(tmp_path / "index"), INGEST_EMBED_INPUTS="4")
    write(folder / "a.pdf", *pages(9))
    assert outcomes_by_source(run(folder, chosen)) == {"a.pdf": "new"}
    small = client(azure, INGEST_INDEX=str(tmp_path / "index"), INGEST_CHUNK_TOKENS="64")
    assert outcomes_by_source(run(folder, small)) == {"a.pdf": "changed"}
    assert azure.ocr.repeated == {}


def test_killed_runs_pay_for_no_page_twice(azure: Azure, folder: Path, tmp_path: Path) -> None:
    """Kill -9 at any moment: what the service had taken is asked for by the next run."""
    texts = pages(16)
    write(folder / "book.pdf", *texts)
    azure.ocr.seconds = 0.3
    more: dict[str, Any] = {
        "INGEST_OCR": azure.ocr_endpoint,
        "INGEST_INDEX": str(tmp_path / "index"),
    }
    moments = random.Random(time.time_ns())
    kills = 0
    known: dict[str, int] = {}  # pages that the index knew of at a kill, and how often paid for
    for _ in range(9):
        before = azure.count("ocr", "POST")
        with running_ingest(
            *("run", str(folder), "--retry-failed"),
            cwd=tmp_path,
            env=environment() | azure.environment | more,
        ) as process:
            wait_until(
                lambda process=process, before=before: (  # type: ignore[misc]
                    not process.running() or azure.count("ocr", "POST") >= before + 3
                )
            )
            time.sleep(moments.uniform(0, 0.4))
            if not process.running():
                break
            process.send_group(signal.SIGKILL)
            process.wait()
        kills += 1
        for text in cached_pages(tmp_path / "index/index.db", azure):
            known.setdefault(text, azure.ocr.billed[text])
    else:
        pytest.fail("no run got to its end")

    assert process.wait() == 0
    assert kills > 1
    assert azure.ocr.billed.keys() == set(texts)
    # Between the service's yes and our note of it there is a moment that nobody can close.
    assert known
    assert {text: azure.ocr.billed[text] for text in known} == known


def cached_pages(index: Path, azure: Azure) -> list[str]:
    """The texts of the pages that an index knows to be paid for, with their answers or without."""
    with closing(sqlite3.connect(index)) as db:
        try:
            rows = db.execute("SELECT paid FROM pages").fetchall()
        except sqlite3.OperationalError:  # not a page yet
            return []
    return [azure.ocr.operations[json.loads(row[0])["operation"]].text for row in rows]
