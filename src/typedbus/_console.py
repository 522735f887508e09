"""
What `run` shows of the life cycle: a line for each event, and who keeps it waiting.

A line is written whole, and nothing of the terminal is taken from those who
write to it as well: the components, their loggers and child processes.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TextIO

import attrs

from typedbus._bus import Bus
from typedbus._events import (
    Constructed,
    Constructing,
    Disabled,
    Exited,
    Exiting,
    Failed,
    LifecycleEvent,
    ListenerFailed,
    Moved,
    RolledBack,
    Started,
    Starting,
    Stopped,
    Stopping,
    Subscribed,
)
from typedbus._failures import HookTimeout
from typedbus._registry import EXIT, LIFECYCLE, LOG, START, STOP
from typedbus._states import State

if TYPE_CHECKING:
    from rich.console import Console as Rich

PATIENCE: Final = 1.0
_TICK: Final = 0.1
_LEAST: Final = os.terminal_size((20, 3))
_WORDS: Final[dict[type[LifecycleEvent], str]] = {
    Constructing: "building",
    Constructed: "built",
    Starting: "starting",
    Started: "started",
    Stopping: "stopping",
    Stopped: "stopped",
    Exiting: "exiting",
    Exited: "exited",
}
_LEGS: Final = {State.STARTING: "starting", State.STOPPING: "stopping", State.EXITING: "exiting"}
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


def console(stream: TextIO | None, bus: Bus) -> Console:
    """
    Return what shows the life of *bus* on *stream*, for the length of a ``with``.

    On a terminal, and if rich is installed, that is with colours and with a last
    line that tells who is awaited, once a start or a stop takes longer than a
    second; elsewhere lines alone. None for a stream shows nothing.
    """
    try:
        is_terminal = stream is not None and stream.isatty()
    except (AttributeError, ValueError):
        # It is somebody's own, or closed.
        is_terminal = False
    if stream is None or not is_terminal:
        return Console(stream, bus)
    try:
        from rich.console import Console as Rich  # costs more than the rest, and only terminals need it
    except ImportError:
        return Console(stream, bus)
    rich = Rich(file=stream)
    if not rich.is_terminal or rich.is_dumb_terminal or rich.legacy_windows:
        return Console(stream, bus)
    return _Live(stream, bus, rich)


@attrs.define(eq=False)
class _Awaited:
    """A component that is being built, or whose hook is being called; since when."""

    verb: str
    path: str
    since: float
    is_told: bool = False


class Console:
    """
    Writes a line for each event, and for each message on `LOG`.

    Whoever keeps a transition waiting for longer than a second is named as well,
    so that a log shows what hung. A thread looks after that for as long as the
    bus is on its way, and has ended when the transition has.
    """

    #: What puts the terminal in order, for a process that ends at once.
    restoring: bytes = b""

    def __init__(self, stream: TextIO | None, bus: Bus) -> None:
        self._stream = stream
        self._bus = bus
        # Reentrant, since a signal handler may log in the middle of a line.
        self._lock = threading.RLock()
        self._awaited: dict[str, _Awaited] = {}
        self._state = bus.state
        self._since = 0.0
        self._over = threading.Event()
        self._watch: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._bus[LIFECYCLE].subscribe(self.tell)
        self._bus[LOG].subscribe(self.log)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        self._bus[LIFECYCLE].unsubscribe(self.tell)
        self._bus[LOG].unsubscribe(self.log)
        self._rest()

    def tell(self, event: LifecycleEvent, /) -> None:
        """Write *event*."""
        match event:
            case Moved(_, after):
                self._rest()
                self._line("bus", after.name)
                self._set_out(after)
            case Constructing(path) | Starting(path) | Stopping(path) | Exiting(path):
                with self._lock:
                    self._awaited[path] = _Awaited(_WORDS[type(event)], path, time.monotonic())
            case Constructed(path, seconds) | Started(path, seconds) | Stopped(path, seconds) | Exited(path, seconds):
                self._line(_WORDS[type(event)], f"{path} ({seconds * 1000:.1f} ms)", path)
            case Failed(path, hook, seconds, error):
                # What is to be said of a hook that was given up has many lines, and comes with the traceback.
                what = "given up" if isinstance(error, HookTimeout) else repr(error)
                self._line("failed", f"{path} in {hook} ({seconds * 1000:.1f} ms): {what}", path)
            case RolledBack(seconds, _, paths):
                self._line("undone", f"the start: {len(paths)} stopped ({seconds * 1000:.1f} ms)")
            case ListenerFailed(name, channel, error):
                self._line("failed", f"{name} on {channel}: {error!r}")
            case Disabled(path, reason):
                self._line("disabled", f"{path}: {reason}")
            case Subscribed():
                return

    def log(self, message: str, level: int, /) -> None:
        """Write *message*; levels are those of the `logging` module."""
        self._line("log", message)

    def _line(self, word: str, said: str, ended: str | None = None) -> None:
        """Write a line; *ended* is the path of a component that is awaited no longer."""
        with self._lock:
            if ended is not None:
                self._awaited.pop(ended, None)
            self._write(f"{self._styled(word)} {said}\n")

    def _styled(self, word: str) -> str:
        return f"{word:<8}"

    def _write(self, text: str) -> None:
        if self._stream is not None:
            with self._lock:
                self._stream.write(text)
                self._stream.flush()

    def _set_out(self, state: State) -> None:
        """Begin to watch a leg of a transition, if *state* is one."""
        self._state, self._since = state, time.monotonic()
        self._awaited.clear()
        if state in _LEGS:
            self._over = threading.Event()
            # An interpreter that ends in the middle of a transition does not wait for it.
            self._watch = threading.Thread(target=self._look_after, name="console", daemon=True)
            self._watch.start()

    def _rest(self) -> None:
        """Watch no longer."""
        self._over.set()
        if self._watch is not None:
            self._watch.join()
            self._watch = None

    def _look_after(self) -> None:
        over, pause = self._over, PATIENCE
        # A stream that is gone is no reason for a traceback on it.
        with contextlib.suppress(OSError, ValueError):
            while not over.wait(pause):
                pause = self._look(time.monotonic())

    def _look(self, now: float) -> float:
        """Show who is awaited, and return after how many seconds to look again."""
        pause = PATIENCE
        # Under the lock, so that nobody is named who has just come to an end.
        with self._lock:
            for awaited in self._awaited.values():
                if awaited.is_told:
                    continue
                left = awaited.since + PATIENCE - now
                if left <= 0:
                    awaited.is_told = True
                    self._write(f"{self._styled(awaited.verb)} {awaited.path} ...\n")
                else:
                    pause = min(pause, left)
        return pause


class _Live(Console):
    """
    Writes in colours, and tells in the last line of the terminal who is awaited.

    While that line is shown, the lines above it scroll by themselves. So whatever
    is written meanwhile, and by whomever, stays whole: a display that is drawn
    among the lines, as those of rich are, has to catch everything that is written.
    """

    def __init__(self, stream: TextIO, bus: Bus, rich: Rich) -> None:
        super().__init__(stream, bus)
        self._terminal = stream
        self._rich = rich
        self._words = {word: self._rendered(f"{word:<8}", style) for word, style in _STYLES.items()}
        self._size: os.terminal_size | None = None
        self._done = 0
        self._has_started: set[str] = set()

    def _rendered(self, text: str, style: str, width: int | None = None) -> str:
        from rich.text import Text

        rendered = Text(text, style)
        if width is not None:
            rendered.truncate(width, overflow="ellipsis")
        with self._rich.capture() as captured:
            self._rich.print(rendered, end="", soft_wrap=True)
        return captured.get()

    def _styled(self, word: str) -> str:
        return self._words.get(word) or super()._styled(word)

    def tell(self, event: LifecycleEvent, /) -> None:
        super().tell(event)
        match event:
            case Moved(_, after):
                self._done = 0
                if after is State.STARTING:
                    self._has_started.clear()
            case Started(path):
                self._has_started.add(path)
                self._done += 1
            case Stopped() | Exited() | Failed():
                self._done += 1
            case _:
                pass

    def _look(self, now: float) -> float:
        if self._since + PATIENCE > now:
            return self._since + PATIENCE - now
        size = os.get_terminal_size(self._terminal.fileno())
        if size != self._size:
            self._clear()
        # Fewer would leave nothing to scroll; some terminals say that they have none.
        if size.lines < _LEAST.lines or size.columns < _LEAST.columns:
            return super()._look(now)
        with self._lock:
            awaited = list(self._awaited.values())
        verb = awaited[0].verb if awaited else _LEGS[self._state]
        listed = ", ".join(f"{now - one.since:.1f} s {one.path}" for one in awaited)
        # How many there are to be built nobody says before the last one is.
        count = "" if verb == "building" else f" {self._done} of {self._expected(len(awaited))}"
        self._draw(f"{verb}{count}: {listed}", size)
        return _TICK

    def _expected(self, awaited: int) -> int:
        """Return how many hooks the leg calls, of which *awaited* are being called."""
        subscriptions = self._bus[_CHANNELS[self._state]].subscriptions
        if self._state is State.STOPPING:
            # Of a start that failed only those that had started are stopped.
            subscriptions = tuple(one for one in subscriptions if one.path in self._has_started)
        return max(len(subscriptions), self._done + awaited)

    # What is written to the terminal goes there in one piece, with the cursor
    # saved (ESC 7) and put back (ESC 8): others may be in the middle of a line.
    def _draw(self, text: str, size: os.terminal_size) -> None:
        reserved = ""
        if self._size is None:
            self._size = size
            self.restoring = f"\x1b7\x1b[{size.lines};1H\x1b[2K\x1b[r\x1b8".encode()
            # Down by one and up again, which scrolls if the cursor is in the last
            # line; then all but that line scroll by themselves.
            reserved = f"\x1bD\x1b[A\x1b7\x1b[1;{size.lines - 1}r\x1b8"
        shown = self._rendered(text, "bold", size.columns - 1)
        self._write(f"{reserved}\x1b7\x1b[{size.lines};1H\x1b[2K{shown}\x1b8")

    def _clear(self) -> None:
        if self._size is not None:
            self._write(self.restoring.decode())
            self._size, self.restoring = None, b""

    def _rest(self) -> None:
        super()._rest()
        with contextlib.suppress(OSError, ValueError):
            self._clear()
