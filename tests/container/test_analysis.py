"""Changes that discard the analysis of a container: each change after `validate()` takes effect at the next start."""

from __future__ import annotations

from typing import Any

import pytest
from dependency_injector import providers

from typedbus import START, Bus, Component, Container, InvalidContainer, provided, running
from typedbus.faults import CycleFault, DisabledFault
from typedbus.graph import Graph


class Part:
    """Counts the calls of its hooks."""

    def __init__(self, *needed: object) -> None:
        self.needed = needed
        self.calls: list[str] = []

    def begin(self) -> None:
        """A method that no channel calls by its name."""
        self.calls.append("begin")


def test_a_hook_that_a_class_gains_after_the_validation_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hooks of classes are read at each start."""

    class Shop(Container):
        bus = Component(Bus)
        part = Component(Part)

    shop = Shop()
    shop.validate()
    monkeypatch.setattr(Part, "start", lambda part: part.calls.append("start"), raising=False)

    with running(shop):
        assert shop.part().calls == ["start"]


def test_a_hook_that_a_class_gains_between_two_starts_of_a_bus_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second start does not use the hooks of the first."""

    class Shop(Container):
        bus = Component(Bus)
        part = Component(Part)

    shop = Shop()
    bus = shop.attach()
    bus.start()
    bus.exit()
    monkeypatch.setattr(Part, "start", lambda part: part.calls.append("start"), raising=False)
    bus.start()
    calls = shop.part().calls
    bus.exit()

    assert calls == ["start"]


def test_a_hook_that_is_declared_after_the_validation_is_called() -> None:
    """`Component.on` of an instance discards the analysis."""

    class Shop(Container):
        bus = Component(Bus)
        part = Component(Part)

    shop = Shop()
    shop.attach()
    shop.validate()
    shop.part.on(START.calls(Part.begin))
    shop.bus().start()
    calls = shop.part().calls
    shop.bus().exit()

    assert calls == ["begin"]


def test_a_cycle_that_a_provider_of_the_library_closes_after_the_validation_is_a_fault() -> None:
    """The arguments of a library provider can change without a notification to the container."""

    class Shop(Container):
        bus = Component(Bus)
        factory = providers.Factory(Part)
        part = Component(Part, provided(factory))

    shop = Shop()
    shop.validate()
    factory: Any = shop.factory
    factory.add_args(shop.part)

    with pytest.raises(InvalidContainer) as invalid:
        shop.validate()

    assert [type(fault) for fault in invalid.value.exceptions] == [CycleFault]


def test_an_argument_added_after_the_validation_is_an_edge_of_the_graph() -> None:
    """A component discards the analysis when its arguments change."""

    class Shop(Container):
        bus = Component(Bus)
        first = Component(Part)
        second = Component(Part)

    shop = Shop()
    shop.validate()
    shop.second.add_args(shop.first)

    assert [(edge.source, edge.target) for edge in Graph.of(shop).edges] == [("Shop.second", "Shop.first")]


def test_a_condition_set_after_the_validation_is_evaluated() -> None:
    """`Component.enabled` of an instance discards the analysis."""

    class Shop(Container):
        bus = Component(Bus)
        first = Component(Part)
        second = Component(Part, first.provided)

    shop = Shop()
    shop.validate()
    shop.first.enabled(False, reason="for the test")

    with pytest.raises(InvalidContainer) as invalid:
        shop.validate()

    assert [type(fault) for fault in invalid.value.exceptions] == [DisabledFault]
