"""The files that were edited since the process began, and whether they compile."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from typedbus._bus.builtin import ERROR, INFO

#: How many changed files the message about a restart names.
_NAMED: Final = 5


@attrs.define(eq=False)
class Edits:
    """
    The files that were edited since the process began.

    Args:
        log: Receives messages, each with its level.
    """

    log: Callable[[str, int], object]
    _changes: dict[str, str] = attrs.field(init=False, factory=dict)

    def are_complete(self, changes: dict[str, str]) -> bool:
        """Add *changes*, log all problems of edited files, and return whether there are no problems."""
        self._changes.update(changes)
        problems = [problem for path in self._changes if (problem := _problem(path)) is not None]
        for problem in problems:
            self.log(f"{problem}; not restarting until it is fixed", ERROR)
        if problems:
            return False
        for path in self._changes:
            # A .pyc file records the size and the second of its source, and does not notice two edits in one second.
            with contextlib.suppress(OSError, NotImplementedError):
                Path(importlib.util.cache_from_source(path)).unlink()
        names = [f"{path} {change}" for path, change in list(self._changes.items())[:_NAMED]]
        if len(self._changes) > _NAMED:
            names.append(f"and {len(self._changes) - _NAMED} more")
        self.log(f"restarting: {', '.join(names)}", INFO)
        return True


def _problem(path: str) -> str | None:
    """Return where and why a Python file cannot be compiled; None if it can, or if it is not a Python file."""
    if not path.endswith(".py"):
        return None
    try:
        compile(Path(path).read_bytes(), path, "exec", dont_inherit=True)
    except FileNotFoundError:
        return None
    except SyntaxError as error:
        return f"{path}:{error.lineno or 1}: {type(error).__name__}: {error.msg}"
    except (OSError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        return f"{path}: {type(error).__name__}: {error}"
    return None
