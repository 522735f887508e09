"""
Signals of the operating system, handled as requests to the bus.

The handlers are in force from the start of this component, which is the first, to
its exit, which is the last: in between the bus may stop and start any number of
times, and a second signal in the middle of a stop is still caught. The previous
handlers are restored once.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping

import attrs

from typedbus._base.events import Moved
from typedbus._base.exports import export
from typedbus._base.states import State
from typedbus._bus.builtin import EXIT, MOVED, START
from typedbus._bus.bus import Bus
from typedbus._channels.marks import on
from typedbus.plugins._signal_actions import DEFAULTS, Action, OffMainThread, SignalError, channel_of
from typedbus.plugins._signal_handlers import SignalHandlers

__all__ = ("DEFAULTS", "Action", "OffMainThread", "SignalError", "Signals", "channel_of")


@attrs.define(eq=False)
class Signals:
    """
    Turns signals into requests to *bus*, from its start to its exit.

    SIGTERM and SIGINT exit it, SIGHUP restarts a daemon and exits any other
    process, SIGUSR1 is graceful; on Windows SIGTERM, SIGINT and SIGBREAK exit it.
    Any other signal is caught if an action is given for it, or if its channel has
    a listener when this component starts. Under `run` a declared `Signals` replaces
    the built-in handlers of `run` until its exit.

    Start and exit are called in the thread of the transition. The start must be
    in the main thread. After an exit in another thread, signals have their previous
    effect at once, and the handlers are restored at the next opportunity.

    Args:
        bus: The bus that receives the requests.
        actions: The action for each signal, in addition to `DEFAULTS`: an `Action`,
            or a callable that the thread in `Bus.block` calls. None leaves a signal unchanged.

    Raises:
        SignalError: *actions* has a signal that cannot be caught, or an invalid action.
    """

    bus: Bus
    actions: Mapping[signal.Signals, Action | Callable[[], object] | None] = attrs.field(factory=dict, kw_only=True)
    _handlers: SignalHandlers = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        for number, action in self.actions.items():
            channel_of(number)
            if not (action is None or isinstance(action, Action) or callable(action)):
                raise SignalError(action, f"is not an action for {number.name}; give an Action, a callable, or None")
        self._handlers = SignalHandlers(self.bus, {**DEFAULTS, **self.actions})

    @on(START, priority=5, inline=True)
    def start(self) -> None:
        """
        Install the handlers, unless they are already installed.

        Raises:
            OffMainThread: The bus is started in another thread.
            SignalError: The system refuses one of the handlers; the handlers set before it are restored.
        """
        self._handlers.install()
        self.bus[MOVED].subscribe(self._moved)

    @on(EXIT, inline=True)
    def exit(self) -> None:
        """Restore the previous handlers."""
        self.bus[MOVED].unsubscribe(self._moved)
        self._handlers.restore()

    def _moved(self, event: Moved, /) -> None:
        """Log the reason for the stop before the logging component itself stops."""
        while event.after is State.STOPPING and self._handlers.reasons:
            self.bus.log(self._handlers.reasons.popleft())


export(globals())
