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
from typedbus.events import FAILED, MOVED, Failed
from typedbus.wspbus import Bus, ChannelFailures, StateError, states


@pytest.fixture
def bus() -> Bus:
    """A bus of the old names."""
    return Bus()


def fail(*args: object) -> None:
    """Raise."""
    raise ValueError(*args)


def appending(to: list[Any], value: object) -> Callable[[], None]:
    """Return a listener that appends *value*."""
    return lambda: to.append(value)


class TestNames:
    """What a name stands for."""

    def test_a_name_that_nobody_has_spoken_of_has_no_listeners_and_stays_unknown(self, bus: Bus) -> None:
        """A publish on it answers nothing and makes no channel."""
        assert bus.publish("order", 1) == []
        assert list(bus.listeners) == ["start", "stop", "exit", "graceful", "log", "main"]

    def test_a_listener_by_name_hears_what_typed_code_publishes(self, bus: Bus) -> None:
        """The name was spoken of first."""
        order = Channel[[int], str]("order")
        bus.subscribe("order", lambda number: f"heard {number}")
        assert bus[order].publish(7) == ["heard 7"]
        assert bus.typed.publish(order, 8) == ["heard 8"]

    def test_a_typed_listener_hears_what_is_published_by_name(self, bus: Bus) -> None:
        """The typed channel came first."""
        order = Channel[[int], str]("order")
        bus[order].subscribe(lambda number: f"typed {number}")
        bus.subscribe("order", lambda number: f"old {number}", priority=10)
        assert bus.publish("order", 7) == ["old 7", "typed 7"]
        assert len(bus.listeners["order"]) == 2

    def test_a_set_that_was_taken_before_follows_the_typed_channel(self, bus: Bus) -> None:
        """The set belongs to the name, and not to a channel."""
        listeners = bus.listeners.setdefault("order", set())
        order = Channel[[int], None]("order")
        bus[order].subscribe(fail)
        assert fail in listeners
        listeners.discard(fail)
        assert bus[order].subscriptions == ()

    def test_what_was_subscribed_by_name_is_a_subscription_of_the_typed_channel(self, bus: Bus) -> None:
        """Which ends as any other."""
        bus.subscribe("order", fail)
        order = Channel[[int], None]("order")
        (subscription,) = bus[order].subscriptions
        assert subscription.channel is order
        subscription.cancel()
        assert len(bus.listeners["order"]) == 0

    def test_two_typed_channels_of_one_name_are_refused(self, bus: Bus) -> None:
        """Old code could reach only one of them."""
        bus[Channel[[], None]("order")].publish()
        with pytest.raises(ChannelError, match="'order' means another channel of this bus already"):
            bus[Channel[[], None]("order")].publish()

    def test_no_typed_channel_takes_the_place_of_a_built_in_one(self, bus: Bus) -> None:
        """START is what 'start' means."""
        with pytest.raises(ChannelError, match="'start' means another channel"):
            bus[Channel[[], None]("start")].publish()

    def test_a_typed_channel_may_stand_for_its_name(self, bus: Bus) -> None:
        """Nothing that is said on it is lost, the events of the typed bus included."""
        order = Channel[[int], str]("order")
        bus.subscribe(order, str)
        assert bus.publish(order, 7) == bus.publish("order", 7) == bus[order].publish(7) == ["7"]
        bus.unsubscribe(order, str)
        assert bus.publish(order, 7) == []
        moves: list[object] = []
        bus.subscribe(MOVED, moves.append)
        bus.exit()
        assert len(moves) == 4

    def test_a_name_that_was_deleted_still_means_its_typed_channel(self, bus: Bus) -> None:
        """Which typed code may go on with."""
        order = Channel[[int], str]("order")
        bus[order].publish(1)
        del bus.listeners["order"]
        bus[order].subscribe(str)
        assert bus.publish("order", 7) == ["7"]
        bus.subscribe("order", repr)
        assert bus[order].publish(8) == ["8", "8"]

    def test_a_container_that_cannot_be_built_starts_nobody(self, bus: Bus) -> None:
        """And the bus exits."""
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

    def test_the_events_of_the_typed_bus_have_no_names(self, bus: Bus) -> None:
        """A channel of an application may be called 'started'."""
        heard: list[object] = []
        bus.subscribe("started", heard.append)
        bus.start()
        bus.exit()
        assert heard == []
        assert len(bus.listeners) == 7

    def test_a_name_is_no_index(self, bus: Bus) -> None:
        """bus[...] takes typed channels."""
        with pytest.raises(ChannelError, match="names are for subscribe"):
            bus["order"]  # type: ignore[index]

    def test_whatever_can_be_hashed_is_a_name(self, bus: Bus) -> None:
        """Tuples and classes have been."""
        bus.subscribe(("a", 1), lambda: 1)
        bus.subscribe(int, lambda: 2)
        assert bus.publish(("a", 1)) + bus.publish(int) + bus.publish(None) == [1, 2]

    def test_components_of_a_container_start_and_stop_with_old_listeners(self, bus: Bus) -> None:
        """Listeners before 50 stop before the components, others after them."""
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
    """Who listens."""

    def test_lower_priority_runs_first_and_equal_ones_in_the_order_in_which_they_came(self, bus: Bus) -> None:
        """An attribute of the listener counts where none is given."""

        def late() -> str:
            return "late"

        late.priority = 70  # type: ignore[attr-defined]
        bus.subscribe("x", late)
        for number in range(5):
            bus.subscribe("x", lambda number=number: number)
        bus.subscribe("x", lambda: "first", 49.5)
        assert bus.publish("x") == ["first", 0, 1, 2, 3, 4, "late"]

    def test_a_second_subscription_only_changes_the_priority(self, bus: Bus) -> None:
        """The last one counts."""
        one, two = (lambda: 1), (lambda: 2)
        bus.subscribe("x", one)
        bus.subscribe("x", two)
        bus.subscribe("x", one, 60)
        assert bus.publish("x") == [2, 1]

    def test_without_a_callback_it_is_a_decorator_that_gives_the_function_back(self, bus: Bus) -> None:
        """The original gave None."""

        @bus.subscribe("x", priority=10)
        def listener() -> int:
            return 1

        assert bus.publish("x") == [1] == [listener()]

    def test_a_mock_has_no_priority(self, bus: Bus) -> None:
        """Its attribute is a mock as well."""
        first, second = mock.MagicMock(), mock.MagicMock()
        bus.subscribe("x", first)
        bus.subscribe("x", second)
        bus.publish("x", 1)
        first.assert_called_once_with(1)
        second.assert_called_once_with(1)

    def test_what_cannot_be_called_is_refused(self, bus: Bus) -> None:
        """The original found out at the next publish."""
        with pytest.raises(ListenerError, match="it cannot be called"):
            bus.subscribe("x", 5)  # type: ignore[call-overload]

    def test_a_priority_that_is_no_number_is_refused(self, bus: Bus) -> None:
        """The original found out when there was a second listener."""
        with pytest.raises(ListenerError, match="its priority 'high' is no number"):
            bus.subscribe("x", fail, "high")  # type: ignore[call-overload]

    def test_unsubscribe_overlooks_what_it_does_not_know(self, bus: Bus) -> None:
        """Neither the name nor the callback need exist; a bound method is found by equality."""
        heard: list[int] = []
        bus.subscribe("x", heard.append)
        bus.unsubscribe("x", fail)
        bus.unsubscribe("y", fail)
        bus.unsubscribe("x", heard.append)
        assert bus.publish("x", 1) == []


