"""The output of `run` about the life cycle and the messages of its bus."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self, TextIO

from typedbus._base.events import Failed, LifecycleEvent, ListenerFailed, RolledBack
from typedbus._base.failures import CauseReport
from typedbus._bus.builtin import LIFECYCLE, LOG, WARNING
from typedbus._bus.bus import Bus
from typedbus.process._lines import Lines


class Output(Protocol):
    """The form in which a `Console` shows events and messages."""

    @property
    def restoring(self) -> bytes:
        """The bytes that restore the terminal, for a signal handler, which can only write."""
        ...

    def show(self, event: LifecycleEvent) -> None:
        """Write *event*."""

    def log(self, message: str, level: int) -> None:
        """Write *message*."""

    def conclude(self, errors: Sequence[BaseException]) -> None:
        """Write what failed, if this was too far above to be found; `run` has printed *errors*."""

    def close(self) -> None:
        """End what `show` has begun; nothing else is written until the next call of `show`."""


class Console:
    """
    A context manager that passes the events of *bus*, and the messages on its `LOG`, to *output*.

    With *is_quiet*, only failures, and messages from WARNING up.
    """

    def __init__(self, bus: Bus, output: Output, *, is_quiet: bool = False) -> None:
        self._bus = bus
        self._output = output
        self._is_quiet = is_quiet

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
        self._output.close()

    @property
    def restoring(self) -> bytes:
        """The bytes that restore the terminal, for a signal handler, which can only write."""
        return self._output.restoring

    def conclude(self, errors: Sequence[BaseException]) -> None:
        """End the output of a program that ends with *errors*, which have been printed."""
        self._output.conclude(errors)

    # `typedbus.plugins.logs` identifies the console by the name of this listener.
    def show(self, event: LifecycleEvent, /) -> None:
        """Show *event*."""
        if not self._is_quiet or isinstance(event, (Failed, ListenerFailed, RolledBack)):
            self._output.show(event)

    def log(self, message: str, level: int, /) -> None:
        """Show *message*, unless `run` prints it at the end; levels are those of the `logging` module."""
        if isinstance(message, CauseReport) or (self._is_quiet and level < WARNING):
            return
        self._output.log(message, level)


def console(stream: TextIO | None, bus: Bus, *, is_quiet: bool = False) -> Console:
    """
    Return a context manager that writes the life cycle of *bus* to *stream*.

    On a terminal, if rich is installed, the output has colours, and a status line
    with the awaited components once a start or a stop takes longer than a second;
    elsewhere it has only plain lines. With None as the stream nothing is written.
    With *is_quiet*, it writes only failures, and messages from WARNING up, without colours.
    """
    if is_quiet or stream is None or not _is_terminal(stream):
        return Console(bus, Lines(stream, bus), is_quiet=is_quiet)
    try:
        from typedbus.process._display import Display  # rich is slow to import, and only needed on terminals
    except ImportError:
        return Console(bus, Lines(stream, bus))
    display = Display(stream)
    return Console(bus, Lines(stream, bus, display if display.can_show else None))


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        # The stream is of another type, or closed.
        return False
