"""What a Python program calls: the same runs as those of the command line.

Nothing here prints, reads the environment or takes signals. A run goes on in a thread of its own,
so that whoever takes its outcomes may be interrupted, or stop, at any moment: what is under way is
settled then, as after ^C, and the index is given back.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from queue import Empty, Queue
from typing import TYPE_CHECKING, TypeAlias, cast

from ingest.config.connections import create_connections
from ingest.config.embedding import create_embedder
from ingest.config.factory import create_run, find_capacity, open_services
from ingest.config.index import index_name
from ingest.config.index import open_index as opened_index
from ingest.config.settings import Settings, validate_settings
from ingest.config.sources import open_roots as opened_roots
from ingest.distributed import use_engine
from ingest.embed import Embedder
from ingest.embed.validation import validate_vectors
from ingest.errors import ConfigError, IngestError, ServiceError
from ingest.models import DeletionsWithheld, Hit, Mode, RunEvent, RunProgress, SourceResult, Summary
from ingest.pipeline import dry_run as forecast
from ingest.pipeline import stages as pipeline
from ingest.pipeline.context import Run, Services
from ingest.pipeline.run import RunRecorder, run_exit_code, save_run_summary, stop_at_deadline
from ingest.pipeline.totals import RunTotals
from ingest.sources import Root
from ingest.sources.exclude import exclude_globs
from ingest.sources.validation import LegacyRoot, LegacyRootAdapter, ValidatedRoot

if TYPE_CHECKING:
    from typing import Self

log = logging.getLogger(__name__)
logging.getLogger("ingest").addHandler(logging.NullHandler())

RootLike: TypeAlias = "str | os.PathLike[str] | Root | LegacyRoot"
RunFunction: TypeAlias = Callable[[Root, Services, Run], Iterator[RunEvent]]

MAX_QUEUED_OUTCOMES = 1000  # outcomes that wait for whoever takes them
QUEUE_POLL_SECONDS = 0.5  # seconds; on Windows ^C is seen only between two waits


def ingest(
    *roots: str | os.PathLike[str] | Root | LegacyRoot,
    settings: Settings = Settings(),
    index: str | os.PathLike[str] = "",
    embed: Embedder | None = None,
    retry_failed: bool = False,
) -> Outcomes:
    """Bring an index in step with its roots; gives the outcome of each source as it is settled.

    A root is a folder, a PDF, a glob, the URL of a blob container, or a `Root` of your own; without
    any, that of the settings. `index` is a folder or a search service's endpoint, in place of that
    of the settings (".ingest" where those have none); `embed` is a model of your own in place of
    theirs. `retry_failed` tries again what failed three times. Where the settings name an engine,
    its workers do the work, and a root or a model of your own cannot be had.

    The run begins when the first outcome is asked for. Raises ConfigError for what cannot be meant;
    the rest is raised where the outcomes are taken, see `Outcomes`.
    """
    settings = override_settings(settings, index, embed)
    run = create_run(settings, retry_failed=retry_failed)
    return Outcomes(pipeline.ingest_root, roots, settings, run, embed)


def preview(
    *roots: str | os.PathLike[str] | Root | LegacyRoot,
    settings: Settings = Settings(),
    index: str | os.PathLike[str] = "",
    embed: Embedder | None = None,
    retry_failed: bool = False,
) -> Outcomes:
    """The outcomes that `ingest` would give; it reads what would be read, and changes nothing.

    Nothing is embedded and nothing is written: `embedded` and `tokens` of each outcome say what
    would be. Takes and raises what `ingest` does.
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
) -> list[Hit]:
    """The chunks that answer a question best, at most `top`, the best first.

    `mode` is "hybrid", "vector" (by meaning) or "text" (by words). `embed` must be the model that
    the index was filled with. A score only orders the hits of one search. `fields` of a hit has,
    among others: content, source, root, page_start, page_end, title, headings, storageUrl.

    Raises ConfigError for an empty or missing index, or one of another model; ServiceError.
    """
    settings = override_settings(settings, index, embed)
    how = Mode(mode)
    if not query.strip():
        raise ConfigError("what are you looking for? as in: ingest search notice period")
    to = create_connections(settings)
    model = validate_vectors(embed) if embed else create_embedder(settings, to)
    where = opened_index(settings, model, to)
    try:
        if not where.totals().chunks:
            raise ConfigError(
                f"the index in {index_name(settings)} is empty: fill it with ingest run"
            )
        vector = None if how is Mode.TEXT else model.embed([query])[0]
        return where.search(query, vector, how, top)
    finally:
        where.close()
        model.close()


