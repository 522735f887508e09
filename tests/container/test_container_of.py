"""Which objects are accepted as containers, and when guest containers leave the bus of their host."""

from __future__ import annotations

import gc
import subprocess
import sys
import types
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dependency_injector import containers

from typedbus import (
    START,
    Bus,
    Channel,
    Component,
    Container,
    InvalidContainer,
    NoContainer,
    State,
    TransitionError,
    TransitionFailures,
    on,
    run,
    running,
)
from typedbus._container.core import attached_to, core_of
from typedbus.hosting.asgi import Hosted

order_placed = Channel[[int], None]("order_placed")


class Log:
    """Records its starts, and the messages that it receives."""

    def __init__(self) -> None:
        self.notes: list[object] = []

    def start(self) -> None:
        self.notes.append("starts")

    @on(order_placed)
    def note(self, order: int, /) -> None:
        self.notes.append(order)


class Audit(Container):
    log = Component(Log)


class Shop(Container):
    bus = Component(Bus)


class Whole(Container):
    bus = Component(Bus)
    audit = Audit()


class Own(Container):
    bus = Component(Bus)
    log = Component(Log)


class Plain:
    """Not a container."""


library: Any = containers  # which the library's types do not know in full
Library: Any = type("Library", (library.DeclarativeContainer,), {})


async def app(*_: object) -> None:
    """Return None."""


def make() -> Shop:
    return Shop()


def test_running_takes_classes_and_instances() -> None:
    """The block gets an instance of the first; the others may be classes or instances."""
    audit = Audit()
    with running(Shop, audit, Own) as shop:
        assert type(shop) is Shop
        assert audit.log().notes == ["starts"]


GIVEN: list[tuple[object, str]] = [
    (Plain, "is a class that does not inherit typedbus.Container"),
    (Plain(), "an instance of tests.container.test_container_of.Plain is not a container"),
    (None, "a function that makes a container has to return it"),
    (types, "types is a module, not a container; give the container in it, as in types.Shop"),
    ([Shop], "a list is not a container; give each container as an argument of its own"),
    ((Shop(), Audit()), "a tuple is not a container"),
    (make, "make is a function, not a container; call it"),
    (lambda: Shop(), "is a function, not a container"),
    (Shop.bus, "is a component, not a container; give the container that declares it"),
    (Bus(), "Bus is not a container"),
    (Whole.audit, "is nested in another container"),
    (Whole().audit, "is nested in another container"),
    (Library, "does not inherit typedbus.Container"),
    (Library(), "is not a container"),
    ("shop:Shop", "an instance of str is not a container"),
]


@pytest.mark.parametrize(("argument", "expected"), GIVEN)
def test_an_object_that_is_not_a_container_is_refused_with_a_remedy(argument: Any, expected: str) -> None:
    """Every function that takes containers refuses it, in each position."""
    calls: list[Callable[[], object]] = [
        lambda: running(argument).__enter__(),
        lambda: running(Shop, argument).__enter__(),
        lambda: run(argument),
        lambda: run(Shop, argument),
        lambda: Hosted(app, argument),
    ]
    for call in calls:
        with pytest.raises(NoContainer) as raised:
            call()
        assert expected in str(raised.value)
        assert raised.value.given is argument


