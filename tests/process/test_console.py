"""The output of `run` about the life cycle, as plain lines and on real pseudo-terminals."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO, TypeAlias

import attrs
import pytest
import rich.console
from rich.logging import RichHandler
from tests.terminals import Screen, Terminal

from typedbus import (
    RUN,
    Bus,
    Component,
    Container,
    HookTimeout,
    Resource,
    State,
    Stopping,
    TransitionFailures,
    on,
)
from typedbus.events import (
    LIFECYCLE,
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
from typedbus.process._console import Console, console
from typedbus.testing import running

OVERRUN = HookTimeout("Shop.web", "start", "shop.py:3", 2.0, 2.0, "hook", "  in start", ())


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Terminal]]:
    """Make terminals with colours."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    terminals: list[Terminal] = []

    def plug_in(*size: int) -> Terminal:
        terminals.append(Terminal(*size))
        # Rich asks the terminal of the process, which is not this one.
        monkeypatch.setenv("COLUMNS", str(terminals[-1].size[1]))
        return terminals[-1]

    yield plug_in
    for terminal in terminals:
        terminal.close()


@attrs.define(eq=False)
class Part:
    """Calls functions when it starts and stops."""

    starting: Callable[[], object] = lambda: None
    stopping: Callable[[], object] = lambda: None
    needed: object = None

    def start(self) -> None:
        self.starting()

    def stop(self) -> None:
        self.stopping()


def looking_at(stream: TextIO | io.StringIO | Terminal | None, shop: Container) -> Console:
    """Return the console of *shop* on *stream*."""
    shown: object = stream.stream if isinstance(stream, Terminal) else stream
    return console(shown, shop.attach())  # type: ignore[arg-type]  # typeshed's StringIO is a TextIO but for its name


def shop_of(*parts: Component[Any], workers: int = 1) -> Container:
    """Return a container of *parts*, called Shop.part0 and so on."""
    declared = {f"part{number}": part for number, part in enumerate(parts)}
    made: Container = type("Shop", (Container,), {"bus": Component(Bus, workers=workers), **declared})()
    return made


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Moved(State.STOPPED, State.EXITED), "bus      EXITED\n"),
        (Constructing("Shop.web"), ""),
        (Constructed("Shop.web", 0.0125), "built    Shop.web (12.5 ms)\n"),
        (Subscribed("Shop.web", 0.5, ()), ""),
        (Disabled("Shop.web", "no port"), "disabled Shop.web: no port\n"),
        (ComponentStarting("Shop.web"), ""),
        (ComponentStarted("Shop.web", 0.0125), "started  Shop.web (12.5 ms)\n"),
        (ComponentStopping("Shop.web"), ""),
        (ComponentStopped("Shop.web", 0.0125), "stopped  Shop.web (12.5 ms)\n"),
        (ComponentExiting("Shop.web"), ""),
        (ComponentExited("Shop.web", 0.0125), "exited   Shop.web (12.5 ms)\n"),
        (Failed("Shop.web", "start", 0.5, OSError("no")), "failed   Shop.web in start (500.0 ms): OSError('no')\n"),
        (Failed("Shop.web", "start", 2.0, OVERRUN), "failed   Shop.web in start (2000.0 ms): given up\n"),
        (RolledBack(0.5, None, ("a", "b")), "rolled back the start: 2 stopped (500.0 ms)\n"),
        (ListenerFailed("tell", "placed", OSError("no")), "failed   tell on placed: OSError('no')\n"),
    ],
    ids=lambda given: type(given).__name__ if not isinstance(given, str) else "",
)
def test_each_event_has_at_most_one_line(event: LifecycleEvent, line: str) -> None:
    """A step has its line when it has ended."""
    stream, bus = io.StringIO(), Bus()

    with console(stream, bus):
        bus[LIFECYCLE].publish(event)

    assert stream.getvalue() == line


def test_a_message_has_a_line() -> None:
    """Messages on LOG are written among the events."""
    stream, bus = io.StringIO(), Bus()

    with console(stream, bus):
        bus.log("hello")

    assert stream.getvalue() == "log      hello\n"


