"""Checks of durations that a program passes to components."""

from __future__ import annotations

from typedbus._base.numbers import is_seconds
from typedbus._base.structured import StructuredError


class PeriodError(StructuredError, ValueError):
    """Raised by components with a period or a time limit, for a number of seconds that could never work."""

    name: str
    field: str
    given: object

    def __str__(self) -> str:
        return f"{self.name}: {self.field}={self.given!r} is not a duration; give a number of seconds above 0"


def check_seconds(name: str, field: str, value: object) -> None:
    """
    Refuse *value* for *field* of the component *name* unless it is a number of seconds above 0.

    Raises:
        PeriodError: It is not a number above 0.
    """
    if not is_seconds(value):
        raise PeriodError(name, field, value)
