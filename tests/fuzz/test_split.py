"""No text is lost on the way into chunks, and no chunk is too long, for any text."""

from __future__ import annotations

import time
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.chunk import MAX_OVERLAP_SHARE
from ingest.chunk.chunks import PAGE_BREAK, make_chunks
from ingest.chunk.split import split
from ingest.chunk.tables import find_tables
from ingest.chunk.tokens import count_tokens
from ingest.extract.cleaning import clean
from ingest.models import Document, Heading, Recipe, Source
from tests.fuzz.texts import TRAPS, raw, structured

pytestmark = pytest.mark.timeout(7200)  # of the long profile

SOURCE = Source("/docs", "fuzz.pdf", "/docs/fuzz.pdf", 1, "1")
limits = st.sampled_from([16, 17, 24, 64, 128, 512])
overlaps = st.sampled_from([0.0, 0.12, MAX_OVERLAP_SHARE])
texts = (raw | structured).map(clean)


@given(texts, limits, overlaps, st.data())
def test_all_of_a_text_is_in_its_chunks(
    text: str, limit: int, overlap: float, data: st.DataObject
) -> None:
    """Every character of my page is in a chunk, in order, and every chunk can be embedded."""
    headings = sorted(data.draw(st.sets(st.integers(0, max(0, len(text) - 1)), max_size=3)))

    chunks = split(text, headings, limit, overlap)

    lost = list(text)
    for chunk in chunks:
        lost[chunk.start : chunk.end] = [""] * (chunk.end - chunk.start)
        content = chunk.text_in(text)
        assert chunk.tokens == count_tokens([content])[0] <= limit
        assert content == content.strip() != ""
        assert chunk.header + text[chunk.start : chunk.end] == content
    assert "".join(lost).strip() == ""
    assert all(a.start < b.start and a.end < b.end for a, b in pairwise(chunks))
    assert chunks == split(text, headings, limit, overlap)


@given(texts)
def test_tables_are_lines_of_the_text(text: str) -> None:
    """Every table found is one, and no two overlap."""
    found = find_tables(text)

    for table in found:
        assert 0 <= table.start <= table.body <= table.end <= len(text)
        assert table.header.count("\n") == 2
        assert table.header in f"{text[table.start : table.body]}\n"
        assert all(text.startswith("\n|", row) for row in table.rows)
        assert all(table.body <= row < table.end for row in table.rows)
    assert all(a.end <= b.start for a, b in pairwise(found))


titles = st.sampled_from(["Handbook", "3 Heading", "One sentence.", "Table 1", "", "|", *TRAPS])
outlines = st.lists(st.builds(Heading, st.integers(-1, 5), titles, st.integers(-1, 8)), max_size=6)


@given(st.lists(texts, max_size=6), outlines, st.sampled_from([16, 64, 512]))
def test_chunks_of_a_document_know_where_they_are(
    pages: list[str], outline: list[Heading], limit: int
) -> None:
    """Ids are unique, and each character is on the page that the offsets say."""
    document = Document(tuple(pages), headings=tuple(outline), confidence={1: 0.5, 3: 0.25})
    joined = PAGE_BREAK.join(pages)
    page_numbers = [n for n, page in enumerate(pages, 1) for _ in f"{page}{PAGE_BREAK}"]

    made = list(make_chunks(document, SOURCE, Recipe("auto", limit, 0.12, "hash", 8)))

    assert len({chunk.id for chunk in made}) == len(made)
    for chunk in made:
        on = {document.confidence.get(p) for p in range(chunk.page_start, chunk.page_end + 1)}
        assert chunk.confidence == min(on - {None}, default=None, key=lambda value: value or 0.0)
        header = len(chunk.text) - (chunk.end - chunk.start)
        assert chunk.text[header:] == joined[chunk.start : chunk.end]
        assert len(chunk.page_offsets) == chunk.page_end - chunk.page_start + 1
        assert chunk.page_offsets[0] == 0
        edges = (header, *chunk.page_offsets[1:], len(chunk.text))
        assert all(a < b for a, b in pairwise(edges))
        found = [
            page
            for page, (a, b) in enumerate(pairwise(edges), chunk.page_start)
            for _ in range(a, b)
        ]
        assert found == page_numbers[chunk.start : chunk.end]

        sizes = Counter(
            n for n, c in zip(found, chunk.text[header:], strict=True) if not c.isspace()
        )
        assert sizes[chunk.main_page] == max(sizes.values())

        sentences = (*chunk.sentence_offsets, len(chunk.text))
        assert sentences[0] == 0
        assert all(a < b for a, b in pairwise(sentences))
        assert not header or header in sentences
        assert len(chunk.sections) == len(chunk.section_offsets)
        assert all(0 < offset < len(chunk.text) for offset in chunk.section_offsets)
        assert list(chunk.section_offsets) == sorted(set(chunk.section_offsets))


CELLS = " | ".join(["cell"] * 20)
TABLE = "| a | b |\n| --- | --- |\n"


@pytest.mark.parametrize(
    "text",
    [
        *(pytest.param(trap * 40_000, id=f"{trap!a} for ever") for trap in TRAPS if len(trap) < 3),
        pytest.param("\n" * 300_000 + "end", id="endless lines"),
        pytest.param("abcdefghij" * 30_000, id="an endless word"),
        pytest.param("e" + "\u0301\u0323" * 70_000, id="accents in no order"),
        pytest.param("| a |\n| --- |\n" * 30_000, id="headers without rows"),
        pytest.param("| --- |\n" * 60_000, id="delimiters"),
        pytest.param(TABLE + "| c | d |\n" * 20_000, id="a table of many rows"),
        pytest.param(TABLE + "| c | d |\n\n17\n\n" * 20_000, id="a row a page"),
        pytest.param("| a |\n| --- |\n| " + "word " * 30_000 + "|", id="one huge cell"),
        pytest.param("| a |\n| --- |\n| " + "x" * 120_000 + " |", id="one huge word in a cell"),
        pytest.param(f"| a |\n| --- |\n| {'c | ' * 30_000}\n", id="a row of many cells"),
        pytest.param(f"| {CELLS} |\n|{' --- |' * 20}\n| {CELLS} |\n" * 3000, id="many tables"),
        pytest.param("| a |\n|" + " --- |" * 30_000, id="a delimiter of many columns"),
        pytest.param("| a |\n| " + "-" * 120_000, id="a rule"),
        pytest.param("Table 1. T\n" * 20_000, id="captions"),
        pytest.param("1. a\n" * 30_000, id="items"),
        pytest.param("\n" + " " * 120_000 + "• a", id="an item far to the right"),
        pytest.param("." + ")" * 120_000 + " A", id="closing brackets"),
    ],
)
def test_a_long_text_of_anything_is_split_in_time(text: str) -> None:
    """No document holds up a run, whatever is in it."""
    text, limit = clean(text), 64  # the smaller the chunks, the more there are to make
    started = time.process_time()

    chunks = split(text, [], limit, 0.12)

    assert time.process_time() - started < 20  # a guard against quadratic time, not a benchmark
    assert all(0 < chunk.tokens <= limit for chunk in chunks)
    assert max((chunk.end for chunk in chunks), default=0) == len(text)
