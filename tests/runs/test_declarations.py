"""Which methods and functions are runs, and by which policy."""

from collections.abc import Iterator

import pytest

from typedbus import (
    RUN,
    Bus,
    Component,
    Container,
    InvalidContainer,
    Listeners,
    RegistrationError,
    Restart,
    RunState,
    Stopping,
    on,
    running,
)

POLICY = Restart("always")


class Marked:
    """A class with a run."""

    @on(RUN, restart=POLICY, limit=3)
    def consume(self, stopping: Stopping) -> None:
        stopping.wait()


class Plain:
    """A class without a mark."""

    def consume(self, stopping: Stopping) -> None:
        stopping.wait()


def test_an_override_of_a_run_has_its_policy_unless_it_is_marked_again() -> None:
    """An override that is None removes the run."""

    class Overriding(Marked):
        def consume(self, stopping: Stopping) -> None:
            stopping.wait()

    class Remarked(Marked):
        @on(RUN)
        def consume(self, stopping: Stopping) -> None:
            stopping.wait()

    class Without(Marked):
        consume = None  # type: ignore[assignment]  # no run

    class Shop(Container):
        bus = Component(Bus)
        overriding = Component(Overriding)
        remarked = Component(Remarked)
        without = Component(Without)

    with running(Shop) as shop:
        records = shop.bus().runs
        assert {path: record.policy for path, record in records.items()} == {
            "Shop.overriding": POLICY,
            "Shop.remarked": None,
        }


def test_a_declaration_makes_a_method_a_run_and_keeps_the_policy_of_its_mark() -> None:
    """`Component.without` removes the run."""

    class Shop(Container):
        bus = Component(Bus)
        plain = Component(Plain).on(RUN.calls(Plain.consume))
        marked = Component(Marked).on(RUN.calls(Marked.consume, limit=5))
        without = Component(Marked).without(RUN)

    with running(Shop) as shop:
        records = shop.bus().runs
        assert {path: record.policy for path, record in records.items()} == {"Shop.plain": None, "Shop.marked": POLICY}


def test_a_marked_method_that_is_subscribed_without_a_container_has_its_policy() -> None:
    """Its path is the name of the listener."""
    bus = Bus()
    bus[RUN].subscribe(Marked().consume)
    bus[RUN].subscribe(Marked().consume)

    bus.start()
    records = bus.runs
    bus.exit()

    name = f"{__name__}.Marked.consume"
    assert {path: record.policy for path, record in records.items()} == {name: POLICY, f"{name} (2)": POLICY}


def test_runs_are_listed_before_they_begin() -> None:
    """`Bus.runs` has an IDLE record once the listener is subscribed."""
    bus = Bus()
    bus[RUN].subscribe(Plain().consume)

    (record,) = bus.runs.values()

    assert (record.state, record.attempt, record.is_ready, record.stack()) == (RunState.IDLE, 0, False, "")


def test_a_function_that_is_registered_as_a_run_after_the_start_is_refused() -> None:
    """The bus would not call it before the next start."""
    listeners = Listeners()

    class Shop(Container):
        bus = Component(Bus)
        functions = Component(listeners)

    with running(Shop), pytest.raises(RegistrationError, match="the bus has started, so the function would not be"):

        @listeners.on(RUN)
        def consume(stopping: Stopping) -> None: ...


def test_a_run_that_would_do_nothing_is_a_fault() -> None:
    """A call of a generator function does not execute its body."""

    class Wrong:
        @on(RUN)  # type: ignore[arg-type]  # the fault
        def consume(self, stopping: Stopping) -> Iterator[None]:
            yield

    class Shop(Container):
        bus = Component(Bus)
        wrong = Component(Wrong)

    with pytest.raises(InvalidContainer) as invalid:
        Shop().validate()
    assert "is a generator, and its body would not run" in str(invalid.value.exceptions[0])


def test_a_declaration_cannot_make_a_run_inline() -> None:
    """The fault states that a run has a thread or a task of its own."""

    class Shop(Container):
        bus = Component(Bus)
        plain = Component(Plain).on(RUN.calls(Plain.consume, inline=True))

    with pytest.raises(InvalidContainer) as invalid:
        Shop().validate()
    assert str(invalid.value.exceptions[0]).endswith(
        "it is inline, and a run has a thread or a task of its own; remove inline=True"
    )


def test_a_run_with_another_priority_than_its_component_is_a_fault() -> None:
    """Runs begin in the order in which their components start."""

    class Wrong:
        @on(RUN, priority=10)
        def consume(self, stopping: Stopping) -> None: ...

    class Shop(Container):
        bus = Component(Bus)
        wrong = Component(Wrong)

    with pytest.raises(InvalidContainer) as invalid:
        Shop().validate()
    assert "has priority 10, but the component starts at 50" in str(invalid.value.exceptions[0])
