"""The events and messages of a bus as records of the standard library's logging."""

from __future__ import annotations

import errno
import gc
import io
import itertools
import json
import logging
import pickle
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from typedbus import (
    GRACEFUL,
    LOG,
    START,
    STOP,
    Bus,
    Channel,
    ChannelFailures,
    Component,
    Container,
    HookTimeout,
    State,
    TransitionFailures,
    running,
)
from typedbus._bus.builtin import EVENT_CHANNELS
from typedbus._bus.bus import parts_of
from typedbus.events import (
    LIFECYCLE,
    LISTENER_FAILED,
    ComponentExited,
    ComponentExiting,
    ComponentStarted,
    ComponentStarting,
    ComponentStopped,
    ComponentStopping,
    Constructed,
    Constructing,
    Disabled,
    Failed,
    LifecycleEvent,
    ListenerFailed,
    Moved,
    RolledBack,
    Subscribed,
)
from typedbus.plugins.logs import _SHOWN_BY_RUN, LogFileError, Logging
from typedbus.process._console import console

#: What every record has, and what structlog calls what is in every one of its own.
TAKEN = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"} | {
    "event",
    "level",
    "logger",
    "timestamp",
    "exception",
    "stack",
}
numbers = itertools.count()


class Records(logging.Handler):
    """A handler that keeps every record."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.all.append(record)

    @property
    def texts(self) -> list[str]:
        """The texts of the records, without times."""
        return [record.getMessage().partition(" (")[0] for record in self.all]


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """Yield a logger for the test that propagates all records, and has no handler."""
    logger = logging.getLogger(f"typedbus-test-{next(numbers)}")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield logger
    for handler in list(logger.handlers):
        logger.removeHandler(handler)


@pytest.fixture
def records(log: logging.Logger) -> Records:
    """Yield the records of that logger."""
    records = Records()
    log.addHandler(records)
    return records


class Part:
    def __init__(self, *needs: object) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def exit(self) -> None: ...


def fail() -> None:
    raise OSError("no heat")


EVENTS = [
    (Moved(State.STOPPED, State.STARTING), "INFO", "bus STARTING", {"before": "STOPPED", "after": "STARTING"}),
    (Constructing("A.b"), "DEBUG", "constructing A.b", {"component": "A.b"}),
    (Constructed("A.b", 0.5), "DEBUG", "constructed A.b (500.0 ms)", {"component": "A.b", "seconds": 0.5}),
    (
        Subscribed("A.b", 0.5, ("A.c",)),
        "DEBUG",
        "subscribed A.b (500.0 ms)",
        {"component": "A.b", "seconds": 0.5, "needs": ("A.c",)},
    ),
    (Disabled("A.b", "no flag"), "INFO", "disabled A.b: no flag", {"component": "A.b", "reason": "no flag"}),
    (ComponentStarting("A.b"), "DEBUG", "starting A.b", {"component": "A.b"}),
    (ComponentStarted("A.b", 0.5), "INFO", "started A.b (500.0 ms)", {"component": "A.b", "seconds": 0.5}),
    (ComponentStopping("A.b"), "DEBUG", "stopping A.b", {"component": "A.b"}),
    (ComponentStopped("A.b", 0.5), "INFO", "stopped A.b (500.0 ms)", {"component": "A.b", "seconds": 0.5}),
    (ComponentExiting("A.b"), "DEBUG", "exiting A.b", {"component": "A.b"}),
    (ComponentExited("A.b", 0.5), "DEBUG", "exited A.b (500.0 ms)", {"component": "A.b", "seconds": 0.5}),
    (
        RolledBack(0.5, None, ("A.b", "A.c")),
        "WARNING",
        "rolled back the start: 2 stopped (500.0 ms)",
        {"seconds": 0.5, "stopped": ("A.b", "A.c")},
    ),
]
FAILURES = [
    (
        Failed("A.b", "start", 0.5, OSError("no heat")),
        "failed A.b in start (500.0 ms): OSError('no heat')",
        {"component": "A.b", "hook": "start", "seconds": 0.5},
    ),
    (
        Failed("A.b", "stop", 0.5, HookTimeout("A.b", "stop", "a.py:1", 0.5, 0.5, "hook", "in hang\n", ())),
        "failed A.b in stop (500.0 ms): given up",
        {"component": "A.b", "hook": "stop", "seconds": 0.5},
    ),
    (
        ListenerFailed("A.b.hear", "order_placed", OSError("no heat")),
        "failed A.b.hear on order_placed: OSError('no heat')",
        {"listener": "A.b.hear", "channel": "order_placed"},
    ),
]


def kind_of(event: LifecycleEvent) -> str:
    """Return the name of the event's channel, without ``component_``."""
    return EVENT_CHANNELS[type(event)].name.removeprefix("component_")


