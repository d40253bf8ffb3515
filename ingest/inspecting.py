"""Sources of an index opened once more, to be looked at: what the inspectors of a report are from.

Nothing is written and nothing is paid for: what a service recognised comes from the index. What
reads the documents are children within limits, so a bad one shows its reason and no more.
"""

from __future__ import annotations

import glob
import stat
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO

from ingest.careful import deserved, otherwise
from ingest.connect import roots
from ingest.connections import Connections
from ingest.errors import ConfigError, DocumentError, IngestError
from ingest.extract.passwords import passwords
from ingest.extract.worker import Contained, Died
from ingest.index import Index
from ingest.inspect import Drawing, Reading, inspect
from ingest.look import look
from ingest.model import INSIDE, Code, Oddity, Recipe, Record, Source, holder
from ingest.ocr import API_VERSION
from ingest.ocr import local as local_ocr
from ingest.ocr.pages import Recogniser
from ingest.prepare import Task
from ingest.reading import limits
from ingest.report.inspector import Choice, Drawn, Inspected, Seen, Sheet, chosen, compared
from ingest.scans import scanned
from ingest.settings import Settings, cores
from ingest.sources import Root, fit
from ingest.sources.folder import Folder
from ingest.times import Times

PATIENCE = 10.0  # seconds for a storage that does not answer
PICTURES = 6 << 20  # bytes of all pictures of a report
FULL = "the report has as many pictures as it can hold"


@dataclass(frozen=True, slots=True)
class Access:
    """How an index and the sources it is from are reached, and how they are cut today."""

    settings: Settings
    to: Connections
    index: Index
    recipe: Recipe


def inspected(records: Sequence[Record], names: Sequence[str], access: Access) -> list[Inspected]:
    """The sources named, or those most worth a look, as they are in their roots now.

    Raises ConfigError for a name that means no source. A source that cannot be opened or read says
    why. `records` may be without ids.
    """
    for name in names:
        if not chosen(records, [name]):
            raise ConfigError(
                f"--inspect {name}: there is no such source; ingest status --json lists them"
            )
    choices = chosen(records, names)
    with closing(Viewer(access, {choice.record.root for choice in choices})) as viewer:
        threads = ThreadPoolExecutor(cores(), "viewer")
        try:
            views = list(threads.map(viewer.view, choices))
        finally:
            threads.shutdown(cancel_futures=True)
    found = [
        beside(choice.record, view, access) for choice, view in zip(choices, views, strict=True)
    ]
    return [replace(one, anchor=f"source-{number}") for number, one in enumerate(found, 1)]


def beside(record: Record, view: Seen | IngestError, access: Access) -> Inspected:
    """A source as it is now, beside what the index has of it."""
    if isinstance(view, IngestError):
        return Inspected(record, fault=str(view))
    whole = access.index.record(record.root, record.source) or record
    stored = partial(access.index.stored, record.root, record.source)
    return compared(whole, view, access.recipe.digest, stored)


