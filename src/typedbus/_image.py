"""
What this process runs, and how it is replaced by the same program anew.

`sys.argv` is what is left for the program: ``-O``, ``-X``, ``-m`` and ``-c`` are
gone from it, and a program may have changed it. `sys.orig_argv` is what the
interpreter was given, and it is all that is taken; nothing is guessed. The
working directory is that in which this module was imported, since the command
line may name a script relative to it.

The pid stays, and with it whatever knows the process by it: a service manager,
a PID file, ``LISTEN_PID``. No descriptor is closed by hand. Python opens all of
them so that they do not outlive the replacement (PEP 446), and those that
somebody made inheritable on purpose, as activated sockets are, are to stay.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Final

import attrs

from typedbus._errors import RestartError

_DAEMON: Final = "TYPEDBUS_DAEMON"


def is_daemon() -> bool:
    """Whether this very process was daemonised, be it before it was replaced; its children were not."""
    return os.environ.get(_DAEMON) == str(os.getpid())


def mark_daemon() -> None:
    """Let `is_daemon` say so of this process from here on, also when it has been replaced."""
    # An environment is what survives a replacement. Children inherit it as well, and have another pid.
    os.environ[_DAEMON] = str(os.getpid())


def _directory() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109  # a text, to be gone back to
    except OSError:
        return None


_BEGAN_IN: Final = _directory()


@attrs.frozen(kw_only=True)
class Image:
    """
    What would run the program of this process again.

    Args:
        executable: The interpreter.
        command: What it was called with, its own name first.
        source: Where it took the program from, as `sys.argv` begins.
        directory: Where it was started; None if that was gone.
        platform: The system, as `sys.platform` names it.
    """

    executable: str = attrs.field(factory=lambda: sys.executable or "")
    command: tuple[str, ...] = attrs.field(factory=lambda: tuple(sys.orig_argv))
    source: str = attrs.field(factory=lambda: sys.argv[0] if sys.argv else "")
    directory: str | None = _BEGAN_IN
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
        for what, path in (("directory", self.directory), ("interpreter", self.executable)):
            if not os.access(path, os.X_OK):
                why = "cannot be entered any more" if os.path.exists(path) else "is gone"  # noqa: PTH110  # as above
                return f"its {what} {path} {why}; put it back, or start the program anew elsewhere"
        return None

    def replace(self) -> None:
        """
        Replace the process by its program anew: it does not return.

        What is buffered in the standard streams and in handlers of `logging` is
        written before. Other threads end where they are, and functions of
        `atexit` are not called: what a component holds it gives back in its
        `exit`.

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
        try:
            os.chdir(self.directory)
            os.execv(self.executable, [self.executable, *self.command[1:]])  # noqa: S606  # without a shell on purpose
        except OSError as error:
            raise RestartError(f"the system refused: {error}; exit, and start it anew from outside") from error
