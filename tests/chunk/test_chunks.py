"""Chunks know where they come from, and keep their ids."""

from __future__ import annotations

from hashlib import sha256

from ingest.chunk.chunks import PAGE_BREAK, choose_title, make_chunks
from ingest.models import Document, Heading, Recipe, Source
from tests.pdfs import prose

RECIPE = Recipe("auto", 64, 0.12, "hash", 8)
SOURCE = Source("/docs", "tools.pdf", "/docs/tools.pdf", 1, "1")


def test_offsets_give_the_text_back() -> None:
    """A chunk can be found in its document, character by character."""
    document = Document((prose("lathes"), "", prose("mills")))
    text = PAGE_BREAK.join(document.pages)

    made = list(make_chunks(document, SOURCE, RECIPE))

    assert [chunk.text for chunk in made] == [text[chunk.start : chunk.end] for chunk in made]
    assert [chunk.ordinal for chunk in made] == list(range(len(made)))


def test_pages_are_those_of_a_viewer() -> None:
    """Pages are counted as a viewer does, empty ones too; a chunk may be on two."""
    document = Document(("one short page.", "", "three begins here", "and goes on on four."))

    (chunk,) = make_chunks(document, SOURCE, RECIPE)
    assert (chunk.page_start, chunk.page_end) == (1, 4)

    pages = (prose("lathes"), prose("mills"))
    made = list(make_chunks(Document(pages), SOURCE, RECIPE))
    assert {c.page_start for c in made} == {c.page_end for c in made} == {1, 2}
    for page, text in enumerate(pages, 1):
        assert all(c.text in text for c in made if c.page_start == c.page_end == page)


def test_headings_are_the_titles_a_chunk_stands_under() -> None:
    """I see the section of an answer, and the chapter it is in."""
    document = Document(
        pages=(f"1 Tools\n{prose('lathes', 6)}\n1.1 Mills\n{prose('mills', 20)}", prose("saws", 9)),
        headings=(Heading(1, "1 Tools", 1), Heading(2, "1.1  Mills", 1), Heading(1, "Saws", 2)),
    )

    made = list(make_chunks(document, SOURCE, RECIPE))

    assert made[0].headings == ("1 Tools",)
    assert {c.headings for c in made if "mills" in c.text} == {("1 Tools", "1.1 Mills")}
    assert made[-1].headings == ("Saws",)


def test_headings_are_found_however_the_outline_writes_them() -> None:
    """An outline may lack the appendix's letter, or use another apostrophe than the page."""
    document = Document(
        pages=(f"C.1 A saw\u2019s teeth\n{prose('saws', 4)}\nC.2 Mills\n{prose('mills', 4)}",),
        headings=(Heading(1, "A saw's\u00a0teeth", 1), Heading(1, "Mills", 1)),
    )
    saws, *_, mills = make_chunks(document, SOURCE, RECIPE)
    assert (saws.headings, mills.headings) == (("A saw's teeth",), ("Mills",))


def test_labels_are_what_the_document_calls_its_pages() -> None:
    """Page 3 of the file may be page iii of the book."""
    document = Document((prose("a"), prose("b")), labels=("iii", "iv"))

    for chunk in make_chunks(document, SOURCE, RECIPE):
        assert chunk.labels == ("iii", "iv")[chunk.page_start - 1 : chunk.page_end]


def test_ids_are_unique_even_for_repeated_text() -> None:
    """Fifty copies of a form letter are fifty chunks; none overwrites another."""
    document = Document(tuple(["The same words on every page, every time."] * 200))

    ids = [chunk.id for chunk in make_chunks(document, SOURCE, RECIPE)]

    assert len(set(ids)) == len(ids) > 10


def test_ids_do_not_depend_on_the_page() -> None:
    """Invariant 3: a page inserted at the front moves the chunks and embeds only itself."""
    pages = tuple(prose(topic) for topic in ("lathes", "mills", "saws", "drills", "files"))
    before = {c.id for c in make_chunks(Document(pages), SOURCE, RECIPE)}

    after = list(make_chunks(Document((prose("cranes", 12), *pages)), SOURCE, RECIPE))

    new = [c for c in after if c.id not in before]
    assert all(c.page_start <= 2 for c in new)
    assert len(new) <= 7


