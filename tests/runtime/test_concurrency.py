"""Items are split into parts, which are processed in turn."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future

from hypothesis import given
from hypothesis import strategies as st

from ingest.runtime.concurrency import (
    MAX_OPEN_ITEMS,
    ROUND_ROBIN_PARTS,
    map_concurrent,
    round_robin,
)

Item = tuple[int, int | None]  # a name, and how many parts it has
Part = tuple[int, str, int]  # the item's name, and the part's number


def parts(item: Item | Part) -> Iterator[Part] | None:
    """The parts of an item; None for one that passes as it is."""
    name, count = item[0], item[1]
    if not isinstance(count, int):
        return None
    return ((name, "part", number) for number in range(count))


def test_a_huge_document_does_not_hold_up_the_small_ones() -> None:
    """A book of thousands of chunks comes first: the notes behind it are done long before it."""
    items: list[Item | Part] = [(0, 40 * ROUND_ROBIN_PARTS), *((name, 3) for name in range(1, 10))]
    order = [part[0] for part in round_robin(items, parts)]
    for name in range(1, 10):
        last = len(order) - 1 - order[::-1].index(name)
        assert last < (name + 2) * (ROUND_ROBIN_PARTS + 3)
    assert order[-1] == 0


def test_what_has_no_parts_passes_at_once() -> None:
    """A document that needs no embedding is settled while a huge one is under way."""
    items: list[Item | Part] = [(0, 9 * ROUND_ROBIN_PARTS), (1, None)]
    found = list(round_robin(items, parts))
    assert found.index((1, None)) == ROUND_ROBIN_PARTS


sizes = st.one_of(
    st.none(),
    st.integers(0, 5),
    st.sampled_from([ROUND_ROBIN_PARTS - 1, ROUND_ROBIN_PARTS, 3 * ROUND_ROBIN_PARTS + 1]),
)


@given(st.lists(sizes, max_size=3 * MAX_OPEN_ITEMS))
def test_nothing_is_lost_and_the_order_within_a_document_stays(counts: list[int | None]) -> None:
    """Whatever the sizes: every chunk comes once, each document's in order."""
    items: list[Item | Part] = list(enumerate(counts))
    found = list(round_robin(items, parts))
    for name, count in enumerate(counts):
        mine = [part for part in found if part[0] == name]
        if count is None:
            assert mine == [(name, None)]
        else:
            assert mine == [(name, "part", number) for number in range(count)]
    assert len(found) == sum(1 if count is None else count for count in counts)


def test_few_documents_are_open_at_once() -> None:
    """Memory does not grow with the corpus: a new document waits until another is at its end."""
    opened: list[int] = []
    ended: list[int] = []

    def watched(item: Item | Part) -> Iterator[Part]:
        opened.append(item[0])
        yield from parts(item) or ()
        ended.append(item[0])

    items: list[Item | Part] = [
        (name, (name % 5 + 1) * 6 * ROUND_ROBIN_PARTS) for name in range(3 * MAX_OPEN_ITEMS)
    ]
    most = 0
    for _ in round_robin(items, watched):
        most = max(most, len(opened) - len(ended))
    assert most == MAX_OPEN_ITEMS
    assert opened == sorted(opened)
    assert len(ended) == len(items)


def test_as_many_calls_are_under_way_as_there_is_room_for_now() -> None:
    """Machines are added while a run goes on: it gives them work at once."""
    room, begun = [2], list[Future[int]]()

    def start(_: int) -> Future[int]:
        begun.append(Future())
        return begun[-1]

    calls = map_concurrent(range(10), start, lambda: room[0], lambda: False, idle_item=-1)
    assert next(calls) == (-1, None)
    assert len(begun) == 2
    room[0] = 5
    begun[0].set_result(7)
    next(calls)
    next(calls)
    assert len(begun) == 6
    room[0] = 1
    begun[1].set_result(7)
    next(calls)
    next(calls)
    assert len(begun) == 6
    assert not any(call.done() for call in begun[2:])
