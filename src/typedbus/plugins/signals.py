"""
Signals of the operating system, handled as requests to the bus.

A handler interrupts the main thread anywhere: in the middle of a print, inside
a lock, half-way through a start. So it does no work. It queues a request, which
the thread in `Bus.block` carries out between two ticks; a message that must
appear at once is written unbuffered. An exit and a restart are requested
directly on the bus, so that they can also interrupt a start.

A second signal that asks for the exit ends the process at once: if the orderly
exit hangs, waiting for anything in this process is unsafe. Before that, the
stacks of all threads are written to stderr.

Handlers belong to the process. They are in force from the start of this
component, which is the first, to its exit, which is the last: in between the bus
may stop and start any number of times, and a second signal in the middle of a
stop is still caught. The previous handlers are restored once. A forked process,
a worker of `multiprocessing` for example, inherits the handlers, but its copy of
the bus does not run. There they do nothing themselves: a signal has its previous
effect.
"""

from __future__ import annotations

import contextlib
import enum
import os
import queue
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Final, TypeAlias

import attrs

from typedbus._base.errors import RestartError
from typedbus._base.events import Moved
from typedbus._base.states import State
from typedbus._base.structured import StructuredError
from typedbus._bus.bus import Bus
from typedbus._bus.registry import EXIT, MOVED, START
from typedbus._channels.channel import Channel, on
from typedbus._os.held import behind, carry_over, hold
from typedbus._os.reexec import is_daemon
from typedbus._os.streams import is_standard
from typedbus._os.unblocked import write, write_stacks
from typedbus.plugins._restart_report import report

__all__ = ("DEFAULTS", "Action", "OffMainThread", "SignalError", "Signals", "channel_of")

_STDERR: Final = 2
Handler: TypeAlias = Callable[[int, FrameType | None], object] | int | signal.Handlers | None


class SignalError(StructuredError, ValueError):
    """Raised by `Signals` and `channel_of` for a signal that cannot be caught, or an invalid action."""

    given: object
    reason: str

    def __str__(self) -> str:
        return f"{self.given!r} {self.reason}"


class OffMainThread(StructuredError, RuntimeError):
    """Raised by the start of `Signals` outside the main thread, the only thread that may set handlers."""

    thread: str

    def __str__(self) -> str:
        return (
            f"signal handlers can be set only in the main thread, but the bus is started in thread {self.thread!r}; "
            "start it in the main thread, or leave out the Signals component"
        )


class Action(enum.Enum):
    """The reaction to a signal."""

    EXIT = "exiting in order"
    """The bus exits in order; a second signal of this kind ends the process at once."""
    RESTART = "restarting in order"
    """The bus exits in order, and a new run of the program replaces the process."""
    HANG_UP = "hanging up"
    """A daemon restarts; any other process has lost its terminal and exits, unless `nohup` said that it should not."""
    GRACEFUL = "graceful"
    """`Bus.graceful` is called."""


DEFAULTS: Final[dict[signal.Signals, Action]] = {signal.SIGTERM: Action.EXIT, signal.SIGINT: Action.EXIT}
if sys.platform == "win32":
    # Ctrl-Break, and the signal that the C library raises when the console is closed.
    DEFAULTS[signal.SIGBREAK] = Action.EXIT
else:
    DEFAULTS[signal.SIGHUP] = Action.HANG_UP
    DEFAULTS[signal.SIGUSR1] = Action.GRACEFUL

# No process may catch the first two. The others report a fault in the instruction
# to which a handler would return.
_UNCATCHABLE: Final = frozenset({"SIGKILL", "SIGSTOP", "SIGSEGV", "SIGFPE", "SIGBUS", "SIGILL"})
_CHANNELS: Final = {
    number: Channel[[], None](number.name) for number in signal.Signals if number.name not in _UNCATCHABLE
}


def channel_of(number: signal.Signals, /) -> Channel[[], None]:
    """
    Return the channel that is published when *number* was caught; the same object each time.

    For `Signals`, the thread in `Bus.block` publishes it before it performs the action of the signal.

    Raises:
        SignalError: *number* is not a signal that can be caught.
    """
    channel = _CHANNELS.get(number)
    if channel is None:
        raise SignalError(
            number, "is not a signal that can be caught; give a member of signal.Signals, such as signal.SIGUSR2"
        )
    return channel


