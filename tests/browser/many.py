"""A container of 5,000 components that all need a root, and 500 channels: ``python -m tests.browser.many ADDRESS``."""

from __future__ import annotations

import sys

from tests.browser.texts import TOKEN

from typedbus import START, Bus, Channel, Component, Container, on, run
from typedbus.inspector import Inspector


class Part:
    """Needs others, and has a start hook."""

    def __init__(self, number: int, *needed: object) -> None:
        self.number = number
        self.needed = needed

    @on(START)
    def start(self) -> None: ...


class Listener:
    """Listens to all the channels."""

    def __init__(self, bus: Bus) -> None:
        for number in range(500):
            bus[Channel[[int]](f"channel_{number:03}")].subscribe(lambda number: None)


class Base(Container):
    """The bus and the inspector."""

    bus = Component(Bus)
    inspector = Component(Inspector, bus.provided, bind=sys.argv[1], token=TOKEN)
    listener = Component(Listener, bus.provided)


def main() -> int:
    """Run until a signal."""
    members: dict[str, Component[Part]] = {"root": Component(Part, -1)}
    for number in range(5_000):
        before = [members[f"part_{number - 1:04}"].provided] if number % 10 else []
        members[f"part_{number:04}"] = Component(Part, number, members["root"].provided, *before)
    return run(type("Many", (Base,), members)())


if __name__ == "__main__":
    raise SystemExit(main())
