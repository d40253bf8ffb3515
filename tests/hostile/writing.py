"""PDFs written out by hand, so that any part of them can be wrong: ISO 32000-1, 7.5."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

SHOWN = "All is well on this page."
FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
BOX = b"/MediaBox [0 0 595 842]"


def pdf(
    objects: Mapping[int, bytes] | None = None, catalog: bytes = b"", info: bytes = b""
) -> bytes:
    """One page that says SHOWN, but for the objects given.

    1 is the catalog, 2 the page tree, 3 the page, 4 its content, 5 its font; 10 and up are free.
    """
    ordinary = {
        1: b"<< /Type /Catalog /Pages 2 0 R %b >>" % catalog,
        2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        3: page(),
        4: stream(text()),
        5: FONT,
    }
    return file({**ordinary, **(objects or {})}, b"/Root 1 0 R " + info)


def page(more: bytes = b"", resources: bytes = b"", box: bytes = BOX) -> bytes:
    """A page dictionary with more entries, and more resources."""
    return (
        b"<< /Type /Page /Parent 2 0 R %b /Contents 4 0 R "
        b"/Resources << /Font << /F 5 0 R >> %b >> %b >>" % (box, resources, more)
    )


def text(shown: str = SHOWN, before: bytes = b"") -> bytes:
    """Content that shows a text."""
    return b"%b BT /F 12 Tf 72 720 Td (%b) Tj ET" % (before, shown.encode("latin-1"))


def stream(body: bytes, entries: bytes = b"") -> bytes:
    """A stream object."""
    return b"<< %b /Length %d >>\nstream\n%b\nendstream" % (entries, len(body), body)


def deflate(body: bytes, entries: bytes = b"") -> bytes:
    """A compressed stream object."""
    return stream(zlib.compress(body), b"/Filter /FlateDecode " + entries)


def file(objects: Mapping[int, bytes], trailer: bytes, header: bytes = b"%PDF-1.7\n") -> bytes:
    """Objects behind a header, before their table."""
    parts, offsets, at = [header], {}, len(header)
    for number, value in sorted(objects.items()):
        offsets[number] = at
        parts.append(b"%d 0 obj\n%b\nendobj\n" % (number, value))
        at += len(parts[-1])
    return b"".join(parts) + table(offsets, at, trailer)


def table(offsets: Mapping[int, int], at: int, trailer: bytes) -> bytes:
    """The table of objects for the place `at`, with its trailer; every gap is a free entry."""
    size = max(offsets) + 1
    rows = b"".join(
        b"%010d 00000 n \n" % offsets[n] if n in offsets else b"0000000000 65535 f \n"
        for n in range(size)
    )
    return b"xref\n0 %d\n%b%b" % (size, rows, end(at, b"/Size %d %b" % (size, trailer)))


def end(at: int, trailer: bytes) -> bytes:
    """A trailer, and where the table before it begins."""
    return b"trailer\n<< %b >>\nstartxref\n%d\n%%%%EOF\n" % (trailer, at)


def append(data: bytes, objects: Mapping[int, bytes], trailer: bytes) -> bytes:
    """A file with an incremental update; the trailer says what came before."""
    parts, rows, at = [data], [], len(data)
    for number, value in sorted(objects.items()):
        parts.append(b"%d 0 obj\n%b\nendobj\n" % (number, value))
        rows.append(b"%d 1\n%010d 00000 n \n" % (number, at))
        at += len(parts[-1])
    return b"".join([*parts, b"xref\n0 0\n", *rows, end(at, trailer)])


def bomb(block: bytes, times: int) -> bytes:
    """`block` again and again, deflated, without ever having been in memory as a whole."""
    packer = zlib.compressobj(9)
    head = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    once = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + once + again * (times - 1) + packer.flush()


def chain(count: int, first: int, link: bytes, last: bytes) -> dict[int, bytes]:
    """`count` objects, each with the number of the next put into `link`."""
    made = {first + n: link % (first + n + 1) for n in range(count - 1)}
    return made | {first + count - 1: last}
