"""CPU to extract real documents by many makers, relative to the bare text engine.

The PDFs come from Debian's documentation packages, fetched once with `apt-get download` (Debian or
Ubuntu, no root) and kept outside of the checkout's history in `.benchmarks/packages`, or below the
folder that INGEST_BENCHMARKS names. Of each package the first PDFs by name are read, of up to
MAX_PAGES pages, so that no maker drowns the others.

Numerators: `extract()`, and `prepare()`, which chunks too. Denominator: PDFium loading each page
and giving its text. CPU seconds in this process, in turn, after a first call, medians. Garbage is
collected as rarely as in a reader.

Then one more pass under a profiler says how many pages were read word by word, and in which
functions the time goes. A profiler makes short Python functions look dearer than they are.

    debian_pdfs.py [--repetitions N] [--packages NAME ...]
"""

from __future__ import annotations

import argparse
import cProfile
import gzip
import os
import subprocess
import sys
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pypdfium2
from extract import bare, prepared, task
from measure import ROOT, cpu, taken_in_turn, tell, typical

from ingest.extract.document import ExtractOptions, extract
from ingest.extract.sandbox.child import collect_garbage_rarely
from ingest.pipeline.reader.prepare import Task

CACHE = Path(os.environ.get("INGEST_BENCHMARKS", ROOT / ".benchmarks"))
PACKAGES = Path(__file__).parent / "debian_pdfs.txt"

MAX_PAGES = 150  # of a PDF
MAX_PDFS = 4  # of a package
SLOWEST = 8  # documents that are listed
FUNCTIONS = 30  # that are listed
MODULES = 15  # that are listed

# The functions whose calls are counted, by what a call of each means for a page.
COUNTED = {
    "read_loaded_page": "pages read by PDFium",
    "arrange_by_words": "looked at more closely than line by line",
    "order_words": "analysed word by word",
}


@dataclass(frozen=True, slots=True)
class Timed:
    """CPU seconds that one document takes."""

    task: Task
    maker: str
    pages: int
    bare: float
    extract: float
    prepare: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--packages", nargs="*", default=PACKAGES.read_text().split())
    options = parser.parse_args()
    collect_garbage_rarely()
    files = [file for name in options.packages for file in select_pdfs(unpack(name))]
    timed = [time_document(file, options.repetitions) for file in files]
    print_makers(timed)
    print_slowest(timed)
    print_profile([each.task for each in timed])


def unpack(package: str) -> Path:
    """Return the folder of a package's PDFs; fetch and unpack it the first time."""
    folder = CACHE / "packages" / package
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    fetched = folder.with_name(f".{package}")
    fetched.mkdir(exist_ok=True)
    command = ["apt-get", "download", "-q", package]
    done = subprocess.run(command, cwd=fetched, capture_output=True, text=True, check=False)
    archives = list(fetched.glob("*.deb"))
    if done.returncode or not archives:
        sys.exit(f"{package}: apt-get cannot fetch it; run apt-get update:\n{done.stderr}")
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", archives[0]], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            pdfs = dict(iter_pdfs(archive))
    for name, data in pdfs.items():
        (fetched / name).write_bytes(data)
    archives[0].unlink()
    fetched.rename(folder)
    return folder


