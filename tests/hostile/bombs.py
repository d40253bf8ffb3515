"""Decompression bombs, false claims of size, and text that multiplies."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from functools import reduce

from tests.hostile.kinds import NOTHING, Kind
from tests.hostile.writing import SHOWN, bomb, deflate, page, pdf, stream, text

MEGABYTE = 1 << 20


def bombs() -> Iterator[Kind]:
    """All of them."""
    yield from streams()
    yield from filters()
    yield from tables()
    yield from images()
    yield from texts()


def streams() -> Iterator[Kind]:
    """Content streams that are small in the file and huge when decompressed."""
    flate = b"/Filter /FlateDecode"
    spaces, shows = b" " * MEGABYTE, text("again ") + b"\n"
    yield Kind("bomb-spaces-1gb", pdf({4: stream(bomb(spaces, 1024), flate)}))
    yield Kind("bomb-spaces-8gb", pdf({4: stream(bomb(spaces, 8192), flate)}))
    yield Kind("bomb-operators-100mb", pdf({4: stream(bomb(shows * 20_000, 100), flate)}))
    yield Kind(
        "bomb-graphics-100mb", pdf({4: stream(bomb(b"q 1 0 0 1 0 0 cm Q " * 50_000, 100), flate)})
    )
    yield Kind("bomb-paths-50mb", pdf({4: stream(bomb(b"0 0 1 1 re f " * 80_000, 50), flate)}))
    twice = zlib.compress(bomb(spaces, 10_000))
    yield Kind("bomb-twice-10gb", pdf({4: stream(twice, b"/Filter [/FlateDecode /FlateDecode]")}))
    many = b"[" + b"4 0 R " * 100_000 + b"]"
    yield Kind(
        "bomb-content-100000-times",
        pdf({3: page().replace(b"/Contents 4 0 R", b"/Contents " + many)}),
    )
    big = page().replace(b"/Contents 4 0 R", b"/Contents [" + b"4 0 R " * 1000 + b"]")
    yield Kind("bomb-content-of-bombs", pdf({3: big, 4: stream(bomb(spaces, 64), flate)}))
    beside = {10: stream(bomb(spaces, 2048), flate)}
    yield Kind("bomb-in-metadata", pdf(beside, b"/Metadata 10 0 R"), SHOWN)
    yield Kind("bomb-nobody-asks-for", pdf(beside), SHOWN)


def filters() -> Iterator[Kind]:
    """Long chains of filters, and filters with false parameters."""
    fifty = reduce(lambda body, _: zlib.compress(body), range(50), text())
    names = b"/Filter [" + b"/FlateDecode " * 50 + b"]"
    yield Kind("filters-flate-50", pdf({4: stream(fifty, names)}))
    hexed = reduce(lambda body, _: body.hex().encode() + b">", range(8), text())
    yield Kind(
        "filters-hex-8",
        pdf({4: stream(hexed, b"/Filter [" + b"/ASCIIHexDecode " * 8 + b"]")}),
        SHOWN,
    )
    based = reduce(lambda body, _: base64.a85encode(body) + b"~>", range(8), text())
    yield Kind(
        "filters-ascii85-8",
        pdf({4: stream(based, b"/Filter [" + b"/ASCII85Decode " * 8 + b"]")}),
        SHOWN,
    )
    run = b"\x81 " * MEGABYTE
    yield Kind("bomb-runlength", pdf({4: stream(run, b"/Filter /RunLengthDecode")}))
    packed = zlib.compress(b"\x81 " * 4 * MEGABYTE)
    yield Kind(
        "bomb-runlength-in-flate",
        pdf({4: stream(packed, b"/Filter [/FlateDecode /RunLengthDecode]")}),
    )
    yield Kind(
        "bomb-ascii85-z", pdf({4: stream(b"z" * 10 * MEGABYTE + b"~>", b"/Filter /ASCII85Decode")})
    )
    yield Kind("bomb-lzw", pdf({4: stream(lzw(2 * MEGABYTE), b"/Filter /LZWDecode")}))
    for name, values in {
        "columns": b"/Predictor 15 /Columns 2147483647",
        "colours": b"/Predictor 12 /Colors 2147483647 /BitsPerComponent 32 /Columns 2147483647",
        "negative": b"/Predictor 12 /Columns -5 /Colors -1",
        "tiff": b"/Predictor 2 /Columns 1000000000 /Colors 4 /BitsPerComponent 16",
        "unknown": b"/Predictor 99 /Columns 0",
    }.items():
        entries = b"/DecodeParms << " + values + b" >>"
        yield Kind(f"predictor-{name}", pdf({4: deflate(text(), entries)}))
    yield Kind("filters-unknown", pdf({4: stream(text(), b"/Filter /Nonsense")}))
    yield Kind("filters-themselves", pdf({4: stream(text(), b"/Filter 4 0 R")}))
    yield Kind("filters-crypt-identity", pdf({4: stream(text(), b"/Filter /Crypt")}))
    yield Kind(
        "filters-100000",
        pdf({4: stream(text(), b"/Filter [" + b"/ASCIIHexDecode " * 100_000 + b"]")}),
    )


def lzw(codes: int) -> bytes:
    """So many codes of LZW, 12 bits each once the table is full, that stand for long runs."""
    value, bits = 0, 0
    out, width, held = bytearray(), 9, 258
    for code in [256, 32, *range(258, 4094)]:
        value, bits = (value << width) | code, bits + width
        while bits >= 8:
            bits -= 8
            out.append((value >> bits) & 255)
        held += 1
        width = 9 + (held > 511) + (held > 1023) + (held > 2047)
        value &= (1 << bits) - 1
    return bytes(out) + b"\xff\xdf\xfd" * (codes // 2)


def tables() -> Iterator[Kind]:
    """Object streams and cross-reference streams that grow or make false claims."""
    zeros, flate = b"\0" * MEGABYTE, b"/Filter /FlateDecode "
    inside = b"/Type /ObjStm /N %d /First %d "
    yield Kind("objstm-bomb", xref_pdf({10: stream(bomb(zeros, 4096), flate + inside % (1, 10))}))
    yield Kind("objstm-many", xref_pdf({10: deflate(b"11 0 ", inside % (1_000_000_000, 5))}))
    yield Kind("objstm-far", xref_pdf({10: deflate(b"11 0 ", inside % (1, 2_000_000_000))}))
    yield Kind("objstm-negative", xref_pdf({10: deflate(b"11 -5 ", inside % (-1, -7))}))
    pairs = b"".join(b"%d %d " % (n, n) for n in range(100_000, 1_100_000))
    yield Kind(
        "objstm-million",
        xref_pdf({10: deflate(pairs + b"0" * 10, inside % (1_000_000, len(pairs)))}),
    )
    yield Kind(
        "objstm-extends-itself",
        xref_pdf({10: deflate(b"11 0 1", inside % (1, 5) + b"/Extends 10 0 R")}),
    )
    widths = b"/W [1 4 2] "
    yield Kind(
        "xrefstm-bomb",
        xref_pdf({}, bomb(zeros, 4096), b"/W [1 4 2] /Index [0 600000000] /Size 600000000"),
    )
    yield Kind(
        "xrefstm-no-width",
        xref_pdf({}, zlib.compress(b""), b"/W [0 0 0] /Index [0 2147483647] /Size 2147483647"),
    )
    yield Kind(
        "xrefstm-wide",
        xref_pdf({}, zlib.compress(zeros), b"/W [2147483647 2147483647 2147483647] /Size 9"),
    )
    yield Kind(
        "xrefstm-negative",
        xref_pdf({}, zlib.compress(zeros), b"/W [-1 -4 -2] /Index [-5 -7] /Size -3"),
    )
    yield Kind(
        "xrefstm-million",
        xref_pdf({}, bomb(zeros, 7), widths + b"/Index [0 1048576] /Size 1048576"),
    )
    pairs = b"".join(b"%d 1 " % n for n in range(0, 2_000_000, 2))
    yield Kind(
        "xrefstm-index-million",
        xref_pdf({}, bomb(zeros, 7), widths + b"/Size 2000000 /Index [" + pairs + b"]"),
    )


def xref_pdf(
    more: dict[int, bytes], rows: bytes = b"", entries: bytes = b"/W [1 4 2] /Size 1"
) -> bytes:
    """A file whose table is a stream; without `rows` one that is right for its objects."""
    whole = pdf(more)
    body = whole[: whole.rindex(b"xref\n0")]
    if not rows:
        rows, last = b"", max([*more, 5])
        for number in range(last + 1):
            at = body.find(b"\n%d 0 obj" % number) + 1
            rows += (b"\1" if at else b"\0") + at.to_bytes(4, "big") + b"\0\0"
        rows += b"\2" + (10).to_bytes(4, "big") + b"\0\0"
        rows, entries = zlib.compress(rows), b"/W [1 4 2] /Size %d" % (last + 2)
    made = stream(rows, b"/Type /XRef /Root 1 0 R /Filter /FlateDecode " + entries)
    return body + b"99 0 obj\n%b\nendobj\nstartxref\n%d\n%%%%EOF\n" % (made, len(body))


def images() -> Iterator[Kind]:
    """Pictures that claim to be sixty-five thousand pixels wide and high."""
    size = b"/Type /XObject /Subtype /Image /Width 65535 /Height 65535 "
    grey = size + b"/ColorSpace /DeviceGray /BitsPerComponent 8 "
    jpeg = bytes.fromhex("ffd8ffc0000b08ffffffff01011100ffda0008010100003f00") + b"\0" * 64
    jpx = bytes.fromhex(
        "ff4fff51002900000000ffff0000ffff00000000000000000000ffff0000ffff00000000000000000001070101"
    )
    jbig = bytes.fromhex("00000000300001000000130000ffff0000ffff000000000000000000000000")
    for name, made in {
        "dct": stream(jpeg, grey + b"/Filter /DCTDecode"),
        "jpx": stream(jpx, size + b"/Filter /JPXDecode"),
        "jbig2": stream(jbig, size + b"/BitsPerComponent 1 /Filter /JBIG2Decode"),
        "jbig2-own-globals": stream(
            jbig, size + b"/Filter /JBIG2Decode /DecodeParms << /JBIG2Globals 10 0 R >>"
        ),
        "fax": stream(
            b"\0\x10\x01" * 9,
            size + b"/Filter /CCITTFaxDecode /DecodeParms << /K -1 /Columns 65535 /Rows 65535 >>",
        ),
        "flate": stream(bomb(b"\0" * MEGABYTE, 4096), grey + b"/Filter /FlateDecode"),
        "truncated": stream(b"\0", grey),
        "indexed": deflate(
            b"\0" * 99,
            size
            + b"/BitsPerComponent 8 /ColorSpace [/Indexed [/Indexed /DeviceRGB 255 10 0 R] 2147483647 10 0 R]",
        ),
        "own-mask": deflate(b"\0" * 99, grey + b"/SMask 10 0 R /Mask 10 0 R"),
    }.items():
        resources = b"/XObject << /X 10 0 R >>"
        shows = b"q 500 0 0 500 0 0 cm /X Do Q"
        yield Kind(f"image-{name}", pdf({3: page(b"", resources), 4: stream(shows), 10: made}))
        beside = {3: page(b"", resources), 4: stream(text(before=shows)), 10: made}
        yield Kind(f"image-{name}-beside-text", pdf(beside), SHOWN)
    inline = b"BI /W 65535 /H 65535 /BPC 8 /CS /G ID "
    yield Kind("image-inline-endless", pdf({4: deflate(inline + b"x" * 20 * MEGABYTE)}))
    yield Kind(
        "image-inline-100000", pdf({4: deflate(b"BI /W 1 /H 1 /BPC 8 /CS /G ID x EI " * 100_000)})
    )


def texts() -> Iterator[Kind]:
    """Small pages with far too much text."""
    flate = b"/Filter /FlateDecode"
    line = b"(%b) Tj T* " % (b"word " * 19)
    body = b"BT /F 10 Tf 12 TL 20 800 Td "
    shown = stream(zlib.compress(body + line * 10_000 + b"ET"), flate)
    yield Kind("text-one-page-1mb", pdf({4: shown}), "word word")
    yield Kind(
        "text-one-page-20mb", pdf({4: stream(bomb(body + line * 10_000 + b"ET ", 20), flate)})
    )
    word = stream(zlib.compress(body + b"(" + b"x" * 1_000_000 + b") Tj ET"), flate)
    yield Kind("text-endless-word", pdf({4: word}))
    yield Kind("text-hyphens", pdf({4: deflate(body + b"(a-) Tj T* " * 100_000 + b"ET")}))
    yield Kind(
        "text-endless-tj", pdf({4: deflate(body + b"[" + b"(a) -200 " * 500_000 + b"] TJ ET")})
    )
    each = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >> >>"
    many = dict.fromkeys(range(10, 2010), each)
    kids = b" ".join(b"%d 0 R" % n for n in many)
    tree = {2: b"<< /Type /Pages /Kids [%b] /Count %d >>" % (kids, len(many))}
    yield Kind("text-2000-pages-of-1mb", pdf({**tree, **many, 4: shown}))
    for count, name in ((100_000, "100000"), (1_000_000, "1000000")):
        same = b"<< /Type /Pages /Kids [%b] /Count %d >>" % (b"3 0 R " * count, count)
        yield Kind(f"pages-{name}-are-one-object", pdf({2: same}))
    for letters, name in ((512, "512"), (30_000, "30000")):
        mapped = b"1 beginbfchar <61> <%b> endbfchar" % (b"0061" * letters)
        fonts = {5: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /ToUnicode 10 0 R >>"}
        shows = deflate(body + (b"(%b) Tj T* " % (b"a" * 100)) * 1000 + b"ET")
        yield Kind(f"text-glyph-is-{name}-letters", pdf({**fonts, 4: shows, 10: cmap(mapped)}))
    yield Kind("text-of-one-page", pdf(), SHOWN, NOTHING)


def cmap(body: bytes) -> bytes:
    """A ToUnicode map."""
    begins = b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap "
    space = b"1 begincodespacerange <00> <ff> endcodespacerange "
    return deflate(begins + space + body + b" endcmap end end")
