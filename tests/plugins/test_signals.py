"""Signals of the operating system, handled as requests to a bus."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from tests.doubles import failure_on_a_loop

from typedbus import (
    GRACEFUL,
    LOG,
    MAIN,
    START,
    STOP,
    Bus,
    Component,
    Container,
    StartCancelled,
    State,
    TransitionFailures,
    on,
    running,
)
from typedbus._os.held_signals import Handler
from typedbus._os.reexec import is_daemon
from typedbus.events import MOVED
from typedbus.plugins._signal_handlers import SignalHandlers
from typedbus.plugins._signal_state import SignalOutput
from typedbus.plugins.signals import DEFAULTS, Action, OffMainThread, SignalError, Signals, channel_of

COMMON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def mine(number: int, frame: object) -> None:
    """Stands for the previous handler of the process."""
    raise AssertionError(number)


@pytest.fixture(autouse=True)
def _undisturbed() -> Iterator[None]:
    """Set the handler of the test for the common signals, check that it is restored, and restore the original handlers."""
    before = {number: signal.signal(number, mine) for number in COMMON}
    yield
    after = {number: signal.signal(number, handler) for number, handler in before.items()}
    assert set(after.values()) == {mine}


@attrs.define(eq=False)
class Replacement:
    """A replacement of the process that counts its calls."""

    reason: str | None = None
    count: int = 0

    def problem(self) -> str | None:
        """Return the reason."""
        return self.reason

    def replace(self, failed: BaseException | None, /) -> None:
        """Record the call."""
        assert failed is None
        self.count += 1


def serving(bus: Bus, signals: Signals, *numbers: signal.Signals) -> list[str]:
    """Start *bus* with *signals*, raise *numbers*, block until the exit, and return the log messages."""
    lines: list[str] = []
    bus[LOG].subscribe(lambda message, level: lines.append(message))
    bus[START].subscribe(signals.start, priority=5)
    bus.subscribe(MOVED, lambda event: signals.exit() if event.after is State.EXITED else None)

    def send() -> None:
        for number in numbers:
            signal.raise_signal(number)

    bus.request(send)
    bus.start()
    bus.block()
    return lines


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_exits_the_bus(number: signal.Signals, capfd: pytest.CaptureFixture[str]) -> None:
    """SIGTERM, SIGINT and, without a daemon, SIGHUP exit in order; stderr and the log have the reason."""
    bus = Bus()
    calls: list[str] = []
    bus[STOP].subscribe(lambda: calls.append("stop"))

    lines = serving(bus, Signals(bus), number)

    once_more = "" if number is signal.SIGHUP else "; send it again to end at once"
    assert capfd.readouterr().err == f"{number.name}: exiting in order{once_more}\n"
    assert lines == [f"{number.name}: exiting in order"]
    assert calls == ["stop"]
    assert bus.state is State.EXITED


def test_usr1_is_graceful() -> None:
    """SIGUSR1 publishes GRACEFUL each time, and the bus continues."""
    bus = Bus()
    calls: list[str] = []
    bus[GRACEFUL].subscribe(lambda: calls.append("graceful"))

    lines = serving(bus, Signals(bus), signal.SIGUSR1, signal.SIGUSR1, signal.SIGTERM)

    assert calls == ["graceful", "graceful"]
    assert lines == ["SIGUSR1: graceful", "SIGUSR1: graceful", "SIGTERM: exiting in order"]


def asleep(thread: int) -> bool:
    """Return whether *thread* sleeps, according to /proc."""
    return Path(f"/proc/self/task/{thread}/stat").read_text().rpartition(")")[2].split()[0] == "S"


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
@pytest.mark.parametrize("is_ticking", [False, True], ids=["idle", "between ticks"])
def test_a_signal_that_does_not_interrupt_the_main_thread_wakes_it(is_ticking: bool) -> None:
    """A signal that is raised in another thread while the main thread sleeps is handled at once."""
    bus = Bus()
    states: list[State | None] = []
    if is_ticking:
        bus[MAIN].subscribe(lambda: None)

    def raise_one() -> None:
        while not asleep(os.getpid()):
            pass
        signal.raise_signal(signal.SIGTERM)
        states.append(bus.wait(State.EXITED, 5))
        bus.request_exit()

    thread = threading.Thread(target=raise_one)
    signals = Signals(bus)
    signals.start()
    bus.subscribe(MOVED, lambda event: thread.start() if event.after is State.STARTED else None)

    bus.start()
    bus.block(interval=1000)
    thread.join()
    signals.exit()

    assert states == [State.EXITED]


def test_a_signal_is_handled_while_the_main_thread_waits_for_hooks() -> None:
    """The signal wakes the main thread, and cancels the start."""
    bus = Bus(workers=2)
    signals = Signals(bus)
    requests: list[bool] = []

    def start() -> None:
        signal.raise_signal(signal.SIGTERM)
        until = time.monotonic() + 5
        while not bus.is_exit_requested and time.monotonic() < until:
            pass
        requests.append(bus.is_exit_requested)

    bus[START].subscribe(signals.start, priority=5)
    bus[START].subscribe(start)

    with pytest.raises(StartCancelled):
        bus.start()
    bus.block()
    signals.exit()

    assert requests == [True]


def test_the_handler_calls_no_listener() -> None:
    """It returns before any listener is called; the thread in block calls them."""
    bus = Bus()
    calls: list[str] = []
    bus[GRACEFUL].subscribe(lambda: calls.append("graceful"))
    bus[channel_of(signal.SIGUSR1)].subscribe(lambda: calls.append("channel"))
    signals = Signals(bus)
    signals.start()

    signal.raise_signal(signal.SIGUSR1)

    assert calls == []
    bus.request_exit()
    bus.block()
    assert calls == ["channel", "graceful"]
    signals.exit()


def test_a_signal_cancels_a_start() -> None:
    """The exit does not wait for the end of the start, and its reason is logged."""
    bus = Bus()
    signals = Signals(bus)
    lines: list[str] = []
    bus[LOG].subscribe(lambda message, level: lines.append(message))
    bus[START].subscribe(signals.start, priority=5)
    bus[START].subscribe(lambda: signal.raise_signal(signal.SIGTERM))

    with pytest.raises(StartCancelled):
        bus.start()

    assert bus.state is State.EXITED
    assert lines == ["SIGTERM: exiting in order"]
    signals.exit()


def test_sighup_restarts_a_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is replaced once, after an orderly exit."""
    monkeypatch.setenv("TYPEDBUS_DAEMON", str(os.getpid()))
    assert is_daemon()
    bus = Bus()
    bus.replacement = replacement = Replacement()

    lines = serving(bus, Signals(bus), signal.SIGHUP)

    assert replacement.count == 1
    assert lines == ["SIGHUP: restarting in order"]


