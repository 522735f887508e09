"""
What files a program consists of, and which of them have changed.

What the operating system tells of files is a hint and no more: it names temporary
files of editors, says nothing of what came to be in a new folder before that was
watched, nor of what changed before anything was. So it only wakes who waits, and
what has changed is found by comparing: time, size and inode, equal or not. A file
that was put back to an older state has changed as well; one whose access rights
were changed has not.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import sys
import sysconfig
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

try:
    from watchfiles import Change, watch
except ImportError as missing:
    raise ImportError(
        "typedbus.plugins.autoreload needs watchfiles: pip install 'typedbus[autoreload]'", name="watchfiles"
    ) from missing

_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})


@attrs.frozen
class Place:
    """Something to look into: a file, a folder's own files, or, if deep, all that is below it."""

    path: Path
    is_deep: bool


def project() -> list[Place]:
    """
    Return where the modules of the program come from: its packages, and the folders of what is in none.

    These are modules below the working directory or beside the main module that
    belong neither to the standard library nor to an environment.
    """
    roots = [Path.cwd()]
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    if isinstance(main, str):
        roots.append(Path(main).absolute().parent)
    installed = sysconfig.get_paths()
    foreign = [Path(installed[name]) for name in ("stdlib", "platstdlib", "scripts")]
    places: dict[Place, None] = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str):
            continue
        path = Path(file).absolute()
        if not any(path.is_relative_to(root) for root in roots):
            continue
        if _INSTALLED.intersection(path.parts) or any(path.is_relative_to(other) for other in foreign):
            continue
        parts = str(getattr(getattr(module, "__spec__", None), "name", name)).split(".")
        above = len(parts) - (1 if hasattr(module, "__path__") else 2)
        top = path.parents[above] if 0 <= above < len(path.parents) else path.parent
        is_package = above >= 0 and top.name == parts[0]
        places[Place(top if is_package else path.parent, is_package)] = None
    return list(places)


@attrs.define(eq=False)
class Files:
    """The files in some places that bear certain names, and how each was when it was last looked at."""

    #: None for those of the project, which grows as modules are imported.
    places: Sequence[Place] | None
    patterns: Sequence[str]
    ignore: Sequence[str]
    known: dict[Place, None] = attrs.field(init=False, factory=dict)
    folders: list[str] = attrs.field(init=False, factory=list)
    _single: set[str] = attrs.field(init=False, factory=set)
    _seen: dict[str, tuple[int, int, int]] = attrs.field(init=False, factory=dict)
    _modules: int = attrs.field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self.changes()

    def changes(self) -> dict[str, str]:
        """Return the files that are not as they were when this was last asked, each with what happened to it."""
        self._modules = len(sys.modules)
        folders: dict[str, None] = {}
        single: set[str] = set()
        found: set[str] = set()
        # What lies where nobody looked before is not new: a module was imported from there.
        met: set[str] = set()
        places = project() if self.places is None else self.places
        # A place stays one, whatever becomes of the module that led there.
        for place in {**self.known, **dict.fromkeys(places)}:
            if not place.path.is_dir():
                folders[str(place.path.parent)] = None
                single.add(str(place.path))
                continue
            for folder, inside, names in os.walk(place.path):
                folders[folder] = None
                # An environment is no part of the project, wherever it lies.
                kept = [
                    name for name in inside if not self._ignores(name) and not Path(folder, name, "pyvenv.cfg").exists()
                ]
                inside[:] = kept if place.is_deep else []
                paths = {os.path.join(folder, name) for name in names if self._takes(name)}  # noqa: PTH118  # as os.walk gives them
                if place not in self.known:
                    met |= paths - found
                found |= paths
        self.known.update(dict.fromkeys(places))
        before, seen = self._seen, {}
        for path in found | single:
            with contextlib.suppress(OSError):
                stat = os.stat(path)  # noqa: PTH116  # of many
                seen[path] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        self._seen, self._single = seen, single
        self.folders = [folder for folder in folders if Path(folder).is_dir()]
        return {
            path: "is new" if path not in before else "changed" if path in seen else "is gone"
            for path in sorted({*before, *seen})
            if before.get(path) != seen.get(path) and not (path in met and path not in before)
        }

    def batches(self, debounce: float, stopping: threading.Event | None) -> Iterator[dict[str, str]]:
        """Give what has changed, each time that something has, until *stopping* is set; None lets interrupts through."""
        while stopping is None or not stopping.is_set():
            watched = self.folders
            told_of = watch(
                *watched,
                watch_filter=self._concerns,
                recursive=False,
                step=max(1, round(debounce * 1000)),
                debounce=max(1, round(debounce * 20_000)),
                rust_timeout=200,
                yield_on_timeout=True,
                stop_event=stopping,
                raise_interrupt=stopping is None,
                ignore_permission_denied=True,
            )
            has_looked = False
            try:
                for told in told_of:
                    # Nobody has told what happened before they were watched, nor where a new module came from.
                    if told or not has_looked or not watched or self._modules != len(sys.modules):
                        has_looked = True
                        if changed := self.changes():
                            yield changed
                    if self.folders != watched:
                        break
            except FileNotFoundError:
                # A folder was gone before it was watched.
                if changed := self.changes():
                    yield changed

    def _concerns(self, change: Change, path: str) -> bool:
        name = Path(path).name
        if path in self._single or path in self.folders or self._takes(name):
            return True
        return change == Change.added and not self._ignores(name) and Path(path).is_dir()

    def _takes(self, name: str) -> bool:
        return any(fnmatch.fnmatch(name, pattern) for pattern in self.patterns) and not self._ignores(name)

    def _ignores(self, name: str) -> bool:
        return any(fnmatch.fnmatch(name, pattern) for pattern in self.ignore)
