"""The output of `run` about the life cycle: a line for each event, and the components that delay it."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TextIO

import attrs

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
from typedbus._base.failures import CauseReport
from typedbus._base.states import State
from typedbus._bus.bus import Bus
from typedbus._bus.registry import EXIT, LIFECYCLE, LOG, START, STOP, WARNING
from typedbus._os.unblocked import can_write

if TYPE_CHECKING:
    from typedbus.process._display import Display

PATIENCE: Final = 1.0
_TICK: Final = 0.25
_PAUSE: Final = 1.0
_WORDS: Final[dict[type[LifecycleEvent], str]] = {
    Constructing: "building",
    Constructed: "built",
    ComponentStarting: "starting",
    ComponentStarted: "started",
    ComponentStopping: "stopping",
    ComponentStopped: "stopped",
    ComponentExiting: "exiting",
    ComponentExited: "exited",
}
_CHANNELS: Final = {State.STARTING: START, State.STOPPING: STOP, State.EXITING: EXIT}
_STYLES: Final = {
    "bus": "bold",
    "started": "green",
    "failed": "bold red",
    "undone": "yellow",
    "disabled": "yellow",
    "built": "dim",
    "stopped": "dim",
    "exited": "dim",
}


def console(stream: TextIO | None, bus: Bus, *, is_quiet: bool = False) -> Console:
    """
    Return a context manager that writes the life cycle of *bus* to *stream*.

    On a terminal, if rich is installed, the output has colours, and a status line
    with the awaited components once a start or a stop takes longer than a second;
    elsewhere it has only plain lines. With None as the stream nothing is written.
    With *is_quiet*, it writes only failures, and messages from WARNING up.
    """
    if is_quiet:
        return Console(stream, bus, is_quiet=True)
    try:
        is_terminal = stream is not None and stream.isatty()
    except (AttributeError, ValueError):
        # The stream is of another type, or closed.
        is_terminal = False
    if stream is None or not is_terminal:
        return Console(stream, bus)
    try:
        from typedbus.process._display import Display  # rich is slow to import, and only needed on terminals
    except ImportError:
        return Console(stream, bus)
    display = Display(stream)
    return _Live(stream, bus, display) if display.can_show else Console(stream, bus)


def _kind_of(error: BaseException) -> str:
    """Return the text about *error* for the line on a failed hook."""
    if isinstance(error, HookTimeout):
        # The text of a timeout is long; `run` prints it with the traceback.
        return "given up"
    if isinstance(error, StartCancelled):
        return "broken off"
    # `run` prints the text.
    return type(error).__name__ if isinstance(error, OperatorError) else repr(error)


def _level_of(event: LifecycleEvent) -> int:
    """Return the level of the record of *event*."""
    from typedbus.plugins.logs import _record_of

    return _record_of(event)[0]


@attrs.define(eq=False)
class _Awaited:
    """A component that is being constructed, or whose hook is being called, since a point in time."""

    verb: str
    path: str
    since: float
    is_told: bool = False


class Console:
    """
    Writes a line for each event, and for each message on `LOG`.

    It also names each component that delays a transition for more than a second,
    so that a log shows what hung. A watchdog thread does that; it runs during a
    transition, and has ended when the transition ends.
    """

    def __init__(self, stream: TextIO | None, bus: Bus, *, is_quiet: bool = False) -> None:
        self._stream = stream
        self._is_quiet = is_quiet
        self._bus = bus
        # Reentrant, since a signal handler may log in the middle of a line.
        self._lock = threading.RLock()
        self._awaited: dict[str, _Awaited] = {}
        self._done = 0
        self._has_started: set[str] = set()
        self._state = bus.state
        #: How long to wait for the reader of the stream before a line is left out during an exit, in seconds.
        self._patience = _PAUSE
        self._is_leaving = False
        self._over = threading.Event()
        self._watch: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._bus[LIFECYCLE].subscribe(self.show)
        self._bus[LOG].subscribe(self.log)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        self._bus[LIFECYCLE].unsubscribe(self.show)
        self._bus[LOG].unsubscribe(self.log)
        self.rest()

    @property
    def restoring(self) -> bytes:
        """The bytes that restore the terminal, for a signal handler, which can only write."""
        return b""

    def show(self, event: LifecycleEvent, /) -> None:
        """Write *event*, unless a handler of `logging` writes it to the same place."""
        if self._is_quiet and not isinstance(event, (Failed, ListenerFailed, RolledBack)):
            return
        self._show(event)

    def _show(self, event: LifecycleEvent) -> None:
        match event:
            case Moved(_, after):
                self.rest()
                self._line("bus", after.name, event=event)
                self.set_out(after)
            case Constructing(path) | ComponentStarting(path) | ComponentStopping(path) | ComponentExiting(path):
                with self._lock:
                    self._awaited[path] = _Awaited(_WORDS[type(event)], path, time.monotonic())
            case (
                Constructed(path, seconds)
                | ComponentStarted(path, seconds)
                | ComponentStopped(path, seconds)
                | ComponentExited(path, seconds)
            ):
                self._line(_WORDS[type(event)], f"{path} ({seconds * 1000:.1f} ms)", path, event=event)
                self._done += not isinstance(event, Constructed)
                if isinstance(event, ComponentStarted):
                    self._has_started.add(path)
            case Failed(path, hook, seconds, error):
                what = _kind_of(error)
                self._line("failed", f"{path} in {hook} ({seconds * 1000:.1f} ms): {what}", path, event=event)
                self._done += 1
            case RolledBack(seconds, _, paths):
                self._line("undone", f"the start: {len(paths)} stopped ({seconds * 1000:.1f} ms)", event=event)
            case ListenerFailed(name, channel, error):
                self._line("failed", f"{name} on {channel}: {error!r}", event=event)
            case Disabled(path, reason):
                self._line("disabled", f"{path}: {reason}", event=event)
            case Subscribed():
                return

    def log(self, message: str, level: int, /) -> None:
        """Write *message*, unless `run` prints it at the end; levels are those of the `logging` module."""
        if self._is_quiet and level < WARNING:
            return
        if not isinstance(message, CauseReport):
            self._show_message(message, level)

    def _show_message(self, message: str, level: int) -> None:
        if not self._is_logged(lambda: level):
            self._line("log", message)

    def _is_logged(self, level_of: Callable[[], int]) -> bool:
        """Whether a `Logging` of the bus passes records of this level to a handler that writes to the same place."""
        # A program that uses `Logging` has imported this module.
        logs = sys.modules.get("typedbus.plugins.logs")
        if logs is None or self._stream is None:
            return False
        owners: list[Any] = [getattr(one.listener, "__self__", None) for one in self._bus[LIFECYCLE].subscriptions]
        return any(isinstance(one, logs.Logging) and one.reaches(self._stream, level_of()) for one in owners)

    def _line(self, word: str, said: str, ended: str | None = None, *, event: LifecycleEvent | None = None) -> None:
        """Write a line, unless *event* is logged to the same place; the component *ended* is no longer awaited."""
        is_logged = event is not None and self._is_logged(lambda: _level_of(event))
        with self._lock:
            if ended is not None:
                self._awaited.pop(ended, None)
            if not is_logged:
                self._write(word, said)

    def _write(self, word: str, said: str) -> None:
        if self._stream is not None and not self._is_blocked():
            self._stream.write(f"{word:<8} {said}\n")
            self._stream.flush()

    def _is_blocked(self) -> bool:
        """Whether writing would block the exit, because nothing reads the pipe or the terminal is stopped."""
        self._is_leaving = self._is_leaving or self._bus._exit_requested
        if not self._is_leaving:
            return False
        try:
            descriptor = -1 if self._stream is None else self._stream.fileno()
        except (OSError, ValueError, AttributeError):
            # The stream has no file descriptor, or is closed.
            return False
        self._patience = _PAUSE if can_write(descriptor, self._patience) else 0.0
        return not self._patience

    def set_out(self, state: State) -> None:
        """Start the watchdog thread if *state* is a transitional state."""
        self._state, self._done = state, 0
        self._awaited.clear()
        if state is State.STARTING:
            self._has_started.clear()
            self._is_leaving = False
        if state in _CHANNELS:
            self._over = threading.Event()
            # A daemon thread, so that an interpreter that ends during a transition does not wait for it.
            watch = threading.Thread(target=self._look_after, name="console", daemon=True)
            # Without the thread, only the lines about slow hooks are missing.
            with contextlib.suppress(RuntimeError):
                watch.start()
                self._watch = watch

    def rest(self) -> None:
        """Stop the watchdog thread."""
        self._over.set()
        if self._watch is not None:
            self._watch.join()
            self._watch = None

    def _look_after(self) -> None:
        over, pause = self._over, PATIENCE
        # Errors of a closed stream are ignored.
        with contextlib.suppress(OSError, ValueError):
            while not over.wait(pause):
                pause = self._look(time.monotonic())

    def _look(self, now: float) -> float:
        """Show the awaited components, and return the seconds until the next check."""
        pause = PATIENCE
        # Under the lock, so that no component is named that has just finished.
        with self._lock:
            for awaited in self._awaited.values():
                if awaited.is_told:
                    continue
                left = awaited.since + PATIENCE - now
                if left <= 0:
                    awaited.is_told = True
                    self._write(awaited.verb, f"{awaited.path} ...")
                else:
                    pause = min(pause, left)
        return pause


class _Live(Console):
    """
    Writes in colours, with a status line below: the awaited components, for how long, and how many are done.

    The status line appears when a phase of a transition takes longer than a second, and
    disappears at the end of the phase. `Display` describes what can break the line.
    """

    def __init__(self, stream: TextIO, bus: Bus, display: Display) -> None:
        super().__init__(stream, bus)
        self._display = display

    @property
    def restoring(self) -> bytes:
        return self._display.restoring

    def _write(self, word: str, said: str) -> None:
        if self._leads_elsewhere:
            super()._write(word, said)
        elif not self._is_blocked():
            self._display.line(f"{word:<8}", _STYLES.get(word, ""), f" {said}")

    @property
    def _leads_elsewhere(self) -> bool:
        # After a process has become a daemon, the same stream writes to a file.
        return self._stream is not None and not self._stream.isatty()

    def _look(self, now: float) -> float:
        if self._leads_elsewhere:
            return super()._look(now)
        if self._is_blocked():
            return _TICK
        with self._lock:
            awaited = list(self._awaited.values())
        verb = awaited[0].verb if awaited else self._state.name.lower()
        listed = ", ".join(f"{now - one.since:.1f} s {one.path}" for one in awaited)
        # The number of components to construct is not known until construction is finished.
        count = "" if verb == "building" else f" {self._done} of {self._expected(len(awaited))}"
        self._display.show(f"{verb}{count}: {listed}")
        return _TICK

    def _expected(self, awaited: int) -> int:
        """Return how many hooks the phase calls, of which *awaited* are being called."""
        subscriptions = self._bus[_CHANNELS[self._state]].subscriptions
        if self._state is State.STOPPING:
            # After a failed start, only the components that had started are stopped.
            subscriptions = tuple(one for one in subscriptions if one.path in self._has_started)
        return max(len(subscriptions), self._done + awaited)

    def rest(self) -> None:
        super().rest()
        self._display.end()
