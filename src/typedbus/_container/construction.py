"""
Which thread constructs which component, so that each is constructed once and no thread waits for itself.

No lock is held while a constructor, or a provider among its arguments, runs:
either may take locks of its own, and may start threads that use the container.
"""

from __future__ import annotations

import threading
from typing import Final

from typedbus._base.errors import ConstructionCycle


class Construction:
    """The call of one component's constructor; other threads that need the component wait until it has ended."""

    __slots__ = ("_ended", "path", "place", "thread")

    def __init__(self, path: str, place: str) -> None:
        self.path = path
        self.place = place
        self.thread: Final = threading.current_thread()
        # A lock, which costs less than an Event: every component has one of these, and seldom is it waited for.
        self._ended: Final = threading.Lock()
        self._ended.acquire()

    def end(self) -> None:
        """Let the threads go on that wait; called once, by its own thread."""
        self._ended.release()

    def wait(self) -> None:
        """Return when it has ended."""
        with self._ended:
            return

    @property
    def is_abandoned(self) -> bool:
        """Whether its thread is gone, as in a process that was forked off in the middle of it."""
        return self.thread not in threading.enumerate()


#: Which construction each waiting thread waits for. Keyed by the thread and not
#: by its number, which a later thread may have again.
_awaited: Final[dict[threading.Thread, Construction]] = {}
#: The components whose arguments or constructor are being called, by identity, and the thread that calls them.
_entered: Final[dict[tuple[int, threading.Thread], object]] = {}


class Entered:
    """
    Marks *component* as being built by the calling thread, for the length of a ``with`` block.

    Args:
        component: Told apart by identity.
        path: Its path.
        place: File and line of its declaration.
        asked: The path of the component that the thread asked for.

    Raises:
        ConstructionCycle: The thread is building it already, further up its stack.
    """

    # Not a generator under `contextmanager`, which takes three times as long: each start enters every component.
    __slots__ = ("_asked", "_component", "_key", "_path", "_place")

    def __init__(self, component: object, path: str, place: str, asked: str) -> None:
        self._component = component
        self._path = path
        self._place = place
        self._asked = asked
        self._key = id(component), threading.current_thread()

    def __enter__(self) -> None:
        if self._key in _entered:
            raise ConstructionCycle(self._path, self._place, self._asked)
        _entered[self._key] = self._component

    def __exit__(self, *exception: object) -> None:
        del _entered[self._key]


def await_end(construction: Construction, asked: str) -> None:
    """
    Wait until *construction*, of another thread, has ended.

    Raises:
        ConstructionCycle: That thread waits, directly or by way of others, for
            something that the calling thread constructs.
    """
    me = threading.current_thread()
    # Entered first and looked at afterwards: of two threads that close a circle at once, at least one finds it.
    _awaited[me] = construction
    try:
        link: Construction | None = construction
        for _ in range(len(_awaited) + 1):
            if link is None:
                break
            if link.thread is me:
                raise ConstructionCycle(construction.path, construction.place, asked, construction.thread.name)
            link = _awaited.get(link.thread)
        construction.wait()
    finally:
        del _awaited[me]
