"""The lines of a hit that are shown, with their page and heading."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.chunk.chunks import make_chunks
from ingest.commands.search.excerpts import (
    MAX_EMBEDDED_CHARS,
    add_excerpts,
    choose_windows,
    words_to_mark,
)
from ingest.commands.search.passages import EXCERPT_LINES, LINE_CHARS, Passages, tidy, wrap
from ingest.embed import Embedder
from ingest.models import Document, Heading, Hit, Recipe, Source, Vectors
from tests.pdfs import prose

RECIPE = Recipe("auto", 512, 0.12, "hash", 2)
SOURCE = Source("/docs", "tools.pdf", "/docs/tools.pdf", 1, "1")


def hit_of(document: Document, **changed: Any) -> Hit:
    """A hit of the document's only chunk."""
    (chunk,) = make_chunks(document, SOURCE, RECIPE)
    fields = {
        "content": chunk.text,
        "headings": list(chunk.headings),
        "sourcepage": f"tools.pdf#page={chunk.main_page}",
        "page_start": chunk.page_start,
        "page_label": next(iter(chunk.labels), ""),
        "page_labels": list(chunk.labels),
        "page_offsets": list(chunk.page_offsets),
        "sentence_offsets": list(chunk.sentence_offsets),
        "section_offsets": list(chunk.section_offsets),
        "sections": list(chunk.sections),
    }
    return Hit(1.0, fields | changed)


HANDBOOK = Document(
    pages=(
        f"Leave\n{prose('lathes', 4)} Holidays are booked in spring.",
        f"Illness\nBring a certificate on the fourth day. {prose('mills', 4)}",
    ),
    headings=(Heading(1, "Leave", 1), Heading(1, "Illness", 2)),
    labels=("iv", "1"),
)


TOOLS = ["lathe", *(f"saw {letter}" for letter in "abcdefghijklmn"), "planer", "mill"]


def test_an_excerpt_of_generated_text_begins_with_the_figure_it_describes() -> None:
    """No line of a description passes for the author's, whatever prints the excerpt."""
    figure = {"figure_kind": "chart", "figure_label": "Figure 3", "figure_model": "gpt-4o"}
    text = "[Figure 3, AI-generated]\nSales by quarter.\n\nThey rise from 3 to 9."
    offsets = {"content": text, "sentence_offsets": [0, 34, 53], "page_start": 12}
    hit = Hit(1.0, {"headings": [], **offsets, **figure})
    (shown,) = add_excerpts("how do sales rise", None, [hit], None)
    assert shown.figure == "Figure 3, page 12, described by gpt-4o"
    assert shown.excerpt == (
        "[Figure 3, page 12, described by gpt-4o]\nSales by quarter.\nThey rise from 3 to 9."
    )
    (own,) = add_excerpts("sales", None, [Hit(1.0, hit.fields | {"figure_kind": None})], None)
    assert own.figure == ""


def embed_illness(texts: Sequence[str]) -> Vectors:
    """A model for which a doctor and a certificate mean the same."""
    return np.array([[1.0, 0.0] if "certificate" in text else [0.0, 1.0] for text in texts])


MEANING = np.array([1.0, 0.0], np.float32)


def test_the_page_is_that_of_the_passage() -> None:
    """The citation opens where the answer stands, though its chunk began a page before."""
    (hit,) = add_excerpts("when is a certificate due?", None, [hit_of(HANDBOOK)], None)

    assert (hit.page, hit.heading) == (2, "Illness")
    assert (hit.fields["page_label"], hit.fields["sourcepage"]) == ("1", "tools.pdf#page=2")
    assert "Bring a certificate on the fourth day." in hit.excerpt
    (hit,) = add_excerpts("when are holidays booked?", None, [hit_of(HANDBOOK)], None)
    assert (hit.page, hit.heading) == (1, "Leave")
    assert (hit.fields["page_label"], hit.fields["sourcepage"]) == ("iv", "tools.pdf#page=1")


def test_a_local_model_finds_what_words_do_not() -> None:
    """A question that shares no word with its answer shows it all the same."""
    model = Embedder(embed_illness, "local:test", 2, at_once=2)
    (hit,) = add_excerpts("must I see a doctor?", MEANING, [hit_of(HANDBOOK)], model)

    assert hit.page == 2
    assert "certificate" in hit.excerpt


def test_a_model_of_my_own_gets_no_more_texts_than_it_takes() -> None:
    """Its limit holds for excerpts as it does for chunks."""
    calls: list[int] = []

    def embed_few(texts: Sequence[str]) -> Vectors:
        calls.append(len(texts))
        return embed_illness(texts)

    model = Embedder(embed_few, "local:test", 2, inputs=1)
    add_excerpts("must I see a doctor?", MEANING, [hit_of(HANDBOOK)], model)
    assert len(calls) > 1
    assert set(calls) == {1}


def test_no_hits_have_no_excerpts() -> None:
    """The last document went while I asked: there is nothing to show, and no error."""
    local = Embedder(embed_illness, "local:test", 2)
    assert add_excerpts("ill", np.ones(2, np.float32), [], local) == []


def test_no_request_is_made_for_an_excerpt() -> None:
    """A model that is paid for embeds questions and chunks, and nothing else."""

    def fail(texts: Sequence[str]) -> Vectors:
        raise AssertionError(texts)

    model = Embedder(fail, "text-embedding-3-small", 2)
    (hit,) = add_excerpts("certificate", MEANING, [hit_of(HANDBOOK)], model)
    assert hit.page == 2


