"""Invalid uses of signals, requests and inline hooks; a marked line is an error for both checkers."""

import signal

from typedbus import START, Bus, Component, Container, on
from typedbus.plugins.signals import Action, Signals, channel_of


def takes_number(number: int) -> None: ...


class Journal:
    @on(channel_of(signal.SIGUSR2))  # E
    def rotate(self, number: int) -> None: ...

    @on(START, inline="yes")  # E
    def begin(self) -> None: ...

    def end(self) -> None: ...


class Site(Container):
    bus = Component(Bus)
    without = Component(Signals)  # E
    positional = Component(Signals, bus.provided, {})  # E


class Again:
    def problem(self) -> str | None:
        return None


bus = Bus()
Signals(bus, actions={signal.SIGUSR2: "exit"})  # E
Signals(bus, actions={"SIGUSR2": Action.EXIT})  # E
Signals(bus, actions={signal.SIGUSR2: takes_number})  # E
channel_of("SIGUSR2")  # E
bus[channel_of(signal.SIGUSR2)].subscribe(takes_number)  # E
START.calls(Journal.end, inline="yes")  # E
bus.request(takes_number)  # E
bus.request(3)  # E
bus.replacement = Again()  # E
bus.restart(3)  # E
