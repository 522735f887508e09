"""Several containers on one bus: started, reported and ended together."""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import textwrap
import weakref
from collections.abc import Iterator

import pytest

from typedbus import (
    START,
    Bus,
    Channel,
    Component,
    Container,
    InvalidContainer,
    OverrideError,
    State,
    TransitionError,
    TransitionFailures,
    on,
    running,
)
from typedbus.events import MOVED, Moved
from typedbus.faults import BusFault, Fault

order_placed = Channel[[str], None]("order_placed")


class Part:
    """Records its life cycle."""

    def __init__(self, notes: list[str], name: str, bus: Bus | None = None, *, failing: bool = False) -> None:
        self.notes = notes
        self.name = name
        self.bus = bus
        self.failing = failing
        notes.append(f"build {name}")

    def start(self) -> None:
        """Record the start, and fail if the part is declared to fail."""
        self.notes.append(f"start {self.name}")
        if self.failing:
            raise OSError(self.name)

    def stop(self) -> None:
        """Record the call."""
        self.notes.append(f"stop {self.name}")

    def exit(self) -> None:
        """Record the call."""
        self.notes.append(f"exit {self.name}")

    @on(order_placed)
    def placed(self, sku: str, /) -> None:
        """Record the call."""
        self.notes.append(f"{self.name} hears of {sku}")


class Early(Part):
    """Has the lowest priority."""

    @on(START, priority=1)
    def start(self) -> None:
        """Record the call."""
        super().start()


class Shop(Container):
    """The container with the bus."""

    bus = Component(Bus)
    notes = Component(list[str])
    orders = Component(Part, notes.provided, "orders", bus.provided)


class Metrics(Container):
    """A container with its own bus, which can run alone."""

    bus = Component(Bus)
    notes = Component(list[str])
    gauge = Component(Part, notes.provided, "gauge", bus.provided)


class Audit(Container):
    """A container without a bus, which cannot run alone."""

    notes = Component(list[str])
    log = Component(Part, notes.provided, "log")


@contextlib.contextmanager
def noting(*containers: Shop | Metrics | Audit) -> Iterator[list[str]]:
    """Collect the notes of all *containers* in one list inside the ``with``, and yield it."""
    notes: list[str] = []
    with contextlib.ExitStack() as stack:
        for container in containers:
            stack.enter_context(container.override(container.notes).by(notes))
        yield notes


def test_containers_start_in_the_order_of_the_arguments_and_stop_in_reverse() -> None:
    """All components are built before the first starts."""
    shop, metrics, audit = Shop(), Metrics(), Audit()
    with noting(shop, metrics, audit) as notes, running(shop, metrics, audit) as instance:
        assert instance is shop

    assert notes[:3] == ["build orders", "build gauge", "build log"]
    assert notes[3:6] == ["start orders", "start gauge", "start log"]
    assert notes[6:] == ["stop log", "stop gauge", "stop orders", "exit log", "exit gauge", "exit orders"]


def test_priorities_apply_across_all_containers() -> None:
    """All hooks are listeners of one channel."""
    shop = Shop()
    with noting(shop) as notes:

        class Eager(Container):
            log = Component(Early, notes, "log")

        with running(shop, Eager()):
            pass

    assert [note for note in notes if "start" in note] == ["start log", "start orders"]


def test_the_bus_of_the_first_container_replaces_the_others() -> None:
    """For components that need it, and for a call; publishing on it reaches all containers."""
    shop, metrics, audit = Shop(), Metrics(), Audit()

    with running(shop, metrics, audit):
        assert metrics.bus() is metrics.gauge().bus is shop.bus()
        shop.bus()[order_placed].publish("mugs")

    for notes, name in ((shop.notes(), "orders"), (metrics.notes(), "gauge"), (audit.notes(), "log")):
        assert f"{name} hears of mugs" in notes


