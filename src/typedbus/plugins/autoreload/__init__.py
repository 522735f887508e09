"""
Restart the process when a file of its program changes.

The process is replaced, not patched. When a module is reloaded, other modules keep
the names that they imported from the old one; only a new process is certain to run
the code in the files.

Changed files are compiled before the restart. As long as a file has a syntax
error, the site continues with the old code, and the position of the error is logged.

Code that compiles but fails, in an import, in the wiring or in a start, fails in
the new process. An environment variable marks that process as restarted. If it ends
before the start of `Autoreload`, it does not exit: at the end of the interpreter it
waits for the next change, and is replaced again. An interrupt, or a signal that
breaks off the start, ends it as usual. So does a failure before this module is
imported: import it early.
"""

from __future__ import annotations

import atexit
import os
import threading
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import attrs

from typedbus._base.errors import RestartError
from typedbus._base.events import RolledBack
from typedbus._base.exports import export
from typedbus._base.structured import StructuredError
from typedbus._bus.builtin import ERROR, ROLLED_BACK, START
from typedbus._bus.bus import Bus
from typedbus._channels.channel import Channel
from typedbus._channels.marks import on
from typedbus._channels.subscriptions import Subscription
from typedbus._os.exhausted import OutOfThreads, start_thread
from typedbus.plugins._seconds import PeriodError, check_seconds
from typedbus.plugins._thread_ends import NotEnded, join
from typedbus.plugins.autoreload._edits import Edits
from typedbus.plugins.autoreload._failed_start import is_restarted, mark_restart, wait_for_change
from typedbus.plugins.autoreload._files import Files, Place, named_directory

__all__ = ("WATCHED", "Autoreload", "NotEnded", "NothingToWatch", "OutOfThreads", "PeriodError")

WATCHED = Channel[[], Iterable[str | os.PathLike[str]]]("watched")
"""
Asks components which files and folders `Autoreload` must watch in addition to its own.

A listener returns the paths that it has read so far, for example templates. In a
folder all files below it are watched, whatever their names, except the names in
`Autoreload.ignore`. Relative paths are relative to the working directory.
A path that does not exist is watched as well, and its file is new when it appears.
A path stays watched when a later answer omits it.

`Autoreload` publishes this channel in its own thread, so a listener must return
quickly: after its start, at each look at the files, and once a second. Listeners
outside of containers are also called when it is constructed.
"""

#: How long a stop waits for the thread, in seconds.
_PATIENCE: Final = 5.0


class NothingToWatch(StructuredError, FileNotFoundError):
    """
    Raised by `Autoreload` if there are no files to watch.

    Attributes:
        paths: The given paths that do not exist; empty if none were given and no project was found.
    """

    paths: tuple[str, ...]

    def __str__(self) -> str:
        if not self.paths:
            return (
                "no file of the program was found to watch, neither below the working directory nor beside "
                "the main module: give paths"
            )
        return f"there is nothing to watch at {', '.join(self.paths)}: give paths of files or folders that exist"


def _paths(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None) -> tuple[str, ...] | None:
    if paths is None:
        return None
    return tuple(os.fspath(path) for path in ([paths] if isinstance(paths, (str, os.PathLike)) else paths))


def _patterns(patterns: str | Iterable[str]) -> tuple[str, ...]:
    return (patterns,) if isinstance(patterns, str) else tuple(patterns)


