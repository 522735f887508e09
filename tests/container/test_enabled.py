"""Components with a condition that enables them."""

from __future__ import annotations

from typing import Any

import pytest

from typedbus import (
    Bus,
    Component,
    ComponentDisabled,
    Container,
    DeclarationError,
    InvalidContainer,
    OverrideError,
    TransitionFailures,
    running,
)
from typedbus.events import DISABLED, LIFECYCLE, ComponentStarted, Constructed, Constructing, Disabled
from typedbus.faults import CycleFault, DisabledFault


class Settings:
    """The data of conditions; tests set it."""

    def __init__(self, notes: list[str]) -> None:
        notes.append("build settings")
        self.metrics = "metrics" in notes


class Part:
    """Records its life cycle."""

    def __init__(self, notes: list[str], name: str, *needed: object) -> None:
        self.notes = notes
        self.name = name
        self.needed = needed
        notes.append(f"build {name}")

    def start(self) -> None:
        """Record the call."""
        self.notes.append(f"start {self.name}")

    def stop(self) -> None:
        """Record the call."""
        self.notes.append(f"stop {self.name}")

    def exit(self) -> None:
        """Record the call."""
        self.notes.append(f"exit {self.name}")


class Shop(Container):
    """`gauge` and `report` are enabled if `notes` contains "metrics" when the settings are built."""

    bus = Component(Bus)
    notes = Component(list[str])
    orders = Component(Part, notes.provided, "orders")
    settings = Component(Settings, notes.provided)
    gauge = Component(Part, notes.provided, "gauge").enabled(settings.provided.metrics, reason="metrics = false")
    report = Component(Part, notes.provided, "report", gauge.provided).enabled(
        settings.provided.metrics, reason="nothing to report"
    )


def test_a_component_that_is_not_enabled_is_neither_built_nor_started() -> None:
    """A component that needs it has the same condition; dependencies of the condition are built before."""
    with running(Shop()) as shop:
        pass

    assert shop.notes() == ["build settings", "build orders", "start orders", "stop orders", "exit orders"]


def test_an_enabled_component_is_built_and_started() -> None:
    """The condition is evaluated at the start."""
    shop = Shop()
    shop.notes().append("metrics")
    with running(shop):
        notes = shop.notes()

    assert [note for note in notes if "start" in note] == ["start orders", "start gauge", "start report"]
    assert [note for note in notes if "stop" in note] == ["stop report", "stop gauge", "stop orders"]


def test_a_disabled_component_is_reported_with_the_reason() -> None:
    """The event is published before the first start hook, and is the only one about the component."""
    shop = Shop()
    events: list[Any] = []
    disabled: list[Disabled] = []
    bus = shop.attach()
    bus[LIFECYCLE].subscribe(events.append)
    bus[DISABLED].subscribe(disabled.append)
    with running(shop):
        pass

    assert disabled == [Disabled("Shop.gauge", "metrics = false"), Disabled("Shop.report", "nothing to report")]
    assert events.index(disabled[1]) < next(
        number for number, event in enumerate(events) if isinstance(event, ComponentStarted)
    )
    assert [event for event in events if getattr(event, "path", "") == "Shop.gauge"] == [disabled[0]]


@pytest.mark.parametrize("name", ["gauge", "report"])
def test_calling_a_disabled_component_is_an_error(name: str) -> None:
    """The error has the component, the place of its declaration and the reason."""
    shop = Shop()

    with pytest.raises(ComponentDisabled) as refused:
        getattr(shop, name)()

    assert (refused.value.path, refused.value.place) == ("Shop.gauge", Shop.gauge.place)
    assert str(refused.value) == f"Shop.gauge ({Shop.gauge.place}) is not enabled: metrics = false"
    assert not shop.report.is_built


def test_the_condition_is_evaluated_again_after_an_exit() -> None:
    """The components that it needs are built again, too."""
    answers = [False, True]

    class Flagged(Container):
        bus = Component(Bus)
        notes = Component(list[str])
        flag = Component(answers.pop, 0)
        gauge = Component(Part, notes.provided, "gauge").enabled(flag.provided, reason="not this time")

    flagged = Flagged()
    is_enabled = []
    for _ in range(2):
        with running(flagged):
            is_enabled.append(flagged.gauge.is_built)

    assert is_enabled == [False, True]


