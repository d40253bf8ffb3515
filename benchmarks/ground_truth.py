"""Quality of the extracted text on PDFs whose text is known, against other libraries.

    ground_truth.py                     make what is missing, score, compare with the floor
    ground_truth.py --words NAME ...    also print the words that differ; tuning documents only
    ground_truth.py --set-floor         write the scores as the new floor

The texts are in `truth/texts`, in several scripts, with columns, tables, lists, footnotes, forms
and sidebars. WeasyPrint, Chromium, LibreOffice, Typst, groff and Ghostscript make PDFs of them
(`truth/make.py`), in an environment of the benchmark's own in `.benchmarks`, or below the folder
that INGEST_BENCHMARKS names. There the other libraries run as well (`truth/read.py`).

Three shares, the more the better: F1 of the words, F1 of pairs of neighbouring words, and the order
(the longest common subsequence of words). Where a reader may go either way, as with a sidebar, the
best order counts, for every library.

Who changes the extraction looks at documents of the tuning part only; the unseen part says whether
that was for all documents or for those. Exit 1: a document is below its floor.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import fmean

from measure import ROOT

from ingest.extract.document import ExtractOptions, extract

HERE = Path(__file__).parent / "truth"
sys.path.insert(0, str(HERE))

from scores import Score, score, split_words  # noqa: E402 - beside the scripts that need no `ingest`
from texts import Text, known_texts, load_texts  # noqa: E402

CACHE = Path(os.environ.get("INGEST_BENCHMARKS", ROOT / ".benchmarks"))
FLOOR = HERE / "floor.json"
FLOOR_TOLERANCE = 0.005  # another version of a maker breaks lines elsewhere
OURS = "ingest"
ENOUGH = 0.0005  # a share that is less by this is no less: it prints alike
SAMPLES = 2000  # of the bootstrap
INTERVAL = 0.95
COLUMNS = Score._fields


@dataclass(frozen=True, slots=True)
class Result:
    """The scores of one PDF, by library."""

    text: Text
    maker: str
    scores: Mapping[str, Score]

    @property
    def name(self) -> str:
        """The name of the PDF."""
        return f"{self.text.name}.{self.maker}"

    def shortfall(self) -> list[str]:
        """List the columns in which another library is better."""
        others = [value for name, value in self.scores.items() if name != OURS]
        return [
            column
            for place, column in enumerate(COLUMNS)
            if self.scores[OURS][place] < max(other[place] for other in others) - ENOUGH
        ]


def main() -> None:
    """Make, score and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--words", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--set-floor", action="store_true")
    options = parser.parse_args()
    python = find_python()
    folder = CACHE / "truth"
    subprocess.run([python, str(HERE / "make.py"), str(folder)], check=True)
    files = {
        (text, maker): file
        for text in load_texts()
        for maker in text.makers
        if (file := folder / f"{text.name}.{maker}.pdf").exists()
    }
    texts = read_by_others(python, folder, list(files.values()))
    results = []
    for (text, maker), file in files.items():
        found = {OURS: read_ours(file), **texts[str(file)]}
        results.append(Result(text, maker, {name: best(text, t) for name, t in found.items()}))
        if any(name in f"{text.name}.{maker}" for name in options.words) and text.part == "tuning":
            print_words(text, maker, found)
    print_results(results)
    if options.set_floor:
        floor = {
            result.name: [round(share, 4) for share in result.scores[OURS]] for result in results
        }
        rows = (f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in floor.items())
        FLOOR.write_text("{\n" + ",\n".join(rows) + "\n}\n")
    sys.exit(1 if print_below_floor(results) else 0)


def find_python() -> str:
    """Return the interpreter of the benchmark's environment; make it if its packages differ."""
    home, wanted = CACHE / "environment", HERE / "requirements.txt"
    stamp, interpreter = home / wanted.name, home / "bin" / "python"
    if not (stamp.exists() and stamp.read_bytes() == wanted.read_bytes()):
        print(f"Setting up {home} (once) ...", flush=True)
        venv.create(home, clear=True, symlinks=True, with_pip=True)
        pip = [str(interpreter), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, "--requirement", str(wanted)], check=True)
        shutil.copy(wanted, stamp)
    return str(interpreter)


