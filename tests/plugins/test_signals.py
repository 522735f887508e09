"""Signals of the operating system as requests to a bus, in this process and in others."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

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
from typedbus.plugins._signal_handlers import SignalHandlers, SignalOutput
from typedbus.plugins.signals import DEFAULTS, Action, OffMainThread, SignalError, Signals, channel_of

COMMON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def mine(number: int, frame: object) -> None:
    """Stand for a handler that the process had before."""
    raise AssertionError(number)


@pytest.fixture(autouse=True)
def _undisturbed() -> Iterator[None]:
    """Let handlers of the test be in force, see that they are put back, and put back what was before them."""
    before = {number: signal.signal(number, mine) for number in COMMON}
    yield
    after = {number: signal.signal(number, handler) for number, handler in before.items()}
    assert set(after.values()) == {mine}


@attrs.define(eq=False)
class Noted:
    """Takes the place of the process by noting it."""

    reason: str | None = None
    count: int = 0

    def problem(self) -> str | None:
        """Return the reason."""
        return self.reason

    def replace(self, failed: BaseException | None, /) -> None:
        """Note it."""
        assert failed is None
        self.count += 1


def serving(bus: Bus, signals: Signals, *numbers: signal.Signals) -> list[str]:
    """Start *bus* with *signals*, let *numbers* come, block to its end, and return what was logged."""
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
    """TERM, INT, and HUP without a daemon, exit in order, and stderr and the log say why."""
    bus = Bus()
    heard: list[str] = []
    bus[STOP].subscribe(lambda: heard.append("stop"))

    lines = serving(bus, Signals(bus), number)

    once_more = "" if number is signal.SIGHUP else "; send it again to end at once"
    assert capfd.readouterr().err == f"{number.name}: exiting in order{once_more}\n"
    assert lines == [f"{number.name}: exiting in order"]
    assert heard == ["stop"]
    assert bus.state is State.EXITED


def test_usr1_is_graceful() -> None:
    """SIGUSR1 publishes GRACEFUL, in the thread that blocks and never in the handler; the bus goes on."""
    bus = Bus()
    heard: list[str] = []
    bus[GRACEFUL].subscribe(lambda: heard.append("graceful"))

    lines = serving(bus, Signals(bus), signal.SIGUSR1, signal.SIGUSR1, signal.SIGTERM)

    assert heard == ["graceful", "graceful"]
    assert lines == ["SIGUSR1: graceful", "SIGUSR1: graceful", "SIGTERM: exiting in order"]


def asleep(thread: int) -> bool:
    """Return whether the system says of a thread that it sleeps."""
    return Path(f"/proc/self/task/{thread}/stat").read_text().rpartition(")")[2].split()[0] == "S"


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
@pytest.mark.parametrize("is_ticking", [False, True], ids=["idle", "between ticks"])
def test_a_signal_that_does_not_interrupt_the_main_thread_wakes_it(is_ticking: bool) -> None:
    """One that comes as it goes to sleep, or in another thread, has been and gone: it is noticed all the same."""
    bus = Bus()
    noticed: list[State | None] = []
    if is_ticking:
        bus[MAIN].subscribe(lambda: None)

    def raise_one() -> None:
        while not asleep(os.getpid()):
            pass
        signal.raise_signal(signal.SIGTERM)
        noticed.append(bus.wait(State.EXITED, 5))
        bus.request_exit()

    thread = threading.Thread(target=raise_one)
    signals = Signals(bus)
    signals.start()
    bus.subscribe(MOVED, lambda event: thread.start() if event.after is State.STARTED else None)

    bus.start()
    bus.block(interval=1000)
    thread.join()
    signals.exit()

    assert noticed == [State.EXITED]


def test_a_signal_is_noticed_while_hooks_run_in_threads_of_their_own() -> None:
    """The main thread, which waits for them, is woken by it."""
    bus = Bus(workers=2)
    signals = Signals(bus)
    noticed: list[bool] = []

    def start() -> None:
        signal.raise_signal(signal.SIGTERM)
        until = time.monotonic() + 5
        while not bus.is_exit_requested and time.monotonic() < until:
            pass
        noticed.append(bus.is_exit_requested)

    bus[START].subscribe(signals.start, priority=5)
    bus[START].subscribe(start)

    with pytest.raises(StartCancelled):
        bus.start()
    bus.block()
    signals.exit()

    assert noticed == [True]


def test_nothing_is_done_in_the_handler() -> None:
    """It returns before anybody has heard of the signal."""
    bus = Bus()
    heard: list[str] = []
    bus[GRACEFUL].subscribe(lambda: heard.append("graceful"))
    bus[channel_of(signal.SIGUSR1)].subscribe(lambda: heard.append("channel"))
    signals = Signals(bus)
    signals.start()

    signal.raise_signal(signal.SIGUSR1)

    assert heard == []
    bus.request_exit()
    bus.block()
    assert heard == ["channel", "graceful"]
    signals.exit()


def test_a_signal_breaks_a_start_off() -> None:
    """An exit does not wait for a start to be over, and the log knows why."""
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


def test_a_daemon_that_is_hung_up_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGHUP asks for the restart of a daemon."""
    monkeypatch.setenv("TYPEDBUS_DAEMON", str(os.getpid()))
    assert is_daemon()
    bus = Bus()
    bus.replacement = noted = Noted()

    lines = serving(bus, Signals(bus), signal.SIGHUP)

    assert noted.count == 1
    assert lines == ["SIGHUP: restarting in order"]


