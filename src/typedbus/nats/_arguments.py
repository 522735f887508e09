"""Checks of the arguments of links, ports, consumers and streams."""

from __future__ import annotations

import sys
from typing import TypeGuard


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether *value* is a number that a float can be, except infinities; a bool is no number."""
    # An int may be larger than every float, which `math.isfinite` does not take.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def is_seconds(value: object) -> TypeGuard[int | float]:
    """Return whether *value* is a finite number above 0."""
    return is_number(value) and value > 0


def is_count(value: object, least: int = 1) -> TypeGuard[int]:
    """Return whether *value* is an int of at least *least*; a bool is no count."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_word(value: object) -> TypeGuard[str]:
    """Return whether *value* is printable ASCII without spaces, which the protocol needs, and not empty."""
    return isinstance(value, str) and value != "" and all("!" <= one <= "~" for one in value)
