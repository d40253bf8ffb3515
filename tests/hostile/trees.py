"""Malformed trees of pages, outline entries, names and fields; and odd values in them."""

from __future__ import annotations

from collections.abc import Iterator

from tests.hostile.kinds import Kind
from tests.hostile.writing import BOX, SHOWN, chain, page, pdf, stream, text

MILLION = 1_000_000


def trees() -> Iterator[Kind]:
    """All of them."""
    yield from page_trees()
    yield from pages()
    yield from outlines()
    yield from names()
    yield from metadata()
    yield from forms()


def page_trees() -> Iterator[Kind]:
    """Page trees that loop, lie, or go down too far."""
    for name, tree in {
        "own-kid": b"<< /Type /Pages /Kids [2 0 R] /Count 1 >>",
        "own-kid-and-a-page": b"<< /Type /Pages /Kids [2 0 R 3 0 R] /Count 2 >>",
        "own-parent": b"<< /Type /Pages /Parent 2 0 R /Kids [3 0 R] /Count 1 >>",
        "count-negative": b"<< /Type /Pages /Kids [3 0 R] /Count -1 >>",
        "count-huge": b"<< /Type /Pages /Kids [3 0 R] /Count 2147483647 >>",
        "count-million": b"<< /Type /Pages /Kids [3 0 R] /Count 1000000 >>",
        "count-itself": b"<< /Type /Pages /Kids [3 0 R] /Count 2 0 R >>",
        "count-real": b"<< /Type /Pages /Kids [3 0 R] /Count 1e99 >>",
        "count-missing": b"<< /Type /Pages /Kids [3 0 R] >>",
        "kids-missing": b"<< /Type /Pages /Count 1 >>",
        "kids-no-array": b"<< /Type /Pages /Kids 3 0 R /Count 1 >>",
        "kids-null": b"<< /Type /Pages /Kids [null 99 0 R 3 0 R 4 0 R] /Count 4 >>",
        "kids-direct": b"<< /Type /Pages /Kids [<< /Type /Page >> 3 0 R] /Count 2 >>",
        "no-page-at-all": b"<< /Type /Pages /Kids [] /Count 0 >>",
        "is-a-stream": stream(b"", b"/Type /Pages /Kids [3 0 R] /Count 1"),
    }.items():
        yield Kind(f"pages-{name}", pdf({2: tree}))
    two = {
        2: b"<< /Type /Pages /Kids [10 0 R] /Count 1 >>",
        10: b"<< /Type /Pages /Parent 2 0 R /Kids [2 0 R 3 0 R] /Count 2 >>",
    }
    yield Kind("pages-loop-of-two", pdf(two))
    node = b"<< /Type /Pages /Parent %d 0 R /Kids [%d 0 R] /Count 1 >>"
    for depth in (100, 2000, 100_000):
        deep = {10 + n: node % (9 + n, 11 + n) for n in range(depth)}
        deep[10 + depth] = page()
        tops = {2: b"<< /Type /Pages /Kids [10 0 R] /Count 1 >>"}
        yield Kind(f"pages-deep-{depth}", pdf({**tops, **deep}))
    wide = b"<< /Type /Pages /Kids [%b] /Count 1073741824 >>"
    laughs = {10 + n: wide % (b"%d 0 R " % (11 + n) * 2) for n in range(30)}
    laughs[40] = page()
    yield Kind("pages-billion-laughs", pdf({**laughs, 2: wide % b"10 0 R"}))
    empty = b"<< /Type /Pages /Kids [%b] /Count 0 >>" % (b"2 0 R " * 1000)
    yield Kind("pages-loop-1000-wide", pdf({2: empty}))


