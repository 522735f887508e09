"""
The descriptors that this process leaves to the program that replaces it.

execv(2) does not close inheritable descriptors. So a restart makes the kept descriptors inheritable at the last
moment and lists them in the environment, with one variable for each module that keeps descriptors. The new program
adopts them when it imports that module, and a component claims the descriptor that it needs. Unclaimed descriptors
are dropped when the new bus has started, or at the exit of the interpreter.
"""

from __future__ import annotations

import atexit
import contextlib
import os
from collections.abc import Callable, Generator
from typing import Any, Final

import attrs

#: The description of a kept object, as JSON values, and its descriptors.
Entry = tuple[list[Any], list[int]]


@attrs.frozen
class Keeper:
    """
    A module that keeps descriptors for the next program.

    Args:
        variable: The environment variable that lists them.
        entries: Returns all objects that are kept at present.
        adopt: Takes over a kept object in the new program, with its description as arguments. It raises
            ValueError, TypeError or OSError if the description is wrong.
        drop: Releases all objects that are still kept.
    """

    variable: str
    entries: Callable[[], list[Entry]]
    adopt: Callable[..., None]
    drop: Callable[[], None]


_keepers: Final[list[Keeper]] = []


def register(keeper: Keeper) -> None:
    """Include *keeper* in restarts, and adopt the descriptors that the replaced program left for it."""
    _keepers.append(keeper)
    record = os.environ.pop(keeper.variable, None)
    if record is None:
        return
    import json  # only a restart needs it

    with contextlib.suppress(ValueError, TypeError):  # this module did not write the variable
        pid, descriptions = json.loads(record)
        if pid != os.getpid():
            return  # a child process has inherited the variable
        for description in descriptions:
            with contextlib.suppress(ValueError, TypeError, OSError):
                keeper.adopt(*description)


@contextlib.contextmanager
def inheritable() -> Generator[None]:
    """Make the kept descriptors survive an execv(2) in the block; undo this if execv fails."""
    entries_by_variable = {keeper.variable: entries for keeper in _keepers if (entries := keeper.entries())}
    if not entries_by_variable:
        yield
        return
    import json  # as above

    descriptors = [number for entries in entries_by_variable.values() for _, numbers in entries for number in numbers]
    for variable, entries in entries_by_variable.items():
        os.environ[variable] = json.dumps([os.getpid(), [description for description, _ in entries]])
    try:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)  # noqa: FBT003  # by position alone
        yield
    finally:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)  # noqa: FBT003  # as above
        for variable in entries_by_variable:
            del os.environ[variable]


def drop_kept() -> None:
    """Release all kept objects that no component has claimed."""
    for keeper in _keepers:
        keeper.drop()


atexit.register(drop_kept)
