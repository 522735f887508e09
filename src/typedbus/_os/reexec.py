"""
The program of this process, and how the same program replaces the process at a restart.

The command line is `sys.orig_argv`, as the interpreter was given it: `sys.argv` lacks
``-O``, ``-X``, ``-m`` and ``-c``, and a program may have changed it.

Paths stay as they were named, with their symbolic links. A deployment that points
``/srv/shop/current`` to a new release and restarts the process runs the new
release. So the working directory is taken from ``$PWD`` if that names the directory
in which this module was imported, and a script that the system ran by its ``#!``
line is run by that line again, since the line of the new release may name another
interpreter.

The pid stays, and with it a service manager, a PID file and ``LISTEN_PID`` remain
valid. No descriptor is closed here: Python opens descriptors so that a replacement
closes them (PEP 446), and those that were made inheritable on purpose, such as
activated sockets, must stay open. Kept PID files and listening sockets become inheritable
here, see `typedbus._os.successor`.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Final

import attrs

from typedbus._base.errors import RestartError
from typedbus._os.children import bequeath, settle
from typedbus._os.successor import inheritable

_DAEMON: Final = "TYPEDBUS_DAEMON"
_LONGEST_LINE: Final = 4096
#: How the second line of a console script begins and ends that starts its interpreter by a shell.
_SHELL_BEGIN: Final = "'''exec' "
_SHELL_END: Final = ' "$0" "$@"'


def is_daemon() -> bool:
    """Whether this very process was daemonised, be it before it was replaced; its children were not."""
    return os.environ.get(_DAEMON) == str(os.getpid())


def mark_daemon() -> None:
    """Let `is_daemon` say so of this process from here on, also when it has been replaced."""
    # An environment is what survives a replacement. Children inherit it as well, and have another pid.
    os.environ[_DAEMON] = str(os.getpid())


def named_directory() -> str | None:
    """Return the working directory as the shell named it, with symbolic links; None if it does not exist any more."""
    try:
        directory = os.getcwd()  # noqa: PTH109  # a text, for os.chdir
    except OSError:
        return None
    named = os.environ.get("PWD", "")
    # $PWD is wrong after a chdir, and where the process was started by a program that does not keep it up to date.
    with contextlib.suppress(OSError, ValueError):
        if os.path.isabs(named) and os.path.samefile(named, os.curdir):  # noqa: PTH117, PTH121  # as above
            return named
    return directory


_BEGAN_IN: Final = named_directory()
_RESOLVED: Final = None if _BEGAN_IN is None else os.getcwd()  # noqa: PTH109  # a prefix of texts


def _executable() -> str:
    """Return the path of the interpreter as it was named."""
    executable = sys.executable or ""
    name = sys.orig_argv[0] if sys.orig_argv else ""
    is_searched = os.sep not in name
    folders = os.environ.get("PATH", "").split(os.pathsep)
    is_absolute = os.path.dirname(executable) in folders if is_searched else os.path.isabs(name)  # noqa: PTH117, PTH120  # texts
    # Python has put the resolved working directory in front of a relative name.
    if _BEGAN_IN is not None and not is_absolute and executable.startswith(f"{_RESOLVED}{os.sep}"):
        return _BEGAN_IN + executable.removeprefix(str(_RESOLVED))
    return executable


def _script(command: tuple[str, ...], directory: str | None) -> int:
    """Return the index in *command* of the script whose ``#!`` line made the system run *command*, or 0."""
    for index in (1, 2):
        path = os.path.join(directory or "", *command[index : index + 1])  # noqa: PTH118  # a text
        first, second = _first_lines(path)
        # The system passes all that follows the interpreter as one argument.
        if first.startswith("#!") and first[2:].strip().split(None, 1) == list(command[:index]):
            return index
        # Installers write a shell script where the path is too long for the system, or has a space in it.
        if index == 1 and first == "#!/bin/sh" and second.startswith(_SHELL_BEGIN) and second.endswith(_SHELL_END):
            interpreter = second.removeprefix(_SHELL_BEGIN).removesuffix(_SHELL_END).strip()
            beside = os.path.join(os.path.dirname(os.path.realpath(path)), os.path.basename(command[0]))  # noqa: PTH118, PTH119, PTH120  # as above
            if interpreter.strip("'\"") == command[0] or ("$0" in interpreter and beside == command[0]):
                return index
    return 0


def _first_lines(path: str) -> tuple[str, str]:
    """Return the first two lines of the file at *path*; empty texts if it cannot be read, or is no file."""
    # Opening a pipe could wait, and would take from it.
    if os.path.isfile(path):  # noqa: PTH113  # a text
        with contextlib.suppress(OSError), open(path, "rb") as script:  # noqa: PTH123  # as above
            first, second = (os.fsdecode(script.readline(_LONGEST_LINE)).strip() for _ in range(2))
            return first, second
    return "", ""


