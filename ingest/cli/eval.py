"""`ingest eval`: whether the index answers, and which recipe answers best."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from ingest.cli import load_settings, logs, run
from ingest.cli import output as show
from ingest.commands.eval.compare import (
    RecipeResult,
    check_token_limit,
    compare_recipes,
    parse_recipes,
)
from ingest.commands.eval.evaluate import evaluate
from ingest.commands.eval.metrics import mean_difference
from ingest.commands.eval.questions import Question, load_questions
from ingest.commands.eval.results import (
    COVERAGE_CHUNKS,
    HIT_RANKS,
    METRIC_DEPTH,
    TOKEN_BUDGET,
    AnsweredQuestion,
    Evaluation,
    FoundChunk,
)
from ingest.config.connections import create_connections
from ingest.config.embedding import create_embedder
from ingest.config.index import index_name, open_index
from ingest.config.settings import Settings
from ingest.errors import ConfigError
from ingest.models import Mode

MAX_LINE_CHARS = 100  # characters
MEASURE_NAMES = [
    *(f"hit@{k}" for k in HIT_RANKS),
    "MRR",
    f"nDCG@{METRIC_DEPTH}",
    "recall",
    "precision",
    "IoU",
]
FOOTNOTE = (
    f"recall, precision and IoU: tokens of the passages in the first {COVERAGE_CHUNKS} chunks"
)


def main(options: argparse.Namespace) -> int:
    """Do what the options say; returns the exit code."""
    settings = load_settings(options)
    asked = load_questions(options.questions)
    if options.compare:
        return compare_and_report(options, settings, asked)
    if options.roots:
        raise ConfigError(
            "a root is read for --compare only: without it the index is asked as it is"
        )
    to = create_connections(settings)
    model = create_embedder(settings, to)
    where = open_index(settings, model, to)
    try:
        held = where.totals()
        if not held.chunks:
            raise ConfigError(
                f"the index in {index_name(settings)} is empty: fill it with ingest run"
            )
        evaluation = evaluate(where, model, asked)
    finally:
        where.close()
        model.close()
    if options.json:
        print(
            "\n".join(json.dumps(line, ensure_ascii=False) for line in evaluation_json(evaluation))
        )
    else:
        about = f"{show.pluralize(len(asked), 'question')}, {index_name(settings)}: "
        print(about + show.pluralize(held.chunks, "chunk"))
        print("\n".join(("", *format_measures(evaluation), *format_misses(evaluation, options))))
    return 0


def compare_and_report(
    options: argparse.Namespace, settings: Settings, questions: Sequence[Question]
) -> int:
    """The recipes that --compare names, each with an index of its own."""
    # An exception, so that no side index is left behind.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    names = run.named_roots(options, settings)
    variations = parse_recipes(options.compare, settings)
    check_token_limit(variations, names, settings.max_tokens if options.max_tokens else None)
    done: list[RecipeResult] = []
    for number, one in enumerate(compare_recipes(variations, names, questions), 1):
        done.append(one)
        if options.json:
            print(json.dumps(recipe_json(one, done[0]), ensure_ascii=False), flush=True)
        elif not options.quiet:
            of = f"{number} of {len(variations)}: {one.name}"
            logs.log_event(logging.INFO, of, event="progress")
    if not options.json:
        print(
            f"{show.pluralize(len(questions), 'question')}, {show.pluralize(len(done), 'recipe')}, hybrid"
        )
        print("\n".join(("", *format_comparison(done))))
    return 0


def measure_values(evaluation: Evaluation, mode: Mode) -> list[float]:
    """The MEASURES of one mode."""
    return [
        *evaluation.hit_rate[mode].values(),
        evaluation.mrr[mode],
        evaluation.ndcg[mode],
        evaluation.recall[mode],
        evaluation.precision[mode],
        evaluation.iou[mode],
    ]


def format_measures(evaluation: Evaluation) -> Iterator[str]:
    """The measures of every mode, and what they are."""
    yield "        " + "".join(f"{name:>10}" for name in MEASURE_NAMES)
    for mode in Mode:
        yield f"{mode:<8}" + "".join(f"{value:10.3f}" for value in measure_values(evaluation, mode))
    if evaluation.passage_positions:
        yield FOOTNOTE


def format_misses(evaluation: Evaluation, options: argparse.Namespace) -> Iterator[str]:
    """The questions that were not answered, and what came instead."""
    if options.quiet:
        return
    misses = evaluation.missed_questions(Mode.HYBRID, COVERAGE_CHUNKS)
    if misses:
        yield f"\n{len(misses):,} missed: no answer among the first {COVERAGE_CHUNKS} of a hybrid search"
    for one in misses[: options.misses]:
        rank = f"  (rank {one.ranks[0]})" if one.ranks else ""
        yield f"\n  {shorten_line(one.question.text)}"
        yield f"    wanted  {format_expected(one)}{rank}"
        yield (
            f"    came    {format_found_chunk(one.hits[0])}" if one.hits else "    came    nothing"
        )
    if len(misses) > options.misses:
        yield f"\n  and {len(misses) - options.misses:,} more: --misses {len(misses)}"
    if evaluation.unanswerable:
        yield f"\n{len(evaluation.unanswerable):,} that this index cannot answer; they count as missed"
    for one in evaluation.unanswerable[: options.misses]:
        yield f"\n  {shorten_line(one.question.text)}"
        yield f"    wanted  {format_expected(one)}"
        yield f"    but     {one.missing_reason}"


def format_expected(one: AnsweredQuestion) -> str:
    """Where the answer stands, and its words."""
    places = [
        f"{place.source} {'page' if len(place.pages) == 1 else 'pages'} "
        f"{', '.join(map(str, place.pages))}"
        if place.pages
        else place.source
        for place in one.question.places
    ]
    passage = f": {one.question.passage}" if one.question.passage else ""
    return shorten_line(" or ".join(places) + passage)


def format_found_chunk(found: FoundChunk) -> str:
    """Where a chunk stands, and how it begins."""
    first, last = found.page_start, found.page_end
    pages = f"page {first}" if first == last else f"pages {first}-{last}"
    return shorten_line(f"{found.source} {pages}: {found.text}")


def shorten_line(text: str) -> str:
    """A text on one line, as much as fits."""
    line = show.escape_unprintable(" ".join(text.split()))
    return line if len(line) <= MAX_LINE_CHARS else line[: MAX_LINE_CHARS - 1] + "…"


def format_comparison(results: Sequence[RecipeResult]) -> Iterator[str]:
    """What each recipe comes to, then how sure it is that it differs from the first."""
    width = max(len(one.name) for one in results) + 2
    names = ("chunks", "tokens", "hit@1", "hit@5", "MRR", "nDCG@10", "recall", "IoU", "in budget")
    yield " " * width + "".join(f"{name:>10}" for name in names)
    for one in results:
        found, mode = one.evaluation, Mode.HYBRID
        values = (found.hit_rate[mode][1], found.hit_rate[mode][5], found.mrr[mode])
        more = (found.ndcg[mode], found.recall[mode], found.iou[mode], found.recall_in_budget[mode])
        counts = f"{one.chunks:10,}{one.tokens:10,}"
        yield f"{one.name:<{width}}{counts}" + "".join(f"{v:10.3f}" for v in (*values, *more))
    yield f"in budget: tokens of the passages in as many chunks as make {TOKEN_BUDGET:,} tokens together"
    if len(results) > 1:
        yield f"\n{'less the first (p)':<{width}}" + "".join(
            f"{name:>18}" for name in COMPARED_SCORES
        )
    for one in results[1:]:
        apart = score_differences(one, results[0]).values()
        yield f"{one.name:<{width}}" + "".join(f"{d:+9.3f} ({p:.3f})".rjust(18) for d, p in apart)


COMPARED_SCORES = {
    "hit@5": lambda one: one.hit(5),
    "nDCG@10": AnsweredQuestion.ndcg,
    "in budget": AnsweredQuestion.recall_in_budget,
}


def score_differences(one: RecipeResult, first: RecipeResult) -> dict[str, tuple[float, float]]:
    """By how much a recipe is better than the first, and the p of that, by the measure's name."""
    mode = Mode.HYBRID
    mine, others = one.evaluation.answers_by_mode[mode], first.evaluation.answers_by_mode[mode]
    return {
        name: mean_difference([score(a) for a in mine], [score(a) for a in others])
        for name, score in COMPARED_SCORES.items()
    }


