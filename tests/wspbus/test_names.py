"""Channels by name on a bus of the old names: subscriptions, listeners and publishes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from tests.wspbus.listeners import appending, fail

from typedbus import AsyncChannel, Channel, ChannelError, Component, Container, ListenerError
from typedbus._base.failures import ChannelFailures as TypedFailures
from typedbus.events import MOVED
from typedbus.wspbus import Bus, ChannelFailures, StateError


@pytest.fixture
def bus() -> Bus:
    """Return a bus that does not exit at the end: some of its listeners fail."""
    return Bus()


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


def test_an_async_channel_is_refused() -> None:
    """A publish by its name would not await the listeners; the name stays free."""
    bus = Bus()
    channel: Any = AsyncChannel[[int], None]("order")

    with pytest.raises(ChannelError, match=r"'order' is an async channel.*use a typedbus\.Bus"):
        bus[channel]

    assert bus.publish("order", 3) == []
