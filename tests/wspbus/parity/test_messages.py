"""Publishing, subscribing and logging by name, compared with the original."""

from __future__ import annotations

import pytest
from tests.wspbus.parity.comparison import RunBoth, diff, lines

pytestmark = pytest.mark.slow


def test_publish_returns_results_in_order_of_priority(run_both: RunBoth) -> None:
    """The argument wins over the attribute, which wins over 50; a new subscription of a listener replaces its priority."""
    original, ours = run_both(
        """
        def named(name, priority=None):
            def listener(*args, **kwargs):
                show(name, args, kwargs)
                return name
            if priority is not None:
                listener.priority = priority
            return listener

        show(bus.publish("unused"), bus.publish(None), bus.subscribe("x", named("middle")))
        early, late = named("early", 10), named("late", 10)
        bus.subscribe("x", early)
        bus.subscribe("x", late, priority=90)
        show(bus.publish("x", 1, two=2))
        bus.subscribe("x", early, 95)
        show(bus.publish("x"))
        early.priority = 1
        show(bus.publish("x"))
        bus.subscribe(("any", 1), lambda: "hashable")
        show(bus.publish(("any", 1)), sorted(map(str, bus.listeners)))
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_listeners_are_unsubscribed_by_equality(run_both: RunBoth) -> None:
    """Bound methods of one object are equal; an unknown listener is ignored, and the channel stays without listeners."""
    original, ours = run_both(
        """
        class Part:
            def listener(self):
                return "heard"

        part = Part()
        bus.subscribe("x", part.listener)
        bus.subscribe("x", part.listener)
        show(bus.publish("x"), len(bus.listeners["x"]))
        show(bus.unsubscribe("x", Part().listener), bus.unsubscribe("unknown", part.listener), "unknown" in bus.listeners)
        show(bus.unsubscribe("x", part.listener), bus.unsubscribe("x", part.listener))
        show(bus.publish("x"), len(bus.listeners["x"]))
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_publish_calls_the_listeners_that_were_subscribed_when_it_began(run_both: RunBoth) -> None:
    """A listener that is added meanwhile is not called, a removed one is; a listener may publish again."""
    original, ours = run_both(
        """
        def second():
            show("second")

        def third():
            show("third")

        def first():
            show("first")
            bus.unsubscribe("x", second)
            bus.subscribe("x", third, 90)

        bus.subscribe("x", first, 10)
        bus.subscribe("x", second, 50)
        bus.publish("x")
        show("again")
        bus.publish("x")
        bus.subscribe("down", lambda n: n and [n, *bus.publish("down", n - 1)])
        show(bus.publish("down", 3))
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_failures_are_logged_with_level_40_and_raised_after_the_last_listener(run_both: RunBoth) -> None:
    """The exception has the instances, and their reprs as its text; it is false while it is empty."""
    original, ours = run_both(
        """
        def broken():
            raise ValueError("one")

        def worse():
            raise KeyError("two")

        bus.subscribe("x", broken, 10)
        bus.subscribe("x", lambda: show("between"), 20)
        bus.subscribe("x", worse, 30)
        bus.subscribe("x", lambda: show("last"), 40)
        try:
            bus.publish("x")
        except wspbus.ChannelFailures as error:
            show(repr(str(error)), repr(error) == str(error), error.args, error.get_instances(), bool(error))
            show(error.get_instances() is error.get_instances(), error.delimiter == "\\n", isinstance(error, Exception))
        empty = wspbus.ChannelFailures()
        show(bool(empty), repr(str(empty)))
        try:
            raise LookupError("by hand")
        except LookupError:
            empty.handle_exception()
        show(bool(empty), empty)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_system_exit_of_a_listener_propagates_at_once(run_both: RunBoth) -> None:
    """After a failure the status 0 becomes 1; other statuses stay."""
    original, ours = run_both(
        """
        for before in (False, True):
            for code in (0, 1, 3, "text"):
                bus = wspbus.Bus()
                if before:
                    bus.subscribe("x", lambda: 1 / 0, 10)
                bus.subscribe("x", lambda: sys.exit(code), 20)
                bus.subscribe("x", lambda: show("never"), 30)
                try:
                    bus.publish("x")
                except SystemExit as error:
                    show(before, repr(code), repr(error.code))
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_system_exit_without_a_code_after_a_failure_has_status_1(run_both: RunBoth) -> None:
    """D2: with the original the status of the process is 0."""
    original, ours = run_both(
        """
        bus.subscribe("x", lambda: 1 / 0, 10)
        bus.subscribe("x", lambda: sys.exit(), 20)
        try:
            bus.publish("x")
        except SystemExit as error:
            show(repr(error.code))
        """,
    )

    assert diff(original, ours) == lines(
        """
        - None
        + 1
        """
    )


def test_exceptions_that_are_not_an_exception_propagate_at_once(run_both: RunBoth) -> None:
    """No later listener is called, and nothing is logged."""
    original, ours = run_both(
        """
        class Own(BaseException):
            pass

        for kind in (KeyboardInterrupt, GeneratorExit, Own):
            bus = wspbus.Bus()
            bus.subscribe("log", lambda msg, level: show(level, msg))
            def leave():
                raise kind("leaving")
            bus.subscribe("x", leave, 20)
            bus.subscribe("x", lambda: show("never"), 30)
            try:
                bus.publish("x")
            except BaseException as error:
                show(type(error).__name__, error)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_failures_of_log_listeners_are_reported_on_stderr(run_both: RunBoth) -> None:
    """D4: with the original they interrupt the code that logs."""
    original, ours = run_both(
        """
        bus = wspbus.Bus()
        def broken(msg, level):
            raise OSError("disk full")
        bus.subscribe("log", broken, 10)
        bus.subscribe("log", lambda msg, level: show(level, msg), 20)
        try:
            bus.log("first")
        except wspbus.ChannelFailures as error:
            show("log raised", error)
        bus.subscribe("x", lambda: 1 / 0, 10)
        bus.subscribe("x", lambda: show("after the failure"), 20)
        try:
            bus.publish("x")
        except wspbus.ChannelFailures as error:
            show("publish raised", error)
        """,
    )

    assert diff(original, ours) == lines(
        """
        - log raised OSError('disk full')
        - publish raised OSError('disk full')
        + after the failure
        + publish raised ZeroDivisionError('division by zero')
        + ! first 20
        + ! (__main__.broken on 'log' failed: OSError('disk full'))
        + ! Error in 'x' listener <function <lambda> at 0x0>
        + ! Traceback
        + ! ZeroDivisionError: division by zero
        + !  40
        + ! (__main__.broken on 'log' failed: OSError('disk full'))
        """
    )


def test_log_publishes_a_level_and_optionally_the_traceback(run_both: RunBoth) -> None:
    """The level is 20 by default; without a handled exception the traceback is that of None."""
    original, ours = run_both(
        """
        bus.log()
        bus.log("debug", 10)
        bus.log("warning", level=30)
        bus.log("nothing handled", traceback=True)
        try:
            1 / 0
        except ZeroDivisionError:
            bus.log("handled", level=40, traceback=True)
        bus.subscribe("log", lambda *args, **kwargs: show(args, kwargs), 90)
        bus.log("positional", level=50)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_the_decorator_returns_the_function(run_both: RunBoth) -> None:
    """D12: with the original the name is None afterwards."""
    original, ours = run_both(
        """
        @bus.subscribe("x", priority=5)
        def listener():
            return "heard"

        show(bus.publish("x"), "None" if listener is None else "the function")
        """,
    )

    assert diff(original, ours) == lines(
        """
        - ['heard'] None
        + ['heard'] the function
        """
    )


def test_listeners_added_to_the_mapping_are_called(run_both: RunBoth) -> None:
    """The original has no priority for them, and raises KeyError."""
    original, ours = run_both(
        """
        bus.listeners["x"] = set()
        show(bus.publish("x"))
        bus.listeners.setdefault("y", set()).add(lambda: "put there")
        try:
            show(bus.publish("y"))
        except KeyError as error:
            show("KeyError")
        """,
    )

    assert diff(original, ours) == lines(
        """
        - KeyError
        + ['put there']
        """
    )
