"""`ingest eval`: whether the index answers, and which recipe answers best."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from ingest.cli import configured, logs, run
from ingest.cli import output as show
from ingest.commands.eval.compare import Compared, affordable, compared, recipes
from ingest.commands.eval.evaluate import evaluate
from ingest.commands.eval.metrics import difference
from ingest.commands.eval.questions import Question, questions
from ingest.commands.eval.results import BUDGET, COVERED, CUTS, DEPTH, Answered, Evaluation, Found
from ingest.config.connections import connections
from ingest.config.factory import embedder, index, index_name
from ingest.config.settings import Settings
from ingest.errors import ConfigError
from ingest.models import Mode

LINE = 100  # characters
MEASURES = [*(f"hit@{k}" for k in CUTS), "MRR", f"nDCG@{DEPTH}", "recall", "precision", "IoU"]
FOOTNOTE = f"recall, precision and IoU: tokens of the passages in the first {COVERED} chunks"


def main(options: argparse.Namespace) -> int:
    """Do what the options say; returns the exit code."""
    settings = configured(options)
    asked = questions(options.questions)
    if options.compare:
        return side_by_side(options, settings, asked)
    if options.roots:
        raise ConfigError(
            "a root is read for --compare only: without it the index is asked as it is"
        )
    to = connections(settings)
    model = embedder(settings, to)
    where = index(settings, model, to)
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
        print("\n".join(json.dumps(line, ensure_ascii=False) for line in as_json(evaluation)))
    else:
        about = f"{show.many(len(asked), 'question')}, {index_name(settings)}: "
        print(about + show.many(held.chunks, "chunk"))
        print("\n".join(("", *table(evaluation), *missed(evaluation, options))))
    return 0


def side_by_side(options: argparse.Namespace, settings: Settings, asked: Sequence[Question]) -> int:
    """The recipes that --compare names, each with an index of its own."""
    # An exception, so that no side index is left behind.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    names = run.named_roots(options, settings)
    variations = recipes(options.compare, settings)
    affordable(variations, names, settings.max_tokens if options.max_tokens else None)
    done: list[Compared] = []
    for number, one in enumerate(compared(variations, names, asked), 1):
        done.append(one)
        if options.json:
            print(json.dumps(recipe_json(one, done[0]), ensure_ascii=False), flush=True)
        elif not options.quiet:
            of = f"{number} of {len(variations)}: {one.name}"
            logs.tell(logging.INFO, of, event="progress")
    if not options.json:
        print(f"{show.many(len(asked), 'question')}, {show.many(len(done), 'recipe')}, hybrid")
        print("\n".join(("", *comparison(done))))
    return 0


def measures(evaluation: Evaluation, mode: Mode) -> list[float]:
    """The MEASURES of one mode."""
    return [
        *evaluation.hit_rate[mode].values(),
        evaluation.mrr[mode],
        evaluation.ndcg[mode],
        evaluation.recall[mode],
        evaluation.precision[mode],
        evaluation.iou[mode],
    ]


def table(evaluation: Evaluation) -> Iterator[str]:
    """The measures of every mode, and what they are."""
    yield "        " + "".join(f"{name:>10}" for name in MEASURES)
    for mode in Mode:
        yield f"{mode:<8}" + "".join(f"{value:10.3f}" for value in measures(evaluation, mode))
    if evaluation.passages:
        yield FOOTNOTE


def missed(evaluation: Evaluation, options: argparse.Namespace) -> Iterator[str]:
    """The questions that were not answered, and what came instead."""
    if options.quiet:
        return
    misses = evaluation.missed(Mode.HYBRID, COVERED)
    if misses:
        yield f"\n{len(misses):,} missed: no answer among the first {COVERED} of a hybrid search"
    for one in misses[: options.misses]:
        rank = f"  (rank {one.ranks[0]})" if one.ranks else ""
        yield f"\n  {short(one.question.text)}"
        yield f"    wanted  {wanted(one)}{rank}"
        yield f"    came    {came(one.hits[0])}" if one.hits else "    came    nothing"
    if len(misses) > options.misses:
        yield f"\n  and {len(misses) - options.misses:,} more: --misses {len(misses)}"
    if evaluation.lacking:
        yield f"\n{len(evaluation.lacking):,} that this index cannot answer; they count as missed"
    for one in evaluation.lacking[: options.misses]:
        yield f"\n  {short(one.question.text)}"
        yield f"    wanted  {wanted(one)}"
        yield f"    but     {one.lacking}"


def wanted(one: Answered) -> str:
    """Where the answer stands, and its words."""
    places = [
        f"{place.source} {'page' if len(place.pages) == 1 else 'pages'} "
        f"{', '.join(map(str, place.pages))}"
        if place.pages
        else place.source
        for place in one.question.places
    ]
    passage = f": {one.question.passage}" if one.question.passage else ""
    return short(" or ".join(places) + passage)


def came(found: Found) -> str:
    """Where a chunk stands, and how it begins."""
    first, last = found.page_start, found.page_end
    pages = f"page {first}" if first == last else f"pages {first}-{last}"
    return short(f"{found.source} {pages}: {found.text}")


def short(text: str) -> str:
    """A text on one line, as much as fits."""
    line = show.printable(" ".join(text.split()))
    return line if len(line) <= LINE else line[: LINE - 1] + "…"


def comparison(done: Sequence[Compared]) -> Iterator[str]:
    """What each recipe comes to, then how sure it is that it differs from the first."""
    width = max(len(one.name) for one in done) + 2
    names = ("chunks", "tokens", "hit@1", "hit@5", "MRR", "nDCG@10", "recall", "IoU", "in budget")
    yield " " * width + "".join(f"{name:>10}" for name in names)
    for one in done:
        found, mode = one.evaluation, Mode.HYBRID
        values = (found.hit_rate[mode][1], found.hit_rate[mode][5], found.mrr[mode])
        more = (found.ndcg[mode], found.recall[mode], found.iou[mode], found.affordable[mode])
        counts = f"{one.chunks:10,}{one.tokens:10,}"
        yield f"{one.name:<{width}}{counts}" + "".join(f"{v:10.3f}" for v in (*values, *more))
    yield f"in budget: tokens of the passages in as many chunks as make {BUDGET:,} tokens together"
    if len(done) > 1:
        yield f"\n{'less the first (p)':<{width}}" + "".join(f"{name:>18}" for name in SCORES)
    for one in done[1:]:
        apart = differences(one, done[0]).values()
        yield f"{one.name:<{width}}" + "".join(f"{d:+9.3f} ({p:.3f})".rjust(18) for d, p in apart)


SCORES = {
    "hit@5": lambda one: one.hit(5),
    "nDCG@10": Answered.ndcg,
    "in budget": Answered.affordable,
}


def differences(one: Compared, first: Compared) -> dict[str, tuple[float, float]]:
    """By how much a recipe is better than the first, and the p of that, by the measure's name."""
    mode = Mode.HYBRID
    mine, others = one.evaluation.answered[mode], first.evaluation.answered[mode]
    return {
        name: difference([score(a) for a in mine], [score(a) for a in others])
        for name, score in SCORES.items()
    }


