"""Describe the figures of a document with a chat model; each description is paid for once.

A description is cached in the index, with the pages read by OCR, as soon as it arrives. Its key
hashes the objects that draw the figure, the words sent with it, the model, the version of the
prompt, and the root. A sandbox that a document controls can claim to have seen any figure:
`find_entry` decides whether to trust an entry of another document.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from ingest.chunk.tokens import count_tokens
from ingest.embed.chat import ChatAnswer, ChatQuestion, ContentRefusedError, RequestRefusedError
from ingest.errors import DocumentError, ServiceError, StoppedError
from ingest.extract.figures.describe import (
    INSTRUCTIONS,
    PROMPT_VERSION,
    SCHEMA,
    InvalidDescriptionError,
    answer_room,
    check_description,
    parse_description,
    write_question,
)
from ingest.extract.figures.document import MAX_DESCRIBED_FIGURES
from ingest.extract.figures.image_tokens import count_image_tokens
from ingest.extract.figures.picture import expected_size, media_type, read_size
from ingest.extract.ocr.page_cache import OcrCache, SharedCalls, hash_bytes
from ingest.extract.sandbox.pool import SandboxLimits
from ingest.models import (
    CachedPage,
    DescribedFigure,
    Figure,
    FigureKind,
    FigureOutcome,
    PreparedDocument,
)
from ingest.pipeline.reader.figure_cache import Described, FigureCache, FigureTask
from ingest.pipeline.reader.figure_chunks import insert_figure_chunks
from ingest.pipeline.reader.page_images import RenderTask
from ingest.pipeline.reader.prepare import Task, render_pool
from ingest.pipeline.reader.scanned_pages import RenderPages, hash_file, render_alone
from ingest.runtime.cancellation import SENDER_THREADS
from ingest.runtime.prices import ChatTokens
from ingest.runtime.timing import DESCRIBING_FIGURES, Stopwatch

if TYPE_CHECKING:
    from ingest.embed.openai_chat import ChatModel
    from ingest.pipeline.images import ImageStore

log = logging.getLogger(__name__)

MAX_CONCURRENT_FIGURES = 8  # at a service
EXPECTED_ANSWER_TOKENS = 350  # of a description, in an estimate
MAX_PICTURE_BYTES = 8_000_000  # services accept 20 MB; no figure within its pixels has as many
WAIT_SECONDS = 0.5  # between checks for cancellation
NOT_YET = "the run ended before it was described"


class FigureDescriber:
    """Descriptions of figures, cached or asked for. Thread-safe, except for `close`.

    Without a chat model, as in `ingest plan`, only cached descriptions are returned.
    """

    def __init__(  # noqa: PLR0913 - its parts
        self,
        cache: OcrCache,
        chat: ChatModel | None,
        model: str,
        limits: SandboxLimits,
        times: Stopwatch,
        *,
        images: ImageStore | None = None,
    ) -> None:
        self.cache = FigureCache(cache, keeps=chat is not None)
        self.chat = chat
        self.model = model  # a part of the key
        self.times = times
        self.images = images  # keeps the pictures that were described; None: they are not kept
        self.sandbox = render_pool(limits)
        self.unsent: dict[str, ChatTokens] = {}  # by key, of figures that a run would pay for
        self.outage = ""  # why the service is not asked any more in this run
        # Each thread holds one picture at most, so their number limits memory too.
        self.threads = ThreadPoolExecutor(MAX_CONCURRENT_FIGURES, SENDER_THREADS)
        self.calls: SharedCalls[Described] = SharedCalls(self.threads)

    def count_unsent(self) -> tuple[int, ChatTokens]:
        """Return the number of figures seen so far that a run would describe, and their tokens."""
        found = list(self.unsent.values())
        return len(found), ChatTokens(
            sum(one.sent for one in found), sum(one.answered for one in found)
        )

    def close(self) -> None:
        """End the processes and threads, and close the connections."""
        self.threads.shutdown(wait=not self.is_overdue(), cancel_futures=True)
        self.sandbox.close()
        if self.chat:
            self.chat.close()

    def describe(
        self,
        task: Task,
        file: BinaryIO,
        document: PreparedDocument,
        render_pages: RenderPages,
        *,
        asks: bool,
    ) -> PreparedDocument:
        """Return a document with the outcomes of its figures, and with their chunks.

        `asks`: describe figures that are not cached; otherwise a later read does.
        Raises StoppedError or ConfigError.
        """
        if not document.figures:
            return document
        tasks = self.list_tasks(task, file, document, render_pages)
        found = self.describe_all(tasks) if asks and self.chat else list(map(self.recall, tasks))
        described = tuple(
            as_described(one.figure, number, outcome if self.images else replace(outcome, image=""))
            for number, (one, outcome) in enumerate(zip(tasks, found, strict=True))
        )
        counts = Counter(one.outcome.value for one in described)
        details = replace(document.details, figure_outcomes=dict(sorted(counts.items())))
        document = replace(document, details=details, described=described)
        return insert_figure_chunks(document, task.source, task.recipe)

    def list_tasks(
        self,
        task: Task,
        file: BinaryIO,
        document: PreparedDocument,
        render_pages: RenderPages,
    ) -> list[FigureTask]:
        """Return the figures of a document, each with its key and a function that draws it."""
        source = task.source
        request = RenderTask(
            (), task.passwords, task.extractor, draw=True, attachment_path=task.attachment_path
        )
        draw_alone = partial(render_alone, render_pages, file, threading.Lock())
        file_hash = hash_file(file, source.size)
        tasks = []
        if len(document.figures) >= MAX_DESCRIBED_FIGURES:
            log.warning(
                "%s: only its first %d figures are described", source.name, MAX_DESCRIBED_FIGURES
            )
        for number, figure in enumerate(document.figures[:MAX_DESCRIBED_FIGURES]):
            words = write_question(figure, document.details.language)
            # Objects that cannot be hashed are known by their document's bytes.
            content = figure.content or f"{document.fingerprint} {number}"
            parts = ("figure", str(PROMPT_VERSION), self.model, source.root_key or source.root)
            key = hashlib.sha256("\0".join([*parts, content, words]).encode(errors="replace"))
            picture = replace(request, pages=(figure.page,), box=figure.box, in_colour=True)
            draw = partial(draw_alone, picture)
            new = CachedPage(key.hexdigest()[:40], *source.key, "", file=file_hash)
            tasks.append(FigureTask(new, words, figure, draw))
        return tasks

    def recall(self, task: FigureTask) -> Described:
        """Return the cached outcome of a figure; without one, count the tokens it would cost."""
        task = self.cache.find(task)
        found, _ = self.cache.load(task)
        if found:
            return found if self.has_image(found) else self.restore_image(task, found)
        if self.chat is None:
            size = expected_size(task.figure)
            tokens = ChatTokens(self.count_tokens(task, size), EXPECTED_ANSWER_TOKENS)
            self.unsent[task.entry.key] = tokens
        return Described(FigureOutcome.FAILED, NOT_YET)

    def describe_all(self, tasks: Sequence[FigureTask]) -> list[Described]:
        """Return the outcomes of figures, from the cache or the model.

        Raises StoppedError or ConfigError.
        """
        calls = [self.start_call(task) for task in tasks]
        while (waited := wait(calls, WAIT_SECONDS, FIRST_EXCEPTION)).not_done:
            for call in waited.done:
                call.result()  # an error that ends the run: the others would fail as slowly
            if self.is_overdue():
                raise StoppedError("the run ended while figures were described")
        return [call.result() for call in calls]

    def is_overdue(self) -> bool:
        """Return whether to stop waiting for answers."""
        return self.chat is not None and self.chat.is_overdue()

    def start_call(self, task: FigureTask) -> Future[Described]:
        """Start the call for a figure, or return the one under way in this document."""
        owner = (task.root, task.source)
        return self.calls.start(task.entry.key, owner, partial(self.describe_one, task))

    def describe_one(self, task: FigureTask) -> Described:
        """Return the outcome of a figure, from the cache or the model."""
        task = self.cache.find(task)
        found, attempts = self.cache.load(task)
        if found:
            return found if self.has_image(found) else self.restore_image(task, found)
        if self.outage:
            return Described(FigureOutcome.FAILED, self.outage)
        source = (task.root, task.source)
        with self.times.measure(DESCRIBING_FIGURES, source, page=task.figure.page):
            try:
                picture = task.draw()
                made = self.ask(task, picture)
            except (DocumentError, InvalidDescriptionError, RequestRefusedError) as error:
                if self.is_overdue():  # the end of the run has ended the sandbox, too
                    raise StoppedError(NOT_YET) from error
                return self.cache.note_failure(task, str(error), attempts + 1)
            if made.outcome is FigureOutcome.FAILED:
                return made
            task = self.cache.save(task, made, picture)  # it is paid for, so before anything else
            if self.has_image(made):
                return made
            made = self.keep_image(made, picture)
            self.cache.save(task, made, picture)
            return made

    def has_image(self, found: Described) -> bool:
        """Return whether a described figure needs no picture, or has one."""
        if not found.description or not self.images:
            return True
        return bool(found.image) and self.images.has(found.image)

    def restore_image(self, task: FigureTask, found: Described) -> Described:
        """Store the picture of a figure whose description is known."""
        try:
            picture = task.draw()
            made = self.keep_image(found, picture)
        except DocumentError as error:
            log.warning("%s: page %d: a figure: %s", task.source, task.figure.page, error)
            return replace(found, image="")
        # The figure as drawn now may differ from the described one.
        if task.entry.picture == hash_bytes(picture):
            self.cache.save(task, made, picture)
        return made

    def keep_image(self, made: Described, picture: bytes) -> Described:
        """Store the picture of a figure, if it is described and pictures are kept."""
        if not made.description or not self.images:
            return made
        return replace(made, image=self.images.keep(picture))

    def ask(self, task: FigureTask, picture: bytes) -> Described:
        """Ask the model for a description. Raises InvalidDescriptionError, RequestRefusedError."""
        first, more = answer_room(self.model)
        try:
            answer = self.send(task, picture, first)
            if answer.is_cut_off:
                answer = self.send(task, picture, more)
        except ContentRefusedError as error:
            return Described(FigureOutcome.REFUSED, f"refused {error}")
        except StoppedError:
            raise
        except ServiceError as error:
            self.outage = self.outage or str(error)
            log.warning("no more figures are described in this run: %s", error)
            return Described(FigureOutcome.FAILED, str(error))
        if answer.is_cut_off:
            return Described(FigureOutcome.CUT_OFF, f"its description takes over {more} tokens")
        description = parse_description(answer.text, answer.model or self.model)
        if description.kind is FigureKind.DECORATION:
            return Described(FigureOutcome.DECORATION)
        return Described(FigureOutcome.DESCRIBED, description=asdict(description))

    def send(self, task: FigureTask, picture: bytes, room: int) -> ChatAnswer:
        """Send the picture of a figure; `room` limits the answer."""
        assert self.chat
        try:
            size = read_size(picture)
        except ValueError as error:
            raise DocumentError(f"page {task.figure.page}: {error}") from None
        if len(picture) > MAX_PICTURE_BYTES:
            raise DocumentError(f"page {task.figure.page}: the picture of a figure is too large")
        tokens = self.count_tokens(task, size)
        kind = media_type(picture)
        return self.chat.ask(
            ChatQuestion(INSTRUCTIONS, task.words, picture, kind, SCHEMA, tokens, room)
        )

    def count_tokens(self, task: FigureTask, size: tuple[int, int]) -> int:
        """Estimate the tokens billed for a figure."""
        texts = [INSTRUCTIONS, task.words, json.dumps(SCHEMA)]
        return count_image_tokens(self.model, *size) + sum(count_tokens(texts))


def as_described(figure: Figure, number: int, made: Described) -> DescribedFigure:
    """Return a figure with its outcome."""
    description = None
    if made.outcome is FigureOutcome.DESCRIBED:
        description = check_description(made.description, str(made.description["model"]))
    return DescribedFigure(figure, number, made.outcome, description, made.reason, made.image)
