"""The slots of the events that a port has in flight."""

from __future__ import annotations

import asyncio
import collections
import threading
from collections.abc import Callable

import attrs

from typedbus._base.sync import new_lock


@attrs.define(eq=False)
class _Turn:
    """A wait for a slot; *wake* is called when the slot is there, or when there will be none."""

    wake: Callable[[], object]
    is_granted: bool = False


@attrs.define(eq=False)
class Window:
    """
    A number of slots, which are granted in the order of the calls, by threads and on the event loop alike.

    Args:
        size: How many slots there are.

    Attributes:
        is_closed: Whether no slot is granted any more.
    """

    size: int
    is_closed: bool = attrs.field(init=False, default=False)
    _free: int = attrs.field(init=False)
    _turns: collections.deque[_Turn] = attrs.field(init=False, factory=collections.deque)
    _lock: threading.Lock = attrs.field(init=False, factory=new_lock)

    def __attrs_post_init__(self) -> None:
        self._free = self.size

    @property
    def is_unused(self) -> bool:
        """Whether all slots are free."""
        return self._free == self.size

    def take(self) -> bool:
        """Take a slot, and return whether there was one; may be called in any thread."""
        with self._lock:
            # `give` passes a slot on to the first turn, so none waits while there is a free one.
            if self._free and not self.is_closed:
                self._free -= 1
                return True
            return False

    def take_in_thread(self, seconds: float) -> bool:
        """Wait in this thread for a slot, and return whether it came in time and before the end of the window."""
        woken = new_lock()
        woken.acquire()
        turn = self._queue(woken.release)
        try:
            woken.acquire(timeout=seconds)
        except BaseException:
            if self._leave(turn):
                self.give()
            raise
        return self._leave(turn)

    async def take_on_loop(self, seconds: float) -> bool:
        """As `take_in_thread`, on the event loop whose thread calls `give` and `close`."""
        woken = asyncio.Event()
        turn = self._queue(woken.set)
        try:
            async with asyncio.timeout(seconds):
                await woken.wait()
        except TimeoutError:
            pass
        except BaseException:
            if self._leave(turn):
                self.give()
            raise
        return self._leave(turn)

    def give(self) -> None:
        """Give a slot back."""
        with self._lock:
            if not self._turns:
                self._free += 1
                return
            turn = self._turns.popleft()
            turn.is_granted = True
        turn.wake()

    def close(self) -> None:
        """Grant no slot any more, and wake all that wait for one."""
        with self._lock:
            self.is_closed = True
            turns, self._turns = self._turns, collections.deque()
        for turn in turns:
            turn.wake()

    def _queue(self, wake: Callable[[], object]) -> _Turn:
        turn = _Turn(wake)
        with self._lock:
            if self._free and not self.is_closed:
                self._free -= 1
                turn.is_granted = True
            elif not self.is_closed:
                self._turns.append(turn)
                return turn
        wake()
        return turn

    def _leave(self, turn: _Turn) -> bool:
        with self._lock:
            if not turn.is_granted and turn in self._turns:
                self._turns.remove(turn)
            return turn.is_granted
