"""Plans and budgets against Azure: what is foreseen is what is billed, and no more is spent."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ingest.commands.plan import Estimate, PlanTotals, estimate
from ingest.config.roots import resolve_roots
from ingest.config.settings import Settings
from ingest.errors import ConfigError
from ingest.models import RunEvent, SourceResult
from ingest.pipeline.context import Run
from ingest.pipeline.dry_run import DryRunEvent, dry_run
from ingest.pipeline.root import ingest_root
from ingest.sources import Root
from ingest.sources.folder import parse_folder_roots
from tests.conftest import ROOT, make_older, outcomes_by_source, results_by_source
from tests.emulator import faults
from tests.emulator.emulator import Azure
from tests.emulator.identity import COGNITIVE_USER, SERVICE_CONTRIBUTOR
from tests.pdfs import pdf, prose, write
from tests.pipeline.reader.test_attachments import portfolio
from tests.runs import client, open_run
from tests.scans import write as scanned

CHOSEN = Run("r", max_deletes=99)


@dataclass
class Ran:
    """One run: its events, and what it was allowed to do."""

    events: list[RunEvent]
    limit: str
    tokens: int
    pages: int


def run_once(folder: Path, chosen: Settings) -> Ran:
    root: Root = parse_folder_roots([str(folder)])[0]
    with open_run(chosen, write=True) as all_:
        (root,) = resolve_roots([root], all_.index, chosen, write=True)
        stop = all_.budget.stop
        events = list(ingest_root(root, all_, Run("r", max_deletes=99, stop=stop)))
        return Ran(events, all_.budget.limit_reached, all_.budget.tokens, all_.budget.pages)


def make_plan(folder: Path, chosen: Settings) -> tuple[list[DryRunEvent], Estimate]:
    root: Root = parse_folder_roots([str(folder)])[0]
    with open_run(chosen, write=False) as all_:
        (root,) = resolve_roots([root], all_.index, chosen, write=False)
        spending, events = PlanTotals(all_.budget), []
        for event in dry_run(root, all_, CHOSEN):
            spending.add(event, sum(all_.reader.unsent_pages()))
            events.append(event)
        return events, estimate(spending, all_, remote=True)


def count_tokens(azure: Azure) -> int:
    return sum(request.tokens for request in azure.openai.requests)


def write_documents(folder: Path, documents: int) -> None:
    for n in range(documents):
        write(folder / f"{n}.pdf", prose(f"topic {n}", 8), prose(f"more of {n}", 8))


def drop_first_runs(events: Sequence[object]) -> dict[str, SourceResult]:
    """The outcomes without the run that first reported them, which a plan is none of."""
    return {
        name: replace(event, details=replace(event.details, since=""))
        for name, event in results_by_source(events).items()
    }


def test_what_is_planned_is_what_is_billed(azure: Azure, folder: Path) -> None:
    """Outcomes and tokens of a plan equal what the service then bills."""
    chosen = client(azure)
    write_documents(folder, 4)
    portfolio(folder / "p.pdf", letter=pdf(prose("the letter", 3)), note=pdf(prose("notes", 3)))
    held = Counter[str]()
    copies = ("copy.pdf", "handbook first.pdf", "handbook second.pdf")
    for state in range(3):
        if state == 2:
            (folder / "3.pdf").rename(folder / "renamed.pdf")
            for version in ("first", "second"):
                pages = [prose(f"chapter {n}", 9) for n in range(4)] + [prose(version, 9)]
                write(folder / f"handbook {version}.pdf", *pages)
            shutil.copy(folder / "handbook first.pdf", folder / "copy.pdf")
        if state == 1:
            write(folder / "0.pdf", prose("an insertion", 3), prose("topic 0", 8), age=50)
            shutil.copy(ROOT / "data/products/price-list.pdf", folder)  # tables
            (folder / "1.pdf").write_bytes(b"%PDF-broken")
            (folder / "2.pdf").unlink()
            portfolio(folder / "p.pdf", age=50, letter=pdf(prose("the letter", 9)))
        before = count_tokens(azure), len(azure.search.batches)
        planned, foreseen = make_plan(folder, chosen)
        assert (count_tokens(azure), len(azure.search.batches)) == before

        done = run_once(folder, chosen).events

        # Of several copies, which one pays depends on which is ready first.
        expected, found = drop_first_runs(planned), drop_first_runs(done)
        for name in copies if state == 2 else ():  # the state with copies
            expected[name] = replace(expected[name], embedded=0, tokens=0, reused=0)
            found[name] = replace(found[name], embedded=0, tokens=0, reused=0)
        assert expected == found
        assert foreseen.tokens == count_tokens(azure) - before[0] > 0
        azure.search.settle()
        kinds = Counter(d["kind"] for d in azure.search.dump("chunks").values())
        assert foreseen.chunks == kinds["chunk"] - held["chunk"]
        assert foreseen.records == kinds["source"] - held["source"]
        held = kinds
        if state == 1:
            assert {*outcomes_by_source(planned).values()} == {
                "new",
                "changed",
                "unchanged",
                "failed",
                "removed",
            }
    events = results_by_source(done)
    assert events["renamed.pdf"].tokens == 0
    assert sum(events[name].tokens for name in copies) == foreseen.tokens
    assert sum(events[n].reused for n in copies) > max(events[n].chunks for n in copies)


def test_a_moved_root_costs_nothing_once_the_index_can_be_asked(
    azure: Azure, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An index of an earlier version cannot: who may not change it is told, and who may does.

    Nothing else is the matter with it: every run succeeds.
    """
    write_documents(folder, 2)
    run_once(folder, client(azure))
    make_older(azure, client(azure).search_index)
    nightly = azure.identity.default
    nightly.withdraw(SERVICE_CONTRIBUTOR)

    def move(to: str) -> tuple[int, Estimate, list[str]]:
        """Move the folder; the tokens that were billed, those foreseen, and the warnings."""
        nonlocal folder
        folder = folder.rename(folder.with_name(to))
        caplog.clear()
        foreseen = make_plan(folder, client(azure))[1]
        before = count_tokens(azure)
        assert set(outcomes_by_source(run_once(folder, client(azure)).events).values()) == {"new"}
        return count_tokens(azure) - before, foreseen, [record.message for record in caplog.records]

    paid, foreseen, said = move("docs2")
    assert paid == foreseen.tokens > 0
    assert [text for text in said if "once with the role Search Service Contributor" in text]

    nightly.grant(SERVICE_CONTRIBUTOR)
    azure.search.delays.schema = 0.05
    write(folder / "0.pdf", prose("another text", 8))
    run_once(folder, client(azure))
    nightly.withdraw(SERVICE_CONTRIBUTOR)
    (folder / "1.pdf").unlink()

    paid, foreseen, said = move("docs3")
    assert (paid, foreseen.tokens) == (0, 0)
    assert not [text for text in said if "earlier version" in text]


