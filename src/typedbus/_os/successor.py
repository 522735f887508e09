"""
The descriptors that this process leaves to the program that replaces it.

execv(2) closes no descriptor that is inheritable. So a restart makes the kept descriptors inheritable at the last
moment and names them in the environment, one variable for each module that keeps some. The new program adopts
them when it imports that module, and the component that needs one claims it. What no component has claimed is
dropped when the new bus has started, or at the exit of the interpreter.
"""

from __future__ import annotations

import atexit
import contextlib
import os
from collections.abc import Callable, Generator
from typing import Any, Final

import attrs

#: A description of one kept thing, which JSON can represent, and its descriptors.
Entry = tuple[list[Any], list[int]]


@attrs.frozen
class Keeper:
    """
    A module that keeps descriptors for the next program.

    Args:
        variable: The environment variable that names them.
        entries: Returns everything that is kept at present.
        adopt: Takes over one kept thing in the new program, with its description as arguments. It raises
            ValueError, TypeError or OSError where the description is wrong.
        drop: Releases everything that is still kept.
    """

    variable: str
    entries: Callable[[], list[Entry]]
    adopt: Callable[..., None]
    drop: Callable[[], None]


_keepers: Final[list[Keeper]] = []


def register(keeper: Keeper) -> None:
    """Let *keeper* take part in restarts, and adopt what the program before this one left to it in this process."""
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
    """Let everything that is kept survive an execv(2) in the block; where that fails, everything is as it was."""
    kept = {keeper.variable: entries for keeper in _keepers if (entries := keeper.entries())}
    if not kept:
        yield
        return
    import json  # as above

    descriptors = [number for entries in kept.values() for _, numbers in entries for number in numbers]
    for variable, entries in kept.items():
        os.environ[variable] = json.dumps([os.getpid(), [description for description, _ in entries]])
    try:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)  # noqa: FBT003  # by position alone
        yield
    finally:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)  # noqa: FBT003  # as above
        for variable in kept:
            del os.environ[variable]


def drop_kept() -> None:
    """Release everything that is kept and that no component has claimed."""
    for keeper in _keepers:
        keeper.drop()


atexit.register(drop_kept)
