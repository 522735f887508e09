"""Plugins for the process in the operating system: daemon, user and group, PID file."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typedbus._bus.builtin import WARNING
from typedbus.plugins._daemon_start import become_daemon
from typedbus.plugins.pidfile import NoFileLocks, PIDFileError
from typedbus.plugins.pidfile import PIDFile as TypedPIDFile
from typedbus.plugins.privileges import Privileges
from typedbus.wspbus.plugins._simple import SimplePlugin

if TYPE_CHECKING:
    from typedbus.wspbus._bus import Bus


if sys.platform == "win32":

    def _user_and_group() -> tuple[Any, Any]:
        return None, None
else:
    import grp
    import pwd

    def _user_and_group() -> tuple[Any, Any]:
        """Return the names of the user and the group that the process runs as, or their numbers."""
        user: str | int = os.getuid()
        group: str | int = os.getgid()
        with contextlib.suppress(KeyError):
            user = pwd.getpwuid(os.getuid()).pw_name
        with contextlib.suppress(KeyError):
            group = grp.getgrgid(os.getgid()).gr_name
        return user, group


class DropPrivileges(SimplePlugin):
    """
    Changes the user of the process at its first ``start``.

    `typedbus.plugins.privileges` does this: a user also gets the groups of that
    user, and an attempt to regain the privileges must fail.

    Args:
        bus: The bus to log to.
        umask: The file-creation mask.
        uid: Name or number of the user; None leaves the user unchanged.
        gid: Name or number of the group; None means the user's own group.

    Attributes:
        finalized: Whether it has been done; it is done once.

    Raises:
        KeyError: The system knows no such user or group.
    """

    def __init__(
        self, bus: Bus, umask: int | None = None, uid: str | int | None = None, gid: str | int | None = None
    ) -> None:
        super().__init__(bus)
        self.finalized: bool = False
        self.uid = uid
        self.gid = gid
        self.umask = umask

    @property
    def uid(self) -> int | None:
        """The user, as a number."""
        return self._uid

    @uid.setter
    def uid(self, uid: str | int | None) -> None:
        self._uid: int | None = None
        if sys.platform == "win32":
            if uid is not None:
                self.bus.log("pwd module not available; ignoring uid.", level=WARNING)
        else:
            self._uid = pwd.getpwnam(uid).pw_uid if isinstance(uid, str) else uid

    @property
    def gid(self) -> int | None:
        """The group, as a number."""
        return self._gid

    @gid.setter
    def gid(self, gid: str | int | None) -> None:
        self._gid: int | None = None
        if sys.platform == "win32":
            if gid is not None:
                self.bus.log("grp module not available; ignoring gid.", level=WARNING)
        else:
            self._gid = grp.getgrnam(gid).gr_gid if isinstance(gid, str) else gid

    def start(self) -> None:
        """
        Change the user permanently; this is done once.

        Raises:
            CannotDrop: The system refuses the change.
            StillPrivileged: The change could be undone.
            UnknownAccount: The user has no group, and none is given.
        """
        has_account = not (self.uid is None and self.gid is None)
        if self.finalized:
            if has_account:
                self.bus.log("Already running as uid: {!r} gid: {!r}".format(*_user_and_group()))
            if self.umask is not None:
                self.bus.log(f"umask already set to: {self.umask:03o}")
            return
        if has_account:
            self.bus.log("Started as uid: {!r} gid: {!r}".format(*_user_and_group()))
            Privileges(self.bus.typed, user=self.uid, group=self.gid).start()
            self.bus.log("Running as uid: {!r} gid: {!r}".format(*_user_and_group()))
        elif sys.platform != "win32":
            self.bus.log("uid/gid not set", level=WARNING)
        if self.umask is None:
            self.bus.log("umask not set", level=WARNING)
        else:
            before = os.umask(self.umask)
            self.bus.log(f"umask old: {before:03o}, new: {self.umask:03o}")
        self.finalized = True

    start.priority = 77  # type: ignore[attr-defined]  # read when it is subscribed


class Daemonizer(SimplePlugin):
    """
    Makes the process a daemon at the first ``start``.

    `typedbus.plugins.daemon` does this: the command ends with 0 when the bus has
    STARTED, or with 1 and the reason if the start failed. A restart makes a new daemon.

    Args:
        bus: The bus whose start the command waits for.
        stdin: The file for the daemon's standard input.
        stdout: The file for its standard output.
        stderr: The file for its standard error.

    Attributes:
        finalized: Whether it has been done; it is done once.
    """

    def __init__(
        self, bus: Bus, stdin: str = "/dev/null", stdout: str = "/dev/null", stderr: str = "/dev/null"
    ) -> None:
        super().__init__(bus)
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.finalized: bool = False

    def start(self) -> None:
        """
        Fork, and return in the daemon. Other threads do not survive the fork, which is logged.

        Raises:
            NoDaemons: The system cannot fork.
            StreamError: A file cannot be opened.
            OSError: The system cannot create another process.
        """
        if self.finalized:
            self.bus.log("Already deamonized.")
            return
        if threading.active_count() != 1:
            self.bus.log(
                f"There are {threading.enumerate()!r} active threads. Daemonizing now may cause strange failures.",
                level=WARNING,
            )
        _become_daemon(self.bus, self.stdin, self.stdout, self.stderr, self.bus.log)
        self.finalized = True

    start.priority = 65  # type: ignore[attr-defined]  # read when it is subscribed

    @staticmethod
    def daemonize(
        stdin: str = "/dev/null",
        stdout: str = "/dev/null",
        stderr: str = "/dev/null",
        logger: Callable[[str], object] = lambda msg: None,
    ) -> None:
        """Make this process a daemon at once; the command ends with 0."""
        from typedbus.wspbus._bus import Bus  # local: this module otherwise needs the bus only for annotations

        bus = Bus()
        bus.subscribe("start", lambda: _become_daemon(bus, stdin, stdout, stderr, logger))
        bus.start()
        bus.exit()


def _become_daemon(bus: Bus, stdin: str, stdout: str, stderr: str, logger: Callable[[str], object]) -> None:
    logger("Forking once.")
    logger("Forking twice.")
    become_daemon(bus.typed, Path(stdin), Path(stdout), Path(stderr))
    os.umask(0)
    logger(f"Daemonized to PID: {os.getpid()}")


class PIDFile(SimplePlugin):
    """
    Writes the pid of the process into a file at ``start``, and removes it at ``exit``.

    `typedbus.plugins.pidfile` does this, and refuses a file that another process
    holds. If the system has no locks, or the folder is not writable, the file is
    written in place without a lock, and removed.

    Args:
        bus: The bus to log to.
        pidfile: The path of the file.

    Attributes:
        finalized: Whether the file has been written.
    """

    def __init__(self, bus: Bus, pidfile: str) -> None:
        super().__init__(bus)
        self.pidfile = pidfile
        self.finalized: bool = False
        self._typed: TypedPIDFile | None = None

    def start(self) -> None:
        """
        Write the file, unless this has been done.

        Raises:
            AlreadyRunning: Another process holds the file.
            NotPIDFile: The path is not a PID file.
            OSError: The file cannot be written.
        """
        pid = os.getpid()
        if self.finalized:
            self.bus.log(f"PID {pid!r} already written to {self.pidfile!r}.")
            return
        try:
            typed = TypedPIDFile(self.bus.typed, path=Path(self.pidfile))
            typed.start()
            self._typed = typed
        except (NoFileLocks, PIDFileError):
            Path(self.pidfile).write_bytes(b"%d\n" % pid)
        self.bus.log(f"PID {pid!r} written to {self.pidfile!r}.")
        self.finalized = True

    start.priority = 70  # type: ignore[attr-defined]  # read when it is subscribed

    def exit(self) -> None:
        """Remove the file, if this process has written it."""
        if not self.finalized:
            return
        typed, self._typed, self.finalized = self._typed, None, False
        with contextlib.suppress(OSError):
            if typed is None:
                Path(self.pidfile).unlink()
            else:
                typed.exit()
        if not os.path.lexists(self.pidfile):
            self.bus.log(f"PID file removed: {self.pidfile!r}.")