@pytest.mark.slow
def test_the_command_line_refuses_it_and_lists_the_containers(tmp_path: Path) -> None:
    """The message lists the containers in the module."""
    tmp_path.joinpath("app.py").write_text(
        "from typedbus import Bus, Component, Container\n\nclass Shop(Container):\n    bus = Component(Bus)\n\n"
        "class Plain: ...\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "typedbus", "check", "app:Plain"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.returncode == 2
    assert "app.Plain is a class that does not inherit typedbus.Container" in ended.stderr
    assert "containers in app: Shop" in ended.stderr


def is_gone(bus: Bus, audit: Any) -> bool:
    """Return whether *audit* has left *bus*."""
    subscriptions = (*bus[START].subscriptions, *bus[order_placed].subscriptions)
    listeners = [one.listener for one in subscriptions]
    objects = [getattr(listener, "__self__", None) for listener in listeners]
    is_participant = core_of(audit) in attached_to(bus)
    return not is_participant and audit not in objects and audit.log() not in objects


def test_guests_leave_the_bus_at_the_end_of_the_block() -> None:
    """The host starts alone the next time; components that the guest has built are still available."""
    shop, audit = Shop(), Audit()
    with running(shop, audit):
        assert audit.log().notes == ["starts"]
    assert is_gone(shop.bus(), audit)
    with running(shop):
        shop.bus()[order_placed].publish(1)
    assert audit.log().notes == ["starts"]


def test_a_guest_may_join_the_same_host_again_or_another() -> None:
    """Its components are built again, as for each start after an exit."""
    shop, other, audit = Shop(), Shop(), Audit()
    logs = []
    for host in (shop, other, shop):
        with running(host, audit):
            host.bus()[order_placed].publish(7)
            logs.append(audit.log())
    assert [log.notes for log in logs] == [["starts", 7]] * 3
    assert len(set(map(id, logs))) == 3


def test_a_guest_with_a_bus_may_be_a_host_afterwards() -> None:
    """Its own bus is used again."""
    shop, own = Shop(), Own()
    with running(shop, own):
        assert own.bus() is shop.bus()
    with running(own):
        assert own.bus() is not shop.bus()
        assert own.log().notes == ["starts"]
    with running(own, shop):
        assert shop.bus() is own.bus()


class Fails:
    def start(self) -> None:
        raise OSError("port taken")


class Failing(Container):
    bus = Component(Bus)
    fails = Component(Fails)


def test_guests_leave_a_bus_that_did_not_start() -> None:
    """They may start elsewhere."""
    failing, audit = Failing(), Audit()
    with pytest.raises(TransitionFailures), running(failing, audit):
        pass
    assert is_gone(failing.bus(), audit)
    with running(Shop, audit):
        assert audit.log().notes == ["starts"]


def test_a_guest_leaves_an_invalid_host() -> None:
    """It is without a bus again."""

    class Broken(Container):
        bus = Component(Bus)
        log: Component[Log] = Component(Log, 1)  # type: ignore[call-arg]  # the fault

    audit = Audit()
    with pytest.raises(InvalidContainer), running(Broken, audit):
        pass
    with pytest.raises(InvalidContainer) as raised:
        audit.validate()
    assert "it has no bus" in str(raised.value)
    with running(Shop, audit):
        assert audit.log().notes == ["starts"]


def test_a_guest_leaves_a_bus_that_was_running_already() -> None:
    """No component was started for it, and the bus stays up."""
    shop, audit = Shop(), Audit()
    with running(shop):
        with pytest.raises(TransitionError), running(shop, audit):
            pass
        assert shop.bus().state is State.STARTED
        assert is_gone(shop.bus(), audit)
        shop.bus().stop()
        shop.bus().start()
        assert audit.log().notes == []


def test_a_guest_attached_by_hand_stays() -> None:
    """`attach` lasts until the container is attached elsewhere."""
    shop, audit = Shop(), Audit()
    audit.attach(shop.attach())
    with running(shop, audit):
        pass
    with running(shop):
        assert audit.log().notes == ["starts"]


def test_an_unreferenced_guest_is_freed_with_its_components() -> None:
    """The bus of the host holds no reference to it."""
    shop, audit = Shop(), Audit()
    with running(shop, audit):
        log = weakref.ref(audit.log())
    del audit
    gc.collect()
    assert log() is None


def test_the_host_may_be_among_its_guests() -> None:
    """It is still one container."""
    shop = Shop()
    with running(shop, shop):
        pass
    with running(shop):
        assert shop.bus().state is State.STARTED


class Ends:
    """Requests the exit of the bus as soon as it serves."""

    def __init__(self, bus: Bus) -> None:
        bus.request(bus.request_exit)


def test_guests_leave_after_run(capsys: pytest.CaptureFixture[str]) -> None:
    """`run` removes them like `running`."""

    class Once(Container):
        bus = Component(Bus)
        ends = Component(Ends, bus.provided)

    once, audit = Once(), Audit()
    assert run(once, audit) == 0
    assert is_gone(once.bus(), audit)
    assert audit.log().notes == ["starts"]
    assert "Audit.log" in capsys.readouterr().err
