"""The driver: groups of sources given to an engine, and what its workers say of themselves."""

from __future__ import annotations

import itertools
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from ingest.config.factory import embedder_places, endpoints, portable
from ingest.config.settings import Settings
from ingest.distributed.coordinator import Limits
from ingest.distributed.messages import Beat, Done, Group, Job, Orders, Status, grouped, sent
from ingest.errors import ServiceError
from ingest.models import Advanced, Event, Settled, Source, __version__
from ingest.pipeline.context import Elsewhere, Run, Services
from ingest.pipeline.diff import Stale
from ingest.pipeline.stages import IDLE, terms
from ingest.runtime.bottleneck import Capacity
from ingest.runtime.concurrency import overlapped
from ingest.sources import Root

log = logging.getLogger(__name__)

LOOKS = 0.5  # seconds between two looks at how the workers are
AHEAD = 4  # groups for each thing that the engine runs at once, so that no worker waits for one
LEAST = 16  # groups, so that an engine that grows with its work sees some
SLICE = 20  # parts of what may be spent, of which one is granted at a time
TOKENS, PAGES = 50_000, 20  # granted at a time, at least: they cost a few cents
NOBODY = 5.0, 60.0  # seconds without any worker, after which that is said, and said again
QUIET = 10.0  # seconds in which workers come to an end that were told to, at once
TOLD = 4  # looks after which every worker has been told: they beat once a second


class Engine(Protocol):
    """What runs groups on other machines. Any thread may ask."""

    # begin to settle a group
    def submit(self, group: Group, job: Job) -> Future[Done]: ...

    # what may run at once, on all workers together
    def slots(self) -> int: ...

    # begin a Pacing of these arguments, in place of one that is lost
    def begin(self, *arguments: Any) -> None: ...

    # call a method of the pacing, None if it does not answer yet; raises ServiceError if it is lost
    def call(self, method: str, *arguments: Any) -> Any: ...

    # whether groups are done, and it cannot be heard what became of them
    def stuck(self) -> bool: ...

    # let the workers close what they keep for a run
    def end(self, run: str) -> None: ...


@dataclass(slots=True)
class Watch:
    """What the driver knows of the workers, and tells them, twice a second."""

    engine: Engine
    settings: Settings
    services: Services
    run: Run
    job: Job
    beats: dict[str, Beat] = field(default_factory=dict)  # the last of each, by who
    there: tuple[str, ...] = ()  # who is there now
    slots: int = 0  # what may run at once there, when that was last looked at
    tokens: float = math.inf  # a minute, as far as is known
    granted: tuple[float, float] = (0.0, 0.0)
    told: int = 0  # how often the workers were told to end at once
    lost: bool = False  # nothing is heard of them any more
    say: float = field(default_factory=lambda: time.monotonic() + NOBODY[0])  # if nobody comes
    over: threading.Event = field(default_factory=threading.Event)
    numbers: itertools.count[int] = field(default_factory=itertools.count)  # of groups
    lock: threading.Lock = field(default_factory=threading.Lock)
    looking: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> None:
        """Begin the pacing. All that was granted to an earlier one counts as spent."""
        budget = self.services.budget
        tokens, pages = (int(much) if much < math.inf else 0 for much in self.granted)
        most = budget.tokens + int(min(budget.left(), tokens))
        spent = max(budget.tokens, min(tokens, most)), max(budget.pages, pages)
        budget.tokens, budget.pages = spent
        limits = Limits(budget.most_tokens, budget.most_usd, budget.rates, spent)
        self.granted = self.slices((0, 0))
        where = embedder_places(self.settings)
        to = [] if where == ("local",) else endpoints(self.settings, where)
        self.engine.begin(to, limits, self.granted)

    def slices(self, wanted: tuple[int, int]) -> tuple[float, float]:
        """What may be spent until the next look: a part of what is left, or what is waited for."""
        budget = self.services.budget
        if budget.most_tokens == budget.most_usd == math.inf:
            return math.inf, math.inf
        tokens = budget.tokens + max(budget.left() / SLICE, TOKENS, wanted[0])
        return tokens, budget.pages + max(PAGES, wanted[1])

    def keep(self) -> None:
        """Look after the workers until it is over."""
        while not self.over.wait(LOOKS):
            try:
                self.look()
            except ServiceError as error:
                try:
                    self.begin()
                    log.warning("the pacing was begun anew: %s", error)
                except ServiceError as fault:
                    self.run.stop.fault = self.run.stop.fault or fault
                    self.run.stop.abandon()
                    self.lost = True
                    return

    def look(self) -> None:
        """Tell the workers what to do, and hear how they are. Raises ServiceError."""
        with self.looking:
            self.looked()

    def looked(self) -> None:
        """The same, for one thread at a time."""
        stop = self.run.stop
        orders = Orders(stop.sated, stop.requested() and not stop.sated, stop.overdue())
        status: Status | None = self.engine.call("order", orders, self.granted)
        self.slots = self.engine.slots()
        self.noticed()
        if status is None:
            return
        self.told += orders.abandon
        for beat in status.beats:
            self.heard(beat)
        with self.lock:
            self.there = tuple(beat.who for beat in status.beats)
        if status.known:
            self.tokens = status.known.tokens
        budget = self.services.budget
        lately = status.tokens - budget.tokens
        budget.tokens, budget.pages = status.tokens, status.pages
        self.granted = self.slices((max(status.wanted[0], 2 * lately), status.wanted[1]))
        if status.reached and not budget.reached:
            budget.reached = status.reached
            stop.enough()
        self.mirror()
        if self.engine.stuck():
            why = "what workers have done does not arrive here: check the network; run again"
            stop.fault = stop.fault or ServiceError(why)
            stop.abandon()

    def heard(self, beat: Beat) -> None:
        """A worker has said how it is."""
        with self.lock:
            known = self.beats.get(beat.who)
            if known is None or known.at <= beat.at:
                self.beats[beat.who] = beat

    def noticed(self) -> None:
        """Say it if nobody is there for long."""
        now = time.monotonic()
        if self.slots:
            self.say = now + NOBODY[0]
        elif now > self.say:
            self.say = now + NOBODY[1]
            log.warning("no worker is there: the run waits for one (docs/scale.md)")

    def mirror(self) -> None:
        """Let the times of this process be those of all workers together."""
        beats = list(self.beats.values())
        times = self.services.times
        now = {beat.who: beat for beat in beats if beat.who in self.there}
        spells: dict[str, tuple[float, float]] = {}
        counts: dict[str, int] = {}
        for beat in beats:
            for what, (wall, threads) in beat.spells.items():
                longest, total = spells.get(what, (0.0, 0.0))
                spells[what] = max(longest, wall), total + threads
            for what, number in beat.counts.items():
                counts[what] = counts.get(what, 0) + number
        waits = [beat.waits for beat in now.values()]
        times.mirror(spells, counts, max(set(waits), key=waits.count) if waits else "")

    def advanced(self) -> dict[int, Advanced]:
        """How far each group is that is under way."""
        with self.lock:
            beats = [self.beats[who] for who in self.there]
        return {number: much for beat in beats for number, much in beat.under_way.items()}

    def capacity(self) -> Capacity:
        """How much all workers together, the lost ones too, could have under way at once."""
        beats = list(self.beats.values())
        quotas = self.settings.openai_tpm

        def all_of(each: Callable[[Beat], int]) -> int:
            return max(1, sum(map(each, beats)))

        return Capacity(
            all_of(lambda beat: beat.reading),
            all_of(lambda beat: beat.embedding),
            all_of(lambda beat: beat.writing),
            self.tokens,
            own=bool(quotas) and self.tokens < math.inf,
            recognising=sum(beat.recognising for beat in beats),
        )

    def quiet(self) -> bool:
        """Wait until no worker works any more that was told to stop at once; whether that is so."""
        ends = time.monotonic() + QUIET
        while time.monotonic() < ends and not self.lost:
            time.sleep(LOOKS)
            if self.told >= TOLD and not any(self.beats[who].under_way for who in self.there):
                return True
        return False


