"""A RecursionError ends every form of publish at once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from typedbus import (
    LOG,
    MAIN,
    START,
    STOP,
    Bus,
    Channel,
    ChannelFailures,
    Component,
    Container,
    State,
    TransitionFailures,
    running,
)
from typedbus._channels.codegen import HEAT
from typedbus.events import LIFECYCLE, LISTENER_FAILED
from typedbus.wspbus import Bus as OldBus

changed = Channel[[int], None]("changed")
untyped: Channel[[int], None] = Channel("untyped")


@Channel.declare
def everything(a: int, /, b: int = 3, *rest: int, c: int, **others: int) -> None:
    """Every kind of parameter."""


ENOUGH = 1100
"""More calls than the stack of a test has frames, and far fewer than two to the power of its depth."""

Publish = Callable[[Bus], object]

every_form = pytest.mark.parametrize(
    ("channel", "publish"),
    [
        (changed, lambda bus: bus[changed].publish(1)),
        (untyped, lambda bus: bus[untyped].publish(1)),
        (everything, lambda bus: bus[everything].publish(1, 2, 3, c=4, d=5)),
        (MAIN, lambda bus: bus[MAIN].publish()),
    ],
    ids=["generated", "untyped", "every parameter", "main"],
)
hot_and_cold = pytest.mark.parametrize("publishes", [0, HEAT + 1], ids=["cold", "hot"])


class Endless:
    """Listeners that publish again each time that they are called, once they are switched on."""

    def __init__(self, publish: Callable[[], object]) -> None:
        self.calls = 0
        self.is_on = False
        self._publish = publish

    def listener(self) -> Callable[..., None]:
        def publish_again(*_: object, **__: object) -> None:
            if self.is_on:
                self.calls += 1
                self._publish()

        return publish_again


@every_form
@hot_and_cold
@pytest.mark.parametrize("listeners", [1, 2, 20])
def test_listeners_that_publish_again_end_with_one_recursion_error(
    channel: Channel[..., None], publish: Publish, publishes: int, listeners: int
) -> None:
    """The stack is exhausted once, not once for each listener at each level."""
    bus = Bus()
    endless = Endless(lambda: publish(bus))
    for _ in range(listeners):
        bus[channel].subscribe(endless.listener())
    for _ in range(publishes):
        publish(bus)
    endless.is_on = True

    with pytest.raises(RecursionError) as caught:
        publish(bus)

    assert endless.calls < ENOUGH
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@every_form
@hot_and_cold
@pytest.mark.parametrize("leaving", [RecursionError, SystemExit, KeyboardInterrupt])
def test_failures_before_a_recursion_error_are_its_cause(
    channel: Channel[..., None], publish: Publish, publishes: int, leaving: type[BaseException]
) -> None:
    """Listeners after it are not called, and earlier failures are not lost."""
    bus = Bus()
    called: list[str] = []
    is_on = False

    def works(*_: object, **__: object) -> None:
        called.append("works")

    def fails(*_: object, **__: object) -> None:
        if is_on:
            raise ValueError("failed before")

    def leaves(*_: object, **__: object) -> None:
        if is_on:
            raise leaving

    def follows(*_: object, **__: object) -> None:
        called.append("follows")

    for listener in (works, fails, leaves, follows):
        bus[channel].subscribe(listener)
    for _ in range(publishes):
        publish(bus)
    called.clear()
    is_on = True

    with pytest.raises(leaving) as caught:
        publish(bus)

    cause = caught.value.__cause__
    assert isinstance(cause, ChannelFailures)
    assert [(failure.listener, str(failure.error)) for failure in cause.failures] == [(fails, "failed before")]
    assert cause.results == (None,)
    assert called == ["works"]


@hot_and_cold
def test_each_level_of_a_recursion_keeps_its_failure(publishes: int) -> None:
    """The chain of causes has a failure for each level that had enough stack for it."""
    bus = Bus()
    is_on = False

    @bus[changed].subscribe()
    def fails(value: int, /) -> None:
        if is_on:
            raise ValueError(value)

    @bus[changed].subscribe()
    def follows(value: int, /) -> None:
        if is_on:
            bus[changed].publish(value + 1)

    for _ in range(publishes):
        bus[changed].publish(0)
    is_on = True

    with pytest.raises(RecursionError) as caught:
        bus[changed].publish(1)

    values = []
    link = caught.value.__cause__
    while isinstance(link, ChannelFailures):
        values.append(link.exceptions[0].args[0])
        link = link.__cause__
    assert values[:100] == list(range(1, 101))


@pytest.mark.parametrize("listeners", [1, 2, 10])
def test_log_listeners_that_log_are_reported_in_one_line(listeners: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The line names them; the code that logs and the other listeners of the log are not affected."""
    bus = Bus()
    endless = Endless(lambda: bus.log("again"))
    endless.is_on = True
    names = []
    for number in range(listeners):
        echo = endless.listener()
        echo.__qualname__ = f"echo{number}"
        bus[LOG].subscribe(echo)
        names.append(f"{__name__}.echo{number}")
    messages: list[str] = []
    bus[LOG].subscribe(lambda message, _: messages.append(message))

    bus.log("hello")

    assert capsys.readouterr().err == (
        f"{', '.join(names)} failed on 'log', called with 'hello 20': maximum recursion depth exceeded; "
        "a listener of 'log' must not publish on 'log' each time that it is called\n"
    )
    assert messages == ["hello"]
    assert endless.calls < ENOUGH * listeners