def read_by_others(python: str, folder: Path, files: Sequence[Path]) -> dict[str, dict[str, str]]:
    """Return the text by each other library of each PDF, kept until the PDF is made anew."""
    kept = folder / "others.json"
    stamp = (HERE / "read.py").read_text() + (HERE / "requirements.txt").read_text()
    known = json.loads(kept.read_text()) if kept.exists() else {}
    if known.get("stamp") != stamp:
        known = {"stamp": stamp, "texts": {}, "times": {}}
    times = {str(file): file.stat().st_mtime for file in files}
    changed = [name for name, time in times.items() if known["times"].get(name) != time]
    if changed:
        answer = subprocess.run(
            [python, str(HERE / "read.py"), *changed], stdout=subprocess.PIPE, check=True
        ).stdout
        known["texts"] |= json.loads(answer)
        known["times"] |= times
        kept.write_text(json.dumps(known))
    texts: dict[str, dict[str, str]] = known["texts"]
    return texts


def read_ours(file: Path) -> str:
    """Return the text as a run reads it; the bars and the rule of a table are how it is written."""
    text = "\n".join(extract(file.read_bytes(), ExtractOptions()).pages)
    text = re.sub(r"^\|(?: --- \|)+$", "", text, flags=re.MULTILINE)
    return re.sub(r"^\| | \|$| \| ", "\n", text, flags=re.MULTILINE)


def best(text: Text, found: str) -> Score:
    """Score a text against the known one; of several orders that may be read, the best."""
    words = split_words(found, text.language)
    wanted = (split_words(known, text.language) for known in known_texts(text))
    return max((score(known, words) for known in wanted), key=lambda each: each.bigrams)


def print_results(results: Sequence[Result]) -> None:
    """Print means by part, script, maker and kind, then the intervals, then what is less."""
    names = list(results[0].scores)
    print(f"{'words bigrams order':<30}{'PDFs':>5}  " + "".join(f"{name:<20}" for name in names))
    groups: list[tuple[str, Callable[[Result], Iterable[str]]]] = [
        ("part", lambda result: ["all", result.text.part]),
        ("scripts", lambda result: ["Latin" if result.text.script == "Latin" else "other scripts"]),
        ("unseen", lambda result: latin_or_other(result, "unseen")),
        ("tuning", lambda result: latin_or_other(result, "tuning")),
        ("script", lambda result: [result.text.script]),
        ("maker", lambda result: [result.maker]),
        ("kind", lambda result: result.text.kinds),
    ]
    for title, labels in groups:
        members: dict[str, list[Result]] = defaultdict(list)
        for result in results:
            for label in labels(result):
                members[label].append(result)
        for label, group in sorted(members.items()):
            print_row(f"{title}: {label}", group, names)
        print()
    print_intervals(results)
    print_shortfalls(results)


def latin_or_other(result: Result, part: str) -> list[str]:
    """Return the group of a result within a part; none outside of it."""
    script = "Latin" if result.text.script == "Latin" else "other scripts"
    return [script] if result.text.part == part else []


def print_row(label: str, results: Sequence[Result], names: Sequence[str]) -> None:
    """Print the means of a group, with a mark at each of ours that another library beats."""
    means = [
        Score(*map(fmean, zip(*(r.scores[name] for r in results), strict=True))) for name in names
    ]
    best_others = [max(column) for column in zip(*means[1:], strict=True)]
    less = ["<" if o < b - ENOUGH else " " for o, b in zip(means[0], best_others, strict=True)]
    shown = "".join(f"{share:.3f}{mark}" for share, mark in zip(means[0], less, strict=True))
    others = "".join(f"{' '.join(f'{share:.3f}' for share in mean):<20}" for mean in means[1:])
    print(f"{label:<30}{len(results):>5}  {shown:<20}{others}".rstrip())


