"""An index asked questions whose answers are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from ingest.commands.eval.cache import cache_embeddings
from ingest.commands.eval.compare import parse_recipes
from ingest.commands.eval.evaluate import NO_PAGE, NO_PASSAGE, NO_SOURCE, answer_key, evaluate
from ingest.commands.eval.questions import AnswerLocation, Question
from ingest.config.settings import Settings
from ingest.embed import Embedder, PartialEmbedding
from ingest.errors import ConfigError
from ingest.models import Mode, StoredChunk
from tests.conftest import DIMENSIONS, MODEL, Bench, Embeds
from tests.pdfs import write


def create_model(embeds: Embeds) -> Embedder:
    return Embedder(embeds, MODEL, DIMENSIONS, 4, lambda: 100_000, 2)


@pytest.fixture
def filled(bench: Bench) -> Bench:
    """Two documents, one in a folder."""
    write(bench.folder / "mill.pdf", "The mill turns the grain into flour at night.")
    (bench.folder / "tools").mkdir()
    lathe = ["A lathe turns wood on its spindle.", "Its bearing is oiled every second March."]
    write(bench.folder / "tools/lathe.pdf", *lathe)
    bench.run()
    return bench


def test_an_answer_that_comes_first_scores_one(filled: Bench) -> None:
    """By words here, as these vectors mean nothing; the file is known by its name alone."""
    asked = [
        Question("grain flour", (AnswerLocation("mill.pdf", (1,)),), "turns the grain into flour"),
        Question("bearing oiled", (AnswerLocation("lathe.pdf", (2,)),), "oiled every second March"),
    ]
    found = evaluate(filled.index, create_model(filled.embeds), asked)

    assert found.hit_rate[Mode.TEXT] == {1: 1, 3: 1, 5: 1, 10: 1}
    assert found.mrr[Mode.TEXT] == found.ndcg[Mode.TEXT] == found.recall[Mode.TEXT] == 1
    assert 0 < found.precision[Mode.TEXT] < 1
    assert found.unanswerable == found.missed_questions(Mode.TEXT, 1) == []
    assert set(found.answers_by_mode) == set(Mode)


def test_what_cannot_be_answered_says_why_and_counts_as_missed(filled: Bench) -> None:
    """The reason may be a missing document, a missing page or missing words."""
    asked = [
        Question("flour", (AnswerLocation("bakery.pdf", (1,)),)),
        Question("flour", (AnswerLocation("mill.pdf", (7,)),)),
        Question(
            "flour", (AnswerLocation("mill.pdf", (1,)),), "bread is baked of rye in the morning"
        ),
        Question("flour", (AnswerLocation("mill.pdf"),)),
    ]
    found = evaluate(filled.index, create_model(filled.embeds), asked)

    assert [one.missing_reason for one in found.unanswerable] == [NO_SOURCE, NO_PAGE, NO_PASSAGE]
    assert found.hit_rate[Mode.TEXT][10] == 0.25


def test_the_page_is_not_enough_where_the_passage_is_known(bench: Bench) -> None:
    """Of a page in several chunks, only those that hold the words answer."""
    words = "\n".join(f"Word{n} stands here." for n in range(50))
    write(bench.folder / "long.pdf", f"{words}\nThe lock keeper counts the boats at dawn.")
    bench.run()
    passage = "The lock keeper counts the boats at dawn."
    places = (AnswerLocation("long.pdf", (1,)),)
    by_passage = evaluate(
        bench.index, create_model(bench.embeds), [Question("Word3", places, passage)]
    ).answers_by_mode[Mode.TEXT][0]
    by_page = evaluate(
        bench.index, create_model(bench.embeds), [Question("Word3", places)]
    ).answers_by_mode[Mode.TEXT][0]

    assert (by_page.hit(1), by_passage.hit(1)) == (1, 0)
    assert 0 < by_passage.answers < by_page.answers


def test_a_description_of_a_figure_is_no_passage_of_the_author() -> None:
    """A model's words score only where I ask for a page, on which the figure is."""
    own, mark = "Sales rose from 3 to 9 last year.", "[Figure 3, AI-generated]\n"
    stored = [
        StoredChunk(id_, "docs", "a.pdf", "f", 0, 1, 1, (), text)
        for id_, text in (("a", own), ("b", mark + own))
    ]
    places = (AnswerLocation("a.pdf", (1,)),)
    by_passage = answer_key(Question("Sales?", places, own), {"a.pdf": stored})
    assert by_passage.answers == {own}
    assert mark + own not in by_passage.passage_runs
    assert answer_key(Question("Sales?", places), {"a.pdf": stored}).answers == {own, mark + own}


def test_questions_are_embedded_as_many_at_once_as_the_model_takes(filled: Bench) -> None:
    """Questions are embedded in batches, and passages never."""
    filled.embeds.texts.clear()
    asked = [
        Question(f"question {n}", (AnswerLocation("mill.pdf"),), "grain into flour")
        for n in range(6)
    ]
    evaluate(filled.index, create_model(filled.embeds), asked)
    assert filled.embeds.texts == [question.text for question in asked]


def test_recipes_are_read_from_what_i_type() -> None:
    """`--compare` varies settings, alone or together, starting with the current ones."""
    settings = Settings()
    found = parse_recipes(["tokens=256,512", "chunk-tokens=128,64,overlap=0,0.2"], settings)
    assert [(s.chunk_tokens, s.chunk_overlap) for s in found] == [
        (512, 0.12),
        (256, 0.12),
        (128, 0),
        (128, 0.2),
        (64, 0),
        (64, 0.2),
    ]


@pytest.mark.parametrize(
    "wrong", ["256", "model=ada", "tokens=many", "tokens=4", "overlap=0.9", ""]
)
def test_a_recipe_that_cannot_be_meant_is_refused(wrong: str) -> None:
    """A wrong recipe is an error before anything is read."""
    with pytest.raises(ConfigError, match="--compare"):
        parse_recipes([wrong], Settings())


def test_a_text_is_embedded_once_for_all_recipes() -> None:
    """What an earlier recipe has embedded costs nothing, and the vectors are the same."""
    embeds = Embeds()
    asked = cache_embeddings(create_model(embeds), {}).embed
    first = asked(["a", "b", "a"])
    again = asked(["b", "c"])

    assert embeds.texts == ["a", "b", "c"]
    assert np.array_equal(first[0], first[2])
    assert np.array_equal(again[0], first[1])


def test_a_text_that_the_model_refuses_is_told_by_its_place_in_the_call() -> None:
    """However many of the call were known before."""

    def embed(texts: Sequence[str]) -> object:
        if "bad" in texts:
            good = [text for text in texts if text != "bad"]
            raise PartialEmbedding(Embeds()(good), {list(texts).index("bad"): "no"})
        return Embeds()(texts)

    asked = cache_embeddings(Embedder(embed, MODEL, DIMENSIONS, 4, lambda: 100, 1), {}).embed  # type: ignore[arg-type]
    asked(["a"])
    with pytest.raises(PartialEmbedding) as refused:
        asked(["a", "b", "bad"])
    assert refused.value.reasons == {2: "no"}
