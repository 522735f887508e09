"""
Records which thread constructs which component, so that each is constructed once and no thread waits for itself.

No lock is held while a constructor, or a provider among its arguments, runs:
either may take locks of its own, and may start threads that use the container.
"""

from __future__ import annotations

import threading
from typing import Final

from typedbus._base.errors import ConstructionCycle, DeclarationError


class Construction:
    """The call of one component's constructor; other threads that need the component wait until it has ended."""

    __slots__ = ("_ended", "path", "place", "thread")

    def __init__(self, path: str, place: str) -> None:
        self.path = path
        self.place = place
        self.thread: Final = threading.current_thread()
        # A lock is cheaper than an Event; every component needs one, and threads rarely wait for it.
        self._ended: Final = threading.Lock()
        self._ended.acquire()

    def end(self) -> None:
        """Release the waiting threads; called once, by the constructing thread."""
        self._ended.release()

    def wait(self) -> None:
        """Wait until it has ended."""
        with self._ended:
            return

    @property
    def is_abandoned(self) -> bool:
        """Whether its thread no longer exists, for example in a process forked during the construction."""
        return self.thread not in threading.enumerate()


#: The construction that each waiting thread waits for. Keyed by the thread object,
#: since a later thread may reuse its identifier.
_awaited: Final[dict[threading.Thread, Construction]] = {}
#: The components whose arguments or constructor are being called, keyed by identity and calling thread.
_entered: Final[dict[tuple[int, threading.Thread], object]] = {}


class Entered:
    """
    Marks *component* as being built by the calling thread, for the length of a ``with`` block.

    Args:
        component: The component; compared by identity.
        path: Its path.
        place: File and line of its declaration.
        asked: The path of the component that the thread asked for.

    Raises:
        ConstructionCycle: The thread is already building it, further up its stack.
    """

    # Each start enters every component, and a generator under `contextmanager` takes three times as long.
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
        ConstructionCycle: That thread waits, directly or through other threads, for
            a component that the calling thread constructs.
    """
    me = threading.current_thread()
    # Record first, then check: of two threads that close a cycle at the same time, at least one detects it.
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


def check_callable(builds: object, place: str) -> None:
    """Raise `DeclarationError` if *builds*, declared at *place*, cannot be called."""
    if not callable(builds):
        raise DeclarationError(repr(builds), place, "it is not callable: give a class or a function")
