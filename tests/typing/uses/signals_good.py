"""Valid uses of signals, requests and inline hooks."""

import signal

from typedbus import EXIT, START, Bus, Channel, Component, Container, on
from typedbus.plugins.signals import Action, Signals, channel_of
from typedbus.types import Replacement


def dump() -> int:
    return 3


class Journal:
    @on(channel_of(signal.SIGUSR2))
    def rotate(self) -> None: ...

    @on(START, priority=10, inline=True)
    def begin(self) -> None: ...


class Site(Container):
    bus = Component(Bus)
    signals = Component(
        Signals, bus.provided, actions={signal.SIGHUP: None, signal.SIGUSR1: Action.EXIT, signal.SIGUSR2: dump}
    )
    journal = Component(Journal).on(EXIT.calls(Journal.rotate, inline=True))


class Again:
    def problem(self) -> str | None:
        return None

    def replace(self, failed: BaseException | None, /) -> None: ...


bus = Bus()
channel: Channel[[], None] = channel_of(signal.SIGUSR2)
bus[channel].subscribe(lambda: None)
bus.request(dump)
bus.request(bus.graceful)
bus.restart()
replacement: Replacement = Again()
bus.replacement = replacement
bus.replacement = None
