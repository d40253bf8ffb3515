"""What goes to stderr: lines for people, or one JSON object a line for machines that ask for it.

All of it passes through here, so that whatever collects the log of a job can read every line. No
secret is logged anywhere, in either form.
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

LEVELS = (logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)
DEFECT, DOCUMENTS = 1, 3  # exit codes: Python's own, and that of documents not taken
OURS = logging.getLogger("ingest")
# What every record has; the rest of it are fields of its own.
USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "event"}


class Stderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Logs go to what stderr is at the moment: a live display may stand in its place."""

    def __init__(self, *, machine: bool, timed: bool) -> None:
        super().__init__()
        self.machine = machine
        self.run = ""  # the id of the run under way
        self.setFormatter(Json() if machine else Text(timed=timed))

    @property
    def stream(self) -> Any:
        return sys.stderr

    @stream.setter
    def stream(self, _: object) -> None:
        """It is what it is."""

    def emit(self, record: logging.LogRecord) -> None:
        if self.run:
            record.run = self.run
        super().emit(record)


class Text(logging.Formatter):
    """A line for people. What is neither an event nor the end is said in the program's name."""

    def __init__(self, *, timed: bool) -> None:
        super().__init__()
        self.timed = timed  # whoever reads it later wants to know when it was said

    def format(self, record: logging.LogRecord) -> str:
        from ingest.report.words import printable  # not before something is said

        text = printable(record.getMessage())
        known = hasattr(record, "event") or hasattr(record, "exit")
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ ", time.gmtime(record.created)) if self.timed else ""
        return f"{at}{text}" if known else f"{at}ingest: {text}"


class Json(logging.Formatter):
    """A line for machines: time, level, event, message, and the record's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{seconds}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "event": getattr(record, "event", "log"),
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in USUAL},
        }
        if record.exc_info:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


def listen(verbosity: int, form: str) -> None:
    """Show what our own code logs, and nothing of the SDKs': they log requests and headers.

    `form` is "json", or anything else for text: with the time where stderr is no terminal.
    """
    timed = sys.stderr is not None and not sys.stderr.isatty()
    machine = form == "json"
    if machine and isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(encoding="utf-8", errors="backslashreplace")
    OURS.handlers, OURS.propagate = [Stderr(machine=machine, timed=timed)], False
    OURS.setLevel(LEVELS[min(verbosity, len(LEVELS) - 1)])
    sys.excepthook = defect if machine else defect_shown
    # Python prints the warnings of whoever has no handler; what they mean, our errors say.
    logging.getLogger().addHandler(logging.NullHandler())


def listener() -> Stderr | None:
    """What listens; None if nothing does yet."""
    return next((each for each in OURS.handlers if isinstance(each, Stderr)), None)


def for_machines() -> bool:
    """Whether a log is written that people do not read as it comes."""
    handler = listener()
    return handler is not None and handler.machine


def flush() -> None:
    """Wait until all that was said is out, also what another thread is saying."""
    if handler := listener():
        handler.flush()


def begin(run: str) -> None:
    """From here on, every line for machines says of which run it is."""
    if handler := listener():
        handler.run = run


def running() -> dict[str, str]:
    """The run under way, as every event names it; nothing where there is none."""
    handler = listener()
    return {"run": handler.run} if handler and handler.run else {}


def tell(level: int, message: str, **fields: Any) -> None:
    """Log something at any verbosity: whoever calls this knows that it is wanted."""
    OURS.handle(OURS.makeRecord(OURS.name, level, "", 0, message, (), None, extra=fields))


def complain(message: str, code: int) -> None:
    """Log why a command ends with an exit code, as the last line of all."""
    tell(logging.ERROR, f"exit {code}: {message}", exit=code)


def note(message: str, event: str, **fields: Any) -> None:
    """Log an event, but for machines only: people are told of it otherwise.

    Who wants to hear of errors only is told of an exit code that is not 0.
    """
    bad = bool(fields.get("exit"))
    if for_machines() and (bad or OURS.isEnabledFor(logging.WARNING)):
        tell(level_of(fields.get("exit", 0)), message, event=event, **fields)


def level_of(code: int) -> int:
    """How grave an exit code is: trouble with documents is as grave as each of them."""
    return {0: logging.INFO, DOCUMENTS: logging.WARNING}.get(code, logging.ERROR)


def end(code: int, words: str) -> None:
    """Log what an exit code means: to people, and to machines that were not told yet.

    Who wants to hear of errors only hears nothing of a 0.
    """
    if code or OURS.isEnabledFor(logging.WARNING):
        tell(level_of(code), f"exit {code}: {words}", event="end", exit=code)


def defect(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    """What escapes everything is a bug: a traceback, in one line."""
    OURS.critical(
        "%s: %s", kind.__name__, error, exc_info=(kind, error, at), extra={"exit": DEFECT}
    )


def defect_shown(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    """The traceback of a bug, and what it means to those who cannot read it."""
    sys.__excepthook__(kind, error, at)
    complain(f"a defect of ingest: {kind.__name__}; the lines above say where", DEFECT)
