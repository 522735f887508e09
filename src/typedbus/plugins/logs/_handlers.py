"""The handlers of a `Logging`: the console and the file."""

from __future__ import annotations

import errno
import logging
import os
import sys

from typedbus._base.errors import OperatorError


class LogFileError(OSError, OperatorError):
    """
    Raised by `Logging.start` and `Logging.graceful` for a file that cannot be opened or written.

    Attributes:
        filename: The file, as an absolute path.
        errno, strerror: The error of the operating system.
    """

    def __str__(self) -> str:
        return (
            f"cannot write the log file {self.filename}: {self.strerror}; "
            "give the user of the process write access to it, or set Logging(file=...) to another file"
        )


class ConsoleHandler(logging.Handler):
    """Writes to the current `sys.stderr`, which a display of `run`, a test or a daemon may have replaced."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            # In one call: threads and processes may share the stream.
            sys.stderr.write(f"{self.format(record)}\n")
            sys.stderr.flush()
        except Exception:
            self.handleError(record)


class LogFile(logging.FileHandler):
    """
    A log file that keeps its records in memory until it is opened, and may be reopened.

    Attributes:
        is_refused: Whether the last attempt to open the file failed.
        is_new: Whether this process has created the file that is open.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        # The absolute path is computed now: a daemon changes its working directory.
        super().__init__(path, encoding="utf-8", errors="backslashreplace", delay=True)
        self._lines: list[str] = []
        self.is_refused = False
        self.is_new = False

    def emit(self, record: logging.LogRecord) -> None:
        if self.stream is not None:
            super().emit(record)
            return
        try:
            # Formatted now: objects that the record refers to may change until the file is open.
            self._lines.append(self.format(record))
        except Exception:
            self.handleError(record)

    def _create(self) -> bool:
        """Create the file, and return whether it did not exist."""
        try:
            os.close(os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        except FileExistsError:
            return False
        return True

    def reopen(self) -> None:
        """
        Open the file by its name, close the previous stream, and write the records that were kept.

        Raises:
            LogFileError: The file cannot be opened or written. A previous stream stays in use if it cannot be opened.
        """
        self.acquire()
        self.is_refused = True
        try:
            is_new = self._create()
            previous, self.stream = self.stream, self._open()
            self.is_new = is_new
            if previous is not None:
                previous.close()
            self.stream.writelines(f"{line}{self.terminator}" for line in self._lines)
            self.stream.flush()
            self._lines.clear()
            self.is_refused = False
        except OSError as error:
            raise LogFileError(error.errno, error.strerror, self.baseFilename) from error
        except ValueError as error:
            raise LogFileError(errno.EINVAL, str(error), self.baseFilename) from error
        finally:
            self.release()