def test_the_faults_of_all_containers_are_reported_together_before_building() -> None:
    """In the order of the containers."""

    class Odd(Audit):
        lost = Component(Part)  # type: ignore[call-arg]  # it is the fault

    class OddShop(Shop):
        second = Component(Bus)

    shop = OddShop()
    with pytest.raises(InvalidContainer) as invalid:
        running(shop, Odd()).__enter__()

    assert [fault.path for fault in invalid.value.exceptions if isinstance(fault, Fault)] == ["OddShop"] + [
        "Odd.lost"
    ] * 2
    assert invalid.value.container == "OddShop, Odd"
    assert not shop.bus.is_built


def test_the_first_container_must_have_a_bus() -> None:
    """The others share it."""
    with pytest.raises(InvalidContainer) as invalid:
        running(Audit(), Shop()).__enter__()

    (fault,) = invalid.value.exceptions
    assert isinstance(fault, BusFault)
    assert fault.path == "Audit"


def test_a_failure_in_one_container_stops_all() -> None:
    """A start is one transition."""

    class Broken(Audit):
        log = Component(Part, Audit.notes.provided, "log", failing=True)

    shop, broken = Shop(), Broken()
    with noting(shop, broken) as notes, pytest.raises(TransitionFailures) as failed, running(shop, broken):
        pass

    assert [failure.name for failure in failed.value.failures] == ["Broken.log.start"]
    assert [note for note in notes if "stop" in note] == ["stop orders"]
    assert shop.bus().state is State.EXITED


def test_containers_can_run_together_repeatedly() -> None:
    """Each run builds all components once."""
    shop, metrics = Shop(), Metrics()
    with noting(shop, metrics) as notes:
        for _ in range(3):
            with running(shop, metrics):
                pass

    assert notes == notes[:8] * 3
    assert sorted(notes[:2]) == ["build gauge", "build orders"]


def test_a_container_moves_from_a_bus_that_has_exited_to_another() -> None:
    """Its earlier components are not used again, and the first bus no longer starts it."""
    one, other, metrics = Shop(), Shop(), Metrics()
    with running(one, metrics):
        pass

    with running(other, metrics):
        assert metrics.gauge().bus is metrics.bus() is other.bus()
        with running(one):
            assert metrics.gauge().bus is other.bus()
        assert other.bus().state is State.STARTED

    assert metrics.notes().count("start gauge") == 1


def test_a_container_that_has_run_alone_may_be_a_guest_afterwards() -> None:
    """Its own bus has exited."""
    shop, metrics = Shop(), Metrics()
    with running(metrics):
        alone = metrics.bus()

    with running(shop, metrics):
        assert metrics.gauge().bus is shop.bus() is not alone


@pytest.mark.parametrize("built", ["bus", "gauge"])
def test_a_container_with_a_built_user_of_its_bus_cannot_share_another(built: str) -> None:
    """The error names the component that is built."""
    metrics, shop = Metrics(), Shop()
    getattr(metrics, built)()

    with pytest.raises(
        OverrideError, match=r"Metrics\.\w+ .*is built already; attach the container to another"
    ) as late:
        metrics.attach(shop.attach())

    assert late.value.path in ("Metrics.bus", "Metrics.gauge")
    assert metrics.bus() is not shop.bus()


def test_a_container_with_a_component_built_on_an_overridden_bus_cannot_share_another() -> None:
    """An override had replaced its own bus."""
    metrics, shop = Metrics(), Shop()

    with metrics.override(Metrics.bus).by(Bus()):
        metrics.gauge()
        with pytest.raises(OverrideError, match=r"Metrics\.gauge .*is built already"):
            metrics.attach(shop.attach())


def test_an_earlier_shared_bus_is_freed() -> None:
    """No container holds a reference to it."""
    shop, metrics = Shop(), Metrics()
    with running(shop, metrics):
        pass
    former = weakref.ref(shop.bus())
    del shop

    with running(Shop(), metrics):
        gc.collect()
        assert former() is None


