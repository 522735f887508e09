"""What becomes of a bus in a process that is forked off from the one that it runs in."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from tests.doubles import ConstructionRecorder
from tests.processes import fork, in_child

from typedbus import LOG, MAIN, START, STOP, Bus, Component, Container, RestartError, State, running
from typedbus._bus.bus import detach_children
from typedbus.hosting import wsgi

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows forks nothing")


NOTES: list[str] = []


class Shop(Container):
    bus = Component(Bus)
    noted = Component(ConstructionRecorder, NOTES)


@pytest.fixture(autouse=True)
def notes() -> None:
    """Begin with no notes."""
    detach_children()
    NOTES.clear()


def say(end: int, text: bytes) -> None:
    """Write *text* to a pipe."""
    os.write(end, text)


def test_a_child_has_a_bus_that_has_exited_and_nobody_is_called() -> None:
    """Stop and exit there touch nothing of the parent's, which goes on."""
    shop = Shop()

    def check() -> None:
        assert shop.bus().state is State.EXITED
        shop.bus().stop()
        shop.bus().exit()
        assert NOTES == ["build", "start"]

    with running(shop):
        in_child(check)

        assert shop.bus().state is State.STARTED
    assert NOTES == ["build", "start", "stop", "exit"]


def test_a_stopped_bus_has_exited_in_a_child_as_well() -> None:
    """Its components hold what their constructors took, and only the parent may give that back."""
    shop = Shop()

    def check() -> None:
        assert shop.bus().state is State.EXITED
        shop.bus().exit()
        assert NOTES == ["build", "start", "stop"]

    with running(shop):
        shop.bus().stop()
        in_child(check)


def test_a_child_may_start_the_container_anew() -> None:
    """It builds components of its own, and stops and exits those."""
    shop = Shop()

    def check() -> None:
        before = shop.noted()
        NOTES.clear()
        with running(shop):
            assert shop.noted() is not before
        assert NOTES == ["build", "start", "stop", "exit"]

    with running(shop):
        in_child(check)


def test_a_bus_that_was_never_started_is_as_it_was() -> None:
    """What was subscribed and attached before the fork is there, and the child starts it."""
    shop = Shop()
    bus = shop.attach()

    def check() -> None:
        assert bus.state is State.STOPPED
        with running(shop):
            assert NOTES == ["build", "start"]

    in_child(check)
    assert bus.state is State.STOPPED


def test_a_bus_that_has_exited_may_be_forked_again_and_again() -> None:
    """A child of a child finds the same."""
    shop = Shop()
    with running(shop):
        pass

    def check() -> None:
        assert shop.bus().state is State.EXITED
        in_child(lambda: shop.bus().exit())

    in_child(check)


def test_a_lock_that_another_thread_held_is_free_in_a_child() -> None:
    """Subscribing, starting and channels that are new do not wait for a thread that is not there."""
    bus = Bus()
    bus[LOG].subscribe(lambda message, level: None)
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with bus._lock:
            held.set()
            let_go.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()

    def check() -> None:
        heard: list[str] = []
        bus[LOG].subscribe(lambda message, level: heard.append(message))
        bus[MAIN].subscribe(bus.request_exit)
        bus.start()
        bus.log("free")
        bus.block()
        assert heard == ["free"]

    in_child(check)
    let_go.set()
    holder.join()


def test_requests_and_owned_threads_stay_with_the_parent() -> None:
    """Nobody in the child carries out what was asked for in the parent, or waits for its threads."""
    bus = Bus()
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    bus.own(thread)
    bus.start()
    called: list[str] = []
    bus.request(lambda: called.append("called"))
    bus.request_exit(OSError("of the parent"))

    def check() -> None:
        bus.start()
        bus[MAIN].subscribe(bus.request_exit)
        bus.block(patience=0)
        assert called == []

    in_child(check)
    over.set()
    with pytest.raises(OSError, match="of the parent"):
        bus.block()
    assert called == ["called"]


def test_a_transition_of_the_parent_is_none_of_the_child() -> None:
    """Where another thread was starting the bus the child waits for nobody."""
    bus = Bus()
    within, go_on = threading.Event(), threading.Event()

    def start() -> None:
        within.set()
        go_on.wait()

    subscription = bus[START].subscribe(start)
    starting = threading.Thread(target=bus.start)
    starting.start()
    within.wait()

    def check() -> None:
        subscription.cancel()
        bus.start()
        assert bus.state is State.STARTED

    in_child(check)
    go_on.set()
    starting.join()


def test_a_child_that_returns_from_a_start_goes_no_further() -> None:
    """Only the parent starts the rest, and the child is told that its start was broken off."""
    told, tell = os.pipe()
    bus = Bus()
    parent = os.getpid()
    children: list[int] = []
    bus[START].subscribe(lambda: children.append(fork()))
    for channel, said in ((START, b"start "), (STOP, b"stop ")):
        bus[channel].subscribe(functools.partial(say, tell, said))

    try:
        bus.start()
    except BaseException as error:
        os.write(tell, type(error).__name__.encode() + b" ")
    finally:
        if os.getpid() != parent:
            os._exit(0)
    os.waitpid(children[0], 0)
    os.close(tell)

    with os.fdopen(told) as pipe:
        assert sorted(pipe.read().split()) == ["StartCancelled", "start"]


def test_what_is_hosted_starts_anew_in_a_child() -> None:
    """Whatever the parent's threads were in the middle of; the parent's goes on."""
    shop = Shop()
    app = wsgi.Hosted(lambda environ, start_response: [], shop)
    app.start()
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with app._host._lock:
            held.set()
            let_go.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()

    def check() -> None:
        NOTES.clear()
        app.exit()
        assert NOTES == []
        app.start()
        assert NOTES == ["build", "start"]
        app.exit()
        assert NOTES == ["build", "start", "stop", "exit"]

    in_child(check)
    let_go.set()
    holder.join()
    assert shop.bus().state is State.STARTED
    app.exit()
    assert NOTES == ["build", "start", "stop", "exit"]


@pytest.mark.slow
def test_a_child_cannot_restart_the_program_of_its_parent(tmp_path: Path) -> None:
    """Under `run` the replacement is the parent's; the child's block returns and its run ends with 0."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
            import os, sys
            from typedbus import *

            class Part:
                def __init__(self, bus: Bus) -> None:
                    self.bus = bus

                def start(self) -> None: ...

                def stop(self) -> None:
                    os.write(1, b"stop\\n")

                def exit(self) -> None:
                    os.write(1, b"exit\\n")

                def main(self) -> None:
                    child = os.fork()
                    if child:
                        os.waitpid(child, 0)
                        self.bus.request_exit()
                        return
                    try:
                        self.bus.restart()
                    except RestartError as error:
                        os.write(1, f"{error}\\n".encode())

            class Shop(Container):
                bus = Component(Bus)
                part = Component(Part, bus.provided)

            status = run(Shop)
            os.write(1, f"run returned {status}\\n".encode())
        """),
        encoding="utf-8",
    )

    ended = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=60, check=False)

    assert ended.stdout.splitlines() == [
        str(
            RestartError(
                "nobody who owns the process runs this bus; run the container with run(), or set bus.replacement"
            )
        ),
        "run returned 0",
        "stop",
        "exit",
        "run returned 0",
    ], ended.stderr