def test_an_exit_after_a_restart_wins_and_is_not_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM after SIGHUP is the first that asks for the exit."""
    monkeypatch.setenv("TYPEDBUS_DAEMON", str(os.getpid()))
    bus = Bus()
    bus.replacement = noted = Noted()

    serving(bus, Signals(bus), signal.SIGHUP, signal.SIGHUP, signal.SIGTERM)

    assert noted.count == 0


def test_a_restart_that_is_refused_is_told() -> None:
    """The reason is on LOG, and the bus goes on."""
    bus = Bus()
    bus.replacement = Noted("no way; go another")

    lines = serving(bus, Signals(bus, actions={signal.SIGUSR2: Action.RESTART}), signal.SIGUSR2, signal.SIGTERM)

    assert any("this process cannot be restarted: no way; go another" in line for line in lines)
    assert lines[-1] == "SIGTERM: exiting in order"


def test_a_process_that_is_to_survive_a_hang_up_does() -> None:
    """Under nohup SIGHUP is ignored before, and stays so for the bus, but its channel is published."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    bus = Bus()
    heard: list[State] = []
    bus[channel_of(signal.SIGHUP)].subscribe(lambda: heard.append(bus.state))

    serving(bus, Signals(bus), signal.SIGHUP, signal.SIGTERM)

    assert heard == [State.STARTED]
    assert signal.signal(signal.SIGHUP, mine) == signal.SIG_IGN


def test_an_action_may_be_anything_that_can_be_called() -> None:
    """It is called by the thread in block; what it raises is told, and the bus goes on."""
    bus = Bus()
    heard: list[threading.Thread] = []

    def rotate() -> None:
        heard.append(threading.current_thread())
        raise OSError("disk full")

    lines = serving(bus, Signals(bus, actions={signal.SIGUSR2: rotate}), signal.SIGUSR2, signal.SIGTERM)

    assert heard == [threading.current_thread()]
    assert lines[0] == "SIGUSR2"
    assert lines[1].startswith("SIGUSR2, which was requested, failed:\n")
    assert lines[1].endswith("OSError: disk full")


def test_a_listener_that_fails_does_not_keep_the_action_from_being_called() -> None:
    """Both are told."""
    bus = Bus()

    def fail() -> None:
        raise ValueError("listener")

    def act() -> None:
        raise OSError("action")

    bus[channel_of(signal.SIGUSR2)].subscribe(fail)

    lines = serving(bus, Signals(bus, actions={signal.SIGUSR2: act}), signal.SIGUSR2, signal.SIGTERM)

    assert "ValueError: listener" in lines[1]
    assert lines[1].endswith("OSError: action")