def test_requests_are_counted_as_they_are_filled(azure: Azure, folder: Path) -> None:
    """With a quota that is set, I see how many requests it takes and how long."""
    write(folder / "a.pdf", *(prose(f"part {n}", 30) for n in range(6)))
    chosen = client(azure, AZURE_OPENAI_TPM="60k", AZURE_OPENAI_RPM="600")
    _, foreseen = make_plan(folder, chosen)
    run_once(folder, chosen)
    assert foreseen.requests == len(azure.openai.requests) > 10
    charged = sum(request.estimated for request in azure.openai.requests)
    assert foreseen.seconds == pytest.approx(max(charged / 1000, foreseen.requests / 9), rel=0.01)

    write(folder / "b.pdf", prose("something else"))
    assert make_plan(folder, client(azure))[1].seconds is None  # nobody knows


def test_a_budget_is_never_exceeded_and_nothing_is_paid_for_twice(
    azure: Azure, folder: Path
) -> None:
    """Night after night a share is embedded, until all is there, at the price of one run."""
    write_documents(folder, 6)
    most = 800
    chosen = client(azure, INGEST_MAX_TOKENS=str(most))
    _, foreseen = make_plan(folder, chosen)
    assert foreseen.exceeds == "--max-tokens 800"
    assert 0 < foreseen.before < foreseen.documents == 6

    spent: list[int] = []
    limits: list[str] = []
    while "" not in limits:
        before = count_tokens(azure)
        night = run_once(folder, chosen)
        limits.append(night.limit)
        spent.append(count_tokens(azure) - before)
        assert night.tokens == spent[-1] <= most
        assert len(spent) <= 6

    assert len(spent) >= 3
    assert sum(spent) == foreseen.tokens
    assert azure.openai.repeated == {}
    assert set(outcomes_by_source(run_once(folder, chosen).events).values()) == {"unchanged"}