def test_a_component_that_needs_an_always_disabled_component_is_a_fault() -> None:
    """The fault is found before a component is built, and is listed in the order of declaration."""
    wrong: Any = Part

    class Odd(Shop):
        off = Component(Part, Shop.notes.provided, "off").enabled(False, reason="not yet")
        user = Component(Part, Shop.notes.provided, "user", [off.provided])
        broken = Component(wrong)

    odd = Odd()
    with pytest.raises(InvalidContainer) as invalid:
        odd.validate()

    fault, *others = invalid.value.exceptions
    assert isinstance(fault, DisabledFault)
    assert (fault.path, fault.disabled, fault.reason) == ("Odd.user", "Odd.off", "not yet")
    assert fault.place == Odd.user.place
    assert {getattr(other, "path", "") for other in others} == {"Odd.broken"}
    assert not odd.settings.is_built


def test_a_component_with_an_open_condition_may_need_an_always_disabled_component() -> None:
    """Its condition may turn out false."""

    class Odd(Shop):
        off = Component(Part, Shop.notes.provided, "off").enabled(False, reason="not yet")
        user = Component(Part, Shop.notes.provided, "user", off.provided).enabled(
            Shop.settings.provided.metrics, reason="metrics = false"
        )

    with running(Odd()) as odd:
        assert "build user" not in odd.notes()
    odd = Odd()
    odd.notes().append("metrics")
    with pytest.raises(TransitionFailures), running(odd):
        pass


def test_a_component_that_needs_one_disabled_at_the_start_is_a_fault() -> None:
    """The start reports it when only the dependencies of conditions are built."""

    class Odd(Shop):
        off = Component(Part, Shop.notes.provided, "off").enabled(False, reason="not yet")
        user = Component(Part, Shop.notes.provided, "user", Shop.gauge.provided)

    odd = Odd()
    odd.validate()
    with pytest.raises(TransitionFailures) as failed, running(odd):
        pass

    (invalid,) = failed.value.exceptions
    assert isinstance(invalid, InvalidContainer)
    (fault,) = invalid.exceptions
    assert isinstance(fault, DisabledFault)
    assert (fault.path, fault.disabled, fault.reason) == ("Odd.user", "Odd.gauge", "metrics = false")
    assert odd.notes() == ["build settings"]


def test_a_condition_that_needs_a_disabled_component_is_a_fault() -> None:
    """The condition could not be evaluated."""

    class Odd(Container):
        bus = Component(Bus)
        notes = Component(list[str])
        flag = Component(bool, False)
        settings = Component(Settings, notes.provided).enabled(flag.provided, reason="no settings")
        gauge = Component(Part, notes.provided, "gauge").enabled(settings.provided.metrics, reason="metrics = false")

    odd = Odd()
    with pytest.raises(TransitionFailures) as failed, running(odd):
        pass

    (invalid,) = failed.value.exceptions
    assert isinstance(invalid, InvalidContainer)
    (fault,) = invalid.exceptions
    assert isinstance(fault, DisabledFault)
    assert (fault.path, fault.disabled, fault.reason) == ("Odd.gauge", "Odd.settings", "no settings")


def test_an_override_is_enabled_whatever_the_condition_of_the_original() -> None:
    """An explicit override implies that the component is needed."""
    shop = Shop()
    gauge = Part([], "fake")

    with shop.override(Shop.gauge).by(gauge), running(shop):
        assert shop.gauge() is gauge

    assert gauge.notes == ["build fake", "start fake", "stop fake", "exit fake"]


def test_an_override_of_an_always_disabled_component_may_be_needed() -> None:
    """`validate()` takes the override as enabled."""

    class Odd(Shop):
        off = Component(Part, Shop.notes.provided, "off").enabled(False, reason="not yet")
        user = Component(Part, Shop.notes.provided, "user", off.provided)

    odd, stand_in = Odd(), Part([], "fake")
    with odd.override(Odd.off).by(stand_in), running(odd):
        assert odd.user().needed == (stand_in,)