# At the import, before a deployment changes a link, or the program changes its environment.
_EXECUTABLE: Final = _executable()
_SCRIPT: Final = _script(tuple(sys.orig_argv), _BEGAN_IN)


@attrs.frozen(kw_only=True)
class Image:
    """
    The command that runs the program of this process again.

    Args:
        executable: The interpreter.
        command: Its command line, its own name first.
        source: The file of the program, as `sys.argv` begins.
        directory: The directory in which it was started; None if that did not exist any more.
        script: The index in *command* of the script that was run by its ``#!`` line; 0 if there is none.
        platform: The system, as `sys.platform` names it.
    """

    executable: str = _EXECUTABLE
    command: tuple[str, ...] = attrs.field(factory=lambda: tuple(sys.orig_argv))
    source: str = attrs.field(factory=lambda: sys.argv[0] if sys.argv else "")
    directory: str | None = _BEGAN_IN
    script: int = attrs.field(
        default=attrs.Factory(
            lambda image: _SCRIPT if image.command == tuple(sys.orig_argv) else 0,
            takes_self=True,
        )
    )
    platform: str = sys.platform

    def problem(self) -> str | None:
        """Return why the process cannot be replaced at present, and what to do about it, or None if it can."""
        if self.platform == "win32":
            # os.execv is there, but starts a second process and ends this one: whoever waits for it sees it end.
            return "Windows replaces no process; exit, and let a service manager start it anew"
        if getattr(sys, "frozen", False):
            return (
                "it is a frozen program, whose command line is its own business; exit, and start it anew from outside"
            )
        if not self.command or not self.executable:
            return "an interpreter inside another program has no command line; exit, and let that program start it anew"
        if self.source in ("", "-"):
            return "its program came from a terminal or a pipe and cannot be read again; put it into a file"
        multiprocessing = sys.modules.get("multiprocessing.process")
        if multiprocessing is not None and multiprocessing.parent_process() is not None:
            return "it is a child of multiprocessing, and its command line is another's; restart the parent"
        if self.directory is None:
            return "the directory in which it was started was gone; start it in one that lasts"
        # Where -m, -c or a program that changed sys.argv names the source, it is not on the command line.
        source = self.source if self.source in self.command[1:] and self.source not in ("-c", "-m") else ""
        needed = [("directory", self.directory, os.X_OK), ("program", source, os.R_OK)]
        if self.script:
            script = self.program[0]
            # The line of the file that is there now: the new release's.
            first, _ = _first_lines(os.path.join(self.directory, script))  # noqa: PTH118  # a text
            needed += [
                ("program", script, os.X_OK),
                *(("interpreter", word, os.X_OK) for word in first[2:].split()[:1]),
            ]
        else:
            needed += [("interpreter", self.executable, os.X_OK)]
        for what, name, access in needed:
            path = os.path.join(self.directory, name)  # noqa: PTH118  # a text
            if not os.access(path, access):
                verb = "read" if access == os.R_OK else "entered"
                why = f"cannot be {verb} any more" if os.path.exists(path) else "is gone"  # noqa: PTH110  # as above
                return f"its {what} {name} {why}; put it back, or start the program anew elsewhere"
        return None

    @property
    def program(self) -> list[str]:
        """The path that the system executes, and its arguments."""
        if self.script:
            return [*self.command[self.script :]]
        return [self.executable, *self.command[1:]]

    def replace(self) -> None:
        """
        Replace the process by its program anew: it does not return.

        Before that, the buffers of the standard streams and of the handlers of
        `logging` are flushed, and child processes that have ended are reaped. Other
        threads end where they are. Functions of `atexit` are not called: a component
        frees its resources in its `exit`.

        Raises:
            RestartError: It cannot be done, as `problem` says or the system does.
        """
        reason = self.problem()
        if reason is not None:
            raise RestartError(reason)
        if "logging" in sys.modules:
            import logging  # not ours to import, only to flush

            logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        assert self.directory is not None
        path, *arguments = self.program
        bequeath(list(settle()))
        try:
            os.chdir(self.directory)
            if os.getcwd() != self.directory:  # noqa: PTH109  # texts
                # The program may have removed or changed it; the next restart needs the name as well.
                os.environ["PWD"] = self.directory
            with inheritable():
                os.execv(path, [path, *arguments])  # noqa: S606  # without a shell on purpose
        except OSError as error:
            bequeath([])
            raise RestartError(f"the system refused: {error}; exit, and start it anew from outside") from error
