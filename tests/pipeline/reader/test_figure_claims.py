"""Attacks by descriptions of figures, from a compromised reader or a picture."""

from __future__ import annotations

import io
import json
from typing import Any, cast

import pytest
from PIL import Image

from ingest.embed.chat import ChatAnswer, ChatQuestion
from ingest.extract.figures.describe import InvalidDescriptionError, parse_description
from ingest.extract.sandbox.pool import SandboxLimits
from ingest.models import Figure, PreparedDocument, Recipe, Source
from ingest.pipeline.reader.figures import FigureDescriber
from ingest.pipeline.reader.prepare import Task
from ingest.runtime.timing import Stopwatch
from tests.extract.ocr.test_page_cache import Shelf
from tests.scans import read, squares

FIGURE = Figure(1, (0.0, 0.0, 1.0, 1.0), caption="Figure 1", content="of mine")


class Chat:
    """A chat model that says what it sees."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ask(self, question: ChatQuestion) -> ChatAnswer:
        self.asked.append(read(Image.open(io.BytesIO(question.picture))))
        return ChatAnswer(json.dumps({"kind": "chart", "title": self.asked[-1]}), "m")

    def is_overdue(self) -> bool:
        return False

    def close(self) -> None:
        """Close nothing."""


@pytest.mark.parametrize("order", ["ma", "am"])
def test_a_claimed_figure_gives_no_description_of_another_document(order: str) -> None:
    """A reader that was taken over says that its figure is yours; its picture is not."""
    chat = Chat()
    describer = FigureDescriber(
        Shelf(), cast("Any", chat), "m", SandboxLimits(9, 1024), Stopwatch()
    )
    shown = {"m": "mine", "a": "evil"}
    try:
        for who in order * 2:
            source = Source("/docs", f"{who}.pdf", "", 1, "1")
            task = Task(source, "", Recipe("auto", 64, 0.0, "m", 8), "auto")
            out = io.BytesIO()
            squares(shown[who]).save(out, "PNG")
            picture = out.getvalue()
            document = PreparedDocument("f", 1, 0, "", (), figures=(FIGURE,))
            made = describer.describe(
                task, io.BytesIO(who.encode()), document, lambda *_, p=picture: p, asks=True
            )
            description = made.described[0].description
            assert description
            assert description.title == shown[who]
    finally:
        describer.close()
    assert sorted(chat.asked) == ["evil", "mine"]


def test_an_answer_of_ten_thousand_brackets_is_no_description() -> None:
    """A picture that tells the model what to write costs itself, not the run."""
    with pytest.raises(InvalidDescriptionError):
        parse_description('{"rows": ' + "[" * 50_000 + "]" * 50_000 + "}", "m")
