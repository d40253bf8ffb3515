"""Kinds of findings of a check, and the command that fixes each."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import StrEnum


class FindingKind(StrEnum):
    """Kind of inconsistency in an index. Part of the JSON output: never rename one."""

    MISSING = "missing"
    EXTRA = "extra"
    TORN = "torn"
    STALE = "stale"
    ORDER = "order"
    VECTOR = "vector"
    WORDS = "words"
    PAGE = "page"
    IMAGE = "image"
    CHANGED = "changed"
    VANISHED = "vanished"
    NEW = "new"
    ROOT = "root"


REPAIR_COMMAND = "ingest check --repair{index}"
RUN_COMMAND = "ingest run {root}{index}{options}"
ELSEWHERE_COMMAND = "ingest check {root}{index}, on a machine that has this root"
FORGET_COMMAND = "ingest check --forget {root}{index}, if it will not come back"

REMEDY_COMMANDS = {
    FindingKind.TORN: RUN_COMMAND,
    FindingKind.CHANGED: RUN_COMMAND,
    FindingKind.VANISHED: RUN_COMMAND,
    FindingKind.NEW: RUN_COMMAND,
    FindingKind.ROOT: FORGET_COMMAND,
}


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """One inconsistency, of a source, a root or the whole index."""

    kind: FindingKind
    text: str
    root: str = ""
    source: str = ""
    count: int = 1  # of chunks; of sources for ROOT, of pages for PAGE, of images for IMAGE
    ids: tuple[str, ...] = ()  # of the chunks
    options: str = ""  # that a run needs to repair it
    elsewhere: bool = False  # the root may be available on another machine

    def remedy(self, index_place: str = "") -> str:
        """Command that fixes it. `index_place` is the --index to name; "" for the default one."""
        index = f" --index {shlex.quote(index_place)}" if index_place else ""
        command = REMEDY_COMMANDS.get(self.kind, REPAIR_COMMAND)
        if self.elsewhere:
            command = ELSEWHERE_COMMAND
        options = f" {self.options}" if self.options else ""
        return command.format(root=shlex.quote(self.root), index=index, options=options)
