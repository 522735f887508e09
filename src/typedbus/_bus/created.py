"""The functions that receive each bus that is created, for telemetry of the whole process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typedbus._bus.bus import Bus

#: Called with each bus at its creation, in order. They must keep no reference to it: a bus lives as long as its users.
CREATED: Final[list[Callable[[Bus], object]]] = []
