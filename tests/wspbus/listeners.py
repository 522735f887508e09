"""Listeners for the tests of the bus of the old names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def fail(*args: object) -> None:
    """Raise."""
    raise ValueError(*args)


def appending(calls: list[Any], value: object) -> Callable[[], None]:
    """Return a listener that appends *value* to *calls*."""
    return lambda: calls.append(value)
