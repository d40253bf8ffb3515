"""^C, SIGTERM and the deadline: each stops a run in order, and a second signal ends it at once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

from ingest.cli import exit_message, logs, watchdog
from ingest.errors import ServiceError, StoppedError
from ingest.pipeline.run import stop_at_deadline
from ingest.pipeline.totals import RunTotals
from ingest.runtime.cancellation import Cancellation


@contextmanager
def handle_signals(stop: Cancellation, deadline: float | None = None) -> Iterator[list[int]]:
    """Stop the run at ^C, SIGTERM or the deadline; a second signal ends it at once.

    Yields the signals received. `deadline` is in seconds from now; the run stops the grace period
    earlier. A watchdog ends the process some seconds later if something is blocked.
    """
    received: list[int] = []
    if deadline is not None:
        watchdog.exit_within(
            deadline + stop.grace_seconds + watchdog.EXTRA_SECONDS, ServiceError.exit_code
        )
    try:
        with (
            watchdog.install_handler(partial(receive_signal, stop, received)),
            stop_on_signal(stop),
            stop_at_deadline(
                stop, deadline, partial(logs.log_notice, "the deadline is near: stopping")
            ),
        ):
            yield received
    except StoppedError as error:  # before the run began; later, it reports its end itself
        raise exit_message.combine_errors(
            error, RunTotals(), received, is_overdue=stop.is_overdue()
        ) from error.__cause__


def receive_signal(
    stop: Cancellation, received: list[int], number: int, _: FrameType | None
) -> None:
    """Handle a signal in the main thread, which may be blocked on stderr: so log nothing here."""
    received.append(number)
    if len(received) == 1:
        stop.request()
    elif number == signal.SIGTERM:
        sys.exit(exit_message.signal_exit_code(received[1:]))
    else:
        raise KeyboardInterrupt


@contextmanager
def stop_on_signal(stop: Cancellation) -> Iterator[None]:
    """Stop the run and say so at the first signal, even while the main thread is blocked."""
    noticed: list[int] = []
    message = (
        f"stopping; work in progress has {stop.grace_seconds:g} s to finish. ^C again stops at once"
    )
    announcer = threading.Thread(target=logs.log_notice, args=[message], daemon=True)

    def on_signal(number: int) -> None:
        noticed.append(number)
        code = exit_message.signal_exit_code([number])
        if len(noticed) == 1:
            watchdog.exit_within(stop.grace_seconds + watchdog.EXTRA_SECONDS, code)
            stop.request()
            announcer.start()
        else:
            watchdog.exit_within(watchdog.FORCED_EXIT_SECONDS, code)

    try:
        with watchdog.listen_for_signals(on_signal):
            yield
    finally:
        if announcer.ident is not None:
            announcer.join(watchdog.FORCED_EXIT_SECONDS)  # so that the exit message is last