class Outcomes:
    """The outcomes of one run as they come, once; then its summary.

    However the loop over them ends, by `break`, an exception or ^C, the run ends with it: what is
    under way is settled within `settings.grace_seconds`, the rest is left for the next run, and the
    index is given back. A second ^C waits no longer. Whoever steps through them by hand
    (`iter`, `next`) closes the run, or uses it in a `with`.

    Taking an outcome raises ConfigError (a setting, a role, a path), ServiceError (run again), or
    BusyError (another run holds the index), all of them IngestError; and what a root or an embedder
    of your own raised, as it is. What was settled until then stays settled.
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
                f"--engine {settings.engine}: its workers can have no root or embedder of your own"
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
        """What the run came to, once it is over, however it ended.

        Its `exit` is what the command line's exit code would be. Raises RuntimeError before.
        """
        if self._summary is None:
            raise RuntimeError("no summary: the run is not over, or never began")
        return self._summary

    @property
    def kept(self) -> tuple[DeletionsWithheld, ...]:
        """The roots whose vanished sources were not removed so far, and why not."""
        return tuple(self._totals.kept)

    def __iter__(self) -> Iterator[SourceResult]:
        if self._thread:
            raise RuntimeError("a run gives its outcomes once: begin another one")
        self._thread = threading.Thread(target=self._run_in_thread, name="ingest", daemon=True)
        self._thread.start()
        try:
            while settled := self._next_outcome():
                yield settled
            if self._error:
                raise self._error
        finally:
            self.close()

    def close(self) -> None:
        """End the run if it goes on: settle what is under way, and give the index back.

        What cannot be settled is left for the next run; the log says why.
        """
        # At the very end of a process no other thread runs any more: that is a sudden end.
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
            log.warning("what was under way is not settled: %s", self._error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next_outcome(self) -> SourceResult | None:
        """The next outcome, as soon as there is one; None at the end."""
        while not self._finished:
            try:
                settled = self._queue.get(timeout=QUEUE_POLL_SECONDS)
            except Empty:
                continue
            self._finished = settled is None
            return settled
        return None

    def _drain(self) -> None:
        """Wait for the end."""
        while self._next_outcome():
            pass

    def _run_in_thread(self) -> None:
        """The run, in its thread."""
        try:
            for event in self._run_events():
                if isinstance(event, SourceResult):
                    self._queue.put(event)
        except BaseException as error:  # noqa: BLE001 - it is raised where the outcomes are taken
            self._error = error
        finally:
            self._queue.put(None)

    def _run_events(self) -> Iterator[RunEvent]:
        """The run itself, from the opening of its services to its summary."""
        began, code = time.monotonic(), ServiceError.exit_code
        settings, run = self._settings, self._run
        writes = self._run_root is pipeline.ingest_root
        to = create_connections(settings, run.stop)
        with (
            stop_at_deadline(run.stop, settings.deadline, lambda: None),
            opened_roots(self._named_roots, settings, to) as where,
            open_services(
                settings, run.stop, write=writes, connections=to, model=self._embedder
            ) as here,
            use_engine(settings, here, run) if writes else nullcontext(here) as all_,
        ):
            account = RunRecorder(run, all_, partial(find_capacity, all_, settings), began)
            self._totals = account.totals
            try:
                for root in require_unique_names(
                    [*where, *exclude_globs(self._custom_roots, settings.exclude)]
                ):
                    for event in self._run_root(root, all_, run):
                        account.add(event)
                        yield event
                code = run_exit_code(run.stop, self._totals)
            except IngestError as error:
                code = error.exit_code
                raise
            finally:
                self._summary = account.summary(code)
                if all_.budget.limit_reached:
                    log.warning("stopped early: more would exceed %s", all_.budget.limit_reached)
                if writes:
                    save_run_summary(self._summary, all_.index)


def preview_root(root: Root, services: Services, run: Run) -> Iterator[RunEvent]:
    """What a run would yield, without what a plan says of requests and records."""
    return (
        event
        for event in forecast.dry_run(root, services, run)
        if isinstance(event, SourceResult | RunProgress | DeletionsWithheld)
    )


def override_settings(
    settings: Settings, index: str | os.PathLike[str], embed: Embedder | None
) -> Settings:
    """The settings with another index and embedder. Raises ConfigError for a wrong value."""
    if index:
        settings = replace(settings, index=os.fspath(index))
    if embed:
        settings = replace(settings, embedder="local")  # whatever else they name embeds nothing
    return validate_settings(settings)


def split_roots(roots: Sequence[RootLike]) -> tuple[list[str], list[Root]]:
    """Those roots that are named, and those that are somebody's own.

    Raises ConfigError for an empty name, TypeError for what is no root at all.
    """
    named: list[str] = []
    own: list[Root] = []
    for root in roots:
        if isinstance(root, str | os.PathLike):
            named.append(os.fspath(root))
        elif hasattr(root, "list") and hasattr(root, "open"):
            own.append(ValidatedRoot(cast("Root", root)))
        elif hasattr(root, "listed") and hasattr(root, "opened"):
            own.append(ValidatedRoot(LegacyRootAdapter(root)))
        else:
            raise TypeError(f"a root is a path, a URL or a Root, not {type(root).__name__}")
    if "" in named:
        raise ConfigError('which PDFs? name a folder, as in: ingest("docs/")')
    return named, own


def require_unique_names(roots: list[Root]) -> list[Root]:
    """The roots. Raises ConfigError if two of them have one name: each would remove the other's."""
    names = [root.name for root in roots]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two roots are called {name!r}: a root's name is its own")
    return roots