@attrs.define(eq=False)
class Autoreload:
    """
    Restarts the process when a file of its program changes, is created or is removed.

    It records the state of the files at its construction, and watches them from its
    start to its stop in a separate thread. Changes are logged on `LOG`. Python files
    are compiled first; as long as one has a syntax error, that is logged, and the
    site continues. Then `Bus.restart` stops everything in order and replaces the
    process.

    Components add files with a method that listens to `WATCHED`. An error of such a
    method is logged once; its earlier answers stay watched.

    A restarted process that ends before the start of this component waits for the
    next change, and is then restarted, as the module describes.

    Args:
        bus: The bus to restart.
        paths: Files, and folders with everything below them. Default: the packages of
            the program and the folders of its other modules, including modules that
            are imported later.
        patterns: Shell-style patterns of file names. A file in *paths* may have any name.
        ignore: Patterns of files and folders to ignore. Virtual environments are always ignored.
        debounce: How long the files must be quiet before changes are examined, in seconds. A stop waits as long.

    Raises:
        NothingToWatch: One of *paths* does not exist, or there are no files to watch.
        PeriodError: *debounce* is not a number above 0.
    """

    bus: Bus
    paths: Sequence[str] | None = attrs.field(default=None, converter=_paths, kw_only=True)
    patterns: Sequence[str] = attrs.field(default=("*.py",), converter=_patterns, kw_only=True)
    ignore: Sequence[str] = attrs.field(
        default=(".*", "__pycache__", "node_modules"), converter=_patterns, kw_only=True
    )
    debounce: float = attrs.field(default=0.05, kw_only=True)
    _files: Files = attrs.field(init=False, repr=False)
    _stopping: threading.Event = attrs.field(init=False, repr=False, factory=threading.Event)
    _thread: threading.Thread | None = attrs.field(init=False, repr=False, default=None)
    #: The last error of each listener of `WATCHED`.
    _errors: dict[Subscription, str] = attrs.field(init=False, repr=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        check_seconds("autoreload", "debounce", self.debounce)
        places = None
        if self.paths is not None:
            missing = [path for path in self.paths if not Path(path).exists()]
            if missing or not self.paths:
                raise NothingToWatch(tuple(missing))
            # Links are not resolved: a symbolic link may lead elsewhere later.
            places = [Place(named_directory() / path, is_deep=True) for path in self.paths]
        self._files = Files(places, self.patterns, self.ignore, more=lambda: self._watched_places(is_started=False))
        if not self._files.folders:
            raise NothingToWatch(())

    @on(START, priority=90)
    def start(self) -> None:
        """
        Begin to watch, unless it already does.

        Raises:
            RestartError: This process cannot be restarted.
            OutOfThreads: The system starts no further thread.
        """
        replacement = self.bus.replacement
        if replacement is None:
            raise RestartError(
                "the bus of Autoreload was not started by run(), which alone can restart a process; run the container with run()"
            )
        reason = replacement.problem()
        if reason is not None:
            raise RestartError(reason)
        atexit.unregister(wait_for_change)
        if self._thread is None:
            self._stopping = threading.Event()
            self._files.more = lambda: self._watched_places(is_started=True)
            thread = threading.Thread(target=self._watch, args=(self._stopping,), name="autoreload")
            self.bus.own(thread)
            start_thread(thread)
            self._thread = thread

    def stop(self) -> None:
        """
        Stop watching.

        Raises:
            NotEnded: The thread did not end within 5 s.
        """
        self._stopping.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            join(thread, _PATIENCE)

    @on(ROLLED_BACK)
    def rolled_back(self, event: RolledBack) -> None:
        """Let a restarted process end if its start was broken off without an error."""
        if event.error is None:
            atexit.unregister(wait_for_change)

    def _watch(self, stopping: threading.Event) -> None:
        edits = Edits(lambda text, level: self.bus.log(f"autoreload: {text}", level))
        try:
            for changes in self._files.batches(self.debounce, stopping):
                if not edits.are_complete(changes):
                    continue
                mark_restart(self._files, self.debounce)
                try:
                    self.bus.restart()
                except RestartError as error:
                    self.bus.log(f"autoreload: {error}", ERROR)
                else:
                    return
        except Exception as error:
            self.bus.log(
                f"autoreload: no file is watched any more: {type(error).__name__}: {error}; "
                "if the system has no watches left, set WATCHFILES_FORCE_POLLING=1",
                ERROR,
            )

    def _watched_places(self, *, is_started: bool) -> list[Place]:
        """
        Return the places that listeners of `WATCHED` name, and log the errors in their answers.

        Listeners that belong to components are skipped until this component has started.
        """
        places: list[Place] = []
        for subscription in self.bus[WATCHED].subscriptions:
            problem = ""
            if subscription.node is not None and not is_started:
                continue
            try:
                answer: object = subscription.listener()
                paths = _paths(answer) if isinstance(answer, (str, os.PathLike, Iterable)) else None
                if paths is None:
                    problem = f"it returned {answer!r}, which is not an iterable of paths"
                elif invalid := [path for path in paths if not isinstance(path, str) or not path]:
                    problem = f"it returned the path {invalid[0]!r}; a path is a str that is not empty, or an os.PathLike[str]"
                else:
                    directory = named_directory()
                    places.extend(Place(directory / path, is_deep=True, all_names=True) for path in paths)
            except (Exception, SystemExit) as error:
                problem = "".join(traceback.format_exception_only(error)).strip()
            if problem and self._errors.get(subscription) != problem:
                text = f"autoreload: {subscription.name} named no files to watch: {problem}"
                self.bus.log(text, ERROR)
            self._errors[subscription] = problem
        return places


if is_restarted():
    atexit.register(wait_for_change)


export(globals())
