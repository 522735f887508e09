"""Periodic function calls, each in a separate thread that sleeps until the next call is due or it is cancelled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from typedbus._bus.builtin import ERROR
from typedbus.wspbus.plugins._simple import SimplePlugin

if TYPE_CHECKING:
    from typedbus.wspbus._bus import Bus


class PerpetualTimer(threading.Timer):
    """
    A timer that repeats until it is cancelled or its function raises, which is logged.

    Keyword Args:
        bus: The bus to log a failure to.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.bus: Bus | None = kwargs.pop("bus", None)
        super().__init__(*args, **kwargs)

    def run(self) -> None:
        """Call the function every interval."""
        while not self.finished.wait(self.interval):
            try:
                self.function(*self.args, **self.kwargs)
            except Exception:
                if self.bus is not None:
                    message = f"Error in perpetual timer thread function {self.function!r}."
                    self.bus.log(message, level=ERROR, traceback=True)
                raise


class BackgroundTask(threading.Thread):
    """
    A thread that calls a function every *interval* seconds, for the first time one interval after its start.

    It is a daemon thread. The duration of a call does not delay the next call. A
    failure is logged, and the next call is made on schedule.

    Args:
        interval: Seconds between two calls.
        function: The function to call.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        bus: The bus to log a failure to; without a bus a failure ends the thread, as in any other thread.

    Attributes:
        running: Whether it has been started and not cancelled.
    """

    def __init__(
        self,
        interval: float,
        function: Callable[..., object],
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        bus: Bus | None = None,
    ) -> None:
        super().__init__(daemon=True)
        self.interval = interval
        self.function = function
        self.args = args
        self.kwargs: Mapping[str, Any] = {} if kwargs is None else kwargs
        self.running: bool = False
        self.bus = bus
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Stop the calls, and wake the thread; a running call ends first."""
        self.running = False
        self._cancelled.set()

    def run(self) -> None:
        """Call the function every interval."""
        self.running = not self._cancelled.is_set()
        due = time.monotonic() + self.interval
        while not self._cancelled.wait(due - time.monotonic()):
            try:
                self.function(*self.args, **self.kwargs)
            except Exception:
                if self.bus is None:
                    raise
                message = f"Error in background task thread function {self.function!r}."
                self.bus.log(message, level=ERROR, traceback=True)
            # Calls missed during a long call are not made up for.
            due = max(due + self.interval, time.monotonic())


class Monitor(SimplePlugin):
    """
    Calls a function periodically between ``start`` and ``stop``, in a separate thread.

    Args:
        bus: The bus of these channels.
        callback: The function to call.
        frequency: Seconds between two calls; with 0 or less the function is never called.
        name: Name of the thread; the name of the class by default.

    Attributes:
        thread: The `BackgroundTask` while it runs, otherwise None.
    """

    # Subclasses may declare a callback as an attribute of the class.
    callback: Callable[[], object] | Any = None
    frequency: float = 60
    thread: BackgroundTask | None = None

    def __init__(
        self, bus: Bus, callback: Callable[[], object], frequency: float = 60, name: str | None = None
    ) -> None:
        super().__init__(bus)
        self.callback = callback
        self.frequency = frequency
        self.thread = None
        self.name = name

    def start(self) -> None:
        """Start the thread; if it is already running, that is only logged."""
        if self.frequency <= 0:
            return
        name = self.name or type(self).__name__
        if self.thread is None:
            thread = self.thread = BackgroundTask(self.frequency, self.callback, bus=self.bus)
            thread.name = name
            thread.start()
            self.bus.log(f"Started monitor thread {name!r}.")
        else:
            self.bus.log(f"Monitor thread {name!r} already started.")

    start.priority = 70  # type: ignore[attr-defined]  # read when it is subscribed

    def stop(self) -> None:
        """Stop the thread, from any thread; wait for it if it is not a daemon and not the current thread."""
        # Other threads may stop it at the same time.
        thread, self.thread = self.thread, None
        if thread is None:
            self.bus.log(f"No thread running for {self.name or type(self).__name__}.")
            return
        thread.cancel()
        if thread is threading.current_thread():
            return
        if not thread.daemon:
            self.bus.log(f"Joining {thread.name!r}")
            thread.join()
        self.bus.log(f"Stopped thread {thread.name!r}.")

    def graceful(self) -> None:
        """Stop, and start again in a new thread."""
        self.stop()
        self.start()
