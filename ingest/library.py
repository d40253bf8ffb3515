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
from queue import Empty, Queue
from typing import TYPE_CHECKING, TypeAlias

from ingest import forecast, pipeline
from ingest.connect import embedder, index_name, services
from ingest.connect import index as opened_index
from ingest.connect import roots as opened_roots
from ingest.connections import connections
from ingest.embed import Embedder
from ingest.embed.custom import checked
from ingest.errors import ConfigError, IngestError, ServiceError
from ingest.execution import Account, ending, exit_code, new_run, remember
from ingest.model import Advanced, Event, Hit, Kept, Mode, Settled, Summary
from ingest.report.totals import Totals
from ingest.scale import scaled
from ingest.services import Run, Services
from ingest.settings import Settings, valid
from ingest.sources import Root
from ingest.sources.custom import Checked
from ingest.sources.exclude import excluding

if TYPE_CHECKING:
    from typing import Self

log = logging.getLogger(__name__)
logging.getLogger("ingest").addHandler(logging.NullHandler())

RootLike: TypeAlias = "str | os.PathLike[str] | Root"
Story: TypeAlias = Callable[[Root, Services, Run], Iterator[Event]]

AHEAD = 1000  # outcomes that wait for whoever takes them
LISTENING = 0.5  # seconds; on Windows ^C is seen only between two waits


def ingest(
    *roots: str | os.PathLike[str] | Root,
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
    settings = chosen(settings, index, embed)
    run = new_run(settings, retry_failed=retry_failed)
    return Outcomes(pipeline.ingest, roots, settings, run, embed)


def preview(
    *roots: str | os.PathLike[str] | Root,
    settings: Settings = Settings(),
    index: str | os.PathLike[str] = "",
    embed: Embedder | None = None,
    retry_failed: bool = False,
) -> Outcomes:
    """The outcomes that `ingest` would give; it reads what would be read, and changes nothing.

    Nothing is embedded and nothing is written: `embedded` and `tokens` of each outcome say what
    would be. Takes and raises what `ingest` does.
    """
    settings = chosen(settings, index, embed)
    run = new_run(settings, retry_failed=retry_failed)
    return Outcomes(foreseen, roots, settings, run, embed)


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
    settings = chosen(settings, index, embed)
    how = Mode(mode)
    if not query.strip():
        raise ConfigError("what are you looking for? as in: ingest search notice period")
    to = connections(settings)
    model = checked(embed) if embed else embedder(settings, to)
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
        story: Story,
        roots: Sequence[RootLike],
        settings: Settings,
        run: Run,
        embed: Embedder | None,
    ) -> None:
        self._story = story
        self._named, self._own = sorted_out(roots or (settings.root,))
        self._settings = settings
        if settings.engine and (self._own or embed):
            raise ConfigError(
                f"--engine {settings.engine}: its workers can have no root or embedder of your own"
            )
        self._embedder = checked(embed) if embed else None
        self._run = run
        self._totals = Totals()
        self._summary: Summary | None = None
        self._settled: Queue[Settled | None] = Queue(AHEAD)  # None is the end
        self._fault: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._over = False

    @property
    def summary(self) -> Summary:
        """What the run came to, once it is over, however it ended.

        Its `exit` is what the command line's exit code would be. Raises RuntimeError before.
        """
        if self._summary is None:
            raise RuntimeError("no summary: the run is not over, or never began")
        return self._summary

    @property
    def kept(self) -> tuple[Kept, ...]:
        """The roots whose vanished sources were not removed so far, and why not."""
        return tuple(self._totals.kept)

    def __iter__(self) -> Iterator[Settled]:
        if self._thread:
            raise RuntimeError("a run gives its outcomes once: begin another one")
        self._thread = threading.Thread(target=self._work, name="ingest", daemon=True)
        self._thread.start()
        try:
            while settled := self._next():
                yield settled
            if self._fault:
                raise self._fault
        finally:
            self.close()

    def close(self) -> None:
        """End the run if it goes on: settle what is under way, and give the index back.

        What cannot be settled is left for the next run; the log says why.
        """
        # At the very end of a process no other thread runs any more: that is a sudden end.
        if not self._thread or self._over or sys.is_finalizing():
            return
        self._run.stop.request()
        try:
            self._rest()
        except KeyboardInterrupt:
            self._run.stop.abandon()
            self._rest()
            raise
        if self._fault:
            log.warning("what was under way is not settled: %s", self._fault)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next(self) -> Settled | None:
        """The next outcome, as soon as there is one; None at the end."""
        while not self._over:
            try:
                settled = self._settled.get(timeout=LISTENING)
            except Empty:
                continue
            self._over = settled is None
            return settled
        return None

    def _rest(self) -> None:
        """Wait for the end."""
        while self._next():
            pass

    def _work(self) -> None:
        """The run, in its thread."""
        try:
            for event in self._events():
                if isinstance(event, Settled):
                    self._settled.put(event)
        except BaseException as error:  # noqa: BLE001 - it is raised where the outcomes are taken
            self._fault = error
        finally:
            self._settled.put(None)

    def _events(self) -> Iterator[Event]:
        """The run itself, from the opening of its services to its summary."""
        began, code = time.monotonic(), ServiceError.exit_code
        settings, run = self._settings, self._run
        writes = self._story is pipeline.ingest
        to = connections(settings, run.stop)
        with (
            ending(run.stop, settings.deadline, lambda: None),
            opened_roots(self._named, settings, to) as where,
            services(settings, run.stop, write=writes, to=to, model=self._embedder) as here,
            scaled(settings, here, run) if writes else nullcontext(here) as all_,
        ):
            account = Account(run, all_, settings, began)
            self._totals = account.totals
            try:
                for root in distinct([*where, *excluding(self._own, settings.exclude)]):
                    for event in self._story(root, all_, run):
                        account.add(event)
                        yield event
                code = exit_code(run.stop, self._totals)
            except IngestError as error:
                code = error.exit_code
                raise
            finally:
                self._summary = account.summary(code)
                if all_.budget.reached:
                    log.warning("stopped early: more would exceed %s", all_.budget.reached)
                if writes:
                    remember(self._summary, all_.index)


