"""Checks of numbers that a program passes, which may be of any type."""

from __future__ import annotations

import sys
from typing import Final, TypeGuard

_LARGEST: Final = sys.float_info.max


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether *value* is a finite number within the range of floats; a bool is no number."""
    # An int above that range cannot be added to a time, and `math.isfinite` raises OverflowError for it.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= _LARGEST


def is_seconds(value: object) -> TypeGuard[int | float]:
    """Return whether *value* is a finite number above 0."""
    return is_number(value) and value > 0
