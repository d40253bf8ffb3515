"""Content streams, fonts and objects that recurse, nest, or never end."""

from __future__ import annotations

from collections.abc import Iterator

from tests.hostile.bombs import cmap
from tests.hostile.kinds import LOCKED, NAMED, Kind
from tests.hostile.writing import SHOWN, deflate, page, pdf, stream, text

MILLION = 1_000_000
FORM = b"/Type /XObject /Subtype /Form /BBox [0 0 595 842] /Resources << /Font << /F 5 0 R >> /XObject << %b >> >>"


def content() -> Iterator[Kind]:
    """All of them."""
    yield from syntax()
    yield from xobjects()
    yield from places()
    yield from fonts()
    yield from encryption()


def syntax() -> Iterator[Kind]:
    """Content that nests or does not end."""
    for name, body in {
        "string-endless": b"BT /F 12 Tf (" + b"x" * 10 * MILLION,
        "string-10mb": b"BT /F 12 Tf 9 9 Td (" + b"x" * 10 * MILLION + b") Tj ET",
        "string-nested": b"BT /F 12 Tf " + b"(" * MILLION + b")" * MILLION + b" Tj ET",
        "hex-endless": b"BT /F 12 Tf <" + b"41" * 10 * MILLION,
        "name-endless": b"/" + b"x" * 10 * MILLION,
        "number-endless": b"1" * 10 * MILLION + b" Tf",
        "comment-endless": b"%" + b"x" * 10 * MILLION,
        "operands-million": b"1 " * MILLION + b"cm ",
        "operators-unknown": b"foo " * MILLION,
        "binary": bytes(range(256)) * 4000,
        "q-million": b"q " * MILLION,
        "q-and-text": b"q " * 100_000 + text(),
        "Q-million": b"Q " * MILLION,
        "BT-million": b"BT " * MILLION,
        "BX-million": b"BX " * MILLION,
        "marks-million": b"/P << /MCID 1 >> BDC " * 200_000,
        "arrays-nested": b"[" * 100_000 + b"]" * 100_000 + b" TJ",
        "dictionaries-nested": b"/P " + b"<< /A " * 100_000 + b">> " * 100_000 + b"BDC",
        "clip-100000": b"0 0 9 9 re W n " * 100_000,
        "curve-million": b"0 0 m " + b"1 2 3 4 5 6 c " * MILLION + b"S",
        "dash-million": b"[" + b"1 " * MILLION + b"] 0 d " + b"0 0 m 9 9 l S",
    }.items():
        yield Kind(f"content-{name}", pdf({4: deflate(body)}))
        if name in ("q-million", "Q-million", "operators-unknown", "comment-endless", "binary"):
            after = deflate(body + b"\n" + text())
            yield Kind(f"content-{name}-then-text", pdf({4: after}))
    for name, value in {
        "arrays": b"[" * 100_000 + b"]" * 100_000,
        "arrays-open": b"[" * 100_000,
        "dictionaries": b"<< /A " * 100_000 + b">>" * 100_000,
        "dictionaries-open": b"<< /A " * 100_000,
        "string-40mb": b"(" + b"x" * 40 * MILLION + b")",
        "string-open": b"(" * MILLION,
        "hex-open": b"<" + b"4" * MILLION,
        "name-1mb": b"/" + b"x" * MILLION,
        "array-million": b"[" + b"10 0 R " * MILLION + b"]",
        "keys-million": b"<< " + b"".join(b"/K%d 1 " % n for n in range(MILLION)) + b">>",
        "itself": b"10 0 R",
        "number-1mb": b"9" * MILLION,
        "zeros": b"\0" * MILLION,
    }.items():
        yield Kind(f"object-{name}", pdf({10: value}, b"/Odd 10 0 R"))


