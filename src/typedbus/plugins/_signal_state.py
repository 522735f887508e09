"""The state that the signal handlers of a bus share, and the form of their messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from typedbus._os.signal_inbox import SignalInbox


@attrs.frozen
class SignalOutput:
    """
    The form in which messages about signals are written to stderr.

    Args:
        restoring: Returns the bytes that restore the terminal before a message is written to it.
        render: Returns the bytes of a message.
        render_end: Returns the bytes for a forced end, from the message and the stacks of the async hooks and runs, by
            a name such as "async hook Shop.page.start"; None for the message and all stacks.
    """

    restoring: Callable[[], bytes] = bytes
    render: Callable[[str], bytes] = str.encode
    render_end: Callable[[str, Mapping[str, str]], bytes] | None = None


@attrs.define(eq=False)
class SignalState:
    """
    The state that all `SignalHandlers` of a bus in this process share.

    One instance may catch the signal that asks for the exit, and another the signal that forces it.
    """

    output: SignalOutput
    #: Whether a restart of the bus replaces this process, so that signals are held until the new program runs.
    is_replaced: bool
    #: Whether a signal has asked for the exit.
    has_asked: bool = False
    #: The number of handled signals that ask for the exit, except those during the main thread's sleep on *inbox*.
    handled: int = 0
    inbox: SignalInbox | None = None

    @property
    def is_asleep(self) -> bool:
        """Whether the main thread sleeps on the inbox."""
        return self.inbox is not None and self.inbox.is_asleep
