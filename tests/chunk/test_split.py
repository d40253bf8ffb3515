"""Splitting: nothing lost, nothing too long, cut where a reader would cut."""

from __future__ import annotations

import random
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.chunk import MAX_OVERLAP_SHARE
from ingest.chunk.split import ChunkSpan, split
from ingest.chunk.tokens import count_tokens
from tests.pdfs import prose

CJK = "".join(random.Random(1).choices("東京都庁舎建築物語漢字仮名交文", k=20_000))
BASE64 = "".join(random.Random(2).choices("ABCDEFabcdef0123456789+/", k=20_000))

texts = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=3000),
    st.text(alphabet="ab. \n!?\u3002\u6771\u4eac", max_size=3000),
    st.lists(
        st.sampled_from(["word", "a.", "b!\n", "\n\n", "東京。", "👩‍👩‍👧", "x" * 90]), max_size=400
    ).map(" ".join),
)
limits = st.sampled_from([16, 20, 64, 512])
overlaps = st.sampled_from([0.0, 0.12, MAX_OVERLAP_SHARE])


@settings(max_examples=150)
@given(texts, limits, overlaps)
def test_nothing_is_lost_and_nothing_is_too_long(text: str, limit: int, overlap: float) -> None:
    """Every word of my document is in some chunk, in order, and every chunk can be embedded."""
    chunks = split(text, [], limit, overlap)

    covered = bytearray(len(text))
    for chunk in chunks:
        covered[chunk.start : chunk.end] = b"\1" * (chunk.end - chunk.start)
        assert chunk.tokens == count_tokens([text[chunk.start : chunk.end]])[0] <= limit
        assert text[chunk.start : chunk.end].strip() == text[chunk.start : chunk.end] != ""
    assert "".join(c for c, seen in zip(text, covered, strict=True) if not seen).strip() == ""
    assert all(a.start < b.start and a.end < b.end for a, b in pairwise(chunks))


@settings(max_examples=50)
@given(texts, limits)
def test_splitting_again_gives_the_same(text: str, limit: int) -> None:
    """A second run splits alike, so nothing is embedded again."""
    assert split(text, [], limit, 0.12) == split(text, [], limit, 0.12)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(CJK * 10, id="200,000 CJK characters"),
        pytest.param(BASE64 * 10, id="a base64 blob"),
        pytest.param("cell 12.5 | " * 20_000, id="one endless table row"),
        pytest.param("a" * 200_000, id="one letter"),
        pytest.param("\n" * 100_000 + "end", id="empty lines"),
        pytest.param("👩‍👩‍👧‍👦" * 5_000, id="families"),
        pytest.param("🇩🇪" * 50_000, id="flags"),
        pytest.param("e" + "\u0301" * 50_000, id="a letter with 50,000 accents"),
    ],
)
def test_the_worst_texts_are_split_too(text: str) -> None:
    """Any text is split within the limit, and in time."""
    started = time.process_time()

    chunks = split(text, [], 512, 0.12)

    assert time.process_time() - started < 20  # a guard against quadratic time, not a benchmark
    assert all(0 < chunk.tokens <= 512 for chunk in chunks)
    end = max(chunk.end for chunk in chunks)
    assert end == len(text.rstrip())


def test_no_chunk_is_part_of_another() -> None:
    """A few words between empty lines do not make a chunk that repeats the next one."""
    text = "000000000:0" + "\n" * 24 + "0:0\n\n0000000::0"

    chunks = split(text, [], 16, MAX_OVERLAP_SHARE)

    assert all(a.start < b.start and a.end < b.end for a, b in pairwise(chunks))


def test_a_character_is_never_cut() -> None:
    """An emoji of seven code points, or a letter with its accent, stays whole."""
    for whole in ("👩‍👩‍👧‍👦", "e\u0301\u0323", "🇩🇪"):
        text = whole * 3_000
        assert {
            (chunk.end % len(whole), chunk.start % len(whole)) for chunk in split(text, [], 64, 0)
        } == {(0, 0)}


def test_chunks_end_at_sentences() -> None:
    """No sentence is cut where it fits into a chunk."""
    text = prose("lathes", 200).replace("\n", " ")

    chunks = split(text, [], 512, 0.12)

    assert len(chunks) > 8
    assert all(text[chunk.end - 1] == "." for chunk in chunks)
    assert all(text[chunk.start :].startswith("Sentence") for chunk in chunks)


def test_japanese_sentences_are_sentences_too() -> None:
    """Text without spaces is cut after its full stops."""
    text = "".join(f"これは文{n}です。値段は{n * 3}円になります。" for n in range(400))

    chunks = split(text, [], 128, 0.12)

    assert len(chunks) > 20
    assert all(text[chunk.end - 1] == "。" for chunk in chunks)


def test_a_heading_begins_a_chunk() -> None:
    """The section I look for is not glued to the end of the one before, nor repeated there."""
    before, after = prose("lathes", 9), prose("mills", 30)
    text = f"{before}\n2 Mills\n{after}"
    heading = text.index("\n2 Mills")

    chunks = split(text, [heading], 512, 0.12)

    assert text[chunks[1].start :].startswith("2 Mills")
    assert chunks[0].end == heading


def test_chunks_overlap_by_about_an_eighth() -> None:
    """A sentence next to a cut is in both chunks, so it is found."""
    text = prose("lathes", 1000).replace("\n", " ")

    chunks = split(text, [], 512, 0.12)

    repeated = sum(count_tokens([text[b.start : a.end]])[0] for a, b in pairwise(chunks))
    assert 0.04 < repeated / sum(chunk.tokens for chunk in chunks) < 0.16
    mean = sum(chunk.tokens for chunk in chunks) / len(chunks)
    assert mean > 0.7 * 512


def measure_kept_share(before: str, after: str) -> float:
    """The share of chunk texts of the first that are chunk texts of the second."""

    def texts_of(text: str) -> set[str]:
        def cut(chunk: ChunkSpan) -> str:
            return text[chunk.start : chunk.end]

        return set(map(cut, split(text, [], 256, 0.12)))

    old = texts_of(before)
    return len(old & texts_of(after)) / len(old)


@pytest.mark.parametrize("place", [0.0, 0.3, 0.7])
def test_an_insertion_leaves_the_other_chunks_as_they_are(place: float) -> None:
    """I add a page and pay for that page, not for all that follow."""
    lines = "\n".join(prose(topic, 60) for topic in ("lathes", "mills", "saws", "drills")).split(
        "\n"
    )
    where = int(place * len(lines))
    edited = [*lines[:where], *prose("cranes", 25).split("\n"), *lines[where:]]

    assert measure_kept_share("\n".join(lines), "\n".join(edited)) > 0.8


def test_a_limit_that_cannot_work_is_refused() -> None:
    """A setting that makes no sense is an error, not an endless loop."""
    with pytest.raises(ValueError, match="cannot split"):
        split("text", [], 1, 0.12)
    with pytest.raises(ValueError, match="cannot split"):
        split("text", [], 512, 0.9)
