"""
The output of `run` on stderr: lines of text, or one JSON object per line.

Both kinds cover the life cycle of the bus, errors, and messages about signals.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import traceback
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from typedbus._base.events import Failed, LifecycleEvent, ListenerFailed, Moved
from typedbus._bus.bus import Bus
from typedbus.plugins import logs
from typedbus.plugins._log_streams import handlers_of, leads_to, stream_of
from typedbus.plugins.logs._json_lines import JSONFormatter
from typedbus.plugins.logs._records import record_of
from typedbus.process._console import Console, console

_LOGGER = "typedbus"


class Messages:
    """Lines of text; with *is_quiet*, only failures and messages from WARNING up."""

    def __init__(self, *, is_quiet: bool = False) -> None:
        self.is_quiet = is_quiet

    def console(self, bus: Bus) -> Console:
        """Return a context manager that writes the life cycle of *bus*."""
        return console(sys.stderr, bus, is_quiet=self.is_quiet)

    def error(self, text: str) -> None:
        """Write the text of an operator error."""
        print(f"error: {text}", file=sys.stderr)

    def failure(self, error: BaseException) -> None:
        """Write *error* with its traceback."""
        traceback.print_exception(error)

    def farewell(self, text: str) -> None:
        """Write the text that a component passed to `sys.exit`."""
        print(text, file=sys.stderr)

    def signal(self, text: str) -> bytes:
        """Return the bytes that a signal handler writes about the signal that it has caught."""
        return b"" if self.is_quiet else text.encode()

    @property
    def has_stacks(self) -> bool:
        """Whether `end` returns the stacks of all threads as well."""
        return False

    def end(self, text: str, tasks: Mapping[str, str]) -> bytes:
        """
        Return the bytes that a signal handler writes when it ends the process at once.

        Args:
            text: The message.
            tasks: The stacks of the async hooks and runs, by name.
        """
        return text.encode()


class JSONMessages(Messages):
    """
    Lines of JSON; within `running` also for the log records of other code.

    Args:
        level: The lowest level of records that are written.
    """

    def __init__(self, level: int) -> None:
        super().__init__(is_quiet=level > logging.INFO)
        self.level = level
        self.formatter = JSONFormatter()
        self._handler = _Handler(self)
        #: Handlers of other code that write to stderr, with their original formatters.
        self._formatters: dict[logging.Handler, logging.Formatter | None] = {}

    def console(self, bus: Bus) -> Console:
        return Console(bus, _JSONLines(self))

    def error(self, text: str) -> None:
        self.write(logging.ERROR, "error", text)

    def failure(self, error: BaseException) -> None:
        self.write(logging.ERROR, "failure", _summary_of(error), error=error)

    def farewell(self, text: str) -> None:
        self.write(logging.ERROR, "exit", text)

    def signal(self, text: str) -> bytes:
        return self._bytes_of(logging.INFO, "signal", text.strip()) if self.level <= logging.INFO else b""

    @property
    def has_stacks(self) -> bool:
        return True

    def end(self, text: str, tasks: Mapping[str, str]) -> bytes:
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        frames = sys._current_frames()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # documented
        stacks = {
            f"{names.get(ident, 'unknown')} ({ident})": "".join(traceback.format_stack(frame)).rstrip()
            for ident, frame in frames.items()
        }
        stacks.update((name, stack.rstrip()) for name, stack in tasks.items())
        return self._bytes_of(logging.CRITICAL, "signal", text.strip(), {"stacks": stacks})

    def write(
        self, level: int, kind: str, text: str, keys: dict[str, Any] | None = None, error: BaseException | None = None
    ) -> None:
        """Write one line, if *level* is high enough."""
        if level >= self.level:
            self._handler.write(self.formatter.format(_record(level, kind, text, keys or {}, error)))

    def _bytes_of(self, level: int, kind: str, text: str, keys: dict[str, Any] | None = None) -> bytes:
        return f"{self.formatter.format(_record(level, kind, text, keys or {}, None))}\n".encode()

    @contextlib.contextmanager
    def running(self) -> Generator[None]:
        """
        Within the block, write `logging` records, warnings and uncaught exceptions of threads as JSON lines.

        A `StreamHandler` of the program that writes to stderr gets the JSON formatter,
        and writes its records itself.
        """
        root = logging.getLogger()
        level, factory = root.level, logging.getLogRecordFactory()
        thread_hook, unraisable_hook = threading.excepthook, sys.unraisablehook

        def make_record(name: str, *args: Any, **kwargs: Any) -> logging.LogRecord:
            # Checked before a handler gets the record, since handlers may be added at any time.
            for handler in handlers_of(name):
                self.take_over(handler)
            return factory(name, *args, **kwargs)

        root.setLevel(min(level, self.level) if level else self.level)
        self.ensure()
        logging.captureWarnings(capture=True)
        logging.setLogRecordFactory(make_record)
        threading.excepthook = self._report_dead_thread
        sys.unraisablehook = self._report_unraisable
        try:
            yield
        finally:
            threading.excepthook, sys.unraisablehook = thread_hook, unraisable_hook
            if logging.getLogRecordFactory() is make_record:
                logging.setLogRecordFactory(factory)
            logging.captureWarnings(capture=False)
            root.removeHandler(self._handler)
            root.setLevel(level)
            for handler, formatter in self._formatters.items():
                handler.setFormatter(formatter)

    def ensure(self) -> None:
        """Add the handler again if the program has removed it, as configuring `logging` does."""
        if self._handler not in logging.getLogger().handlers:
            logging.getLogger().addHandler(self._handler)

    def take_over(self, handler: logging.Handler) -> bool:
        """Set the JSON formatter on *handler* if it writes to stderr, and return whether it does."""
        if handler is self._handler or not hasattr(handler, "stream"):
            return False
        if not leads_to(stream_of(handler), sys.stderr):
            return False
        if handler.formatter is not self.formatter:
            self._formatters.setdefault(handler, handler.formatter)
            handler.setFormatter(self.formatter)
        return True

    def _report_dead_thread(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
            name = "unknown" if args.thread is None else args.thread.name
            text = f"thread {name!r} died of an exception"
            self.write(logging.ERROR, "thread_died", text, {"thread": name}, args.exc_value)

    def _report_unraisable(self, args: Any) -> None:
        text = f"{args.err_msg or 'exception ignored in'}: {args.object!r}"
        self.write(logging.ERROR, "unraisable", text, error=args.exc_value)


class _JSONLines:
    """The output of a `Console` as JSON, one line for each event and message."""

    restoring = b""

    def __init__(self, messages: JSONMessages) -> None:
        self._messages = messages

    def show(self, event: LifecycleEvent) -> None:
        level, text, args, keys = record_of(event)
        kind = str(keys["kind"])
        error = event.error if isinstance(event, (Failed, ListenerFailed)) else None
        if level >= self._messages.level:
            self._messages.write(level, kind, text % args, {**keys}, error)
        if isinstance(event, Moved):
            # Components may configure logging when they are constructed or started.
            self._messages.ensure()

    def log(self, message: str, level: int) -> None:
        self._messages.write(level, "log", message)

    def conclude(self, errors: Sequence[BaseException]) -> None:
        pass

    def close(self) -> None:
        pass


class _Handler(logging.Handler):
    """Writes records to stderr, unless another handler does."""

    def __init__(self, messages: JSONMessages) -> None:
        super().__init__(messages.level)
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        # `Logging` records about the bus are already written as events.
        if record.pathname == logs.__file__:
            return
        others = handlers_of(record.name)
        if any(self._messages.take_over(other) and other.level <= record.levelno for other in others):
            return
        self.write(self._messages.formatter.format(record))

    def write(self, line: str) -> None:
        """Write *line* in a single write; errors of a closed stream are ignored."""
        with self.lock or contextlib.nullcontext(), contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()


def _record(level: int, kind: str, text: str, keys: dict[str, Any], error: BaseException | None) -> logging.LogRecord:
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    record = logging.LogRecord(_LOGGER, level, "", 0, "%s", (text,), exc_info)
    vars(record).update({**keys, "kind": kind})
    return record


def _summary_of(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip().split("\n")[0]
