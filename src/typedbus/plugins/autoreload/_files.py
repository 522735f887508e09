"""
The files that a program consists of, and which of them have changed.

Events of the operating system are only hints: they name temporary files of
editors, and miss files that were written into a new folder before it was watched,
or before the watching began. Therefore an event starts a scan of all files, and
the scan compares device, inode, size and time of each with the previous scan. A
file that was restored to an older state counts as changed; a file whose permissions
changed does not.

The system reports events by real paths, while a program may name its files through
symbolic links. Files keep the names that the program uses. The watched folders are
real folders, including the folder of each link on the way to a file, so that both
an edit of its target and a link to another target are noticed.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

from typedbus.plugins.autoreload._project import Place, named_directory, project

try:
    from watchfiles import Change, watch
except ImportError as missing:
    raise ImportError(
        "typedbus.plugins.autoreload needs watchfiles: pip install 'typedbus[autoreload]'", name="watchfiles"
    ) from missing

__all__ = ("Files", "Place", "named_directory", "project")

#: The maximum number of symbolic links on the way to a file; the limit of Linux.
_LINKS: Final = 40
#: Seconds between two calls of `Files.more` while files are watched.
_PERIOD: Final = 1.0


def route(path: str) -> Iterator[tuple[str, str]]:
    """
    Yield where the file at the absolute *path* may be replaced, as pairs of a real folder and a name in it.

    These are the symbolic links on the way and, unless it is a folder, the file
    itself, or the first folder above it that does not exist.
    """
    folder, *parts = Path(path).parts
    pending, links = parts[::-1], 0
    while pending:
        name = pending.pop()
        if name == os.pardir:
            folder = str(Path(folder).parent)
            continue
        step = os.path.join(folder, name)  # noqa: PTH118  # of many
        try:
            target = Path(os.readlink(step))  # noqa: PTH115  # of many
        except (OSError, ValueError):
            if not os.path.isdir(step):  # noqa: PTH112  # of many
                yield folder, name
                return
            folder = step
            continue
        yield folder, name
        links += 1
        if links == _LINKS:
            return
        if target.is_absolute():
            folder = target.anchor
        pending.extend(reversed(target.relative_to(target.anchor).parts))


@attrs.define(eq=False)
class Files:
    """The files in some places whose names match, and the state of each at the last scan."""

    #: None for the places of the project, which grows as modules are imported.
    places: Sequence[Place] | None
    patterns: Sequence[str]
    ignore: Sequence[str]
    #: Returns further places; called for each scan, and once a second while the files are watched.
    more: Callable[[], Iterable[Place]] = attrs.field(default=tuple, kw_only=True)
    #: The places of all scans so far.
    known_places: dict[Place, None] = attrs.field(init=False, factory=dict)
    #: The real folders to watch.
    folders: list[str] = attrs.field(init=False, factory=list)
    #: The real paths of single files and of links, whose names need not match.
    _points: set[str] = attrs.field(init=False, factory=set)
    #: The real folders that are scanned, and whether all file names count there.
    _walked: dict[str, bool] = attrs.field(init=False, factory=dict)
    #: Time, size, inode and device of each file at the last scan.
    _stats: dict[str, tuple[int, int, int, int]] = attrs.field(init=False, factory=dict)
    _modules: int = attrs.field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self.changes()

    def changes(self) -> dict[str, str]:
        """Return the files that have changed since the last call, each with the kind of change."""
        self._modules = len(sys.modules)
        self._points, self._walked = set(), {}
        paths: set[str] = set()
        # A file in a place that is scanned for the first time is not new: the program has read it before.
        first_scanned: set[str] = set()
        places = [*(project() if self.places is None else self.places), *self.more()]
        # A known place stays watched, even if the module that led there is removed.
        for place in {**self.known_places, **dict.fromkeys(places)}:
            files = set(self._files_in(place))
            if place not in self.known_places:
                first_scanned |= files - paths
            paths |= files
        self.known_places.update(dict.fromkeys(places))
        before, stats = self._stats, {}
        for path in paths:
            with contextlib.suppress(OSError, ValueError):
                stat = os.stat(path)  # noqa: PTH116  # of many
                stats[path] = (stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_dev)
        self._stats = stats
        folders = sorted(self._walked.keys() | {os.path.dirname(point) for point in self._points})  # noqa: PTH120  # of many
        # A folder with search permission but without read permission cannot be watched.
        self.folders = [folder for folder in folders if os.path.isdir(folder) and os.access(folder, os.R_OK)]  # noqa: PTH112  # of many
        return {
            path: "is new" if path not in before else "changed" if path in stats else "is gone"
            for path in sorted({*before, *stats})
            if before.get(path) != stats.get(path) and not (path in first_scanned and path not in before)
        }

    def _files_in(self, place: Place) -> Iterator[str]:
        """Yield the paths of the files in *place*, existing or not, and record the paths to watch for them."""
        top = str(place.path)
        self._points.update(map(_joined, route(top)))
        if not os.path.isdir(top):  # noqa: PTH112  # no path is too long for it
            yield top
            return
        above = os.path.realpath(top)
        # Real folders come before links to them, so that a file has the same name in each scan.
        pending, links, entered = [(top, above)], list[tuple[str, str]](), set[str]()
        while pending or links:
            if not pending:
                links.sort()
            folder, real = pending.pop() if pending else links.pop(0)
            if real in entered:
                continue
            entered.add(real)
            self._walked[real] = place.all_names or self._walked.get(real, False)
            try:
                entries = list(os.scandir(folder))
            except OSError:
                continue
            for entry in entries:
                name, is_link = entry.name, entry.is_symlink()
                if self._ignores(name):
                    continue
                if os.path.isdir(entry.path) if is_link else entry.is_dir(follow_symlinks=False):  # noqa: PTH112  # of many
                    # A virtual environment is not a part of the project, wherever it is.
                    if not place.is_deep or os.path.exists(os.path.join(entry.path, "pyvenv.cfg")):  # noqa: PTH110, PTH118  # of many
                        continue
                    if not is_link:
                        pending.append((entry.path, os.path.join(real, name)))  # noqa: PTH118  # of many
                        continue
                    self._points.update(map(_joined, route(entry.path)))
                    target = os.path.realpath(entry.path)
                    # A link to a parent folder would lead here again, and to all of its other folders.
                    if not Path(above).is_relative_to(target):
                        links.append((entry.path, target))
                elif place.all_names or self._takes(name):
                    if is_link:
                        self._points.update(map(_joined, route(entry.path)))
                    yield entry.path

    def batches(self, debounce: float, stopping: threading.Event | None) -> Iterator[dict[str, str]]:
        """Yield each set of changes until *stopping* is set; with None, `KeyboardInterrupt` is raised."""
        # Scanned at once, since listeners have named files by now; yielded with the first scan below, after the start.
        changes, last_ask = self.changes(), time.monotonic()
        while stopping is None or not stopping.is_set():
            watched = self.folders
            hints = watch(
                *watched,
                # A filter would suppress events, and each event is a reason to scan.
                watch_filter=None,
                recursive=False,
                step=max(1, round(debounce * 1000)),
                debounce=max(1, round(debounce * 20_000)),
                rust_timeout=200,
                yield_on_timeout=True,
                stop_event=stopping,
                raise_interrupt=stopping is None,
                ignore_permission_denied=True,
            )
            try:
                for number, hint in enumerate(hints):
                    now = time.monotonic()
                    must_ask = now - last_ask >= _PERIOD
                    last_ask = now if must_ask else last_ask
                    # No event reports changes before the folders were watched, the folder of a new module,
                    # or files that a listener has begun to read.
                    must_look = (
                        not number
                        or not watched
                        or any(self._concerns(change, path) for change, path in hint)
                        or self._modules != len(sys.modules)
                        or (must_ask and not self.known_places.keys() >= set(self.more()))
                    )
                    if must_look and (changes := {**changes, **self.changes()}):
                        yield changes
                        changes = {}
                    # If another folder of the same name replaced a folder, the new one is not watched yet.
                    if self.folders != watched or any(path in watched for _, path in hint):
                        break
            except FileNotFoundError:
                # A folder was removed before it was watched.
                if changes := {**changes, **self.changes()}:
                    yield changes
                    changes = {}

    def _concerns(self, change: Change, path: str) -> bool:
        folder, name = os.path.split(path)
        if path in self._points or path in self.folders:
            return True
        if folder not in self._walked or self._ignores(name):
            return False
        return self._walked[folder] or self._takes(name) or (change == Change.added and os.path.isdir(path))  # noqa: PTH112  # as above

    def _takes(self, name: str) -> bool:
        return any(fnmatch.fnmatch(name, pattern) for pattern in self.patterns) and not self._ignores(name)

    def _ignores(self, name: str) -> bool:
        return any(fnmatch.fnmatch(name, pattern) for pattern in self.ignore)


def _joined(point: tuple[str, str]) -> str:
    return os.path.join(*point)  # noqa: PTH118  # of many
