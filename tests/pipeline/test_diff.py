"""Diff of records and listing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.models import Code, Details, ListingIssue, Outcome, Record, Source, SourceResult, Unread
from ingest.pipeline.deletions import AbsenceTracker, default_deletion_limit
from ingest.pipeline.diff import (
    INTERRUPTED_REASON,
    MAX_ATTEMPTS,
    Change,
    Skipped,
    SkipRule,
    Stale,
    UnlistedFolder,
    Vanished,
    compare,
)
from ingest.pipeline.ignored_files import file_extension

Listed = Source | ListingIssue | Unread
NAMES = st.sets(st.text("abc/", min_size=1, max_size=4))


def source(name: str, modified: str = "1") -> Source:
    return Source("/r", name, f"/r/{name}", 10, modified)


def record(name: str, outcome: Outcome = Outcome.NEW, **more: object) -> Record:
    values = {"fingerprint": "recipe+bytes", "size": 10, "modified": "1", "chunks": 2}
    return Record("/r", name, outcome=outcome, **(values | more))  # type: ignore[arg-type]


def compare_all(
    listing: list[Listed], records: list[Record], retrying_run: str = ""
) -> list[Change]:
    rule = SkipRule("recipe", "reader", retrying_run=retrying_run)
    return list(compare(listing, records, rule))


@given(NAMES, NAMES, st.data())
def test_every_name_gets_exactly_one_change(
    here: set[str], known: set[str], data: st.DataObject
) -> None:
    """Nothing in my folder or in the index is overlooked, and nothing comes up twice."""
    modified = {name: data.draw(st.sampled_from("12")) for name in sorted(here)}

    changes = compare_all(
        [source(name, modified[name]) for name in sorted(here)], [record(n) for n in sorted(known)]
    )

    kinds = {}
    for change in changes:
        if isinstance(change, Vanished):
            kinds[change.record.source] = "vanished"
        elif isinstance(change, Stale):
            kinds[change.source.name] = "stale"
        elif isinstance(change, SourceResult):
            kinds[change.source] = str(change.outcome)
    assert len(kinds) == len(changes)
    assert kinds == {
        **dict.fromkeys(known - here, "vanished"),
        **dict.fromkeys(here, "stale"),
        **{name: "unchanged" for name in here & known if modified[name] == "1"},
    }


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(record("a", modified="0"), id="another time"),
        pytest.param(record("a", size=9), id="another size"),
        pytest.param(record("a", fingerprint="other+bytes"), id="another recipe"),
        pytest.param(record("a", modified=""), id="a time not to be trusted"),
        pytest.param(record("a", fingerprint="", modified=""), id="a run that died"),
        pytest.param(record("a", outcome=Outcome.FAILED, attempts=1), id="a failure"),
    ],
)
def test_what_is_looked_at_again(known: Record) -> None:
    """A source is read again unless size, time and recipe are equal and it succeeded."""
    (change,) = compare_all([source("a")], [known])
    assert isinstance(change, Stale)


def test_a_failure_is_not_tried_for_ever() -> None:
    """A broken document is tried in three runs, and reported in all later ones."""
    known = record("a", outcome=Outcome.FAILED, attempts=MAX_ATTEMPTS, error="damaged")

    (change,) = compare_all([source("a")], [known])
    assert isinstance(change, SourceResult)
    assert change.outcome is Outcome.FAILED
    assert not change.harmless
    assert "damaged (tried 3 times; --retry-failed tries again)" in change.reason

    (again,) = compare_all([source("a")], [known], retrying_run="r2")
    assert isinstance(again, Stale)
    (changed,) = compare_all([source("a", "2")], [known])
    assert isinstance(changed, Stale)


@pytest.mark.parametrize("code", [Code.REFUSED, Code.UNREADABLE, Code.VANISHED, Code.CHANGED])
def test_what_failed_for_a_cause_outside_of_it_is_tried_again(code: Code) -> None:
    """A service, a disk or permissions failed for a week: once they are mended, it is indexed."""
    tried = {"outcome": code.outcome, "attempts": MAX_ATTEMPTS + 9, "code": code}
    (change,) = compare_all([source("a")], [record("a", **tried)])  # type: ignore[arg-type]
    assert isinstance(change, Stale)
    dead = record("a", error=INTERRUPTED_REASON, **tried)  # type: ignore[arg-type]
    assert isinstance(compare_all([source("a")], [dead])[0], SourceResult)


def test_a_retry_that_kills_its_worker_is_the_last() -> None:
    """--retry-failed on a cluster: the next worker finds what its run has begun, and gives up."""
    tried = {"outcome": Outcome.FAILED, "attempts": MAX_ATTEMPTS + 1, "error": "killed"}
    known = record("a", run="r2", **tried)  # type: ignore[arg-type]
    (change,) = compare_all([source("a")], [known], retrying_run="r2")
    assert isinstance(change, SourceResult)
    assert change.outcome is Outcome.FAILED
    (again,) = compare_all([source("a")], [known], retrying_run="r3")
    assert isinstance(again, Stale)


def test_what_is_locked_is_tried_whenever_there_are_passwords() -> None:
    """Once I have found the password, the next run reads the document, without being told to."""
    tried = {"attempts": MAX_ATTEMPTS, "outcome": Outcome.SKIPPED}
    locked = record("a", code=Code.ENCRYPTED, **tried)  # type: ignore[arg-type]
    damaged = record("b", code=Code.DAMAGED, **tried)  # type: ignore[arg-type]
    listing: list[Listed] = [source("a"), source("b")]

    def kinds(*, passwords: bool) -> list[type]:
        terms = SkipRule("recipe", has_passwords=passwords)
        return [type(change) for change in compare(listing, [locked, damaged], terms)]

    assert kinds(passwords=True) == [Stale, SourceResult]
    assert kinds(passwords=False) == [SourceResult, SourceResult]


def test_an_oddity_is_settled_and_protects_its_record() -> None:
    """A file that became a dead link does not lose what the index has of it."""
    (change,) = compare_all([ListingIssue("/r", "a", "a link to nothing")], [record("a")])

    assert isinstance(change, Skipped)
    assert (change.result.outcome, change.result.chunks) == (Outcome.SKIPPED, 2)
    assert not change.is_recorded


def test_what_a_record_says_already_is_not_written_again() -> None:
    """A dead link that stays is written down once, and reported since the run that met it first."""
    fields = {"size": -1, "modified": "", "error": "a link to nothing", "code": Code.IGNORED}
    known = record("a", Outcome.SKIPPED, details=Details(since="r1"), **fields)
    (change,) = compare_all([ListingIssue("/r", "a", "a link to nothing")], [known])
    assert isinstance(change, Skipped)
    assert change.is_recorded
    assert change.result.details.since == "r1"

    (other,) = compare_all([ListingIssue("/r", "a", "not a regular file")], [known])
    assert isinstance(other, Skipped)
    assert not other.is_recorded


def test_files_of_other_kinds_are_counted_and_change_nothing() -> None:
    """Files of other kinds are counted, and are no sources."""
    listing: list[Listed] = [
        Unread("/r", "a.docx"),
        Unread("/r", "b.DOCX"),
        Unread("/r", "c"),
        source("d.pdf"),
    ]
    found = track(listing, [record("d.pdf"), record("e.pdf")])
    (left,) = found.ignored.to_events("/r")
    assert left.kinds == {".docx": 2, "no extension": 1}
    assert found.present_count == 1
    assert [gone.source for gone in found.vanished] == ["e.pdf"]

    empty = track([Unread("/r", "a.docx")], [record("b.pdf")]).withheld_deletions("/r")
    assert empty is not None  # they do not prove that the PDFs are gone
    assert "no PDFs at all" in empty.reason


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.b/c", "no extension"),
        ("x/report.final version of it", "no extension"),
        ("x.tar.GZ", ".gz"),
        ("notes.", "no extension"),
        ("文.文", ".文"),
    ],
)
def test_an_extension_is_short_and_in_the_name_of_the_file(name: str, expected: str) -> None:
    """Files are counted by the extension that their owner would name."""
    assert file_extension(name) == expected


def test_a_listing_out_of_order_is_not_believed() -> None:
    """A listing out of order stops the run before it deletes anything."""
    with pytest.raises(AssertionError, match="listed after"):
        compare_all([source("b"), source("a")], [])


def track(listing: list[Listed], records: list[Record], **more: object) -> AbsenceTracker:
    found = AbsenceTracker(**({"prune": True, "max_deletes": None} | more))  # type: ignore[arg-type]
    list(found.filter_changes(compare_all(listing, records), lambda: False))
    return found


MANY = [record(f"{n:03}") for n in range(200)]


def test_a_few_vanished_sources_may_go() -> None:
    """I delete a file and it is gone from the answers after the next run."""
    assert track([source("b")], [record("a"), record("b")]).withheld_deletions("/r") is None


@pytest.mark.parametrize("prune", [True, False])
def test_an_empty_listing_removes_nothing(*, prune: bool) -> None:
    """Invariant 6: a disk that was not mounted does not empty my index, nor is its night green."""
    kept = track([], [record("a")], prune=prune).withheld_deletions("/r")
    assert kept is not None
    assert "no PDFs at all" in kept.reason
    assert not kept.harmless


def test_a_root_that_is_meant_to_be_empty_is_believed() -> None:
    """I emptied a folder and say so: its documents go, within the limit for deletions."""
    kept = track([], MANY).withheld_deletions("/r")
    assert kept
    assert "--allow-empty --max-deletes 200 removes them" in kept.reason
    assert track([], [record("a")], allow_empty=True).withheld_deletions("/r") is None
    assert track([], MANY, allow_empty=True).withheld_deletions("/r") is not None
    assert track([], MANY, allow_empty=True, max_deletes=200).withheld_deletions("/r") is None
    assert track([], []).withheld_deletions("/r") is None  # a new root may be empty


def test_a_listing_with_a_blind_spot_removes_nothing() -> None:
    """Invariant 6: a folder I may not enter is not a folder that is gone."""
    hidden = ListingIssue("/r", "x/", "cannot be read", hides=True)
    assert UnlistedFolder("x/") in compare_all([hidden], [])
    kept = track([source("a"), hidden], [record("b")]).withheld_deletions("/r")
    assert kept is not None
    assert "x/ could not be listed" in kept.reason


def test_a_run_that_was_stopped_removes_nothing() -> None:
    """Invariant 6: what the run did not get to is not gone."""
    found = AbsenceTracker(prune=True, max_deletes=None)
    changes = found.filter_changes(
        compare_all([source("c")], [record("a"), record("b")]), lambda: found.present_count > 0
    )
    list(changes)
    found.is_complete = False
    assert found.withheld_deletions("/r") is not None


def test_many_deletions_need_a_word() -> None:
    """Invariant 6: a run that would delete half the index stops, and names the option."""
    here: list[Listed] = [source(f"{n:03}") for n in range(100)]

    kept = track(here, MANY).withheld_deletions("/r")

    assert kept is not None
    assert not kept.harmless
    assert "limit of 20; --max-deletes 100 removes them" in kept.reason
    assert track(here, MANY, max_deletes=100).withheld_deletions("/r") is None
    assert track(here, MANY, max_deletes=99).withheld_deletions("/r") is not None


def test_no_prune_keeps_everything() -> None:
    """--no-prune removes nothing."""
    assert track([source("b")], [record("a")], prune=False).withheld_deletions("/r") is not None


def test_the_usual_limit_is_a_tenth_but_at_least_ten() -> None:
    """Small folders may be tidied up without being asked."""
    assert [default_deletion_limit(n) for n in (0, 5, 100, 101, 5000)] == [10, 10, 10, 10, 500]


def portfolio(*names: str) -> Record:
    """The record of a source with others inside."""
    return record("p.pdf", details=Details(attachments=names))


def kinds(changes: list[Change]) -> dict[str, str]:
    """Kind of each change, by name."""
    return {
        c.record.source
        if isinstance(c, Vanished)
        else c.source
        if isinstance(c, SourceResult)
        else c.source.name
        if isinstance(c, Stale | Skipped)
        else c.name: str(c.outcome) if isinstance(c, SourceResult) else type(c).__name__
        for c in changes
    }


def test_sources_inside_an_unchanged_one_are_unchanged() -> None:
    """A portfolio that nobody touched costs nothing, and what is inside it has not vanished."""
    records = [portfolio("a.pdf"), record("p.pdf b.pdf"), record("p.pdf//a.pdf"), record("q.pdf")]
    listing: list[Listed] = [
        source("p.pdf"),
        source("p.pdf b.pdf"),
        source("q.pdf"),
    ]
    assert kinds(compare_all(listing, records)) == dict.fromkeys(
        ["p.pdf", "p.pdf b.pdf", "p.pdf//a.pdf", "q.pdf"], "unchanged"
    )


def test_what_is_inside_a_changed_source_is_settled_with_it() -> None:
    """It is neither read on its own nor taken for vanished."""
    records = [portfolio("a.pdf"), record("p.pdf//a.pdf")]
    assert kinds(compare_all([source("p.pdf", "2")], records)) == {"p.pdf": "Stale"}


@pytest.mark.parametrize(
    "inside",
    [
        pytest.param([], id="no record"),
        pytest.param([record("p.pdf//a.pdf", fingerprint="")], id="only an intent"),
        pytest.param(
            [record("p.pdf//a.pdf", outcome=Outcome.FAILED, attempts=1)], id="failed once"
        ),
    ],
)
def test_a_source_whose_inside_is_not_done_is_read_again(inside: list[Record]) -> None:
    """A run that died between a portfolio and its parts is made good by the next."""
    (change,) = compare_all([source("p.pdf")], [portfolio("a.pdf"), *inside])
    assert isinstance(change, Stale)
    assert change.known_fingerprint == ""


def test_what_is_inside_and_failed_for_good_is_reported() -> None:
    """A locked PDF in a portfolio is named in every run, and its portfolio is not read for it."""
    failed = record("p.pdf//a.pdf", outcome=Outcome.SKIPPED, attempts=MAX_ATTEMPTS, error="locked")
    changes = compare_all([source("p.pdf")], [portfolio("a.pdf"), failed])
    assert kinds(changes) == {"p.pdf": "unchanged", "p.pdf//a.pdf": "skipped"}


def test_what_is_inside_a_vanished_source_vanishes() -> None:
    """Deleting a portfolio deletes its parts, and counts as one source for the limit."""
    records = [portfolio("a.pdf", "b.pdf"), record("p.pdf//a.pdf"), record("p.pdf//b.pdf")]
    changes = compare_all([source("q.pdf")], records)
    assert kinds(changes) == {
        "p.pdf": "Vanished",
        "p.pdf//a.pdf": "Vanished",
        "p.pdf//b.pdf": "Vanished",
        "q.pdf": "Stale",
    }
    absences = AbsenceTracker(prune=True, max_deletes=1)
    list(absences.filter_changes(changes, lambda: False))
    assert absences.withheld_deletions("/r") is None


@pytest.mark.parametrize(
    ("details", "stale"),
    [
        pytest.param(Details(scanned=(2,)), True, id="never recognised"),
        pytest.param(Details(scanned=(2,), ocr="another"), True, id="by another engine"),
        pytest.param(Details(scanned=(2,), ocr="reader"), False, id="by this one"),
        pytest.param(Details(), False, id="no scans"),
    ],
)
def test_only_scans_are_read_again_once_something_reads_them(details: Details, stale: bool) -> None:
    """Turning OCR on costs nothing for documents that have their text."""
    (change,) = compare_all([source("a")], [record("a", details=details)])
    assert isinstance(change, Stale) is stale


def test_a_scan_with_a_new_time_is_read_again_too() -> None:
    """What reads scans does so even if the file was only touched since."""
    known = record("a", details=Details(scanned=(2,)))
    (change,) = compare_all([source("a", "2")], [known])
    assert isinstance(change, Stale)
    assert change.known_fingerprint == ""


def test_turning_ocr_off_keeps_what_was_paid_for() -> None:
    """Text that was recognised once stays."""
    known = record("a", details=Details(scanned=(2,), ocr="reader"))
    (change,) = compare([source("a")], [known], SkipRule("recipe"))
    assert isinstance(change, SourceResult)
    assert change.outcome is Outcome.UNCHANGED


def test_missing_pages_are_tried_again_a_few_times_and_stay_reported() -> None:
    """A page that hung on a busy machine gets another chance, but not for ever."""
    details = Details(missing=(3,))
    known = record("a", details=details, attempts=1, code="pages-missing", error="page 3")
    (change,) = compare_all([source("a")], [known])
    assert isinstance(change, Stale)
    (settled,) = compare_all([source("a")], [replace(known, attempts=MAX_ATTEMPTS)])
    assert isinstance(settled, SourceResult)
    assert (settled.outcome, settled.code, settled.harmless) == (
        Outcome.UNCHANGED,
        "pages-missing",
        False,
    )
