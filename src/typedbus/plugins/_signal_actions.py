"""The reactions to signals, and the channels on which signals are published."""

from __future__ import annotations

import enum
import signal
import sys
from typing import Final

from typedbus._base.structured import StructuredError
from typedbus._channels.channel import Channel


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
            "start it in the main thread, as run() does, or leave out the Signals component "
            "(`async with running(...)` and start_async() start it in another thread)"
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
CHANNELS: Final = {
    number: Channel[[], None](number.name) for number in signal.Signals if number.name not in _UNCATCHABLE
}


def channel_of(number: signal.Signals, /) -> Channel[[], None]:
    """
    Return the channel that is published when *number* was caught; the same object each time.

    For `Signals`, the thread in `Bus.block` publishes it before it performs the action of the signal.

    Raises:
        SignalError: *number* is not a signal that can be caught.
    """
    channel = CHANNELS.get(number)
    if channel is None:
        raise SignalError(
            number, "is not a signal that can be caught; give a member of signal.Signals, such as signal.SIGUSR2"
        )
    return channel
