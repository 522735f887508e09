"""When an event whose listener has failed is delivered again."""

from __future__ import annotations

from typing import Final

import attrs

from typedbus._base.numbers import is_number
from typedbus.nats._arguments import is_count
from typedbus.nats._errors import ConsumerFault

#: 2 to this power is the largest factor of a delay; further doubling would overflow.
_MOST_DOUBLINGS: Final = 60
#: Heartbeats for a shorter time would be late on a busy machine.
_SHORTEST_WAIT: Final = 0.1


@attrs.frozen
class Redelivery:
    """
    When an event is delivered again, and when it becomes a dead letter.

    A failed event is delivered again after *first* seconds, then after twice as long, up to *longest*.

    Args:
        attempts: After how many deliveries an event whose listener fails becomes a dead letter.
        first: The first delay, in seconds.
        longest: The longest delay, in seconds.
        ack_wait: After how many seconds an event is delivered to another process if this one has died. While a process
            lives it asks for more time, up to *attempts* times *ack_wait* for a listener that does not return.

    Raises:
        ConsumerFault: A number is out of range.
    """

    attempts: int = 5
    first: float = 0.5
    longest: float = 30.0
    ack_wait: float = 30.0

    def __attrs_post_init__(self) -> None:
        if not is_count(self.attempts):
            raise ConsumerFault("attempts", self.attempts, "pass an int of at least 1")
        for name, least in (("first", 0.0), ("longest", self.first), ("ack_wait", _SHORTEST_WAIT)):
            value = getattr(self, name)
            if not is_number(value) or value < least:
                raise ConsumerFault(name, value, f"pass a number of seconds of at least {least:g}")

    @property
    def patience(self) -> float:
        """After how many seconds a listener that has not returned counts as one that hangs."""
        return self.attempts * self.ack_wait

    def delay(self, attempt: int) -> float:
        """Return how many seconds after the failure of the *attempt*-th delivery the next one follows."""
        return min(self.longest, self.first * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS))
