"""Quality of retrieval on twelve sets of questions, next to LangChain's and LlamaIndex's splitters.

    retrieval.py [SET ...] [--embedder local:multilingual] [--english] [--half 1]

The sets are in `retrieval/`, half of each in a questioner's words and half in the document's.
`manuals` (English), `reports` (yearly reports of invented companies, whose name stands in the
file's name only) and `german` (a quarter of the questions in English, and with `--english` all of
them) have over a hundred questions each, and may be used to choose weights and defaults. `guides`
(English and French) and `handbooks` (English, French asked in English, Russian; 70 questions) may
not: look at their figures last, and choose nothing by them. `japanese`
(manuals) and `arabic` (leaflets of an invented municipality) have 68 and 64, and `foreign` has 64
in seven languages to English manuals, all in English with `--english`; two lines of four may be
used, the next two not. `english-german`, `english-japanese` (each asked in English), `russian`, and
`languages` (French, Spanish, Italian, Dutch, Chinese, each asked in the document's language) have
151 to 170. Their halves are told apart by a hash of the question; `--half 1` is the one that may be
used, and measures `ingest` alone.

The documents come from Debian's packages (see debian_pdfs.py) or are made here. All splitters use
the same embedding model; the others' keyword search is bm25s, and their fusion is reciprocal rank
fusion with equal weights, which is LangChain's EnsembleRetriever. A chunk answers if it holds half
of the passage. Differences are means over the questions with a bootstrap interval of 95 %.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from debian_pdfs import CACHE, unpack
from measure import ROOT

from ingest import Settings, ingest
from ingest.chunk.tokens import count_tokens
from ingest.commands.eval.evaluate import (
    MIN_PASSAGE_SHARE,
    TOP_CHUNKS,
    AnswerKey,
    SearchableIndex,
    answer_key,
    chunks_by_source,
)
from ingest.commands.eval.metrics import (
    count_within_budget,
    coverage,
    hit_at,
    longest_shared_run,
    reciprocal_rank,
    tokenize_words,
)
from ingest.commands.eval.questions import Question, load_questions
from ingest.commands.eval.results import COVERAGE_CHUNKS
from ingest.commands.search.excerpts import add_excerpts
from ingest.commands.search.scripts import uses_vector
from ingest.config.connections import create_connections
from ingest.config.embedding import create_embedder
from ingest.config.index import open_index
from ingest.embed import Embedder
from ingest.models import Mode, StoredChunk, Vectors

HERE = Path(__file__).parent / "retrieval"
sys.path.insert(0, str(HERE))

from leaflets import make_leaflets  # noqa: E402 - beside the script that needs no `ingest`
from reports import make_reports  # noqa: E402

FOLDER = CACHE / "retrieval"
DOCUMENTS = {  # package: PDFs, by the end of their names
    "manuals": {
        "claws-mail-doc": ["en_claws-mail-manual.pdf"],
        "fai-doc": ["fai-guide.pdf"],
        "live-manual-pdf": ["live-manual.portrait.en.a4.pdf"],
        "auto-multiple-choice-doc-pdf": ["auto-multiple-choice.en.pdf"],
        "gpsbabel-doc": ["gpsbabel.pdf"],
        "winff-doc": ["WinFF.en.pdf"],
        "muttprint-manual": ["manual-en.pdf"],
        "r-doc-pdf": ["R-FAQ.pdf"],
    },
    "reports": {},
    "german": {
        "debian-reference-de": ["debian-reference.de.pdf"],
        "debian-faq-de": ["debian-faq.de.pdf"],
        "maint-guide-de": ["maint-guide.de.pdf"],
        "ubuntu-packaging-guide-pdf-de": ["ubuntu-packaging-guide.pdf"],
        "developers-reference-de": ["developers-reference.pdf"],
    },
    "guides": {
        "openafs-doc": ["auusg000.pdf"],
        "r-doc-pdf": ["R-intro.pdf"],
        "systemtap-doc": ["SystemTap_Beginners_Guide.pdf"],
        "expeyes-doc-en": ["en-eyes.pdf"],
        "debian-faq-fr": ["debian-faq.fr.pdf"],
        "dibbler-doc": ["dibbler-user.pdf"],
    },
    "handbooks": {
        "debian-faq-ru": ["debian-faq.ru.pdf"],
        "gnustep-base-doc": ["gs-standards.pdf"],
        "maint-guide-fr": ["maint-guide.fr.pdf"],
        "mit-scheme-doc": ["mit-scheme-user.pdf"],
        "music-doc": ["music-manual.pdf"],
        "r-doc-pdf": ["R-data.pdf"],
        "stealth-doc": ["stealth.pdf"],
        "systemtap-doc": ["tutorial.pdf"],
    },
    "japanese": {
        "maint-guide-ja": ["maint-guide.ja.pdf"],
        "auto-multiple-choice-doc-pdf": ["auto-multiple-choice.ja.pdf"],
    },
    "arabic": {},
    "foreign": {
        "graphviz-doc": ["dotguide.pdf"],
        "openafs-doc": ["auqbg000.pdf"],
        "r-doc-pdf": ["R-lang.pdf"],
        "systemtap-doc": ["langref.pdf"],
    },
    "english-german": {
        "debian-edu-doc-de": ["debian-edu-bookworm-manual.pdf"],
        "debian-refcard": ["refcard-de-a4.pdf"],
        "muttprint-manual": ["manual-de.pdf"],
    },
    "russian": {
        "debian-refcard": ["refcard-ru-a4.pdf"],
        "maint-guide-ru": ["maint-guide.ru.pdf"],
        "ubuntu-packaging-guide-pdf-ru": ["ubuntu-packaging-guide.pdf"],
    },
    "english-japanese": {
        "debian-edu-doc-ja": ["debian-edu-bookworm-manual.pdf"],
        "developers-reference-ja": ["developers-reference.pdf"],
    },
    "languages": {
        "claws-mail-doc": ["fr_claws-mail-manual.pdf"],
        "debian-faq-it": ["debian-faq.it.pdf"],
        "debian-refcard": ["refcard-nl-a4.pdf"],
        "maint-guide-zh-cn": ["maint-guide.zh-cn.pdf"],
        "muttprint-manual": ["manual-es.pdf"],
        "ubuntu-packaging-guide-pdf-es": ["ubuntu-packaging-guide.pdf"],
        "winff-doc": ["WinFF.nl.pdf"],
    },
}
MAKERS = {"reports": make_reports, "arabic": make_leaflets}
# Where tiktoken looks for the vocabulary of cl100k_base before it would download it.
VOCABULARY = ROOT / "tests" / "chunk" / "cl100k_base.tiktoken.gz"
CACHED_AS = "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"

RRF_K = 60
DEPTH = 50  # of each ranking that is fused
TOKEN_BUDGET = 2000
SAMPLES = 10_000  # of the bootstrap
MEASURES = ("hit@5", "page@5", "MRR", "recall in 2,000", "visible@5")
OURS = "ingest"


@dataclass(frozen=True, slots=True)
class Found:
    """One chunk of a ranking."""

    source: str
    page: int  # that is cited
    text: str
    excerpt: str = ""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sets", nargs="*", default=list(DOCUMENTS))
    parser.add_argument("--embedder", default="local")
    parser.add_argument("--english", action="store_true")
    parser.add_argument("--half", type=int, choices=(1, 2))
    options = parser.parse_args()
    settings = Settings(embedder=options.embedder)
    model = cache_vectors(create_embedder(settings, create_connections(settings)))
    for name in options.sets:
        measure(name, model, options.half, in_english=options.english)


def measure(name: str, model: Embedder, half: int | None, *, in_english: bool) -> None:
    """Score one set with every splitter, or a half of it with ours, and print a table."""
    folder = make_documents(name)
    file = HERE / f"{name}.jsonl"
    questions = load_questions(file)
    if in_english:
        lines = map(json.loads, file.read_text("utf-8").splitlines())
        questions = [
            replace(question, text=line.get("english", question.text))
            for question, line in zip(questions, lines, strict=True)
        ]
    questions = [each for each in questions if half in {None, half_of(each)}]
    asked = [question.text for question in questions]
    vectors = np.stack([model.embed_questions([text])[0] for text in asked])
    scores = {
        f"{OURS}, {mode}": rows
        for mode, rows in search_ours(folder, questions, vectors, model).items()
    }
    others = {} if half else split_by_others(folder, asked)
    for splitter, answer in others.items():
        for mode, rows in search_others(answer, questions, vectors, model).items():
            scores[f"{splitter}, {mode}"] = rows
    print_scores(name, scores)


def half_of(question: Question) -> int:
    """Return the half of its set that a question is in: 1 or 2."""
    return 1 + hashlib.sha256(question.text.encode()).digest()[0] % 2


def make_documents(name: str) -> Path:
    """Return the folder of a set's PDFs; fetch or make them the first time."""
    folder = FOLDER / name
    if folder.exists():
        return folder
    made = folder.with_name(f".{name}")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    if name in MAKERS:
        MAKERS[name](made)
    for package, ends in DOCUMENTS[name].items():
        for file in unpack(package).glob("*.pdf"):
            if file.name.endswith(tuple(ends)):
                shutil.copy(file, made)
    made.rename(folder)
    return folder


