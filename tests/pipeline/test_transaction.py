"""Messages about documents that were partly read."""

from __future__ import annotations

import pytest

from ingest.models import Chunk, Code, Details, PreparedDocument, Record, Source
from ingest.pipeline.transaction import Transaction, describe_missing, format_page_numbers

CHUNK = Chunk("a", "text", 1, 0, 0, 4, 1, 1, (), ())


def prepare(*chunks: Chunk, **details: object) -> PreparedDocument:
    return PreparedDocument("f", 9, 0, "t", chunks, Details(**details))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("document", "code", "words"),
    [
        pytest.param(prepare(CHUNK), "", "", id="whole"),
        pytest.param(prepare(), Code.NO_TEXT, "no text", id="nothing"),
        pytest.param(prepare(CHUNK, scanned=(2, 3)), Code.SCANNED, "pages 2-3 of 9", id="scans"),
        pytest.param(prepare(CHUNK, scanned=(2,), ocr="x"), "", "", id="scans that were read"),
        pytest.param(
            prepare(CHUNK, scanned=(2,), doubtful=(2,), ocr="x"),
            Code.DOUBTFUL,
            "page 2",
            id="unsure",
        ),
        pytest.param(
            prepare(CHUNK, scanned=(2,), missing=(4,)),
            Code.PAGES_MISSING,
            "page 4",
            id="the worst",
        ),
        pytest.param(
            prepare(CHUNK, scanned=(2,), undecoded=(2,), hidden=(1,)),
            Code.UNDECODED,
            "page 2",
            id="not decoded",
        ),
        pytest.param(
            prepare(CHUNK, scanned=(2,), hidden=(1,)), Code.HIDDEN_TEXT, "page 1", id="hidden text"
        ),
        pytest.param(
            prepare(CHUNK, scanned=(2, 3), doubtful=(2,)), Code.SCANNED, "page 3", id="a scan"
        ),
    ],
)
def test_the_worst_that_is_lacking_is_said(
    document: PreparedDocument, code: str, words: str
) -> None:
    """One reason a file: what its owner has to act on comes before what may be wondered about."""
    reason, found = describe_missing(document)
    assert found == code
    assert words in reason


def test_a_document_without_any_text_has_no_others_in_the_index() -> None:
    """A message about missing pages does not promise what is not there."""
    whole, partly = prepare(missing=(1, 2)), prepare(CHUNK, missing=(2,))

    assert describe_missing(whole)[0] == "pages 1-2 of 9 pages could not be read"
    assert describe_missing(partly)[0].endswith("could not be read; the others are in the index")


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        ((3,), "page 3"),
        ((1, 2, 3, 7), "pages 1-3, 7"),
        ((1, 3, 5, 7, 9, 11), "pages 1, 3, 5, 7, 9, ..."),
    ],
)
def test_pages_are_named_shortly(pages: tuple[int, ...], words: str) -> None:
    """A thousand missing pages are named in one line."""
    assert format_page_numbers(pages) == words


def test_an_intent_names_the_images_of_both_versions() -> None:
    """Whenever the run dies, no image is deleted that a chunk in the index may show."""
    record = Record("r", "a.pdf", details=Details(images=("old.png", "both.png")))
    document = prepare(CHUNK, images=("both.png", "new.png"))
    write = Transaction(Source("r", "a.pdf", "", 1, ""), "", record, document, frozenset())
    assert write.intent("run").details.images == ("old.png", "both.png", "new.png")
    assert write.commit("run").details.images == ("both.png", "new.png")