def print_intervals(results: Sequence[Result]) -> None:
    """Print the bootstrap intervals of the means of ours, and of its lead; texts are resampled.

    PDFs of the same text are not independent, so whole texts are drawn.
    """
    by_text: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_text[f"{result.text.part} {result.text.name}"].append(result)
    for part in ("tuning", "unseen", ""):
        texts = [group for name, group in by_text.items() if name.startswith(part)]
        random = Random(0)
        draws = [
            [result for group in random.choices(texts, k=len(texts)) for result in group]
            for _ in range(SAMPLES)
        ]
        print(f"{part or 'all'}: {INTERVAL:.0%} intervals")
        print(f"  {OURS:<22}" + spans(draws, None))
        for name in results[0].scores:
            if name != OURS:
                print(f"  {OURS} - {name:<13}" + spans(draws, name))
    print()


def spans(draws: Sequence[Sequence[Result]], other: str | None) -> str:
    """Return the interval of each column's mean over draws, of ours or of its lead."""
    shown = []
    for place in range(len(COLUMNS)):
        means = sorted(
            fmean(r.scores[OURS][place] - (r.scores[other][place] if other else 0) for r in draw)
            for draw in draws
        )
        low, high = (means[round(edge * (len(means) - 1))] for edge in tail_edges())
        shown.append(f"{low:+.3f} to {high:+.3f}")
    return "   ".join(shown)


def tail_edges() -> tuple[float, float]:
    """Return the quantiles at both ends of the interval."""
    return (1 - INTERVAL) / 2, (1 + INTERVAL) / 2


def print_shortfalls(results: Sequence[Result]) -> None:
    """Print the documents in which another library is better, and in which columns."""
    less = [(result, columns) for result in results if (columns := result.shortfall())]
    print(
        f"{len(results) - len(less)} of {len(results)} PDFs: none is better in any column. Others:"
    )
    for result, columns in sorted(less, key=lambda item: item[0].scores[OURS].bigrams):
        ours = " ".join(f"{share:.3f}" for share in result.scores[OURS])
        rivals = {
            column: max((s[place], name) for name, s in result.scores.items() if name != OURS)
            for place, column in enumerate(COLUMNS)
        }
        shown = ", ".join(f"{c} {rivals[c][0]:.3f} ({rivals[c][1]})" for c in columns)
        print(f"  {result.text.part} {result.name:<30} {ours}   less than {shown}")


def print_words(text: Text, maker: str, found: Mapping[str, str]) -> None:
    """Print the words of each library that differ from the known ones."""
    print(f"{text.name}.{maker}")
    for name, each in found.items():
        words = split_words(each, text.language)
        known = max(
            (split_words(one, text.language) for one in known_texts(text)),
            key=lambda one: score(one, words).bigrams,
        )
        print(f"  {name} {' '.join(f'{share:.3f}' for share in score(known, words))}")
        matcher = difflib.SequenceMatcher(None, known, words, autojunk=False)
        for tag, a, b, c, d in matcher.get_opcodes():
            if tag != "equal":
                print(f"    {' '.join(known[a:b])!r} -> {' '.join(words[c:d])!r}")


def print_below_floor(results: Sequence[Result]) -> bool:
    """Print the documents below their floor, and return whether there are any."""
    floor = json.loads(FLOOR.read_text()) if FLOOR.exists() else {}
    below = [
        (result.name, column, share, least)
        for result in results
        if result.name in floor
        for column, share, least in zip(
            COLUMNS, result.scores[OURS], floor[result.name], strict=True
        )
        if share < least - FLOOR_TOLERANCE
    ]
    print(f"\n{len(below)} figures below the floor")
    for name, column, share, least in below:
        print(f"  {name} {column}: {share:.4f}, floor {least:.4f}")
    return bool(below)


if __name__ == "__main__":
    main()