class TestListeners:
    """The mapping of sets."""

    def test_a_set_that_is_assigned_becomes_the_listeners(self, bus: Bus) -> None:
        """Those that were there are not any more."""
        bus.subscribe("x", fail)
        bus.listeners["x"] = {len}
        assert bus.publish("x", "abc") == [3]
        assert set(bus.listeners["x"]) == {len}

    def test_changes_of_a_set_are_subscriptions(self, bus: Bus) -> None:
        """With the priority of the listener."""
        listeners = bus.listeners.setdefault("x", {len})
        listeners.add(len)
        listeners |= {str.upper}
        assert bus.publish("x", "abc") == [3, "ABC"]
        listeners.remove(len)
        listeners.update([repr])
        listeners.difference_update([str.upper])
        assert bus.publish("x", "abc") == ["'abc'"]

    def test_what_is_made_of_a_set_is_nobodys_channel(self, bus: Bus) -> None:
        """Plain sets, that follow nothing."""
        bus.subscribe("x", len)
        listeners = bus.listeners["x"]
        made = [listeners | {repr}, listeners.union({repr}), listeners.copy(), listeners.difference({len})]
        bus.unsubscribe("x", len)
        assert made == [{len, repr}, {len, repr}, {len}, set()]
        assert [type(one) for one in made] == [set] * 4
        assert repr(listeners) == "set()"

    def test_every_name_may_be_forgotten(self, bus: Bus) -> None:
        """One by one, or all at once; a mapping that is assigned is what there is."""
        bus.subscribe("x", len)
        assert bus.listeners.popitem() == ("x", {len})
        bus.subscribe("start", fail)
        bus.listeners.clear()
        assert (bus.listeners, bus.publish("start")) == ({}, [])
        bus.subscribe("y", fail)
        bus.listeners = {"x": {len}}
        assert list(bus.listeners) == ["x"]
        assert bus.publish("x", "abc") + bus.publish("y") == [3]

    def test_names_may_be_added_while_it_is_gone_over(self, bus: Bus) -> None:
        """It goes over what there was."""
        for name in bus.listeners:
            bus.subscribe(name + "2", fail)
        for _ in bus.listeners.items():
            bus.subscribe("other", fail)
        assert len(bus.listeners) == 13
        assert len(bus.listeners.keys()) == len(bus.listeners.values()) == len(dict(bus.listeners)) == 13

    def test_a_name_that_is_deleted_has_no_listeners(self, bus: Bus) -> None:
        """And may be used again."""
        bus.subscribe("x", len)
        assert bus.listeners.pop("x") == {len}
        assert bus.listeners.pop("x", None) is None
        with pytest.raises(KeyError):
            del bus.listeners["x"]
        assert bus.publish("x", "abc") == []
        bus.subscribe("x", repr)
        assert bus.publish("x", 1) == ["1"]

    def test_threads_may_publish_and_subscribe_at_once(self, bus: Bus) -> None:
        """No listener and no error is lost."""
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
    """What a publish raises and logs."""

    def test_each_failure_is_logged_before_the_next_listener_is_called(self, bus: Bus, lines: list[str]) -> None:
        """The results of the others are with the cause."""
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

    def test_a_failure_that_typed_code_publishes_is_logged_too(self, bus: Bus, lines: list[str]) -> None:
        """Typed code gets its own exception."""
        order = Channel[[int], None]("order")
        bus.subscribe("order", fail)
        with pytest.raises(TypedFailures):
            bus[order].publish(1)
        assert lines == [f"40 Error in 'order' listener {fail!r}"]

    def test_a_log_listener_that_fails_is_told_on_stderr(self, bus: Bus, capsys: pytest.CaptureFixture[str]) -> None:
        """A publish by hand raises, and is not logged again."""
        bus.subscribe("log", fail)
        bus.log("hello")
        assert "hello" in capsys.readouterr().err
        with pytest.raises(ChannelFailures):
            bus.publish("log", "hello", 20)

    def test_a_message_may_bring_the_exception_that_is_handled(self, bus: Bus) -> None:
        """With its traceback, and at the level that is given."""
        told: list[tuple[str, int]] = []
        bus.subscribe("log", lambda message, level: told.append((message, level)))
        try:
            fail("lost")
        except ValueError:
            bus.log("gone", 40, traceback=True)
        ((message, level),) = told
        assert message.startswith("gone\nTraceback")
        assert message.endswith("ValueError: lost\n")
        assert level == 40

    def test_built_in_channels_take_whatever_is_published(self, bus: Bus) -> None:
        """The listeners say whether they can do with it."""
        for name in list(bus.listeners):
            bus.subscribe(name, lambda *args, **named: (args, named))
            assert bus.publish(name, 1, a=2) == [((1,), {"a": 2})]

    def test_a_typed_channel_takes_what_it_declares(self, bus: Bus) -> None:
        """By name as well, with its defaults."""

        @Channel.declare
        def order(number: int, note: str = "none") -> None:
            """Declare."""

        heard: list[object] = []
        bus.subscribe("order", lambda *args: heard.append(args))
        bus[order].publish(1)
        bus.publish("order", 2)
        with pytest.raises(TypeError):
            bus.publish("order")
        assert heard == [(1, "none"), (2, "none")]

    @pytest.mark.parametrize("code", [0, None])
    def test_system_exit_leaves_at_once_and_claims_no_success_after_a_failure(self, bus: Bus, code: object) -> None:
        """The original let None be, which is status 0 as well."""
        heard: list[object] = []
        bus.subscribe("x", lambda: fail())
        bus.subscribe("x", lambda: (_ for _ in ()).throw(SystemExit(code)))
        bus.subscribe("x", appending(heard, 1))
        with pytest.raises(SystemExit) as caught:
            bus.publish("x")
        assert caught.value.code == 1
        assert heard == []

    def test_an_empty_failure_is_false_and_takes_the_exception_that_is_handled(self) -> None:
        """Old code builds its own."""
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


