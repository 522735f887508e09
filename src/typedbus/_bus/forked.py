"""The buses of the process, which are detached in each process that is forked from it."""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Final

from typedbus._os.forks import after_fork, keeps_buses

if TYPE_CHECKING:
    from typedbus._bus.bus import Bus

#: All buses of the process.
BUSES: Final[weakref.WeakSet[Bus]] = weakref.WeakSet()


@functools.cache
def detach_children() -> None:
    """From here on, detach every bus of this process in each process that is forked from it."""
    after_fork(_detach_all)


def _detach_all() -> None:
    if not keeps_buses():
        for bus in list(BUSES):
            bus.detach()
