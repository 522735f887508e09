"""The states of a bus of the old names: start, stop, exit, waiting and blocking."""

from __future__ import annotations

import subprocess
import sys
import threading
from queue import SimpleQueue
from typing import Any

import pytest
from tests.wspbus.listeners import appending, fail

from typedbus import HookTimeout, Limits, State, WaitError
from typedbus._base.errors import StartCancelled
from typedbus._base.failures import ChannelFailures as TypedFailures
from typedbus._base.failures import TransitionFailures
from typedbus._bus.bus import parts_of
from typedbus.events import FAILED, Failed
from typedbus.wspbus import Bus, ChannelFailures, StateError, states


@pytest.fixture
def bus() -> Bus:
    """Return a bus that does not exit at the end: some of its listeners fail."""
    return Bus()


class TestTransitions:
    """Start, stop and exit."""

    def test_each_state_is_logged_when_it_is_reached(self, bus: Bus, lines: list[str]) -> None:
        """The texts are those of the original."""
        bus.subscribe("start", appending(lines, "starting"))
        bus.start()
        bus.graceful()
        bus.exit()
        assert lines == [
            "20 Bus STARTING", "starting", "20 Bus STARTED", "20 Bus graceful",
            "20 Bus STOPPING", "20 Bus STOPPED", "20 Bus EXITING", "20 Bus EXITED",
        ]  # fmt: skip
        assert bus.state is states.EXITING

    def test_stop_and_exit_run_in_ascending_priority(self, bus: Bus) -> None:
        """As documented: the server at 25 stops before the components that it needs."""
        calls: list[object] = []
        for priority in (50, 25, 70):
            bus.subscribe("stop", appending(calls, priority), priority)
            bus.subscribe("exit", appending(calls, -priority), priority)
        bus.exit()
        assert calls == [25, 50, 70, -25, -50, -70]

    @pytest.mark.parametrize("state", ["STOPPED", "STARTING", "STARTED", "STOPPING", "EXITING"])
    @pytest.mark.parametrize("method", ["start", "stop", "exit"])
    def test_start_stop_and_exit_work_in_every_state(self, bus: Bus, state: str, method: str) -> None:
        """The state can be assigned."""
        calls: list[object] = []
        bus.subscribe(method, appending(calls, method))
        bus.state = getattr(states, state)
        assert bus.state is getattr(states, state)
        getattr(bus, method)()
        assert calls == [method]
        bus.exit()

    def test_exit_of_an_exited_bus_publishes_again(self, bus: Bus, lines: list[str]) -> None:
        """The second exit stops a server that was started without the bus after the first."""
        servers = ["first"]
        bus.subscribe("stop", servers.clear)
        bus.exit()
        servers.append("second")
        del lines[:]
        bus.exit()
        assert servers == []
        assert lines == ["20 Bus STOPPING", "20 Bus STOPPED", "20 Bus EXITING", "20 Bus EXITED"]

    def test_an_exit_during_a_stop_joins_the_transition(self, bus: Bus) -> None:
        """It moves the goal of the transition, and each channel is published once."""
        published: list[str] = []
        threads: list[threading.Thread] = []

        def stop() -> None:
            published.append("stop")
            other = threading.Thread(target=bus.exit)
            threads.append(other)
            other.start()
            transition = parts_of(bus.typed).machine.current
            while transition is not None and transition.goal is not State.EXITED:
                other.join(0.001)

        bus.subscribe("stop", stop)
        bus.subscribe("exit", lambda: published.append("exit"))
        bus.start()
        bus.stop()
        threads[0].join(10)
        assert published == ["stop", "exit"]

    def test_every_exit_publishes_stop(self, bus: Bus) -> None:
        """Also if the bus is stopped already, or if its state was assigned."""
        calls: list[object] = []
        bus.subscribe("stop", appending(calls, "stop"))
        bus.exit()
        bus.start()
        bus.stop()
        bus.exit()
        assert len(calls) == 3
        bus.state = states.STARTED
        bus.exit()
        assert len(calls) == 4

    def test_a_stop_from_a_start_listener_is_a_request(self, bus: Bus) -> None:
        """The state changes after the listener has returned."""
        observed: list[object] = []

        def stop() -> None:
            bus.stop()
            observed.append(bus.state)

        bus.subscribe("start", stop)
        with pytest.raises(StartCancelled):
            bus.start()
        assert observed == [states.STARTING]
        assert bus.state is states.STOPPED

    def test_a_failed_start_calls_the_other_listeners_and_exits_the_bus(self, bus: Bus, lines: list[str]) -> None:
        """The process continues, and the caller gets the errors."""
        bus.subscribe("start", fail)
        bus.subscribe("start", appending(lines, "started"))
        bus.subscribe("stop", appending(lines, "stopped"))
        bus.subscribe("exit", appending(lines, "exited"))
        with pytest.raises(ChannelFailures, match=r"ValueError\(\)") as caught:
            bus.start()
        assert isinstance(caught.value.__cause__, TransitionFailures)
        assert lines == [
            "20 Bus STARTING", f"40 Error in 'start' listener {fail!r}", "started",
            "40 Shutting down due to error in start listener:",
            "20 Bus STOPPING", "stopped", "20 Bus STOPPED", "20 Bus EXITING", "exited", "20 Bus EXITED",
        ]  # fmt: skip

    def test_a_failed_stop_does_not_prevent_the_exit(self, bus: Bus, lines: list[str]) -> None:
        """The original ended the process there."""
        bus.subscribe("stop", fail)
        bus.subscribe("exit", appending(lines, "exited"))
        with pytest.raises(ChannelFailures):
            bus.exit()
        assert "exited" in lines
        assert bus.state is states.EXITING

    def test_limits_of_the_typed_bus_apply_to_old_listeners(self, bus: Bus) -> None:
        """A listener that overruns is abandoned, and the start fails."""
        go = threading.Event()
        bus.typed.limits = Limits(hook=0.01)
        bus.subscribe("start", go.wait)
        with pytest.raises(ChannelFailures) as caught:
            bus.start()
        go.set()
        assert [type(error) for error in caught.value.get_instances()] == [HookTimeout]

    def test_events_of_the_typed_bus_cover_old_listeners(self, bus: Bus) -> None:
        """They name the listener and the channel."""
        events: list[Failed] = []
        bus.typed[FAILED].subscribe(events.append)
        bus.subscribe("stop", fail)
        with pytest.raises(ChannelFailures):
            bus.exit()
        assert [(event.path, event.hook) for event in events] == [("tests.wspbus.listeners.fail", "stop")]

    def test_an_exit_from_a_start_listener_cancels_the_start(self, bus: Bus) -> None:
        """The original ended the process with 70."""
        calls: list[object] = []
        bus.subscribe("start", bus.exit)
        bus.subscribe("start", appending(calls, "start"), 60)
        bus.subscribe("exit", appending(calls, "exit"))
        with pytest.raises(StartCancelled):
            bus.start()
        assert calls == ["exit"]

    def test_an_exit_cancels_a_start_that_has_already_failed(self, bus: Bus) -> None:
        """Listeners after the request are not called."""
        calls: list[object] = []
        bus.subscribe("start", fail, 10)
        bus.subscribe("start", bus.exit, 20)
        bus.subscribe("start", appending(calls, "start"), 30)
        with pytest.raises(ChannelFailures):
            bus.start()
        assert calls == []

    def test_values_that_are_not_a_state_are_refused(self, bus: Bus) -> None:
        """In an assignment and in a wait."""
        with pytest.raises(StateError, match="'STARTED' is not a state of a bus"):
            bus.state = "STARTED"  # type: ignore[assignment]
        with pytest.raises(StateError):
            bus.wait(["STARTED"])  # type: ignore[list-item]

    def test_a_subclass_can_store_the_state_itself(self) -> None:
        """The bus for Windows does so, with a property."""
        observed: list[Any] = []

        class StoringBus(Bus):
            @property
            def state(self) -> Any:
                return observed[-1]

            @state.setter
            def state(self, state: Any) -> None:
                observed.append(state)

        bus = StoringBus()
        bus.start()
        bus.exit()
        assert observed == [
            states.STOPPED, states.STARTING, states.STARTED, states.STOPPING, states.STOPPED, states.EXITING
        ]  # fmt: skip

    def test_states_have_the_names_of_their_attributes(self, bus: Bus) -> None:
        """The bus has the same object as the module."""
        assert repr(states.STARTED) == "states.STARTED"
        assert bus.states is states

    def test_attributes_can_be_added(self, bus: Bus) -> None:
        """Plugins are stored as attributes of the bus."""
        bus.autoreload = 1  # type: ignore[attr-defined]
        assert vars(bus)["autoreload"] == 1


