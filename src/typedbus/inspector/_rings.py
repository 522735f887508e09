"""The last entries of a kind, with the number of those that were dropped."""

from __future__ import annotations

from collections import deque
from typing import Final, Generic, TypeVar

T = TypeVar("T")

#: The highest number of dropped entries that a reader gets.
MOST_LOST: Final = 5000


class Ring(Generic[T]):
    """The last *size* entries, each with the sequence number at which it was added. The caller holds a lock."""

    def __init__(self, size: int) -> None:
        self.size: Final = size
        self._entries: deque[tuple[int, T]] = deque()
        self._dropped: deque[int] = deque(maxlen=MOST_LOST)

    def add(self, seq: int, entry: T) -> None:
        """Add *entry*, and drop the oldest one if there are too many."""
        self._entries.append((seq, entry))
        if len(self._entries) > self.size:
            self._dropped.append(self._entries.popleft()[0])

    def since(self, seq: int) -> tuple[list[tuple[int, T]], int]:
        """Return the entries after *seq*, oldest first, and how many after *seq* were dropped, at most `MOST_LOST`."""
        entries: list[tuple[int, T]] = []
        for entry in reversed(self._entries):
            if entry[0] <= seq:
                break
            entries.append(entry)
        entries.reverse()
        lost = 0
        for dropped in reversed(self._dropped):
            if dropped <= seq:
                break
            lost += 1
        return entries, lost
