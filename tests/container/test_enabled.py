"""Components that take part only where a condition says so."""

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
    """What conditions ask; tests set it."""

    def __init__(self, notes: list[str]) -> None:
        notes.append("build settings")
        self.metrics = "metrics" in notes


class Part:
    """Writes down what happens to it."""

    def __init__(self, notes: list[str], name: str, *needed: object) -> None:
        self.notes = notes
        self.name = name
        self.needed = needed
        notes.append(f"build {name}")

    def start(self) -> None:
        """Note it."""
        self.notes.append(f"start {self.name}")

    def stop(self) -> None:
        """Note it."""
        self.notes.append(f"stop {self.name}")

    def exit(self) -> None:
        """Note it."""
        self.notes.append(f"exit {self.name}")


class Shop(Container):
    """`gauge` and `report` take part if `notes` has "metrics" in it when the settings are built."""

    bus = Component(Bus)
    notes = Component(list[str])
    orders = Component(Part, notes.provided, "orders")
    settings = Component(Settings, notes.provided)
    gauge = Component(Part, notes.provided, "gauge").enabled(settings.provided.metrics, reason="metrics = false")
    report = Component(Part, notes.provided, "report", gauge.provided).enabled(
        settings.provided.metrics, reason="nothing to report"
    )


def test_a_component_that_is_not_enabled_is_neither_built_nor_started() -> None:
    """Nor is one that needs it, on the same condition; what the condition needs is built before."""
    with running(Shop()) as shop:
        pass

    assert shop.notes() == ["build settings", "build orders", "start orders", "stop orders", "exit orders"]


def test_a_component_that_is_enabled_is_like_any_other() -> None:
    """The condition says so at the start."""
    shop = Shop()
    shop.notes().append("metrics")
    with running(shop):
        notes = shop.notes()

    assert [note for note in notes if "start" in note] == ["start orders", "start gauge", "start report"]
    assert [note for note in notes if "stop" in note] == ["stop report", "stop gauge", "stop orders"]


def test_what_is_not_enabled_is_told_with_the_reason() -> None:
    """Before anything is started, and nothing else is told of it."""
    shop = Shop()
    told: list[Any] = []
    disabled: list[Disabled] = []
    bus = shop.attach()
    bus[LIFECYCLE].subscribe(told.append)
    bus[DISABLED].subscribe(disabled.append)
    with running(shop):
        pass

    assert disabled == [Disabled("Shop.gauge", "metrics = false"), Disabled("Shop.report", "nothing to report")]
    assert told.index(disabled[1]) < next(
        number for number, event in enumerate(told) if isinstance(event, ComponentStarted)
    )
    assert [event for event in told if getattr(event, "path", "") == "Shop.gauge"] == [disabled[0]]


@pytest.mark.parametrize("name", ["gauge", "report"])
def test_calling_what_is_not_enabled_is_an_error(name: str) -> None:
    """It tells which component is off, where it is declared, and why."""
    shop = Shop()

    with pytest.raises(ComponentDisabled) as refused:
        getattr(shop, name)()

    assert (refused.value.path, refused.value.place) == ("Shop.gauge", Shop.gauge.place)
    assert str(refused.value) == f"Shop.gauge ({Shop.gauge.place}) is not enabled: metrics = false"
    assert not shop.report.is_built


def test_the_condition_is_asked_anew_after_an_exit() -> None:
    """What it needs is built anew, too."""
    answers = [False, True]

    class Flagged(Container):
        bus = Component(Bus)
        notes = Component(list[str])
        flag = Component(answers.pop, 0)
        gauge = Component(Part, notes.provided, "gauge").enabled(flag.provided, reason="not this time")

    flagged = Flagged()
    seen = []
    for _ in range(2):
        with running(flagged):
            seen.append(flagged.gauge.is_built)

    assert seen == [False, True]


def test_what_needs_a_component_that_is_never_enabled_is_a_fault() -> None:
    """It is known before anything is built, and told in the order of declaration with all others."""
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


def test_one_whose_condition_nobody_knows_yet_may_need_what_is_never_enabled() -> None:
    """It may turn out to take no part either."""

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


def test_what_needs_a_component_that_turns_out_not_to_be_enabled_is_a_fault() -> None:
    """The start tells it, when no more than the conditions need is built."""

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