def cache_vectors(model: Embedder) -> Embedder:
    """Keep the vectors of a model on disk: the sets are embedded once, whatever is tried."""
    file = FOLDER / f"{model.model.replace(':', '-')}.npz"
    known: dict[str, Vectors] = dict(np.load(file)) if file.exists() else {}

    def embed(texts: Sequence[str]) -> Vectors:
        keys = [hashlib.sha256(text.encode()).hexdigest()[:32] for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if new:
            known.update(zip(new, model.embed(list(new.values())), strict=True))
        return np.stack([known[key] for key in keys])

    def save() -> None:
        FOLDER.mkdir(parents=True, exist_ok=True)
        np.savez(file, allow_pickle=False, **known)

    def embed_query(texts: Sequence[str]) -> Vectors:
        return embed(texts) if model.embed_query is None else model.embed_query(texts)

    return replace(model, embed=embed, embed_query=embed_query, at_once=1, close=save)


def search_ours(
    folder: Path, questions: Sequence[Question], vectors: Vectors, model: Embedder
) -> dict[str, list[list[float]]]:
    """Bring the index of a folder up to date, and score its answers in every mode."""
    index = FOLDER / f"{folder.name}.{model.model.replace(':', '-')}.index"
    for _ in ingest(folder, index=index, embed=model):
        pass
    model.close()
    settings = Settings(index=str(index))
    with closing(open_index(settings, model, create_connections(settings))) as opened:
        known = chunks_by_source(opened, questions)
        keys = [answer_key(question, known) for question in questions]
        print_unanswerable(OURS, keys)
        return {
            str(mode): [
                score(
                    key,
                    find_ours(opened, key.question, vector, mode, model),
                )
                for key, vector in zip(keys, vectors, strict=True)
            ]
            for mode in Mode
        }


def find_ours(
    index: SearchableIndex,
    question: Question,
    vector: Vectors,
    mode: Mode,
    model: Embedder,
) -> list[Found]:
    """Search as `ingest search` does: the first five hits have the page and lines shown."""
    asked = vector if uses_vector(mode, question.text, model.model) else None
    hits = index.search(question.text, asked, mode, TOP_CHUNKS)
    shown = add_excerpts(question.text, asked, hits[:COVERAGE_CHUNKS], model)
    return [
        Found(str(hit.fields["source"]), hit.page, str(hit.fields["content"]), hit.excerpt)
        for hit in (*shown, *hits[COVERAGE_CHUNKS:])
    ]


def split_by_others(folder: Path, asked: Sequence[str]) -> dict[str, Any]:
    """Return the others' chunks and keyword rankings, kept until what they depend on changes."""
    question = json.dumps({"folder": str(folder), "questions": asked})
    stamp = (HERE / "split.py").read_text() + (HERE / "requirements.txt").read_text() + question
    kept = FOLDER / f"{folder.name}.{hashlib.sha256(stamp.encode()).hexdigest()[:16]}.json"
    if not kept.exists():
        cached = FOLDER / "vocabulary" / CACHED_AS
        cached.parent.mkdir(exist_ok=True)
        cached.write_bytes(gzip.decompress(VOCABULARY.read_bytes()))
        answer = subprocess.run(
            [find_python(), str(HERE / "split.py")],
            input=question.encode(),
            stdout=subprocess.PIPE,
            check=True,
            env=os.environ | {"TIKTOKEN_CACHE_DIR": str(cached.parent)},
        )
        kept.write_bytes(answer.stdout)
    answers: dict[str, Any] = json.loads(kept.read_bytes())
    return answers


def find_python() -> str:
    """Return the interpreter of the benchmark's environment; make it if its packages differ."""
    home, wanted = CACHE / "retrieval-environment", HERE / "requirements.txt"
    stamp, interpreter = home / wanted.name, home / "bin" / "python"
    if not (stamp.exists() and stamp.read_bytes() == wanted.read_bytes()):
        print(f"Setting up {home} (once) ...", flush=True)
        venv.create(home, clear=True, symlinks=True, with_pip=True)
        pip = [str(interpreter), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, "--requirement", str(wanted)], check=True)
        shutil.copy(wanted, stamp)
    return str(interpreter)