def as_json(evaluation: Evaluation) -> Iterator[dict[str, object]]:
    """An object a question, then one with the measures."""
    for answers in zip(*evaluation.answered.values(), strict=True):
        one = answers[0]
        yield {
            "event": "question",
            "question": one.question.text,
            "places": [asdict(place) for place in one.question.places],
            "passage": one.question.passage,
            "lacking": one.lacking,
            "ranks": {m: a.ranks for m, a in zip(evaluation.answered, answers, strict=True)},
            "came": came(one.hits[0]) if one.hits else "",
        }
    yield {"event": "summary", "questions": len(evaluation.answered[Mode.HYBRID])} | modes(
        evaluation
    )


def modes(evaluation: Evaluation) -> dict[str, object]:
    """The measures by the name of the mode."""
    return {
        mode: dict(zip(MEASURES, measures(evaluation, mode), strict=True))
        | {"in_budget": evaluation.affordable[mode]}
        for mode in Mode
    }


def recipe_json(one: Compared, first: Compared) -> dict[str, object]:
    """One recipe as a line of JSON."""
    counts = {"event": "recipe", "recipe": one.name, "chunks": one.chunks, "tokens": one.tokens}
    apart = {n: {"difference": d, "p": p} for n, (d, p) in differences(one, first).items()}
    return counts | modes(one.evaluation) | {"against_first": apart}