class Viewer:
    """What opens, reads and draws sources, in any number of threads."""

    def __init__(self, access: Access, names: Iterable[str]) -> None:
        self.settings = access.settings
        self.recipe = access.recipe
        self.index = access.index
        self.limits = limits(access.settings)
        self.passwords = passwords(access.settings.passwords)
        self.children = Contained(inspect, self.limits)
        self.lookers = Contained(look, self.limits)
        self.pictures = 0  # bytes
        self.opened = ExitStack()
        patience = access.to.patience
        patience = replace(patience, seconds=min(PATIENCE, patience.seconds), roles=0.0)
        to = replace(access.to, patience=patience)
        self.roots = {name: self.root(name, to) for name in sorted(names)}

    def close(self) -> None:
        """Give back processes and connections."""
        self.children.close()
        self.lookers.close()
        self.opened.close()

    def root(self, name: str, to: Connections) -> Root | IngestError:
        """A root by its name in the index, or why it cannot be had."""
        try:
            # What is excluded from runs, and in the index, can be looked at.
            settings = replace(self.settings, exclude=())
            (root,) = self.opened.enter_context(roots([name], settings, to))
        except IngestError as error:
            return error
        return root

    def view(self, choice: Choice) -> Seen | IngestError:
        """A source as it is now, or why it cannot be seen."""
        record = choice.record
        root = self.roots[record.root]
        if isinstance(root, IngestError):
            return root
        try:
            source = current(root, record)
            fit(source.size, self.settings.document_megabytes)
            with root.opened(source) as file:
                task = self.task(replace(source, name=record.source), record, file)
                return self.drawn(self.read(task, choice.pages, file), task, file)
        except IngestError as error:
            return error

    def task(self, source: Source, record: Record, file: BinaryIO) -> Task:
        """How to read a source as it was read for the index, without paying for it again."""
        details = record.details
        task = Task(
            source=source,
            known="",
            recipe=self.recipe,
            extractor=self.settings.extractor,
            passwords=self.passwords,
            abandoned=frozenset(details.missing).difference(details.scanned),
            within=tuple(record.source.split(INSIDE)[1:]),
        )
        if not details.ocr:
            return task
        if details.ocr == local_ocr.NAME:
            return replace(task, ocr=details.ocr if recognises(self.settings) else "")
        pages = Recogniser(self.index, None, f"{details.ocr} {API_VERSION}", Times())
        with closing(pages):
            found = pages.found(scanned(task, file, details.scanned, self.lookers))
        return replace(task, ocr=details.ocr, recognised=found.texts)

    def read(self, task: Task, pages: range, file: BinaryIO) -> Seen:
        """A document read, by the other engine too where it does not survive the first."""
        try:
            seen = self.children(reading(task, pages), file, deserved(task, self.limits))
        except Died as death:
            other = otherwise(task, death)
            if other is None:
                raise
            seen = self.children(reading(other, pages), file, deserved(other, self.limits))
        assert isinstance(seen, Seen)
        return seen

    def drawn(self, seen: Seen, task: Task, file: BinaryIO) -> Seen:
        """The document with pictures of its pages, up to the first that ends its reader."""
        sheets, over = [], ""
        for sheet in seen.sheets:
            reason = over or (FULL if self.pictures > PICTURES else "")
            if sheet.missing and not sheet.scanned:
                reason = reason or "it could not be read, so it is not drawn either"
            if not reason:
                try:
                    picture = self.picture(sheet, task, file)
                except DocumentError as error:
                    reason = str(error)
                    if isinstance(error, Died):
                        over = f"not drawn, since page {sheet.number} ended what draws them"
                else:
                    self.pictures += len(picture.png)
                    sheets.append(replace(sheet, drawn=picture))
                    continue
            sheets.append(replace(sheet, undrawn=reason))
        return replace(seen, sheets=tuple(sheets))

    def picture(self, sheet: Sheet, task: Task, file: BinaryIO) -> Drawn:
        """The picture of a page. Raises DocumentError."""
        texts = tuple(segment.text for segment in sheet.segments)
        wanted = Drawing(sheet.number, texts, task.extractor, task.passwords, task.within)
        drawn = self.children(wanted, file)
        assert isinstance(drawn, Drawn)
        return drawn


def reading(task: Task, pages: range) -> Reading:
    """What a child is asked for of a document."""
    return Reading(task, pages.start, pages.stop - 1)


def recognises(settings: Settings) -> bool:
    """Whether this machine can recognise text."""
    try:
        local_ocr.installed()
    except ConfigError:
        return False
    enough = settings.document_megabytes >= local_ocr.MEGABYTES
    return enough and settings.extractor != "pypdf"


def current(root: Root, record: Record) -> Source:
    """The file or blob that a record is of, as it is now. Raises DocumentError if it is gone."""
    name = holder(record.source) or record.source
    if not isinstance(root, Folder):
        # Whoever fetches a blob by an etag that is no longer its own gets it as it is now.
        from ingest.sources.blob import location

        return Source(
            root.name, name, location(root.name, name), max(0, record.size), record.modified
        )
    path = root.folder / name
    # Its folder may spell it otherwise than the index does; then the listing finds it.
    with suppress(OSError):
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            return Source(root.name, name, str(path), status.st_size, str(status.st_mtime_ns))
    source = next(Folder(root.folder, (glob.escape(name),)).listed(), None)
    if not isinstance(source, Source):
        reason = source.reason if isinstance(source, Oddity) else "is no longer in its root"
        raise DocumentError(reason, Code.VANISHED)
    return source
