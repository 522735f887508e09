"""A bus in a forked child of its process."""

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
from typedbus._bus.bus import parts_of
from typedbus._bus.forked import detach_children
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


def write(end: int, text: bytes) -> None:
    """Write *text* to a pipe."""
    os.write(end, text)


def test_the_bus_has_exited_in_a_child_and_no_hook_is_called() -> None:
    """A stop and an exit in the child do nothing, and the bus of the parent continues."""
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
    """Only the parent may release the resources that its components acquired in their constructors."""
    shop = Shop()

    def check() -> None:
        assert shop.bus().state is State.EXITED
        shop.bus().exit()
        assert NOTES == ["build", "start", "stop"]

    with running(shop):
        shop.bus().stop()
        in_child(check)


def test_a_child_may_start_the_container_again() -> None:
    """It builds new components, and stops and exits them."""
    shop = Shop()

    def check() -> None:
        before = shop.noted()
        NOTES.clear()
        with running(shop):
            assert shop.noted() is not before
        assert NOTES == ["build", "start", "stop", "exit"]

    with running(shop):
        in_child(check)


def test_a_bus_that_was_never_started_is_unchanged_in_a_child() -> None:
    """Subscriptions and attached containers from before the fork are kept, and the child can start the bus."""
    shop = Shop()
    bus = shop.attach()

    def check() -> None:
        assert bus.state is State.STOPPED
        with running(shop):
            assert NOTES == ["build", "start"]

    in_child(check)
    assert bus.state is State.STOPPED


def test_a_bus_that_has_exited_may_be_forked_repeatedly() -> None:
    """The bus has exited in a child of a child as well."""
    shop = Shop()
    with running(shop):
        pass

    def check() -> None:
        assert shop.bus().state is State.EXITED
        in_child(lambda: shop.bus().exit())

    in_child(check)


def test_a_lock_that_another_thread_held_is_free_in_a_child() -> None:
    """Subscriptions, a start and new channels do not wait for a thread that the child does not have."""
    bus = Bus()
    bus[LOG].subscribe(lambda message, level: None)
    is_held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with parts_of(bus).registry.lock:
            is_held.set()
            release.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait()

    def check() -> None:
        messages: list[str] = []
        bus[LOG].subscribe(lambda message, level: messages.append(message))
        bus[MAIN].subscribe(bus.request_exit)
        bus.start()
        bus.log("free")
        bus.block()
        assert messages == ["free"]

    in_child(check)
    release.set()
    holder.join()


def test_requests_and_owned_threads_stay_with_the_parent() -> None:
    """The child does not carry out requests that were made in the parent, and does not wait for its threads."""
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


def test_a_transition_of_the_parent_does_not_continue_in_a_child() -> None:
    """The child does not wait for the thread that was starting the bus."""
    bus = Bus()
    entered, release = threading.Event(), threading.Event()

    def start() -> None:
        entered.set()
        release.wait()

    subscription = bus[START].subscribe(start)
    starting = threading.Thread(target=bus.start)
    starting.start()
    entered.wait()

    def check() -> None:
        subscription.cancel()
        bus.start()
        assert bus.state is State.STARTED

    in_child(check)
    release.set()
    starting.join()


def test_a_child_that_returns_from_a_start_starts_nothing_else() -> None:
    """The parent starts the other components; the start is cancelled in the child."""
    reading, writing = os.pipe()
    bus = Bus()
    parent = os.getpid()
    children: list[int] = []
    bus[START].subscribe(lambda: children.append(fork()))
    for channel, text in ((START, b"start "), (STOP, b"stop ")):
        bus[channel].subscribe(functools.partial(write, writing, text))

    try:
        bus.start()
    except BaseException as error:
        os.write(writing, type(error).__name__.encode() + b" ")
    finally:
        if os.getpid() != parent:
            os._exit(0)
    os.waitpid(children[0], 0)
    os.close(writing)

    with os.fdopen(reading) as pipe:
        assert sorted(pipe.read().split()) == ["StartCancelled", "start"]


def test_a_hosted_application_starts_again_in_a_child() -> None:
    """Whatever locks the threads of the parent hold; the bus of the parent continues."""
    shop = Shop()
    app = wsgi.Hosted(lambda environ, start_response: [], shop)
    app.start()
    is_held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with app._host._lock:
            is_held.set()
            release.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait()

    def check() -> None:
        NOTES.clear()
        app.exit()
        assert NOTES == []
        app.start()
        assert NOTES == ["build", "start"]
        app.exit()
        assert NOTES == ["build", "start", "stop", "exit"]

    in_child(check)
    release.set()
    holder.join()
    assert shop.bus().state is State.STARTED
    app.exit()
    assert NOTES == ["build", "start", "stop", "exit"]


@pytest.mark.slow
def test_a_child_cannot_restart_the_program_of_its_parent(tmp_path: Path) -> None:
    """Under `run`, only the parent has a replacement; in the child `block` returns, and `run` returns 0."""
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

    process = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=60, check=False)

    assert process.stdout.splitlines() == [
        str(RestartError("bus.replacement is not set; run the container with run(), which sets it")),
        "run returned 0",
        "stop",
        "exit",
        "run returned 0",
    ], process.stderr
