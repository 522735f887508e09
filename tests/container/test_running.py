"""`running`: a container for the length of a block."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from tests.doubles import ConstructionRecorder

from typedbus import (
    EXIT,
    LOG,
    Bus,
    Component,
    Container,
    InvalidContainer,
    StartCancelled,
    State,
    TransitionError,
    TransitionFailures,
    running,
)


class Shop(Container):
    """A chain of three components, which fail in the hooks in `failing`."""

    bus = Component(Bus)
    notes = Component(list[str])
    failing = Component(set[str])
    a = Component(ConstructionRecorder, notes.provided, "a", failing=failing.provided)
    b = Component(ConstructionRecorder, notes.provided, "b", a.provided, failing=failing.provided)
    c = Component(ConstructionRecorder, notes.provided, "c", b.provided, failing=failing.provided)


GOOD = ["start a", "start b", "start c", "stop c", "stop b", "stop a", "exit c", "exit b", "exit a"]


def test_the_container_runs_inside_the_block() -> None:
    """The block gets the instance that was passed, started; it has exited afterwards."""
    shop = Shop()

    with running(shop) as instance:
        assert instance is shop
        assert shop.bus().state is State.STARTED

    assert shop.bus().state is State.EXITED
    assert shop.notes() == ["build a", "build b", "build c", *GOOD]


def test_a_container_can_run_repeatedly() -> None:
    """The run after an exit builds the components again; the earlier ones had exited."""
    shop = Shop()

    for _ in range(2):
        with running(shop):
            notes = shop.notes()

        assert notes == ["build a", "build b", "build c", *GOOD]


def test_a_stop_keeps_the_components() -> None:
    """A start after a stop without an exit starts the same components."""
    shop = Shop()
    bus = shop.attach()

    for _ in range(2):
        bus.start()
        bus.stop()

    assert shop.notes() == ["build a", "build b", "build c", *GOOD[:6], *GOOD[:6]]


@pytest.mark.parametrize("error", [ValueError("body"), KeyboardInterrupt(), SystemExit(3)], ids=lambda one: repr(one))
def test_the_exception_of_the_block_is_raised_unchanged(error: BaseException) -> None:
    """The container exits in order before."""
    shop = Shop()

    with pytest.raises(type(error)) as raised, running(shop):
        raise error

    assert raised.value is error
    assert shop.notes()[-6:] == GOOD[-6:]


def test_a_failing_exit_is_raised() -> None:
    """All other components are stopped and exited."""
    shop = Shop()
    shop.failing().update({"stop c", "exit b"})

    with pytest.raises(TransitionFailures) as failed, running(shop):
        pass

    assert [str(error) for error in failed.value.exceptions] == ["no stop c", "no exit b"]
    assert shop.notes()[-6:] == GOOD[-6:]


@pytest.mark.parametrize("error", [ValueError("body"), KeyboardInterrupt()], ids=["exception", "interrupt"])
def test_a_failing_exit_does_not_hide_the_exception_of_the_block(error: BaseException) -> None:
    """Both are raised in a group, that of the block first."""
    shop = Shop()
    shop.failing().add("exit a")

    with pytest.raises(BaseExceptionGroup) as failed, running(shop):
        raise error

    first, second = failed.value.exceptions
    assert first is error
    assert isinstance(second, TransitionFailures)
    assert second.state is State.EXITED
    assert failed.value.__suppress_context__


def test_a_container_that_fails_to_start_is_exited() -> None:
    """The started components are stopped, and all components that were built are exited."""
    shop = Shop()
    shop.failing().add("start b")

    with pytest.raises(TransitionFailures) as failed, running(shop):
        raise AssertionError

    assert [str(error) for error in failed.value.exceptions] == ["no start b"]
    assert shop.notes()[3:] == ["start a", "start b", "stop a", "exit c", "exit b", "exit a"]
    assert shop.bus().state is State.EXITED


def test_failures_of_start_and_exit_are_both_raised() -> None:
    """In a group, the start first."""
    shop = Shop()
    shop.failing().update({"start b", "exit b"})

    with pytest.raises(BaseExceptionGroup) as failed, running(shop):
        raise AssertionError

    goals = [error.goal for error in failed.value.exceptions if isinstance(error, TransitionFailures)]
    assert goals == [State.STARTED, State.EXITED]


def test_components_built_before_a_failing_constructor_are_exited() -> None:
    """None of them was started, so none is stopped; later ones were not built."""
    shop = Shop()
    shop.failing().add("build b")

    with pytest.raises(TransitionFailures) as failed, running(shop):
        raise AssertionError

    assert failed.value.exceptions[0].__notes__[0] == f"raised while Shop.b was built ({Shop.b.place})"
    assert shop.notes() == ["build a", "build b", "exit a"]
    assert not shop.c.is_built


def test_a_second_start_works_after_a_failing_constructor() -> None:
    """All components are built again."""
    shop = Shop()
    shop.failing().add("build b")
    with pytest.raises(TransitionFailures), running(shop):
        raise AssertionError

    with running(shop):
        notes = shop.notes()

    assert notes == ["build a", "build b", "build c", *GOOD]


def test_a_second_run_of_a_running_container_is_refused() -> None:
    """The first run is not affected."""
    shop = Shop()

    with running(shop):
        with pytest.raises(TransitionError) as refused, running(shop):
            raise AssertionError

        assert refused.value.state is State.STARTED
        assert refused.value.target is State.STARTING
        assert shop.bus().state is State.STARTED
    assert shop.notes()[3:] == GOOD


@pytest.mark.parametrize("end", [Bus.stop, Bus.exit], ids=["stop", "exit"])
def test_the_block_may_exit_the_bus(end: Callable[[Bus], None]) -> None:
    """The end of the block then calls no hook a second time."""
    shop = Shop()

    with running(shop):
        end(shop.bus())

    assert shop.bus().state is State.EXITED
    assert shop.notes()[3:] == GOOD


def test_another_thread_may_exit_the_bus() -> None:
    """The bus has exited before the end of the block."""
    shop = Shop()

    with running(shop):
        ending = threading.Thread(target=shop.bus().exit)
        ending.start()
        ending.join(10)

    assert shop.notes()[3:] == GOOD


class Asking:
    """Requests the exit of the bus with the given causes in a hook."""

    def __init__(self, bus: Bus, causes: dict[str, list[BaseException]]) -> None:
        self.bus = bus
        self.causes = causes

    def ask(self, hook: str) -> None:
        for cause in self.causes.get(hook, []):
            self.bus.request_exit(cause)

    def start(self) -> None:
        self.ask("start")

    def stop(self) -> None:
        self.ask("stop")

    def exit(self) -> None:
        self.ask("exit")


class Later:
    """Starts after its dependency."""

    def __init__(self, before: object) -> None: ...

    def start(self) -> None: ...


class Site(Container):
    """A component that requests the exit, and one that starts after it."""

    bus = Component(Bus)
    causes = Component(dict[str, list[BaseException]])
    asking = Component(Asking, bus.provided, causes.provided)
    later = Component(Later, asking.provided)


@pytest.mark.parametrize("hook", ["stop", "exit"])
def test_the_cause_of_a_request_during_the_exit_is_raised_after_it(hook: str) -> None:
    """It is raised unchanged, though the block itself did not raise."""
    site, cause = Site(), OSError("broker gone")
    site.causes()[hook] = [cause]

    with pytest.raises(OSError) as raised, running(site):
        pass

    assert raised.value is cause
    assert site.bus().state is State.EXITED


@pytest.mark.parametrize("cause", [OSError("broker gone"), SystemExit(3)], ids=repr)
def test_the_cause_of_a_request_in_the_block_is_raised_at_its_end(cause: BaseException) -> None:
    """The request does not end the block."""
    site, ends = Site(), []

    with pytest.raises(type(cause)) as raised, running(site):
        site.bus().request_exit(cause)
        ends.append(site.bus().state)

    assert raised.value is cause
    assert ends == [State.STARTED]


def test_the_cause_of_a_request_before_the_start_is_raised_at_the_end() -> None:
    """The request waits for a thread in `block`, so the start is not cancelled."""
    site, cause, ran = Site(), OSError("broker gone"), []
    site.attach().request_exit(cause)

    with pytest.raises(OSError) as raised, running(site):
        ran.append(site.bus().state)

    assert raised.value is cause
    assert ran == [State.STARTED]


def test_a_cancelled_start_is_raised_from_its_cause() -> None:
    """The block does not run, and the cause is not raised a second time."""
    site, cause = Site(), OSError("broker gone")
    site.causes()["start"] = [cause]

    with pytest.raises(StartCancelled) as raised, running(site):
        raise AssertionError

    assert raised.value.__cause__ is cause


def test_a_cancelled_start_is_raised_from_all_its_causes() -> None:
    """A group has the causes of the cancellation, and of all requests until the bus had exited."""
    site, first, second = Site(), OSError("broker gone"), ValueError("not flushed")
    site.causes().update({"start": [first], "exit": [second]})

    with pytest.raises(StartCancelled) as raised, running(site):
        raise AssertionError

    causes = raised.value.__cause__
    assert isinstance(causes, ExceptionGroup)
    assert causes.exceptions == (first, second)


def test_several_causes_are_raised_in_a_group() -> None:
    """In the order of the requests; one object that was passed twice is raised once."""
    site, first, second = Site(), OSError("broker gone"), ValueError("disk full")

    with pytest.raises(ExceptionGroup) as raised, running(site):
        for cause in (first, second, first):
            site.bus().request_exit(cause)

    assert raised.value.exceptions == (first, second)


def test_block_cause_and_failed_exit_are_raised_in_this_order() -> None:
    """A group has all of them."""
    shop, cause, error = Shop(), OSError("broker gone"), ValueError("block")
    shop.failing().add("exit a")

    with pytest.raises(ExceptionGroup) as raised, running(shop):
        shop.bus().request_exit(cause)
        raise error

    assert raised.value.exceptions[:2] == (error, cause)
    assert isinstance(raised.value.exceptions[2], TransitionFailures)


def test_a_cause_that_the_block_raises_as_well_is_raised_once() -> None:
    """Whether it is the same object or the cause of another."""
    site, cause = Site(), OSError("broker gone")

    with pytest.raises(OSError) as same, running(site):
        site.bus().request_exit(cause)
        raise cause
    with pytest.raises(ValueError) as wrapped, running(site):
        site.bus().request_exit(cause)
        raise ValueError("block") from cause

    assert same.value is cause
    assert wrapped.value.__cause__ is cause


def test_a_cause_that_block_has_raised_is_not_raised_again() -> None:
    """The code that catches it there has handled it."""
    site, cause = Site(), OSError("broker gone")

    with running(site):
        site.bus().request_exit(cause)
        with pytest.raises(OSError) as raised:
            site.bus().block()

    assert raised.value is cause


def test_a_cause_is_not_raised_in_the_next_run() -> None:
    """Neither a cause that was raised, nor one that was requested after the exit."""
    site = Site()
    with pytest.raises(OSError), running(site):
        site.bus().request_exit(OSError("broker gone"))
    site.bus().request_exit(OSError("too late"))

    with running(site):
        is_asked = site.bus().is_exit_requested

    assert not is_asked


def test_a_cause_is_logged_before_the_bus_has_exited() -> None:
    """With its traceback, also if no thread is in `block`, and in whichever way the bus exits."""
    site, lines = Site(), []
    bus = site.attach()
    bus[LOG].subscribe(lambda text, level, /: lines.append((bus.state, level, text)))
    bus.start()
    bus.request_exit(OSError("broker gone"))

    bus.exit()
    bus.exit()

    [(state, level, text)] = lines
    assert (state, level) == (State.EXITING, 40)
    assert text.endswith("OSError: broker gone")


def test_a_system_exit_in_the_exit_has_the_cause_as_its_cause() -> None:
    """SystemExit is raised, with the cause of the request."""
    site, cause = Site(), OSError("broker gone")
    leaving = SystemExit(3)

    def leave() -> None:
        raise leaving

    site.attach()[EXIT].subscribe(leave)

    with pytest.raises(SystemExit) as raised, running(site):
        site.bus().request_exit(cause)

    assert raised.value is leaving
    assert leaving.__cause__ is cause


def test_an_invalid_container_is_not_built() -> None:
    """The faults are raised unchanged, before a component is built."""

    class Faulty(Shop):
        odd: Component[object] = Component(ConstructionRecorder)  # type: ignore[call-arg]  # the fault

    faulty = Faulty()
    with pytest.raises(InvalidContainer), running(faulty):
        raise AssertionError

    assert not faulty.bus.is_built
    assert not faulty.a.is_built


def test_a_container_without_a_bus_is_refused() -> None:
    """Even if none of its components listens."""

    class Plain(Container):
        names = Component(list[str])

    with pytest.raises(InvalidContainer, match="Plain cannot be wired"), running(Plain()):
        raise AssertionError