@contextmanager
def spread(engine: Engine, settings: Settings, services: Services, run: Run) -> Iterator[Services]:
    """The services of a run whose groups are settled by an engine."""
    job = Job(run.id, __version__, sent(settings), terms(services, run), services.index.holder)
    watch = Watch(engine, settings, services, run, job)
    watch.begin()
    keeper = threading.Thread(target=watch.keep, name="watch", daemon=True)
    keeper.start()
    try:
        yield replace(services, elsewhere=Elsewhere(partial(settled, watch), watch.capacity))
    except BaseException:
        # They must not go on for a run that does not hold the index any more.
        run.stop.abandon()
        raise
    finally:
        if run.stop.overdue() and not watch.quiet():
            # They may write for a while, and nobody else is to write meanwhile.
            services.index.lapse()
        watch.over.set()
        keeper.join()
        engine.end(run.id)


def settled(watch: Watch, root: Root, changes: Iterable[Stale | Settled]) -> Iterator[Event]:
    """Every stale source settled by the workers; what is settled already passes.

    Those that may have ended a process come last, each by itself in a process.
    """
    suspects: list[Source] = []
    yield from given(watch, root, grouped(changes, suspects), suspects)
    if not watch.run.stop.requested():
        alone = [[suspect] for suspect in suspects]
        yield from given(watch, root, alone, None)
    if not watch.run.stop.overdue():
        with suppress(ServiceError):
            watch.look()  # what was spent and what took the time, to the end


def given(
    watch: Watch,
    root: Root,
    groups: Iterable[list[Source] | Settled],
    suspects: list[Source] | None,
) -> Iterator[Event]:
    """What becomes of the groups; without a list for suspects, each is one."""
    where, stop = portable(root), watch.run.stop
    shown: dict[int, Advanced] = {}  # of the groups that are under way

    def start(item: list[Source] | Settled | Advanced) -> Future[Done] | None:
        if not isinstance(item, list):
            return None
        sources = tuple(sorted(item, key=lambda source: source.name))
        group = Group(next(watch.numbers), where, sources, alone=suspects is None)
        shown[group.number] = IDLE
        return stop.watched(watch.engine.submit(group, watch.job))

    def ahead() -> int:
        return max(LEAST, AHEAD * watch.slots)

    for item, call in overlapped(groups, start, ahead, stop.overdue, IDLE):
        if call:
            done = call.result()
            watch.heard(done.beat)
            yield more(shown.pop(done.number), done.advanced)
            yield from done.settled
            if suspects is not None:
                suspects += done.suspects
        elif isinstance(item, Settled):
            yield item
        else:
            now = watch.advanced()
            for number in now.keys() & shown.keys():
                yield more(shown[number], now[number])
                shown[number] = now[number]


def more(before: Advanced, now: Advanced) -> Advanced:
    """What was done since; nothing where a lost worker's work is done again."""
    return Advanced(
        max(0, now.pages - before.pages),
        max(0, now.chunks - before.chunks),
        max(0, now.tokens - before.tokens),
    )
