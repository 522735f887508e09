"""A component with a run that a test controls."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from typedbus import RUN, Stopping, on

Attempt: TypeAlias = Exception | Callable[[Stopping], object]
"""What one call of a `Consumer` does: it raises the exception, or calls the function."""


class Consumer:
    """A component with a run whose calls make *attempts*, one each; later calls wait until the run must end."""

    def __init__(self, *attempts: Attempt) -> None:
        self.attempts = iter(attempts)

    @on(RUN)
    def consume(self, stopping: Stopping) -> None:
        attempt = next(self.attempts, Stopping.wait)
        if isinstance(attempt, Exception):
            raise attempt
        attempt(stopping)
