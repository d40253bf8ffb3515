"""Files with false cross-reference tables, files that are no PDF, and corrupted files."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from random import Random

from tests.hostile.kinds import NO_PDF, Kind
from tests.hostile.writing import FONT, SHOWN, append, file, page, pdf, stream, table, text


def files() -> Iterator[Kind]:
    """All but the corrupted ones."""
    yield from tables()
    yield from lies()
    yield from surroundings()
    yield from strangers()


def tables() -> Iterator[Kind]:
    """Cross-reference tables that loop or lie."""
    good = pdf()
    start = good.rindex(b"xref\n0")
    body, trailer = good[:start], b"/Size 6 /Root 1 0 R "

    def ending(at: bytes, more: bytes = b"") -> bytes:
        return good.rpartition(b"trailer")[0] + b"trailer\n<< %b >>\nstartxref\n%b\n%%%%EOF\n" % (
            trailer + more,
            at,
        )

    here = b"%d" % start
    for name, data in {
        "prev-itself": ending(here, b"/Prev " + here),
        "prev-far": ending(here, b"/Prev 99999999999"),
        "prev-negative": ending(here, b"/Prev -1"),
        "stream-itself": ending(here, b"/XRefStm " + here),
        "start-0": ending(b"0"),
        "start-far": ending(b"99999999999999999999"),
        "start-negative": ending(b"-5"),
        "start-itself": ending(b"%d" % (len(good) - 10)),
        "start-word": ending(b"nowhere"),
        "size-huge": ending(here).replace(b"/Size 6", b"/Size 2147483647"),
        "size-negative": ending(here).replace(b"/Size 6", b"/Size -6"),
        "size-small": ending(here).replace(b"/Size 6", b"/Size 1"),
    }.items():
        yield Kind(f"xref-{name}", data)
    yield Kind("xref-missing", good[:start])
    yield Kind("xref-trailer-missing", good[: good.rindex(b"trailer")])
    yield Kind("xref-eof-missing", good[:-6], SHOWN)
    into = dict.fromkeys(range(1, 6), start)
    yield Kind("xref-offsets-into-itself", body + table(into, start, b"/Root 1 0 R"))
    swapped = {n: good.index(b"\n%d 0 obj" % (6 - n)) + 1 for n in range(1, 6)}
    yield Kind("xref-offsets-swapped", body + table(swapped, start, b"/Root 1 0 R"))
    many = {n: good.index(b"\n%d 0 obj" % n) + 1 for n in range(1, 6)} | {1_000_000: 15}
    yield Kind("xref-million-entries", body + table(many, start, b"/Root 1 0 R"), SHOWN)
    same = {**many, **dict.fromkeys(range(6, 1_000_000), many[3])}
    yield Kind("xref-million-same", body + table(same, start, b"/Root 1 0 R"), SHOWN)
    claim = good[:start] + b"xref\n0 1000000000\n" + good[start + 9 :]
    yield Kind("xref-claims-a-billion", claim)
    yield Kind(
        "xref-sections-million", good[:start] + b"xref\n" + b"0 0\n" * 1_000_000 + good[start + 5 :]
    )
    for name, root in {
        "missing": b"",
        "number": b"/Root 42 ",
        "itself": b"/Root 10 0 R ",
        "nowhere": b"/Root 999 0 R ",
        "page": b"/Root 3 0 R ",
        "direct": b"/Root << /Type /Catalog /Pages 2 0 R >> ",
    }.items():
        objects = {
            2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            3: page(),
            4: stream(text()),
            5: FONT,
            10: b"10 0 R",
        }
        yield Kind(f"root-{name}", file(objects, root))
    updated = good
    for number in range(1000):
        before = updated.rindex(b"xref\n0")
        updated = append(updated, {10: b"%d" % number}, b"/Size 11 /Root 1 0 R /Prev %d " % before)
    yield Kind("updates-1000", updated, SHOWN)
    lie = b"%PDF-1.7\n9 0 obj\n<< /Linearized 1 /L 99999999 /H [0 9999999] /O 77 /E 5 /N 1000000 /T 3 >>\nendobj\n"
    yield Kind("linearized-lies", lie + good)
    yield Kind(
        "linearized-lies-in-place",
        file(
            {
                1: b"<< /Linearized 1 /L 5 /H [0 0] /O 3 /E 0 /N 99999 /T 0 >>",
                2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
                3: page(),
                4: stream(text()),
                5: FONT,
                9: b"<< /Type /Catalog /Pages 2 0 R >>",
            },
            b"/Root 9 0 R ",
        ),
    )


def lies() -> Iterator[Kind]:
    """Objects and streams that are not as long, or not what, they say."""
    right = stream(text())
    length = b"/Length %d" % len(text())
    for name, value in {
        "short": b"/Length 5",
        "long": b"/Length 99999",
        "huge": b"/Length 99999999999",
        "negative": b"/Length -1",
        "missing": b"",
        "itself": b"/Length 4 0 R",
        "nowhere": b"/Length 99 0 R",
        "real": b"/Length 1.5e3",
    }.items():
        yield Kind(f"length-{name}", pdf({4: right.replace(length, value)}))
    yield Kind("endstream-missing", pdf({4: right.replace(b"endstream", b"")}))
    yield Kind("endobj-missing", pdf().replace(b"endobj", b"      "))
    yield Kind("obj-numbers-zero", pdf().replace(b" 0 obj", b" 65535 obj"))
    yield Kind("generation-huge", pdf().replace(b"3 0 R", b"3 99999999999 R"))
    yield Kind(
        "references-huge",
        pdf({2: b"<< /Type /Pages /Kids [3 0 R 4294967299 0 R -1 0 R] /Count 3 >>"}),
    )
    yield Kind(
        "every-object-a-loop",
        file({n: b"%d 0 R" % (n % 9 + 1) for n in range(1, 10)}, b"/Root 1 0 R "),
    )
    yield Kind(
        "references-100000-long",
        pdf(
            {**{n: b"%d 0 R" % (n + 1) for n in range(10, 100_010)}, 100_010: b"42"}, b"/Odd 10 0 R"
        ),
        SHOWN,
    )
    carriage = pdf().replace(b"\n", b"\r")
    yield Kind("line-ends-cr", carriage)
    yield Kind("line-ends-crlf", pdf().replace(b"\n", b"\r\n"))
    yield Kind("line-ends-none", pdf().replace(b"\n", b" "))
    yield Kind("utf-16", pdf().decode("latin-1").encode("utf-16"), ends=NO_PDF)
    yield Kind(
        "names-utf-16", pdf().replace(b"/F ", b"/#00F#FE#FF ").replace(b"/Odd", b"/#00"), SHOWN
    )


def surroundings() -> Iterator[Kind]:
    """A PDF with something around it."""
    good = pdf()
    yield Kind("junk-before-1000", b"j" * 1000 + b"\n" + good, SHOWN)
    yield Kind("junk-before-5000", b"j" * 5000 + b"\n" + good, ends=NO_PDF)
    yield Kind("junk-after-1mb", good + b"\0" * 1_000_000, SHOWN)
    yield Kind("junk-after-10mb", good + bytes(range(256)) * 40_000)
    yield Kind(
        "mail-around-it",
        b"MIME-Version: 1.0\r\nContent-Type: application/pdf\r\n\r\n" + good + b"\r\n--x--\r\n",
        SHOWN,
    )
    yield Kind("twice", good + good)
    yield Kind("header-version", good.replace(b"%PDF-1.7", b"%PDF-9.9"), SHOWN)
    yield Kind("header-cut", good.replace(b"%PDF-1.7", b"%PDF-"), SHOWN)
    yield Kind("header-only", b"%PDF-1.7\n")
    yield Kind("header-and-end", b"%PDF-1.7\n%%EOF\n")
    yield Kind("header-then-zeros", b"%PDF-1.7\n" + b"\0" * 1_000_000)
    yield Kind("header-then-noise", b"%PDF-1.7\n" + Random(6).randbytes(1_000_000))
    yield Kind("header-10000-times", b"%PDF-1.7\n" * 10_000)
    yield Kind("objects-without-end", b"%PDF-1.7\n" + b"1 0 obj\n" * 500_000)
    yield Kind("trailers-without-end", b"%PDF-1.7\n" + b"trailer << /Root 1 0 R >>\n" * 50_000)
    yield Kind("startxref-without-end", b"%PDF-1.7\n" + b"startxref\n9\n%%EOF\n" * 50_000)
    yield Kind("numbers-without-end", b"%PDF-1.7\n" + b"1 0 " * 2_000_000)


def strangers() -> Iterator[Kind]:
    """Files that are no PDF, despite their names."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.txt", "text " * 1000)
    for name, data in {
        "empty": b"",
        "one-byte": b"%",
        "zeros": b"\0" * 1_000_000,
        "white-space": b" \n\t\r" * 1000,
        "zip": packed.getvalue(),
        "html": b"<!DOCTYPE html><html><body>404 not found</body></html>",
        "postscript": b"%!PS-Adobe-3.0\n/Helvetica findfont 12 scalefont setfont (text) show showpage\n",
        "gzip": zlib.compress(pdf(), wbits=31),
        "text": b"not a PDF, only words\n" * 100,
        "noise": Random(7).randbytes(100_000),
        "unicode": ("\ufeff" + "пдф" * 1000).encode("utf-16"),
    }.items():
        yield Kind(f"no-pdf-{name}", data, ends=NO_PDF)
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        archive.writestr("a.pdf", pdf())  # not compressed, so that a header can be seen
    yield Kind("no-pdf-zip-with-one-inside", stored.getvalue())


def truncate(name: str, data: bytes, times: int) -> Iterator[Kind]:
    """A file truncated at each of so many places."""
    for n in range(times):
        cut = len(data) * n // times
        ends = NO_PDF if cut < 8 else Kind(name, b"").ends | NO_PDF
        yield Kind(f"cut-{name}-at-{cut}", data[:cut], ends=ends)


def flip_bytes(samples: Sequence[tuple[str, bytes]], times: int, seed: int = 6) -> Iterator[Kind]:
    """Copies of the samples in turn, each with one to a hundred bytes of it made random."""
    random = Random(seed)
    for n in range(times):
        name, data = samples[n % len(samples)]
        changed = bytearray(data)
        for _ in range(random.choice((1, 3, 10, 100))):
            changed[random.randrange(len(changed))] = random.randrange(256)
        ends = Kind(name, b"").ends | NO_PDF | {"encrypted"}
        yield Kind(f"flipped-{n:04}-{name}", bytes(changed), ends=ends)