@pytest.mark.parametrize(("event", "level", "text", "keys"), EVENTS, ids=lambda value: type(value).__name__)
def test_each_event_is_a_record_with_its_kind_and_its_fields(
    log: logging.Logger, records: Records, event: LifecycleEvent, level: str, text: str, keys: dict[str, object]
) -> None:
    """Level, text and keys are as documented; the kind is the name of the event's channel without ``component_``."""
    bus = Bus()
    Logging(bus, logger=log.name)

    parts_of(bus).registry.observers.publish(event)

    (record,) = records.all
    assert (record.levelname, record.getMessage(), record.exc_info) == (level, text, None)
    assert {name: value for name, value in vars(record).items() if name not in TAKEN} == {
        "kind": kind_of(event),
        **keys,
    }


@pytest.mark.parametrize(("event", "text", "keys"), FAILURES, ids=["Failed", "overrun", "ListenerFailed"])
def test_a_failure_is_an_error_with_its_traceback(
    log: logging.Logger, records: Records, event: Failed | ListenerFailed, text: str, keys: dict[str, object]
) -> None:
    """A listener that failed, on the life cycle or in a publish, is an ERROR that carries the exception."""
    bus = Bus()
    Logging(bus, logger=log.name)

    parts_of(bus).registry.observers.publish(event)

    (record,) = records.all
    assert (record.levelname, record.getMessage()) == ("ERROR", text)
    assert record.exc_info is not None and record.exc_info[1] is event.error
    assert {name: value for name, value in vars(record).items() if name not in TAKEN} == {
        "kind": kind_of(event),
        **keys,
    }


def test_a_message_keeps_its_level_and_its_percent_signs(log: logging.Logger, records: Records) -> None:
    """A message on LOG is logged unchanged, at its level."""
    bus = Bus()
    Logging(bus, logger=log.name)

    bus.log("100 %s", logging.WARNING)

    (record,) = records.all
    assert (record.levelname, record.getMessage()) == ("WARNING", "100 %s")
    assert record.__dict__["kind"] == "log"


def test_a_record_that_no_handler_writes_is_not_formatted(log: logging.Logger, records: Records) -> None:
    """Records carry their arguments, so that no text is formatted in vain."""
    bus = Bus()
    Logging(bus, logger=log.name)

    parts_of(bus).registry.observers.publish(ComponentStarted("A.b", 0.5))

    assert (records.all[0].msg, records.all[0].args) == ("started %s (%.1f ms)", ("A.b", 500.0))


def test_the_log_begins_at_the_construction_and_ends_at_the_exit(log: logging.Logger, records: Records) -> None:
    """In a container every event from the construction of the component to EXITED is logged."""

    class Site(Container):
        bus = Component(Bus)
        part = Component(Part)
        logs = Component(Logging, bus.provided, logger=log.name)

    with running(Site()):
        pass

    assert records.texts == [
        "constructed Site.logs",
        "subscribed Site.logs",
        "constructing Site.part",
        "constructed Site.part",
        "subscribed Site.part",
        "starting Site.logs",
        "started Site.logs",
        "starting Site.part",
        "started Site.part",
        "bus STARTED",
        "bus STOPPING",
        "stopping Site.part",
        "stopped Site.part",
        "bus STOPPED",
        "bus EXITING",
        "exiting Site.part",
        "exited Site.part",
        "bus EXITED",
    ]