class TestLife:
    """From start to exit."""

    def test_each_state_is_logged_when_it_is_reached(self, bus: Bus, lines: list[str]) -> None:
        """With the words of the original."""
        bus.subscribe("start", appending(lines, "starting"))
        bus.start()
        bus.graceful()
        bus.exit()
        assert lines == [
            "20 Bus STARTING", "starting", "20 Bus STARTED", "20 Bus graceful",
            "20 Bus STOPPING", "20 Bus STOPPED", "20 Bus EXITING", "20 Bus EXITED",
        ]  # fmt: skip
        assert bus.state is states.EXITING

    def test_stop_runs_in_ascending_priority(self, bus: Bus) -> None:
        """As documented: the server at 25 before what it needs."""
        heard: list[object] = []
        for priority in (50, 25, 70):
            bus.subscribe("stop", appending(heard, priority), priority)
            bus.subscribe("exit", appending(heard, -priority), priority)
        bus.exit()
        assert heard == [25, 50, 70, -25, -50, -70]

    @pytest.mark.parametrize("state", ["STOPPED", "STARTING", "STARTED", "STOPPING", "EXITING"])
    @pytest.mark.parametrize("method", ["start", "stop", "exit"])
    def test_every_method_works_in_every_state(self, bus: Bus, state: str, method: str) -> None:
        """The state may be assigned."""
        heard: list[object] = []
        bus.subscribe(method, appending(heard, method))
        bus.state = getattr(states, state)
        assert bus.state is getattr(states, state)
        getattr(bus, method)()
        assert heard == [method]
        bus.exit()

    def test_an_exit_of_a_bus_that_has_exited_publishes_again(self, bus: Bus, lines: list[str]) -> None:
        """A server that was started without the bus, after the first exit, is stopped by the second."""
        running = [True]
        bus.subscribe("stop", running.clear)
        bus.exit()
        running.append(True)
        del lines[:]
        bus.exit()
        assert running == []
        assert lines == ["20 Bus STOPPING", "20 Bus STOPPED", "20 Bus EXITING", "20 Bus EXITED"]

    def test_an_exit_during_a_stop_joins_it(self, bus: Bus) -> None:
        """It moves the goal of the transition under way, and publishes each channel once."""
        published: list[str] = []
        threads: list[threading.Thread] = []

        def stop() -> None:
            published.append("stop")
            other = threading.Thread(target=bus.exit)
            threads.append(other)
            other.start()
            transition = bus.typed._current
            while transition is not None and transition.goal is not State.EXITED:
                other.join(0.001)

        bus.subscribe("stop", stop)
        bus.subscribe("exit", lambda: published.append("exit"))
        bus.start()
        bus.stop()
        threads[0].join(10)
        assert published == ["stop", "exit"]

    def test_every_life_has_its_stops(self, bus: Bus) -> None:
        """An exit stops what is stopped, and what somebody says is started."""
        heard: list[object] = []
        bus.subscribe("stop", appending(heard, "stop"))
        bus.exit()
        bus.start()
        bus.stop()
        bus.exit()
        assert len(heard) == 3
        bus.state = states.STARTED
        bus.exit()
        assert len(heard) == 4

    def test_a_stop_from_a_start_listener_is_a_request(self, bus: Bus) -> None:
        """The state is what it was until the listener has returned."""
        seen: list[object] = []

        def stop() -> None:
            bus.stop()
            seen.append(bus.state)

        bus.subscribe("start", stop)
        with pytest.raises(StartCancelled):
            bus.start()
        assert seen == [states.STARTING]
        assert bus.state is states.STOPPED

    def test_a_failed_start_calls_everybody_and_exits_the_bus(self, bus: Bus, lines: list[str]) -> None:
        """The process lives, and the caller gets the errors."""
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

    def test_a_failed_stop_keeps_nobody_from_the_exit(self, bus: Bus, lines: list[str]) -> None:
        """The original ended the process there."""
        bus.subscribe("stop", fail)
        bus.subscribe("exit", appending(lines, "exited"))
        with pytest.raises(ChannelFailures):
            bus.exit()
        assert "exited" in lines
        assert bus.state is states.EXITING

    def test_limits_of_the_typed_bus_hold_for_old_listeners(self, bus: Bus) -> None:
        """One that overruns is given up, and the start fails."""
        go = threading.Event()
        bus.typed.limits = Limits(hook=0.01)
        bus.subscribe("start", go.wait)
        with pytest.raises(ChannelFailures) as caught:
            bus.start()
        go.set()
        assert [type(error) for error in caught.value.get_instances()] == [HookTimeout]

    def test_events_of_the_typed_bus_tell_of_old_listeners(self, bus: Bus) -> None:
        """Which failed, and where."""
        told: list[Failed] = []
        bus.typed[FAILED].subscribe(told.append)
        bus.subscribe("stop", fail)
        with pytest.raises(ChannelFailures):
            bus.exit()
        assert [(event.path, event.hook) for event in told] == [("tests.wspbus.test_bus.fail", "stop")]

    def test_an_exit_from_a_start_listener_breaks_the_start_off(self, bus: Bus) -> None:
        """The original ended the process with 70."""
        heard: list[object] = []
        bus.subscribe("start", bus.exit)
        bus.subscribe("start", appending(heard, "start"), 60)
        bus.subscribe("exit", appending(heard, "exit"))
        with pytest.raises(StartCancelled):
            bus.start()
        assert heard == ["exit"]

    def test_an_exit_breaks_off_a_start_that_had_failed_before(self, bus: Bus) -> None:
        """Whoever comes after the request is not called."""
        heard: list[object] = []
        bus.subscribe("start", fail, 10)
        bus.subscribe("start", bus.exit, 20)
        bus.subscribe("start", appending(heard, "start"), 30)
        with pytest.raises(ChannelFailures):
            bus.start()
        assert heard == []

    def test_a_state_that_is_none_is_refused(self, bus: Bus) -> None:
        """When it is assigned, and when it is waited for."""
        with pytest.raises(StateError, match="'STARTED' is no state of a bus"):
            bus.state = "STARTED"  # type: ignore[assignment]
        with pytest.raises(StateError):
            bus.wait(["STARTED"])  # type: ignore[list-item]

    def test_a_subclass_may_keep_the_state_itself(self) -> None:
        """As that for Windows does, with a property."""
        seen: list[Any] = []

        class Keeping(Bus):
            @property
            def state(self) -> Any:
                return seen[-1]

            @state.setter
            def state(self, state: Any) -> None:
                seen.append(state)

        bus = Keeping()
        bus.start()
        bus.exit()
        assert seen == [
            states.STOPPED, states.STARTING, states.STARTED, states.STOPPING, states.STOPPED, states.EXITING
        ]  # fmt: skip

    def test_states_are_told_apart_by_identity_and_named_by_their_attribute(self, bus: Bus) -> None:
        """As ever."""
        assert repr(states.STARTED) == "states.STARTED"
        assert bus.states is states

    def test_attributes_may_be_added(self, bus: Bus) -> None:
        """Plugins hang off the bus."""
        bus.autoreload = 1  # type: ignore[attr-defined]
        assert vars(bus)["autoreload"] == 1


