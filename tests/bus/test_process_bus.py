"""One bus for the process: the bus of a container in a module, which runs other containers."""

from __future__ import annotations

import gc
import importlib
import subprocess
import sys
import textwrap
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dependency_injector import providers
from tests.processes import in_child

from typedbus import Bus, Channel, Component, Container, InvalidContainer, State, TransitionError, on, running
from typedbus.faults import BusFault

order_placed = Channel[[str], None]("order_placed")
NOTES: list[str] = []


class Ledger:
    """Listens to orders, and has hooks of the life cycle."""

    def start(self) -> None:
        """Note it."""
        NOTES.append("start")

    def stop(self) -> None:
        """Note it."""
        NOTES.append("stop")

    @on(order_placed)
    def write(self, sku: str, /) -> None:
        """Note the order."""
        NOTES.append(f"ledger: {sku}")


class Shop(Container):
    """An application that can run alone."""

    bus = Component(Bus)
    ledger = Component(Ledger)


class Process(Container):
    """A container that has only a bus."""

    bus = Component(Bus)


PROCESS = Process()


def process_bus() -> Bus:
    """Return the bus of the module."""
    return PROCESS.bus()


@pytest.fixture(autouse=True)
def notes() -> None:
    """Clear the notes before each test."""
    NOTES.clear()


@pytest.fixture
def process() -> Process:
    """Return the container that a module would hold."""
    return Process()


def test_a_container_that_runs_after_the_process_leaves_its_bus(process: Process) -> None:
    """The bus stays the same object, and a second container on it is alone."""
    bus = process.bus()
    for sku in ("tea", "jam"):
        with running(process, Shop()):
            bus[order_placed].publish(sku)
        assert bus[order_placed].subscriptions == ()
    bus[order_placed].publish("salt")

    assert NOTES == ["start", "ledger: tea", "stop", "start", "ledger: jam", "stop"]
    assert process.bus() is bus


def test_applications_that_are_passed_together_share_publishes(process: Process) -> None:
    """Each application has its own components; all of them start and stop together."""
    with running(process, Shop(), Shop()):
        process.bus()[order_placed].publish("tea")

    assert NOTES == ["start", "start", "ledger: tea", "ledger: tea", "stop", "stop"]


def test_a_second_start_of_the_bus_is_an_error_and_the_first_continues(process: Process) -> None:
    """A bus has one state, so it cannot run for two programs at once."""
    with running(process, Shop()):
        with pytest.raises(TransitionError), running(process, Shop()):
            pass
        process.bus()[order_placed].publish("tea")
        assert process.bus().state is State.STARTED

    assert NOTES == ["start", "ledger: tea", "stop"]


class Site(Container):
    """Declares the bus of a module as its own."""

    bus = Component(process_bus)
    ledger = Component(Ledger)


def test_a_container_that_has_exited_leaves_the_bus_when_another_runs_on_it() -> None:
    """A container whose own declaration returns the bus leaves it as well, and may run again afterwards."""
    one, other = Site(), Site()
    for site in (one, other, one, one):
        with running(site):
            assert site.bus() is PROCESS.bus()
            PROCESS.bus()[order_placed].publish("tea")
        assert NOTES == ["start", "ledger: tea", "stop"]
        NOTES.clear()


def test_an_override_by_the_bus_is_the_same() -> None:
    """A container with a bus of its own runs on the bus that overrides it."""
    for _ in range(2):
        shop = Shop()
        with shop.override(Shop.bus).by(PROCESS.bus()), running(shop):
            PROCESS.bus()[order_placed].publish("tea")
        assert NOTES == ["start", "ledger: tea", "stop"]
        NOTES.clear()


def test_the_listeners_of_such_a_container_stay_until_another_runs() -> None:
    """After the exit its listeners stay on the bus, as the listeners of every container do."""
    with running(Site()):
        pass
    NOTES.clear()
    PROCESS.bus()[order_placed].publish("after")
    with running(PROCESS):
        PROCESS.bus()[order_placed].publish("later")

    assert NOTES == ["ledger: after"]