def test_a_signal_that_somebody_listens_to_is_caught() -> None:
    """No action is needed for it, and none is done; a component marks its method with the channel."""
    heard: list[str] = []

    class Journal:
        @on(channel_of(signal.SIGUSR2))
        def rotate(self) -> None:
            heard.append("rotate")

    class Site(Container):
        bus = Component(Bus)
        signals = Component(Signals, bus.provided)
        journal = Component(Journal)

    with running(Site()) as site:
        bus = site.bus()
        signal.raise_signal(signal.SIGUSR2)
        bus.request(bus.request_exit)
        bus.block()

    assert heard == ["rotate"]


def test_listeners_of_an_exit_hear_of_it_before_it() -> None:
    """The channel of SIGTERM is published while the bus is still STARTED."""
    bus = Bus()
    heard: list[State] = []
    bus[channel_of(signal.SIGTERM)].subscribe(lambda: heard.append(bus.state))

    serving(bus, Signals(bus), signal.SIGTERM)

    assert heard == [State.STARTED]


def test_none_leaves_a_signal_alone() -> None:
    """It has the handler that it had, though somebody listens to its channel."""
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
    """It bears the signal's name, and is the same each time."""
    assert channel_of(signal.SIGUSR2) is channel_of(signal.SIGUSR2)
    assert channel_of(signal.SIGUSR2) is not channel_of(signal.SIGUSR1)
    assert channel_of(signal.SIGUSR2).name == "SIGUSR2"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV, 4711, "SIGTERM"])
def test_what_cannot_be_caught_is_refused(number: object) -> None:
    """When it is declared, and with what may be given."""
    refused = "is not a signal that can be caught; give a member of signal.Signals, such as signal.SIGUSR2"
    with pytest.raises(SignalError, match=refused) as told:
        channel_of(number)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(SignalError, match=refused):
        Signals(Bus(), actions={number: Action.EXIT})  # type: ignore[dict-item]  # the mistake

    assert told.value.given == number


def test_what_is_no_action_is_refused() -> None:
    """When it is declared."""
    with pytest.raises(SignalError, match="'exit' is not an action for SIGUSR2; give an Action, a callable, or None"):
        Signals(Bus(), actions={signal.SIGUSR2: "exit"})  # type: ignore[dict-item]  # the mistake


def test_what_the_system_refuses_fails_the_start() -> None:
    """Those that were caught before it are put back."""

    def refuse(number: int, handler: Handler) -> Handler:
        if number == signal.SIGUSR2:
            raise OSError("Invalid argument")
        return signal.signal(number, handler)

    handlers = SignalHandlers(Bus(), {**DEFAULTS, signal.SIGUSR2: Action.EXIT}, set_handler=refuse)

    with pytest.raises(SignalError, match=r"SIGUSR2.* cannot be caught here \(Invalid argument\); give None"):
        handlers.install()

    assert signal.getsignal(signal.SIGTERM) is mine


def test_a_start_in_another_thread_fails() -> None:
    """Nothing is caught silently: the error names the thread and the way out."""
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
        "start it in the main thread, or leave out the Signals component"
    )


@pytest.mark.parametrize("workers", [1, 4])
def test_workers_and_limits_change_nothing(workers: int) -> None:
    """Start and exit are inline: they are in the thread of the transition."""

    class Site(Container):
        bus = Component(Bus, workers=workers)
        signals = Component(Signals, bus.provided).within(60)

    with running(Site(), workers=workers):
        assert signal.getsignal(signal.SIGTERM) is not mine

    assert signal.getsignal(signal.SIGTERM) is mine


def test_handlers_are_put_back_once_after_any_number_of_starts() -> None:
    """They are in force from the first start to the exit, in a stop and between stop and start as well."""
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


def test_a_bus_may_live_again() -> None:
    """After an exit a start installs the handlers anew, and an exit puts them back."""
    signals = Signals(Bus())

    for _ in range(2):
        signals.start()
        assert signal.getsignal(signal.SIGTERM) is not mine
        signals.exit()
        assert signal.getsignal(signal.SIGTERM) is mine
        assert signals.bus[MOVED].subscriptions == ()


