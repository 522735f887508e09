"""
Signals as channels of a bus.

A handler may interrupt the main thread anywhere. While the main thread is in
`Bus.block`, the handler does no work itself: `block` publishes the signal's channel
as soon as it is idle. But old code need not block, and a start that hangs must be
cancellable: outside of `block` the handler publishes the channel itself, as in the
original.
"""

from __future__ import annotations

import os
import signal as _signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar

from typedbus._bus.builtin import WARNING
from typedbus._bus.bus import parts_of
from typedbus.plugins._signal_actions import DEFAULTS
from typedbus.plugins._signal_handlers import SignalHandlers

if TYPE_CHECKING:
    from typedbus.wspbus._bus import Bus


class SignalHandler:
    """
    Publishes the channel of each signal, for example ``SIGTERM``, and subscribes a listener to it.

    Args:
        bus: The bus to publish on.

    Attributes:
        handlers: Maps names of signals to listeners: SIGTERM exits the bus, SIGHUP restarts a daemon and exits
            other processes, SIGUSR1 publishes ``graceful``. It may be changed before `subscribe`; names that the
            system lacks are skipped.
        signals: Maps signal numbers to names.
    """

    signals: ClassVar[dict[int, str]] = {
        number: name
        for name, number in vars(_signal).items()
        if name.startswith("SIG") and not name.startswith("SIG_") and isinstance(number, int)
    }

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.handlers: dict[Any, Callable[[], object] | None] = {
            "SIGTERM": self.bus.exit,
            "SIGHUP": self.handle_SIGHUP,
            "SIGUSR1": self.bus.graceful,
        }
        self._previous_handlers: dict[int, Any] = {}
        self._original_pid = os.getpid()
        # Handles no signals itself: it lets a signal wake a main thread that is about to sleep.
        self._wakeup = SignalHandlers(bus.typed, dict.fromkeys(DEFAULTS))

    def _is_daemonized(self) -> bool:
        try:
            has_terminal = sys.stdin is not None and os.isatty(sys.stdin.fileno())
        except (OSError, ValueError):
            has_terminal = False
        return self._original_pid != os.getpid() and not has_terminal

    def subscribe(self) -> None:
        """
        Handle the signals in `handlers`.

        This works only in the main thread; in another thread no signals are handled, which is logged.
        """
        if threading.current_thread() is not threading.main_thread():
            self.bus.log(
                f"No signals are handled: thread {threading.current_thread().name!r} is not the main thread.", WARNING
            )
            return
        for signal, listener in self.handlers.items():
            try:
                self.set_handler(signal, listener)
            except (ValueError, OSError):
                # The system lacks the signal, or it cannot be caught.
                continue

    def unsubscribe(self) -> None:
        """Restore the signal handlers from before `subscribe`, once, and end the subscriptions of `handlers`."""
        for number, handler in list(self._previous_handlers.items()):
            name = self.signals[number]
            if handler is None:
                self.bus.log(f"Restoring {name} handler to SIG_DFL.")
            else:
                self.bus.log(f"Restoring {name} handler {handler!r}.")
            try:
                replaced = _signal.signal(number, _signal.SIG_DFL if handler is None else handler)
            except ValueError:
                self.bus.log(f"Unable to restore {name} handler {handler!r}.", level=40, traceback=True)
                continue
            del self._previous_handlers[number]
            self.bus.unsubscribe(name, self.handlers.get(name, self.handlers.get(number)))
            if replaced is None:
                self.bus.log(f"Restored old {name} handler {handler!r}, but our handler was not registered.", level=30)
        self._wakeup.restore()

    def set_handler(self, signal: str | int, listener: Callable[[], object] | None = None) -> None:
        """
        Handle *signal*, a name or a number, and subscribe *listener* to its channel if it is given.

        Raises:
            ValueError: The system has no such signal, or this is not the main thread.
        """
        if isinstance(signal, str):
            name, number = signal, getattr(_signal, signal, None)
        else:
            number, name = signal, self.signals.get(signal, "")
        if number is None or not name:
            raise ValueError(f"No such signal: {signal!r}")
        previous = _signal.signal(number, self._handle_signal)
        self._wakeup.install()
        # After a second subscription, the previous handler is our own and must not be restored.
        if previous != self._handle_signal:
            self._previous_handlers[int(number)] = previous
        if listener is not None:
            self.bus.log(f"Listening for {name}.")
            self.bus.subscribe(name, listener)

    def _handle_signal(self, signum: int, frame: FrameType | None = None) -> None:
        name = self.signals[signum]
        parts = parts_of(self.bus.typed)
        if parts.requests.wakeup.attendant is threading.main_thread() and parts.machine.current is None:
            self.bus.typed.request(_SignalAction(self.bus, name))
        else:
            _SignalAction(self.bus, name)()

    def handle_SIGHUP(self) -> None:  # noqa: N802  # the original name
        """Restart if this is a daemon, otherwise exit."""
        if self._is_daemonized():
            self.bus.log("SIGHUP caught while daemonized. Restarting.")
            self.bus.restart()
        else:
            self.bus.log("SIGHUP caught but not daemonized. Exiting.")
            self.bus.exit()


class _SignalAction:
    """Logs one signal and publishes its channel; the repr, which names the action in messages, is the name of the signal."""

    def __init__(self, bus: Bus, name: str) -> None:
        self._bus = bus
        self._name = name

    def __call__(self) -> None:
        self._bus.log(f"Caught signal {self._name}.")
        self._bus.publish(self._name)

    def __repr__(self) -> str:
        return self._name