def test_a_condition_that_asks_what_is_not_enabled_is_a_fault() -> None:
    """Nobody can say what it would say."""

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


def test_what_overrides_a_component_takes_part_whatever_the_condition() -> None:
    """Who overrides it wants it to be there."""
    shop = Shop()
    gauge = Part([], "fake")

    with shop.override(Shop.gauge).by(gauge), running(shop):
        assert shop.gauge() is gauge

    assert gauge.notes == ["build fake", "start fake", "stop fake", "exit fake"]


def test_what_overrides_a_component_that_is_never_enabled_may_be_needed() -> None:
    """It is known before anything is built that it takes part."""

    class Odd(Shop):
        off = Component(Part, Shop.notes.provided, "off").enabled(False, reason="not yet")
        user = Component(Part, Shop.notes.provided, "user", off.provided)

    odd, stand_in = Odd(), Part([], "fake")
    with odd.override(Odd.off).by(stand_in), running(odd):
        assert odd.user().needed == (stand_in,)


def test_an_override_may_have_a_condition_of_its_own() -> None:
    """As any declaration."""
    shop = Shop()
    stand_in = Component(Part, Shop.notes.provided, "other").enabled(False, reason="off in tests")

    with shop.override(Shop.orders).by(stand_in), running(shop):
        assert "build other" not in shop.notes()


def test_what_a_condition_asks_may_be_overridden() -> None:
    """It is how a test turns a component on."""
    shop = Shop()

    with shop.override(Shop.settings).by(Settings(["metrics"])), running(shop):
        assert shop.gauge.is_built
    with running(shop):
        assert not shop.gauge.is_built


def test_an_override_of_what_a_condition_asked_comes_too_late() -> None:
    """The component is there on the word of the real one."""
    shop = Shop()
    shop.notes().append("metrics")
    shop.gauge()

    with pytest.raises(OverrideError, match="is built already"):
        shop.override(Shop.settings).by(Settings([])).__enter__()


def test_a_circle_through_a_condition_is_a_fault() -> None:
    """A component cannot have a say in whether what it needs is there."""
    shop = Shop()
    stand_in = Component(lambda gauge: Settings([]), Shop.gauge.provided)

    with shop.override(Shop.settings).by(stand_in), pytest.raises(InvalidContainer) as invalid:
        shop.validate()

    assert any(isinstance(fault, CycleFault) for fault in invalid.value.exceptions)


def test_a_component_that_has_been_built_takes_part_until_the_exit() -> None:
    """It has something to give back there, whatever the condition says of the next start."""
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


def test_a_component_that_was_not_enabled_may_be_at_the_next_start() -> None:
    """Of a bus that was only stopped, too."""
    shop = Shop()
    bus = shop.attach()
    bus.start()
    bus.stop()
    shop.settings().metrics = True
    bus.start()
    bus.exit()

    assert shop.notes().count("start gauge") == 1


def test_a_condition_that_fails_fails_the_start() -> None:
    """With the component that could not be built."""

    class Broken(Container):
        bus = Component(Bus)
        number: Component[Any] = Component(int, "none")
        gauge = Component(Part, [], "gauge").enabled(number.provided.is_integer, reason="no number")

    with pytest.raises(TransitionFailures) as failed, running(Broken()):
        pass

    (failure,) = failed.value.failures
    assert failure.name == "Broken.number"
    assert isinstance(failure.error, ValueError)


def test_a_condition_cannot_be_worked_out_in_the_body() -> None:
    """There are no settings yet; it is told in the line where it is tried."""
    with pytest.raises(DeclarationError):
        not Shop.settings.provided.metrics


def test_each_instance_asks_for_itself() -> None:
    """Conditions are wired to each instance's own components."""
    one, other = Shop(), Shop()
    one.notes().append("metrics")

    assert one.gauge().name == "gauge"
    with pytest.raises(ComponentDisabled):
        other.gauge()


def test_only_what_conditions_need_is_built_before_they_are_asked() -> None:
    """It is told as any building is."""
    shop = Shop()
    told: list[object] = []
    shop.attach()[LIFECYCLE].subscribe(told.append)
    with running(shop):
        pass

    first = next(number for number, event in enumerate(told) if isinstance(event, Disabled))
    paths = [event.path for event in told[:first] if isinstance(event, Constructing | Constructed)]
    assert paths == ["Shop.notes"] * 2 + ["Shop.settings"] * 2