def pages() -> Iterator[Kind]:
    """A page with values no page has."""
    for name, box in {
        "huge": b"/MediaBox [0 0 1e30 1e30]",
        "not-numbers": b"/MediaBox [nan inf (a) /b]",
        "negative": b"/MediaBox [595 842 0 0]",
        "empty": b"/MediaBox [0 0 0 0]",
        "missing": b"",
        "itself": b"/MediaBox 3 0 R",
        "crop-outside": BOX + b" /CropBox [9000 9000 9001 9001]",
        "unit": BOX + b" /UserUnit 1e30",
        "rotate": BOX + b" /Rotate 37",
        "rotate-huge": BOX + b" /Rotate 2147483640",
        "rotate-itself": BOX + b" /Rotate 3 0 R",
    }.items():
        yield Kind(f"box-{name}", pdf({3: page(box=box)}))
    for name, contents in {
        "itself": b"3 0 R",
        "catalog": b"1 0 R",
        "number": b"42",
        "nested": b"[[4 0 R] 4 0 R]",
        "loop": b"10 0 R",
    }.items():
        changed = page().replace(b"/Contents 4 0 R", b"/Contents " + contents)
        yield Kind(f"contents-{name}", pdf({3: changed, 10: b"[10 0 R 10 0 R 4 0 R]"}))
    without = b"<< /Type /Page /Parent 2 0 R %b /Contents 4 0 R >>" % BOX
    yield Kind("resources-missing", pdf({3: without}))
    yield Kind(
        "resources-itself", pdf({3: without.replace(b"/Contents", b"/Resources 3 0 R /Contents")})
    )
    parents = {3: without.replace(b"/Parent 2 0 R", b"/Parent 3 0 R")}
    yield Kind("resources-parent-loop", pdf(parents))
    notes = b"/Annots [%b]" % (b"10 0 R " * MILLION)
    note = b"<< /Type /Annot /Subtype /Text /Rect [0 0 9 9] /Contents (a note) /Popup 10 0 R /Parent 10 0 R /P 3 0 R >>"
    yield Kind("annots-million", pdf({3: page(notes), 10: note}), SHOWN)
    yield Kind(
        "annots-loop", pdf({3: page(b"/Annots 10 0 R"), 10: b"[10 0 R 3 0 R 1 0 R null]"}), SHOWN
    )
    worn = b"<< /Type /Annot /Subtype /Stamp /Rect [0 0 9 9] /AP << /N 11 0 R >> >>"
    form = stream(
        b"/X Do",
        b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X 11 0 R >> >>",
    )
    yield Kind(
        "annots-appearance-loop", pdf({3: page(b"/Annots [10 0 R]"), 10: worn, 11: form}), SHOWN
    )


def outlines() -> Iterator[Kind]:
    """Outlines that loop, never end, or have unprintable titles."""
    top = b"<< /Type /Outlines /First 11 0 R /Last 11 0 R /Count 1 >>"
    entry = b"<< /Title (Entry) /Parent 10 0 R /Dest [3 0 R /Fit] %b >>"
    for name, links in {
        "next-itself": b"/Next 11 0 R",
        "first-itself": b"/First 11 0 R /Last 11 0 R",
        "both-themselves": b"/Next 11 0 R /First 11 0 R",
        "first-is-top": b"/First 10 0 R",
        "next-is-page": b"/Next 3 0 R /First 1 0 R",
        "count": b"/Count -2147483648",
    }.items():
        yield Kind(f"outline-{name}", pdf({10: top, 11: entry % links}, b"/Outlines 10 0 R"), SHOWN)
    yield Kind("outline-itself", pdf({10: b"<< /First 10 0 R >>"}, b"/Outlines 10 0 R"), SHOWN)
    two = {
        10: top,
        11: entry % b"/Next 12 0 R /First 12 0 R",
        12: entry % b"/Next 11 0 R /First 11 0 R",
    }
    yield Kind("outline-loop-of-two", pdf(two, b"/Outlines 10 0 R"), SHOWN)
    dense = {n: entry % (b"/First %d 0 R /Next %d 0 R" % (n + 1, n + 1)) for n in range(11, 61)}
    yield Kind("outline-billion-laughs", pdf({10: top, **dense}, b"/Outlines 10 0 R"), SHOWN)
    for count in (1000, 100_000):
        for link, name in ((b"/First %d 0 R", "deep"), (b"/Next %d 0 R", "long")):
            made = chain(count, 11, entry % link, entry % b"")
            yield Kind(
                f"outline-{name}-{count}", pdf({10: top, **made}, b"/Outlines 10 0 R"), SHOWN
            )
    for name, title in {
        "1mb": b"(" + b"heading " * 125_000 + b")",
        "surrogates": b"<FEFFD8000041DC00D800>",
        "zeros": b"<FEFF00000041000000000042FFFE>",
        "utf8": b"<EFBBBFEDA08041F4908080FF>",
        "bytes": b"(\\000\\001\\033[2J\\177\\200\\377)",
        "a-loop": b"11 0 R",
        "a-page": b"3 0 R",
        "number": b"42",
    }.items():
        content = (entry % b"").replace(b"(Entry)", title)
        yield Kind(
            f"title-of-heading-{name}", pdf({10: top, 11: content}, b"/Outlines 10 0 R"), SHOWN
        )
    for name, target in {
        "loop": b"12 0 R",
        "name": b"/Nowhere",
        "far": b"[999999 /Fit]",
        "negative": b"[-5 /Fit]",
        "string": b"(nowhere)",
        "nested": b"[" * 5000 + b"]" * 5000,
    }.items():
        content = (entry % b"").replace(b"[3 0 R /Fit]", target)
        yield Kind(
            f"outline-dest-{name}",
            pdf({10: top, 11: content, 12: b"12 0 R"}, b"/Outlines 10 0 R"),
            SHOWN,
        )
    acts = (entry % b"").replace(b"/Dest [3 0 R /Fit]", b"/A 12 0 R")
    action = b"<< /S /GoTo /D (x) /Next 12 0 R >>"
    yield Kind(
        "outline-action-loop", pdf({10: top, 11: acts, 12: action}, b"/Outlines 10 0 R"), SHOWN
    )


