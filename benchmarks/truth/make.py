"""Make the PDFs of the known texts with each program that can be had. Runs in its own environment.

    make.py FOLDER

Programs that are missing are named, and their documents are left out. A PDF is made anew only if
its source differs from the one kept beside it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import as_fodt
import as_html
import as_roff
import as_typst
from texts import Text, load_texts

TIMEOUT = 120  # seconds, for one document
FONT_PACKAGES = ("fonts-noto-core", "fonts-noto-cjk")  # of Debian
LATIN = "Noto Serif"
FAMILIES = {
    "ar": "Noto Naskh Arabic",
    "fa": "Noto Naskh Arabic",
    "he": "Noto Serif Hebrew",
    "hi": "Noto Serif Devanagari",
    "ta": "Noto Serif Tamil",
    "bn": "Noto Serif Bengali",
    "th": "Noto Serif Thai",
    "zh": "Noto Serif CJK SC",
    "ja": "Noto Serif CJK JP",
    "ko": "Noto Serif CJK KR",
}
COMMANDS = {
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "libreoffice": ("soffice", "libreoffice"),
    "groff": ("groff",),
    "ghostscript": ("gs",),
}
FONT_SETTINGS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig><dir>{folder}</dir><cachedir>{folder}/cache</cachedir></fontconfig>
"""


def main(folder: Path) -> None:
    """Make what is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    use_fonts(folder)
    missing: set[str] = set()
    for text in load_texts():
        for maker in text.makers:
            if maker in COMMANDS and not find_command(maker):
                missing.add(maker)
            else:
                make(text, maker, folder)
    for maker in sorted(missing):
        print(f"{maker}: {' or '.join(COMMANDS[maker])} is not installed; its PDFs are left out")


def find_command(maker: str) -> str | None:
    """Return the path of a maker's program."""
    return next(filter(None, map(shutil.which, COMMANDS[maker])), None)


def use_fonts(folder: Path) -> None:
    """Let all makers see the same fonts and no others; fetch these the first time."""
    fonts = folder / "fonts"
    if not fonts.exists():
        fetched = folder / "fonts.partial"
        fetched.mkdir(exist_ok=True)
        subprocess.run(["apt-get", "download", "-q", *FONT_PACKAGES], cwd=fetched, check=True)
        for package in fetched.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, fetched], check=True)
            package.unlink()
        (fetched / "usr" / "share" / "fonts").rename(fonts)
        shutil.rmtree(fetched)
    settings = fonts / "fonts.conf"
    settings.write_text(FONT_SETTINGS.format(folder=fonts))
    os.environ["FONTCONFIG_FILE"] = str(settings)


def make(text: Text, maker: str, folder: Path) -> None:
    """Make one PDF, unless its source is the one that it was made from."""
    ending, typeset, print_pdf = MAKERS[maker]
    source = folder / f"{text.name}.{maker}.{ending}"
    target = folder / f"{text.name}.{maker}.pdf"
    content = typeset(text)
    if target.exists() and source.exists() and source.read_text("utf-8") == content:
        return
    source.write_text(content, "utf-8")
    target.unlink(missing_ok=True)
    print_pdf(text, source, target)
    if not target.exists():
        sys.exit(f"{maker} made no {target.name} of {source}")


def families(text: Text) -> list[str]:
    """Return the fonts of a text: its script's, and one for Latin letters in it."""
    return [FAMILIES[text.language], LATIN] if text.language in FAMILIES else [LATIN]


def family(text: Text) -> str:
    """Return the fonts of a text as CSS."""
    return ", ".join(f"'{name}'" for name in families(text)) + ", serif"


def run(*command: str | Path, output: Path | None = None) -> None:
    """Run a program, and write what it prints to a file. Ends with its messages if it fails."""
    done = subprocess.run(command, capture_output=True, check=False, timeout=TIMEOUT)
    if done.returncode:
        sys.exit(f"{command[0]} failed, exit {done.returncode}:\n{done.stderr.decode()}")
    if output:
        output.write_bytes(done.stdout)


def print_weasyprint(_: Text, source: Path, target: Path) -> None:
    """Print HTML with WeasyPrint."""
    from weasyprint import HTML

    HTML(filename=str(source)).write_pdf(str(target))


def print_chromium(_: Text, source: Path, target: Path) -> None:
    """Print HTML with Chromium."""
    profile = target.parent / "chromium"
    run(
        find_command("chromium") or "",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-pdf-header-footer",
        f"--user-data-dir={profile}",
        f"--print-to-pdf={target}",
        source.as_uri(),
    )


def print_libreoffice(_: Text, source: Path, target: Path) -> None:
    """Export a text with LibreOffice, which names the PDF after its source."""
    profile = (target.parent / "libreoffice").as_uri()
    run(
        find_command("libreoffice") or "",
        f"-env:UserInstallation={profile}",
        "--headless",
        "--convert-to",
        "pdf:writer_pdf_Export",
        "--outdir",
        target.parent,
        source,
    )


def print_typst(_: Text, source: Path, target: Path) -> None:
    """Compile Typst markup."""
    import typst

    fonts = [str(target.parent / "fonts")]
    typst.compile(str(source), output=str(target), font_paths=fonts, ignore_system_fonts=True)


def print_groff(text: Text, source: Path, target: Path, device: str = "pdf") -> None:
    """Format roff."""
    macros = [f"-m{text.language}"] if text.language in {"de", "fr"} else []
    run("groff", "-k", "-t", "-ms", *macros, f"-T{device}", "-dpaper=a4", source, output=target)


def print_ghostscript(text: Text, source: Path, target: Path) -> None:
    """Distil a print: groff's PostScript, or else a PDF of LibreOffice."""
    printed = target.with_suffix(".printed")
    if text.language in as_roff.LANGUAGES:
        print_groff(text, source, printed, "ps")
    else:
        distilled = target.with_name(f"{text.name}.libreoffice.pdf")
        make(text, "libreoffice", target.parent)
        shutil.copy(distilled, printed)
    run("gs", "-q", "-dBATCH", "-dNOPAUSE", "-sDEVICE=pdfwrite", f"-sOutputFile={target}", printed)
    printed.unlink()


def typeset_for_ghostscript(text: Text) -> str:
    """Return the source of a print to distil."""
    if text.language in as_roff.LANGUAGES:
        return as_roff.typeset(text)
    return as_fodt.typeset(text, families(text))


MAKERS: dict[str, tuple[str, Callable[[Text], str], Callable[[Text, Path, Path], None]]] = {
    "weasyprint": (
        "html",
        lambda text: as_html.typeset(text, family(text), footnotes=True),
        print_weasyprint,
    ),
    "chromium": (
        "html",
        lambda text: as_html.typeset(text, family(text), footnotes=False),
        print_chromium,
    ),
    "libreoffice": ("fodt", lambda text: as_fodt.typeset(text, families(text)), print_libreoffice),
    "typst": ("typ", lambda text: as_typst.typeset(text, families(text)), print_typst),
    "groff": ("ms", as_roff.typeset, print_groff),
    "ghostscript": ("source", typeset_for_ghostscript, print_ghostscript),
}

if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
