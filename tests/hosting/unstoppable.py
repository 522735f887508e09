"""A container whose stop fails."""

from __future__ import annotations

import threading

from typedbus import Bus, Component, Container

PATIENCE = 30.0


class Unstoppable:
    """A component whose stop fails when the test lets it continue."""

    def __init__(self) -> None:
        self.entered, self.release = threading.Event(), threading.Event()

    def stop(self) -> None:
        self.entered.set()
        self.release.wait(PATIENCE)
        raise OSError("no stop")


class UnstoppableShop(Container):
    bus = Component(Bus)
    unstoppable = Component(Unstoppable)