class TestWaiting:
    """Who waits for what."""

    def test_a_waiting_thread_sees_a_state_that_is_passed_through(self, bus: Bus) -> None:
        """The original looked ten times a second."""
        waits = threading.Thread(target=bus.wait, args=(states.STARTING,))
        looks: SimpleQueue[None] = SimpleQueue()

        def wait_and_tell() -> None:
            looks.put(None)
            bus.wait([states.STARTING, states.STOPPING], 60)

        waits = threading.Thread(target=wait_and_tell)
        waits.start()
        looks.get()
        bus.start()
        bus.exit()
        bus.state = states.STARTING
        waits.join()

    def test_a_channel_is_published_while_it_waits(self, bus: Bus) -> None:
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

    def test_block_returns_after_the_exit_and_the_threads(self, bus: Bus, lines: list[str]) -> None:
        """It names those that it waits for."""
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
        """It returns after the exit while the main thread goes on."""
        bus.start()
        blocking = threading.Thread(target=bus.block, args=(0.001,), daemon=True)
        blocking.start()
        bus.exit()
        blocking.join(30)
        assert not blocking.is_alive()

    @pytest.mark.parametrize("channel", [None, "tick"])
    def test_a_listener_cannot_wait_for_its_own_transition(self, bus: Bus, channel: str | None) -> None:
        """The wait raises `WaitError`, and the start fails by it instead of waiting for ever."""
        bus.subscribe("start", lambda: bus.wait(states.STARTED, 0.001, channel))
        with pytest.raises(ChannelFailures) as caught:
            bus.start()
        assert [type(error) for error in caught.value.get_instances()] == [WaitError]

    def test_ctrl_c_in_block_exits_and_is_not_raised(self, bus: Bus, lines: list[str]) -> None:
        """It is what it was for."""

        def interrupt() -> None:
            raise KeyboardInterrupt

        bus.subscribe("main", interrupt)
        bus.start()
        del lines[:]
        bus.block(0.001)
        assert lines[:2] == ["20 Keyboard Interrupt: shutting down bus", "20 Bus STOPPING"]

    def test_system_exit_in_block_exits_and_is_raised(self, bus: Bus, lines: list[str]) -> None:
        """With its status."""

        def leave() -> None:
            raise SystemExit(4)

        bus.subscribe("main", leave)
        bus.start()
        del lines[:]
        with pytest.raises(SystemExit) as caught:
            bus.block(0.001)
        assert caught.value.code == 4
        assert lines[:2] == ["20 SystemExit raised: shutting down bus", "20 Bus STOPPING"]

    def test_a_state_that_is_assigned_ends_a_block(self, bus: Bus) -> None:
        """Though nobody has carried out an exit."""
        bus.state = states.EXITING
        bus.block()
        assert bus.typed.exiting is None

    def test_a_state_that_another_thread_assigns_ends_a_block(self, bus: Bus) -> None:
        """It wakes whoever sleeps there."""
        thread = threading.Thread(target=setattr, args=(bus, "state", states.EXITING))
        bus.typed.request(thread.start)
        bus.block()
        thread.join()
        assert bus.state is states.EXITING

    def test_a_failing_tick_exits_and_is_raised(self, bus: Bus, lines: list[str]) -> None:
        """The original left the bus STARTED."""
        bus.subscribe("main", fail)
        bus.start()
        with pytest.raises(ChannelFailures, match=r"ValueError\(\)"):
            bus.block(0.001)
        assert bus.state is states.EXITING
        assert f"40 Error in 'main' listener {fail!r}" in lines

    def test_several_failures_are_raised_as_one(self, bus: Bus) -> None:
        """The cause has each of them."""
        bus.subscribe("main", lambda: fail("tick"))
        bus.subscribe("stop", lambda: fail("stop"))
        bus.start()
        with pytest.raises(ChannelFailures) as caught:
            bus.block(0.001)
        assert str(caught.value) == "ValueError('tick')\nValueError('stop')"
        cause = caught.value.__cause__
        assert isinstance(cause, BaseExceptionGroup)
        assert [type(error) for error in cause.exceptions] == [TypedFailures, TransitionFailures]

    def test_system_exit_brings_what_had_failed(self, bus: Bus) -> None:
        """And claims no success."""

        def leave() -> None:
            raise SystemExit

        bus.subscribe("main", leave)
        bus.subscribe("stop", fail)
        bus.start()
        with pytest.raises(SystemExit) as caught:
            bus.block(0.001)
        assert caught.value.code == 1
        assert isinstance(caught.value.__cause__, ChannelFailures)

    def test_block_raises_what_an_exit_in_another_thread_failed_with(self, bus: Bus) -> None:
        """The process ends with a status that says so."""
        bus.subscribe("stop", fail)
        bus.start()
        outcome: SimpleQueue[BaseException] = SimpleQueue()

        def leave() -> None:
            try:
                bus.exit()
            except ChannelFailures as failed:
                outcome.put(failed)

        thread = threading.Thread(target=leave)
        thread.start()
        with pytest.raises(ChannelFailures, match=r"ValueError\(\)"):
            bus.block()
        thread.join()
        assert str(outcome.get()) == "ValueError()"

    def test_typed_code_ends_a_block(self, bus: Bus) -> None:
        """Its requests are carried out there."""
        bus.start()
        bus.typed.request(bus.typed.request_exit)
        bus.block()
        assert bus.state is states.EXITING

    def test_a_subclass_with_its_own_wait_blocks_by_it(self) -> None:
        """As that for Windows does."""

        class Waiting(Bus):
            def wait(self, state: object, interval: float = 0.1, channel: object = None) -> None:
                assert (state, channel) == (states.EXITING, "main")
                raise KeyboardInterrupt

        bus = Waiting()
        bus.start()
        bus.block()
        assert bus.state is states.EXITING

    def test_a_subclass_whose_wait_returns_ends_its_block(self) -> None:
        """Nothing has happened to the thread."""

        class Waiting(Bus):
            def wait(self, state: object, interval: float = 0.1, channel: object = None) -> None:
                self.exit()

        bus = Waiting()
        bus.start()
        bus.block()
        assert bus.state is states.EXITING

    def test_the_callback_is_called_when_all_has_started(self, bus: Bus) -> None:
        """In a thread that is named after it."""
        heard: list[object] = []
        bus.subscribe("start", appending(heard, "start"))
        thread = bus.start_with_callback(lambda *args, **named: heard.append((args, named)), (1,), {"a": 2})
        thread.join()
        bus.exit()
        assert heard == ["start", ((1,), {"a": 2})]
        assert thread.name.startswith("Bus Callback ")

    def test_the_callback_of_a_failed_start_is_not_called_and_its_thread_ends(self, bus: Bus) -> None:
        """The original waited for ever."""
        bus.subscribe("start", fail)
        heard: list[object] = []
        before = set(threading.enumerate())
        with pytest.raises(ChannelFailures):
            bus.start_with_callback(appending(heard, 1))
        for thread in set(threading.enumerate()) - before:
            thread.join()
        assert heard == []