@pytest.mark.parametrize("raised", [None, ValueError], ids=["swallowed", "another error"])
def test_log_listeners_that_catch_the_recursion_error_still_end(
    raised: type[Exception] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their further publishes raise at once, until the first one has returned."""
    bus = Bus()
    calls = 0
    messages: list[str] = []

    def echo(message: str, level: int, /) -> None:
        nonlocal calls
        calls += 1
        try:
            bus.log("again")
        except Exception as error:
            if raised is not None:
                raise raised from error

    bus[LOG].subscribe(echo)
    bus[LOG].subscribe(lambda message, level: echo(message, level))
    bus[LOG].subscribe(lambda message, level: messages.append(message))

    bus.log("hello")

    assert calls < 3 * ENOUGH
    assert messages[-1] == "hello"
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"{__name__}.test_log_listeners_that_catch_the_recursion_error_still_end.<locals>.echo")
    bus.log("and on")
    assert messages[-1] == "and on"


def test_a_log_listener_can_log_occasionally(capsys: pytest.CaptureFixture[str]) -> None:
    """Only endless recursion is reported."""
    bus = Bus()
    messages: list[str] = []

    @bus[LOG].subscribe()
    def open_late(message: str, level: int, /) -> None:
        messages.append(message)
        if len(messages) == 1:
            bus.log("the log is open")

    bus.log("hello")

    assert messages == ["hello", "the log is open"]
    assert capsys.readouterr().err == ""


def test_log_listeners_that_log_through_another_channel_end(capsys: pytest.CaptureFixture[str]) -> None:
    """Once for each listener of the other channel."""
    bus = Bus()
    endless = Endless(lambda: bus[changed].publish(1))
    endless.is_on = True
    bus[LOG].subscribe(endless.listener())
    bus[LOG].subscribe(endless.listener())
    bus[changed].subscribe(lambda _: bus.log("first"))
    bus[changed].subscribe(lambda _: bus.log("second"))

    assert bus[changed].publish(0) == [None, None]

    lines = capsys.readouterr().err.splitlines()
    assert ["'first 20'" in lines[0], "'second 20'" in lines[1], len(lines)] == [True, True, 2]
    assert endless.calls < 4 * ENOUGH


def test_a_bridge_to_logging_that_logs_back_ends(capsys: pytest.CaptureFixture[str]) -> None:
    """Two handlers of `logging` publish on LOG the records that LOG passed to `logging`."""
    bus = Bus()
    logger = logging.Logger("bridge")  # noqa: LOG001  # only this test uses it
    calls = 0

    class Back(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            nonlocal calls
            calls += 1
            bus.log(record.getMessage(), record.levelno)

    logger.addHandler(Back())
    logger.addHandler(Back())
    bus[LOG].subscribe(lambda message, level: logger.log(level, message))

    bus.log("hello")

    assert len(capsys.readouterr().err.splitlines()) == 1
    assert calls < ENOUGH


def test_recursive_life_cycle_listeners_are_reported_once(capsys: pytest.CaptureFixture[str]) -> None:
    """A listener of LISTENER_FAILED publishes on a failing channel: the publisher gets its own failure, and nothing else."""
    bus = Bus()

    @bus[changed].subscribe()
    def fails(value: int, /) -> None:
        raise ValueError(value)

    endless = Endless(lambda: bus[changed].publish(2))
    endless.is_on = True
    bus[LISTENER_FAILED].subscribe(endless.listener())
    bus[LISTENER_FAILED].subscribe(endless.listener())

    with pytest.raises(ChannelFailures) as caught:
        bus[changed].publish(1)

    assert [failure.error.args for failure in caught.value.failures] == [(1,)]
    assert endless.calls < 2 * ENOUGH
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_recursive_life_cycle_listener_does_not_affect_a_start(capsys: pytest.CaptureFixture[str]) -> None:
    """The bus starts, and stderr has the argument of the listener."""
    bus = Bus()

    def recurse(event: object) -> None:
        recurse(event)

    bus[LIFECYCLE].subscribe(recurse)

    bus.start()

    assert bus.state is State.STARTED
    assert capsys.readouterr().err.count("recurse on 'lifecycle' failed: RecursionError(") == 2
    bus.exit()


def test_a_publisher_at_the_end_of_its_stack_can_log(capsys: pytest.CaptureFixture[str]) -> None:
    """A log listener without enough stack is reported later, and the publisher continues to its own end."""
    bus = Bus()
    depth = 0

    @bus[LOG].subscribe()
    def takes_some_stack(message: str, level: int, /) -> None:
        def deeper(left: int) -> None:
            if left:
                deeper(left - 1)

        deeper(20)

    def recurse() -> None:
        nonlocal depth
        depth += 1
        bus.log("deeper")
        recurse()

    with pytest.raises(RecursionError):
        recurse()

    assert depth < ENOUGH
    assert "takes_some_stack on 'log' failed: RecursionError(" in capsys.readouterr().err


class Falling:
    """A component whose hooks exhaust the stack where it is asked to."""

    def __init__(self, where: str, notes: list[str]) -> None:
        self._where = where
        self._notes = notes

    def start(self) -> None:
        self._notes.append("start")
        self._fall("start")

    def stop(self) -> None:
        self._notes.append("stop")
        self._fall("stop")

    def _fall(self, where: str) -> None:
        if where == self._where:
            self._fall(where)


class Steady:
    def __init__(self, notes: list[str]) -> None:
        self._notes = notes

    def start(self) -> None:
        self._notes.append("steady start")

    def stop(self) -> None:
        self._notes.append("steady stop")
        raise ValueError("and this fails")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_recursion_error_of_a_start_is_raised_after_the_rollback(workers: int) -> None:
    """Its cause is the failures of the rollback, and a note names the hook."""
    notes: list[str] = []

    class Site(Container):
        bus = Component(Bus)
        steady = Component(Steady, notes)
        falling = Component(Falling, "start", notes).on(START.calls(Falling.start, priority=60))

    site = Site()
    with pytest.raises(RecursionError) as caught, running(site, workers=workers):
        pass

    assert notes == ["steady start", "start", "steady stop"]
    assert caught.value.__notes__ == ["raised by Site.falling.start on channel 'start'"]
    assert isinstance(caught.value.__cause__, TransitionFailures)
    assert [failure.name for failure in caught.value.__cause__.failures] == ["Site.steady.stop"]


def test_a_recursion_error_of_a_stop_is_raised_after_all_have_stopped() -> None:
    """The other components are stopped."""
    notes: list[str] = []

    class Site(Container):
        bus = Component(Bus)
        steady = Component(Steady, notes)
        falling = Component(Falling, "stop", notes).on(START.calls(Falling.start, priority=60))

    with pytest.raises(RecursionError) as caught, running(Site()):
        pass

    assert notes == ["steady start", "start", "stop", "steady stop"]
    assert isinstance(caught.value.__cause__, TransitionFailures)


def test_block_raises_the_recursion_error_of_a_tick() -> None:
    """The bus exits in order first."""
    bus = Bus()
    endless = Endless(lambda: bus[MAIN].publish())
    endless.is_on = True
    bus[MAIN].subscribe(endless.listener())
    bus[MAIN].subscribe(endless.listener())
    stopped: list[bool] = []
    bus[STOP].subscribe(lambda: stopped.append(True))
    bus.start()

    with pytest.raises(RecursionError):
        bus.block(interval=0.001)

    assert (bus.state, stopped) == (State.EXITED, [True])


class TestOldNames:
    """`typedbus.wspbus` leaves at once as well, and logs what a hook raised."""

    @pytest.mark.parametrize("channel", ["changed", "main", "graceful", "log"])
    def test_listeners_that_publish_again_end_with_one_recursion_error(self, channel: str) -> None:
        """By name there is no signature, and no more calls either."""
        bus = OldBus()
        endless = Endless(lambda: bus.publish(channel))
        endless.is_on = True
        bus.subscribe(channel, endless.listener())
        bus.subscribe(channel, endless.listener())

        with pytest.raises(RecursionError):
            bus.publish(channel)

        assert endless.calls < ENOUGH

    def test_log_listeners_that_log_are_reported_in_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        """As with the typed bus."""
        bus = OldBus()
        endless = Endless(lambda: bus.log("again"))
        endless.is_on = True
        bus.subscribe("log", endless.listener())
        bus.subscribe("log", endless.listener())

        bus.log("hello")

        assert len(capsys.readouterr().err.splitlines()) == 1
        assert endless.calls < 2 * ENOUGH

    def test_a_recursion_error_of_a_start_is_logged_and_raised_when_the_bus_has_exited(self) -> None:
        """The log names the listener; the start is rolled back."""
        bus = OldBus()
        messages: list[str] = []
        bus.subscribe("log", lambda message, level: messages.append(message))

        def fall() -> Any:
            return fall()

        bus.subscribe("start", fall)

        with pytest.raises(RecursionError):
            bus.start()

        assert bus.state is bus.states.EXITING
        assert any(message.startswith("Error in 'start' listener <function") for message in messages)