@pytest.mark.parametrize("fault", [faults.drop, faults.truncate])
def test_an_answer_that_is_lost_counts_as_spent(azure: Azure, folder: Path, fault: object) -> None:
    """Tokens of a lost answer may have been billed, so they count against the limit."""
    assert callable(fault)
    write_documents(folder, 6)
    azure.faults.add(fault(), "openai", "POST", nth={2, 4, 5, 7})
    chosen = client(azure, INGEST_MAX_TOKENS="1500")
    done = run_once(folder, chosen)
    assert done.limit
    assert 0 < count_tokens(azure) <= done.tokens <= 1500


def test_scans_are_paid_from_the_same_money(azure: Azure, folder: Path) -> None:
    """The money limit counts pages too: the plan says how much, and a run stops before it."""
    azure.identity.default.grant(COGNITIVE_USER)
    texts = [f"The river {name} is long." for name in ("Aa", "Bober", "Cher", "Drau", "Elbe")]
    scanned(folder / "a.pdf", *texts)
    own = {"INGEST_OCR": azure.ocr_endpoint, "INGEST_PRICES": "2026-11-01,read=1000"}
    planned, foreseen = make_plan(folder, client(azure, **own))
    assert foreseen.usd == 5
    (event,) = [e for e in planned if isinstance(e, SourceResult)]
    assert (event.outcome, event.reason) == ("new", "pages 1-5: to be recognised first")

    one = run_once(folder, client(azure, **own, INGEST_MAX_COST="3.5"))
    assert (one.limit, one.pages, azure.ocr.billed.total()) == ("--max-cost 3.5", 3, 3)
    assert outcomes_by_source(one.events) == {}
    two = run_once(folder, client(azure, **own, INGEST_MAX_COST="3.5"))
    assert (two.limit, two.pages) == ("", 2)
    assert outcomes_by_source(two.events) == {"a.pdf": "new"}
    assert azure.ocr.repeated == {}


def test_a_refused_page_costs_nothing(azure: Azure, folder: Path) -> None:
    """A refused page is not billed, so its money is there for another one."""
    azure.identity.default.grant(COGNITIVE_USER)
    scanned(folder / "a.pdf", "The Rhine.", "The Rhone.")
    azure.faults.add(faults.too_many(seconds=1), "ocr", "POST", nth={1, 2})
    own = {"INGEST_OCR": azure.ocr_endpoint, "INGEST_PRICES": "2026-11-01,read=1000"}
    done = run_once(folder, client(azure, **own, INGEST_MAX_COST="2.5"))
    assert (done.limit, done.pages) == ("", 2)


def test_money_needs_a_price(azure: Azure, folder: Path) -> None:
    """A money limit is refused before anything is done if the model's price is unknown."""
    chosen = client(azure, AZURE_OPENAI_EMBEDDING_MODEL="mine", INGEST_MAX_COST="1")
    with pytest.raises(ConfigError, match=r"price of mine is unknown: .* 2026-11-01,mine=0\.02"):
        run_once(folder, chosen)
    assert azure.exchanges == []


def test_the_memory_of_the_service_is_told_to_who_may_know(azure: Azure, folder: Path) -> None:
    """A plan shows the vector quota of the service, unless the role to read it is missing."""
    write_documents(folder, 1)
    azure.search.vector_quota = 10_000_000
    run_once(folder, client(azure))
    write(folder / "b.pdf", prose("something else"))
    _, foreseen = make_plan(folder, client(azure))
    assert foreseen.room.memory == 10_000_000
    assert foreseen.room.memory_used > 0
    assert foreseen.memory > foreseen.chunks * 8 > 0

    azure.search.vector_quota = None  # as the free tier says it
    assert make_plan(folder, client(azure))[1].room.memory == float("inf")
    azure.identity.default.withdraw(SERVICE_CONTRIBUTOR)
    _, foreseen = make_plan(folder, client(azure))
    assert (foreseen.room.memory, foreseen.room.disk) == (float("inf"), float("inf"))
