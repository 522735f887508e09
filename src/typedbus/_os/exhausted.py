"""
Errors that name the limit when the system has no more threads or file descriptors.

Python says "can't start new thread" and "Too many open files", and neither which of
several limits that was nor how it is raised. The errors here look it up when they
occur, since the limit may be that of the process, the user, the control group or
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

_GROUPS: Final = Path("/sys/fs/cgroup")
_MEBIBYTE: Final = 1 << 20
#: The size of a thread's stack where neither the process nor its limits set one, as of glibc.
_STACK: Final = 8 * _MEBIBYTE


class OutOfThreads(RuntimeError, OperatorError):
    """
    Raised where the system starts no further thread.

    Attributes:
        thread: The name of the thread that was not started.
        limit: The limit that is reached, and how it is raised.
    """

    def __init__(self, thread: str, limit: str) -> None:
        super().__init__(thread, limit)
        self.thread = thread
        self.limit = limit

    def __str__(self) -> str:
        return f"the system starts no further thread, {self.thread!r} was one too many: {self.limit}"


class OutOfDescriptors(OSError, OperatorError):
    """
    Raised where the system opens no further file or socket; *errno* is EMFILE or ENFILE.

    Attributes:
        limit: The limit that is reached, and how it is raised.
    """

    def __init__(self, number: int, limit: str) -> None:
        super().__init__(number, os.strerror(number))
        self.limit = limit

    def __reduce__(self) -> tuple[type[OutOfDescriptors], tuple[int | None, str]]:
        return type(self), (self.errno, self.limit)

    def __str__(self) -> str:
        return f"{self.strerror}: {self.limit}"


def start_thread(thread: threading.Thread) -> None:
    """
    Start *thread*.

    Raises:
        OutOfThreads: The system allows no more.
    """
    try:
        thread.start()
    except RuntimeError as error:
        if "can't start new thread" not in str(error):
            raise
        raise OutOfThreads(thread.name, _limit_of_threads()) from error


def named(error: BaseException) -> BaseException:
    """Return *error*, or an `OutOfDescriptors` with *error* as its cause if it is an `OSError` for that reason."""
    if type(error) is not OSError or error.errno not in {errno.EMFILE, errno.ENFILE}:
        return error
    exhausted = OutOfDescriptors(error.errno, _limit_of_descriptors(error.errno))
    exhausted.__cause__ = error
    return exhausted


def _limit_of_descriptors(number: int) -> str:
    if number == errno.ENFILE:
        return "all processes of this system together have as many open as it allows; raise fs.file-max with sysctl"
    if sys.platform == "win32":
        return "this process has as many open as it may"
    import resource

    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        f"this process may have {allowed} files and sockets open (RLIMIT_NOFILE); raise that with ulimit -n, "
        "LimitNOFILE= of systemd or --ulimit nofile= of Docker"
    )


def _limit_of_threads() -> str:
    # Without descriptors, or without /proc, none of this can be read.
    with contextlib.suppress(OSError, ValueError):
        group = _full_group()
        if group is not None:
            return (
                f"the control group of this process may have {group} processes and threads (pids.max); raise that with "
                "TasksMax= of systemd or --pids-limit of Docker, or start fewer threads"
            )
    if sys.platform != "win32":
        import resource

        with contextlib.suppress(OSError, ValueError):
            size, _ = resource.getrlimit(resource.RLIMIT_AS)
            stack, _ = resource.getrlimit(resource.RLIMIT_STACK)
            # Without an argument it sets the default, as its only way to return the size.
            own = threading.stack_size()
            threading.stack_size(own)
            stack = own or (_STACK if stack == resource.RLIM_INFINITY else stack)
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            if size != resource.RLIM_INFINITY and used + stack > size:
                return (
                    f"this process may use {size // _MEBIBYTE} MiB of address space (RLIMIT_AS), of which each thread "
                    f"takes {stack // _MEBIBYTE} MiB for its stack; raise that with ulimit -v or LimitAS= of systemd, "
                    "or start fewer threads"
                )
        with contextlib.suppress(OSError, ValueError):
            tasks, _ = resource.getrlimit(resource.RLIMIT_NPROC)
            if os.geteuid() != 0 and tasks != resource.RLIM_INFINITY and _tasks_of_user() >= tasks:
                return (
                    f"user {os.getuid()} may have {tasks} processes and threads (RLIMIT_NPROC); raise that with "
                    "ulimit -u or LimitNPROC= of systemd, or start fewer threads"
                )
    return (
        "look at the limits of the user (ulimit -u, LimitNPROC= of systemd), of memory (ulimit -v, LimitAS=), of the "
        "control group (TasksMax= of systemd, --pids-limit of Docker) and of the system (kernel.threads-max), "
        "or start fewer threads"
    )


def _full_group() -> int | None:
    """Return how many tasks the control group of this process may have, or one around it, if it has so many."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in {"", "pids"}:
            continue
        top = _GROUPS / controllers
        group = top / path.lstrip("/")
        while group.is_relative_to(top):
            # The topmost group has no limit, and so no file.
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
        # It may end meanwhile.
        with contextlib.suppress(OSError):
            if process.name.isdigit() and process.stat().st_uid == os.getuid():
                count += sum(1 for _ in (process / "task").iterdir())
    return count
