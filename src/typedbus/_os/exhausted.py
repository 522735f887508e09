"""
Errors that name the limit when the system has no more threads or file descriptors.

Python reports "can't start new thread" and "Too many open files", but neither which of
several limits was reached nor how to raise it. The errors here look this up when they
occur: the limit may be that of the process, the user, the control group or
the whole system.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
from pathlib import Path
from typing import Final

from typedbus._base.errors import OperatorError
from typedbus._base.structured import StructuredError
from typedbus._os.system_call_error import SystemCallError

_GROUPS: Final = Path("/sys/fs/cgroup")
_MEBIBYTE: Final = 1 << 20
#: The default size of a thread's stack in glibc, if neither the process nor its limits set it.
_STACK: Final = 8 * _MEBIBYTE


class OutOfThreads(StructuredError, RuntimeError, OperatorError):
    """
    Raised when the system cannot start another thread.

    Attributes:
        thread: The name of the thread that was not started.
        limit: The limit that was reached, and how to raise it.
    """

    thread: str
    limit: str

    def __str__(self) -> str:
        return f"cannot start thread {self.thread!r}: {self.limit}"


class OutOfDescriptors(SystemCallError):
    """
    Raised when the system cannot open another file or socket; *errno* is EMFILE or ENFILE.

    Attributes:
        limit: The limit that was reached, and how to raise it.
    """

    limit: str

    def __str__(self) -> str:
        return f"{self.strerror}: {self.limit}"


def start_thread(thread: threading.Thread) -> None:
    """
    Start *thread*.

    Raises:
        OutOfThreads: The system cannot start another thread.
    """
    try:
        thread.start()
    except RuntimeError as error:
        if "can't start new thread" not in str(error):
            raise
        raise OutOfThreads(thread.name, _limit_of_threads()) from error


def with_limit(error: BaseException) -> BaseException:
    """Return *error*, or an `OutOfDescriptors` with *error* as its cause if *error* is EMFILE or ENFILE."""
    if type(error) is not OSError or error.errno not in {errno.EMFILE, errno.ENFILE}:
        return error
    exhausted = OutOfDescriptors(error.errno, _limit_of_descriptors(error.errno))
    exhausted.__cause__ = error
    return exhausted


def _limit_of_descriptors(number: int) -> str:
    if number == errno.ENFILE:
        return "all processes of this system together have reached its limit; raise fs.file-max with sysctl"
    if sys.platform == "win32":
        return "this process has reached its limit; close files or sockets that it does not need"
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        f"this process may open at most {limit} files and sockets (RLIMIT_NOFILE); raise the limit with ulimit -n, "
        "LimitNOFILE= of systemd or --ulimit nofile= of Docker"
    )


def _limit_of_threads() -> str:
    # Without descriptors, or without /proc, none of this can be read.
    with contextlib.suppress(OSError, ValueError):
        limit = _limit_of_full_group()
        if limit is not None:
            return (
                f"the control group of this process may have at most {limit} processes and threads (pids.max); "
                "raise the limit with TasksMax= of systemd or --pids-limit of Docker, or start fewer threads"
            )
    if sys.platform != "win32":
        import resource

        with contextlib.suppress(OSError, ValueError):
            space, _ = resource.getrlimit(resource.RLIMIT_AS)
            stack, _ = resource.getrlimit(resource.RLIMIT_STACK)
            # stack_size() without an argument also resets the size to the default, so set it again.
            stack_of_process = threading.stack_size()
            threading.stack_size(stack_of_process)
            stack = stack_of_process or (_STACK if stack == resource.RLIM_INFINITY else stack)
            usage = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            if space != resource.RLIM_INFINITY and usage + stack > space:
                return (
                    f"this process may use at most {space // _MEBIBYTE} MiB of address space (RLIMIT_AS), and each "
                    f"thread needs {stack // _MEBIBYTE} MiB for its stack; raise the limit with ulimit -v or LimitAS= "
                    "of systemd, or start fewer threads"
                )
        with contextlib.suppress(OSError, ValueError):
            tasks, _ = resource.getrlimit(resource.RLIMIT_NPROC)
            if os.geteuid() != 0 and tasks != resource.RLIM_INFINITY and _tasks_of_user() >= tasks:
                return (
                    f"user {os.getuid()} may have at most {tasks} processes and threads (RLIMIT_NPROC); raise the "
                    "limit with ulimit -u or LimitNPROC= of systemd, or start fewer threads"
                )
    return (
        "the system has reached a limit; check those of the user (ulimit -u, LimitNPROC= of systemd), of memory (ulimit -v, LimitAS=), of the "
        "control group (TasksMax= of systemd, --pids-limit of Docker) and of the system (kernel.threads-max), "
        "or start fewer threads"
    )


def _limit_of_full_group() -> int | None:
    """Return the limit of tasks of this process's control group, or of a group around it, if the limit is reached."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in {"", "pids"}:
            continue
        top = _GROUPS / controllers
        group = top / path.lstrip("/")
        while group.is_relative_to(top):
            # The topmost group has no limit and therefore no file.
            with contextlib.suppress(FileNotFoundError):
                most = (group / "pids.max").read_text().strip()
                if most != "max" and int((group / "pids.current").read_text()) >= int(most):
                    return int(most)
            if group == top:
                break
            group = group.parent
    return None


def _tasks_of_user() -> int:
    """Return how many threads the processes of the real user have, as far as this process can see."""
    count = 0
    for process in Path("/proc").iterdir():
        # The process may end meanwhile.
        with contextlib.suppress(OSError):
            if process.name.isdigit() and process.stat().st_uid == os.getuid():
                count += sum(1 for _ in (process / "task").iterdir())
    return count