def names() -> Iterator[Kind]:
    """Name trees and number trees."""
    loop = b"<< /Kids [10 0 R 10 0 R] /Limits [(a) (z)] >>"
    reaching = {11: b"<< /First 12 0 R >>", 12: b"<< /Title (Entry) /Parent 11 0 R /Dest (m) >>"}
    yield Kind(
        "names-loop",
        pdf(
            {10: loop, **reaching},
            b"/Names << /Dests 10 0 R /EmbeddedFiles 10 0 R >> /Outlines 11 0 R",
        ),
        SHOWN,
    )
    numbers = b"<< /Kids [10 0 R 10 0 R] /Limits [0 99] >>"
    yield Kind("labels-loop", pdf({10: numbers}, b"/PageLabels 10 0 R"), SHOWN)
    million = b"<< /Nums [" + b"".join(b"%d << /S /r >> " % n for n in range(MILLION)) + b"] >>"
    yield Kind("labels-million", pdf({10: million}, b"/PageLabels 10 0 R"), SHOWN)
    for name, label in {
        "prefix-1mb": b"<< /P (" + b"x" * MILLION + b") >>",
        "prefix-odd": b"<< /P <FEFFD80000000041FFFE> /S /D >>",
        "letters-huge": b"<< /S /a /St 2147483647 >>",
        "roman-huge": b"<< /S /R /St 2147483647 >>",
        "roman-million": b"<< /S /r /St 999999999 >>",
        "negative": b"<< /S /r /St -2147483648 >>",
        "itself": b"11 0 R",
        "unknown": b"<< /S /Q /P 11 0 R /St (a) >>",
    }.items():
        made = {10: b"<< /Nums [0 11 0 R] >>", 11: label}
        yield Kind(f"label-{name}", pdf(made, b"/PageLabels 10 0 R"), SHOWN)
    inside = pdf({10: b"42"})
    spec = b"<< /Type /Filespec /F (a.pdf) /EF << /F 11 0 R >> >>"
    held = {10: b"<< /Names [(a) 12 0 R] >>", 12: spec}
    files = b"/Names << /EmbeddedFiles 10 0 R >> /Collection << >>"
    yield Kind("attached-pdf", pdf({**held, 11: stream(inside)}, files), SHOWN)
    yield Kind("attached-itself", pdf({**held, 11: b"12 0 R"}, files), SHOWN)
    yield Kind(
        "attached-name",
        pdf(
            {**held, 12: spec.replace(b"a.pdf", b"../../../etc/a\\000.pdf"), 11: stream(inside)},
            files,
        ),
        SHOWN,
    )
    many = b"<< /Names [" + b"(a) 12 0 R " * 100_000 + b"] >>"
    yield Kind("attached-100000-times", pdf({10: many, 12: spec, 11: stream(inside)}, files), SHOWN)


