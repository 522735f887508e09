"""
The signal handlers of this process, which turn signals into requests to a bus.

A handler interrupts the main thread anywhere: in the middle of a print, inside
a lock, half-way through a start. So it does no work. It queues a request, which
the thread in `Bus.block` carries out between two ticks; a message that must
appear at once is written unbuffered. An exit and a restart are requested
directly on the bus, so that they can also interrupt a start.

A second signal that asks for the exit ends the process at once: if the orderly
exit hangs, waiting for anything in this process is unsafe. Before that, the
stacks of all threads are written to stderr.

Handlers belong to the process, and several components may set them: those that
were set last are in force. Each component restores the handlers that it found,
once no later component is in force. A forked process, a worker of `multiprocessing`
for example, inherits the handlers, but its copy of the bus does not run. There
they do nothing themselves: a signal has its previous effect.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Final

import attrs

from typedbus._base.errors import RestartError
from typedbus._bus.bus import Bus, parts_of
from typedbus._os.held_signals import Handler, carry_over, handler_behind, hold
from typedbus._os.reexec import is_daemon
from typedbus._os.signal_inbox import SignalInbox
from typedbus._os.streams import is_standard
from typedbus._os.unblocked import write, write_stacks
from typedbus.plugins._restart_report import report
from typedbus.plugins._signal_actions import CHANNELS, Action, OffMainThread, SignalError
from typedbus.plugins._signal_state import SignalOutput, SignalState

_STDERR: Final = 2
#: How long writing the stacks to stderr may block before they are cut off, in seconds.
_SLOWEST: Final = 1.0
#: The instances whose handlers are in force, the newest last; global, since handlers belong to the process.
_installed: Final[list[SignalHandlers]] = []


@attrs.define(eq=False)
class SignalHandlers:
    """
    The handlers for the signals of *actions*, and for signals whose channel has a listener, from `install` to `restore`.

    Args:
        bus: The bus that receives the requests.
        actions: The action for each signal; None leaves a signal unchanged.
        output: The form of messages, if this is the first instance of the bus.
        is_replaced: Whether a restart of the bus replaces this process, if this is the first instance of the bus.
        set_handler: Sets a handler, and returns the previous one.
        get_handler: Returns the handler of a signal.
        end: Ends the process at once with a status.
    """

    bus: Bus
    actions: Mapping[signal.Signals, Action | Callable[[], object] | None]
    output: SignalOutput = attrs.field(factory=SignalOutput, kw_only=True)
    is_replaced: bool = attrs.field(default=False, kw_only=True)
    set_handler: Callable[[int, Handler], Handler] = attrs.field(default=signal.signal, kw_only=True)
    get_handler: Callable[[int], Handler] = attrs.field(default=signal.getsignal, kw_only=True)
    end: Callable[[int], object] = attrs.field(default=os._exit, kw_only=True)
    #: Set by `install`.
    state: SignalState = attrs.field(init=False)
    is_over: bool = attrs.field(init=False, default=False)
    #: For each signal: the handler that was set, and the previous one.
    handlers: dict[int, tuple[Handler, Handler]] = attrs.field(init=False, factory=dict)
    #: The reasons for exits and restarts, which a handler cannot log, the oldest first.
    reasons: deque[str] = attrs.field(init=False, factory=deque)
    #: Created by the first instance of the bus.
    _inbox: SignalInbox | None = attrs.field(init=False, default=None)
    _pid: int = attrs.field(init=False, default=0)

    def install(self) -> None:
        """
        Set the handlers, unless they are set; only in the main thread.

        Raises:
            OffMainThread: This is another thread.
            SignalError: The system refuses one of the handlers; the handlers set before it are restored.
        """
        if threading.current_thread() is not threading.main_thread():
            raise OffMainThread(threading.current_thread().name)
        _restore_finished()
        self.is_over = False
        if self in _installed:
            return
        below = next((instance for instance in reversed(_installed) if instance.bus is self.bus), None)
        self.state = SignalState(self.output, self.is_replaced) if below is None else below.state
        self._pid = os.getpid()
        waking = parts_of(self.bus).requests.wakeup.waking
        if waking.signalled is None:
            waking.signalled = self.state.inbox = self._inbox = SignalInbox()
        bound = set(self.bus.channels)
        is_caught = {
            number: True for number, channel in CHANNELS.items() if channel in bound and self.bus[channel].subscriptions
        }
        is_caught |= {number: action is not None for number, action in self.actions.items()}
        _installed.append(self)
        try:
            for number, is_ours in is_caught.items():
                if is_ours:
                    self._set(number, self._handle)
                elif below is not None and number in below.handlers:
                    _, before = below.handlers[number]
                    self._set(number, before)
        except SignalError:
            self.restore()
            raise

    def _set(self, number: signal.Signals, handler: Handler) -> None:
        handler = _or_default(handler)
        try:
            self.handlers[number] = handler, handler_behind(number, self.set_handler(number, handler))
        except (OSError, ValueError) as error:
            raise SignalError(number, f"cannot be caught here ({error}); give None as its action") from error

    def restore(self) -> None:
        """
        Restore the previous handlers; a handler that other code has installed meanwhile stays.

        Outside the main thread, signals have their previous effect from now on, and the
        handlers are restored by the next `install` or `restore` in the main thread.
        """
        self.is_over = True
        if threading.current_thread() is threading.main_thread():
            _restore_finished()

    def remove(self) -> None:
        """Restore the previous handlers at once; only for the newest instance, in the main thread."""
        for number, (ours, before) in self.handlers.items():
            if self.get_handler(number) != ours:
                continue
            if ours == self._handle and self._is_held(number):
                hold(number, before)
            else:
                self.set_handler(number, _or_default(before))
        self.handlers.clear()
        if self._inbox is not None:
            parts_of(self.bus).requests.wakeup.waking.signalled = None
            self._inbox.close()
            self._inbox = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # A daemon has another pid than the process that installed the handlers, but its bus runs.
        if self.is_over or (os.getpid() != self._pid and not is_daemon()):
            self._pass_on(number, frame)
            return
        caught, (_, before) = signal.Signals(number), self.handlers[number]
        action = self.actions.get(caught)
        is_hang_up = action is Action.HANG_UP
        if is_hang_up:
            action = Action.RESTART if is_daemon() else Action.EXIT if before != signal.SIG_IGN else None
        elif action is Action.EXIT:
            self.state.handled += not self.state.is_asleep
            if self.state.has_asked:
                self.force(caught)
            # A terminal may hang up twice: a SIGHUP never forces the exit.
            self.state.has_asked = True
        if action is not Action.RESTART and self._is_held(number):
            # The bus may exit before it carries out a request.
            carry_over(number, before)
            return
        if action is Action.EXIT or action is Action.RESTART:
            once_more = "" if action is Action.RESTART or is_hang_up else "; send it again to end at once"
            self._write(self.state.output.render(f"{caught.name}: {action.value}{once_more}\n"))
            self.reasons.append(f"{caught.name}: {action.value}")
        refusal: RestartError | None = None
        if action is Action.RESTART:
            try:
                self.bus.restart()
            except RestartError as error:
                refusal = error
                report(f"REFUSED={error}")
        # The thread in `Bus.block` publishes the channel, raises a refusal, and performs the other actions.
        remaining = action if action is Action.GRACEFUL or not isinstance(action, Action) else None
        if refusal is not None or remaining is not None or self.bus[CHANNELS[caught]].subscriptions:
            # A bus that has exited discards the request; a handler must not log that.
            parts_of(self.bus).main_loop.request(_CaughtSignal(self.bus, caught, remaining, refusal))
        if action is Action.EXIT:
            self.bus.request_exit()

    def force(self, caught: signal.Signals) -> None:
        """
        End the process at once, with 128 + the number of the signal.

        First the stacks of all threads, and of the async hooks and runs, are written to stderr.
        """
        text = f"{caught.name} again: ending at once; the stacks of all threads:\n"
        machine = parts_of(self.bus).machine
        tasks: dict[str, str] = {}
        # Hooks and runs may end in other threads meanwhile.
        with contextlib.suppress(Exception):
            hooks = {} if machine.current is None else machine.current.stacks_on_loop()
            tasks = {f"async hook {name}": stack for name, stack in hooks.items()}
            tasks |= {f"async run {path}": stack for path, stack in machine.runs.stacks_on_loop().items()}
        if self.state.output.render_end is not None:
            self._write(self.state.output.render_end(text, tasks))
        else:
            self._write(text.encode())
            if is_standard(_STDERR):
                write_stacks(_STDERR, _SLOWEST)
                for name, stack in tasks.items():
                    title = name[0].upper() + name[1:]
                    write(_STDERR, f"\n{title} (most recent call last):\n{stack}".encode(), _SLOWEST)
        self.end(128 + caught)

    def _write(self, text: bytes) -> None:
        # In a process that began without stderr, descriptor 2 may be a file that a component opened.
        if is_standard(_STDERR):
            write(_STDERR, self.state.output.restoring() + text)

    def _is_held(self, number: int) -> bool:
        """Return whether the program that replaces this process at a restart needs signal *number*."""
        if not self.state.is_replaced or not self.bus.is_restarting:
            return False
        action = self.actions.get(signal.Signals(number))
        return action is not Action.EXIT and (action is not Action.HANG_UP or is_daemon())

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        """Give a signal its previous effect."""
        _, before = self.handlers[number]
        before = _or_default(before)
        if callable(before):
            before(number, frame)
        elif before == signal.SIG_DFL:
            self.set_handler(number, signal.SIG_DFL)
            signal.raise_signal(number)


@attrs.frozen(eq=False)
class _CaughtSignal:
    """The request that a handler makes to the thread in `Bus.block`: publish the signal, and perform its action."""

    bus: Bus
    caught: signal.Signals
    action: Action | Callable[[], object] | None
    refusal: RestartError | None

    def __call__(self) -> None:
        action = self.action
        if action is not None:
            self.bus.log(self.caught.name if callable(action) else f"{self.caught.name}: {action.value}")
        try:
            self.bus[CHANNELS[self.caught]].publish()
        finally:
            # Even if listeners fail; their exception is the context of one that is raised here.
            if self.refusal is not None:
                raise self.refusal
            if callable(action):
                action()
            elif action is not None:
                self.bus.graceful()

    def __repr__(self) -> str:
        return self.caught.name


def asks_for_exit(bus: Bus, number: int) -> bool:
    """Return whether the handler of *bus* that is in force for signal *number* asks for the exit."""
    for instance in reversed(_installed):
        if instance.bus is bus and number in instance.handlers and not instance.is_over:
            return instance.actions.get(signal.Signals(number)) is Action.EXIT
    return False


def _restore_finished() -> None:
    """Restore the handlers that preceded the instances that are over, the newest first."""
    while _installed and _installed[-1].is_over:
        _installed.pop().remove()


def _or_default(handler: Handler) -> Handler:
    """Return *handler*, or SIG_DFL for None: a handler that was not set from Python and cannot be restored."""
    return signal.SIG_DFL if handler is None else handler
