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
import contextlib
import importlib.util
import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import attrs

from typedbus._base.errors import RestartError
from typedbus._base.events import RolledBack
from typedbus._base.exports import export
from typedbus._base.structured import StructuredError
from typedbus._bus.bus import Bus
from typedbus._bus.registry import ERROR, INFO, ROLLED_BACK, START
from typedbus._channels.bound import Subscription
from typedbus._channels.channel import Channel, on
from typedbus._os.exhausted import OutOfThreads, start_thread
from typedbus._os.reexec import Image
from typedbus.plugins._periodic import NotEnded, PeriodError, check_seconds, join
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

_RESTARTED: Final = "TYPEDBUS_AUTORELOAD"
_NAMED: Final = 5
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


@attrs.define(eq=False)
class _Edits:
    """The files that were edited since the process began, and whether they compile."""

    say: Callable[[str, int], object]
    edited: dict[str, str] = attrs.field(init=False, factory=dict)

    def are_complete(self, changed: dict[str, str]) -> bool:
        """Add the *changed* files, log all problems of edited files, and return whether there are no problems."""
        self.edited.update(changed)
        problems = [problem for path in self.edited if (problem := _problem(path)) is not None]
        for problem in problems:
            self.say(f"{problem}; not restarting until it is fixed", ERROR)
        if problems:
            return False
        for path in self.edited:
            # A .pyc file records the size and the second of its source, and does not notice two edits in one second.
            with contextlib.suppress(OSError, NotImplementedError):
                Path(importlib.util.cache_from_source(path)).unlink()
        named = [f"{path} {what}" for path, what in list(self.edited.items())[:_NAMED]]
        more = [f"and {len(self.edited) - _NAMED} more"] if len(self.edited) > _NAMED else []
        self.say(f"restarting: {', '.join(named + more)}", INFO)
        return True


def _paths(given: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    return tuple(os.fspath(path) for path in ([given] if isinstance(given, (str, os.PathLike)) else given))


def _names(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


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
    patterns: Sequence[str] = attrs.field(default=("*.py",), converter=_names, kw_only=True)
    ignore: Sequence[str] = attrs.field(default=(".*", "__pycache__", "node_modules"), converter=_names, kw_only=True)
    debounce: float = attrs.field(default=0.05, kw_only=True)
    _files: Files = attrs.field(init=False, repr=False)
    _stopping: threading.Event = attrs.field(init=False, repr=False, factory=threading.Event)
    _thread: threading.Thread | None = attrs.field(init=False, repr=False, default=None)
    #: The last error of each listener of `WATCHED`.
    _refused: dict[Subscription, str] = attrs.field(init=False, repr=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        check_seconds("autoreload", "debounce", self.debounce)
        places = None
        if self.paths is not None:
            gone = [path for path in self.paths if not Path(path).exists()]
            if gone or not self.paths:
                raise NothingToWatch(tuple(gone))
            # Links are not resolved: a symbolic link may lead elsewhere later.
            places = [Place(named_directory() / path, is_deep=True) for path in self.paths]
        self._files = Files(places, self.patterns, self.ignore, more=lambda: self._ask(is_started=False))
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
        atexit.unregister(_wait_for_mending)
        if self._thread is None:
            self._stopping = threading.Event()
            self._files.more = lambda: self._ask(is_started=True)
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
            atexit.unregister(_wait_for_mending)

    def _watch(self, stopping: threading.Event) -> None:
        edits = _Edits(lambda text, level: self.bus.log(f"autoreload: {text}", level))
        try:
            for changed in self._files.batches(self.debounce, stopping):
                if not edits.are_complete(changed):
                    continue
                self._leave_word()
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

    def _ask(self, *, is_started: bool) -> list[Place]:
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
                elif wrong := [path for path in paths if not isinstance(path, str) or not path]:
                    problem = (
                        f"it returned the path {wrong[0]!r}; a path is a str that is not empty, or an os.PathLike[str]"
                    )
                else:
                    directory = named_directory()
                    places.extend(Place(directory / path, is_deep=True, all_names=True) for path in paths)
            except (Exception, SystemExit) as error:
                problem = "".join(traceback.format_exception_only(error)).strip()
            if problem and self._refused.get(subscription) != problem:
                text = f"autoreload: {subscription.name} named no files to watch: {problem}"
                self.bus.log(text, ERROR)
            self._refused[subscription] = problem
        return places

    def _leave_word(self) -> None:
        """Record in the environment, for the new process, that it was restarted and which files to watch."""
        files = self._files
        os.environ[_RESTARTED] = json.dumps(
            {
                "pid": os.getpid(),
                "places": [(str(place.path), place.is_deep, place.all_names) for place in files.known],
                "patterns": list(files.patterns),
                "ignore": list(files.ignore),
                "debounce": self.debounce,
            }
        )


def _wait_for_mending() -> None:
    """Wait for a change when a restarted process ends before its start, and then restart it."""
    # A forked child has inherited this function as well.
    if not _is_restarted() or isinstance(getattr(sys, "last_value", None), KeyboardInterrupt):
        return
    word = json.loads(os.environ[_RESTARTED])

    def say(text: str, level: int = INFO) -> None:
        print(f"autoreload: {text}", file=sys.stderr, flush=True)

    places = [Place(Path(path), is_deep, all_names) for path, is_deep, all_names in word["places"]]
    files, edits = Files(places, word["patterns"], word["ignore"]), _Edits(say)
    say("the program ended before it had started; it is restarted when a file changes; Ctrl-C ends it")
    try:
        for changed in files.batches(word["debounce"], None):
            if edits.are_complete(changed):
                Image().replace()
    except KeyboardInterrupt:
        return


def _is_restarted() -> bool:
    try:
        return bool(json.loads(os.environ[_RESTARTED])["pid"] == os.getpid())
    except (KeyError, ValueError, TypeError):
        # The variable is not set, or has another format.
        return False


if _is_restarted():
    atexit.register(_wait_for_mending)


export(globals())