class TestWaiting:
    """`wait`, `block` and `start_with_callback`."""

    def test_wait_returns_for_a_state_that_is_only_passed_through(self, bus: Bus) -> None:
        """The original checked the state ten times a second."""
        waiting: SimpleQueue[None] = SimpleQueue()

        def wait() -> None:
            waiting.put(None)
            bus.wait([states.STARTING, states.STOPPING], 60)

        thread = threading.Thread(target=wait)
        thread.start()
        waiting.get()
        bus.start()
        bus.exit()
        bus.state = states.STARTING
        thread.join()

    def test_wait_publishes_on_a_channel_until_the_state_is_reached(self, bus: Bus) -> None:
        """Until the state is there."""
        ticks: list[object] = []

        def tick() -> None:
            ticks.append(1)
            if len(ticks) == 3:
                bus.start()

        bus.subscribe("tick", tick)
        bus.wait(states.STARTED, 0.001, "tick")
        bus.exit()
        assert len(ticks) == 3

    def test_block_returns_after_the_exit_and_the_end_of_the_threads(self, bus: Bus, lines: list[str]) -> None:
        """It logs the name of each thread that it waits for."""
        go = threading.Event()
        thread = threading.Thread(target=go.wait, name="worker")
        thread.start()
        bus.start()

        def tick() -> None:
            bus.exit()

        def log(message: str, level: int) -> None:
            if message == "Waiting for thread worker.":
                go.set()

        bus.subscribe("main", tick)
        bus.subscribe("log", log)
        bus.block(0.001)
        assert not thread.is_alive()
        assert lines[-3:] == [
            "20 Bus EXITED", "20 Waiting for child threads to terminate...", "20 Waiting for thread worker."
        ]  # fmt: skip

    def test_block_in_another_thread_does_not_join_the_main_thread(self, bus: Bus) -> None:
        """It returns after the exit while the main thread continues."""
        bus.start()
        blocking = threading.Thread(target=bus.block, args=(0.001,), daemon=True)
        blocking.start()
        bus.exit()
        blocking.join(30)
        assert not blocking.is_alive()

    @pytest.mark.parametrize("channel", [None, "tick"])
    def test_a_listener_cannot_wait_for_its_own_transition(self, bus: Bus, channel: str | None) -> None:
        """The wait raises `WaitError`, and the start fails with it."""
        bus.subscribe("start", lambda: bus.wait(states.STARTED, 0.001, channel))
        with pytest.raises(ChannelFailures) as caught:
            bus.start()
        assert [type(error) for error in caught.value.get_instances()] == [WaitError]

    def test_ctrl_c_in_block_exits_the_bus_and_is_not_raised(self, bus: Bus, lines: list[str]) -> None:
        """The exit is logged."""

        def interrupt() -> None:
            raise KeyboardInterrupt

        bus.subscribe("main", interrupt)
        bus.start()
        del lines[:]
        bus.block(0.001)
        assert lines[:2] == ["20 Keyboard Interrupt: shutting down bus", "20 Bus STOPPING"]

    def test_system_exit_in_block_exits_the_bus_and_is_raised(self, bus: Bus, lines: list[str]) -> None:
        """It keeps its status."""

        def end_process() -> None:
            raise SystemExit(4)

        bus.subscribe("main", end_process)
        bus.start()
        del lines[:]
        with pytest.raises(SystemExit) as caught:
            bus.block(0.001)
        assert caught.value.code == 4
        assert lines[:2] == ["20 SystemExit raised: shutting down bus", "20 Bus STOPPING"]

    def test_block_returns_if_exiting_was_assigned(self, bus: Bus) -> None:
        """No exit has been carried out."""
        bus.state = states.EXITING
        bus.block()
        assert bus.policy.exiting is None

    def test_an_assignment_of_exiting_by_another_thread_ends_a_block(self, bus: Bus) -> None:
        """It wakes the thread in block."""
        thread = threading.Thread(target=setattr, args=(bus, "state", states.EXITING))
        bus.typed.request(thread.start)
        bus.block()
        thread.join()
        assert bus.state is states.EXITING

    def test_a_failing_main_listener_exits_the_bus_and_is_raised(self, bus: Bus, lines: list[str]) -> None:
        """The original left the bus STARTED."""
        bus.subscribe("main", fail)
        bus.start()
        with pytest.raises(ChannelFailures, match=r"ValueError\(\)"):
            bus.block(0.001)
        assert bus.state is states.EXITING
        assert f"40 Error in 'main' listener {fail!r}" in lines

    def test_block_raises_several_failures_as_one(self, bus: Bus) -> None:
        """The cause is a group of them."""
        bus.subscribe("main", lambda: fail("tick"))
        bus.subscribe("stop", lambda: fail("stop"))
        bus.start()
        with pytest.raises(ChannelFailures) as caught:
            bus.block(0.001)
        assert str(caught.value) == "ValueError('tick')\nValueError('stop')"
        cause = caught.value.__cause__
        assert isinstance(cause, BaseExceptionGroup)
        assert [type(error) for error in cause.exceptions] == [TypedFailures, TransitionFailures]

    def test_system_exit_is_raised_from_earlier_failures(self, bus: Bus) -> None:
        """Its status becomes 1."""

        def end_process() -> None:
            raise SystemExit

        bus.subscribe("main", end_process)
        bus.subscribe("stop", fail)
        bus.start()
        with pytest.raises(SystemExit) as caught:
            bus.block(0.001)
        assert caught.value.code == 1
        assert isinstance(caught.value.__cause__, ChannelFailures)

    def test_block_raises_the_failures_of_an_exit_in_another_thread(self, bus: Bus) -> None:
        """So the status of the process reports them."""
        bus.subscribe("stop", fail)
        bus.start()
        outcome: SimpleQueue[BaseException] = SimpleQueue()

        def exit_bus() -> None:
            try:
                bus.exit()
            except ChannelFailures as failures:
                outcome.put(failures)

        thread = threading.Thread(target=exit_bus)
        thread.start()
        with pytest.raises(ChannelFailures, match=r"ValueError\(\)"):
            bus.block()
        thread.join()
        assert str(outcome.get()) == "ValueError()"

    def test_a_request_of_typed_code_ends_a_block(self, bus: Bus) -> None:
        """The thread in block carries it out."""
        bus.start()
        bus.typed.request(bus.typed.request_exit)
        bus.block()
        assert bus.state is states.EXITING

    def test_block_uses_the_wait_of_a_subclass(self) -> None:
        """The bus for Windows depends on it."""

        class WaitingBus(Bus):
            def wait(self, state: object, interval: float = 0.1, channel: object = None) -> None:
                assert (state, channel) == (states.EXITING, "main")
                raise KeyboardInterrupt

        bus = WaitingBus()
        bus.start()
        bus.block()
        assert bus.state is states.EXITING

    def test_block_returns_when_the_wait_of_a_subclass_returns(self) -> None:
        """Without an exception."""

        class WaitingBus(Bus):
            def wait(self, state: object, interval: float = 0.1, channel: object = None) -> None:
                self.exit()

        bus = WaitingBus()
        bus.start()
        bus.block()
        assert bus.state is states.EXITING

    def test_start_with_callback_calls_the_function_after_the_start(self, bus: Bus) -> None:
        """The name of its thread begins with "Bus Callback"."""
        calls: list[object] = []
        bus.subscribe("start", appending(calls, "start"))
        thread = bus.start_with_callback(lambda *args, **named: calls.append((args, named)), (1,), {"a": 2})
        thread.join()
        bus.exit()
        assert calls == ["start", ((1,), {"a": 2})]
        assert thread.name.startswith("Bus Callback ")

    def test_the_callback_of_a_failed_start_is_not_called_and_its_thread_ends(self, bus: Bus) -> None:
        """The original waited without end."""
        bus.subscribe("start", fail)
        calls: list[object] = []
        before = set(threading.enumerate())
        with pytest.raises(ChannelFailures):
            bus.start_with_callback(appending(calls, 1))
        for thread in set(threading.enumerate()) - before:
            thread.join()
        assert calls == []


@pytest.mark.slow
def test_the_options_of_the_interpreter_are_found() -> None:
    """They precede the program in the command line."""
    program = "from typedbus.wspbus import bus; print(bus._get_interpreter_argv())"
    ended = subprocess.run([sys.executable, "-B", "-W", "ignore", "-c", program], capture_output=True, text=True)
    assert ended.stdout == "['-B', '-Wignore']\n"


def test_the_typed_bus_has_the_same_state(bus: Bus) -> None:
    """EXITING corresponds to EXITED."""
    bus.start()
    started = bus.typed.state
    bus.exit()
    assert (started, bus.typed.state) == (State.STARTED, State.EXITED)