def test_a_container_that_was_attached_and_not_run_is_started_with_another() -> None:
    """A program may attach several containers, and start the bus once."""
    Site().attach()
    with running(Site()):
        pass
    with running(Site()):
        pass

    assert NOTES == ["start", "start", "stop", "stop", "start", "stop"]


@pytest.mark.parametrize("declare", [lambda bus: Component(lambda: bus), providers.Object])
def test_a_bus_whose_type_is_not_declared_is_a_fault(declare: Callable[[Bus], Any], process: Process) -> None:
    """`validate()` builds nothing, so it cannot know what the function returns."""
    body = {"bus": declare(process.bus()), "ledger": Component(Ledger)}
    site_class: Any = type("Site", (Container,), body)

    with pytest.raises(InvalidContainer) as invalid:
        site_class().validate()

    (fault,) = invalid.value.exceptions
    assert isinstance(fault, BusFault)
    is_function = isinstance(body["bus"], Component)
    assert ("if Site.bus is one, annotate its function with '-> Bus'" in fault.remedy) is is_function


def test_a_plain_listener_is_called_in_every_state(process: Process) -> None:
    """A listener that belongs to no container does not depend on the state of the bus."""
    bus = process.bus()
    with bus[order_placed].subscribe(NOTES.append):
        bus[order_placed].publish("before")
        with running(process):
            bus[order_placed].publish("during")
        bus[order_placed].publish("after")
    bus[order_placed].publish("too late")

    assert NOTES == ["before", "during", "after"]


def test_the_bus_keeps_the_object_of_a_subscribed_method_alive(process: Process) -> None:
    """The object is freed when its subscription ends."""
    ledger = Ledger()
    reference = weakref.ref(ledger)
    subscription = process.bus()[order_placed].subscribe(ledger.write)
    del ledger
    gc.collect()
    is_kept = reference() is not None
    subscription.cancel()
    del subscription
    gc.collect()

    assert is_kept
    assert reference() is None


def test_a_module_that_is_loaded_twice_has_two_buses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules that imported the first bus keep it."""
    (tmp_path / "process_events.py").write_text("from typedbus import Bus\nbus = Bus()\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("process_events")
    first = module.bus
    try:
        assert importlib.reload(module).bus is not first
    finally:
        del sys.modules["process_events"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows forks nothing")
class TestForks:
    """A forked child has a copy of the bus."""

    def test_the_listeners_are_copied(self, process: Process) -> None:
        """A publish in the child calls the copied listeners there."""
        bus = process.bus()
        with bus[order_placed].subscribe(NOTES.append), running(process, Shop()):
            NOTES.clear()

            def check() -> None:
                assert bus.state is State.EXITED
                bus[order_placed].publish("child")
                assert NOTES == ["child", "ledger: child"]

            in_child(check)
            assert NOTES == []

    @pytest.mark.slow
    def test_a_program_that_starts_the_bus_itself_detaches_it_after_a_fork(self) -> None:
        """The lock is free in the child although another thread held it, and the bus has exited."""
        program = """
            import os, threading
            from typedbus import START, Bus
            from typedbus._bus.bus import parts_of

            bus = Bus()
            os.register_at_fork(after_in_child=bus.detach)
            bus.start()
            held, release = threading.Event(), threading.Event()

            def hold():
                with parts_of(bus).registry.lock:
                    held.set()
                    release.wait()

            holder = threading.Thread(target=hold)
            holder.start()
            held.wait()
            child = os.fork()
            if child == 0:
                bus[START].subscribe(lambda: None)
                os._exit(7 if bus.state.name == "EXITED" else 8)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            release.set()
            holder.join()
            print(status, bus.state.name)
        """
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(program)]
        ended = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=False)

        assert (ended.stdout, ended.stderr) == ("7 STARTED\n", "")
