"""Every error a user can meet, named for who must act.

    IngestError
    ├── ServiceError     nobody yet: run again later                exit 1
    ├── ConfigError      you: a setting, a role, a missing index    exit 2
    │   └── RoleError    whoever grants roles                       exit 2
    ├── DocumentError    the document's owner; the run goes on      exit 3, at the end
    └── BusyError        wait: another run holds the index          exit 11

Messages are one line: the thing, what is wrong with it, the remedy. Anything else that
escapes is a bug and shows a traceback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.models import Code, Outcome

if TYPE_CHECKING:
    from typing import Self


MAX_REASON_CHARS = 300  # characters of a reason


class IngestError(Exception):
    """What all errors meant for users have in common: an exit code."""

    exit_code = 1


class ServiceError(IngestError):
    """A service or a disk failed. Work done so far is kept; running again continues it."""

    exit_code = 1


class StoppedError(ServiceError):
    """A wait was called off, because the run is to end."""


class ConfigError(IngestError):
    """A setting, a role or a missing thing that only the caller can put right."""

    exit_code = 2


class NotYetError(ConfigError):
    """Something is missing, or was made so lately that it does not hold yet."""


class RoleError(NotYetError):
    """A role is missing, or does not hold yet."""


class DocumentError(IngestError):
    """One document cannot be read. An outcome, not the end of a run.

    A root of your own raises `DocumentError(reason, code)`; the code decides between failed, which
    counts as an attempt, and skipped.
    """

    exit_code = 3

    def __init__(self, reason: str, code: Code = Code.DAMAGED) -> None:
        super().__init__(clean_reason(reason))
        self.code = code

    @property
    def outcome(self) -> Outcome:
        """What becomes of the document in this run."""
        return self.code.outcome

    # Exceptions pickle by their args alone; this one crosses from a child process.
    def __reduce__(self) -> tuple[type[Self], tuple[str, Code]]:
        return type(self), (str(self), self.code)


def clean_reason(reason: str) -> str:
    """A reason as one line of bounded length: it may quote a library, and that a hostile file."""
    words = "".join(c if c.isprintable() else " " for c in reason[: 4 * MAX_REASON_CHARS]).split()
    text = " ".join(words)
    return text if len(text) <= MAX_REASON_CHARS else f"{text[: MAX_REASON_CHARS - 3]}..."


PASSWORD_NEEDED_REASON = "needs a password; --passwords names a file of them"  # noqa: S105 - a message


class BusyError(IngestError):
    """Another run holds the index."""

    exit_code = 11
