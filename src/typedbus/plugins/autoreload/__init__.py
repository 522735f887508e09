"""
Restart the process when a file of its program changes.

The process is replaced and not patched. A module that is imported anew leaves the
old one in whatever had imported names from it; only a new process is sure to run
what the files say.

What has changed is compiled before anything is restarted. As long as a file has a
syntax error the site goes on with what it has, and says where the error is.

What compiles and fails nevertheless, in an import, in the wiring, in a start,
fails in the new process. That one knows that it is a restarted one, by its
environment. If it ends before it has come to the start of `Autoreload`, it does not
leave: when the interpreter is done it waits for the next change, and is replaced
again. An interrupt, or a signal that breaks off the start, ends it as ever. So
does a failure before this module is imported: import it among the first.
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

A listener returns what it has read so far: templates, for example. Of a folder
all files below it are watched, whatever their names, except for those that
`Autoreload.ignore` names. Relative paths are relative to the working directory.
A path that does not exist is watched as well, and its file is new when it appears.
A path stays watched when a later answer leaves it out.

`Autoreload` asks in its own thread, so that an answer must be quick: when it has
started, whenever it looks at the files, and once a second. Listeners outside of
containers are asked when it is constructed as well.
"""

_RESTARTED: Final = "TYPEDBUS_AUTORELOAD"
_NAMED: Final = 5
_PATIENCE: Final = 5.0


class NothingToWatch(FileNotFoundError):
    """
    Raised by `Autoreload` if what it is to watch is not there.

    Attributes:
        paths: What was given and does not exist; empty if nothing was given and no project was found.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        super().__init__(paths)
        self.paths: tuple[str, ...] = tuple(paths)

    def __str__(self) -> str:
        if not self.paths:
            return (
                "no file of the program was found to watch, neither below the working directory nor beside "
                "the main module: give paths"
            )
        return f"there is nothing to watch at {', '.join(self.paths)}: give paths of files or folders that exist"


def _problem(path: str) -> str | None:
    """Return where and why the text of a Python file cannot be compiled; None for a file that can be, or another file."""
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
    """What has been edited since the process began, and whether it can be run."""

    say: Callable[[str, int], object]
    edited: dict[str, str] = attrs.field(init=False, factory=dict)

    def are_complete(self, changed: dict[str, str]) -> bool:
        """Take in what has *changed*, say what of all that cannot be run, and return whether nothing is left of it."""
        self.edited.update(changed)
        problems = [problem for path in self.edited if (problem := _problem(path)) is not None]
        for problem in problems:
            self.say(f"{problem}; not restarting until it is mended", ERROR)
        if problems:
            return False
        for path in self.edited:
            # A compiled file is told by size and second, and may be taken for that of two edits in one second.
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
    Restarts the process when a file of its program changes, is new or is gone.

    Built with the others, it takes note of the files as they are then, and begins
    to watch them when it starts, in a thread of its own, which ends with its stop.
    Changes are logged on `LOG`. Python files are compiled first; as long as
    one has a syntax error, that is logged, and the site goes on. `Bus.restart` does
    the rest: everything is stopped in order before.

    Components add files with a method that listens to `WATCHED`. An error of such a
    method is logged once; its earlier answers stay watched.

    A restarted process that ends before it has come here again waits for the next
    change, and is restarted then: see above.

    Args:
        bus: Which it restarts.
        paths: Files, and folders with all that is below them; the packages of
            the program and the folders of its other modules unless given, those
            that are imported later as well.
        patterns: Names of the files, as in a shell. A file among *paths* may have any.
        ignore: Names of files and folders that are left alone. So is an environment, whatever its name.
        debounce: How long nothing must happen before it looks at what has, in seconds. A stop waits as long.

    Raises:
        NothingToWatch: One of *paths* does not exist, or there are none.
        PeriodError: *debounce* is no number above 0.
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
                raise NothingToWatch(gone)
            # As they are named: a symbolic link may lead elsewhere later.
            places = [Place(named_directory() / path, is_deep=True) for path in self.paths]
        self._files = Files(places, self.patterns, self.ignore, more=lambda: self._ask(is_started=False))
        if not self._files.folders:
            raise NothingToWatch(())

    @on(START, priority=90)
    def start(self) -> None:
        """
        Begin to watch; nothing happens if it does.

        Raises:
            RestartError: This process cannot be restarted.
            OutOfThreads: The system starts no further thread.
        """
        replacement = self.bus.replacement
        if replacement is None:
            raise RestartError("nobody who owns it runs the bus of Autoreload; run the container with run()")
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
        End watching.

        Raises:
            NotEnded: It did not end within 5 s.
        """
        self._stopping.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            join(thread, _PATIENCE)

    @on(ROLLED_BACK)
    def rolled_back(self, event: RolledBack) -> None:
        """Let a restarted process end whose start was broken off and did not fail."""
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
        Return the places that listeners of `WATCHED` name, and log what is wrong with their answers.

        Listeners that belong to components are left out unless the start has come to this one.
        """
        places: list[Place] = []
        for subscription in self.bus[WATCHED].subscriptions:
            problem = ""
            if subscription.turn is not None and not is_started:
                continue
            try:
                answer: object = subscription.listener()
                paths = _paths(answer) if isinstance(answer, (str, os.PathLike, Iterable)) else None
                if paths is None:
                    problem = f"it returned {answer!r}, which is no iterable of paths"
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
        """Let the process that comes know that it is a restarted one, and what to watch."""
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
    """Wait for a change, when a restarted process has ended before it had started, and restart it."""
    # A child that was forked has inherited this as well.
    if not _is_restarted() or isinstance(getattr(sys, "last_value", None), KeyboardInterrupt):
        return
    word = json.loads(os.environ[_RESTARTED])

    def say(text: str, level: int = INFO) -> None:
        print(f"autoreload: {text}", file=sys.stderr, flush=True)

    places = [Place(Path(path), is_deep, all_names) for path, is_deep, all_names in word["places"]]
    files, edits = Files(places, word["patterns"], word["ignore"]), _Edits(say)
    say("the program ended before it had started; it is restarted when a file changes, Ctrl-C ends it")
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
        # It is not set, or not by us.
        return False


if _is_restarted():
    atexit.register(_wait_for_mending)


export(globals())