def test_prose_has_the_id_it_always_had() -> None:
    """A new version computes the ids of an old index, so its vectors are still found."""
    (chunk,) = make_chunks(Document(("The lathe turns.",)), SOURCE, RECIPE)
    assert chunk.text_to_embed == chunk.text
    hashed = sha256(b"/docs\0tools.pdf\0hash\x008\0The lathe turns.\x001").hexdigest()
    assert chunk.id == hashed[:40]


def test_ids_differ_between_sources_roots_and_models() -> None:
    """Two files with the same text have chunks of their own, so neither can lose the other's."""
    document = Document((prose("lathes"),))
    others = [
        (Source("/docs", "other.pdf", "", 1, "1"), RECIPE),
        (Source("/else", "tools.pdf", "", 1, "1"), RECIPE),
        (SOURCE, Recipe("auto", 64, 0.12, "another model", 8)),
    ]

    here = {c.id for c in make_chunks(document, SOURCE, RECIPE)}

    for source, recipe in others:
        assert here.isdisjoint(c.id for c in make_chunks(document, source, recipe))


def test_a_document_without_text_has_no_chunks() -> None:
    """A scan is empty, not broken."""
    assert list(make_chunks(Document(("", "")), SOURCE, RECIPE)) == []


def test_a_title_is_found_somewhere() -> None:
    """The title is the document's own, else its first heading, else its file name."""
    heading = (Heading(1, "First\nof all", 1),)
    assert choose_title(Document((), "Own", heading), "a/b.pdf") == "Own"
    assert choose_title(Document((), "", heading), "a/b.pdf") == "First of all"
    assert choose_title(Document(()), "a/b.x.pdf") == "b.x"


def test_the_main_page_carries_most_of_a_chunk() -> None:
    """A chunk that begins with the last line of a page is cited by the page that has the rest."""
    document = Document(("The end.", "", "Clean the spindle before noon. Oil it weekly."))

    (chunk,) = make_chunks(document, SOURCE, RECIPE)

    assert chunk.page_offsets == (0, 9, 10)
    assert chunk.text[chunk.page_offsets[2] :] == document.pages[2]
    assert (chunk.page_start, chunk.main_page) == (1, 3)


def test_a_repeated_table_header_does_not_count_for_a_page() -> None:
    """The rows decide which page is cited, not the header repeated from an earlier page."""
    header = f"| {'name of the machine in the hall'} | {'hours'} |\n| --- | --- |"
    rows = [f"| machine number {n} of the second hall | {n} |" for n in range(60)]
    pages = ("\n".join([header, *rows[:30]]), "\n".join(rows[30:]))

    made = list(make_chunks(Document(pages), SOURCE, RECIPE))

    later = [c for c in made if c.start > len(header) and c.page_start == c.page_end]
    assert later
    assert all(c.text.startswith(header) and c.main_page == c.page_start for c in later)
    for chunk in made:
        first, *rest = (chunk.text[a:] for a in chunk.sentence_offsets)
        assert first == chunk.text
        assert rest
        assert all(row.lstrip().startswith("| machine") for row in rest)


def test_sections_are_the_headings_inside_a_chunk() -> None:
    """The heading of a sentence is the one above it, though its chunk began two headings before."""
    document = Document(
        ("Tools\nMind the edges.\nMills\nGrain in, flour out.\nSaws\nPlanks.",),
        headings=(Heading(1, "Tools", 1), Heading(2, "Mills", 1), Heading(2, "Saws", 1)),
    )

    (chunk,) = make_chunks(document, SOURCE, RECIPE)

    assert chunk.headings == ("Tools",)
    assert chunk.sections == ("Tools › Mills", "Tools › Saws")
    assert [chunk.text[offset : offset + 4] for offset in chunk.section_offsets] == ["Mill", "Saws"]
