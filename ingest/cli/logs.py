"""Logging to stderr: lines of text, or one JSON object per line with `--log json`.

Everything on stderr is written here, so that a log collector can parse every line. No secret is
ever logged, in either format.
"""

from __future__ import annotations

import io
import json
import logging
import sys
import time
import traceback
from types import TracebackType
from typing import Any

from ingest.redaction import redact

VERBOSITY_LEVELS = (logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)
DEFECT_EXIT_CODE = 1  # Python's own, after an uncaught exception
DOCUMENTS_EXIT_CODE = 3  # some documents could not be read
PACKAGE_LOGGER = logging.getLogger("ingest")
# Attributes of every log record; all others are extra fields, and go into the JSON.
STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "event",
}


class StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Handler that writes to the current sys.stderr: a live display may have replaced it."""

    def __init__(self, *, machine: bool, timed: bool) -> None:
        super().__init__()
        self.is_machine = machine
        self.run = ""  # id of the current run
        self.setFormatter(JsonFormatter() if machine else TextFormatter(timed=timed))

    @property
    def stream(self) -> Any:
        return sys.stderr

    @stream.setter
    def stream(self, _: object) -> None:
        """No-op setter: the stream is looked up on each write."""

    def emit(self, record: logging.LogRecord) -> None:
        if self.run:
            record.run = self.run
        super().emit(record)


class TextFormatter(logging.Formatter):
    """Formatter for people. Lines other than events and the last one begin with "ingest: "."""

    def __init__(self, *, timed: bool) -> None:
        super().__init__()
        self.timed = timed  # prefix each line with the time, UTC

    def format(self, record: logging.LogRecord) -> str:
        from ingest.runtime.formatting import escape_unprintable

        text = escape_unprintable(redact(record.getMessage()))
        known = hasattr(record, "event") or hasattr(record, "exit")
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ ", time.gmtime(record.created)) if self.timed else ""
        return f"{at}{text}" if known else f"{at}ingest: {text}"


class JsonFormatter(logging.Formatter):
    """JSON formatter: time, level, event, message, and the extra fields of the record."""

    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{seconds}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "event": getattr(record, "event", "log"),
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in STANDARD_FIELDS},
        }
        if record.exc_info:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        from ingest.runtime.formatting import escape_controls

        return redact(escape_controls(json.dumps(line, ensure_ascii=False, default=str)))


def configure_logging(verbosity: int, form: str) -> None:
    """Log the messages of `ingest` to stderr, and none of the SDKs', which log request headers.

    `verbosity` is an index into VERBOSITY_LEVELS. `form` is "json"; anything else is text, with
    the time on each line unless stderr is a terminal.
    """
    timed = sys.stderr is not None and not sys.stderr.isatty()
    machine = form == "json"
    if machine and isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(encoding="utf-8", errors="backslashreplace")
    PACKAGE_LOGGER.handlers, PACKAGE_LOGGER.propagate = (
        [StderrHandler(machine=machine, timed=timed)],
        False,
    )
    PACKAGE_LOGGER.setLevel(VERBOSITY_LEVELS[min(verbosity, len(VERBOSITY_LEVELS) - 1)])
    sys.excepthook = log_crash if machine else log_defect
    # Without a handler, Python prints the warnings of the SDKs; our errors already report them.
    logging.getLogger().addHandler(logging.NullHandler())


def current_handler() -> StderrHandler | None:
    """Handler that `configure_logging` installed; None before that."""
    return next((each for each in PACKAGE_LOGGER.handlers if isinstance(each, StderrHandler)), None)


def is_machine_log() -> bool:
    """Return whether the log is JSON."""
    handler = current_handler()
    return handler is not None and handler.is_machine


def flush() -> None:
    """Wait until everything logged is written, including by other threads."""
    if handler := current_handler():
        handler.flush()


def set_run(run: str) -> None:
    """Add the run's id to every line of a JSON log from here on."""
    if handler := current_handler():
        handler.run = run


def run_field() -> dict[str, str]:
    """Field with the current run's id, for JSON events; {} outside a run."""
    handler = current_handler()
    return {"run": handler.run} if handler and handler.run else {}


def log_event(level: int, message: str, **fields: Any) -> None:
    """Log an event at any verbosity: the caller decides whether it is wanted."""
    PACKAGE_LOGGER.handle(
        PACKAGE_LOGGER.makeRecord(
            PACKAGE_LOGGER.name, level, "", 0, message, (), None, extra=fields
        )
    )


def log_notice(text: str) -> None:
    """Log a notice at any verbosity."""
    log_event(logging.WARNING, text)


def log_exit(message: str, code: int) -> None:
    """Log why a command exits with an error, as the last line."""
    log_event(logging.ERROR, f"exit {code}: {message}", exit=code)


def log_machine_event(message: str, event: str, *, is_news: bool = True, **fields: Any) -> None:
    """Log an event in a JSON log only: people see it in another form.

    `is_news`: False if an exit code 3 is for documents that were reported before. With --quiet,
    only an event with an exit code other than 0 is logged.
    """
    bad = bool(fields.get("exit"))
    if is_machine_log() and (bad or PACKAGE_LOGGER.isEnabledFor(logging.WARNING)):
        level = exit_level(fields.get("exit", 0), is_news=is_news)
        log_event(level, message, event=event, **fields)


def exit_level(code: int, *, is_news: bool = True) -> int:
    """Log level of an exit code: new problems of documents are warnings, like each of them."""
    documents = logging.WARNING if is_news else logging.INFO
    return {0: logging.INFO, DOCUMENTS_EXIT_CODE: documents}.get(code, logging.ERROR)


def log_end(code: int, message: str) -> None:
    """Log the last line, which explains the exit code. With --quiet, only if it is not 0."""
    if code or PACKAGE_LOGGER.isEnabledFor(logging.WARNING):
        log_event(exit_level(code), f"exit {code}: {message}", event="end", exit=code)


def log_crash(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    """Exception hook of a JSON log: the traceback of a bug in one line."""
    PACKAGE_LOGGER.critical(
        "%s: %s", kind.__name__, error, exc_info=(kind, error, at), extra={"exit": DEFECT_EXIT_CODE}
    )


def log_defect(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    """Exception hook of a text log: the traceback of a bug, then a line that explains it."""
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, at))))
    log_exit(f"a bug in ingest: {kind.__name__}; see the traceback above", DEFECT_EXIT_CODE)