@attrs.define(eq=False)
class _Record:
    """The state that all `Signals` of a bus in this process share."""

    restoring: Callable[[], bytes]
    #: Returns the bytes to write for a message about a signal.
    render: Callable[[str], bytes] = str.encode
    #: Returns the bytes to write when a second signal ends the process; None for the text and all threads' stacks.
    render_end: Callable[[str], bytes] | None = None
    has_asked: bool = False
    inbox: _Inbox | None = None
    #: The number of handled signals that ask for the exit, except those during the main thread's sleep on *inbox*.
    handled: int = 0
    #: Whether a restart of the bus replaces this process, so that signals are held until the new program runs.
    is_replaced: bool = False

    @property
    def is_asleep(self) -> bool:
        return self.inbox is not None and self.inbox.is_asleep


@attrs.define(eq=False)
class Signals:
    """
    Turns signals into requests to *bus*, from its start to its exit.

    SIGTERM and SIGINT exit it, SIGHUP restarts a daemon and exits any other
    process, SIGUSR1 is graceful; on Windows SIGTERM, SIGINT and SIGBREAK exit it.
    Any other signal is caught if an action is given for it, or if its channel has
    a listener when this component starts. Under `run` a declared `Signals` replaces
    the built-in one of `run` until its exit.

    Start and exit are called in the thread of the transition. The start must be
    in the main thread. After an exit in another thread, signals have their previous
    effect at once, and the handlers are restored at the next opportunity.

    Args:
        bus: The bus that receives the requests.
        actions: The action for each signal, in addition to `DEFAULTS`: an `Action`,
            or a callable that the thread in `Bus.block` calls. None leaves a signal unchanged.
        restoring: Returns the bytes that restore the terminal before a message is written to it.
        set_handler: Sets a handler, and returns the previous one.
        get_handler: Returns the handler of a signal.
        end: Ends the process at once with a status.

    Raises:
        SignalError: *actions* has a signal that cannot be caught, or an invalid action.
    """

    bus: Bus
    actions: Mapping[signal.Signals, Action | Callable[[], object] | None] = attrs.field(factory=dict, kw_only=True)
    restoring: Callable[[], bytes] = attrs.field(default=bytes, kw_only=True)
    set_handler: Callable[[int, Handler], Handler] = attrs.field(default=signal.signal, kw_only=True)
    get_handler: Callable[[int], Handler] = attrs.field(default=signal.getsignal, kw_only=True)
    end: Callable[[int], object] = attrs.field(default=os._exit, kw_only=True)
    #: Set by `install`.
    _record: _Record = attrs.field(init=False)
    _pid: int = attrs.field(init=False, default=0)
    #: For each signal: our handler, and the previous one.
    _handlers: dict[int, tuple[Handler, Handler]] = attrs.field(init=False, factory=dict)
    #: Created by the first `Signals` of a bus.
    _inbox: _Inbox | None = attrs.field(init=False, default=None)
    _is_over: bool = attrs.field(init=False, default=False)
    _untold: deque[str] = attrs.field(init=False, factory=deque)

    def __attrs_post_init__(self) -> None:
        for number, action in self.actions.items():
            channel_of(number)
            if not (action is None or isinstance(action, Action) or callable(action)):
                raise SignalError(action, f"is not an action for {number.name}; give an Action, a callable, or None")

    @on(START, priority=5, inline=True)
    def start(self) -> None:
        """
        Install the handlers, unless they are already installed.

        Raises:
            OffMainThread: The bus is started in another thread.
            SignalError: The system refuses one of the handlers; the handlers set before it are restored.
        """
        self.install()
        self.bus[MOVED].subscribe(self._moved)

    @on(EXIT, inline=True)
    def exit(self) -> None:
        """Restore the previous handlers."""
        self.bus[MOVED].unsubscribe(self._moved)
        self.restore()

    def install(self) -> None:
        """Install the handlers without logging caught signals; used by `run`."""
        if threading.current_thread() is not threading.main_thread():
            raise OffMainThread(threading.current_thread().name)
        _put_back()
        self._is_over = False
        if self in _installed:
            return
        # One instance may receive the request for the exit, and another instance the signal that forces it.
        below = next((one for one in reversed(_installed) if one.bus is self.bus), None)
        self._record = _Record(self.restoring) if below is None else below._record
        self._pid = os.getpid()
        known = set(self.bus.channels)
        listened = {
            number: self._handle
            for number, channel in _CHANNELS.items()
            if channel in known and self.bus[channel].subscriptions
        }
        if self.bus._wakeup.waking.signalled is None:
            self.bus._wakeup.waking.signalled = self._record.inbox = self._inbox = _Inbox()
        _installed.append(self)
        try:
            for number, action in {**listened, **self._actions}.items():
                if action is not None:
                    self._set(number, self._handle)
                elif below is not None and number in below._handlers:
                    self._set(number, below._handlers[number][1])
        except SignalError:
            self.restore()
            raise

    def _set(self, number: signal.Signals, handler: Handler) -> None:
        handler = _or_default(handler)
        try:
            self._handlers[number] = handler, behind(number, self.set_handler(number, handler))
        except (OSError, ValueError) as error:
            raise SignalError(number, f"cannot be caught here ({error}); give None as its action") from error

    def restore(self) -> None:
        """Undo `install`, as `exit` does."""
        self._is_over = True
        if threading.current_thread() is threading.main_thread():
            _put_back()

    @property
    def _actions(self) -> dict[signal.Signals, Action | Callable[[], object] | None]:
        return {**DEFAULTS, **self.actions}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # A daemon has another pid than the process that installed the handlers, but its bus runs.
        if self._is_over or (os.getpid() != self._pid and not is_daemon()):
            self._pass_on(number, frame)
            return
        caught, before = signal.Signals(number), self._handlers[number][1]
        action = self._actions.get(caught)
        is_hang_up = action is Action.HANG_UP
        if is_hang_up:
            action = Action.RESTART if is_daemon() else Action.EXIT if before != signal.SIG_IGN else None
        elif action is Action.EXIT:
            self._record.handled += not self._record.is_asleep
            if self._record.has_asked:
                self._force(caught)
            # A terminal may hang up twice: a SIGHUP never forces the exit.
            self._record.has_asked = True
        if action is not Action.RESTART and self._is_needed_next(number, self._handle):
            # The bus may exit before it carries out a request.
            carry_over(number, before)
            return
        if action is Action.EXIT or action is Action.RESTART:
            once_more = "" if action is Action.RESTART or is_hang_up else "; send it again to end at once"
            self._write(self._record.render(f"{caught.name}: {action.value}{once_more}\n"))
            self._untold.append(f"{caught.name}: {action.value}")
        refused: RestartError | None = None
        if action is Action.RESTART:
            try:
                self.bus.restart()
            except RestartError as error:
                refused = error
                report(f"REFUSED={error}")
        is_done = action is None or (isinstance(action, Action) and action is not Action.GRACEFUL)
        if refused is not None or not is_done or self.bus[_CHANNELS[caught]].subscriptions:
            # A bus that has exited discards the request; a handler must not log that.
            self.bus._request(_Caught(self, caught, None if is_done else action, refused))
        if action is Action.EXIT:
            self.bus.request_exit()

    def _force(self, caught: signal.Signals) -> None:
        text = f"{caught.name} again: ending at once; the stacks of all threads:\n"
        if self._record.render_end is not None:
            self._write(self._record.render_end(text))
        else:
            self._write(text.encode())
        if self._record.render_end is None and is_standard(_STDERR):
            write_stacks(_STDERR, _SLOWEST)
        self.end(128 + caught)

    def _write(self, text: bytes) -> None:
        # In a process that began without stderr, descriptor 2 may be a file that a component opened.
        if is_standard(_STDERR):
            write(_STDERR, self._record.restoring() + text)

    def _is_needed_next(self, number: int, handler: Handler) -> bool:
        """Whether the program that replaces this process at a restart needs signal *number*, caught by *handler*."""
        if not self._record.is_replaced or not self.bus.is_restarting or handler != self._handle:
            return False
        action = self._actions.get(signal.Signals(number))
        return action is not Action.EXIT and (action is not Action.HANG_UP or is_daemon())

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        """Give a signal its previous effect."""
        before = _or_default(self._handlers[number][1])
        if callable(before):
            before(number, frame)
        elif before == signal.SIG_DFL:
            self.set_handler(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def _moved(self, event: Moved, /) -> None:
        """Log the reason for the stop before the logging component itself stops."""
        while event.after is State.STOPPING and self._untold:
            self.bus.log(self._untold.popleft())


@attrs.frozen(eq=False)
class _Caught:
    """The request that a handler makes to the thread in `Bus.block`: publish the signal, and perform its action."""

    signals: Signals
    caught: signal.Signals
    action: Action | Callable[[], object] | None
    refused: RestartError | None

    def __call__(self) -> None:
        bus, action = self.signals.bus, self.action
        if action is not None:
            bus.log(self.caught.name if callable(action) else f"{self.caught.name}: {action.value}")
        try:
            bus[_CHANNELS[self.caught]].publish()
        finally:
            # Even if listeners fail; their exception is the context of one that is raised here.
            if self.refused is not None:
                raise self.refused
            if callable(action):
                action()
            elif action is not None:
                bus.graceful()

    def __repr__(self) -> str:
        return self.caught.name


class _Inbox:
    """
    The inbox on which the main thread sleeps while handlers are in force; any signal wakes it.

    A Python handler runs when the main thread next executes bytecode. A signal that
    comes just before that thread sleeps on a lock does not interrupt the sleep, so
    its handler would not run. Here the C-level handler writes a byte to a socket,
    and the byte stays there until it is read (signal.set_wakeup_fd).
    """

    def __init__(self) -> None:
        self._receiving, self._sending = _socket_pair()
        #: Whether a thread sleeps on it, so that each signal wakes it. Signals right before or after count as outside.
        self.is_asleep = False

    def put(self, item: None, /) -> None:
        # A full buffer already wakes the reader, and a closed socket has no reader, so errors are ignored.
        with contextlib.suppress(OSError):
            self._sending.send(b"\0")

    def get(self, *, timeout: float | None = None) -> None:
        before = signal.set_wakeup_fd(self._sending.fileno(), warn_on_full_buffer=False)
        try:
            self.is_asleep = True
            self._receiving.settimeout(None if timeout is None else min(timeout, _LONGEST))
            self._receiving.recv(4096)
        except TimeoutError:
            raise queue.Empty from None
        finally:
            self.is_asleep = False
            signal.set_wakeup_fd(before)

    def close(self) -> None:
        self._receiving.close()
        self._sending.close()


def _socket_pair() -> tuple[socket.socket, socket.socket]:
    """Return two sockets for the numbers of signals: a receiving one, and a sending one that does not block."""
    # If the process began without a standard stream, no socket may get its descriptor.
    pairs = [socket.socketpair()]
    while min(end.fileno() for end in pairs[-1]) < _STREAMS:
        pairs.append(socket.socketpair())
    receiving, sending = pairs.pop()
    for end in (end for pair in pairs for end in pair):
        end.close()
    sending.settimeout(0)
    return receiving, sending


def _asks_for_exit(bus: Bus, number: int) -> bool:  # pyright: ignore[reportUnusedFunction]  # `run` uses it
    """Whether a `Signals` of *bus* handles signal *number* with `Action.EXIT`."""
    for one in reversed(_installed):
        if one.bus is bus and number in one._handlers and not one._is_over:
            return one._actions.get(signal.Signals(number)) is Action.EXIT
    return False


_STREAMS: Final = 3
#: How long writing the stacks to stderr may block before they are cut off, in seconds.
_SLOWEST: Final = 1.0
#: The longest time-out of a socket, in seconds; longer waits are repeated.
_LONGEST: Final = 86400.0
#: The instances whose handlers are in force, the newest last; global, since handlers belong to the process.
_installed: Final[list[Signals]] = []


def _put_back() -> None:
    """Restore the handlers that preceded the instances that are over, the newest first."""
    while _installed and _installed[-1]._is_over:
        over = _installed.pop()
        for number, (ours, before) in over._handlers.items():
            # A handler that other code has installed since then stays.
            if over.get_handler(number) != ours:
                continue
            if over._is_needed_next(number, ours):
                hold(number, before)
            else:
                over.set_handler(number, _or_default(before))
        over._handlers.clear()
        if over._inbox is not None:
            over.bus._wakeup.waking.signalled = None
            over._inbox.close()
            over._inbox = None


def _or_default(handler: Handler) -> Handler:
    """Return *handler*, or SIG_DFL for None: a handler that was not set from Python and cannot be restored."""
    return signal.SIG_DFL if handler is None else handler
