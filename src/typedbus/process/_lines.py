"""The life cycle of a bus as lines of text: one for each event, and the components that delay a transition."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TextIO

from typedbus._base.errors import HookTimeout, OperatorError, StartCancelled
from typedbus._base.events import (
    ComponentExited,
    ComponentExiting,
    ComponentStarted,
    ComponentStarting,
    ComponentStopped,
    ComponentStopping,
    Constructed,
    Constructing,
    Disabled,
    Failed,
    LifecycleEvent,
    ListenerFailed,
    Moved,
    RolledBack,
    Subscribed,
)
from typedbus._base.states import State
from typedbus._bus.builtin import LIFECYCLE
from typedbus._bus.bus import Bus
from typedbus._os.forks import BACKGROUND_THREADS
from typedbus._os.unblocked import can_write
from typedbus.process._progress import PATIENCE, Progress
from typedbus.process._verdict import verdict

if TYPE_CHECKING:
    from typedbus.process._display import Display

_TICK: Final = 0.25
#: How many failures of hooks are kept until the end.
_KEPT: Final = 100
#: How long to wait for the reader of the stream before a line is left out during an exit, in seconds.
_READER_PATIENCE: Final = 1.0
_WATCHED: Final = frozenset({State.STARTING, State.STOPPING, State.EXITING})
_STYLES: Final = {
    "bus": "bold",
    "started": "green",
    "failed": "bold red",
    "rolled back": "yellow",
    "disabled": "yellow",
    "built": "dim",
    "stopped": "dim",
    "exited": "dim",
}


def line_of(event: LifecycleEvent) -> tuple[str, str] | None:
    """Return the line for *event*, as its first word and the rest; None for an event without a line."""
    match event:
        case Moved(_, after):
            return "bus", after.name
        case Constructed(path, seconds):
            return "built", f"{path} ({_ms(seconds)})"
        case ComponentStarted(path, seconds):
            return "started", f"{path} ({_ms(seconds)})"
        case ComponentStopped(path, seconds):
            return "stopped", f"{path} ({_ms(seconds)})"
        case ComponentExited(path, seconds):
            return "exited", f"{path} ({_ms(seconds)})"
        case Failed(path, hook, seconds, error):
            return "failed", f"{path} in {hook} ({_ms(seconds)}): {_text_of(error)}"
        case RolledBack(seconds, _, paths):
            return "rolled back", f"the start: {len(paths)} stopped ({_ms(seconds)})"
        case ListenerFailed(name, channel, error):
            return "failed", f"{name} on {channel}: {error!r}"
        case Disabled(path, reason):
            return "disabled", f"{path}: {reason}"
        case Constructing() | ComponentStarting() | ComponentStopping() | ComponentExiting() | Subscribed():
            return None


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def _text_of(error: BaseException) -> str:
    """Return the text about *error* for the line on a failed hook; `run` prints the rest at the end."""
    if isinstance(error, HookTimeout):
        return "given up"
    if isinstance(error, StartCancelled):
        return "cancelled"
    return type(error).__name__ if isinstance(error, OperatorError) else repr(error)


class Lines:
    """
    Writes lines to a stream; on a terminal with a `Display` in colours, with a status line below.

    A component that delays a transition for more than a second is named, so that a log
    shows what hung: once in a line, or in the status line for as long as it takes. A
    watchdog thread does that; it runs during a transition, and has ended when the
    transition ends.

    A display also gets the duration of a start, and in place of the lines about each
    component that a rollback stops in less than a second a status line at once.

    Args:
        stream: Where to write; None to write nothing.
        bus: The bus whose events are shown.
        display: The terminal that *stream* leads to; None for plain lines.
    """

    def __init__(self, stream: TextIO | None, bus: Bus, display: Display | None = None) -> None:
        self._stream = stream
        self._bus = bus
        self._display = display
        # Reentrant, since a signal handler may log in the middle of a line.
        self._lock = threading.RLock()
        self._progress = Progress(bus)
        self._failures: deque[Failed] = deque(maxlen=_KEPT)
        self._reader_patience = _READER_PATIENCE
        self._is_leaving = False
        self._end_of_watch = threading.Event()
        self._watchdog: threading.Thread | None = None

    @property
    def restoring(self) -> bytes:
        """The bytes that restore the terminal, for a signal handler, which can only write."""
        return b"" if self._display is None else self._display.restoring

    def show(self, event: LifecycleEvent) -> None:
        """Write the line for *event*, unless a handler of `logging` writes it to the same place."""
        if isinstance(event, Moved):
            self.pause()
        if isinstance(event, Failed):
            self._failures.append(event)
        line = line_of(event)
        is_written = line is not None and not self._is_logged(lambda: _level_of(event))
        style = ""
        if line is not None and self._display_in_use() is not None:
            match event:
                case Moved(_, State.STARTED):
                    line, style = (line[0], line[1] + self._progress.outcome(time.monotonic())), "bold green"
                case ComponentStopped(_, seconds) if self._progress.is_rollback and seconds < PATIENCE:
                    # The line of the rollback has their number.
                    is_written = False
                case Failed():
                    style = "red"
                case _:
                    pass
        # At once, so that the watchdog does not name a component after the line about its end.
        with self._lock:
            self._progress.update(event)
            if line is not None and is_written:
                self._write(*line, style)
        if isinstance(event, Moved):
            if event.after is State.STARTING:
                self._is_leaving = False
            if event.after in _WATCHED:
                self.resume()

    def log(self, message: str, level: int) -> None:
        """Write *message*, unless a handler of `logging` writes it to the same place."""
        if not self._is_logged(lambda: level):
            with self._lock:
                self._write("log", message)

    def conclude(self, errors: Sequence[BaseException]) -> None:
        """On a display, repeat in red what failed, each with its component and the line of the program's code."""
        if self._display_in_use() is None:
            return
        with self._lock:
            for text, place in verdict(errors, self._failures):
                self._write("failed", text, "red")
                if place:
                    self._write("", place)

    def close(self) -> None:
        """Stop the watchdog thread, and remove the status line."""
        self.pause()

    def pause(self) -> None:
        """Stop the watchdog thread, and remove the status line, until the next phase or `resume`."""
        self._end_of_watch.set()
        if self._watchdog is not None:
            BACKGROUND_THREADS.remove(self)
            self._watchdog.join()
            self._watchdog = None
        if self._display is not None:
            self._display.end()

    def resume(self) -> None:
        """Start the watchdog thread."""
        self._end_of_watch = threading.Event()
        # A daemon thread, so that an interpreter that ends during a transition does not wait for it.
        watchdog = threading.Thread(target=self._watch, name="console", daemon=True)
        # Without the thread, only the lines about slow hooks are missing.
        with contextlib.suppress(RuntimeError):
            watchdog.start()
            self._watchdog = watchdog
            BACKGROUND_THREADS.append(self)

    def _write(self, word: str, text: str, style: str = "") -> None:
        if self._stream is None or self._is_blocked():
            return
        display = self._display_in_use()
        if display is not None:
            display.line(f"{word:<8}", _STYLES.get(word, ""), f" {text}", style)
        else:
            self._stream.write(f"{word:<8} {text}\n")
            self._stream.flush()

    def _display_in_use(self) -> Display | None:
        if self._display is None or self._stream is None:
            return None
        # After a process has become a daemon, the same stream writes to a file.
        return self._display if self._stream.isatty() else None

    def _is_blocked(self) -> bool:
        """Whether writing would block the exit, because nothing reads the pipe or the terminal is stopped."""
        self._is_leaving = self._is_leaving or self._bus.is_exit_requested
        if not self._is_leaving:
            return False
        try:
            descriptor = -1 if self._stream is None else self._stream.fileno()
        except (OSError, ValueError, AttributeError):
            # The stream has no file descriptor, or is closed.
            return False
        self._reader_patience = _READER_PATIENCE if can_write(descriptor, self._reader_patience) else 0.0
        return not self._reader_patience

    def _is_logged(self, level_of: Callable[[], int]) -> bool:
        """Whether a `Logging` of the bus passes records of this level to a handler that writes to the same place."""
        # A program that uses `Logging` has imported this module.
        logs = sys.modules.get("typedbus.plugins.logs")
        if logs is None or self._stream is None:
            return False
        for subscription in self._bus[LIFECYCLE].subscriptions:
            owner: Any = getattr(subscription.listener, "__self__", None)
            if isinstance(owner, logs.Logging) and owner.reaches(self._stream, level_of()):
                return True
        return False

    def _watch(self) -> None:
        end = self._end_of_watch
        pause = _TICK if self._progress.is_rollback and self._display is not None else PATIENCE
        # Errors of a closed stream are ignored.
        with contextlib.suppress(OSError, ValueError):
            while not end.wait(pause):
                pause = self._show_progress(time.monotonic())

    def _show_progress(self, now: float) -> float:
        """Show the components that the transition waits for, and return the seconds until the next look."""
        display = self._display_in_use()
        # Not under the lock: this takes the lock of the bus, under which messages may be logged.
        runs = self._bus.runs.values()
        if display is None:
            with self._lock:
                self._progress.follow_runs(runs, now)
                steps, pause = self._progress.overdue(now)
                for step in steps:
                    self._write(step.verb, f"{step.path} ...")
            return pause
        if not self._is_blocked():
            with self._lock:
                self._progress.follow_runs(runs, now)
                steps = self._progress.steps()
                style = "bold yellow" if self._progress.is_late(steps, now) else "bold"
            display.show(self._progress.summary(steps, now), style)
        return _TICK


def _level_of(event: LifecycleEvent) -> int:
    """Return the level of the record of *event*."""
    from typedbus.plugins.logs._records import record_of

    return record_of(event)[0]
