"""Python API: `ingest`, `preview` and `search`.

It prints nothing, reads no environment variables and handles no signals. A run works in a
background thread, so the loop over its outcomes may be interrupted, or stop, at any time: the run
then finishes the work in progress, as after ^C, and releases the index.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from queue import Empty, Queue
from typing import Self, TypeAlias

from ingest.commands.search.search import SearchRequest, search_index
from ingest.config.connections import create_connections
from ingest.config.embedding import create_embedder
from ingest.config.factory import Replacements, open_services
from ingest.config.index import check_searchable, open_index
from ingest.config.roots import resolve_roots
from ingest.config.run import create_recorder, create_run
from ingest.config.settings import Settings, validate_settings
from ingest.config.sources import open_roots
from ingest.distributed import use_engine
from ingest.embed import Embedder
from ingest.embed.validation import validate_vectors
from ingest.errors import ConfigError, IngestError, RootError, ServiceError
from ingest.index.query import clean_query
from ingest.models import (
    DeletionsWithheld,
    FigureFilter,
    Hit,
    Mode,
    Permissions,
    RunEvent,
    SourceResult,
    Summary,
)
from ingest.pipeline.context import Run, Services
from ingest.pipeline.dry_run import preview_root
from ingest.pipeline.root import ingest_root
from ingest.pipeline.run import run_exit_code, run_on_roots, stop_at_deadline
from ingest.pipeline.totals import RunTotals
from ingest.redaction import redact
from ingest.sources import Root
from ingest.sources.exclude import exclude_globs
from ingest.sources.validation import LegacyRoot, RootLike, require_unique_names, split_roots

log = logging.getLogger(__name__)
logging.getLogger("ingest").addHandler(logging.NullHandler())

RunFunction: TypeAlias = Callable[[Root, Services, Run], Iterator[RunEvent]]

MAX_QUEUED_OUTCOMES = 1000
QUEUE_POLL_SECONDS = 0.5  # Windows delivers ^C only between two waits


def ingest(
    *roots: str | os.PathLike[str] | Root | LegacyRoot,
    settings: Settings = Settings(),
    index: str | os.PathLike[str] = "",
    embed: Embedder | None = None,
    retry_failed: bool = False,
    take_over: bool = False,
) -> Outcomes:
    """Update an index to match its roots. Iterate over the result to run it.

    Args:
        roots: Each is a folder, a PDF, a glob, the URL of a blob container, or a custom `Root`.
            Without any, `settings.root`.
        settings: Everything else; see `Settings`.
        index: A folder, or the endpoint of a search service. Overrides the index of the settings,
            which is the folder ".ingest" by default.
        embed: A custom embedding model. Overrides `settings.embedder`.
        retry_failed: Retry documents that failed three times.
        take_over: Convert an index that was filled with another chunk size, extractor or model.

    Returns:
        The outcome of each document, as it is committed. The run begins when the first outcome is
        requested. If `settings.engine` names a cluster, its workers do the work; custom roots and
        models are not supported there.

    Raises:
        ConfigError: An argument or a setting is invalid. All other errors are raised while
            iterating; see `Outcomes`.
    """
    settings = override_settings(settings, index, embed)
    run = create_run(settings, retry_failed=retry_failed, take_over=take_over)
    return Outcomes(ingest_root, roots, settings, run, embed)


def preview(
    *roots: str | os.PathLike[str] | Root | LegacyRoot,
    settings: Settings = Settings(),
    index: str | os.PathLike[str] = "",
    embed: Embedder | None = None,
    retry_failed: bool = False,
) -> Outcomes:
    """Dry run: report the outcomes that `ingest` would have. Changes nothing.

    It reads the documents that `ingest` would read, but embeds and writes nothing: `embedded` and
    `tokens` of each outcome are the chunks and tokens that `ingest` would embed. Arguments and
    exceptions are those of `ingest`.
    """
    settings = override_settings(settings, index, embed)
    run = create_run(settings, retry_failed=retry_failed)
    return Outcomes(preview_root, roots, settings, run, embed)


def search(  # noqa: PLR0913 - a question, and where to ask it
    query: str,
    *,
    mode: Mode | str = Mode.HYBRID,
    top: int = 5,
    settings: Settings = Settings(),
    index: str | os.PathLike[str] = "",
    embed: Embedder | None = None,
    person: Permissions | None = None,
    figures: FigureFilter | str = FigureFilter.INCLUDE,
) -> list[Hit]:
    """Search an index for the chunks that match a query best.

    Args:
        query: A question, or words.
        mode: "hybrid", "vector" (by meaning) or "text" (by words).
        top: Maximum number of hits.
        settings: As for `ingest`.
        index: As for `ingest`.
        embed: As for `ingest`; it must be the model that filled the index.
        person: Ids of the user and the groups to search for: only what they may read is found.
            None: no restriction.
        figures: "include" the descriptions of figures, which a model has written, "exclude" them,
            or find them "only".

    Returns:
        At most `top` hits, best first, each with the `page`, `heading` and `excerpt` of the
        passages that answer best. A local model selects these by meaning; with any other model,
        words select them, without a request. Scores are comparable within one search only.
        The `fields` of a hit include content, source, root, title and storageUrl, and figure_kind,
        which is empty unless the text is the description of a figure. If a code in the query, or
        every word of a query of one or two, is in no document, each hit has `missing_words`.

    Raises:
        ConfigError: The query is empty or too long, or the index is missing, empty or of another
            model.
        ServiceError: A service failed.
    """
    settings = override_settings(settings, index, embed)
    wanted = SearchRequest(clean_query(query), Mode(mode), top, person, FigureFilter(figures))
    connections = create_connections(settings)
    with (
        closing(
            validate_vectors(embed) if embed else create_embedder(settings, connections)
        ) as model,
        closing(open_index(settings, model, connections)) as opened,
    ):
        check_searchable(opened, None if wanted.mode is Mode.TEXT else model, settings)
        return search_index(wanted, opened, model)


class Outcomes:
    """Outcomes of one run, in the order of completion, and its summary. Can be iterated once.

    When the loop ends, by `break`, an exception or ^C, so does the run: it finishes the work in
    progress within `settings.grace_seconds`, leaves the rest to the next run, and releases the
    index. A second ^C ends it at once. If you call `iter` and `next` yourself, call `close`
    afterwards, or use it in a `with` statement.

    Raises, while iterating:
        ConfigError: A setting, a role assignment or a path is wrong. `RootError`, for a root that
            is missing or cannot be listed, comes after the others are done.
        ServiceError: A service failed; run again.
        BusyError: Another run holds the index.

    Exceptions of a custom root or embedding model are raised unchanged. Documents committed before
    an error stay committed.
    """

    def __init__(
        self,
        run_root: RunFunction,
        roots: Sequence[RootLike],
        settings: Settings,
        run: Run,
        embed: Embedder | None,
    ) -> None:
        self._run_root = run_root
        self._named_roots, self._custom_roots = split_roots(roots or (settings.root,))
        self._settings = settings
        if settings.engine and (self._custom_roots or embed):
            raise ConfigError(
                f"--engine {settings.engine}: its workers cannot use a custom root or embedder"
            )
        self._embedder = validate_vectors(embed) if embed else None
        self._run = run
        self._totals = RunTotals()
        self._summary: Summary | None = None
        self._queue: Queue[SourceResult | None] = Queue(MAX_QUEUED_OUTCOMES)  # None is the end
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._finished = False

    @property
    def summary(self) -> Summary:
        """Totals of the run, once it has ended, with or without an error.

        `exit` is the exit code that the command line would have. Raises RuntimeError before that.
        """
        if self._summary is None:
            raise RuntimeError("no summary: the run has not ended, or never began")
        return self._summary

    @property
    def kept(self) -> tuple[DeletionsWithheld, ...]:
        """Roots whose vanished documents have not been removed so far, and why."""
        return tuple(self._totals.kept)

    def __iter__(self) -> Iterator[SourceResult]:
        if self._thread:
            raise RuntimeError("a run can be iterated once: call ingest again")
        self._thread = threading.Thread(target=self._run_in_thread, name="ingest", daemon=True)
        self._thread.start()
        try:
            while result := self._next_outcome():
                yield result
            if self._error:
                raise self._error
        finally:
            self.close()

    def close(self) -> None:
        """End the run: finish the work in progress, and release the index.

        Does nothing after the end of a run. Work that fails is left to the next run, and logged.
        """
        # While the interpreter shuts down, no other thread runs: the run cannot be finished.
        if not self._thread or self._finished or sys.is_finalizing():
            return
        self._run.stop.request()
        try:
            self._drain()
        except KeyboardInterrupt:
            self._run.stop.abandon()
            self._drain()
            raise
        if self._error:
            log.warning("the work in progress was not finished: %s", self._error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next_outcome(self) -> SourceResult | None:
        """Wait for the next outcome; None at the end of the run."""
        while not self._finished:
            try:
                result = self._queue.get(timeout=QUEUE_POLL_SECONDS)
            except Empty:
                continue
            self._finished = result is None
            return result
        return None

    def _drain(self) -> None:
        """Discard outcomes until the end of the run."""
        while self._next_outcome():
            pass

    def _run_in_thread(self) -> None:
        """Body of the background thread: put each outcome into the queue, then None."""
        try:
            for event in self._run_events():
                if isinstance(event, SourceResult):
                    self._queue.put(event)
        except BaseException as error:  # noqa: BLE001 - raised again by __iter__
            self._error = error
        finally:
            self._queue.put(None)

    def _run_events(self) -> Iterator[RunEvent]:
        """Run on every root, from opening the services to saving the summary."""
        started, code, reason = time.monotonic(), ServiceError.exit_code, ""
        missing: list[str] = []
        settings, run = self._settings, self._run
        writes = self._run_root is ingest_root
        connections = create_connections(settings, run.stop)
        with (
            stop_at_deadline(run.stop, settings.deadline, lambda: None),
            open_roots(self._named_roots, settings, connections, missing) as opened_roots,
            open_services(
                settings,
                run.stop,
                write=writes,
                connections=connections,
                replacements=Replacements(model=self._embedder),
                take_over=run.take_over,
            ) as local,
            use_engine(settings, local, run) if writes else nullcontext(local) as services,
        ):
            recorder = create_recorder(run, services, settings, connections, started, writes=writes)
            self._totals = recorder.totals
            self._totals.unlisted += missing
            index = services.index
            named_roots = resolve_roots(opened_roots, index, settings, write=writes)
            custom_roots = exclude_globs(self._custom_roots, settings.exclude)
            try:
                if writes:
                    recorder.mark_begun(named_roots)
                roots = require_unique_names([*named_roots, *custom_roots])
                for event in run_on_roots(self._run_root, roots, services, run, self._totals):
                    recorder.add(event)
                    yield event
                code = run_exit_code(run.stop, self._totals)
                if self._totals.unlisted:
                    raise RootError("; ".join(self._totals.unlisted))
            except IngestError as error:
                code, reason = error.exit_code, redact(str(error))
                raise
            finally:
                self._summary = replace(recorder.summary(code), reason=reason)
                if limit := services.budget.limit_reached:
                    log.warning("stopped early: more would exceed %s", limit)
                if writes:
                    recorder.save(self._summary)


def override_settings(
    settings: Settings, index: str | os.PathLike[str], embed: Embedder | None
) -> Settings:
    """Settings with another index and embedder. Raises ConfigError for an invalid value."""
    if index:
        settings = replace(settings, index=os.fspath(index))
    if embed:
        settings = replace(settings, embedder="local")  # so that no other embedder is set up
    return validate_settings(settings)