def metadata() -> Iterator[Kind]:
    """Malformed metadata."""
    for name, title in {
        "1mb": b"(" + b"title " * 166_000 + b")",
        "surrogates": b"<FEFFD8000041DC00D800>",
        "zeros": b"<FEFF00000041000000000042FFFE>",
        "escape": b"(\\033[2J\\007\\n\\n\\r)",
        "itself": b"10 0 R",
        "page": b"3 0 R",
        "name": b"/Name",
        "nested": b"[" * 3000 + b"]" * 3000,
    }.items():
        made = b"<< /Title %b /Author %b /Producer %b /CreationDate (D:99999999999999Z99) /ModDate %b >>"
        info = {10: b"10 0 R", 11: made % (title, title, title, title)}
        yield Kind(f"title-{name}", pdf(info, info=b"/Info 11 0 R"), SHOWN)
    yield Kind("info-is-catalog", pdf(info=b"/Info 1 0 R"), SHOWN)
    yield Kind("info-is-a-loop", pdf({10: b"10 0 R"}, info=b"/Info 10 0 R"), SHOWN)
    laughs = b"".join(b'<!ENTITY l%d "%b">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 12))
    xmp = (
        b'<!DOCTYPE x [<!ENTITY l0 "ha">%b]><x:xmpmeta xmlns:x="adobe:ns:meta/">&l11;</x:xmpmeta>'
        % laughs
    )
    yield Kind(
        "xmp-billion-laughs",
        pdf({10: stream(xmp, b"/Type /Metadata /Subtype /XML")}, b"/Metadata 10 0 R"),
        SHOWN,
    )
    deep = b"<a>" * 100_000
    yield Kind(
        "xmp-deep",
        pdf({10: stream(deep, b"/Type /Metadata /Subtype /XML")}, b"/Metadata 10 0 R"),
        SHOWN,
    )


def forms() -> Iterator[Kind]:
    """Interactive forms, and actions that run by themselves."""
    field = b"<< /T (name) /FT /Tx /V (value) /Kids [11 0 R] /Parent 11 0 R >>"
    top = b"<< /Fields [11 0 R 11 0 R] /DR 10 0 R /XFA 10 0 R /NeedAppearances true >>"
    yield Kind("fields-loop", pdf({10: top, 11: field}, b"/AcroForm 10 0 R"), SHOWN)
    laughs = {n: b"<< /T (f) /Kids [%b] >>" % (b"%d 0 R " % (n + 1) * 10) for n in range(11, 31)}
    laughs[31] = field.replace(b"/Kids [11 0 R] /Parent 11 0 R", b"")
    yield Kind("fields-billion-laughs", pdf({10: top, **laughs}, b"/AcroForm 10 0 R"), SHOWN)
    made = chain(100_000, 11, b"<< /T (f) /Kids [%d 0 R] >>", field)
    yield Kind("fields-deep", pdf({10: top, **made}, b"/AcroForm 10 0 R"), SHOWN)
    long = field.replace(b"(value)", b"(" + b"v" * MILLION + b")")
    yield Kind("fields-value-1mb", pdf({10: top, 11: long}, b"/AcroForm 10 0 R"), SHOWN)
    script = b"/OpenAction << /S /JavaScript /JS (while\\(true\\){}) /Next << /S /Launch /F (/bin/sh) >> >>"
    yield Kind("javascript-for-ever", pdf(catalog=script), SHOWN)
    tags = {
        10: b"<< /Type /StructTreeRoot /K 11 0 R /ParentTree 10 0 R >>",
        11: b"<< /S /P /K [11 0 R 11 0 R] /P 11 0 R >>",
    }
    yield Kind(
        "tags-loop", pdf(tags, b"/StructTreeRoot 10 0 R /MarkInfo << /Marked true >>"), SHOWN
    )
    layers = (
        b"/OCProperties << /OCGs [10 0 R] /D << /Order 11 0 R /BaseState /OFF /ON [10 0 R] >> >>"
    )
    marked = text(before=b"/OC /L BDC ") + b" EMC"
    see = {3: page(b"", b"/Properties << /L 12 0 R >>"), 4: stream(marked)}
    member = b"<< /Type /OCMD /OCGs [12 0 R 10 0 R] /VE [/Not 13 0 R] >>"
    loops = {10: b"<< /Type /OCG /Name (x) >>", 11: b"[11 0 R]", 12: member, 13: b"[/Not 13 0 R]"}
    yield Kind("layers-loop", pdf({**see, **loops}, layers))
