"""`ingest eval`: score the index on questions with known answers, or compare recipes."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import chain

from ingest.cli import load_settings, logs, open_index_and_model
from ingest.cli.progress import progress_logger
from ingest.cli.run import named_roots
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
from ingest.commands.eval.weight import HIT_RANK, TRIED_WEIGHTS, Gain, WeightFit, fit_weight
from ingest.config.connections import create_connections
from ingest.config.index import check_searchable, index_name
from ingest.config.settings import Settings
from ingest.errors import ConfigError
from ingest.models import Mode
from ingest.runtime.formatting import escape_unprintable, pluralize, to_json

MAX_LINE_CHARS = 100  # characters
MEASURE_NAMES = [
    "cited page",
    "answer visible",
    *(f"hit@{k}" for k in HIT_RANKS),
    "MRR",
    f"nDCG@{METRIC_DEPTH}",
    "recall",
    "precision",
    "IoU",
]
FOOTNOTE = (
    f"cited page, answer visible: in the first {COVERAGE_CHUNKS} hits as a search shows them\n"
    f"recall, precision and IoU: tokens of the passages in the first {COVERAGE_CHUNKS} chunks"
)


def main(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    settings = load_settings(options)
    questions = load_questions(options.questions)
    if options.compare:
        return compare_and_report(options, settings, questions)
    if options.roots:
        raise ConfigError(
            "roots are for --compare: add it, or leave them out to score the index as it is"
        )
    with open_index_and_model(settings, create_connections(settings)) as (index, model):
        totals = check_searchable(index, model, settings)
        weights = {*TRIED_WEIGHTS, index.hybrid_weight}
        log_progress = progress_logger("question", quiet=options.quiet)
        evaluation = evaluate(
            index, model, questions, weights=sorted(weights), on_progress=log_progress
        )
        fit = fit_weight(evaluation.ranks_by_weight, index.hybrid_weight)
    if options.json:
        print("\n".join(to_json(line) for line in evaluation_json(evaluation, fit)))
    else:
        about = f"{pluralize(len(questions), 'question')}, {index_name(settings)}: "
        print(about + pluralize(totals.chunks, "chunk"))
        parts = (format_measures(evaluation), format_fit(fit), format_misses(evaluation, options))
        print("\n".join(("", *chain(*parts))))
    return 0


def compare_and_report(
    options: argparse.Namespace, settings: Settings, questions: Sequence[Question]
) -> int:
    """Score the recipes that --compare names, each on a temporary index of its own."""
    # Raise an exception, so that the temporary indexes are removed.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    names = named_roots(options, settings)
    variations = parse_recipes(options.compare, settings)
    check_token_limit(variations, names, settings.max_tokens if options.max_tokens else None)
    results: list[RecipeResult] = []
    for number, result in enumerate(compare_recipes(variations, names, questions), 1):
        results.append(result)
        if options.json:
            print(to_json(recipe_json(result, results[0])), flush=True)
        elif not options.quiet:
            message = f"{number} of {len(variations)}: {result.name}"
            logs.log_event(logging.INFO, message, event="progress")
    if not options.json:
        print(
            f"{pluralize(len(questions), 'question')}, {pluralize(len(results), 'recipe')}, hybrid"
        )
        print("\n".join(("", *format_comparison(results))))
    return 0


def measure_values(evaluation: Evaluation, mode: Mode) -> list[float]:
    """Values of MEASURE_NAMES for one mode."""
    return [
        evaluation.cited_page[mode],
        evaluation.answer_visible[mode],
        *evaluation.hit_rate[mode].values(),
        evaluation.mrr[mode],
        evaluation.ndcg[mode],
        evaluation.recall[mode],
        evaluation.precision[mode],
        evaluation.iou[mode],
    ]


def format_measures(evaluation: Evaluation) -> Iterator[str]:
    """Format the measures of every mode as a table, with a footnote."""
    widths = [max(9, len(name)) for name in MEASURE_NAMES]
    yield " " * 7 + "".join(f" {n:>{w}}" for n, w in zip(MEASURE_NAMES, widths, strict=True))
    for mode in Mode:
        values = zip(measure_values(evaluation, mode), widths, strict=True)
        yield f"{mode:<7}" + "".join(f" {value:{width}.3f}" for value, width in values)
    if evaluation.passage_positions:
        yield FOOTNOTE


def format_fit(fit: WeightFit | None) -> Iterator[str]:
    """Format the fitted weight of vectors, and its gain."""
    if not fit:
        return
    change = f"hybrid weight {fit.best:g} instead of {fit.current:g}"
    gains = f"hit@{HIT_RANK} {format_gain(fit.hit)}, MRR {format_gain(fit.mrr)}"
    if fit.is_better:
        yield f"\n{change}: {gains}; set INGEST_HYBRID_WEIGHT={fit.best:g}"
    elif fit.best == fit.current:
        yield f"\nhybrid weight {fit.current:g} is the best for these questions"
    else:
        yield f"\n{change} may be chance: {gains}; keep {fit.current:g}"


def format_gain(gain: Gain) -> str:
    """Format a mean difference with its interval and p-value."""
    return f"{gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}] (p {gain.p:.3f})"


def format_misses(evaluation: Evaluation, options: argparse.Namespace) -> Iterator[str]:
    """Format the questions without an answer, each with the first hit instead."""
    if options.quiet:
        return
    misses = evaluation.missed_questions(Mode.HYBRID, COVERAGE_CHUNKS)
    if misses:
        where = f"the first {COVERAGE_CHUNKS} hits of a hybrid search"
        yield f"\n{len(misses):,} missed: no answer among {where}"
    for answer in misses[: options.misses]:
        rank = f"  (rank {answer.ranks[0]})" if answer.ranks else ""
        yield f"\n  {shorten_line(answer.question.text)}"
        yield f"    expected  {format_expected(answer)}{rank}"
        yield (
            f"    found     {format_found_chunk(answer.hits[0])}"
            if answer.hits
            else "    found     nothing"
        )
    if len(misses) > options.misses:
        yield f"\n  and {len(misses) - options.misses:,} more: --misses {len(misses)}"
    if evaluation.unanswerable:
        count = len(evaluation.unanswerable)
        yield f"\n{count:,} that this index cannot answer; they count as missed"
    for answer in evaluation.unanswerable[: options.misses]:
        yield f"\n  {shorten_line(answer.question.text)}"
        yield f"    expected  {format_expected(answer)}"
        yield f"    but       {answer.missing_reason}"


def format_expected(answer: AnsweredQuestion) -> str:
    """Format the expected places and passage of an answer."""
    places = [
        f"{place.source} {'page' if len(place.pages) == 1 else 'pages'} "
        f"{', '.join(map(str, place.pages))}"
        if place.pages
        else place.source
        for place in answer.question.places
    ]
    passage = f": {answer.question.passage}" if answer.question.passage else ""
    return shorten_line(" or ".join(places) + passage)


def format_found_chunk(found: FoundChunk) -> str:
    """Format the source, pages and beginning of a chunk."""
    first, last = found.page_start, found.page_end
    pages = f"page {first}" if first == last else f"pages {first}-{last}"
    return shorten_line(f"{found.source} {pages}: {found.text}")


def shorten_line(text: str) -> str:
    """Join a text into one line of at most MAX_LINE_CHARS."""
    line = escape_unprintable(" ".join(text.split()))
    return line if len(line) <= MAX_LINE_CHARS else line[: MAX_LINE_CHARS - 1] + "…"


def format_comparison(results: Sequence[RecipeResult]) -> Iterator[str]:
    """Format the scores of each recipe, then their differences from the first, with p-values."""
    width = max(len(result.name) for result in results) + 2
    names = (
        "chunks",
        "tokens",
        "cited page",
        "visible",
        "hit@1",
        "hit@5",
        "MRR",
        "nDCG@10",
        "recall",
        "IoU",
        "in budget",
    )
    yield " " * width + "".join(f"{name:>11}" for name in names)
    for result in results:
        found, mode = result.evaluation, Mode.HYBRID
        shown = (found.cited_page[mode], found.answer_visible[mode])
        values = (*shown, found.hit_rate[mode][1], found.hit_rate[mode][5], found.mrr[mode])
        more = (found.ndcg[mode], found.recall[mode], found.iou[mode], found.recall_in_budget[mode])
        counts = f"{result.chunks:11,}{result.tokens:11,}"
        yield f"{result.name:<{width}}{counts}" + "".join(f"{v:11.3f}" for v in (*values, *more))
    yield f"in budget: tokens of the passages in the first chunks up to {TOKEN_BUDGET:,} tokens"
    if len(results) > 1:
        yield f"\n{'minus the first (p)':<{width}}" + "".join(
            f"{name:>18}" for name in COMPARED_SCORES
        )
    for result in results[1:]:
        differences = score_differences(result, results[0]).values()
        yield f"{result.name:<{width}}" + "".join(
            f"{d:+9.3f} ({p:.3f})".rjust(18) for d, p in differences
        )


COMPARED_SCORES = {
    "cited page": AnsweredQuestion.cited_page,
    "hit@5": lambda one: one.hit(5),
    "nDCG@10": AnsweredQuestion.ndcg,
    "in budget": AnsweredQuestion.recall_in_budget,
}


def score_differences(result: RecipeResult, first: RecipeResult) -> dict[str, tuple[float, float]]:
    """Mean difference of a recipe from the first, and its p-value, by the measure's name."""
    mode = Mode.HYBRID
    answers = result.evaluation.answers_by_mode[mode]
    first_answers = first.evaluation.answers_by_mode[mode]
    return {
        name: mean_difference([score(a) for a in answers], [score(a) for a in first_answers])
        for name, score in COMPARED_SCORES.items()
    }


