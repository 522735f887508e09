"""`optional`: a component if it is enabled, and None otherwise."""

from __future__ import annotations

import attrs
import pytest

from typedbus import Bus, Component, Container, InvalidContainer, running
from typedbus.events import SUBSCRIBED
from typedbus.faults import DisabledFault, TypeFault
from typedbus.graph import Edge, Graph


@attrs.frozen
class Settings:
    has_sms: bool = False


class Sms:
    """A component that may be disabled."""

    is_on = False

    def start(self) -> None:
        self.is_on = True


class Notifier:
    def __init__(self, sms: Sms | None = None) -> None:
        self.sms = sms
        self.was_on = False

    def start(self) -> None:
        self.was_on = self.sms is not None and self.sms.is_on


class Several:
    def __init__(self, some: list[Sms | None]) -> None:
        self.some = some


class Shop(Container):
    bus = Component(Bus)
    settings = Component(Settings)
    sms = Component(Sms).enabled(settings.provided.has_sms, reason="has_sms = false")
    notifier = Component(Notifier, sms.optional)
    several = Component(Several, [sms.optional])


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("has_sms", [False, True])
def test_a_disabled_component_is_none(has_sms: bool, workers: int) -> None:
    """An enabled one is the instance, which has started before its user."""
    shop, needs = Shop(), dict[str, tuple[str, ...]]()
    shop.validate()
    bus = shop.attach()
    with (
        shop.override(Shop.settings).by(Settings(has_sms)),
        bus[SUBSCRIBED].subscribe(lambda event, /: needs.update({event.path: event.needs})),
        running(shop, workers=workers),
    ):
        expected = shop.sms() if has_sms else None
        assert shop.notifier().sms is expected
        assert shop.several().some == [expected]
        assert shop.notifier().was_on is has_sms
    assert needs["Shop.notifier"] == (("Shop.sms",) if has_sms else ())


def test_an_optional_argument_works_before_the_bus_starts() -> None:
    """A call of a component builds its dependencies."""
    shop = Shop()
    assert shop.notifier().sms is None


def test_an_override_is_passed() -> None:
    """Whatever the condition of the original is."""
    shop, fake = Shop(), Sms()
    with shop.override(Shop.sms).by(fake), running(shop):
        assert shop.notifier().sms is fake


def test_an_optional_argument_is_checked_against_the_annotation() -> None:
    """Either the component or None may not match."""

    class Other(Container):
        bus = Component(Bus)
        sms = Component(Sms)
        settings = Component(Settings, sms.optional)  # type: ignore[arg-type]  # the fault

    with pytest.raises(InvalidContainer) as raised:
        Other().validate()
    [fault] = raised.value.exceptions
    assert isinstance(fault, TypeFault)
    assert "(Other.sms" in str(fault)


def test_a_conditional_component_needs_a_parameter_that_accepts_none() -> None:
    """It is a fault otherwise, also if the condition is known only later, and in a list."""

    class Strict:
        def __init__(self, sms: Sms) -> None: ...

    class StrictList:
        def __init__(self, some: list[Sms], more: object = None) -> None: ...

    class Implicit:
        def __init__(self, sms: Sms = None) -> None: ...  # type: ignore[assignment]  # as older code has it

    class Unannotated:
        def __init__(self, sms) -> None: ...  # type: ignore[no-untyped-def]  # as older code has it

    class App(Shop):
        strict = Component(Strict, Shop.sms.optional)  # type: ignore[arg-type]  # the fault
        by_name = Component(Strict, sms=Shop.sms.optional)  # type: ignore[arg-type]  # the fault
        listed = Component(StrictList, [Shop.sms.optional])  # type: ignore[list-item]  # the fault
        implicit = Component(Implicit, Shop.sms.optional)  # type: ignore[arg-type]  # None is its default
        unannotated = Component(Unannotated, Shop.sms.optional)
        enabled = Component(Sms).enabled(True, reason="it always is")
        fine = Component(Strict, enabled.optional)  # type: ignore[arg-type]  # it is known to take part

    with pytest.raises(InvalidContainer) as raised:
        App().validate()
    faults = {fault.path: str(fault) for fault in raised.value.exceptions if isinstance(fault, TypeFault)}
    assert list(faults) == ["App.strict", "App.by_name", "App.listed"]
    assert len(raised.value.exceptions) == len(faults)
    name = f"{Sms.__module__}.Sms"
    assert f"takes 'sms' as {name} and is given {name} | None (App.sms.optional)" in faults["App.strict"]
    assert f"annotate it as {name} | None, since that component may be disabled" in faults["App.strict"]


def test_the_fault_for_a_required_disabled_component_recommends_optional() -> None:
    """`provided` of a disabled component is a fault."""

    class App(Container):
        bus = Component(Bus)
        sms = Component(Sms).enabled(False, reason="not here")
        notifier = Component(Notifier, sms.provided)
        fine = Component(Notifier, sms.optional)

    with pytest.raises(InvalidContainer) as raised:
        App().validate()
    [fault] = raised.value.exceptions
    assert isinstance(fault, DisabledFault)
    assert fault.path == "App.notifier"
    assert "pass sms.optional to a parameter that accepts None" in str(fault)


def test_a_picture_shows_an_optional_dependency() -> None:
    """As for `provided`."""
    assert Edge("Shop.notifier", "Shop.sms") in Graph.of(Shop()).edges
