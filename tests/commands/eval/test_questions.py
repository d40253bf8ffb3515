"""Files of questions with known answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ingest.commands.eval.questions import AnswerLocation, Question, load_questions
from ingest.errors import ConfigError
from ingest.extract.document import ExtractOptions, extract
from tests.conftest import ROOT


def write_questions(folder: Path, *lines: object) -> Path:
    path = folder / "questions.jsonl"
    path.write_text(
        "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), "utf-8"
    )
    return path


def test_a_question_names_the_page_and_the_words_that_answer_it(tmp_path: Path) -> None:
    """One JSON object a line; blank lines do not matter, nor does a byte order mark."""
    line = {"question": " Who? ", "source": "a/b.pdf", "pages": [3, 4], "passage": "She did."}
    path = write_questions(tmp_path, line, "", {"question": "Where?", "source": "b.pdf"})
    path.write_text("\ufeff" + path.read_text("utf-8"), "utf-8")

    assert load_questions(path) == [
        Question("Who?", (AnswerLocation("a/b.pdf", (3, 4)),), "She did."),
        Question("Where?", (AnswerLocation("b.pdf"),)),
    ]


def test_the_ground_truth_of_the_chat_sample_is_read_as_it_is(tmp_path: Path) -> None:
    """Its answers cite files and pages, sometimes several, sometimes one twice."""
    truth = "Up to $200 [Benefit Options.pdf#page=3][plus.pdf#page=1], or [plus.pdf#page=7]. [x.md]"
    path = write_questions(tmp_path, {"question": "How much?", "truth": truth})

    (asked,) = load_questions(path)
    assert asked.places == (
        AnswerLocation("Benefit Options.pdf", (3,)),
        AnswerLocation("plus.pdf", (1, 7)),
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not JSON"),
        ("[1]", 'has no "question"'),
        ({"question": "Who?"}, 'needs a "question"'),
        ({"question": "", "source": "a.pdf"}, 'needs a "question"'),
        ({"question": "Who?", "source": "a.pdf", "pages": ["3"]}, "numbers"),
        ({"question": "Who?", "source": "a.pdf", "pages": [True]}, "numbers"),
        ({"question": "Who?", "truth": "nobody knows"}, "cites"),
    ],
)
def test_a_line_that_cannot_be_meant_is_named(tmp_path: Path, line: object, said: str) -> None:
    """I am told which line it is; none is left out in silence."""
    path = write_questions(tmp_path, {"question": "Who?", "source": "a.pdf"}, line)
    with pytest.raises(ConfigError, match=f"line 2.*{said}"):
        load_questions(path)


def test_a_file_without_questions_is_no_evaluation(tmp_path: Path) -> None:
    """An empty file, one that is not there, and one that is no text."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="the file has none"):
        load_questions(write_questions(tmp_path, ""))
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_questions(tmp_path / "missing")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_questions(tmp_path / "binary")


def test_a_source_is_known_by_its_name_or_the_end_of_it() -> None:
    """Ground truth often knows the file and not its folder; half a name is no name."""
    assert AnswerLocation("b.pdf").matches_source("a/b.pdf")
    assert AnswerLocation("a/b.pdf").matches_source("a/b.pdf")
    assert not AnswerLocation("b.pdf").matches_source("ab.pdf")
    assert AnswerLocation("b.pdf", (3,)).covers_pages("b.pdf", 2, 3)
    assert not AnswerLocation("b.pdf", (4,)).covers_pages("b.pdf", 2, 3)


def test_every_passage_of_the_sample_questions_stands_on_its_page() -> None:
    """What answers can be looked up; there are many, and in every language of the samples."""
    asked = load_questions(ROOT / "data/questions.jsonl")
    assert len({question.text for question in asked}) == len(asked) >= 60
    pages: dict[str, list[str]] = {}
    for question in asked:
        (place,) = question.places
        if place.source not in pages:
            document = extract((ROOT / "data" / place.source).read_bytes(), ExtractOptions())
            pages[place.source] = [" ".join(page.split()) for page in document.pages]
        there = [pages[place.source][page - 1] for page in place.pages]
        assert any(question.passage in page for page in there), question
    assert {Path(source).name for source in pages} >= {
        "handbook.pdf",
        "arbeitsordnung.pdf",
        "règlement intérieur.pdf",
        "安全ガイド.pdf",
        "دليل-السلامة.pdf",
    }
