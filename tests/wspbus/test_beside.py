"""
Programs of the old names, run with CherryPy's own bus and with ours, beside each other.

Each is run in processes of its own on both copies that tests/cherrypy/copies.py
makes, and what was printed, logged and left as a status is compared to the
letter. Where ours does otherwise on purpose, the docstring names the defect, by
its number in docs/wspbus/index.md, and all that differs stands here.
"""

from __future__ import annotations

import difflib
import os
import re
import select
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest

if sys.platform == "win32":
    pytest.skip("signals, daemons and privileges are those of Unix", allow_module_level=True)

pytestmark = pytest.mark.slow
root_alone = pytest.mark.skipif(os.getuid() != 0, reason="only root may become somebody else")

PRELUDE = """
import os, signal, sys, threading
from cherrypy.process import plugins, servers, wspbus
from cherrypy.process.wspbus import states

signal.signal(signal.SIGINT, signal.default_int_handler)
# Whatever hangs is ended, daemons included.
signal.alarm(60)
os.register_at_fork(after_in_child=lambda: signal.alarm(60))
bus = wspbus.Bus()


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())


bus.subscribe("log", lambda msg, level: say(level, msg))
"""
FAILING = """
def broken():
    raise ValueError("broken")

bus.subscribe("start", lambda: say("start"), 10)
bus.subscribe("stop", lambda: say("stop"), 10)
bus.subscribe("exit", lambda: say("exit"), 10)
"""
RESTART = """
again = os.environ.get("AGAIN")
say(again, sys.argv[1:], sys.orig_argv[1:], os.getcwd(), sys.flags.optimize, sys.warnoptions)
if again:
    sys.exit(9)
os.environ["AGAIN"] = "again"
"""
CHANGE = """
path = os.path.dirname(os.path.abspath(__file__)) + "/watched"
with open(path, "w") as file:
    file.write("before")
reloader = plugins.Autoreloader(bus, frequency=0.05, match="nothing")
reloader.files.add(path)
reloader.subscribe()
os.execv = lambda path, args: say("execv")
bus.start()
while reloader.mtimes.get(path) is None:
    pass

def block_and(change):
    def tick():
        bus.listeners["main"].clear()
        change()

    bus.subscribe("main", tick)
    bus.block(0.01)
"""
SIGNALS = """
before = signal.getsignal(signal.SIGTERM)
handler = plugins.SignalHandler(bus)
handler.subscribe()
"""
SERVER = """
class Server:
    ready = False
    error = None

    def __init__(self):
        self.going_on = threading.Event()

    def start(self):
        self.going_on.clear()
        say("server starts in", threading.current_thread().name.partition("Thread")[0], threading.current_thread().daemon)
        if self.error is not None:
            raise self.error
        self.ready = True
        self.going_on.wait(10)
        say("server ends")

    def stop(self):
        say("server stops")
        self.ready = False
        self.going_on.set()
        while any(thread.name.startswith("HTTPServer") for thread in threading.enumerate()):
            pass

    def __str__(self):
        return "Server()"

server = Server()
adapter = servers.ServerAdapter(bus, server, "/no/socket")
adapter.subscribe()
"""
DAEMON = """
here = os.path.dirname(os.path.abspath(__file__))
first = os.getpid()
"""
#: What stays on the way from one run to another, and from one traceback to another.
SAME = (
    (r"(?m)^(?:  \+ Exception Group )?Traceback \(most recent call last\):\n(?:[ +|].*\n)+", "Traceback\n"),
    (r"(?m)^Traceback\n(?:\S.*\n)?\n(?:The above|During handling) .*\n\n(?=Traceback)", ""),
    (r"(?m)^raised by .* on channel .*\n", ""),  # the note of a failure, which names the listener again
    (r"(?m)^.*?:\d+: (\w*Warning: .*)\n  .*", r"\1"),
    (r"(?:cherrypy\.process|typedbus\.wspbus)(?:\.\w+)*\.(?=[A-Z])", ""),
    (r"(.* Forking twice\.\n)(.* Forking once\.\n)", r"\2\1"),  # two processes, at the same time
    (r"0x[0-9a-f]+", "0x0"),
    (r"\b(PID:?|started|started daemon) \d+", r"\1 1"),
)
#: Seconds for a program, and for those that came of it, which end themselves before.
PATIENCE = 90

Beside: TypeAlias = Callable[..., tuple[str, str]]


@pytest.fixture(scope="session")
def copies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return CherryPy's process package as it is, and with ours in its place."""
    folder = tmp_path_factory.mktemp("cherrypy")
    subprocess.run([sys.executable, Path(__file__).parents[1] / "cherrypy" / "copies.py", folder], check=True)
    made = folder / "originals", folder / "ours"
    for copy in made:
        # The rest of CherryPy is not what runs here, and takes long to import.
        (copy / "cherrypy" / "__init__.py").write_text("", encoding="utf-8")
    return made


