"""Messages about documents that were partly read."""

from __future__ import annotations

import pytest

from ingest.models import Chunk, Code, Details, PreparedDocument
from ingest.pipeline.transaction import describe_missing, format_page_numbers

CHUNK = Chunk("a", "text", 1, 0, 0, 4, 1, 1, "", ())


def made(*chunks: Chunk, **details: object) -> PreparedDocument:
    return PreparedDocument("f", 9, 0, "t", chunks, Details(**details))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("document", "code", "words"),
    [
        pytest.param(made(CHUNK), "", "", id="whole"),
        pytest.param(made(), Code.NO_TEXT, "no text", id="nothing"),
        pytest.param(made(CHUNK, scanned=(2, 3)), Code.SCANNED, "pages 2-3 of 9", id="scans"),
        pytest.param(made(CHUNK, scanned=(2,), ocr="x"), "", "", id="scans that were read"),
        pytest.param(
            made(CHUNK, scanned=(2,), doubtful=(2,), ocr="x"), Code.DOUBTFUL, "page 2", id="unsure"
        ),
        pytest.param(
            made(CHUNK, scanned=(2,), missing=(4,)), Code.PAGES_MISSING, "page 4", id="the worst"
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


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        ((3,), "page 3"),
        ((1, 2, 3, 7), "pages 1-3, 7"),
        ((1, 3, 5, 7, 9, 11), "pages 1, 3, 5, 7, 9, ..."),
    ],
)
def test_pages_are_named_shortly(pages: tuple[int, ...], words: str) -> None:
    """A thousand missing pages fit into a line."""
    assert format_page_numbers(pages) == words
