"""Features of a PDF, found in its bytes."""

from __future__ import annotations

import pytest

from ingest.extract.traits import Traits, find_traits

PAGE = b"1 0 obj\n<< /Type /Page >>\nendobj\n"
FEATURES = (
    b"<< /Subtype /Text /OCProperties 4 0 R /Differences [ 1 /f_f_i ] /Figure /Alt (x) "
    b"/Encoding /Identity-H >>\n"
)
NONE = Traits(False, False, False, False, False, False, pages=1)
ALL = Traits(True, True, True, True, True, True, pages=1)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b" ", b""])
def test_the_content_of_a_stream_is_no_feature_of_its_document(end: bytes) -> None:
    """Bytes of a picture or an attachment that look like a note or a layer are none."""
    stream = b"9 0 obj\n<< /Length 99 >>\nstream\n" + FEATURES + b"endstream" + end + b"endobj\n"

    assert find_traits(PAGE + stream) == (ALL if end == b" " else NONE)
    assert find_traits(PAGE + stream + b"2 0 obj\n" + FEATURES + b"endobj\n") == ALL


def test_features_are_found_where_objects_do_not_end() -> None:
    """A program that writes no endobj hides nothing behind its streams."""
    stream = b"9 0 obj\n<< /Length 1 >>\nstream\nx\nendstream\n"

    assert find_traits(PAGE + stream + b"2 0 obj\n" + FEATURES) == ALL


@pytest.mark.parametrize(
    ("font", "is_unmapped"),
    [
        (b"<< /Encoding /Identity-H /ToUnicode 4 0 R >>", False),
        (b"<< /ToUnicode 4 0 R /Encoding /Identity-H >>", False),
        (b"<< /ToUnicode 4 0 R >> << /Encoding /Identity-H >> << /ToUnicode 4 0 R >>", True),
        pytest.param(b"/ToUnicode" + 40_000 * b"/Identity-H", False, id="a hostile one"),
    ],
)
def test_a_font_without_a_map_is_found(font: bytes, is_unmapped: bool) -> None:
    """Only the entries of the font itself count, and a file cannot make the search long."""
    assert find_traits(PAGE + b"2 0 obj\n" + font).unmapped == is_unmapped
