"""
The events and messages of a bus, as records of the `logging` of the standard library.

A program configures the output of its logs in one place, the `logging` module. So
this component only creates records: life-cycle events and messages become records
of one logger, at levels that are comparable to those of other loggers, with the
fields of the event as keys of the record. The options for a file and the console
are for programs that do not configure logging themselves.

It listens from its construction on and not only from its start, since a log should
show how other components are constructed and started, a failed start, and the exit.
For the same reason it continues until the bus has EXITED, and then ends by itself.
A file is opened only at the start, when the process is the one that will write it,
for example the daemon; earlier records are kept until then.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Final

import attrs

from typedbus._base.events import Failed, LifecycleEvent, ListenerFailed, Moved
from typedbus._base.exports import export
from typedbus._base.states import State
from typedbus._bus.builtin import LIFECYCLE, LOG, START
from typedbus._bus.bus import Bus, parts_of
from typedbus._channels.marks import on
from typedbus._channels.subscriptions import Subscription
from typedbus.plugins._handover import DROPPING, hand_over
from typedbus.plugins._log_streams import handlers_of, leads_to, stream_of
from typedbus.plugins.logs._handlers import ConsoleHandler, LogFile, LogFileError
from typedbus.plugins.logs._json_lines import JSONFormatter
from typedbus.plugins.logs._records import record_of
from typedbus.plugins.logs._thread_hook import ThreadHook

__all__ = ("JSONFormatter", "LogFileError", "Logging")

#: The listener with which `run` shows events and messages on stderr; by name, since this module may not import it.
_SHOWN_BY_RUN: Final = "typedbus.process._console.Console.show"
#: The `kind` of a record about a thread that died of an exception.
_THREAD_DIED: Final = "thread_died"


@attrs.define(eq=False)
class Logging:
    """
    Logs the events and messages of a bus to one standard logger, from its construction until the bus has EXITED.

    A failure is logged as an ERROR with its traceback, a start that was rolled back
    as a WARNING; the states of the bus and the components that started, stopped or
    are disabled as INFO; everything else as DEBUG. Messages on `LOG` keep their
    level. Each record has the key `kind`, the name of the event's channel without
    ``component_``, and the fields of that event.

    In a container it receives all events from its construction on, from any
    thread. On a bus without a container, subscribe `start` and `graceful` if there
    is a file. A record that cannot be written is reported on stderr and has no
    other effect.

    An exception that ends any thread of the process is logged as an ERROR with its
    traceback, of the kind `thread_died`; exceptions of threads that the bus owns
    are on `LOG` already. For this `threading.excepthook` is replaced from the
    construction until the bus has EXITED. The previous hook is called as well, and
    is restored.

    Args:
        bus: The bus whose events and messages are logged.
        logger: The name of the logger. The file and the console are its handlers, and
            so receive the records of its child loggers as well; "" is the root.
        console: Whether to write to `sys.stderr`, as it is at the time of each record.
            Records that `run` already shows there are omitted.
        file: A file to append to, in UTF-8. It is opened at the start and reopened on
            `graceful`, for programs that rotate it; it is closed after the exit.
        level: The lowest level that the console and the file write. The logger is set to
            pass it on while it has one of these handlers; otherwise its level stays.
        formatter: The formatter of the console and the file, such as `JSONFormatter()`.
    """

    bus: Bus
    logger: str = attrs.field(default="typedbus", kw_only=True)
    console: bool = attrs.field(default=False, kw_only=True)
    file: str | os.PathLike[str] | None = attrs.field(default=None, kw_only=True)
    level: int = attrs.field(default=logging.INFO, kw_only=True)
    formatter: logging.Formatter = attrs.field(
        factory=lambda: logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"), kw_only=True
    )
    _log: logging.Logger = attrs.field(init=False)
    _file: LogFile | None = attrs.field(init=False)
    _handlers: list[logging.Handler] = attrs.field(init=False, factory=list)
    _level_before: int = attrs.field(init=False)
    _subscriptions: list[Subscription] = attrs.field(init=False)
    _thread_hook: ThreadHook = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._log = logging.getLogger(self.logger)
        self._level_before = self._log.level
        self._file = None if self.file is None else LogFile(self.file)
        if self._file is not None:
            self._handlers.append(self._file)
        if self.console:
            self._handlers.append(ConsoleHandler())
            self._handlers[-1].addFilter(self._is_unwritten)
        for handler in self._handlers:
            handler.setLevel(self.level)
            handler.setFormatter(self.formatter)
            self._log.addHandler(handler)
        if self._handlers and not self._log.isEnabledFor(self.level):
            self._log.setLevel(self.level)
        self._subscriptions = [self.bus[LIFECYCLE].subscribe(self.log_event), self.bus[LOG].subscribe(self.log_message)]
        self._thread_hook = ThreadHook(self._log_death)

    def log_event(self, event: LifecycleEvent, /) -> None:
        """Log *event*; after the event of the exit, detach from the bus and the logger, and close the file."""
        level, text, args, keys = record_of(event)
        error = event.error if isinstance(event, (Failed, ListenerFailed)) else None
        try:
            if not self._is_repeated():
                self._log.log(level, text, *args, exc_info=error, extra=keys)
        finally:
            if isinstance(event, Moved) and event.after is State.EXITED:
                self._end()

    def log_message(self, message: str, level: int, /) -> None:
        """Log *message*, which was published on `LOG`."""
        if not self._is_repeated():
            self._log.log(level, "%s", message, extra={"kind": "log"})

    @on(START, priority=15)
    def start(self) -> None:
        """
        Open the file, unless it is open, and write the records that were kept.

        Raises:
            LogFileError: The file cannot be opened or written.
        """
        if self._file is not None and self._file.stream is None:
            self._file.reopen()

    def graceful(self) -> None:
        """
        Reopen the file by its name; no record is lost between the old and the new file.

        Raises:
            LogFileError: The file cannot be opened; then the old one stays in use.
        """
        if self._file is not None:
            self._file.reopen()

    @on(DROPPING)
    def hand_over(self, uid: int, gid: int) -> None:
        """Give the file, if that is safe, to the user that the process becomes, so that it can be reopened."""
        stream = None if self._file is None else self._file.stream
        if self._file is None or stream is None or sys.platform == "win32":
            return
        path = Path(self._file.baseFilename)
        reason = hand_over(stream.fileno(), path, uid, gid, is_new=self._file.is_new)
        if reason is not None:
            self.bus.log(
                f"the log file {path} is not handed over to user {uid}: {reason}; "
                "a reload or a restart may not be able to open it",
                logging.WARNING,
            )

    def _log_death(self, death: threading.ExceptHookArgs) -> None:
        """Log the exception that ended a thread, unless the bus has logged it."""
        if death.exc_value is None or death.thread in parts_of(self.bus).main_loop.threads:
            return
        name = "unknown" if death.thread is None else death.thread.name
        self._log.error("thread %r died of an exception", name, exc_info=death.exc_value, extra={"kind": _THREAD_DIED})

    def _end(self) -> None:
        for subscription in self._subscriptions:
            subscription.cancel()
        self._thread_hook.end()
        try:
            # If the start failed before `start` was called, the file is opened now, for the records about the failure.
            if self._file is not None and not self._file.is_refused:
                self.start()
        except LogFileError as error:
            self.bus.log(str(error), logging.ERROR)
        finally:
            for handler in self._handlers:
                self._log.removeHandler(handler)
                # Closing flushes the buffer. A full disk has already been reported for each record.
                with contextlib.suppress(OSError):
                    handler.close()
            self._log.setLevel(self._level_before)

    def reaches(self, stream: object, level: int) -> bool:
        """Whether a handler that the program has configured writes records of *level* to the target of *stream*."""
        return self._log.isEnabledFor(level) and any(
            handler.level <= level and leads_to(stream_of(handler), stream)
            for handler in handlers_of(self._log.name)
            if not isinstance(handler, ConsoleHandler)
        )

    def _is_repeated(self) -> bool:
        """Whether `run` shows the record already, and `logging`, without any handler, would print it on stderr."""
        return not self._log.hasHandlers() and self._is_shown_by_run()

    def _is_shown_by_run(self) -> bool:
        return any(subscription.name == _SHOWN_BY_RUN for subscription in self.bus[LIFECYCLE].subscriptions)

    def _is_unwritten(self, record: logging.LogRecord) -> bool:
        """Whether neither `run`, the interpreter nor another handler writes *record* to the same stream."""
        others = (handler for handler in handlers_of(record.name) if not isinstance(handler, ConsoleHandler))
        if any(other.level <= record.levelno and leads_to(stream_of(other), sys.stderr) for other in others):
            return False
        is_ours = record.name == self._log.name and hasattr(record, "kind")
        if is_ours and getattr(record, "kind", None) == _THREAD_DIED:
            return not self._thread_hook.is_printed
        return not (is_ours and self._is_shown_by_run())


export(globals())