def test_a_handler_that_was_not_set_from_python_becomes_the_default() -> None:
    """None cannot be put back."""
    handlers: dict[int, Handler] = {}

    def set_handler(number: int, handler: Handler) -> Handler:
        before = handlers.get(number)
        handlers[number] = handler
        return before

    signals = SignalHandlers(Bus(), DEFAULTS, set_handler=set_handler, get_handler=handlers.__getitem__)
    signals.install()
    signals.restore()

    assert set(handlers.values()) == {signal.SIG_DFL}


def test_a_handler_that_came_later_is_left() -> None:
    """What somebody else has put in the place of ours is not ours to take away."""

    def later(number: int, frame: object) -> None:
        raise AssertionError

    signals = Signals(Bus())
    signals.start()
    signal.signal(signal.SIGTERM, later)

    signals.exit()

    assert signal.signal(signal.SIGTERM, mine) is later


def test_an_exit_in_another_thread_stands_aside() -> None:
    """A signal that comes after it does what it did before; the handlers are put back with the next chance."""
    heard: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    bus = Bus()
    signals = Signals(bus)
    signals.start()
    thread = threading.Thread(target=signals.exit)
    thread.start()
    thread.join()

    signal.raise_signal(signal.SIGTERM)

    assert heard == [signal.SIGTERM]
    assert not bus.is_exit_requested
    signals.exit()
    signal.signal(signal.SIGTERM, mine)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_forces(number: signal.Signals, status: int, capfd: pytest.CaptureFixture[str]) -> None:
    """It ends the process with 128 + its number, and tells where every thread was."""
    ended: list[int] = []
    bus = Bus()
    output = SignalOutput(restoring=lambda: b"(restored)")
    signals = SignalHandlers(bus, DEFAULTS, output=output, end=ended.append)
    signals.install()

    signal.raise_signal(signal.SIGTERM)
    assert ended == []
    signal.raise_signal(number)

    assert ended == [status]
    said = capfd.readouterr().err
    assert f"(restored){number.name} again: ending at once; the stacks of all threads:\n" in said
    assert "test_a_second_signal_forces" in said
    signals.restore()


def test_a_second_hang_up_forces_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """A terminal that goes away may well say so twice, and a manager may add a SIGTERM."""
    ended: list[int] = []
    signals = Signals(Bus())
    signals._handlers.end = ended.append
    signals.start()

    for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM):
        signal.raise_signal(number)

    assert ended == []
    assert capfd.readouterr().err.count("send it again to end at once") == 1
    signals.exit()


def test_what_was_caught_is_known_to_those_of_one_bus() -> None:
    """A second signal forces also when that which caught the first is gone; what it disabled is as it was before both."""
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


def test_a_new_life_knows_nothing_of_the_signals_of_the_last() -> None:
    """The first signal of each life asks, and does not force."""
    ended: list[int] = []
    signals = Signals(Bus())
    signals._handlers.end = ended.append
    for _ in range(2):
        signals.start()
        signal.raise_signal(signal.SIGTERM)
        signals.exit()

    assert ended == []


def test_those_of_two_buses_go_in_any_order() -> None:
    """One that exits below another stands aside, until that one is gone as well."""
    first, second = Signals(Bus()), Signals(Bus())
    first.start()
    second.start()
    first.exit()
    assert signal.getsignal(signal.SIGTERM) is not mine

    second.exit()

    assert signal.getsignal(signal.SIGTERM) is mine


def test_a_terminal_that_is_gone_raises_nothing() -> None:
    """A handler that cannot write goes on with what it is there for."""
    bus = Bus()
    signals = Signals(bus)
    signals.start()
    kept = os.dup(2)
    os.close(2)
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        os.dup2(kept, 2)
        os.close(kept)

    assert bus.is_exit_requested
    signals.exit()


def test_nothing_of_one_life_is_put_back_in_the_next() -> None:
    """What was caught once, and is no more, belongs to whoever has it now."""

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


def test_a_start_after_an_exit_in_another_thread_begins_anew() -> None:
    """What that exit had left is put back first: the handler that is kept is the one of before."""
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