def test_a_chunk_of_an_earlier_version_has_an_excerpt_too() -> None:
    """Its sentences are found anew; its pages are not known, so its first is named."""
    lacking = dict.fromkeys(("page_offsets", "sentence_offsets", "section_offsets", "sections"))
    lacking |= {"page_labels": None}
    (hit,) = add_excerpts("certificate", None, [hit_of(HANDBOOK, **lacking)], None)

    assert (hit.page, hit.heading, hit.fields["page_label"]) == (1, "Leave", "iv")
    assert "certificate" in hit.excerpt


def test_a_search_embeds_no_more_than_its_share() -> None:
    """However many hits are shown, and however long their chunks are; the last by words alone."""
    texts = [["x" * 200] * 50 for _ in range(40)]
    spans = [[(100 * n, 100 * n + 200) for n in range(50)] for _ in texts]
    chosen = list(choose_windows(spans, texts, [[0.0] * 50 for _ in texts]))

    assert len(chosen[0]) > len(chosen[2]) > len(chosen[39]) == 0
    assert 200 * sum(map(len, chosen)) < MAX_EMBEDDED_CHARS


def test_a_search_does_not_embed_the_same_sentences_again_and_again() -> None:
    """Windows begin at each sentence: one that is mostly in a better one is not worth its time."""
    spans = [[(0, 300), (100, 400), (200, 500), (400, 600)]]
    texts = [["x" * (end - start) for start, end in spans[0]]]

    assert list(choose_windows(spans, texts, [[0.5, 0.4, 0.3, 0.2]])) == [[0, 2, 3]]


def test_a_row_of_a_table_is_shown_below_the_names_of_its_columns() -> None:
    """However long the table is, I see what the numbers of a row are."""
    rows = "\n".join(f"| {name} | {number}0 | {number}5 |" for number, name in enumerate(TOOLS, 1))
    table = f"| tool | 2021 | 2022 |\n| --- | --- | --- |\n{rows}"
    hit = hit_of(Document((f"{prose('costs', 4)}\n{table}\n{prose('mills', 4)}",)))
    (shown,) = add_excerpts("what is it for a planer?", None, [hit], None)

    lines = shown.excerpt.removeprefix("… ").split("\n")
    assert lines[0] == "| tool | 2021 | 2022 |"
    assert "… | planer | 160 | 165 |" in lines


def test_more_is_shown_of_better_hits() -> None:
    """The first hit has the longest excerpt, since it has the answer most often."""
    hits = add_excerpts("certificate", None, [hit_of(HANDBOOK)] * 6, None)

    sizes = [len(hit.excerpt) for hit in hits]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[1] > sizes[-1]


def test_function_words_are_not_marked() -> None:
    """Whatever language I ask in; a word of one is a subject in another."""
    assert words_to_mark("When must I bring proof from a physician?") == [
        "bring",
        "proof",
        "physician",
    ]
    assert words_to_mark("Wann muss ich die Werkstatt für das Rad verlassen?") == [
        "werkstatt",
        "rad",
        "verlassen",
    ]
    assert words_to_mark("war and peace") == ["war", "peace"]
    assert words_to_mark("who is it?") == ["who", "is", "it"]


def test_rows_of_tables_stay_lines_of_their_own() -> None:
    """And the line below the names of the columns is not shown."""
    table = "| tool | hours |\n| --- | --- |\n| lathe | 3 |\n| mill | 4 |"
    assert tidy(f"\nThe tools  we have.\n\n{table}\n") == (
        "The tools we have.\n| tool | hours |\n| lathe | 3 |\n| mill | 4 |"
    )


SENTENCES = [
    "One sentence.\n",
    "Another of them,\nover two lines.\n",
    "| a row | of a table |\n",
    "| name |\n| --- |\n",
    "word " * 100,
    "x" * 400,
    "旋盤は木材を回します。",
    "\n",
]
sentences = st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=15)


@settings(max_examples=50)
@given(st.lists(sentences, min_size=1, max_size=3), st.data())
def test_any_excerpt_is_short_and_on_pages_that_exist(
    pages: list[list[str]], data: st.DataObject
) -> None:
    """For any text: all of it is in windows, each on the page of its text, and what I see fits."""
    text = "".join(sentence for page in pages for sentence in page)
    numbers = [n for n, page in enumerate(pages, 3) for sentence in page for _ in sentence]
    starts = [0, *accumulate(len(sentence) for page in pages for sentence in page)][:-1]
    offsets = [numbers.index(page) for page in range(3, 3 + len(pages))]
    fields = {"content": text, "page_start": 3, "page_offsets": offsets}
    passages = Passages.of({**fields, "sentence_offsets": starts})

    windows = passages.windows()

    assert windows == sorted(set(windows))
    covered = {offset for start, end in windows for offset in range(start, end)}
    assert all(c.isspace() for offset, c in enumerate(text) if offset not in covered)
    for start, end in windows:
        shown = {numbers[offset] for offset in range(start, end) if not text[offset].isspace()}
        assert shown == {passages.page_of((start, end))}
    ranked = data.draw(st.permutations(windows))
    lines = data.draw(st.sampled_from(EXCERPT_LINES))
    excerpt = passages.excerpt(ranked, lines)
    assert sum(-(-len(line) // LINE_CHARS) for line in excerpt.split("\n")) <= 2 * lines + 2
    assert bool(excerpt) == bool(text.strip())
    assert "---" not in excerpt


def test_japanese_lines_are_as_wide_as_the_terminal() -> None:
    """A Japanese character takes two columns, and no line begins with a full stop."""
    lines = list(wrap("池の水位は、毎朝八時に測ります。LG-7 の電池は四年ごとに換えます。", 16))

    assert lines == [
        "池の水位は、毎朝",
        "八時に測ります。",
        "LG-7 の電池は四",
        "年ごとに換えま",
        "す。",
    ]