def test_a_console_listens_for_the_length_of_its_block() -> None:
    """After it, nothing is written."""
    stream, bus = io.StringIO(), Bus()

    with console(stream, bus):
        bus.start()
    bus.log("unheard")
    bus.exit()

    assert stream.getvalue() == "bus      STARTING\nbus      STARTED\n"


@pytest.mark.parametrize("is_closed", [True, False])
def test_a_closed_or_missing_stream_does_not_keep_a_container_from_starting(
    is_closed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error of a closed stream is reported elsewhere."""
    stream = io.StringIO() if is_closed else None
    if stream is not None:
        stream.close()
    shop = shop_of(Component(Part))

    with looking_at(stream, shop), running(shop):
        state = shop.attach().state

    assert state is State.STARTED
    assert ("closed file" in capsys.readouterr().err) == is_closed


def test_the_thread_of_a_console_ends_with_each_transition() -> None:
    """A process that forks or ends between transitions does not have it."""
    seen: list[int] = []

    def count(*event: object) -> None:
        seen.append(sum(thread.name == "console" for thread in threading.enumerate()))

    shop = shop_of(Component(Part, count, count))
    with looking_at(io.StringIO(), shop), running(shop):
        count()
    count()

    assert seen == [1, 0, 1, 0]


def test_a_console_that_is_left_in_the_middle_of_a_start_ends_its_thread() -> None:
    """It must not write to a stream that its owner may close."""
    bus = Bus()

    with console(io.StringIO(), bus):
        bus[LIFECYCLE].publish(Moved(State.STOPPED, State.STARTING))

    assert "console" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.slow
def test_a_slow_component_is_named_once_in_plain_lines() -> None:
    """The line appears while the component delays the start, after a second."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as log, os.fdopen(writing, "w") as stream:

        def until_named() -> None:
            lines.extend(iter(log.readline, "starting Shop.part1 ...\n"))
            lines.append("and so it is")

        lines: list[str] = []
        shop = shop_of(Component(Part), Component(Part, until_named), Component(Part))
        with looking_at(stream, shop), running(shop):
            stream.close()
            lines.extend(log)

    begun = lines.index("and so it is")
    assert lines[begun - 1].startswith("started  Shop.part0 ")
    assert lines[begun + 1].startswith("started  Shop.part1 ")
    assert not [line for line in lines if "..." in line]


@pytest.mark.slow
def test_a_slow_resource_is_named_while_it_is_opened() -> None:
    """Its construction, which is a part of its start, has ended before."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as log, os.fdopen(writing, "w") as stream:

        def opened() -> Iterator[None]:
            lines.extend(iter(log.readline, "starting Shop.part0 ...\n"))
            yield

        lines: list[str] = []
        with looking_at(stream, shop := shop_of(Resource(opened))), running(shop):
            stream.close()

    assert [line for line in lines if line.startswith("bus")] == ["bus      STARTING\n"]


@pytest.mark.slow
def test_a_component_that_has_ended_is_not_named() -> None:
    """Nor one whose constructor failed, in the next phase."""
    bus = Bus()
    reading, writing = os.pipe()
    with os.fdopen(reading) as log, os.fdopen(writing, "w") as stream, console(stream, bus):
        bus[LIFECYCLE].publish(Moved(State.STOPPED, State.STARTING))
        bus[LIFECYCLE].publish(Constructing("Shop.broken"))
        bus[LIFECYCLE].publish(Failed("Shop", "assemble", 0.0, OSError("no database")))
        bus[LIFECYCLE].publish(Moved(State.STARTING, State.STOPPING))
        bus[LIFECYCLE].publish(ComponentStopping("Shop.one"))
        one = list(iter(log.readline, "stopping Shop.one ...\n"))
        bus[LIFECYCLE].publish(ComponentStopping("Shop.other"))
        other = list(iter(log.readline, "stopping Shop.other ...\n"))

    assert one[0] == "bus      STARTING\n"
    assert one[2:] == ["bus      STOPPING\n"]
    assert other == []


@pytest.mark.slow
def test_a_slow_start_has_a_status_line(plug: Callable[..., Terminal]) -> None:
    """It has the components, their durations, and how many have started; it disappears with the start."""
    terminal = plug()
    shown: list[Screen] = []

    def look() -> None:
        terminal.reach("starting 1 of 3: 1.")
        shown.append(terminal.screen())

    shop = shop_of(Component(Part), Component(Part, look), Component(Part))
    with looking_at(terminal, shop), running(shop):
        terminal.reach("3 components, slowest Shop.part1 (")
        after = terminal.screen()

    assert re.fullmatch(r"starting 1 of 3: 1\.\d s Shop\.part1", shown[0].text_lines[-1])
    assert not shown[0].has_cursor
    assert after.text_lines == [
        "bus      STARTING",
        *(f"built    Shop.part{number}" for number in range(3)),
        *(f"started  Shop.part{number}" for number in range(3)),
        "bus      STARTED: 3 components, slowest Shop.part1",
    ]
    assert after.has_cursor
    assert after.column == 0


@pytest.mark.slow
def test_a_run_that_delays_a_stop_is_in_the_status_line(plug: Callable[..., Terminal]) -> None:
    """The status line has the run before the first hook of the stop is called."""
    terminal = plug()
    begun = threading.Event()

    class Consumer:
        @on(RUN)
        def consume(self, stopping: Stopping) -> None:
            begun.set()
            stopping.wait()
            terminal.reach("stopping 0 of 1: 1.")
            shown.append(terminal.screen())

    shown: list[Screen] = []
    shop = shop_of(Component(Consumer))
    with looking_at(terminal, shop), running(shop):
        assert begun.wait(60)

    assert re.fullmatch(r"stopping 0 of 1: 1\.\d s Shop\.part0", shown[0].text_lines[-1])


def lines_around(terminal: Terminal, start: Callable[[], object]) -> list[str]:
    """Return the terminal's lines apart from those of the console, if *start* is a start hook and stderr is the terminal."""
    shop = shop_of(Component(Part, start))
    with contextlib.redirect_stderr(terminal.stream), looking_at(terminal, shop), running(shop):
        terminal.reach("1 component")
        assert sys.stderr is terminal.stream
        text_lines = terminal.screen().text_lines
    for line in ("bus      STARTING", "built    Shop.part0", "started  Shop.part0", "bus      STARTED: 1 component"):
        text_lines.remove(line)
    return text_lines


@pytest.mark.slow
def test_text_that_is_printed_meanwhile_is_above_the_status_line(plug: Callable[..., Terminal]) -> None:
    """It is unchanged, whatever its length and content."""
    terminal = plug(6, 40)
    lines = [f"part is at [{number}] of [/all] :smile:" for number in range(9)]

    def chatter() -> None:
        terminal.reach("starting 0 of 1: 1.")
        print("\n".join(lines), file=sys.stderr)
        print("longword " * 5, file=sys.stderr)
        print("half a line", end="", file=sys.stderr)
        print(" and the rest", file=sys.stderr)
        print("half a [/line] :smile: 1", end="", flush=True, file=sys.stderr)
        terminal.reach("half a [/line] :smile: 1")
        seen.extend(terminal.screen().text_lines[-2:])

    seen: list[str] = []
    text_lines = lines_around(terminal, chatter)

    half = "half a [/line] :smile: 1"
    assert text_lines == [*lines, "longword " * 4 + "long", "word", "half a line and the rest", half]
    assert seen[0] == half
    assert seen[1].startswith("starting 0 of 1: 1.")


@pytest.mark.slow
def test_an_incomplete_line_is_not_lost(plug: Callable[..., Terminal]) -> None:
    """Neither before the status line appears, nor when it disappears."""
    terminal = plug()

    def start() -> None:
        print("loading ...", end="", flush=True, file=sys.stderr)
        terminal.reach("starting 0 of 1: 1.")
        terminal.reach("starting 0 of 1: 1.", times=2)
        print("nearly", end="", file=sys.stderr)

    text_lines = lines_around(terminal, start)

    assert text_lines == ["loading ...", "nearly"]


@pytest.mark.slow
def test_handlers_of_the_root_logger_write_above_the_status_line(plug: Callable[..., Terminal]) -> None:
    """Whether they were added before it appeared or later."""
    terminal = plug()
    handlers: list[logging.StreamHandler[TextIO]] = [logging.StreamHandler(terminal.stream)]

    def start() -> None:
        terminal.reach("starting 0 of 1: 1.")
        logging.getLogger("shop").warning("made before")
        handlers.append(logging.StreamHandler(sys.stderr))
        logging.getLogger().addHandler(handlers[1])
        logging.getLogger().removeHandler(handlers[0])
        logging.getLogger("shop").warning("made meanwhile")
        logging.getLogger().addHandler(handlers[0])

    logging.getLogger().addHandler(handlers[0])
    try:
        text_lines = lines_around(terminal, start)
    finally:
        for handler in handlers:
            logging.getLogger().removeHandler(handler)

    assert text_lines == ["made before", "made meanwhile"]
    assert [handler.stream for handler in handlers] == [terminal.stream] * 2


@pytest.mark.slow
def test_no_writer_of_a_stream_breaks_the_status_line(plug: Callable[..., Terminal]) -> None:
    """Handlers of any logger, code that holds a stream, its buffer or its method, and rich's handler."""
    terminal = plug(30, 80)
    stream, method = terminal.stream, terminal.stream.write
    log = logging.getLogger("shop.joined")
    log.propagate = False
    other = open(terminal.slave, "w", encoding="utf-8", closefd=False)
    handlers = [
        logging.StreamHandler(stream),
        logging.StreamHandler(other),
        RichHandler(console=rich.console.Console(file=stream), show_time=False, show_path=False, show_level=False),
    ]
    for handler in handlers:
        log.addHandler(handler)

    def start() -> None:
        terminal.reach("starting 0 of 1: 1.")
        for number in range(3):
            log.warning("record %d", number)
        method("kept method\n")
        stream.flush()
        stream.buffer.write(b"bytes\ntwo lines\n")
        stream.buffer.flush()
        print("printed", file=stream)

    try:
        text_lines = lines_around(terminal, start)
        # The streams are restored.
        raw: Any = stream.buffer.raw  # type: ignore[attr-defined]  # typeshed names a base class
        assert "write" not in vars(raw)
        print("afterwards", file=stream)
        terminal.reach("afterwards")
    finally:
        for handler in handlers:
            log.removeHandler(handler)
        other.close()

    records = [f"record {number}" for number in range(3) for _ in handlers]
    kept = ["kept method", "bytes", "two lines", "printed"]
    assert [line.strip() for line in text_lines] == [*records, *kept]


@pytest.mark.slow
@pytest.mark.usefixtures("plug")
def test_a_terminal_that_hangs_up_does_not_keep_a_container_from_starting() -> None:
    """Streams and handlers are restored."""
    master, slave = os.openpty()

    def start() -> None:
        written = b""
        while b"starting 0 of 1: 1." not in written:
            written += os.read(master, 4096)
        os.close(master)

    # The rest of the buffer cannot be written.
    with contextlib.suppress(OSError), os.fdopen(slave, "w", encoding="utf-8") as stream:
        shop, handler = shop_of(Component(Part, start)), logging.StreamHandler(stream)
        logging.getLogger().addHandler(handler)
        try:
            with contextlib.redirect_stderr(stream), looking_at(stream, shop), running(shop):
                state, streams = shop.attach().state, (sys.stderr, handler.stream)
        finally:
            logging.getLogger().removeHandler(handler)

    assert state is State.STARTED
    assert streams == (stream, stream)


@pytest.mark.usefixtures("plug")
def test_a_terminal_that_is_redirected_to_a_file_gets_plain_lines(tmp_path: Path) -> None:
    """A process that continues as a daemon writes no colours into its log."""
    log = tmp_path / "log"
    master, slave = os.openpty()

    with os.fdopen(slave, "w", encoding="utf-8") as stream, log.open("wb") as file:
        shop = shop_of(Component(Part, lambda: os.dup2(file.fileno(), stream.fileno())))
        with looking_at(stream, shop), running(shop):
            pass
    os.close(master)

    written = log.read_text(encoding="utf-8")
    assert "bus      STARTED\n" in written
    assert "\x1b" not in written


@pytest.mark.slow
def test_a_child_process_breaks_the_status_line_until_the_next_update(plug: Callable[..., Terminal]) -> None:
    """Its text is appended to the status line; the next status line is complete."""
    terminal = plug()

    def start() -> None:
        terminal.reach("starting 0 of 1: 1.")
        terminal.write("from a child\n")
        terminal.reach("starting 0 of 1: 1.", times=3)
        seen.append(terminal.screen().text_lines[-1])

    seen: list[str] = []
    (text_lines,) = lines_around(terminal, start)

    assert re.fullmatch(r"starting 0 of 1: 1\.\d s Shop\.part0from a child", text_lines)
    assert re.fullmatch(r"starting 0 of 1: 1\.\d s Shop\.part0", seen[0])


@pytest.mark.slow
def test_text_that_is_printed_into_a_file_is_unchanged(plug: Callable[..., Terminal]) -> None:
    """Only writes to the terminal redraw the status line."""
    terminal, file = plug(), io.StringIO()

    def start() -> None:
        terminal.reach("starting 0 of 1: 1.")
        print("a result")

    with contextlib.redirect_stdout(file):
        text_lines = lines_around(terminal, start)

    assert file.getvalue() == "a result\n"
    assert text_lines == []


@pytest.mark.slow
def test_components_that_start_concurrently_share_the_status_line(plug: Callable[..., Terminal]) -> None:
    """The longest comes first; the line is cut to the width, with room for a ^C."""
    terminal = plug(12, 40)
    shown: list[str] = []

    def look() -> None:
        terminal.reach("starting 0 of 2: 1.")
        shown.append(terminal.screen().text_lines[-1])

    shop = shop_of(Component(Part, look), Component(Part, look), workers=2)
    with looking_at(terminal, shop), running(shop):
        pass

    assert re.fullmatch(r"starting 0 of 2: 1\.\d s Shop\.part0, 1\.…", shown[0])


@pytest.mark.slow
def test_a_failed_start_restores_the_terminal(plug: Callable[..., Terminal]) -> None:
    """The status line of a slow rollback counts the components that had started; a slow stop alone has a line."""
    terminal = plug()
    fails = threading.Event()

    def start() -> None:
        if fails.is_set():
            terminal.reach("starting 2 of 3: 1.")
            raise OSError("port taken")

    def stop() -> None:
        if fails.is_set():
            terminal.reach("rolling back 1 of 2: 1.")

    first = Component(Part, stopping=stop)
    second = Component(Part, needed=first.provided)
    shop = shop_of(first, second, Component(Part, start, needed=second.provided))
    with looking_at(terminal, shop):
        shop.attach().start()
        shop.attach().stop()
        fails.set()
        with pytest.raises(TransitionFailures):
            shop.attach().start()
    terminal.reach("STOPPED", times=2)
    screen = terminal.screen()

    assert screen.text_lines[-6:] == [
        "started  Shop.part1",
        "failed   Shop.part2 in start: OSError('port taken')",
        "bus      STOPPING",
        "stopped  Shop.part0",
        "rolled back the start: 2 stopped",
        "bus      STOPPED",
    ]
    assert screen.has_cursor


@pytest.mark.slow
def test_a_slow_constructor_is_shown(plug: Callable[..., Terminal]) -> None:
    """Without the number of components, which is not known yet."""
    terminal = plug()

    def build() -> Part:
        terminal.reach("building: 1.")
        return Part()

    shop = shop_of(Component(build))
    with looking_at(terminal, shop), running(shop):
        pass

    assert re.search(r"building: 1\.\d s Shop\.part0", terminal.written)


@pytest.mark.slow
def test_a_terminal_without_colours_has_a_status_line(
    plug: Callable[..., Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_COLOR disables only the colours."""
    terminal = plug()
    monkeypatch.setenv("NO_COLOR", "1")
    shop = shop_of(Component(Part, lambda: terminal.reach("starting 0 of 1: 1.")))

    with looking_at(terminal, shop), running(shop):
        terminal.reach("STARTED")

    assert not re.search(r"\x1b\[[\d;]*3\d", terminal.written)


def put_no_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make rich unavailable."""
    monkeypatch.delitem(sys.modules, "typedbus.process._display", raising=False)
    monkeypatch.setitem(sys.modules, "rich.console", None)


def put_a_dumb_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the terminal one that can only write lines."""
    monkeypatch.setenv("TERM", "dumb")


def put_up_with_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable interactive output by the environment."""
    monkeypatch.setenv("TTY_INTERACTIVE", "0")


@pytest.mark.slow
@pytest.mark.parametrize("put", [put_no_rich, put_a_dumb_terminal, put_up_with_lines], ids=["no rich", "dumb", "lines"])
def test_a_terminal_without_rich_or_cursor_control_gets_plain_lines(
    put: Callable[[pytest.MonkeyPatch], None], plug: Callable[..., Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow components are named in lines."""
    terminal = plug()
    put(monkeypatch)
    shop = shop_of(Component(Part, lambda: terminal.reach("starting Shop.part0 ...")))

    with looking_at(terminal, shop), running(shop):
        terminal.reach("STARTED")

    assert "\x1b" not in terminal.written


def test_a_fast_start_has_no_status_line(plug: Callable[..., Terminal]) -> None:
    """The output has colours, and nothing moves the cursor."""
    terminal = plug()
    shop = shop_of(Component(Part))

    with looking_at(terminal, shop), running(shop):
        terminal.reach("STARTED")

    assert "\x1b[32mstarted \x1b[0m Shop.part0 (" in terminal.written
    assert set(re.findall(r"\x1b(?:\[[\d;]*)?([A-Za-z\d])", terminal.written)) == {"m"}


Begun: TypeAlias = tuple[Terminal, subprocess.Popen[bytes]]

PROGRAM = """
import threading
from typedbus import *

class Hanging:
    def __init__(self, bus: Bus) -> None: ...
    def start(self) -> None:
        # In turns, since a signal that comes just before a thread falls asleep does not wake it.
        while True:
            threading.Event().wait(0.05)

class Shop(Container):
    bus = Component(Bus)
    one_that_never_comes_to_an_end = Component(Hanging, bus.provided)

raise SystemExit(run(Shop))
"""


@pytest.fixture
def begin(plug: Callable[..., Terminal], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Begun]]:
    """Start a program that hangs in its start, on its own terminal, and wait for its status line."""
    children: list[subprocess.Popen[bytes]] = []

    def begin(*size: int) -> Begun:
        terminal = plug(*size)
        monkeypatch.delenv("COLUMNS")
        tty = terminal.slave
        children.append(subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=tty, stdout=tty, stderr=tty))
        terminal.reach("starting 0 of 1: 1.")
        return terminal, children[-1]

    yield begin
    for child in children:
        child.kill()
        child.wait(20)


@pytest.mark.slow
def test_a_program_that_is_ended_at_once_restores_the_terminal(begin: Callable[..., Begun]) -> None:
    """Each signal clears the status line and shows the cursor before its message."""
    terminal, child = begin(24, 120)

    child.send_signal(signal.SIGINT)
    terminal.reach("SIGINT: exiting in order")
    terminal.reach("starting 0 of 1", times=terminal.written.count("starting 0 of 1") + 1)
    child.send_signal(signal.SIGINT)
    status = child.wait(20)
    terminal.reach("most recent call first")
    screen = Screen(terminal.written.split("most recent call first")[0], 24, 120)

    assert status == 128 + signal.SIGINT
    assert "SIGINT: exiting in order; send it again to end at once" in screen.text_lines
    assert "SIGINT again: ending at once; the stacks of all threads:" in screen.text_lines
    assert screen.has_cursor


@pytest.mark.slow
def test_the_status_line_follows_the_size_of_the_terminal(begin: Callable[..., Begun]) -> None:
    """It is cut to the current width."""
    terminal, _ = begin(12, 80)

    terminal.resize(12, 20)

    terminal.reach("starting 0 of 1: …")


@pytest.mark.slow
def test_rich_is_imported_only_for_terminals() -> None:
    """A program whose output is a file does not pay for the import."""
    program = PROGRAM.split("class Hanging")[0] + (
        "class Shop(Container):\n    bus = Component(Bus)\n"
        "shop = Shop()\nshop.attach()[START].subscribe(shop.attach().request_exit)\nrun(shop)\n"
        "import sys; print('rich' in sys.modules)"
    )

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert ended.stdout == "False\n"