def test_a_start_that_failed_before_the_component_is_logged(log: logging.Logger, records: Records) -> None:
    """The failure of an earlier component, and the rollback, are in the log."""

    class Site(Container):
        bus = Component(Bus)
        logs = Component(Logging, bus.provided, logger=log.name)
        early = Component(Part).on(START.calls(lambda part: fail(), priority=1))

    site = Site()
    with pytest.raises(TransitionFailures):
        site.attach().start()

    assert "failed Site.early in start" in records.texts
    assert "bus STOPPING" in records.texts


def test_the_exit_removes_listeners_and_handlers(log: logging.Logger, tmp_path: Path) -> None:
    """The level of the logger is restored, too."""
    log.setLevel(logging.WARNING)
    before = list(log.handlers)
    bus = Bus()
    logs = Logging(bus, logger=log.name, console=True, file=tmp_path / "site.log")
    during = (len(log.handlers) - len(before), log.level)

    bus.exit()

    assert during == (2, logging.INFO)
    assert (log.handlers, log.level) == (before, logging.WARNING)
    assert (bus[LIFECYCLE].subscriptions, bus[LOG].subscriptions) == ((), ())
    assert logs._file is not None and logs._file.stream is None


def test_each_run_of_a_bus_is_logged_once(log: logging.Logger, records: Records) -> None:
    """A container that is started again after its exit logs with a new component only."""

    class Site(Container):
        bus = Component(Bus)
        logs = Component(Logging, bus.provided, logger=log.name)

    site = Site()
    for _ in range(2):
        with running(site):
            pass

    assert records.texts.count("bus STARTED") == 2