def test_an_override_may_have_a_condition_of_its_own() -> None:
    """A declaration that overrides another may be conditional."""
    shop = Shop()
    stand_in = Component(Part, Shop.notes.provided, "other").enabled(False, reason="off in tests")

    with shop.override(Shop.orders).by(stand_in), running(shop):
        assert "build other" not in shop.notes()


def test_the_settings_of_a_condition_may_be_overridden() -> None:
    """A test enables a component this way."""
    shop = Shop()

    with shop.override(Shop.settings).by(Settings(["metrics"])), running(shop):
        assert shop.gauge.is_built
    with running(shop):
        assert not shop.gauge.is_built


def test_an_override_of_the_settings_after_the_start_is_refused() -> None:
    """The component was enabled by the real settings."""
    shop = Shop()
    shop.notes().append("metrics")
    shop.gauge()

    with pytest.raises(OverrideError, match="is built already"):
        shop.override(Shop.settings).by(Settings([])).__enter__()


def test_a_cycle_through_a_condition_is_a_fault() -> None:
    """A component cannot decide whether its own dependency is enabled."""
    shop = Shop()
    stand_in = Component(lambda gauge: Settings([]), Shop.gauge.provided)

    with shop.override(Shop.settings).by(stand_in), pytest.raises(InvalidContainer) as invalid:
        shop.validate()

    assert any(isinstance(fault, CycleFault) for fault in invalid.value.exceptions)


def test_a_component_that_was_built_stays_enabled_until_the_exit() -> None:
    """Its exit hook must run, whatever the condition is at the next start."""
    shop = Shop()
    shop.notes().append("metrics")
    bus = shop.attach()
    disabled: list[Disabled] = []
    bus[DISABLED].subscribe(disabled.append)
    bus.start()
    bus.stop()
    shop.settings().metrics = False
    bus.start()
    bus.exit()

    assert disabled == []
    notes = shop.notes()
    assert notes.count("start gauge") == notes.count("stop gauge") == 2
    assert notes.count("exit gauge") == 1


def test_a_disabled_component_may_be_enabled_at_the_next_start() -> None:
    """This includes a start after a stop."""
    shop = Shop()
    bus = shop.attach()
    bus.start()
    bus.stop()
    shop.settings().metrics = True
    bus.start()
    bus.exit()

    assert shop.notes().count("start gauge") == 1


def test_a_condition_that_fails_fails_the_start() -> None:
    """The failure names the component whose condition raised."""

    class Broken(Container):
        bus = Component(Bus)
        number: Component[Any] = Component(int, "none")
        gauge = Component(Part, [], "gauge").enabled(number.provided.is_integer, reason="no number")

    with pytest.raises(TransitionFailures) as failed, running(Broken()):
        pass

    (failure,) = failed.value.failures
    assert failure.name == "Broken.number"
    assert isinstance(failure.error, ValueError)


def test_a_condition_cannot_be_evaluated_in_the_class_body() -> None:
    """The settings do not exist yet; the error has the line of the expression."""
    with pytest.raises(DeclarationError):
        not Shop.settings.provided.metrics


def test_each_instance_evaluates_its_own_conditions() -> None:
    """Conditions refer to the components of the instance."""
    one, other = Shop(), Shop()
    one.notes().append("metrics")

    assert one.gauge().name == "gauge"
    with pytest.raises(ComponentDisabled):
        other.gauge()


def test_only_dependencies_of_conditions_are_built_before_the_evaluation() -> None:
    """Their building is reported as usual."""
    shop = Shop()
    events: list[object] = []
    shop.attach()[LIFECYCLE].subscribe(events.append)
    with running(shop):
        pass

    first = next(number for number, event in enumerate(events) if isinstance(event, Disabled))
    paths = [event.path for event in events[:first] if isinstance(event, Constructing | Constructed)]
    assert paths == ["Shop.notes"] * 2 + ["Shop.settings"] * 2
