"""Restarts the process when one of its files has changed, by polling all files."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from typedbus.wspbus.plugins._tasks import Monitor

if TYPE_CHECKING:
    from typedbus.wspbus._bus import Bus

_BASE: Final = os.getcwd()  # noqa: PTH109  # a string, for os.path.join


class Autoreloader(Monitor):
    """
    Restarts the process when a file of an imported module, or one of `files`, has changed.

    A change is a different time, size or inode, or a file that has appeared or
    disappeared. `typedbus.plugins.autoreload` uses notifications of the system, and
    watches only the files of the project; this plugin polls all files, as the
    original does.

    Args:
        bus: The bus to restart.
        frequency: Seconds between two checks.
        match: A regular expression that matches the beginning of the names of modules.

    Attributes:
        files: Additional files.
        mtimes: The modification time of each checked file; None for a missing file.
    """

    frequency: float = 1
    match: str = ".*"
    files: set[str] | Any = None

    def __init__(self, bus: Bus, frequency: float = 1, match: str = ".*") -> None:
        self.mtimes: dict[str, float | None] = {}
        self._stats: dict[str, tuple[int, int, int] | None] = {}
        self.files = set[str]()
        self.match = match
        super().__init__(bus, self.run, frequency)

    def start(self) -> None:
        """Start with the current state of the files."""
        if self.thread is None:
            self.mtimes = {}
            self._stats = {}
        super().start()

    start.priority = 70  # type: ignore[attr-defined]  # read when it is subscribed

    def sysfiles(self) -> set[str]:
        """Return the files of the modules whose names match."""
        matches = re.compile(self.match).match
        files = (self._file_for_module(module) for name, module in list(sys.modules.items()) if matches(name))
        return {file for file in files if file}

    @classmethod
    def _file_for_module(cls, module: Any) -> str | None:
        return cls._archive_for_zip_module(module) or cls._file_for_file_module(module)

    @staticmethod
    def _archive_for_zip_module(module: ModuleType) -> str | None:
        archive = getattr(getattr(module, "__loader__", None), "archive", None)
        return archive if isinstance(archive, str) else None

    @classmethod
    def _file_for_file_module(cls, module: Any) -> str | None:
        file = getattr(module, "__file__", None)
        return cls._make_absolute(file) if isinstance(file, str) and file else None

    @staticmethod
    def _make_absolute(filename: str) -> str:
        """Return *filename* relative to the original working directory, which a later change does not affect."""
        return os.path.normpath(os.path.join(_BASE, filename))  # noqa: PTH118  # as strings

    def run(self) -> None:
        """Check the files once, and restart the process if a file has changed since the last check."""
        for name in sorted(self.sysfiles() | {os.fspath(file) for file in self.files if file}):
            filename = name.removesuffix("c") if name.endswith(".pyc") else name
            try:
                stat = Path(filename).stat()
            except (OSError, ValueError):
                current, mtime = None, None
            else:
                current, mtime = (stat.st_mtime_ns, stat.st_size, stat.st_ino), stat.st_mtime
            previous = self._stats.setdefault(filename, current)
            self.mtimes[filename] = mtime
            if previous == current:
                continue
            self.bus.log(f"Restarting because {filename} changed.")
            thread = self.thread
            if thread is not None:
                thread.cancel()
                self.bus.log(f"Stopped thread {thread.name!r}.")
            self.bus.restart()
            return