def test_a_container_cannot_leave_a_running_bus() -> None:
    """Its components would not be stopped."""
    audit = Audit()

    with running(Shop(), audit), pytest.raises(OverrideError, match=r"Audit\.\w+ .*is built already"):
        audit.attach(Shop().attach())


def test_a_container_without_built_components_can_leave_a_bus() -> None:
    """The next start of the first bus does not start it."""
    one, other, audit = Shop(), Shop(), Audit()
    audit.attach(one.attach())
    audit.attach(other.attach())

    with running(one):
        assert not audit.log.is_built
    with running(other):
        assert audit.log.is_built


def test_attaching_a_container_to_its_own_bus_has_no_effect() -> None:
    """It is attached already."""
    shop = Shop()
    bus = shop.attach()

    assert shop.attach(bus) is bus
    assert shop.bus.overriding is None
    with running(shop):
        pass
    assert shop.notes() == ["build orders", "start orders", "stop orders", "exit orders"]


def test_an_attached_guest_starts_with_the_bus() -> None:
    """Its argument is the bus that starts it."""
    shop, metrics = Shop(), Metrics()
    bus = metrics.attach(shop.attach())

    bus.start()
    assert bus is shop.bus()
    assert metrics.gauge.is_built
    bus.exit()


def test_a_guest_of_a_running_bus_starts_with_the_next_start() -> None:
    """A start is a transition of all containers."""
    audit = Audit()

    with running(Shop()) as shop:
        audit.attach(shop.bus())
        assert not audit.log.is_built
    with running(shop):
        assert audit.log.is_built


def test_running_on_a_running_bus_is_refused() -> None:
    """With further containers as well."""
    with running(Shop()) as shop:
        with pytest.raises(TransitionError):
            running(shop, Metrics()).__enter__()

        assert shop.bus().state is State.STARTED


def test_the_shared_bus_has_precedence_over_an_override_of_a_guest_s_bus() -> None:
    """The override still ends with its block."""
    shop, metrics, mine = Shop(), Metrics(), Bus()

    with metrics.override(Metrics.bus).by(mine):
        assert metrics.bus() is mine
        with running(shop, metrics):
            assert metrics.bus() is shop.bus()

    with running(shop, metrics):
        assert metrics.bus() is shop.bus()
    assert mine.state is State.STOPPED


PROGRAM = textwrap.dedent("""
    import sys
    from typedbus import Bus, Component, Container, run

    class Part:
        def __init__(self, name, bus=None):
            self.name, self.bus = name, bus
        def start(self):
            print("start", self.name)
            if self.bus is not None:
                self.bus.request_exit()
        def stop(self):
            print("stop", self.name)

    class Shop(Container):
        bus = Component(Bus)
        orders = Component(Part, "orders")

    class Metrics(Container):
        bus = Component(Bus)
        gauge = Component(Part, "gauge")
        last = Component(Part, "last", bus.provided)

    raise SystemExit(run(Shop, Metrics() if sys.argv[1:] else Metrics))
""")


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["instance"]], ids=["a class", "an instance"])
def test_run_takes_several_containers(arguments: list[str]) -> None:
    """`run` accepts classes and instances, and reports on all of them."""
    ended = subprocess.run(
        [sys.executable, "-u", "-c", PROGRAM, *arguments],
        env=os.environ,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )

    started = ["start orders", "start gauge", "start last"]
    assert ended.stdout.splitlines() == [*started, *(line.replace("start", "stop") for line in reversed(started))]
    assert "Metrics.gauge" in ended.stderr
    assert ended.returncode == 0, ended.stderr


def test_several_containers_start_in_one_transition() -> None:
    """Each state is published once."""
    shop = Shop()
    moves: list[Moved] = []
    shop.attach()[MOVED].subscribe(moves.append)
    with running(shop, Metrics(), Audit()):
        pass

    assert [move.after.name for move in moves] == "STARTING STARTED STOPPING STOPPED EXITING EXITED".split()