class TestPriorities:
    """The private mapping of the original, which test suites of the field clear."""

    def test_it_follows_the_bus(self, bus: Bus) -> None:
        """An item is the priority of a listener, and may be assigned."""
        heard: list[object] = []
        first, second = appending(heard, 1), appending(heard, 2)
        bus.subscribe("a", first, 10)
        bus.subscribe("a", second, 20)
        assert bus._priorities["a", second] == 20
        bus._priorities["a", second] = 5
        bus.publish("a")
        assert heard == [2, 1]
        assert (("a", first) in bus._priorities, ("a", fail) in bus._priorities) == (True, False)
        with pytest.raises(KeyError):
            bus._priorities["a", fail] = 1
        with pytest.raises(KeyError):
            del bus._priorities["a", fail]
        assert len(bus._priorities) == len(list(bus._priorities))

    def test_clearing_it_loses_no_listener(self, bus: Bus) -> None:
        """A listener has a priority for as long as it is subscribed; the original raised KeyError at the next publish."""
        heard: list[object] = []
        listener = appending(heard, 1)
        bus.subscribe("a", listener, 10)
        del bus._priorities["a", listener]
        bus._priorities.clear()
        bus.publish("a")
        assert heard == [1]

    def test_a_mapping_that_is_assigned_sets_the_priorities_of_its_listeners(self, bus: Bus) -> None:
        """Items of other listeners are ignored, and listeners without an item keep their priority."""
        calls: list[object] = []
        first, second = appending(calls, 1), appending(calls, 2)
        bus.subscribe("a", first, 10)
        bus.subscribe("a", second, 20)
        bus._priorities = {("a", second): 5, ("a", fail): 1}
        bus._priorities = {}
        bus.publish("a")
        assert calls == [2, 1]


def test_the_options_of_the_interpreter_are_known() -> None:
    """They stand between the interpreter and the program."""
    program = "from typedbus.wspbus import bus; print(bus._get_interpreter_argv())"
    ended = subprocess.run([sys.executable, "-B", "-W", "ignore", "-c", program], capture_output=True, text=True)
    assert ended.stdout == "['-B', '-Wignore']\n"


def test_the_typed_bus_has_the_state_of_the_old_names(bus: Bus) -> None:
    """EXITED is EXITING there."""
    bus.start()
    started = bus.typed.state
    bus.exit()
    assert (started, bus.typed.state) == (State.STARTED, State.EXITED)
