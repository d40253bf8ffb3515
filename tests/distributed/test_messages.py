"""Grouping of sources."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest.distributed.messages import (
    MAX_GROUP_BYTES,
    MAX_GROUP_SOURCES,
    MIN_GROUP_SOURCES,
    group_sources,
)
from ingest.models import Outcome, Record, Source, SourceResult
from ingest.pipeline.diff import INTERRUPTED_REASON, Stale

ROOT = "/docs"


def make_stale(number: int, size: int = 1000, *, suspect: bool = False) -> Stale:
    name = f"{number:06}.pdf"
    record = Record(ROOT, name, error=INTERRUPTED_REASON) if suspect else None
    return Stale(Source(ROOT, name, name, size, "1"), record)


def make_unchanged(number: int) -> SourceResult:
    return SourceResult(ROOT, f"{number:06}.pdf", Outcome.UNCHANGED)


def group_sizes(changes: list[Stale | SourceResult]) -> list[int]:
    """Number of sources of each group."""
    return [len(item) for item in group_sources(changes, []) if isinstance(item, list)]


def test_a_small_run_is_cut_into_small_groups_and_a_large_one_into_large_ones() -> None:
    """Twenty documents keep five workers busy; of a million, each worker takes many at a time."""
    assert group_sizes([make_stale(n) for n in range(20)]) == [MIN_GROUP_SOURCES] * 5

    many = group_sizes([make_stale(n) for n in range(5_000)])
    assert sum(many) == 5_000
    assert many[0] == MIN_GROUP_SOURCES
    assert many[-2] == max(many) == MAX_GROUP_SOURCES
    assert many[:-1] == sorted(many[:-1])


def test_huge_documents_are_not_put_together() -> None:
    """A group is limited in bytes too, so that a lost worker loses little work."""
    assert group_sizes([make_stale(n, MAX_GROUP_BYTES) for n in range(5)]) == [1] * 5
    assert group_sizes([make_stale(n, MAX_GROUP_BYTES // 2) for n in range(6)]) == [2] * 3


def test_what_may_have_ended_a_process_is_in_no_group() -> None:
    """A document that may have killed a process is kept for the end."""
    suspects: list[Source] = []
    items = list(
        group_sources([make_stale(1), make_stale(2, suspect=True), make_stale(3)], suspects)
    )
    assert [[s.name for s in g] for g in items if isinstance(g, list)] == [
        ["000001.pdf", "000003.pdf"]
    ]
    assert [source.name for source in suspects] == ["000002.pdf"]


def test_what_is_settled_passes_at_once() -> None:
    """Sources without work are reported at once, without waiting for a group."""
    items = group_sources([make_stale(0), make_unchanged(1), make_unchanged(2), make_stale(3)], [])
    assert next(items) == make_unchanged(1)
    assert next(items) == make_unchanged(2)
    assert len(list(items)) == 1


changes = st.tuples(
    st.integers(0, 3 * MAX_GROUP_BYTES), st.sampled_from(["new", "suspect", "settled"])
)


@given(st.lists(changes, max_size=300))
def test_every_source_is_in_one_place_and_in_order(kinds: list[tuple[int, str]]) -> None:
    """Nothing is lost or doubled, whatever comes; and no group is larger than it may be."""
    wanted: list[Stale | SourceResult] = [
        make_unchanged(n) if kind == "settled" else make_stale(n, size, suspect=kind == "suspect")
        for n, (size, kind) in enumerate(kinds)
    ]
    suspects: list[Source] = []
    items = list(group_sources(wanted, suspects))
    groups = [item for item in items if isinstance(item, list)]
    assert [s for g in groups for s in g] == [
        c.source for c in wanted if isinstance(c, Stale) and not c.is_suspect
    ]
    assert suspects == [c.source for c in wanted if isinstance(c, Stale) and c.is_suspect]
    assert [i for i in items if isinstance(i, SourceResult)] == [
        c for c in wanted if isinstance(c, SourceResult)
    ]
    for group in groups:
        assert 1 <= len(group) <= MAX_GROUP_SOURCES
        assert sum(source.size for source in group[:-1]) < MAX_GROUP_BYTES