def test_sigterm_after_sighup_exits_without_force(monkeypatch: pytest.MonkeyPatch) -> None:
    """It cancels the restart, and is the first signal that asks for the exit."""
    monkeypatch.setenv("TYPEDBUS_DAEMON", str(os.getpid()))
    bus = Bus()
    bus.replacement = replacement = Replacement()

    serving(bus, Signals(bus), signal.SIGHUP, signal.SIGHUP, signal.SIGTERM)

    assert replacement.count == 0


def test_a_refused_restart_is_logged() -> None:
    """The reason is on LOG, and the bus continues."""
    bus = Bus()
    bus.replacement = Replacement("no way; go another")

    lines = serving(bus, Signals(bus, actions={signal.SIGUSR2: Action.RESTART}), signal.SIGUSR2, signal.SIGTERM)

    assert any("this process cannot be restarted: no way; go another" in line for line in lines)
    assert lines[-1] == "SIGTERM: exiting in order"


def test_an_ignored_sighup_does_not_exit() -> None:
    """As under nohup: only the channel of SIGHUP is published, and the signal stays ignored."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    bus = Bus()
    states: list[State] = []
    bus[channel_of(signal.SIGHUP)].subscribe(lambda: states.append(bus.state))

    serving(bus, Signals(bus), signal.SIGHUP, signal.SIGTERM)

    assert states == [State.STARTED]
    assert signal.signal(signal.SIGHUP, mine) == signal.SIG_IGN


def test_an_action_may_be_a_callable() -> None:
    """The thread in block calls it; its exception is logged, and the bus continues."""
    bus = Bus()
    threads: list[threading.Thread] = []

    def rotate() -> None:
        threads.append(threading.current_thread())
        raise OSError("disk full")

    lines = serving(bus, Signals(bus, actions={signal.SIGUSR2: rotate}), signal.SIGUSR2, signal.SIGTERM)

    assert threads == [threading.current_thread()]
    assert lines[0] == "SIGUSR2"
    assert lines[1].startswith("SIGUSR2, which was requested, failed:\n")
    assert lines[1].endswith("OSError: disk full")


def test_an_action_is_called_after_a_listener_failed() -> None:
    """The exceptions of both are logged."""
    bus = Bus()

    def fail() -> None:
        raise ValueError("listener")

    def act() -> None:
        raise OSError("action")

    bus[channel_of(signal.SIGUSR2)].subscribe(fail)

    lines = serving(bus, Signals(bus, actions={signal.SIGUSR2: act}), signal.SIGUSR2, signal.SIGTERM)

    assert "ValueError: listener" in lines[1]
    assert lines[1].endswith("OSError: action")


def test_a_signal_whose_channel_has_a_listener_is_caught() -> None:
    """It needs no action; a component marks its method with the channel."""
    calls: list[str] = []

    class Journal:
        @on(channel_of(signal.SIGUSR2))
        def rotate(self) -> None:
            calls.append("rotate")

    class Site(Container):
        bus = Component(Bus)
        signals = Component(Signals, bus.provided)
        journal = Component(Journal)

    with running(Site()) as site:
        bus = site.bus()
        signal.raise_signal(signal.SIGUSR2)
        bus.request(bus.request_exit)
        bus.block()

    assert calls == ["rotate"]


def test_the_channel_of_sigterm_is_published_before_the_exit() -> None:
    """The bus is still STARTED then."""
    bus = Bus()
    states: list[State] = []
    bus[channel_of(signal.SIGTERM)].subscribe(lambda: states.append(bus.state))

    serving(bus, Signals(bus), signal.SIGTERM)

    assert states == [State.STARTED]


def test_the_action_none_leaves_a_signal_unchanged() -> None:
    """Its previous handler stays, even if its channel has a listener."""
    bus = Bus()
    bus[channel_of(signal.SIGHUP)].subscribe(lambda: None)
    signals = Signals(bus, actions={signal.SIGHUP: None, signal.SIGTERM: None})
    signals.start()

    handlers = {number: signal.getsignal(number) for number in COMMON}

    signals.exit()
    assert {number for number, handler in handlers.items() if handler is mine} == {
        signal.SIGHUP,
        signal.SIGTERM,
        signal.SIGUSR2,
    }


def test_the_channel_of_a_signal_is_one_object() -> None:
    """It has the name of the signal, and is the same each time."""
    assert channel_of(signal.SIGUSR2) is channel_of(signal.SIGUSR2)
    assert channel_of(signal.SIGUSR2) is not channel_of(signal.SIGUSR1)
    assert channel_of(signal.SIGUSR2).name == "SIGUSR2"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV, 4711, "SIGTERM"])
def test_a_signal_that_cannot_be_caught_is_refused(number: object) -> None:
    """At construction; the error shows a valid value."""
    refused = "is not a signal that can be caught; give a member of signal.Signals, such as signal.SIGUSR2"
    with pytest.raises(SignalError, match=refused) as raised:
        channel_of(number)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(SignalError, match=refused):
        Signals(Bus(), actions={number: Action.EXIT})  # type: ignore[dict-item]  # the mistake

    assert raised.value.given == number


def test_an_invalid_action_is_refused() -> None:
    """At construction; the error lists the valid values."""
    with pytest.raises(SignalError, match="'exit' is not an action for SIGUSR2; give an Action, a callable, or None"):
        Signals(Bus(), actions={signal.SIGUSR2: "exit"})  # type: ignore[dict-item]  # the mistake


def test_a_handler_that_the_system_refuses_is_an_error() -> None:
    """The handlers that were set before it are restored."""

    def refuse(number: int, handler: Handler) -> Handler:
        if number == signal.SIGUSR2:
            raise OSError("Invalid argument")
        return signal.signal(number, handler)

    handlers = SignalHandlers(Bus(), {**DEFAULTS, signal.SIGUSR2: Action.EXIT}, set_handler=refuse)

    with pytest.raises(SignalError, match=r"SIGUSR2.* cannot be caught here \(Invalid argument\); give None"):
        handlers.install()

    assert signal.getsignal(signal.SIGTERM) is mine


def test_a_start_in_another_thread_fails() -> None:
    """The error names the thread and the remedy."""
    bus = Bus()
    signals = Signals(bus)
    bus[START].subscribe(signals.start)
    raised: list[BaseException] = []

    def start() -> None:
        with pytest.raises(TransitionFailures) as failed:
            bus.start()
        raised.extend(failed.value.exceptions)

    thread = threading.Thread(target=start, name="elsewhere")
    thread.start()
    thread.join()

    (error,) = raised
    assert isinstance(error, OffMainThread)
    assert str(error) == (
        "signal handlers can be set only in the main thread, but the bus is started in thread 'elsewhere'; "
        "start it in the main thread, as run() does, or leave out the Signals component "
        "(`async with running(...)` and start_async() start it in another thread)"
    )


def test_a_start_on_an_event_loop_fails() -> None:
    """Its hooks run in another thread; the error says so."""

    class Site(Container):
        bus = Component(Bus)
        signals = Component(Signals, bus.provided)

    error = failure_on_a_loop(Site)

    assert re.search(
        r"'Site to STARTED'; start it in the main thread, as run\(\) does, .*\(`async with running\(...\)`", str(error)
    )


@pytest.mark.parametrize("workers", [1, 4])
def test_workers_and_limits_change_nothing(workers: int) -> None:
    """Start and exit are inline: they are called in the thread of the transition."""

    class Site(Container):
        bus = Component(Bus, workers=workers)
        signals = Component(Signals, bus.provided).within(60)

    with running(Site(), workers=workers):
        assert signal.getsignal(signal.SIGTERM) is not mine

    assert signal.getsignal(signal.SIGTERM) is mine


def test_handlers_are_restored_once_after_several_starts() -> None:
    """They are in force from the first start to the exit, also during and after a stop."""
    bus = Bus()
    signals = Signals(bus)
    bus[START].subscribe(signals.start)
    for _ in range(2):
        bus.start()
        ours = signal.getsignal(signal.SIGTERM)
        bus.stop()
        assert ours is not mine
        assert signal.getsignal(signal.SIGTERM) == ours

    signals.exit()

    assert signal.getsignal(signal.SIGTERM) is mine
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signals.exit()
    assert signal.signal(signal.SIGTERM, mine) == signal.SIG_DFL


def test_a_start_after_an_exit_installs_the_handlers_again() -> None:
    """The next exit restores them again."""
    signals = Signals(Bus())

    for _ in range(2):
        signals.start()
        assert signal.getsignal(signal.SIGTERM) is not mine
        signals.exit()
        assert signal.getsignal(signal.SIGTERM) is mine
        assert signals.bus[MOVED].subscriptions == ()


def test_a_handler_that_was_not_set_from_python_becomes_the_default() -> None:
    """Python returns None for it, which cannot be restored."""
    handlers: dict[int, Handler] = {}

    def set_handler(number: int, handler: Handler) -> Handler:
        before = handlers.get(number)
        handlers[number] = handler
        return before

    signals = SignalHandlers(Bus(), DEFAULTS, set_handler=set_handler, get_handler=handlers.__getitem__)
    signals.install()
    signals.restore()

    assert set(handlers.values()) == {signal.SIG_DFL}


def test_a_handler_that_other_code_set_later_stays() -> None:
    """The exit restores only signals that still have the handler of the component."""

    def later(number: int, frame: object) -> None:
        raise AssertionError

    signals = Signals(Bus())
    signals.start()
    signal.signal(signal.SIGTERM, later)

    signals.exit()

    assert signal.signal(signal.SIGTERM, mine) is later


def test_after_an_exit_in_another_thread_signals_have_their_previous_effect() -> None:
    """The handlers are restored by the next exit in the main thread."""
    numbers: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: numbers.append(number))
    bus = Bus()
    signals = Signals(bus)
    signals.start()
    thread = threading.Thread(target=signals.exit)
    thread.start()
    thread.join()

    signal.raise_signal(signal.SIGTERM)

    assert numbers == [signal.SIGTERM]
    assert not bus.is_exit_requested
    signals.exit()
    signal.signal(signal.SIGTERM, mine)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_ends_the_process(
    number: signal.Signals, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """With status 128 + its number, after the stacks of all threads are written to stderr."""
    ended: list[int] = []
    bus = Bus()
    output = SignalOutput(restoring=lambda: b"(restored)")
    signals = SignalHandlers(bus, DEFAULTS, output=output, end=ended.append)
    signals.install()

    signal.raise_signal(signal.SIGTERM)
    assert ended == []
    signal.raise_signal(number)

    assert ended == [status]
    errors = capfd.readouterr().err
    assert f"(restored){number.name} again: ending at once; the stacks of all threads:\n" in errors
    assert "test_a_second_signal_ends_the_process" in errors
    signals.restore()


def test_a_second_sighup_does_not_end_the_process(capfd: pytest.CaptureFixture[str]) -> None:
    """A closed terminal may send it twice, and a service manager may add a SIGTERM."""
    ended: list[int] = []
    signals = Signals(Bus())
    signals._handlers.end = ended.append
    signals.start()

    for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM):
        signal.raise_signal(number)

    assert ended == []
    assert capfd.readouterr().err.count("send it again to end at once") == 1
    signals.exit()


def test_the_components_of_one_bus_count_signals_together() -> None:
    """A second signal ends the process even if another component, which has exited, caught the first."""
    ended: list[int] = []
    bus = Bus()
    outer = Signals(bus)
    outer._handlers.end = ended.append
    inner = Signals(bus, actions={signal.SIGUSR1: None})
    other = Signals(Bus())
    outer.start()
    inner.start()
    assert signal.getsignal(signal.SIGUSR1) is mine

    signal.raise_signal(signal.SIGTERM)
    inner.exit()
    assert signal.getsignal(signal.SIGUSR1) is not mine
    other.start()
    signal.raise_signal(signal.SIGTERM)
    other.exit()
    assert ended == []
    signal.raise_signal(signal.SIGTERM)

    assert ended == [143]
    outer.exit()


def test_the_count_of_signals_begins_again_after_an_exit() -> None:
    """The first signal after each start asks for the exit, and does not force it."""
    ended: list[int] = []
    signals = Signals(Bus())
    signals._handlers.end = ended.append
    for _ in range(2):
        signals.start()
        signal.raise_signal(signal.SIGTERM)
        signals.exit()

    assert ended == []


def test_the_components_of_two_buses_may_exit_in_any_order() -> None:
    """The handlers of the first are restored once the second, which was installed later, exits."""
    first, second = Signals(Bus()), Signals(Bus())
    first.start()
    second.start()
    first.exit()
    assert signal.getsignal(signal.SIGTERM) is not mine

    second.exit()

    assert signal.getsignal(signal.SIGTERM) is mine


def test_a_handler_works_without_stderr() -> None:
    """It cannot write its message, and still requests the exit."""
    bus = Bus()
    signals = Signals(bus)
    signals.start()
    duplicate = os.dup(2)
    os.close(2)
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        os.dup2(duplicate, 2)
        os.close(duplicate)

    assert bus.is_exit_requested
    signals.exit()


def test_a_handler_from_an_earlier_start_is_not_restored() -> None:
    """A signal that is not caught any more has the handler that other code has set since."""

    def later(number: int, frame: object) -> None:
        raise AssertionError

    bus = Bus()
    outer = Signals(bus)
    with bus[channel_of(signal.SIGUSR2)].subscribe(lambda: None):
        outer.start()
        outer.exit()
    signal.signal(signal.SIGUSR2, later)
    outer.start()
    inner = Signals(bus, actions={signal.SIGUSR2: None})
    inner.start()

    handler = signal.signal(signal.SIGUSR2, mine)

    inner.exit()
    outer.exit()
    assert handler is later


def test_a_start_restores_the_handlers_that_an_exit_in_another_thread_left() -> None:
    """The original handler is recorded as the previous one, and the count of signals begins again."""
    ended: list[int] = []
    signals = Signals(Bus())
    signals._handlers.end = ended.append
    signals.start()
    signal.raise_signal(signal.SIGTERM)
    thread = threading.Thread(target=signals.exit)
    thread.start()
    thread.join()

    signals.start()
    signal.raise_signal(signal.SIGTERM)

    assert ended == []
    signals.exit()
