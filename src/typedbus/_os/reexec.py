"""
Re-execute the program of this process at a restart.

The command line is `sys.orig_argv`, as passed to the interpreter: `sys.argv` lacks
``-O``, ``-X``, ``-m`` and ``-c``, and a program may have changed it.

Paths are kept as they were given, with their symbolic links. A deployment that points
``/srv/shop/current`` to a new release and restarts the process runs the new
release. So the working directory is taken from ``$PWD`` if that names the directory
in which this module was imported. A script that the system ran by its ``#!``
line is executed directly again, since the line of the new release may name another
interpreter.

The pid stays the same, so a service manager, a PID file and ``LISTEN_PID`` remain
valid. No descriptor is closed here: descriptors opened by Python are closed by the
replacement (PEP 446), and descriptors that were made inheritable on purpose, such as
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
#: The beginning and the end of the second line of a console script that starts its interpreter through a shell.
_SHELL_BEGIN: Final = "'''exec' "
_SHELL_END: Final = ' "$0" "$@"'


def is_daemon() -> bool:
    """Whether this process was daemonised, also if that was before its replacement; False in its children."""
    return os.environ.get(_DAEMON) == str(os.getpid())


def mark_daemon() -> None:
    """Make `is_daemon` return True in this process from here on, also after its replacement."""
    # The environment survives a replacement. Children inherit it as well, but have another pid.
    os.environ[_DAEMON] = str(os.getpid())


def named_directory() -> str | None:
    """Return the working directory as the shell named it, with symbolic links; None if it no longer exists."""
    try:
        directory = os.getcwd()  # noqa: PTH109  # a text, for os.chdir
    except OSError:
        return None
    shell_directory = os.environ.get("PWD", "")
    # $PWD is wrong after a chdir, and if the process was started by a program that does not update it.
    with contextlib.suppress(OSError, ValueError):
        if os.path.isabs(shell_directory) and os.path.samefile(shell_directory, os.curdir):  # noqa: PTH117, PTH121  # as above
            return shell_directory
    return directory


_BEGAN_IN: Final = named_directory()
_RESOLVED: Final = None if _BEGAN_IN is None else os.getcwd()  # noqa: PTH109  # a prefix of texts


def _executable() -> str:
    """Return the path of the interpreter as it was given."""
    executable = sys.executable or ""
    name = sys.orig_argv[0] if sys.orig_argv else ""
    is_searched = os.sep not in name
    folders = os.environ.get("PATH", "").split(os.pathsep)
    is_absolute = os.path.dirname(executable) in folders if is_searched else os.path.isabs(name)  # noqa: PTH117, PTH120  # texts
    # Python has prefixed a relative name with the resolved working directory.
    if _BEGAN_IN is not None and not is_absolute and executable.startswith(f"{_RESOLVED}{os.sep}"):
        return _BEGAN_IN + executable.removeprefix(str(_RESOLVED))
    return executable


def _script(command: tuple[str, ...], directory: str | None) -> int:
    """Return the index in *command* of the script whose ``#!`` line made the system run *command*, or 0."""
    for index in (1, 2):
        path = os.path.join(directory or "", *command[index : index + 1])  # noqa: PTH118  # a text
        first, second = _first_lines(path)
        # The system passes everything after the interpreter as one argument.
        if first.startswith("#!") and first[2:].strip().split(None, 1) == list(command[:index]):
            return index
        # Installers write a shell script if the path is too long for the system, or contains a space.
        if index == 1 and first == "#!/bin/sh" and second.startswith(_SHELL_BEGIN) and second.endswith(_SHELL_END):
            interpreter = second.removeprefix(_SHELL_BEGIN).removesuffix(_SHELL_END).strip()
            beside = os.path.join(os.path.dirname(os.path.realpath(path)), os.path.basename(command[0]))  # noqa: PTH118, PTH119, PTH120  # as above
            if interpreter.strip("'\"") == command[0] or ("$0" in interpreter and beside == command[0]):
                return index
    return 0