def search_others(
    answer: Mapping[str, Any],
    questions: Sequence[Question],
    asked: Vectors,
    model: Embedder,
) -> dict[str, list[list[float]]]:
    """Score a splitter by vectors, by words, and fused."""
    chunks = [Found(*chunk) for chunk in answer["chunks"]]
    rows = np.concatenate([model.embed([chunk.text]) for chunk in chunks])
    model.close()
    by_vector = np.argsort(-(asked @ rows.T), axis=1, kind="stable")[:, :DEPTH].tolist()
    known = defaultdict(list)
    for number, chunk in enumerate(chunks):
        known[chunk.source].append(
            StoredChunk(
                str(number), "", chunk.source, "", number, chunk.page, chunk.page, (), chunk.text
            )
        )
    keys = [answer_key(question, known) for question in questions]
    rankings = {
        "hybrid": [fuse(*pair) for pair in zip(by_vector, answer["best"], strict=True)],
        "vector": by_vector,
        "text": answer["best"],
    }
    return {
        mode: [
            score(key, [chunks[number] for number in ranked[:TOP_CHUNKS]])
            for key, ranked in zip(keys, ranking, strict=True)
        ]
        for mode, ranking in rankings.items()
    }


def fuse(*rankings: Sequence[int]) -> list[int]:
    """Fuse rankings by reciprocal rank, with equal weights."""
    sums: dict[int, float] = defaultdict(float)
    for ranking in rankings:
        for rank, number in enumerate(ranking, 1):
            sums[number] += 1 / (RRF_K + rank)
    return sorted(sums, key=lambda number: -sums[number])


