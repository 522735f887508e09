"""Finds the modules of a code base, and imports them."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

from typedbus._base.failures import error_text
from typedbus.catalogue._model import Unread

#: Modules whose import runs a program.
_PROGRAMS: Final = ("__main__",)


def package_of(module: str) -> Path | None:
    """Return the folder of the package that contains the loaded *module*; None for a module without a package or a file."""
    loaded = sys.modules[module]
    file = getattr(loaded, "__file__", None)
    return Path(file).parent if file and (getattr(loaded, "__package__", "") or hasattr(loaded, "__path__")) else None


def modules_below(source: Path) -> Iterator[str]:
    """
    Yield the names of the modules in the folder or file *source*, as Python imports them, in order.

    The folder above the outermost package is put into `sys.path`, if it is not there.
    """
    root = source if source.is_dir() else source.parent
    while (root / "__init__.py").is_file():
        root = root.parent
    if str(root.resolve()) not in {str(Path(entry).resolve()) for entry in sys.path}:
        sys.path.insert(0, str(root.resolve()))
    files = sorted(source.rglob("*.py")) if source.is_dir() else [source]
    for file in files:
        parts = file.relative_to(root).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        if parts and parts[-1] not in _PROGRAMS and all(part.isidentifier() for part in parts):
            yield ".".join(parts)


def imported(names: Iterable[str]) -> tuple[list[ModuleType], list[Unread]]:
    """Import the modules *names*, with their output on stderr, and return them and the ones that could not be imported."""
    modules: list[ModuleType] = []
    unread: list[Unread] = []
    for name in dict.fromkeys(names):
        try:
            with contextlib.redirect_stdout(sys.stderr):
                modules.append(importlib.import_module(name))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            unread.append(Unread(name, error_text(error)))
    return modules, unread