def evaluation_json(evaluation: Evaluation, fit: WeightFit | None) -> Iterator[dict[str, object]]:
    """JSON objects of an evaluation: one for each question, then the summary."""
    answers: tuple[AnsweredQuestion, ...]  # to one question, by mode
    for answers in zip(*evaluation.answers_by_mode.values(), strict=True):
        one = answers[0]
        yield {
            "event": "question",
            "question": one.question.text,
            "places": [asdict(place) for place in one.question.places],
            "passage": one.question.passage,
            "lacking": one.missing_reason,
            "ranks": {m: a.ranks for m, a in zip(evaluation.answers_by_mode, answers, strict=True)},
            "came": format_found_chunk(one.hits[0]) if one.hits else "",
        }
    yield {
        "event": "summary",
        "questions": len(evaluation.answers_by_mode[Mode.HYBRID]),
        "weight": asdict(fit) if fit else None,
    } | mode_measures(evaluation)


def mode_measures(evaluation: Evaluation) -> dict[str, object]:
    """Measures by the name of the mode."""
    return {
        mode: dict(zip(MEASURE_NAMES, measure_values(evaluation, mode), strict=True))
        | {"in_budget": evaluation.recall_in_budget[mode]}
        for mode in Mode
    }


def recipe_json(result: RecipeResult, first: RecipeResult) -> dict[str, object]:
    """JSON object of one recipe's scores."""
    counts = {
        "event": "recipe",
        "recipe": result.name,
        "chunks": result.chunks,
        "tokens": result.tokens,
    }
    differences = {
        n: {"difference": d, "p": p} for n, (d, p) in score_differences(result, first).items()
    }
    return counts | mode_measures(result.evaluation) | {"against_first": differences}
