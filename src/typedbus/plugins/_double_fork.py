"""
The three processes of a start as a daemon: the command, the intermediate process and the daemon.

The command stays until the start of the bus has succeeded or failed, and ends
with the matching exit status. The intermediate process stays as well: only it
receives the exit status of the daemon, if that dies before it reports anything.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable
from typing import Final, NoReturn

from typedbus._os.forks import keeping_buses
from typedbus._os.reexec import mark_daemon
from typedbus._os.streams import is_standard

#: Ends the report of a daemon about its start.
END: Final = b"\0"
_OK: Final = 0
_NOT_STARTED: Final = 1
_FORWARDED: Final = (signal.SIGINT, signal.SIGTERM)
#: The maximum length of a pid or an error number, and the size of the parts in which a report is read, in bytes.
_LENGTH: Final = 32
_CHUNK: Final = 65536
#: How often the intermediate process checks whether the daemon has ended, in seconds.
_LOOKING: Final = 0.05
#: How long a daemon that did not start may take to end, in seconds.
_ENDING: Final = 5.0
#: Environment variables in which a service manager names the process it started; updated to the daemon's pid
#: (sd_listen_fds(3)).
_MEANT_FOR: Final = ("LISTEN_PID", "WATCHDOG_PID")

if sys.platform != "win32":

    def fork_twice(fork: Callable[[], int]) -> int:
        """
        Return only in the daemon, with the descriptor to which it must write the report about its start.

        The report is a reason followed by `END`; without a reason the start has succeeded.

        Raises:
            OSError: The system cannot create another process. This process is still the only one.
        """
        first_pid = str(os.getpid())
        with keeping_buses(), contextlib.ExitStack() as opened:
            pid_reader, pid_writer, report_reader, report_writer = (
                opened.enter_context(io.FileIO(end, mode))
                for end, mode in zip((*os.pipe(), *os.pipe()), "rwrw", strict=True)
            )
            # Block these signals until all three processes handle them.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
            # If SIGCHLD is ignored, waitpid(2) returns no exit status.
            child_handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                if child := fork():
                    pid_writer.close()
                    _await_start(child, pid_reader, mask)
                try:
                    os.setsid()
                    if grandchild := fork():
                        report_writer.close()
                        pid_writer.write(b"%d" % grandchild)
                        _watch_daemon(grandchild, report_reader)
                except BaseException as error:
                    # For any error, even if the pipe is broken: a second process must not continue the program.
                    try:
                        pid_writer.write(b"-%d" % (getattr(error, "errno", None) or errno.EIO))
                    finally:
                        os._exit(_NOT_STARTED)
                # Before signals are unblocked: handlers take no action in a forked process that is not a daemon.
                mark_daemon()
                for name in _MEANT_FOR:
                    if os.environ.get(name) == first_pid:
                        os.environ[name] = str(os.getpid())
                return os.dup(report_writer.fileno())
            finally:
                # None is a handler that was not set from Python, and cannot be restored.
                signal.signal(signal.SIGCHLD, signal.SIG_DFL if child_handler is None else child_handler)
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _await_start(child: int, pid_reader: io.FileIO, mask: set[int | signal.Signals]) -> NoReturn:
        """In the first process: forward signals to the daemon, and end with the status of *child*, which watches it."""
        # A negative number is that of the error for which there is no daemon.
        daemon = int(pid_reader.read(_LENGTH) or -errno.ECHILD)
        if daemon < 0:
            os.waitpid(child, 0)
            raise OSError(-daemon, os.strerror(-daemon))

        def forward(number: int, frame: object) -> None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(daemon, number)

        for number in _FORWARDED:
            signal.signal(number, forward)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            _write_error(
                f"it is unknown whether the daemon (pid {daemon}) started: "
                "the process that waited for its report was killed\n"
            )
        os._exit(_NOT_STARTED if status else _OK)

    def _watch_daemon(daemon: int, report_reader: io.FileIO) -> NoReturn:
        """In the child: wait for the report of *daemon* about its start, or for its end, and print a failure."""
        report, ended, status = b"", 0, 0
        os.set_blocking(report_reader.fileno(), False)
        with selectors.DefaultSelector() as selector:
            selector.register(report_reader, selectors.EVENT_READ)
            while not ended and not report.endswith(END):
                # Children of the daemon hold the pipe as well, so it may stay open after the daemon has ended.
                selector.select(_LOOKING)
                ended, status = os.waitpid(daemon, os.WNOHANG)
                # Read after waitpid: a daemon that has ended wrote its report before that.
                while part := report_reader.read(_CHUNK):
                    report += part
        if report == END:
            os._exit(_OK)
        reason = (
            report.removesuffix(END).decode(errors="replace") or f"{_end_of(status)} before its start had finished\n"
        )
        _write_error(f"the daemon (pid {daemon}) did not start: {reason}")
        deadline = time.monotonic() + _ENDING
        while not ended and time.monotonic() < deadline:
            # So that another attempt does not find this daemon still running.
            time.sleep(0.01)
            ended, _ = os.waitpid(daemon, os.WNOHANG)
        os._exit(_NOT_STARTED)

    def _write_error(text: str) -> None:
        """Write to the standard error of the command, from a process that ends without flushing Python's buffers."""
        if is_standard(2):
            with contextlib.suppress(OSError), os.fdopen(2, "wb") as stderr:
                stderr.write(text.encode(errors="backslashreplace"))

    def _end_of(status: int) -> str:
        """Describe how a process ended, from the *status* that waitpid returned."""
        code = os.waitstatus_to_exitcode(status)
        return (
            f"it ended with status {code}"
            if code >= 0
            else f"it was killed by signal {-code} ({signal.strsignal(-code)})"
        )
