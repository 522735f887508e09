"""The bus of the old names: strings as channels, over a typed bus."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any
from unittest import mock

import pytest

from typedbus import Channel, ChannelError, Component, Container, HookTimeout, Limits, ListenerError, State, WaitError
from typedbus._base.errors import StartCancelled
from typedbus._base.failures import ChannelFailures as TypedFailures
from typedbus._base.failures import TransitionFailures
from typedbus._bus.bus import parts_of
from typedbus.events import FAILED, MOVED, Failed
from typedbus.wspbus import Bus, ChannelFailures, StateError, states


@pytest.fixture
def bus() -> Bus:
    """Return a bus that does not exit at the end: some of its listeners fail."""
    return Bus()


def fail(*args: object) -> None:
    """Raise."""
    raise ValueError(*args)


def appending(calls: list[Any], value: object) -> Callable[[], None]:
    """Return a listener that appends *value* to *calls*."""
    return lambda: calls.append(value)


class TestNames:
    """Names and the typed channels that they stand for."""

    def test_publishing_on_an_unused_name_returns_nothing_and_creates_no_channel(self, bus: Bus) -> None:
        """The mapping of listeners has the built-in names alone."""
        assert bus.publish("order", 1) == []
        assert list(bus.listeners) == ["start", "stop", "exit", "graceful", "log", "main"]

    def test_a_listener_by_name_receives_what_typed_code_publishes(self, bus: Bus) -> None:
        """The name was used before the typed channel."""
        order = Channel[[int], str]("order")
        bus.subscribe("order", lambda number: f"old {number}")
        assert bus[order].publish(7) == ["old 7"]
        assert bus.typed.publish(order, 8) == ["old 8"]

    def test_a_typed_listener_receives_what_is_published_by_name(self, bus: Bus) -> None:
        """The typed channel was used before the name."""
        order = Channel[[int], str]("order")
        bus[order].subscribe(lambda number: f"typed {number}")
        bus.subscribe("order", lambda number: f"old {number}", priority=10)
        assert bus.publish("order", 7) == ["old 7", "typed 7"]
        assert len(bus.listeners["order"]) == 2

    def test_a_set_of_listeners_stays_live_when_a_typed_channel_takes_over_its_name(self, bus: Bus) -> None:
        """The set belongs to the name, and not to a channel."""
        listeners = bus.listeners.setdefault("order", set())
        order = Channel[[int], None]("order")
        bus[order].subscribe(fail)
        assert fail in listeners
        listeners.discard(fail)
        assert bus[order].subscriptions == ()

    def test_a_subscription_by_name_becomes_a_subscription_of_the_typed_channel(self, bus: Bus) -> None:
        """It can be cancelled like any other."""
        bus.subscribe("order", fail)
        order = Channel[[int], None]("order")
        (subscription,) = bus[order].subscriptions
        assert subscription.channel is order
        subscription.cancel()
        assert len(bus.listeners["order"]) == 0

    def test_a_second_typed_channel_of_the_same_name_is_refused(self, bus: Bus) -> None:
        """Old code could reach only one of them."""
        bus[Channel[[], None]("order")].publish()
        with pytest.raises(ChannelError, match="'order' means another channel of this bus already"):
            bus[Channel[[], None]("order")].publish()

    def test_a_typed_channel_with_a_built_in_name_is_refused(self, bus: Bus) -> None:
        """The name 'start' stands for START."""
        with pytest.raises(ChannelError, match="'start' means another channel"):
            bus[Channel[[], None]("start")].publish()

    def test_a_typed_channel_can_be_used_as_a_name(self, bus: Bus) -> None:
        """This includes the events of the typed bus, which have no names."""
        order = Channel[[int], str]("order")
        bus.subscribe(order, str)
        assert bus.publish(order, 7) == bus.publish("order", 7) == bus[order].publish(7) == ["7"]
        bus.unsubscribe(order, str)
        assert bus.publish(order, 7) == []
        moves: list[object] = []
        bus.subscribe(MOVED, moves.append)
        bus.exit()
        assert len(moves) == 4

    def test_a_deleted_name_still_stands_for_its_typed_channel(self, bus: Bus) -> None:
        """Typed code can still subscribe to the channel."""
        order = Channel[[int], str]("order")
        bus[order].publish(1)
        del bus.listeners["order"]
        bus[order].subscribe(str)
        assert bus.publish("order", 7) == ["7"]
        bus.subscribe("order", repr)
        assert bus[order].publish(8) == ["8", "8"]

    def test_a_container_that_cannot_be_built_starts_no_listener(self, bus: Bus) -> None:
        """The bus exits."""
        calls: list[object] = []

        class Broken:
            def __init__(self) -> None:
                fail("broken")

            def start(self) -> None:
                calls.append("broken starts")

        class Site(Container):
            broken = Component(Broken)

        Site().attach(bus.typed)
        bus.subscribe("start", appending(calls, "start"))
        bus.subscribe("exit", appending(calls, "exit"))
        with pytest.raises(ChannelFailures, match="broken"):
            bus.start()
        assert calls == ["exit"]

    def test_events_of_the_typed_bus_have_no_names(self, bus: Bus) -> None:
        """An application may have a channel named 'started'."""
        calls: list[object] = []
        bus.subscribe("started", calls.append)
        bus.start()
        bus.exit()
        assert calls == []
        assert len(bus.listeners) == 7

    def test_indexing_the_bus_with_a_name_is_refused(self, bus: Bus) -> None:
        """bus[...] takes typed channels."""
        with pytest.raises(ChannelError, match="a bus is indexed with the channel object"):
            bus["order"]  # type: ignore[index]

    def test_any_hashable_object_is_a_name(self, bus: Bus) -> None:
        """For example a tuple, a class or None."""
        bus.subscribe(("a", 1), lambda: 1)
        bus.subscribe(int, lambda: 2)
        assert bus.publish(("a", 1)) + bus.publish(int) + bus.publish(None) == [1, 2]

    def test_components_of_a_container_start_and_stop_with_old_listeners(self, bus: Bus) -> None:
        """Listeners with a priority below 50 stop before the components, the others after them."""
        calls: list[object] = []

        class Pool:
            def start(self) -> None:
                calls.append("pool starts")

            def stop(self) -> None:
                calls.append("pool stops")

        class Server:
            def __init__(self, pool: Pool) -> None:
                self.pool = pool

            def start(self) -> None:
                calls.append("server starts")

            def stop(self) -> None:
                calls.append("server stops")

        class Site(Container):
            pool = Component(Pool)
            server = Component(Server, pool.provided)

        Site().attach(bus.typed)
        bus.subscribe("stop", appending(calls, "old 60"), priority=60)
        bus.subscribe("stop", appending(calls, "old 25"), priority=25)
        bus.start()
        bus.exit()
        assert calls == ["pool starts", "server starts", "old 25", "server stops", "pool stops", "old 60"]


class TestSubscribing:
    """Subscriptions by name."""

    def test_listeners_run_by_priority_and_then_in_order_of_subscription(self, bus: Bus) -> None:
        """The attribute of the listener applies if no priority is given."""

        def late() -> str:
            return "late"

        late.priority = 70  # type: ignore[attr-defined]
        bus.subscribe("x", late)
        for number in range(5):
            bus.subscribe("x", lambda number=number: number)
        bus.subscribe("x", lambda: "first", 49.5)
        assert bus.publish("x") == ["first", 0, 1, 2, 3, 4, "late"]

    def test_a_second_subscription_only_changes_the_priority(self, bus: Bus) -> None:
        """The listener is called once."""
        first, second = (lambda: 1), (lambda: 2)
        bus.subscribe("x", first)
        bus.subscribe("x", second)
        bus.subscribe("x", first, 60)
        assert bus.publish("x") == [2, 1]

    def test_subscribe_without_a_callback_is_a_decorator_that_returns_the_function(self, bus: Bus) -> None:
        """The original returned None."""

        @bus.subscribe("x", priority=10)
        def listener() -> int:
            return 1

        assert bus.publish("x") == [1] == [listener()]

    def test_a_mock_has_the_default_priority(self, bus: Bus) -> None:
        """Its attribute is a mock as well."""
        first, second = mock.MagicMock(), mock.MagicMock()
        bus.subscribe("x", first)
        bus.subscribe("x", second)
        bus.publish("x", 1)
        first.assert_called_once_with(1)
        second.assert_called_once_with(1)

    def test_a_listener_that_is_not_callable_is_refused(self, bus: Bus) -> None:
        """The original failed at the next publish."""
        with pytest.raises(ListenerError, match="it is not callable"):
            bus.subscribe("x", 5)  # type: ignore[call-overload]

    def test_a_priority_that_is_not_a_number_is_refused(self, bus: Bus) -> None:
        """The original failed when there was a second listener."""
        with pytest.raises(ListenerError, match="its priority 'high' is not a number"):
            bus.subscribe("x", fail, "high")  # type: ignore[call-overload]

    def test_unsubscribing_an_unknown_listener_has_no_effect(self, bus: Bus) -> None:
        """Neither the name nor the listener need exist; a bound method is found by equality."""
        calls: list[int] = []
        bus.subscribe("x", calls.append)
        bus.unsubscribe("x", fail)
        bus.unsubscribe("y", fail)
        bus.unsubscribe("x", calls.append)
        assert bus.publish("x", 1) == []


class TestListeners:
    """The mapping of names to sets of listeners."""

    def test_assigning_a_set_replaces_the_listeners(self, bus: Bus) -> None:
        """The former listeners are unsubscribed."""
        bus.subscribe("x", fail)
        bus.listeners["x"] = {len}
        assert bus.publish("x", "abc") == [3]
        assert set(bus.listeners["x"]) == {len}

    def test_changing_a_set_subscribes_and_unsubscribes(self, bus: Bus) -> None:
        """Each listener has its own priority."""
        listeners = bus.listeners.setdefault("x", {len})
        listeners.add(len)
        listeners |= {str.upper}
        assert bus.publish("x", "abc") == [3, "ABC"]
        listeners.remove(len)
        listeners.update([repr])
        listeners.difference_update([str.upper])
        assert bus.publish("x", "abc") == ["'abc'"]

    def test_results_of_set_operations_are_plain_sets(self, bus: Bus) -> None:
        """They do not follow the channel."""
        bus.subscribe("x", len)
        listeners = bus.listeners["x"]
        results = [listeners | {repr}, listeners.union({repr}), listeners.copy(), listeners.difference({len})]
        bus.unsubscribe("x", len)
        assert results == [{len, repr}, {len, repr}, {len}, set()]
        assert [type(result) for result in results] == [set] * 4
        assert repr(listeners) == "set()"

    def test_names_can_be_removed_from_the_mapping(self, bus: Bus) -> None:
        """One by one or all at once; an assigned mapping replaces all of them."""
        bus.subscribe("x", len)
        assert bus.listeners.popitem() == ("x", {len})
        bus.subscribe("start", fail)
        bus.listeners.clear()
        assert (bus.listeners, bus.publish("start")) == ({}, [])
        bus.subscribe("y", fail)
        bus.listeners = {"x": {len}}
        assert list(bus.listeners) == ["x"]
        assert bus.publish("x", "abc") + bus.publish("y") == [3]

    def test_names_can_be_added_during_an_iteration(self, bus: Bus) -> None:
        """The iteration covers the names that existed at its beginning."""
        for name in bus.listeners:
            bus.subscribe(name + "2", fail)
        for _ in bus.listeners.items():
            bus.subscribe("other", fail)
        assert len(bus.listeners) == 13
        assert len(bus.listeners.keys()) == len(bus.listeners.values()) == len(dict(bus.listeners)) == 13

    def test_a_deleted_name_has_no_listeners(self, bus: Bus) -> None:
        """It can be used again."""
        bus.subscribe("x", len)
        assert bus.listeners.pop("x") == {len}
        assert bus.listeners.pop("x", None) is None
        with pytest.raises(KeyError):
            del bus.listeners["x"]
        assert bus.publish("x", "abc") == []
        bus.subscribe("x", repr)
        assert bus.publish("x", 1) == ["1"]

    def test_threads_can_publish_and_subscribe_at_the_same_time(self, bus: Bus) -> None:
        """No call raises."""
        barrier = threading.Barrier(4)
        errors: list[BaseException] = []

        def run(work: Callable[[int], object]) -> None:
            barrier.wait()
            try:
                for number in range(300):
                    work(number)
            except BaseException as error:
                errors.append(error)

        def subscribe(number: int) -> None:
            bus.subscribe("x", callback := (lambda: number))
            bus.unsubscribe("x", callback)

        threads = [threading.Thread(target=run, args=(work,)) for work in (subscribe, subscribe)]
        threads += [threading.Thread(target=run, args=(lambda _: bus.publish("x"),)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []


class TestPublishing:
    """Failures and log messages of a publish."""

    def test_each_failure_is_logged_before_the_next_listener_is_called(self, bus: Bus, lines: list[str]) -> None:
        """The cause has the results of the other listeners."""
        bus.subscribe("x", fail)
        bus.subscribe("x", lambda _: lines.append("next"))
        with pytest.raises(ChannelFailures) as caught:
            bus.publish("x", 1)
        assert lines == [f"40 Error in 'x' listener {fail!r}", "next"]
        assert str(caught.value) == repr(caught.value) == "ValueError(1)"
        assert [type(error) for error in caught.value.get_instances()] == [ValueError]
        assert caught.value.args == ()
        assert isinstance(caught.value.__cause__, TypedFailures)
        assert caught.value.__cause__.results == (None,)

    def test_failures_of_a_typed_publish_are_logged(self, bus: Bus, lines: list[str]) -> None:
        """The typed code gets the exception of the typed bus."""
        order = Channel[[int], None]("order")
        bus.subscribe("order", fail)
        with pytest.raises(TypedFailures):
            bus[order].publish(1)
        assert lines == [f"40 Error in 'order' listener {fail!r}"]

    def test_a_failing_log_listener_is_reported_on_stderr(self, bus: Bus, capsys: pytest.CaptureFixture[str]) -> None:
        """A publish on 'log' raises its failure, and does not log it."""
        bus.subscribe("log", fail)
        bus.log("hello")
        assert "hello" in capsys.readouterr().err
        with pytest.raises(ChannelFailures):
            bus.publish("log", "hello", 20)

    def test_log_appends_the_handled_exception_on_request(self, bus: Bus) -> None:
        """The message has its traceback, and the given level."""
        messages: list[tuple[str, int]] = []
        bus.subscribe("log", lambda message, level: messages.append((message, level)))
        try:
            fail("lost")
        except ValueError:
            bus.log("gone", 40, traceback=True)
        ((message, level),) = messages
        assert message.startswith("gone\nTraceback")
        assert message.endswith("ValueError: lost\n")
        assert level == 40

    def test_built_in_channels_accept_any_arguments(self, bus: Bus) -> None:
        """The listeners decide whether they accept them."""
        for name in list(bus.listeners):
            bus.subscribe(name, lambda *args, **named: (args, named))
            assert bus.publish(name, 1, a=2) == [((1,), {"a": 2})]

    def test_a_publish_by_name_follows_the_declaration_of_the_typed_channel(self, bus: Bus) -> None:
        """Defaults apply, and missing arguments raise."""

        @Channel.declare
        def order(number: int, note: str = "none") -> None:
            """Declare."""

        calls: list[object] = []
        bus.subscribe("order", lambda *args: calls.append(args))
        bus[order].publish(1)
        bus.publish("order", 2)
        with pytest.raises(TypeError):
            bus.publish("order")
        assert calls == [(1, "none"), (2, "none")]

    @pytest.mark.parametrize("code", [0, None])
    def test_system_exit_propagates_at_once_and_has_status_1_after_a_failure(self, bus: Bus, code: object) -> None:
        """The original kept None, which is status 0."""
        calls: list[object] = []
        bus.subscribe("x", lambda: fail())
        bus.subscribe("x", lambda: (_ for _ in ()).throw(SystemExit(code)))
        bus.subscribe("x", appending(calls, 1))
        with pytest.raises(SystemExit) as caught:
            bus.publish("x")
        assert caught.value.code == 1
        assert calls == []

    def test_channel_failures_is_false_until_it_has_an_exception(self) -> None:
        """Old code constructs its own instances."""
        failures = ChannelFailures()
        assert not failures
        try:
            fail(1)
        except ValueError:
            failures.handle_exception()
        assert failures
        assert str(failures) == "ValueError(1)"
        assert ChannelFailures("x").args == ("x",)
        assert StateError("x").args == ("x",)


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
        assert [(event.path, event.hook) for event in events] == [("tests.wspbus.test_bus.fail", "stop")]

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


class TestPriorities:
    """The mapping `_priorities`, private in the original, which test suites of applications clear."""

    def test_priorities_can_be_read_and_assigned(self, bus: Bus) -> None:
        """An item is the priority of a listener."""
        calls: list[object] = []
        first, second = appending(calls, 1), appending(calls, 2)
        bus.subscribe("a", first, 10)
        bus.subscribe("a", second, 20)
        assert bus._priorities["a", second] == 20
        bus._priorities["a", second] = 5
        bus.publish("a")
        assert calls == [2, 1]
        assert (("a", first) in bus._priorities, ("a", fail) in bus._priorities) == (True, False)
        with pytest.raises(KeyError):
            bus._priorities["a", fail] = 1
        with pytest.raises(KeyError):
            del bus._priorities["a", fail]
        assert len(bus._priorities) == len(list(bus._priorities))

    def test_clearing_the_priorities_keeps_the_listeners(self, bus: Bus) -> None:
        """The original raised KeyError at the next publish."""
        calls: list[object] = []
        listener = appending(calls, 1)
        bus.subscribe("a", listener, 10)
        del bus._priorities["a", listener]
        bus._priorities.clear()
        bus.publish("a")
        assert calls == [1]

    def test_an_assigned_mapping_sets_the_priorities_of_its_listeners(self, bus: Bus) -> None:
        """Items of other listeners are ignored, and listeners without an item keep their priority."""
        calls: list[object] = []
        first, second = appending(calls, 1), appending(calls, 2)
        bus.subscribe("a", first, 10)
        bus.subscribe("a", second, 20)
        bus._priorities = {("a", second): 5, ("a", fail): 1}
        bus._priorities = {}
        bus.publish("a")
        assert calls == [2, 1]


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
