"""A bus of the old interface, and what it logs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from typedbus.wspbus import Bus


@pytest.fixture
def bus() -> Iterator[Bus]:
    """A bus that exits at the end."""
    bus = Bus()
    yield bus
    bus.exit()


@pytest.fixture
def lines(bus: Bus) -> list[str]:
    """The first lines of what the bus logs."""
    lines: list[str] = []
    bus.subscribe("log", lambda message, level: lines.append(f"{level} {message.splitlines()[0]}"))
    return lines