def xobjects() -> Iterator[Kind]:
    """Forms and patterns that draw themselves."""
    see = {3: page(b"", b"/XObject << /X 10 0 R >>"), 4: stream(b"/X Do " + text())}
    itself = stream(text("inside") + b" /X Do", FORM % b"/X 10 0 R")
    yield Kind("form-itself", pdf({**see, 10: itself}), SHOWN)
    first = stream(b"/X Do /X Do", FORM % b"/X 11 0 R")
    second = stream(b"/X Do /X Do", FORM % b"/X 10 0 R")
    yield Kind("form-two-in-turn", pdf({**see, 10: first, 11: second}), SHOWN)
    for depth, wide in ((9, 10), (30, 10), (25, 2)):
        body = b"/X Do " * wide
        laughs = {10 + n: stream(body, FORM % (b"/X %d 0 R" % (11 + n))) for n in range(depth)}
        laughs[10 + depth] = stream(text("ha"), FORM % b"")
        yield Kind(f"form-laughs-{wide}-to-the-{depth}", pdf({**see, **laughs}))
    slow = see[3].replace(b"/Contents 4 0 R", b"/Contents 9 0 R")
    tree = {2: b"<< /Type /Pages /Kids [3 0 R 8 0 R 3 0 R] /Count 3 >>", 8: slow, 9: see[4]}
    laughs = {10 + n: stream(b"/X Do " * 9, FORM % (b"/X %d 0 R" % (11 + n))) for n in range(9)}
    laughs[19] = stream(text("ha"), FORM % b"")
    yield Kind("form-laughs-between-good-pages", pdf({**tree, **laughs}), SHOWN)
    deep = {10 + n: stream(b"/X Do", FORM % (b"/X %d 0 R" % (11 + n))) for n in range(20_000)}
    yield Kind("form-deep-20000", pdf({**see, **deep, 20_010: stream(text(), FORM % b"")}))
    once = stream(text("again"), FORM % b"")
    yield Kind("form-100000-times", pdf({**see, 4: deflate(b"/X Do " * 100_000), 10: once}))
    tiles = b"/Pattern << /P 10 0 R >>"
    tile = stream(
        b"/Pattern cs /P scn 0 0 9 9 re f",
        b"/Type /Pattern /PatternType 1 /PaintType 1 /TilingType 1 /BBox [0 0 1 1] /XStep 1e-9 /YStep 0 /Resources << "
        + tiles
        + b" >>",
    )
    paint = b"/Pattern cs /P scn 0 0 595 842 re f "
    yield Kind(
        "pattern-itself", pdf({3: page(b"", tiles), 4: stream(text(before=paint)), 10: tile}), SHOWN
    )
    shade = b"<< /ShadingType 1 /ColorSpace 10 0 R /Function 11 0 R >>"
    loops = {
        10: b"[/ICCBased 10 0 R]",
        11: b"<< /FunctionType 3 /Functions [11 0 R] /Bounds [] /Encode [0 1] /Domain [0 1] >>",
        12: shade,
    }
    yield Kind(
        "shading-loop",
        pdf(
            {3: page(b"", b"/Shading << /S 12 0 R >>"), 4: stream(text(before=b"/S sh ")), **loops}
        ),
        SHOWN,
    )
    state = b"<< /Type /ExtGState /SMask << /S /Alpha /G 11 0 R >> /Font [5 0 R 12] >>"
    masked = stream(
        b"/G gs",
        b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Group << /S /Transparency >> /Resources << /ExtGState << /G 10 0 R >> >>",
    )
    yield Kind(
        "mask-loop",
        pdf(
            {
                3: page(b"", b"/ExtGState << /G 10 0 R >>"),
                4: stream(text(before=b"/G gs ")),
                10: state,
                11: masked,
            }
        ),
        SHOWN,
    )
    spaces = {10: b"[/Separation /A 10 0 R 10 0 R]"}
    coloured = stream(text(before=b"/C cs 1 scn "))
    yield Kind(
        "colour-loop",
        pdf({3: page(b"", b"/ColorSpace << /C 10 0 R >>"), 4: coloured, **spaces}),
        SHOWN,
    )