def iter_pdfs(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of each PDF of an archive."""
    for member in archive:
        if not member.isfile() or not member.name.endswith((".pdf", ".pdf.gz")):
            continue
        file = archive.extractfile(member)
        assert file
        data = file.read()
        name = member.name.removeprefix("./usr/share/").replace("/", "_")
        if name.endswith(".gz"):
            data, name = gzip.decompress(data), name.removesuffix(".gz")
        yield name, data


def select_pdfs(folder: Path) -> list[Path]:
    """Return the first PDFs of a folder that are not too long, and hold text."""
    chosen: list[Path] = []
    for file in sorted(folder.glob("*.pdf")):
        if len(chosen) < MAX_PDFS and count_pages(file) in range(1, MAX_PAGES + 1):
            chosen.append(file)
    return chosen


def count_pages(file: Path) -> int:
    """Return the number of pages of a PDF; 0 if it cannot be read."""
    try:
        return len(pypdfium2.PdfDocument(file))
    except pypdfium2.PdfiumError:
        return 0


def time_document(file: Path, repetitions: int) -> Timed:
    """Measure one document."""
    item = task(file)
    prepared(item)
    data = file.read_bytes()
    engine, extracted, all_of_it = taken_in_turn(
        repetitions,
        partial(cpu, partial(bare, item)),
        partial(cpu, partial(extract, data, ExtractOptions())),
        partial(cpu, partial(prepared, item)),
    )
    return Timed(
        item,
        name_maker(file),
        count_pages(file),
        typical(engine),
        typical(extracted),
        typical(all_of_it),
    )


def name_maker(file: Path) -> str:
    """Return the first words of a document's producer."""
    with pypdfium2.PdfDocument(file) as document:
        metadata = document.get_metadata_dict()
    words = (metadata["Producer"] or metadata["Creator"] or "unknown").replace("-", " ").split()
    name = [word for word in words if not word[0].isdigit() and word[0] not in "(|"]
    return " ".join(name[:2])[:24]


def print_makers(timed: Sequence[Timed]) -> None:
    """Print the ratios by maker and over all."""
    makers: dict[str, list[Timed]] = defaultdict(list)
    for each in timed:
        makers[each.maker].append(each)
    print(
        f"{'maker':<26}{'PDFs':>6}{'pages':>7}{'PDFium ms':>11}{'extract ms':>12}"
        f"{'ratio':>8}{'prepare':>9}"
    )
    for maker, documents in sorted(makers.items(), key=lambda item: -len(item[1])):
        print_row(maker, documents)
    print_row("all", timed)
    print()
    engine = sum(each.bare for each in timed)
    ratio = sum(each.extract for each in timed) / engine
    tell("extraction / PDFium alone, CPU", f"{ratio:.2f}", "target <= 1.5")
    ratio = sum(each.prepare for each in timed) / engine
    tell("extraction and chunking / PDFium alone, CPU", f"{ratio:.2f}")
    ratios = sorted(each.extract / each.bare for each in timed)
    tell("the median document", f"{ratios[len(ratios) // 2]:.2f}")


def print_row(label: str, documents: Sequence[Timed]) -> None:
    """Print one line: CPU per page, and the ratios."""
    pages = sum(each.pages for each in documents)
    engine, extracted, all_of_it = (
        sum(getattr(each, name) for each in documents) for name in ("bare", "extract", "prepare")
    )
    print(
        f"{label:<26}{len(documents):>6}{pages:>7}{1e3 * engine / pages:>11.2f}"
        f"{1e3 * extracted / pages:>12.2f}{extracted / engine:>8.2f}{all_of_it / engine:>9.2f}"
    )


def print_slowest(timed: Sequence[Timed]) -> None:
    """Print the documents whose extraction takes the most beyond the engine."""
    print("\nmost CPU beyond the engine's: seconds, ratio, pages")
    for each in sorted(timed, key=lambda each: each.bare - each.extract)[:SLOWEST]:
        print(
            f"  {each.extract - each.bare:>6.2f}{each.extract / each.bare:>6.2f}{each.pages:>5}  "
            f"{Path(each.task.source.location).parent.name}: {each.task.source.name[-50:]}"
        )


def print_profile(tasks: Sequence[Task]) -> None:
    """Print how many pages were looked at more closely, and where the time goes."""
    profile = cProfile.Profile()
    for item in tasks:
        data = Path(item.source.location).read_bytes()
        profile.runcall(extract, data, ExtractOptions())
    profile.create_stats()
    stats = profile.stats
    calls: dict[str, int] = defaultdict(int)
    modules: dict[str, float] = defaultdict(float)
    total = 0.0
    for (file, _, name), (count, _, own, _, _) in stats.items():
        calls[name] += count
        modules[name_module(file)] += own
        total += own
    print()
    pages = calls["read_loaded_page"]
    for name, meaning in COUNTED.items():
        tell(meaning, f"{calls[name]:,}", f"{calls[name] / max(1, pages):.0%}")
    print("\nself time by module, under a profiler")
    for module, seconds in sorted(modules.items(), key=lambda item: -item[1])[:MODULES]:
        print(f"  {seconds / total:>6.1%}  {module}")
    print("\nself time, calls, and time with callees by function, under a profiler")
    for (file, _, name), (count, _, own, whole, _) in sorted(
        stats.items(), key=lambda item: -item[1][2]
    )[:FUNCTIONS]:
        where = name_module(file)
        print(f"  {own / total:>6.1%} {count:>9,} {whole / total:>6.1%}  {name[:60]} ({where})")


def name_module(file: str) -> str:
    """Return the last two parts of a module's path."""
    return "builtins" if file == "~" else "/".join(Path(file).parts[-2:])


if __name__ == "__main__":
    main()