def score(key: AnswerKey, found: Sequence[Found]) -> list[float]:
    """Score the hits of one question by MEASURES."""
    sizes = count_tokens([each.text for each in found])
    count = count_within_budget(sizes, TOKEN_BUDGET)
    right = [
        any(place.matches_source(each.source) for place in key.question.places) for each in found
    ]
    ranks = [
        rank for rank, each in enumerate(found, 1) if right[rank - 1] and each.text in key.answers
    ]
    cited = [
        rank
        for rank in ranks
        if any(
            place.covers_pages(found[rank - 1].source, found[rank - 1].page, found[rank - 1].page)
            for place in key.question.places
        )
    ]
    shown = [
        (len(tokenize_words(each.text)), key.passage_runs.get(each.text, range(0)))
        for each, is_right in zip(found[:count], right, strict=False)
        if is_right
    ]
    lines = [tokenize_words(each.excerpt) for each in found[:COVERAGE_CHUNKS]]
    return [
        hit_at(ranks, 5),
        hit_at(cited, 5),
        reciprocal_rank(ranks, 10),
        coverage(key.passage, shown).recall,
        float(any(is_visible(key.passage, each) for each in lines)),
    ]


def is_visible(passage: Sequence[str], lines: Sequence[str]) -> bool:
    """Return whether half of a passage is in some lines."""
    return len(longest_shared_run(passage, lines)) >= MIN_PASSAGE_SHARE * len(passage)


def print_unanswerable(name: str, keys: Sequence[AnswerKey]) -> None:
    """Print how many questions no chunk answers."""
    if missing := [key for key in keys if key.missing_reason]:
        print(f"{name}: {len(missing)} of {len(keys)} questions cannot be answered")


def print_scores(name: str, scores: Mapping[str, Sequence[Sequence[float]]]) -> None:
    """Print the means, and the difference of our hybrid search to each with its interval."""
    ours = np.array(scores[f"{OURS}, hybrid"])
    head = "".join(f"{measure:>17}" for measure in MEASURES)
    title = f"{name} ({len(ours)} questions)"
    print(f"\n{title:<36}{head}   hybrid minus this: hit@5, MRR", flush=True)
    for label, rows in scores.items():
        values = np.array(rows)
        line = f"{label:<36}" + "".join(f"{value:17.3f}" for value in values.mean(axis=0))
        if label != f"{OURS}, hybrid":
            line += "".join(f"   {describe_difference(ours[:, m] - values[:, m])}" for m in (0, 2))
        print(line)


def describe_difference(differences: Vectors) -> str:
    """Format a mean with its bootstrap interval."""
    random = np.random.default_rng(0)
    size = len(differences)
    means = differences[random.integers(0, size, (SAMPLES, size))].mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return f"{differences.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


if __name__ == "__main__":
    main()
