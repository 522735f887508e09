"""Read files named by an operator, which may be pipes, devices, or too long."""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path
from typing import Final

_LONGEST: Final = 16 * 1024 * 1024
_CHUNK: Final = 1024 * 1024
#: Seconds until a program must have opened a pipe for writing.
_PATIENCE: Final = 5.0


def read_input(path: Path) -> bytes:
    """
    Return the contents of the file or pipe at *path*.

    A pipe is read until its writers have closed it.

    Raises:
        OSError: It cannot be read, is larger than 16 MiB, or is a pipe that no program opens for writing within 5 s.
        ValueError: *path* contains a null character.
    """
    is_pipe = stat.S_ISFIFO(path.stat().st_mode)

    def opener(name: str, flags: int) -> int:
        # A blocking open would wait for a writer, without limit.
        return os.open(name, flags | (os.O_NONBLOCK if is_pipe and sys.platform != "win32" else 0))

    parts: list[bytes] = []
    with open(path, "rb", buffering=0, opener=opener) as file:
        if is_pipe:
            _wait_for_writer(file.fileno())
        while part := file.read(_CHUNK):
            parts.append(part)
            if sum(map(len, parts)) > _LONGEST:
                raise OSError(errno.EFBIG, f"longer than {_LONGEST // 1024 // 1024} MiB")
    return b"".join(parts)


if sys.platform == "win32":

    def _wait_for_writer(descriptor: int) -> None:
        pass

else:
    import select

    def _wait_for_writer(descriptor: int) -> None:
        """Wait until a program has written into the pipe or closed it again; then make reads blocking."""
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        # poll() reports nothing for a pipe that no program has opened for writing.
        if not poll.poll(_PATIENCE * 1000):
            raise OSError(errno.ETIMEDOUT, f"no program has written into this pipe within {_PATIENCE:g} s")
        os.set_blocking(descriptor, True)