@pytest.fixture
def beside(copies: tuple[Path, Path], tmp_path: Path) -> Iterator[Beside]:
    """Run a program with the original and with ours; return what was seen of each."""
    running: list[tuple[subprocess.Popen[str], int]] = []

    def run(
        *source: str, python: Sequence[str] = (), how: Sequence[str] = ("script.py",), args: Sequence[str] = ()
    ) -> tuple[str, str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        for copy in copies:
            folder = tmp_path / copy.name
            folder.mkdir()
            (folder / "script.py").write_text("".join(map(textwrap.dedent, [PRELUDE, *source])), encoding="utf-8")
            reading, writing = os.pipe()
            program = subprocess.Popen(
                [sys.executable, *python, *how, *args],
                cwd=folder,
                env={**environment, "PYTHONPATH": str(copy)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                pass_fds=[writing],
                umask=0o22,
            )
            os.close(writing)
            running.append((program, reading))
        original, ours = (
            seen(program, ended, tmp_path / copy.name) for copy, (program, ended) in zip(copies, running, strict=True)
        )
        return original, ours

    yield run
    for program, ended in running:
        program.kill()
        program.communicate()
        os.close(ended)


def seen(program: subprocess.Popen[str], ended: int, folder: Path) -> str:
    """Return what was seen of *program*, without what differs from one run to another."""
    out, err = program.communicate(timeout=PATIENCE)
    # Daemons have the other end, too.
    assert select.select([ended], [], [], PATIENCE)[0]
    for stream in ("out", "err"):
        if (folder / stream).exists():
            out += f"in {stream}:\n" + (folder / stream).read_text(encoding="utf-8")
    said = [out, err, f"status {program.returncode}\n"]
    for number, text in enumerate(said):
        for pattern, replacement in SAME:
            text = re.sub(pattern, replacement, text)
        said[number] = text.replace(str(folder), "HERE").replace(sys.executable, "PYTHON")
    said[1] = textwrap.indent(said[1], "! ")
    return lines("".join(said))


def lines(text: str) -> str:
    """Return *text* without indentation and empty lines."""
    return "".join(f"{line.rstrip()}\n" for line in textwrap.dedent(text).splitlines() if line.strip())


def changes(original: str, ours: str) -> str:
    """Return the lines of the original that ours does not have, marked by -, and those that ours has instead, by +."""
    return "".join(line for line in difflib.ndiff(original.splitlines(True), ours.splitlines(True)) if line[0] in "-+")


def test_what_is_published_comes_back_in_order_of_priority(beside: Beside) -> None:
    """The argument wins over the attribute, which wins over 50; the last subscription of the same listener counts."""
    original, ours = beside(
        """
        def named(name, priority=None):
            def listener(*args, **kwargs):
                say(name, args, kwargs)
                return name
            if priority is not None:
                listener.priority = priority
            return listener

        say(bus.publish("nobody"), bus.publish(None), bus.subscribe("x", named("middle")))
        early, late = named("early", 10), named("late", 10)
        bus.subscribe("x", early)
        bus.subscribe("x", late, priority=90)
        say(bus.publish("x", 1, two=2))
        bus.subscribe("x", early, 95)
        say(bus.publish("x"))
        early.priority = 1
        say(bus.publish("x"))
        bus.subscribe(("any", 1), lambda: "hashable")
        say(bus.publish(("any", 1)), sorted(map(str, bus.listeners)))
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_listener_is_unsubscribed_by_equality_and_an_unknown_one_is_ignored(beside: Beside) -> None:
    """Bound methods of the same object are the same listener; the channel stays, without listeners."""
    original, ours = beside(
        """
        class Part:
            def hear(self):
                return "heard"

        part = Part()
        bus.subscribe("x", part.hear)
        bus.subscribe("x", part.hear)
        say(bus.publish("x"), len(bus.listeners["x"]))
        say(bus.unsubscribe("x", Part().hear), bus.unsubscribe("unknown", part.hear), "unknown" in bus.listeners)
        say(bus.unsubscribe("x", part.hear), bus.unsubscribe("x", part.hear))
        say(bus.publish("x"), len(bus.listeners["x"]))
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_publish_sees_the_listeners_that_there_were_when_it_began(beside: Beside) -> None:
    """One that is added is not called, one that is taken away is; a publish may publish again."""
    original, ours = beside(
        """
        def second():
            say("second")

        def third():
            say("third")

        def first():
            say("first")
            bus.unsubscribe("x", second)
            bus.subscribe("x", third, 90)

        bus.subscribe("x", first, 10)
        bus.subscribe("x", second, 50)
        bus.publish("x")
        say("again")
        bus.publish("x")
        bus.subscribe("down", lambda n: n and [n, *bus.publish("down", n - 1)])
        say(bus.publish("down", 3))
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_failures_are_logged_at_40_and_raised_after_the_last_listener(beside: Beside) -> None:
    """What is raised has the instances, and their reprs for a text; it is false while it is empty."""
    original, ours = beside(
        """
        def broken():
            raise ValueError("one")

        def worse():
            raise KeyError("two")

        bus.subscribe("x", broken, 10)
        bus.subscribe("x", lambda: say("between"), 20)
        bus.subscribe("x", worse, 30)
        bus.subscribe("x", lambda: say("last"), 40)
        try:
            bus.publish("x")
        except wspbus.ChannelFailures as error:
            say(repr(str(error)), repr(error) == str(error), error.args, error.get_instances(), bool(error))
            say(error.get_instances() is error.get_instances(), error.delimiter == "\\n", isinstance(error, Exception))
        empty = wspbus.ChannelFailures()
        say(bool(empty), repr(str(empty)))
        try:
            raise LookupError("by hand")
        except LookupError:
            empty.handle_exception()
        say(bool(empty), empty)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_system_exit_in_a_listener_leaves_at_once(beside: Beside) -> None:
    """After a failure the status of success becomes 1; other codes stay."""
    original, ours = beside(
        """
        for before in (False, True):
            for code in (0, 1, 3, "text"):
                bus = wspbus.Bus()
                if before:
                    bus.subscribe("x", lambda: 1 / 0, 10)
                bus.subscribe("x", lambda: sys.exit(code), 20)
                bus.subscribe("x", lambda: say("never"), 30)
                try:
                    bus.publish("x")
                except SystemExit as error:
                    say(before, repr(code), repr(error.code))
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_system_exit_without_a_code_after_a_failure(beside: Beside) -> None:
    """D2: the status of the process would be 0, though something had failed."""
    original, ours = beside(
        """
        bus.subscribe("x", lambda: 1 / 0, 10)
        bus.subscribe("x", lambda: sys.exit(), 20)
        try:
            bus.publish("x")
        except SystemExit as error:
            say(repr(error.code))
        """,
    )

    assert changes(original, ours) == lines(
        """
        - None
        + 1
        """
    )


def test_keyboard_interrupt_in_a_listener_leaves_at_once(beside: Beside) -> None:
    """So does every other exception that is no Exception; nobody after it is called, and none is logged."""
    original, ours = beside(
        """
        class Own(BaseException):
            pass

        for kind in (KeyboardInterrupt, GeneratorExit, Own):
            bus = wspbus.Bus()
            bus.subscribe("log", lambda msg, level: say(level, msg))
            def leave():
                raise kind("leaving")
            bus.subscribe("x", leave, 20)
            bus.subscribe("x", lambda: say("never"), 30)
            try:
                bus.publish("x")
            except BaseException as error:
                say(type(error).__name__, error)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_log_listener_that_fails_is_not_logged(beside: Beside) -> None:
    """D4: the failure leaves log(), and whatever wanted to log."""
    original, ours = beside(
        """
        bus = wspbus.Bus()
        def broken(msg, level):
            raise OSError("disk full")
        bus.subscribe("log", broken, 10)
        bus.subscribe("log", lambda msg, level: say(level, msg), 20)
        try:
            bus.log("first")
        except wspbus.ChannelFailures as error:
            say("log raised", error)
        bus.subscribe("x", lambda: 1 / 0, 10)
        bus.subscribe("x", lambda: say("after the failure"), 20)
        try:
            bus.publish("x")
        except wspbus.ChannelFailures as error:
            say("publish raised", error)
        """,
    )

    assert changes(original, ours) == lines(
        """
        - log raised OSError('disk full')
        - publish raised OSError('disk full')
        + after the failure
        + publish raised ZeroDivisionError('division by zero')
        + ! first 20
        + ! (__main__.broken on 'log' failed: OSError('disk full'))
        + ! Error in 'x' listener <function <lambda> at 0x0>
        + ! Traceback
        + ! ZeroDivisionError: division by zero
        + !  40
        + ! (__main__.broken on 'log' failed: OSError('disk full'))
        """
    )


def test_log_has_a_level_and_a_traceback_on_request(beside: Beside) -> None:
    """Level 20 unless given; outside of a handler the traceback is that of None."""
    original, ours = beside(
        """
        bus.log()
        bus.log("debug", 10)
        bus.log("warning", level=30)
        bus.log("nothing handled", traceback=True)
        try:
            1 / 0
        except ZeroDivisionError:
            bus.log("handled", level=40, traceback=True)
        bus.subscribe("log", lambda *args, **kwargs: say(args, kwargs), 90)
        bus.log("positional", level=50)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_the_decorator_subscribes(beside: Beside) -> None:
    """D12: the name of the function that it decorates means None afterwards."""
    original, ours = beside(
        """
        @bus.subscribe("x", priority=5)
        def hear():
            return "heard"

        say(bus.publish("x"), "None" if hear is None else "the function")
        """,
    )

    assert changes(original, ours) == lines(
        """
        - ['heard'] None
        + ['heard'] the function
        """
    )


def test_a_listener_that_was_put_into_the_mapping_is_called(beside: Beside) -> None:
    """The original knows no priority for it, and fails."""
    original, ours = beside(
        """
        bus.listeners["x"] = set()
        say(bus.publish("x"))
        bus.listeners.setdefault("y", set()).add(lambda: "put there")
        try:
            say(bus.publish("y"))
        except KeyError as error:
            say("KeyError")
        """,
    )

    assert changes(original, ours) == lines(
        """
        - KeyError
        + ['put there']
        """
    )


def test_the_states_are_told_apart_by_identity_and_named(beside: Beside) -> None:
    """They are the same objects on the bus and in the module, and may be assigned."""
    original, ours = beside(
        """
        say([getattr(states, name) for name in ("STOPPED", "STARTING", "STARTED", "STOPPING", "EXITING")])
        say(states is wspbus.Bus.states, bus.states is states, bus.state is states.STOPPED, bus.state.name)
        bus.state = states.STARTED
        say(bus.state, bus.state == states.STARTED, bus.state != states.STOPPED)
        bus.own_attribute = 1
        say(bus.own_attribute, bus.execv)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_whole_life_is_logged(beside: Beside) -> None:
    """Every state is told at level 20 before its listeners are called, in whatever state the bus was."""
    original, ours = beside(
        """
        for channel in ("start", "stop", "exit", "graceful"):
            bus.subscribe(channel, lambda channel=channel: say(channel, bus.state))
        say(bus.stop(), bus.state)
        say(bus.start(), bus.state)
        say(bus.graceful(), bus.state)
        say(bus.stop(), bus.state)
        say(bus.exit(), bus.state)
        say("anew")
        bus.start()
        bus.exit()
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_start_when_started_publishes_again(beside: Beside) -> None:
    """There is no guard, and code leans on that."""
    original, ours = beside(
        """
        bus.subscribe("start", lambda: say("start"))
        bus.start()
        bus.start()
        say(bus.state)
        bus.exit()
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_exit_when_exited(beside: Beside) -> None:
    """Everything is stopped again: code that starts a server without the bus leans on that."""
    original, ours = beside(
        """
        bus.subscribe("stop", lambda: say("stop"))
        bus.subscribe("exit", lambda: say("exit"))
        bus.start()
        bus.exit()
        bus.exit()
        say(bus.state)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_start_that_fails_ends_the_process_with_70(beside: Beside) -> None:
    """With the policy of a hard exit; stop and exit are published before, and our log has the error itself."""
    original, ours = beside(
        FAILING,
        """
        bus.hard_exit = 70
        bus.subscribe("start", broken, 20)
        bus.subscribe("start", lambda: say("the rest"), 30)
        bus.start()
        say("never")
        """,
    )

    assert changes(original, ours) == lines(
        """
        - ChannelFailures: ValueError('broken')
        + ValueError: broken
        """
    )


def test_a_start_that_fails_is_raised_to_the_caller(beside: Beside) -> None:
    """D1: the original ends the process of whoever called."""
    original, ours = beside(
        FAILING,
        """
        bus.subscribe("start", broken, 20)
        try:
            bus.start()
        except wspbus.ChannelFailures as error:
            say("raised", error, bus.state)
        """,
    )

    assert changes(original, ours) == lines(
        """
        - ChannelFailures: ValueError('broken')
        + ValueError: broken
        + raised ValueError('broken') states.EXITING
        - status 70
        + status 0
        """
    )


def test_system_exit_in_a_start_listener_has_its_status(beside: Beside) -> None:
    """D2: the original replaces it by 70."""
    original, ours = beside(
        FAILING,
        """
        bus.subscribe("start", lambda: sys.exit(3), 20)
        bus.subscribe("start", lambda: say("never"), 30)
        bus.start()
        """,
    )

    assert changes(original, ours) == lines(
        """
        - ! RuntimeWarning: The main thread is exiting, but the Bus is in the states.STARTING state; shutting it down automatically now. You must either call bus.block() after start(), or call bus.exit() before the main thread exits.
        - status 70
        + status 3
        """
    )


def test_an_exit_in_which_stop_fails_with_a_hard_exit(beside: Beside) -> None:
    """D3: the original does not call the listeners of exit."""
    original, ours = beside(
        FAILING,
        """
        bus.hard_exit = 70
        bus.subscribe("stop", broken, 20)
        bus.subscribe("stop", lambda: say("stop, too"), 30)
        bus.start()
        bus.exit()
        say("never")
        """,
    )

    assert changes(original, ours) == lines(
        """
        + 20 Bus STOPPED
        + 20 Bus EXITING
        + exit
        + 20 Bus EXITED
        """
    )


def test_an_exit_in_which_stop_fails_is_raised_to_the_caller(beside: Beside) -> None:
    """D3: the original ends the process, with nothing flushed."""
    original, ours = beside(
        FAILING,
        """
        bus.subscribe("stop", broken, 20)
        bus.start()
        try:
            bus.exit()
        except wspbus.ChannelFailures as error:
            say("raised", error, bus.state)
        """,
    )

    assert changes(original, ours) == lines(
        """
        + 20 Bus STOPPED
        + 20 Bus EXITING
        + exit
        + 20 Bus EXITED
        + raised ValueError('broken') states.EXITING
        - status 70
        + status 0
        """
    )


def test_an_exit_listener_that_fails_with_a_hard_exit(beside: Beside) -> None:
    """The others are called before; D3: ours tells the end of the exit, too."""
    original, ours = beside(
        FAILING,
        """
        bus.hard_exit = 70
        bus.subscribe("exit", broken, 20)
        bus.subscribe("exit", lambda: say("exit, too"), 30)
        bus.start()
        bus.exit()
        say("never")
        """,
    )

    assert changes(original, ours) == lines(
        """
        + 20 Bus EXITED
        """
    )


def test_a_stop_that_fails_is_raised(beside: Beside) -> None:
    """The bus can be exited afterwards; D3: the original would be left STOPPING."""
    original, ours = beside(
        FAILING,
        """
        bus.subscribe("stop", broken, 20)
        bus.subscribe("stop", lambda: say("stop, too"), 30)
        bus.start()
        try:
            bus.stop()
        except wspbus.ChannelFailures as error:
            say("raised", error)
        bus.unsubscribe("stop", broken)
        bus.exit()
        say(bus.state)
        """,
    )

    assert changes(original, ours) == lines(
        """
        + 20 Bus STOPPED
        """
    )


def test_exit_in_the_middle_of_a_start_with_a_hard_exit(beside: Beside) -> None:
    """A listener that asks for it ends the process with 70, after stop and exit."""
    original, ours = beside(
        FAILING,
        """
        bus.hard_exit = 70
        bus.subscribe("start", lambda: bus.exit(), 20)
        bus.start()
        say("never")
        """,
    )

    assert original.endswith("status 70\n")
    assert ours == original


def test_system_exit_in_a_stop_listener_has_its_status(beside: Beside) -> None:
    """D3: the original leaves exit in the middle, and does not publish it."""
    original, ours = beside(
        FAILING,
        """
        bus.subscribe("stop", lambda: sys.exit(5), 20)
        bus.start()
        try:
            bus.exit()
        except SystemExit as error:
            say("code", error.code)
        bus.state = states.EXITING
        """,
    )

    assert changes(original, ours) == lines(
        """
        + 20 Bus STOPPED
        + 20 Bus EXITING
        + exit
        + 20 Bus EXITED
        """
    )


def test_system_exit_in_a_main_listener_exits_the_bus_and_keeps_its_status(beside: Beside) -> None:
    """The bus exits before it is raised again; ours waits for threads then, too."""
    original, ours = beside(
        FAILING,
        """
        bus.subscribe("main", lambda: sys.exit(4))
        bus.start()
        try:
            bus.block(interval=0.01)
        finally:
            say(bus.state)
        """,
    )

    assert changes(original, ours) == lines(
        """
        + 20 Waiting for child threads to terminate...
        """
    )


def test_keyboard_interrupt_in_a_main_listener_exits_the_bus_with_status_0(beside: Beside) -> None:
    """It is logged, the bus exits, and block returns."""
    original, ours = beside(
        FAILING,
        """
        def interrupt():
            raise KeyboardInterrupt

        bus.subscribe("main", interrupt)
        bus.start()
        say(bus.block(interval=0.01), bus.state)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_an_interrupt_from_outside_exits_the_bus_with_status_0(beside: Beside) -> None:
    """The signal comes while the main thread waits."""
    original, ours = beside(
        FAILING,
        """
        blocking = threading.Event()

        def interrupt():
            blocking.wait()
            threading.Event().wait(0.05)  # in the middle of what it waits between two ticks
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()
        bus.subscribe("main", blocking.set)
        bus.start()
        say(bus.block(), bus.state)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_main_listener_that_fails(beside: Beside) -> None:
    """D14: it would leave block while the bus is STARTED."""
    original, ours = beside(
        FAILING,
        """
        bus.subscribe("main", broken)
        bus.start()
        try:
            bus.block(interval=0.01)
        except wspbus.ChannelFailures as error:
            say("raised", error, bus.state)
        if bus.state is not wspbus.states.EXITING:
            bus.exit()
        """,
    )

    assert changes(original, ours) == lines(
        """
        - raised ValueError('broken') states.STARTED
        + 20 Waiting for child threads to terminate...
        + raised ValueError('broken') states.EXITING
        """
    )


def test_block_waits_for_threads_that_are_no_daemons(beside: Beside) -> None:
    """Each is named in the log, in the order in which they began."""
    original, ours = beside(
        """
        def wait(event):
            event.wait()

        going_on = threading.Event()
        for name in ("one", "two"):
            threading.Thread(target=wait, args=(going_on,), name=name).start()
        threading.Thread(target=wait, args=(threading.Event(),), name="daemon", daemon=True).start()
        bus.subscribe("log", lambda msg, level: going_on.set() if "thread one" in msg else None, 90)
        bus.start()
        bus.exit()
        bus.block()
        say(sorted(thread.name for thread in threading.enumerate()))
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_the_callback_is_called_when_the_bus_has_started(beside: Beside) -> None:
    """In a thread of its own, with a name, and with what it was given."""
    original, ours = beside(
        """
        bus.subscribe("start", lambda: say("start"))
        thread = bus.start_with_callback(lambda *args, **kwargs: say(args, kwargs, bus.state), (1, 2), {"three": 3})
        thread.join()
        say(thread.name.partition("Thread")[0], thread.daemon)
        bus.exit()
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_bus_that_is_left_started_exits_at_the_end_of_the_interpreter(beside: Beside) -> None:
    """A warning says so; the status stays."""
    original, ours = beside(
        FAILING,
        """
        bus.start()
        sys.exit(6)
        """,
    )

    assert original.endswith("status 6\n")
    assert ours == original


def test_a_bus_that_has_exited_is_left_alone_at_the_end_of_the_interpreter(beside: Beside) -> None:
    """As is one that never was started."""
    original, ours = beside(
        FAILING,
        """
        other = wspbus.Bus()
        bus.start()
        bus.exit()
        say("end")
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_bus_that_was_started_and_stopped_exits_at_the_end_of_the_interpreter(beside: Beside) -> None:
    """STOPPED is not EXITING, however often it was started."""
    original, ours = beside(
        FAILING,
        """
        for _ in range(3):
            bus.start()
            bus.stop()
        say("end")
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_restart_executes_the_same_command_in_the_same_directory(beside: Beside) -> None:
    """Options of the interpreter and arguments of the program are kept, and so is the environment."""
    original, ours = beside(
        RESTART,
        """
        os.chdir("/")
        bus.subscribe("exit", lambda: say("exit"))
        bus.start()
        bus.subscribe("main", bus.restart)
        bus.block(0.01)
        say("never")
        """,
        python=["-O", "-W", "ignore"],
        args=["one", "two words", "--three"],
    )

    assert original.endswith("status 9\n")
    assert ours == original


def test_a_restart_is_carried_out_by_whoever_blocks(beside: Beside) -> None:
    """Asked for in another thread, it is executed by the main one."""
    original, ours = beside(
        RESTART,
        """
        def ask():
            # To its end, before the main thread looks again: the original says the two last lines in either order.
            asking = threading.Thread(target=bus.restart, daemon=True)
            asking.start()
            asking.join()

        bus.subscribe("main", ask)
        bus.start()
        bus.block()
        say("never")
        """,
    )

    assert original.endswith("status 9\n")
    assert ours == original


def test_a_restart_without_anybody_in_block_is_an_exit(beside: Beside) -> None:
    """D19: the original says nothing of it."""
    original, ours = beside(
        RESTART,
        """
        bus.start()
        bus.restart()
        say(bus.execv, bus.state)
        """,
    )

    assert changes(original, ours) == lines(
        """
        + 30 Nobody is in block() to replace the process; that is done when it is called.
        """
    )


def test_a_module_is_executed_as_a_module_again(beside: Beside) -> None:
    """-m and the working directory on the path of modules are kept."""
    original, ours = beside(
        RESTART,
        """
        bus.start()
        bus.subscribe("main", bus.restart)
        bus.block(0.01)
        """,
        how=["-m", "script"],
        args=["x"],
    )

    assert original.endswith("status 9\n")
    assert ours == original


def test_arguments_of_the_program_that_look_like_those_of_the_interpreter(beside: Beside) -> None:
    """D17: the original cannot tell them apart."""
    original, ours = beside(
        RESTART,
        """
        bus.start()
        bus.subscribe("main", bus.restart)
        try:
            bus.block(0.01)
        except RuntimeError as error:
            say("RuntimeError")
        """,
        args=["-c", "-c", "x"],
    )

    assert changes(original, ours) == lines(
        """
        - RuntimeError
        + 20 Re-spawning PYTHON script.py -c -c x
        + again ['-c', '-c', 'x'] ['script.py', '-c', '-c', 'x'] HERE 0 []
        - status 0
        + status 9
        """
    )


def test_code_from_the_command_line_is_executed_again(beside: Beside) -> None:
    """With its arguments."""
    original, ours = beside(
        RESTART,
        """
        bus.start()
        bus.subscribe("main", bus.restart)
        bus.block(0.01)
        """,
        how=["-c", "exec(open('script.py').read())"],
        args=["x"],
    )

    assert original.endswith("status 9\n")
    assert ours == original


def test_no_file_but_the_standard_streams_outlives_a_restart(beside: Beside) -> None:
    """Unless the bus is told so."""
    original, ours = beside(
        """
        step = int(os.environ.get("STEP", 0))
        if step:
            try:
                os.fstat(int(os.environ["OPEN"]))
                say("open")
            except OSError:
                say("closed")
        if step == 2:
            sys.exit()
        opened = os.open(os.devnull, os.O_RDONLY)
        os.set_inheritable(opened, True)
        os.environ |= {"STEP": str(step + 1), "OPEN": str(opened)}
        bus.max_cloexec_files = 0 if step else 4096
        bus.start()
        bus.subscribe("main", bus.restart)
        bus.block(0.01)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_the_flag_of_a_restart_that_was_carried_out(beside: Beside) -> None:
    """D19: the next life would be replaced at its end, though nobody asked for it."""
    original, ours = beside(
        """
        os.execv = lambda path, args: say("execv")
        bus.start()
        bus.subscribe("main", bus.restart)
        bus.block(0.01)
        say("the flag is left", bus.execv)
        """,
    )

    assert changes(original, ours) == lines(
        """
        - the flag is left True
        + the flag is left False
        """
    )


def test_what_was_printed_before_a_restart(beside: Beside) -> None:
    """D19: what had not been flushed would be lost."""
    original, ours = beside(
        """
        if "AGAIN" in os.environ:
            sys.exit()
        os.environ["AGAIN"] = "again"
        bus = wspbus.Bus()
        print("printed, not flushed")
        bus.start()
        bus.subscribe("main", bus.restart)
        bus.block(0.01)
        """,
    )

    assert changes(original, ours) == lines(
        """
        + printed, not flushed
        """
    )


def test_a_daemon_is_forked_twice_and_leads_no_session(beside: Beside) -> None:
    """Its working directory stays, its umask is 0, its streams are files, and the command ends with 0."""
    original, ours = beside(
        DAEMON,
        """
        os.umask(0o22)
        plugins.Daemonizer(bus, stdout=here + "/out", stderr=here + "/err").subscribe()
        bus.subscribe("start", lambda: say("before", os.getpid() == first), 60)

        def after():
            say("after", os.getpid() == first, os.getsid(0) == os.getpid(), os.getpgrp() == os.getsid(0), os.umask(0))
            say(os.getcwd() == here, os.readlink("/proc/self/fd/0"), sys.stdin.read() == "")
            os.write(2, b"on stderr\\n")

        bus.subscribe("start", after, 66)
        bus.subscribe("exit", lambda: say("exit"))
        bus.start()
        bus.exit()
        sys.exit(5)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_daemon_that_starts_again(beside: Beside) -> None:
    """D26: it would be forked a second time."""
    original, ours = beside(
        DAEMON,
        """
        daemonizer = plugins.Daemonizer(bus, stdout=here + "/out", stderr=here + "/err")
        daemonizer.subscribe()
        bus.start()
        bus.stop()
        # What is left behind by a fork would log at the same time.
        bus.listeners["log"].clear()
        bus.subscribe("log", lambda msg, level: "Already" in msg and say(level, msg))
        daemon = os.getpid()
        bus.start()
        say("the same process", os.getpid() == daemon)
        bus.exit()
        """,
    )

    assert changes(original, ours) == lines(
        """
        - the same process False
        + the same process True
        """
    )


def test_a_process_becomes_a_daemon_without_a_plugin(beside: Beside) -> None:
    """By a function that is told what it does, and logs nothing on any bus."""
    original, ours = beside(
        DAEMON,
        """
        plugins.Daemonizer.daemonize(stdout=here + "/out", stderr=here + "/err", logger=lambda msg: say("told", msg))
        say("after", os.getpid() == first, os.getsid(0) == os.getpid(), bus.state)
        os.write(2, b"on stderr\\n")
        sys.exit(5)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_daemon_warns_of_threads(beside: Beside) -> None:
    """They are left behind in the parent, so that it is told at level 30 before the fork."""
    original, ours = beside(
        DAEMON,
        """
        threading.Thread(target=threading.Event().wait, name="left behind").start()
        plugins.Daemonizer(bus, stdout=here + "/out", stderr=here + "/err").subscribe()
        bus.start()
        say([thread.name for thread in threading.enumerate()])
        bus.exit()
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_privileges_that_are_not_set_are_warned_of(beside: Beside) -> None:
    """At level 30, and once only."""
    original, ours = beside(
        """
        plugins.DropPrivileges(bus).subscribe()
        bus.start()
        bus.stop()
        bus.start()
        bus.exit()
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_umask_is_set_once(beside: Beside) -> None:
    """It is told in octal."""
    original, ours = beside(
        """
        os.umask(0o22)
        dropping = plugins.DropPrivileges(bus, umask=0o27)
        dropping.subscribe()
        bus.start()
        bus.stop()
        bus.start()
        bus.exit()
        say(oct(os.umask(0)), dropping.umask, dropping.uid, dropping.gid, dropping.finalized)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


@root_alone
def test_privileges_are_dropped_to_a_user_and_a_group_by_name(beside: Beside) -> None:
    """Groups are taken away, too; a second start finds it done."""
    original, ours = beside(
        """
        dropping = plugins.DropPrivileges(bus, umask=0o77, uid="nobody", gid="nogroup")
        say(type(dropping.uid).__name__, type(dropping.gid).__name__)
        dropping.subscribe()
        os.setgroups([0, 1, 2])
        bus.start()
        say(os.getresuid() == (dropping.uid,) * 3, os.getresgid() == (dropping.gid,) * 3, os.getgroups())
        bus.stop()
        bus.start()
        bus.exit()
        """,
    )

    assert changes(original, ours) == lines(
        """
        + 20 runs as user 65534, group 65534, groups [65534]
        - True True []
        + True True [65534]
        """
    )


@root_alone
def test_a_user_without_a_group(beside: Beside) -> None:
    """D28: root's groups would be kept."""
    original, ours = beside(
        """
        plugins.DropPrivileges(bus, umask=0o77, uid="nobody").subscribe()
        os.setgroups([0, 1, 2])
        bus.start()
        say(os.getuid() == 0, os.getgid() == 0, 0 in os.getgroups())
        bus.exit()
        """,
    )

    assert changes(original, ours) == lines(
        """
        + 20 runs as user 65534, group 65534, groups [65534]
        - 20 Running as uid: 'nobody' gid: 'root'
        + 20 Running as uid: 'nobody' gid: 'nogroup'
        - False True True
        + False False False
        """
    )


def test_an_unknown_user_is_refused_at_once(beside: Beside) -> None:
    """As is an unknown group: neither waits for the start."""
    original, ours = beside(
        """
        for what in ("uid", "gid"):
            try:
                plugins.DropPrivileges(bus, **{what: "no such name"})
            except KeyError as error:
                say(what, "KeyError")
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_pid_file_is_written_at_the_start_and_removed_at_the_exit(beside: Beside) -> None:
    """It has the pid and a newline; both are told."""
    original, ours = beside(
        """
        here = os.path.dirname(os.path.abspath(__file__))
        path = here + "/site.pid"
        plugins.PIDFile(bus, path).subscribe()
        bus.start()
        with open(path) as file:
            say(repr(file.read()) == repr(f"{os.getpid()}\\n"))
        bus.stop()
        say(os.path.exists(path))
        bus.start()
        bus.exit()
        say(os.path.exists(path))
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_pid_file_that_is_gone_is_no_failure_of_the_exit(beside: Beside) -> None:
    """D27: ours tells that it is gone."""
    original, ours = beside(
        """
        path = os.path.dirname(os.path.abspath(__file__)) + "/site.pid"
        plugins.PIDFile(bus, path).subscribe()
        bus.start()
        os.remove(path)
        bus.exit()
        say(bus.state)
        """,
    )

    assert changes(original, ours) == lines(
        """
        + 30 HERE/site.pid was removed or changed by another program, and is left as it is
        + 20 PID file removed: 'HERE/site.pid'.
        """
    )


def test_a_pid_file_that_is_somebody_elses_by_now(beside: Beside) -> None:
    """D27: it would be removed with the pid of a process that lives."""
    original, ours = beside(
        """
        path = os.path.dirname(os.path.abspath(__file__)) + "/site.pid"
        plugins.PIDFile(bus, path).subscribe()
        bus.start()
        with open(path, "w") as file:
            file.write("1\\n")
        bus.exit()
        say("still there", os.path.exists(path))
        """,
    )

    assert changes(original, ours) == lines(
        """
        - 20 PID file removed: 'HERE/site.pid'.
        + 30 HERE/site.pid was removed or changed by another program, and is left as it is
        - still there False
        + still there True
        """
    )


def test_a_pid_file_after_an_exit_and_another_start(beside: Beside) -> None:
    """D27: it would not be written again."""
    original, ours = beside(
        """
        path = os.path.dirname(os.path.abspath(__file__)) + "/site.pid"
        plugins.PIDFile(bus, path).subscribe()
        bus.start()
        bus.exit()
        bus.start()
        say("written", os.path.exists(path))
        bus.exit()
        """,
    )

    assert changes(original, ours) == lines(
        """
        - 20 PID 1 already written to 'HERE/site.pid'.
        + 20 PID 1 written to 'HERE/site.pid'.
        - written False
        + written True
        + 20 PID file removed: 'HERE/site.pid'.
        """
    )


def test_a_monitor_calls_back_in_a_thread_of_its_own(beside: Beside) -> None:
    """It has a name and is a daemon; start and stop are told, as is what there was nothing to do for."""
    original, ours = beside(
        """
        called = threading.Event()
        threads = []

        def callback():
            threads.append(threading.current_thread())
            called.set()

        monitor = plugins.Monitor(bus, callback, 0.01, name="watch")
        monitor.subscribe()
        bus.start()
        called.wait(10)
        say(threads[0].name, threads[0].daemon, monitor.thread is threads[0], monitor.frequency, monitor.callback is callback)
        bus.start()
        bus.graceful()
        say(monitor.thread is threads[0])
        bus.stop()
        say(monitor.thread)
        bus.exit()
        plugins.Monitor(bus, callback, 0).start()
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_monitor_that_is_stopped_has_no_thread(beside: Beside) -> None:
    """D23: it would live on until its frequency is over."""
    original, ours = beside(
        """
        monitor = plugins.Monitor(bus, lambda: None, 60)
        monitor.subscribe()
        bus.start()
        thread = monitor.thread
        bus.stop()
        thread.join(1)
        say("alive", thread.is_alive())
        bus.exit()
        """,
    )

    assert changes(original, ours) == lines(
        """
        - alive True
        + alive False
        - 20 No thread running for None.
        + 20 No thread running for Monitor.
        """
    )


def test_a_monitor_that_stops_itself(beside: Beside) -> None:
    """D23: both its old thread and its new one would go on calling."""
    original, ours = beside(
        """
        done = threading.Event()
        calling = []

        def callback():
            calling.append(threading.current_thread())
            if len(calling) == 1:
                bus.graceful()
            elif calling.count(calling[0]) > 1 or len(calling) > 20:
                done.set()

        plugins.Monitor(bus, callback, 0.01, name="watch").subscribe()
        bus.start()
        done.wait(10)
        say("the first one goes on", calling.count(calling[0]) > 1)
        bus.exit()
        """,
    )

    assert changes(original, ours) == lines(
        """
        - the first one goes on True
        + the first one goes on False
        """
    )


def test_a_callback_of_a_monitor_that_fails_is_told_at_40(beside: Beside) -> None:
    """With the function and the traceback."""
    original, ours = beside(
        """
        failed = threading.Event()
        threading.excepthook = lambda args: None

        def callback():
            if not failed.is_set():
                raise ValueError("broken")

        bus.subscribe("log", lambda msg, level: failed.set() if level == 40 else None, 90)
        plugins.Monitor(bus, callback, 0.01, name="watch").subscribe()
        bus.start()
        failed.wait(10)
        bus.exit()
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_monitor_whose_callback_failed_once(beside: Beside) -> None:
    """D23: it would never be called again."""
    original, ours = beside(
        """
        again = threading.Event()
        threading.excepthook = lambda args: None
        calls = []

        def callback():
            calls.append(1)
            if len(calls) == 1:
                raise ValueError("broken")
            again.set()

        monitor = plugins.Monitor(bus, callback, 0.01, name="watch")
        monitor.subscribe()
        bus.start()
        while not again.wait(0.05) and any(thread.name == "watch" for thread in threading.enumerate()):
            pass
        say("called again", again.is_set())
        bus.exit()
        """,
    )

    assert changes(original, ours) == lines(
        """
        - called again False
        + called again True
        """
    )


def test_a_background_task_is_a_daemon_that_sleeps_first(beside: Beside) -> None:
    """It is called with its arguments until it is cancelled."""
    original, ours = beside(
        """
        called = threading.Event()

        def callback(*args, **kwargs):
            if not called.is_set():
                say(args, kwargs)
            called.set()

        task = plugins.BackgroundTask(0.01, callback, [1], {"two": 2}, bus=bus)
        say(task.daemon, task.running, task.interval)
        task.start()
        called.wait(10)
        task.cancel()
        task.join(10)
        say(task.is_alive(), task.running)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_background_task_that_is_cancelled_before_it_runs(beside: Beside) -> None:
    """D23: it would run all the same."""
    original, ours = beside(
        """
        called = threading.Event()
        task = plugins.BackgroundTask(0.01, called.set)
        task.cancel()
        task.start()
        while not called.wait(0.05) and task.is_alive():
            pass
        say("called", called.is_set())
        task.cancel()
        """,
    )

    assert changes(original, ours) == lines(
        """
        - called True
        + called False
        """
    )


def test_a_perpetual_timer_repeats_until_it_is_cancelled(beside: Beside) -> None:
    """It is no daemon, and gone at once."""
    original, ours = beside(
        """
        import warnings
        warnings.simplefilter("ignore")
        called = threading.Semaphore(0)
        timer = plugins.PerpetualTimer(0.01, called.release, bus=bus)
        say(timer.daemon, isinstance(timer, threading.Timer))
        timer.start()
        say([called.acquire(timeout=10) for _ in range(3)])
        timer.cancel()
        timer.join(10)
        say(timer.is_alive())
        long = plugins.PerpetualTimer(3600, called.release)
        long.start()
        long.cancel()
        long.join(10)
        say(long.is_alive())
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_the_reloader_watches_the_files_of_modules_whose_names_match(beside: Beside) -> None:
    """match is looked for at the beginning of the name of a module."""
    original, ours = beside(
        """
        import json.decoder
        reloader = plugins.Autoreloader(bus)
        say(reloader.frequency, reloader.match, reloader.files, reloader.mtimes)
        say(json.decoder.__file__ in reloader.sysfiles(), json.__file__ in reloader.sysfiles())
        reloader.match = r"json\\.dec"
        say([os.path.basename(path) for path in sorted(reloader.sysfiles())])
        reloader.match = r"decoder"
        say(reloader.sysfiles())
        reloader.match = r"^(?!json).+"
        say(json.decoder.__file__ in reloader.sysfiles(), os.__file__ in reloader.sysfiles())
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_the_reloader_restarts_when_a_file_has_changed(beside: Beside) -> None:
    """It names the file."""
    original, ours = beside(
        CHANGE,
        """
        block_and(lambda: os.utime(path, (2_000_000_000, 2_000_000_000)))
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_the_reloader_restarts_when_a_file_is_gone(beside: Beside) -> None:
    """It names the file."""
    original, ours = beside(
        CHANGE,
        """
        block_and(lambda: os.remove(path))
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_the_reloader_and_a_file_that_is_older_than_it_was(beside: Beside) -> None:
    """D25: what is put back from a backup would go unnoticed."""
    original, ours = beside(
        CHANGE,
        """
        told = threading.Timer(3, bus.exit)
        told.daemon = True
        told.start()
        block_and(lambda: os.utime(path, (1_000_000_000, 1_000_000_000)))
        say(bus.execv)
        """,
    )

    assert changes(original, ours) == lines(
        """
        + 20 Restarting because HERE/watched changed.
        + 20 Stopped thread 'Autoreloader'.
        - 20 Stopped thread 'Autoreloader'.
        + 20 Re-spawning PYTHON script.py
        + execv
        """
    )


def test_signals_are_listened_for_and_given_back(beside: Beside) -> None:
    """Both are told, with the handler that was there before."""
    original, ours = beside(
        """
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        handler = plugins.SignalHandler(bus)
        say(sorted(handler.handlers), handler.signals[signal.SIGTERM])
        handler.subscribe()
        say(signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL, sorted(name for name in bus.listeners if name.startswith("SIG")))
        handler.unsubscribe()
        say([signal.getsignal(getattr(signal, name)) for name in ("SIGTERM", "SIGHUP", "SIGUSR1")])
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_signals_that_are_subscribed_twice(beside: Beside) -> None:
    """D16: the handler would restore itself."""
    original, ours = beside(
        """
        handler = plugins.SignalHandler(bus)
        handler.subscribe()
        handler.subscribe()
        handler.unsubscribe()
        say("as before", signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
        """,
    )

    assert changes(original, ours) == lines(
        """
        - 20 Restoring SIGTERM handler <bound method SignalHandler._handle_signal of <SignalHandler object at 0x0>>.
        - 20 Restoring SIGHUP handler <bound method SignalHandler._handle_signal of <SignalHandler object at 0x0>>.
        - 20 Restoring SIGUSR1 handler <bound method SignalHandler._handle_signal of <SignalHandler object at 0x0>>.
        + 20 Restoring SIGTERM handler <Handlers.SIG_DFL: 0>.
        + 20 Restoring SIGHUP handler <Handlers.SIG_DFL: 0>.
        + 20 Restoring SIGUSR1 handler <Handlers.SIG_DFL: 0>.
        - as before False
        + as before True
        """
    )


def test_a_signal_publishes_on_the_channel_of_its_name(beside: Beside) -> None:
    """By name or by number; an unknown one is refused."""
    original, ours = beside(
        """
        handler = plugins.SignalHandler(bus)
        handler.set_handler("SIGUSR2", lambda: (say("USR2"), bus.exit()))
        handler.set_handler(signal.SIGWINCH)
        for unknown in ("SIGNONE", 12345):
            try:
                handler.set_handler(unknown)
            except ValueError as error:
                say(error)
        bus.start()
        os.kill(os.getpid(), signal.SIGUSR2)
        bus.block()
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_termination_exits_the_bus_with_status_0(beside: Beside) -> None:
    """It is told first."""
    original, ours = beside(
        SIGNALS,
        """
        bus.start()
        os.kill(os.getpid(), signal.SIGTERM)
        bus.block()
        say(bus.state)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_sigusr1_is_graceful_and_sighup_exits_what_is_no_daemon(beside: Beside) -> None:
    """Each is told."""
    original, ours = beside(
        SIGNALS,
        """
        bus.subscribe("graceful", lambda: say("graceful"))
        bus.start()
        bus.subscribe("main", lambda: os.kill(os.getpid(), signal.SIGUSR1))
        bus.subscribe("graceful", lambda: (bus.listeners["main"].clear(), os.kill(os.getpid(), signal.SIGHUP)), 90)
        bus.block(0.01)
        say(bus.state)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_signals_cannot_be_listened_for_off_the_main_thread(beside: Beside) -> None:
    """D15: the original says nothing of it."""
    original, ours = beside(
        """
        handler = plugins.SignalHandler(bus)
        thread = threading.Thread(target=handler.subscribe)
        threading.excepthook = lambda args: say(type(args.exc_value).__name__)
        thread.start()
        thread.join()
        say(signal.getsignal(signal.SIGTERM))
        """,
    )

    assert changes(original, ours) == lines(
        """
        + 30 No signals are handled: thread 'Thread-1 (subscribe)' is not the main thread.
        """
    )


def test_a_listener_of_a_signal_that_fails(beside: Beside) -> None:
    """D14: the process would end with 1, and nothing stopped in order."""
    original, ours = beside(
        SIGNALS,
        """
        def broken():
            raise ValueError("broken")

        bus.subscribe("graceful", broken)
        bus.start()
        ticks = []

        def tick():
            ticks.append(1)
            if len(ticks) == 1:
                os.kill(os.getpid(), signal.SIGUSR1)
            elif len(ticks) == 10:
                bus.exit()

        bus.subscribe("main", tick)
        try:
            bus.block(0.01)
            say("block returned", bus.state)
        except wspbus.ChannelFailures as error:
            say("block raised", error, bus.state)
        if bus.state is not wspbus.states.EXITING:
            bus.exit()
        """,
    )

    assert changes(original, ours) == lines(
        """
        - 40 Error in 'main' listener <function tick at 0x0>
        + 40 SIGUSR1, which was requested, failed:
        - block raised ValueError('broken') states.STARTED
        + 20 Waiting for child threads to terminate...
        + block returned states.EXITING
        """
    )


def test_threads_of_requests_are_numbered(beside: Beside) -> None:
    """A thread is told once, and its end to stop_thread with its number."""
    original, ours = beside(
        """
        manager = plugins.ThreadManager(bus)
        manager.subscribe()
        say(sorted(bus.listeners))
        bus.subscribe("start_thread", lambda i: say("start_thread", i))
        bus.subscribe("stop_thread", lambda i: say("stop_thread", i))
        bus.start()
        bus.publish("acquire_thread")
        bus.publish("acquire_thread")
        say(list(manager.threads.values()))
        bus.publish("release_thread")
        bus.publish("release_thread")
        bus.publish("acquire_thread")
        bus.graceful()
        say(manager.threads)
        bus.exit()
        """,
    )

    assert changes(original, ours) == lines(
        """
        - start_thread 1
        + start_thread 2
        - stop_thread 1
        + stop_thread 2
        """
    )


def test_numbers_of_threads_that_are_there_at_a_time(beside: Beside) -> None:
    """D24: two of them would have the same."""
    original, ours = beside(
        """
        manager = plugins.ThreadManager(bus)
        manager.subscribe()
        steps = {name: threading.Event() for name in ("one", "two", "three", "end")}

        def request(name):
            bus.publish("acquire_thread")
            steps[name].set()
            steps["end" if name != "one" else "two"].wait(10)
            if name == "one":
                bus.publish("release_thread")

        threads = {name: threading.Thread(target=request, args=(name,)) for name in ("one", "two", "three")}
        threads["one"].start()
        steps["one"].wait(10)
        threads["two"].start()
        threads["one"].join(10)
        threads["three"].start()
        steps["three"].wait(10)
        say("all different", len(set(manager.threads.values())) == len(manager.threads))
        steps["end"].set()
        """,
    )

    assert changes(original, ours) == lines(
        """
        - all different False
        + all different True
        """
    )


def test_a_simple_plugin_hears_the_channels_that_there_are(beside: Beside) -> None:
    """Its methods of their names are subscribed, and unsubscribed; one with the channel of a later day is not."""
    original, ours = beside(
        """
        class Part(plugins.SimplePlugin):
            stop = None

            def start(self):
                say("part starts", self.bus is bus)
            start.priority = 10

            def later(self):
                say("later")

        part = Part(bus)
        part.subscribe()
        bus.subscribe("later", lambda: None)
        bus.start()
        say(bus.publish("later"))
        part.unsubscribe()
        bus.start()
        bus.exit()
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_server_is_started_in_a_thread_and_stopped(beside: Beside) -> None:
    """It is told where it serves, and that it has been shut down, and what was so already."""
    original, ours = beside(
        SERVER,
        """
        say(adapter.running, adapter.interrupt)
        bus.subscribe("start", lambda: say("before the server"), 74)
        bus.subscribe("start", lambda: say("after the server", adapter.running), 76)
        bus.start()
        adapter.start()
        bus.stop()
        bus.stop()
        adapter.restart()
        adapter.unsubscribe()
        adapter.stop()
        bus.exit()
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_an_adapter_without_a_server_is_refused_at_the_start(beside: Beside) -> None:
    """By a ValueError."""
    original, ours = beside(
        """
        adapter = servers.ServerAdapter(bus)
        try:
            adapter.start()
        except ValueError as error:
            say(error)
        say(adapter.description)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_server_that_fails_while_it_serves_exits_the_bus(beside: Beside) -> None:
    """The error is told, and left to the thread."""
    original, ours = beside(
        SERVER,
        """
        threading.excepthook = lambda args: say("in the thread", type(args.exc_value).__name__)
        def fail():
            server.ready = True
            failing.wait(10)
            raise OSError("gone")
        failing = threading.Event()
        server.start = fail
        server.stop = lambda: say("server stops")
        bus.start()
        failing.set()
        for thread in threading.enumerate():
            if thread.name.startswith("HTTPServer"):
                thread.join()
        bus.block()
        say(bus.state)
        """,
    )

    assert changes(original, ours) == lines(
        """
        + 40 the bus exits because of an error:
        + Traceback
        + OSError: gone
        - in the thread OSError
        - states.EXITING
        + ! Traceback
        + ! OSError: gone
        - status 0
        + status 1
        """
    )


def test_a_server_that_cannot_be_started(beside: Beside) -> None:
    """D1: its error would end the process."""
    original, ours = beside(
        SERVER,
        """
        threading.excepthook = lambda args: None
        # The original exits in two threads at once.
        bus.listeners["log"].clear()
        server.error = OSError("address in use")
        try:
            bus.start()
        except (wspbus.ChannelFailures, OSError) as error:
            say("raised", error)
        bus.state = states.EXITING
        """,
    )

    assert changes(original, ours) == lines(
        """
        + raised OSError('address in use')
        - status 70
        + status 0
        """
    )
