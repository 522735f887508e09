"""
Standard streams for the command line that tolerate write errors.

The interpreter flushes stdout and stderr at its exit, and ends with
status 120 if that fails. If a reader such as `head` has closed the pipe, the disk is
full or a descriptor is closed, this would replace the documented exit status, or end a
command with a traceback at its first message.
"""

from __future__ import annotations

import contextlib
import errno
import io
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from typedbus._os.streams import open_missing

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Output(io.FileIO):
    """
    The descriptor of a standard stream; it discards data that cannot be written and keeps the first error.

    Attributes:
        failure: The first error since it was last reset, or None.
        is_strict: Raise errors instead, as an ordinary stream does.
        errors: The encoding error handler of the original stream.
    """

    failure: OSError | None = None
    is_strict: bool = False
    errors: str = "strict"

    def write(self, data: Buffer, /) -> int:
        """Write or discard *data*, and return the number of bytes processed; see `io.RawIOBase.write`."""
        try:
            return super().write(data)
        except OSError as error:
            if self.is_strict:
                raise
            self.failure = self.failure or error
            return memoryview(data).nbytes


def protect() -> None:
    """
    Replace `sys.stdout` and `sys.stderr` with streams whose writes never fail, for the rest of the process.

    Standard streams that are closed become the null device first; see
    `typedbus._os.streams.open_missing`. A stream that is not based on `io.FileIO` stays as it is.
    """
    open_missing()
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        buffer = getattr(stream, "buffer", None)
        raw = getattr(buffer, "raw", buffer)
        if type(raw) is not io.FileIO:
            continue
        stream.flush()
        output = Output(raw.fileno(), "w", closefd=False)
        output.name = f"<{name}>"
        wrapper = io.TextIOWrapper(
            # Under -u there is no buffer.
            output if raw is buffer else io.BufferedWriter(output),
            encoding=stream.encoding,
            # The commands print names with characters that the encoding of a POSIX locale may lack.
            errors="backslashreplace" if stream.errors == "strict" else stream.errors,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        output.errors = stream.errors
        setattr(sys, name, wrapper)


@contextlib.contextmanager
def strict() -> Generator[None]:
    """Make writes to stdout raise errors inside the block, as application code expects."""
    output, stream = _output(), sys.stdout
    if output is None or not isinstance(stream, io.TextIOWrapper):
        yield
        return
    output.is_strict = True
    lenient_errors = stream.errors
    _set_errors(stream, output.errors)
    try:
        yield
    finally:
        output.is_strict = False
        _set_errors(stream, lenient_errors)


def _set_errors(stream: io.TextIOWrapper, errors: str | None) -> None:
    # reconfigure() flushes first; an error of this flush can be ignored.
    with contextlib.suppress(OSError, ValueError):
        stream.reconfigure(errors=errors)


def lost() -> OSError | None:
    """
    Flush stdout, and return the error by which output was lost since the last call.

    None if all output was written, or if the reader of a pipe has closed it.
    """
    output = _output()
    if output is None:
        return None
    sys.stdout.flush()
    failure, output.failure = output.failure, None
    return None if failure is None or failure.errno == errno.EPIPE else failure


def _output() -> Output | None:
    buffer = getattr(sys.stdout, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    return raw if isinstance(raw, Output) else None