def foreseen(root: Root, services: Services, run: Run) -> Iterator[Event]:
    """What a run would yield, without what a plan says of requests and records."""
    return (
        event
        for event in forecast.forecast(root, services, run)
        if isinstance(event, Settled | Advanced | Kept)
    )


def chosen(settings: Settings, index: str | os.PathLike[str], embed: Embedder | None) -> Settings:
    """The settings with another index and embedder. Raises ConfigError for a wrong value."""
    if index:
        settings = replace(settings, index=os.fspath(index))
    if embed:
        settings = replace(settings, embedder="local")  # whatever else they name embeds nothing
    return valid(settings)


def sorted_out(roots: Sequence[RootLike]) -> tuple[list[str], list[Root]]:
    """Those roots that are named, and those that are somebody's own.

    Raises ConfigError for an empty name, TypeError for what is no root at all.
    """
    named: list[str] = []
    own: list[Root] = []
    for root in roots:
        if isinstance(root, str | os.PathLike):
            named.append(os.fspath(root))
        elif hasattr(root, "listed") and hasattr(root, "opened"):
            own.append(Checked(root))
        else:
            raise TypeError(f"a root is a path, a URL or a Root, not {type(root).__name__}")
    if "" in named:
        raise ConfigError('which PDFs? name a folder, as in: ingest("docs/")')
    return named, own


def distinct(roots: list[Root]) -> list[Root]:
    """The roots. Raises ConfigError if two of them have one name: each would remove the other's."""
    names = [root.name for root in roots]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two roots are called {name!r}: a root's name is its own")
    return roots