def test_a_failing_log_handler_does_not_disturb_the_bus(
    log: logging.Logger, records: Records, capsys: pytest.CaptureFixture[str]
) -> None:
    """Start, stop and exit continue, and the messages are on stderr."""

    class Broken(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise OSError("disk full")

    log.addHandler(Broken())
    bus = Bus()
    Logging(bus, logger=log.name)

    bus.start()
    bus.log("hello")
    bus.exit()

    assert bus.state is State.EXITED
    assert records.texts[-1] == "bus EXITED"
    assert (
        "hello 20\n(typedbus.plugins.logs.Logging.log_message on 'log' failed: OSError('disk full'))"
        in capsys.readouterr().err
    )
    assert bus[LIFECYCLE].subscriptions == ()


def test_without_file_and_console_the_logger_is_unchanged(log: logging.Logger) -> None:
    """The program configures it: no handler is added and no level is set."""
    log.setLevel(logging.ERROR)
    before = list(log.handlers)
    bus = Bus()

    logs = Logging(bus, logger=log.name)
    logs.start()
    logs.graceful()

    assert (log.handlers, log.level) == (before, logging.ERROR)


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


PLAIN = logging.Formatter("%(message)s")


def on_a_bus(bus: Bus, logs: Logging) -> Logging:
    """Subscribe the hooks of *logs*, as a container does."""
    bus[START].subscribe(logs.start, priority=15)
    bus[GRACEFUL].subscribe(logs.graceful)
    return logs


def test_a_file_is_opened_at_the_start_and_has_the_earlier_records(log: logging.Logger, tmp_path: Path) -> None:
    """It is not opened earlier, because the process may become a daemon; no record is lost."""
    path = tmp_path / "site.log"
    bus = Bus()
    # What is no text comes by the format, since pytest cannot pass such a message on between processes.
    on_a_bus(bus, Logging(bus, logger=log.name, file=path, formatter=logging.Formatter("\udc80 %(message)s")))
    bus.log("early")
    before = path.exists()

    bus.start()
    bus.log("läte")

    assert not before
    assert [line.partition(" (")[0] for line in lines_of(path)] == [
        "\\udc80 early",
        "\\udc80 bus STARTING",
        "\\udc80 started typedbus.plugins.logs.Logging.start",
        "\\udc80 bus STARTED",
        "\\udc80 läte",
    ]
    bus.exit()


def test_a_file_has_the_records_of_the_loggers_below(log: logging.Logger, tmp_path: Path) -> None:
    """With the logger of the whole program the file has all of its log."""
    path = tmp_path / "site.log"
    bus = Bus()
    on_a_bus(bus, Logging(bus, logger=log.name, file=path, level=logging.WARNING))

    bus.start()
    logging.getLogger(f"{log.name}.orders").warning("%d left", 2)
    bus.exit()

    (line,) = lines_of(path)
    assert line.endswith(f"WARNING {log.name}.orders: 2 left")


def test_a_record_from_before_the_start_is_formatted_at_once(log: logging.Logger, tmp_path: Path) -> None:
    """It shows the state of its arguments at that time."""
    path = tmp_path / "site.log"
    bus = Bus()
    logs = Logging(bus, logger=log.name, file=path, formatter=PLAIN)
    left = ["mugs", "tea"]
    log.info("left: %s", left)
    left.clear()

    logs.start()

    assert lines_of(path) == ["left: ['mugs', 'tea']"]
    bus.exit()


def test_any_thread_may_write_to_the_file(log: logging.Logger, tmp_path: Path) -> None:
    """Opening it does not exclude other threads."""
    path = tmp_path / "site.log"
    bus = Bus()
    on_a_bus(bus, Logging(bus, logger=log.name, file=path, formatter=PLAIN))
    bus.start()
    thread = threading.Thread(target=bus.log, args=["from elsewhere"], daemon=True)

    thread.start()
    thread.join(30)

    assert not thread.is_alive()
    assert lines_of(path)[-1] == "from elsewhere"
    bus.exit()


def die(error: BaseException, *, bus: Bus | None = None) -> None:
    """End a thread with *error*; *bus* owns it, if given."""

    def work() -> None:
        raise error

    thread = threading.Thread(target=work, name="consumer")
    if bus is not None:
        bus.own(thread)
    thread.start()
    thread.join(10)


@pytest.fixture
def hooked() -> Iterator[list[BaseException | None]]:
    """The arguments of the calls of the test's `threading.excepthook`."""
    errors: list[BaseException | None] = []
    before = threading.excepthook
    threading.excepthook = lambda args: errors.append(args.exc_value)
    yield errors
    threading.excepthook = before


def test_the_exception_that_ends_a_thread_is_in_the_file(
    log: logging.Logger, tmp_path: Path, hooked: list[BaseException | None]
) -> None:
    """As an error with its traceback, from the construction to the exit; the previous hook is called as well."""
    file = tmp_path / "site.log"
    hook = threading.excepthook
    bus, errors = Bus(), [OSError(text) for text in ("before the start", "started", "exited")]
    logs = Logging(bus, logger=log.name, file=file)
    bus[START].subscribe(logs.start)

    die(errors[0])
    bus.start()
    die(errors[1])
    die(SystemExit(0))
    bus.exit()
    die(errors[2])

    text = file.read_text()
    assert text.count("ERROR") == text.count("thread 'consumer' died of an exception\nTraceback") == 2
    assert "OSError: before the start" in text
    assert "OSError: started" in text
    assert [error for error in hooked if isinstance(error, OSError)] == errors
    assert threading.excepthook is hook


def test_the_exception_that_ends_a_thread_of_the_bus_is_logged_once(
    log: logging.Logger, records: Records, hooked: list[BaseException | None]
) -> None:
    """The bus itself reports it."""
    bus = Bus()
    Logging(bus, logger=log.name)

    die(OSError("broker gone"), bus=bus)
    bus.exit()

    assert ["broker gone" in record.getMessage() for record in records.all if record.levelname == "ERROR"] == [True]


@pytest.mark.parametrize("first_ends_first", [False, True])
def test_the_thread_hook_is_restored_in_any_order_of_ends(
    log: logging.Logger, records: Records, hooked: list[BaseException | None], first_ends_first: bool
) -> None:
    """A hook that has not ended is still called."""
    hook, buses = threading.excepthook, [Bus(), Bus()]
    for bus in buses:
        Logging(bus, logger=log.name)
    ending, going_on = buses if first_ends_first else reversed(buses)

    ending.exit()
    die(OSError("broker gone"))
    going_on.exit()

    assert len([record for record in records.all if record.levelname == "ERROR"]) == len(hooked) == 1
    assert threading.excepthook is hook


def test_the_thread_hook_keeps_no_component_alive(
    log: logging.Logger, records: Records, hooked: list[BaseException | None]
) -> None:
    """Neither the component nor its bus."""
    bus = Bus()
    Logging(bus, logger=log.name)
    reference = weakref.ref(bus)
    del bus
    gc.collect()

    die(OSError("broker gone"))

    assert reference() is None
    assert len(hooked) == 1


def test_a_second_start_continues_the_same_file(log: logging.Logger, tmp_path: Path) -> None:
    """A stop does not close it, and the earlier records are written once."""
    path = tmp_path / "site.log"
    bus = Bus()
    logs = on_a_bus(bus, Logging(bus, logger=log.name, file=path, formatter=PLAIN))
    bus.start()
    stream = logs._file.stream if logs._file else None
    bus.stop()

    bus.start()

    assert logs._file is not None and logs._file.stream is stream is not None
    assert lines_of(path).count("bus STARTED") == 2
    bus.exit()


def test_graceful_reopens_a_file_that_was_moved(log: logging.Logger, tmp_path: Path) -> None:
    """Earlier records are in the old file, later records in the new one, and the old one is closed."""
    path, moved = tmp_path / "site.log", tmp_path / "site.log.1"
    bus = Bus()
    logs = on_a_bus(bus, Logging(bus, logger=log.name, file=path, formatter=PLAIN))
    bus.start()
    assert logs._file is not None
    old = logs._file.stream
    bus.log("one")
    path.rename(moved)
    bus.log("two")

    bus.graceful()
    bus.log("three")

    assert lines_of(moved)[-2:] == ["one", "two"]
    assert lines_of(path) == ["three"]
    assert old is not None and old.closed
    bus.exit()


@pytest.mark.parametrize(
    ("name", "number"), [("missing/site.log", errno.ENOENT), ("folder", errno.EISDIR), ("a\0b", errno.EINVAL)]
)
def test_a_file_that_cannot_be_opened_fails_the_start(
    log: logging.Logger, tmp_path: Path, name: str, number: int
) -> None:
    """The start is rolled back with an error that names the file, the reason and the remedy."""
    bus = Bus()
    (tmp_path / "folder").mkdir()
    path = f"{tmp_path}/{name}"
    on_a_bus(bus, Logging(bus, logger=log.name, file=path))

    with pytest.raises(TransitionFailures) as failed:
        bus.start()

    (error,) = failed.value.exceptions
    assert isinstance(error, LogFileError)
    assert (error.errno, error.filename) == (number, path)
    assert str(error).startswith(f"cannot write the log file {path}: ")
    assert "Logging(file=...)" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_file_that_cannot_be_reopened_stays_in_use(log: logging.Logger, tmp_path: Path) -> None:
    """graceful raises the error, and records are written to the open file."""
    folder = tmp_path / "logs"
    folder.mkdir()
    bus = Bus()
    on_a_bus(bus, Logging(bus, logger=log.name, file=folder / "site.log", formatter=PLAIN))
    bus.start()
    folder.rename(tmp_path / "old")

    with pytest.raises(ChannelFailures) as failed:
        bus.graceful()

    bus.log("still here")
    assert isinstance(failed.value.exceptions[0], LogFileError)
    assert lines_of(tmp_path / "old" / "site.log")[-1] == "still here"
    bus.exit()


def test_a_start_that_fails_before_the_file_is_open_is_in_the_file(log: logging.Logger, tmp_path: Path) -> None:
    """The earlier records are written at the exit, with the reason of the failure."""
    path = tmp_path / "site.log"
    bus = Bus()
    on_a_bus(bus, Logging(bus, logger=log.name, file=path, formatter=PLAIN))
    bus[START].subscribe(fail, priority=1)
    with pytest.raises(TransitionFailures):
        bus.start()

    bus.exit()

    assert "OSError: no heat" in lines_of(path)
    assert lines_of(path)[-1] == "bus EXITED"


def test_a_record_that_cannot_be_formatted_is_reported_on_stderr(
    log: logging.Logger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the file is open and on the console as well, a wrong format has no other effect."""
    bus = Bus()
    Logging(bus, logger=log.name, console=True, file=tmp_path / "site.log", formatter=logging.Formatter("%(nobody)s"))

    bus.log("hello")

    errors = capsys.readouterr().err
    assert (errors.count("--- Logging error ---"), errors.count("Arguments: ('hello',)")) == (2, 2)
    bus.exit()


def test_the_console_is_the_stderr_of_the_moment(log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    """It is looked up for each line, so a replacement receives the lines."""
    bus = Bus()
    with capsys.disabled():
        Logging(bus, logger=log.name, console=True, formatter=PLAIN)

    bus.log("hello")
    bus.log("not shown", logging.DEBUG)

    assert capsys.readouterr().err == "hello\n"
    bus.exit()


def test_structlog_has_the_keys_of_each_record(log: logging.Logger, tmp_path: Path) -> None:
    """structlog's formatter renders the records as its own: no key replaces one of its keys."""
    path = tmp_path / "site.log"
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.format_exc_info,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    )
    bus = Bus()
    on_a_bus(bus, Logging(bus, logger=log.name, file=path, formatter=formatter))
    bus[STOP].subscribe(fail)
    bus.start()
    with pytest.raises(TransitionFailures):
        bus.exit()

    records = [json.loads(line) for line in lines_of(path)]
    start = next(one for one in records if one["kind"] == "started")
    failed = next(one for one in records if one["kind"] == "failed")
    assert start["event"].startswith("started typedbus.plugins.logs.Logging.start (")
    assert isinstance(start.pop("seconds"), float)
    assert {name: value for name, value in start.items() if name not in ("event", "message")} == {
        "kind": "started",
        "component": "typedbus.plugins.logs.Logging.start",
        "level": "info",
        "logger": log.name,
    }
    assert (failed["level"], failed["hook"]) == ("error", "stop")
    assert "OSError: no heat" in failed["exception"]


def test_a_failure_in_a_publish_is_logged_with_the_name_of_its_listener(log: logging.Logger, records: Records) -> None:
    """It is an ERROR with the listener and the channel, and is raised in the publisher as well."""
    order_placed = Channel[[], None]("order_placed")
    bus = Bus()
    Logging(bus, logger=log.name)
    bus[order_placed].subscribe(fail)

    with pytest.raises(ChannelFailures):
        bus[order_placed].publish()

    (record,) = records.all
    assert record.__dict__["kind"] == LISTENER_FAILED.name
    assert record.__dict__["channel"] == "order_placed"
    assert str(record.__dict__["listener"]).endswith(".fail")


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Run programs of this source until they end."""

    def run_program(source: str) -> subprocess.CompletedProcess[str]:
        path = tmp_path / "program.py"
        prelude = """
            import logging
            from typedbus import *
            from typedbus.plugins.logs import Logging

            class Part:
                def __init__(self, bus: Bus) -> None:
                    self.bus = bus
                def main(self) -> None:
                    self.bus.log("hello")
                    logging.getLogger("site.part").warning("two left")
                    self.bus.request_exit()
        """
        path.write_text(textwrap.dedent(prelude) + textwrap.dedent(source), encoding="utf-8")
        return subprocess.run(
            [sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )

    return run_program


@pytest.mark.slow
def test_a_program_writes_no_record_twice(program: Callable[[str], subprocess.CompletedProcess[str]]) -> None:
    """Under `run`, the console has only what `run` does not show, and the file has everything."""
    ended = program("""
        class Site(Container):
            bus = Component(Bus)
            logs = Component(Logging, bus.provided, logger="site", console=True, file="site.log")
            part = Component(Part, bus.provided)

        status = run(Site)
        print(open("site.log").read())
        raise SystemExit(status)
    """)

    assert ended.returncode == 0, ended.stderr
    for text in ("hello", "two left", "STARTED", "EXITED"):
        assert ended.stderr.count(text) == 1, ended.stderr
        assert ended.stdout.count(text) == 1, ended.stdout
    assert "WARNING site.part: two left" in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("console", ["True", "False"])
@pytest.mark.parametrize(
    "handler",
    [
        "logging.basicConfig(level=logging.INFO)",
        "logging.basicConfig(level=logging.INFO, stream=open(2, 'w', closefd=False))",
        "from rich import console, logging as r; logging.basicConfig(level=20, handlers=[r.RichHandler("  # noqa: ISC004  # one statement
        "console=console.Console(stderr=True, width=200))])",
        "logging.getLogger('site').addHandler(logging.StreamHandler()); logging.getLogger('site').setLevel(20)",
        "",
    ],
)
def test_records_of_a_handler_on_stderr_are_omitted_by_run_and_the_console(
    program: Callable[[str], subprocess.CompletedProcess[str]], handler: str, console: str
) -> None:
    """Without such a handler `logging` prints nothing."""
    ended = program(f"""
        {handler}

        class Site(Container):
            bus = Component(Bus)
            logs = Component(Logging, bus.provided, logger="site", console={console})
            part = Component(Part, bus.provided)

        raise SystemExit(run(Site))
    """)

    assert ended.returncode == 0, ended.stderr
    for text in ("hello", "two left", "STARTED", "EXITED"):
        assert ended.stderr.count(text) == 1, ended.stderr


@pytest.mark.slow
def test_a_failure_is_not_printed_by_a_logger_without_handlers(
    program: Callable[[str], subprocess.CompletedProcess[str]],
) -> None:
    """`run` has a line for it, and the traceback at its end."""
    ended = program("""
        def fail(part: Part) -> None:
            raise OSError("no port")

        class Site(Container):
            bus = Component(Bus)
            logs = Component(Logging, bus.provided, logger="site")
            part = Component(Part, bus.provided).on(START.calls(fail))

        raise SystemExit(run(Site))
    """)

    assert ended.returncode == 1
    assert ended.stderr.count("Site.part in start") == 1, ended.stderr


@pytest.mark.slow
def test_a_program_without_run_has_all_events_on_the_console(
    program: Callable[[str], subprocess.CompletedProcess[str]],
) -> None:
    """If `run` does not show the events of the bus, the console does."""
    ended = program("""
        bus = Bus()
        Logging(bus, logger="site", console=True)
        bus[MAIN].subscribe(Part(bus).main)
        bus.start()
        bus.block()
    """)

    assert (ended.returncode, ended.stdout) == (0, "")
    assert [line.partition(": ")[2] for line in ended.stderr.splitlines()] == [
        "bus STARTING",
        "bus STARTED",
        "hello",
        "two left",
        "bus STOPPING",
        "bus STOPPED",
        "bus EXITING",
        "bus EXITED",
    ]


@pytest.mark.slow
def test_a_program_whose_log_cannot_be_opened_does_not_start(
    program: Callable[[str], subprocess.CompletedProcess[str]],
) -> None:
    """The status is 1 and the file is named."""
    ended = program("""
        class Site(Container):
            bus = Component(Bus)
            logs = Component(Logging, bus.provided, file="no/such/folder/site.log")
            part = Component(Part, bus.provided)

        raise SystemExit(run(Site))
    """)

    assert ended.returncode == 1
    assert "cannot write the log file" in ended.stderr
    assert "no/such/folder/site.log: No such file or directory" in ended.stderr


def test_the_console_of_run_is_found_by_the_name_of_its_listener() -> None:
    """Otherwise a program under `run` would print each record twice."""
    bus = Bus()
    with console(io.StringIO(), bus):
        assert _SHOWN_BY_RUN in [subscription.name for subscription in bus[LIFECYCLE].subscriptions]