def evaluation_json(evaluation: Evaluation) -> Iterator[dict[str, object]]:
    """An object a question, then one with the measures."""
    for answers in zip(*evaluation.answers_by_mode.values(), strict=True):
        one = answers[0]
        yield {
            "event": "question",
            "question": one.question.text,
            "places": [asdict(place) for place in one.question.places],
            "passage": one.question.passage,
            "lacking": one.lacking,
            "ranks": {m: a.ranks for m, a in zip(evaluation.answers_by_mode, answers, strict=True)},
            "came": format_found_chunk(one.hits[0]) if one.hits else "",
        }
    yield {
        "event": "summary",
        "questions": len(evaluation.answers_by_mode[Mode.HYBRID]),
    } | mode_measures(evaluation)


def mode_measures(evaluation: Evaluation) -> dict[str, object]:
    """The measures by the name of the mode."""
    return {
        mode: dict(zip(MEASURE_NAMES, measure_values(evaluation, mode), strict=True))
        | {"in_budget": evaluation.recall_in_budget[mode]}
        for mode in Mode
    }


def recipe_json(one: RecipeResult, first: RecipeResult) -> dict[str, object]:
    """One recipe as a line of JSON."""
    counts = {"event": "recipe", "recipe": one.name, "chunks": one.chunks, "tokens": one.tokens}
    apart = {n: {"difference": d, "p": p} for n, (d, p) in score_differences(one, first).items()}
    return counts | mode_measures(one.evaluation) | {"against_first": apart}