def _first_lines(path: str) -> tuple[str, str]:
    """Return the first two lines of the file at *path*; empty texts if it cannot be read, or is not a regular file."""
    # Opening a pipe could block, and reading it would consume its data.
    if os.path.isfile(path):  # noqa: PTH113  # a text
        with contextlib.suppress(OSError), open(path, "rb") as script:  # noqa: PTH123  # as above
            first, second = (os.fsdecode(script.readline(_LONGEST_LINE)).strip() for _ in range(2))
            return first, second
    return "", ""


# Determined at import, before a deployment changes a link, or the program changes its environment.
_EXECUTABLE: Final = _executable()
_SCRIPT: Final = _script(tuple(sys.orig_argv), _BEGAN_IN)


@attrs.frozen(kw_only=True)
class Image:
    """
    The command that runs the program of this process again.

    Args:
        executable: The interpreter.
        command: Its command line, beginning with its own name.
        source: The file of the program, the first item of `sys.argv`.
        directory: The directory in which it was started; None if that no longer existed.
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
            # os.execv exists, but starts a second process and ends this one, which its parent notices.
            return "Windows cannot replace a running process; exit, and let a service manager start the program again"
        if getattr(sys, "frozen", False):
            return (
                "it is a frozen program, whose command line is unknown; exit, and start the program again from outside"
            )
        if not self.command or not self.executable:
            return "its interpreter is part of another program and has no command line; exit, and restart that program"
        if self.source in ("", "-"):
            return "its program was read from a terminal or a pipe and cannot be read again; run it from a file"
        multiprocessing = sys.modules.get("multiprocessing.process")
        if multiprocessing is not None and multiprocessing.parent_process() is not None:
            return "it is a child process of multiprocessing, without a command line of its own; restart the parent process"
        if self.directory is None:
            return "its working directory did not exist when it was started; start it in an existing directory"
        # With -m or -c, or in a program that changed sys.argv, the source is not on the command line.
        source = self.source if self.source in self.command[1:] and self.source not in ("-c", "-m") else ""
        files = [("directory", self.directory, os.X_OK, "entered"), ("program", source, os.R_OK, "read")]
        if self.script:
            script = self.program[0]
            # Read the current file, which may be that of a new release.
            first, _ = _first_lines(os.path.join(self.directory, script))  # noqa: PTH118  # a text
            files += [
                ("program", script, os.X_OK, "executed"),
                *(("interpreter", word, os.X_OK, "executed") for word in first[2:].split()[:1]),
            ]
        else:
            files += [("interpreter", self.executable, os.X_OK, "executed")]
        for kind, name, access, verb in files:
            path = os.path.join(self.directory, name)  # noqa: PTH118  # a text
            if not os.access(path, access):
                state = f"can no longer be {verb}" if os.path.exists(path) else "no longer exists"  # noqa: PTH110  # as above
                return f"its {kind} {name} {state}; restore it, or start the program from another place"
        return None

    @property
    def program(self) -> list[str]:
        """The path that the system executes, and its arguments."""
        if self.script:
            return [*self.command[self.script :]]
        return [self.executable, *self.command[1:]]

    def replace(self) -> None:
        """
        Replace the process with a new execution of its program; this method does not return.

        Before that, the buffers of the standard streams and of the handlers of
        `logging` are flushed, and child processes that have ended are reaped. Other
        threads end immediately. Functions of `atexit` are not called: a component
        frees its resources in its `exit`.

        Raises:
            RestartError: `problem` returns a reason, or the system refuses.
        """
        reason = self.problem()
        if reason is not None:
            raise RestartError(reason)
        if "logging" in sys.modules:
            import logging  # only if the program has imported it: to flush its handlers

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
                # The program may have removed or changed $PWD, which the next restart needs as well.
                os.environ["PWD"] = self.directory
            with inheritable():
                os.execv(path, [path, *arguments])  # noqa: S606  # without a shell on purpose
        except OSError as error:
            bequeath([])
            raise RestartError(
                f"the system refused: {error}; exit, and start the program again from outside"
            ) from error