def places() -> Iterator[Kind]:
    """Text at places and in sizes that no page has."""
    for name, before in {
        "size-huge": b"BT /F 1e38 Tf 72 720 Td (far) Tj ET",
        "size-zero": b"BT /F 0 Tf 72 720 Td (none) Tj ET",
        "size-negative": b"BT /F -12 Tf 72 720 Td (back) Tj ET",
        "matrix-zero": b"BT /F 12 Tf 0 0 0 0 0 0 Tm (none) Tj ET",
        "matrix-overflow": b"q 1e38 1e38 1e38 1e38 1e38 1e38 cm 1e38 0 0 1e38 0 0 cm BT /F 9 Tf (far) Tj ET Q",
        "matrix-not-numbers": b"q nan inf -inf nan 0 0 cm Q",
        "spacing-huge": b"q BT /F 12 Tf 1e38 Tc 1e38 Tw 1e38 TL (a b) Tj T* (c) ' ET Q",
        "scale-zero": b"q BT /F 12 Tf 0 Tz (a b) Tj ET Q",
        "font-unknown": b"BT /Nowhere 12 Tf (a b) Tj ET",
        "gray-huge": b"1e99 g 1e99 w [0 0] 0 d 0 0 m 1e38 1e38 l S 0 g",
    }.items():
        yield Kind(f"place-{name}", pdf({4: stream(text(before=before))}), SHOWN)
    twice = text() + b" BT /F 12 Tf 72.2 720 Td (%b) Tj ET" % SHOWN.encode()
    yield Kind("place-every-glyph-twice", pdf({4: stream(twice)}), SHOWN)
    hidden = text(before=b"BT 3 Tr ET ")
    yield Kind("place-invisible", pdf({4: stream(hidden)}), SHOWN)
    spread = b" ".join(
        b"BT /F 1 Tf %d %d Td (a) Tj ET" % (n * 7919 % 595, n * 104_729 % 842)
        for n in range(100_000)
    )
    yield Kind("place-100000-scattered", pdf({4: deflate(spread)}))
    grid = b" ".join(b"%d %d 3 3 re S" % (n % 300 * 2, n // 300 * 2) for n in range(100_000))
    yield Kind("place-100000-cells", pdf({4: deflate(text(before=grid))}), SHOWN)
    tall = b"BT /F 1 Tf 0 1 -1 0 300 300 Tm " + b"(x y) Tj 1 1 Td " * 50_000 + b"ET"
    yield Kind("place-50000-turned-lines", pdf({4: deflate(tall)}))


def fonts() -> Iterator[Kind]:
    """Fonts that recurse, claim, or tell lies about their letters."""
    plain = b"<< /Type /Font /Subtype /%b /BaseFont /Helvetica %b >>"
    for name, extra in {
        "widths-million": b"/FirstChar 0 /LastChar 999999 /Widths [" + b"500 " * MILLION + b"]",
        "widths-negative": b"/FirstChar -5 /LastChar -9 /Widths [-1e38]",
        "first-char-huge": b"/FirstChar 2147483647 /LastChar -2147483648 /Widths []",
        "differences-million": b"/Encoding << /Differences [" + b"0 /A " * MILLION + b"] >>",
        "differences-far": b"/Encoding << /Differences [2147483640 /A /B -5 /C] >>",
        "encoding-itself": b"/Encoding 5 0 R",
        "descriptor-itself": b"/FontDescriptor 5 0 R",
        "descendants-itself": b"/DescendantFonts [5 0 R] /Encoding /Identity-H",
    }.items():
        kind = b"Type0" if name.startswith("descendants") else b"Type1"
        yield Kind(f"font-{name}", pdf({5: plain % (kind, extra)}))
    letters = b"".join(b"<%06x> <%04x> " % (n, n % 55_000 + 32) for n in range(MILLION))
    ranges = b"<0000> <ffff> <0041> " * 1000
    for name, body in {
        "million": b"1000000 beginbfchar " + letters + b"endbfchar",
        "ranges": b"1000 beginbfrange " + ranges + b"endbfrange",
        "range-huge": b"1 beginbfrange <00000000> <ffffffff> <0041> endbfrange",
        "range-array": b"1 beginbfrange <00> <ff> [" + b"<0041> " * MILLION + b"] endbfrange",
        "range-backwards": b"1 beginbfrange <ff> <00> <0041> endbfrange",
        "uses-itself": b"/Self usecmap 1 beginbfchar <41> <0041> endbfchar",
        "unfinished": b"99999999 beginbfrange <00> <ff>",
        "surrogates": b"1 beginbfrange <20> <7f> <d800> endbfrange",
        "zeros": b"1 beginbfrange <20> <7f> <0000> endbfrange",
        "controls": b"1 beginbfrange <20> <7f> <0001> endbfrange",
        "private": b"1 beginbfrange <20> <7f> <e000> endbfrange",
        "noncharacters": b"1 beginbfrange <20> <7f> <fffe> endbfrange",
        "above-unicode": b"1 beginbfrange <20> <7f> <dbffdfff> endbfrange",
        "bidi": b"1 beginbfrange <20> <7f> <202e> endbfrange",
        "combining": b"1 beginbfrange <20> <7f> <0300> endbfrange",
        "odd-digits": b"1 beginbfchar <4> <004> <41> <xyz> endbfchar",
    }.items():
        mapped = plain % (b"Type1", b"/ToUnicode 10 0 R")
        yield Kind(f"tounicode-{name}", pdf({5: mapped, 10: cmap(body)}))
    long = b"BT /F 12 Tf " + b"(%b) Tj " % (b"a" * 100) * 2000 + b"ET"
    marks = cmap(b"1 beginbfrange <20> <7f> <0300> endbfrange")
    mapped = plain % (b"Type1", b"/ToUnicode 10 0 R")
    yield Kind("tounicode-combining-200000", pdf({5: mapped, 4: deflate(long), 10: marks}))
    three = b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 1 1] /FontMatrix [1 0 0 1 0 0] /FirstChar 97 /LastChar 97 /Widths [1] /Encoding << /Differences [97 /a] >> /CharProcs << /a 10 0 R >> /Resources << /Font << /F 5 0 R >> >> >>"
    glyph = stream(b"1 0 d0 BT /F 1 Tf (aaaa) Tj ET")
    yield Kind("type3-itself", pdf({4: stream(text("aaaa")), 5: three, 10: glyph}))
    composed = (
        b"<< /Type /Font /Subtype /Type0 /BaseFont /X /Encoding %b /DescendantFonts [10 0 R] >>"
    )
    child = b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /X /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> /W %b >>"
    for name, widths in {
        "range-huge": b"[0 2147483647 500]",
        "million": b"[" + b"0 [500] " * MILLION + b"]",
        "itself": b"[0 10 0 R 10 0 R 10 0 R]",
        "ranges-million": b"[" + b"0 65535 500 " * 300_000 + b"]",
    }.items():
        yield Kind(f"cid-widths-{name}", pdf({5: composed % b"/Identity-H", 10: child % widths}))
    own = stream(
        b"/CMapName /X def 1 begincidrange <0000> <ffff> 0 endcidrange",
        b"/Type /CMap /UseCMap 11 0 R",
    )
    yield Kind("cid-cmap-itself", pdf({5: composed % b"11 0 R", 10: child % b"[]", 11: own}))
    described = plain % (
        b"TrueType",
        b"/FontDescriptor << /Type /FontDescriptor /FontName /X /Flags 4 /FontFile2 10 0 R >>",
    )
    for name, program in {
        "garbage": bytes(range(256)) * 99,
        "empty": b"",
        "tables-huge": bytes.fromhex("000100007fff0000000000006c6f6361000000007fffffff7fffffff"),
    }.items():
        yield Kind(
            f"font-program-{name}", pdf({5: described, 10: stream(program, b"/Length1 2147483647")})
        )


def encryption() -> Iterator[Kind]:
    """Encryption dictionaries that make no sense: locked or damaged, or nothing is encrypted."""
    for name, entries in {
        "version-99": b"/Filter /Standard /V 99 /R 99 /O (a) /U (b) /P -1",
        "short": b"/Filter /Standard /V 5 /R 6 /O (a) /U (b) /OE (c) /UE (d) /Perms (e) /P -1 /Length 256",
        "length": b"/Filter /Standard /V 2 /R 3 /O (a) /U (b) /P -1 /Length 2147483640",
        "length-negative": b"/Filter /Standard /V 2 /R 3 /O (a) /U (b) /P -1 /Length -8",
        "handler": b"/Filter /Somebody.Else /V 1 /R 2",
        "crypt-loop": b"/Filter /Standard /V 4 /R 4 /CF 10 0 R /StmF /A /StrF /A /O (a) /U (b) /P -1",
        "empty": b"",
        "types": b"/Filter 1 /V /A /R (x) /O 1 /U 2 /P (x)",
    }.items():
        made = pdf({10: b"<< %b >>" % entries}, info=b"/Encrypt 10 0 R /ID [(a) (b)]")
        yield Kind(f"encrypted-{name}", made, ends=LOCKED | NAMED)
    yield Kind(
        "encrypted-itself", pdf({10: b"10 0 R"}, info=b"/Encrypt 10 0 R"), ends=LOCKED | NAMED
    )
    yield Kind(
        "encrypted-no-id",
        pdf(
            {10: b"<< /Filter /Standard /V 1 /R 2 /O (a) /U (b) /P -1 >>"}, info=b"/Encrypt 10 0 R"
        ),
        ends=LOCKED | NAMED,
    )
