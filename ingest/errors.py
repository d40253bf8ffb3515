"""All errors meant for users, by the remedy, with the exit code of the command line.

    IngestError
    ├── ServiceError     run again later                             exit 1
    ├── ConfigError      fix a setting, a path or the index          exit 2
    │   ├── RoleError    have the role assigned, or wait for it      exit 2
    │   └── RootError    make the root available; others are done    exit 2, at the end
    ├── DocumentError    fix the document; the run continues         exit 3, at its end
    └── BusyError        wait for the other run on this index        exit 11

A message is one line: the thing, what is wrong with it, and the remedy. Any other exception that
escapes is a bug, and is shown with its traceback.
"""

from __future__ import annotations

from typing import Self

from ingest.models import Code, Outcome
from ingest.redaction import redact

MAX_REASON_CHARS = 300


class IngestError(Exception):
    """Base class of all errors meant for users. `exit_code` is for the command line."""

    exit_code = 1
    is_logged = False  # the last line of a JSON log has it already

    def __init__(self, message: str = "") -> None:
        super().__init__(redact(message))


class ServiceError(IngestError):
    """A service or a disk failed. Completed work is kept; another run continues it."""

    exit_code = 1


class StoppedError(ServiceError):
    """A wait was cancelled, because the run is stopping."""


class ConfigError(IngestError):
    """A setting, a path or an index is wrong or missing; running again does not help."""

    exit_code = 2


class RootError(ConfigError):
    """A root does not exist or cannot be listed; the other roots of the run are done."""


class NotYetError(ConfigError):
    """Something does not exist, or was created so recently that it has not taken effect yet."""


class RoleError(NotYetError):
    """A role assignment is missing, or has not taken effect yet."""


class DocumentError(IngestError):
    """One document cannot be read. It becomes the document's outcome, and does not end the run.

    A custom root raises `DocumentError(reason, code)`. The code decides the outcome: failed, which
    counts as an attempt, or skipped.
    """

    exit_code = 3

    def __init__(self, reason: str, code: Code = Code.DAMAGED) -> None:
        super().__init__(clean_reason(reason))
        self.code = code

    @property
    def outcome(self) -> Outcome:
        """Outcome of the document in this run."""
        return self.code.outcome

    # By default exceptions are pickled without `code`; this one is sent from child processes.
    def __reduce__(self) -> tuple[type[Self], tuple[str, Code]]:
        return type(self), (str(self), self.code)


def clean_reason(reason: str) -> str:
    """Make a reason one line of bounded length: it may quote a library that quotes the file."""
    start = redact(reason)[: 4 * MAX_REASON_CHARS]
    text = " ".join("".join(c if c.isprintable() else " " for c in start).split())
    return text if len(text) <= MAX_REASON_CHARS else f"{text[: MAX_REASON_CHARS - 3]}..."


class RootGoneError(DocumentError):
    """A document vanished before it was read, with all of its root."""


PASSWORD_NEEDED_REASON = "needs a password; --passwords names a file of them"  # noqa: S105 - a message


class BusyError(IngestError):
    """Another run holds the index."""

    exit_code = 11
