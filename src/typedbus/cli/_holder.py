"""
The process that holds a PID file: commands identify it, signal it and wait for it.

A process may end at any time, and its pid may be reused. On Linux a descriptor of
the process, pidfd_open(2), is opened before the file is read for the last time, so
that a signal reaches exactly that process or none; the same descriptor shows when
the process has ended. On other systems the lock on the file shows this: the process
loses it a moment before it ends.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final

import attrs
import click

from typedbus._os.pidfiles import short_path, socket_beside
from typedbus.cli._options import UNKNOWN, InvalidInput
from typedbus.plugins._restart_report import CREDENTIALS, SIZE
from typedbus.plugins.pidfile import NoFileLocks, NotPIDFile, UnknownHolder, read

#: How often the file is read again because another process has taken it meanwhile.
_READS: Final = 5
#: Seconds to wait for a connection to a daemon that is busy with many other commands.
_CONNECTING: Final = 5.0


class RequestFailed(click.ClickException):
    """Raised if a process is not in the state that a command needs, or did not do what was asked; exit status 1."""


class UnknownProcess(click.ClickException):
    """Raised if a PID file is held and its process cannot be identified; the exit status is 4, and nothing was sent."""

    exit_code = UNKNOWN


@attrs.frozen
class Holder:
    """A process that holds a PID file; its text includes its command line, where that is known."""

    pid: int
    path: Path
    #: A descriptor of the process, or None where the system has no such descriptors.
    handle: int | None

    def __str__(self) -> str:
        with contextlib.suppress(OSError):
            parts = Path(f"/proc/{self.pid}/cmdline").read_bytes().decode(errors="backslashreplace").split("\0")
            for number, part in enumerate(parts):
                # The value of the setting may be a secret.
                if part == "--set" or part.startswith("--set="):
                    number += part == "--set"  # noqa: PLW2901  # the setting is the next argument
                    parts[number] = f"{parts[number].removeprefix('--set=').partition('=')[0]}=..."
            return f"process {self.pid} ({' '.join(parts).strip()})"
        return f"process {self.pid}"

    def send(self, number: signal.Signals) -> None:
        """
        Send a signal to the process, unless it has ended.

        Raises:
            RequestFailed: The process belongs to another user.
        """
        try:
            if sys.platform == "linux" and self.handle is not None:
                signal.pidfd_send_signal(self.handle, number)
            else:
                os.kill(self.pid, number)
        except ProcessLookupError:
            return
        except PermissionError:
            raise RequestFailed(f"{self} belongs to another user; run this command as that user, or as root") from None

    def ends_within(self, seconds: float) -> bool:
        """Wait up to *seconds* for the end of the process, and return whether it has ended."""
        if self.handle is not None:
            return bool(_readable([self.handle], seconds))
        waiter = threading.Thread(target=_wait_for_lock, args=(self.path,), daemon=True)
        waiter.start()
        waiter.join(seconds)
        return not waiter.is_alive()

    def refuse_unless_caught(self, number: signal.Signals) -> None:
        """
        Refuse to send a signal that would end the process.

        Raises:
            RequestFailed: It has no handler for the signal and does not block it. Not raised where that cannot be looked up.
        """
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
            # A process that restarts blocks signals until it has installed its handlers again.
            masks = [int(line[8:], 16) for line in lines if line.startswith(("SigCgt:", "SigBlk:"))]
            if not any(mask >> (number - 1) & 1 for mask in masks):
                raise RequestFailed(
                    f"{self} has no handler for {number.name}, which would end it; nothing was sent; "
                    "if it is being started or restarted at present, try again when it has started"
                )


@contextlib.contextmanager
def holder_of(path: Path) -> Generator[Holder | None]:
    """
    Yield the process that holds the PID file *path*, or None if no process does.

    Raises:
        InvalidInput: The file is not a PID file, or cannot be read.
        UnknownProcess: The file is held, and its process cannot be identified from here.
    """
    for _ in range(_READS):
        pid = _read(path)
        if pid is None:
            break
        try:
            handle = _pidfd_of(pid)
        except ProcessLookupError:
            continue
        try:
            # The process that was read first may have ended before the descriptor was opened.
            if _read(path) == pid and (handle is None or not _readable([handle], 0)):
                yield Holder(pid, path, handle)
                return
        finally:
            if handle is not None:
                os.close(handle)
    yield None


def _read(path: Path) -> int | None:
    try:
        return read(path)
    except (NotPIDFile, NoFileLocks) as error:
        raise InvalidInput(str(error)) from None
    except UnknownHolder as error:
        raise UnknownProcess(f"the process is unknown: {error}") from None
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}") from None


if sys.platform == "linux":

    def restarted(holder: Holder, seconds: float) -> str:
        """
        Restart *holder*, wait until it has started again, and return the message that reports this.

        Raises:
            RequestFailed: It is not a daemon, and no signal was sent; it refused; or it ended or did not start again in time.
        """
        _refuse_unless_daemon(holder)
        deadline, last_report = time.monotonic() + seconds, "nothing"
        with contextlib.ExitStack() as connections:
            reports = connections.enter_context(_connected(holder))
            holder.send(signal.SIGHUP)
            descriptors = [reports.fileno()] if holder.handle is None else [reports.fileno(), holder.handle]
            while ready := _readable(descriptors, deadline - time.monotonic()):
                if reports.fileno() not in ready:
                    raise RequestFailed(
                        f"process {holder.pid} has ended instead; its last report: {last_report}; "
                        "its log or output may have details"
                    )
                try:
                    report = reports.recv(SIZE).decode(errors="replace")
                except ConnectionResetError:
                    report = ""
                kind, _, text = report.partition("=")
                if kind == "READY":
                    return f"process {holder.pid} has started again"
                if kind == "REFUSED":
                    raise RequestFailed(f"process {holder.pid} was not restarted: {text}")
                if kind == "STATUS":
                    last_report = text
                if not report:
                    descriptors.remove(reports.fileno())
                    with contextlib.suppress(RequestFailed):
                        # Another restart has replaced the process during its start.
                        reports = connections.enter_context(_connected(holder))
                        descriptors.append(reports.fileno())
                    # Otherwise the process ends, or the program that replaced it reports nothing.
                    if not descriptors:
                        raise RequestFailed(
                            f"process {holder.pid} has stopped reporting; its last report: {last_report}"
                        )
        overdue = f"process {holder.pid} has not reported within {seconds:g} s that it has started again"
        raise RequestFailed(f"{overdue}; its last report: {last_report}; its log may have details")

    def _connected(holder: Holder) -> socket.socket:
        """
        Return a connection to the socket on which *holder* reports its restart.

        Raises:
            RequestFailed: There is no such socket, or it belongs to another user or process.
        """
        place = socket_beside(holder.path.absolute())
        with contextlib.ExitStack() as stack:
            reports = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            reports.settimeout(_CONNECTING)
            try:
                with short_path(place) as address:
                    reports.connect(address)
            except PermissionError:
                raise RequestFailed(
                    f"{holder} belongs to another user; run this command as that user, or as root"
                ) from None
            except OSError as error:
                raise RequestFailed(
                    f"{holder} cannot report its restart on {place} ({error.strerror or error}), so nothing was sent; "
                    "stop it, and start it again"
                ) from None
            pid, _, _ = CREDENTIALS.unpack(reports.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))
            if pid != holder.pid:
                raise RequestFailed(
                    f"{place} belongs to another process than {holder}; nothing was sent; remove that file"
                )
            stack.pop_all()
        return reports

    def _refuse_unless_daemon(holder: Holder) -> None:
        is_orphan = False
        # A daemon is not a session leader, and the leader of its session ended when the daemon had started.
        with contextlib.suppress(PermissionError):
            try:
                session = os.getsid(holder.pid)
                if session != holder.pid:
                    os.kill(session, 0)
            except ProcessLookupError:
                is_orphan = True
        if not is_orphan:
            raise RequestFailed(
                f"{holder} is not a daemon, or has not started yet, and SIGHUP would end it; nothing was sent; "
                "restart it with the program that started it"
            )
        holder.refuse_unless_caught(signal.SIGHUP)

    def _pidfd_of(pid: int) -> int | None:
        try:
            return os.pidfd_open(pid)
        except OSError as error:
            # An old kernel, or a sandbox that forbids the call.
            if error.errno in (errno.ENOSYS, errno.EPERM):
                return None
            raise

else:

    def restarted(holder: Holder, seconds: float) -> str:
        """Refuse."""
        raise RequestFailed("this system has no daemons; restart the process with the program that started it")

    def _pidfd_of(pid: int) -> int | None:
        return None


if sys.platform == "win32":

    def _readable(descriptors: list[int], seconds: float) -> list[int]:
        raise NoFileLocks

    def _wait_for_lock(path: Path) -> None:
        raise NoFileLocks

else:
    import fcntl

    def _readable(descriptors: list[int], seconds: float) -> list[int]:
        """Wait up to *seconds* for a readable descriptor, and return all that are readable."""
        poll = select.poll()
        for descriptor in descriptors:
            poll.register(descriptor, select.POLLIN)
        return [descriptor for descriptor, _ in poll.poll(max(0.0, seconds) * 1000)]

    def _wait_for_lock(path: Path) -> None:
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
