"""Start, stop and exit, and the failures in them, compared with the original."""

from __future__ import annotations

import pytest
from tests.wspbus.parity.comparison import RunBoth, diff, lines

pytestmark = pytest.mark.slow

FAILING = """
def broken():
    raise ValueError("broken")

bus.subscribe("start", lambda: show("start"), 10)
bus.subscribe("stop", lambda: show("stop"), 10)
bus.subscribe("exit", lambda: show("exit"), 10)
"""


def test_states_are_compared_by_identity_and_can_be_assigned(run_both: RunBoth) -> None:
    """They are the same objects on the bus and in the module."""
    original, ours = run_both(
        """
        show([getattr(states, name) for name in ("STOPPED", "STARTING", "STARTED", "STOPPING", "EXITING")])
        show(states is wspbus.Bus.states, bus.states is states, bus.state is states.STOPPED, bus.state.name)
        bus.state = states.STARTED
        show(bus.state, bus.state == states.STARTED, bus.state != states.STOPPED)
        bus.own_attribute = 1
        show(bus.own_attribute, bus.execv)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_each_state_is_logged_before_its_listeners_are_called(run_both: RunBoth) -> None:
    """The level is 20; every transition is possible from every state."""
    original, ours = run_both(
        """
        for channel in ("start", "stop", "exit", "graceful"):
            bus.subscribe(channel, lambda channel=channel: show(channel, bus.state))
        show(bus.stop(), bus.state)
        show(bus.start(), bus.state)
        show(bus.graceful(), bus.state)
        show(bus.stop(), bus.state)
        show(bus.exit(), bus.state)
        show("again")
        bus.start()
        bus.exit()
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_start_of_a_started_bus_publishes_start_again(run_both: RunBoth) -> None:
    """Old code depends on it."""
    original, ours = run_both(
        """
        bus.subscribe("start", lambda: show("start"))
        bus.start()
        bus.start()
        show(bus.state)
        bus.exit()
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_exit_of_an_exited_bus_publishes_stop_and_exit_again(run_both: RunBoth) -> None:
    """Old code that starts a server without the bus depends on it."""
    original, ours = run_both(
        """
        bus.subscribe("stop", lambda: show("stop"))
        bus.subscribe("exit", lambda: show("exit"))
        bus.start()
        bus.exit()
        bus.exit()
        show(bus.state)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_failed_start_with_hard_exit_ends_the_process_with_that_status(run_both: RunBoth) -> None:
    """stop and exit are published before; ours logs the error itself."""
    original, ours = run_both(
        FAILING,
        """
        bus.hard_exit = 70
        bus.subscribe("start", broken, 20)
        bus.subscribe("start", lambda: show("the rest"), 30)
        bus.start()
        show("never")
        """,
    )

    assert diff(original, ours) == lines(
        """
        - ChannelFailures: ValueError('broken')
        + ValueError: broken
        """
    )


def test_a_failed_start_is_raised_in_the_caller(run_both: RunBoth) -> None:
    """D1: the original ends the process."""
    original, ours = run_both(
        FAILING,
        """
        bus.subscribe("start", broken, 20)
        try:
            bus.start()
        except wspbus.ChannelFailures as error:
            show("raised", error, bus.state)
        """,
    )

    assert diff(original, ours) == lines(
        """
        - ChannelFailures: ValueError('broken')
        + ValueError: broken
        + raised ValueError('broken') states.EXITING
        - status 70
        + status 0
        """
    )


def test_system_exit_of_a_start_listener_keeps_its_status(run_both: RunBoth) -> None:
    """D2: the original replaces it by 70."""
    original, ours = run_both(
        FAILING,
        """
        bus.subscribe("start", lambda: sys.exit(3), 20)
        bus.subscribe("start", lambda: show("never"), 30)
        bus.start()
        """,
    )

    assert diff(original, ours) == lines(
        """
        - ! RuntimeWarning: The main thread is exiting, but the Bus is in the states.STARTING state; shutting it down automatically now. You must either call bus.block() after start(), or call bus.exit() before the main thread exits.
        - status 70
        + status 3
        """
    )


def test_a_failed_stop_in_an_exit_with_hard_exit_still_publishes_exit(run_both: RunBoth) -> None:
    """D3: the original does not call the listeners of exit."""
    original, ours = run_both(
        FAILING,
        """
        bus.hard_exit = 70
        bus.subscribe("stop", broken, 20)
        bus.subscribe("stop", lambda: show("stop, too"), 30)
        bus.start()
        bus.exit()
        show("never")
        """,
    )

    assert diff(original, ours) == lines(
        """
        + 20 Bus STOPPED
        + 20 Bus EXITING
        + exit
        + 20 Bus EXITED
        """
    )


def test_a_failed_stop_in_an_exit_is_raised_in_the_caller(run_both: RunBoth) -> None:
    """D3: the original ends the process, without flushing its output."""
    original, ours = run_both(
        FAILING,
        """
        bus.subscribe("stop", broken, 20)
        bus.start()
        try:
            bus.exit()
        except wspbus.ChannelFailures as error:
            show("raised", error, bus.state)
        """,
    )

    assert diff(original, ours) == lines(
        """
        + 20 Bus STOPPED
        + 20 Bus EXITING
        + exit
        + 20 Bus EXITED
        + raised ValueError('broken') states.EXITING
        - status 70
        + status 0
        """
    )


def test_a_failed_exit_with_hard_exit_calls_the_other_listeners_before(run_both: RunBoth) -> None:
    """D3: ours logs the end of the exit as well."""
    original, ours = run_both(
        FAILING,
        """
        bus.hard_exit = 70
        bus.subscribe("exit", broken, 20)
        bus.subscribe("exit", lambda: show("exit, too"), 30)
        bus.start()
        bus.exit()
        show("never")
        """,
    )

    assert diff(original, ours) == lines(
        """
        + 20 Bus EXITED
        """
    )


def test_a_failed_stop_is_raised_and_the_bus_can_exit(run_both: RunBoth) -> None:
    """D3: the original stays STOPPING."""
    original, ours = run_both(
        FAILING,
        """
        bus.subscribe("stop", broken, 20)
        bus.subscribe("stop", lambda: show("stop, too"), 30)
        bus.start()
        try:
            bus.stop()
        except wspbus.ChannelFailures as error:
            show("raised", error)
        bus.unsubscribe("stop", broken)
        bus.exit()
        show(bus.state)
        """,
    )

    assert diff(original, ours) == lines(
        """
        + 20 Bus STOPPED
        """
    )


def test_an_exit_during_a_start_with_hard_exit_ends_the_process(run_both: RunBoth) -> None:
    """stop and exit are published before."""
    original, ours = run_both(
        FAILING,
        """
        bus.hard_exit = 70
        bus.subscribe("start", lambda: bus.exit(), 20)
        bus.start()
        show("never")
        """,
    )

    assert original.endswith("status 70\n")
    assert ours == original


def test_system_exit_of_a_stop_listener_keeps_its_status(run_both: RunBoth) -> None:
    """D3: the original does not publish exit."""
    original, ours = run_both(
        FAILING,
        """
        bus.subscribe("stop", lambda: sys.exit(5), 20)
        bus.start()
        try:
            bus.exit()
        except SystemExit as error:
            show("code", error.code)
        bus.state = states.EXITING
        """,
    )

    assert diff(original, ours) == lines(
        """
        + 20 Bus STOPPED
        + 20 Bus EXITING
        + exit
        + 20 Bus EXITED
        """
    )
