"""Imports the modules of an application for a report, and reads their source."""

from __future__ import annotations

import ast
import contextlib
import importlib
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

from typedbus._base.structured import StructuredError

_INSTALLED: Final = tuple(sysconfig.get_path(kind) + os.sep for kind in ("stdlib", "platstdlib", "purelib", "platlib"))
_TYPEDBUS: Final = str(Path(__file__).parents[1]) + os.sep


class CannotReport(StructuredError):
    """
    Raised if the argument of the command cannot be imported, or is not something to report on; the exit status is 2.

    Attributes:
        target: The argument as given.
        reason: What is wrong, and how to correct it.
    """

    target: str
    reason: str

    def __str__(self) -> str:
        return f"cannot report on {self.target}: {self.reason}"


def import_quietly(name: str, target: str) -> ModuleType:
    """
    Import the module *name*, with its output on stderr, where it does not mix with the report.

    Args:
        name: The module.
        target: The argument of the command, for the error.

    Raises:
        CannotReport: *name* is not the name of a module, it does not exist, or its code raised an exception; the
            traceback of that is on stderr.
    """
    if name.endswith(".py") or not all(part.isidentifier() for part in name.split(".")):
        raise CannotReport(target, "give the name of a module, without .py, as in shop.signals")
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise CannotReport(target, f"{error} in {Path.cwd()} and in sys.path") from None
        traceback.print_exception(error)
        reason = f"its code raised {type(error).__name__} when it was imported"
        if isinstance(error, SystemExit):
            reason = (
                "its code ended the process when it was imported; "
                'put the call that runs the application under `if __name__ == "__main__":`'
            )
        raise CannotReport(target, reason) from None


def is_installed(module: ModuleType) -> bool:
    """Return whether *module* is one of the standard library, or of an installed distribution."""
    return (getattr(module, "__file__", None) or "").startswith(_INSTALLED)


def trees_of(modules: Iterable[ModuleType]) -> Iterator[tuple[ModuleType, str, ast.Module]]:
    """Yield the syntax tree of each module that has a source file, with the path of the file; typedbus has none."""
    for module in modules:
        file = getattr(module, "__file__", None) or ""
        if not file.endswith(".py") or file.startswith(_TYPEDBUS):
            continue
        try:
            yield module, file, ast.parse(Path(file).read_bytes(), file)
        except (OSError, SyntaxError):
            # The module was imported from elsewhere, or the file has changed since.
            continue


def short(place: str) -> str:
    """Return *place* relative to the working directory, if it is below it."""
    return place.removeprefix(f"{Path.cwd()}{os.sep}")
