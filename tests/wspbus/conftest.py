"""A bus of the old names, and the lines that it logs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from typedbus.wspbus import Bus


@pytest.fixture
def bus() -> Iterator[Bus]:
    """Return a bus that exits at the end of the test."""
    bus = Bus()
    yield bus
    bus.exit()


@pytest.fixture
def lines(bus: Bus) -> list[str]:
    """Return the level and the first line of each message that the bus logs."""
    lines: list[str] = []
    bus.subscribe("log", lambda message, level: lines.append(f"{level} {message.splitlines()[0]}"))
    return lines
