"""Attachments: each PDF inside a PDF is a source of its own, read through the outer file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import BinaryIO, TypeAlias

from ingest.errors import DocumentError
from ingest.models import ATTACHMENT_SEPARATOR, Attachment, Code, PreparedDocument
from ingest.pipeline.reader.prepare import Prepare, Task

log = logging.getLogger(__name__)

# Of one file. All results are in memory until the last one is read; FileBudget limits their size.
MAX_ATTACHMENTS = 1000


def prepare_with_attachments(
    task: Task, file: BinaryIO, prepare: Prepare, passwords: tuple[str, ...] = ()
) -> PreparedDocument | None:
    """Prepare a document and every PDF inside it, each as a source of its own.

    Only the reader of a locked PDF gets the passwords. Attachments of an unchanged document are not
    read. An attachment that cannot be read has its error as result. The details of the document
    name all attachments, at any depth.
    """
    unlocked = partial(prepare_unlocked, prepare, passwords)
    document, task = unlocked(task, file)
    if document is None or not document.details.attachments:
        return document
    found = list(islice(prepare_attachments(task, document, file, unlocked), MAX_ATTACHMENTS + 1))
    if len(found) > MAX_ATTACHMENTS:
        log.warning(
            "%s: only the first %d PDFs inside it are read", task.source.name, MAX_ATTACHMENTS
        )
    attached = tuple(found[:MAX_ATTACHMENTS])
    prefix = task.source.name + ATTACHMENT_SEPARATOR
    names = tuple(each.source.name.removeprefix(prefix) for each in attached)
    details = replace(document.details, attachments=names)
    return replace(document, attached=attached, details=details)


def prepare_unlocked(
    prepare: Prepare, passwords: tuple[str, ...], task: Task, file: BinaryIO
) -> tuple[PreparedDocument | None, Task]:
    """Prepare a document; if it is locked, again with the passwords. Return the task as well."""
    try:
        return prepare(task, file), task
    except DocumentError as error:
        if error.code != Code.ENCRYPTED or not passwords or task.passwords:
            raise
    task = replace(task, passwords=passwords)
    return prepare(task, file), task


PrepareUnlocked: TypeAlias = Callable[[Task, BinaryIO], tuple[PreparedDocument | None, Task]]


def prepare_attachments(
    task: Task, prepared: PreparedDocument, file: BinaryIO, prepare: PrepareUnlocked
) -> Iterator[Attachment]:
    """Prepare the attachments of a document, depth first."""
    for name in prepared.details.attachments:
        source = replace(task.source, name=f"{task.source.name}{ATTACHMENT_SEPARATOR}{name}")
        inner = replace(
            task, source=source, known_fingerprint="", attachment_path=(*task.attachment_path, name)
        )
        try:
            found, inner = prepare(inner, file)
        except DocumentError as error:
            yield Attachment(source, error)
            continue
        assert found is not None, "without a known fingerprint it cannot be unchanged"
        # The outermost record lists all attachments; a second list would remove them twice.
        yield Attachment(source, replace(found, details=replace(found.details, attachments=())))
        yield from prepare_attachments(inner, found, file, prepare)
