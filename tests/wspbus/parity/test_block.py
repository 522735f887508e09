"""Blocking, threads and the end of the interpreter, compared with the original."""

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


def test_system_exit_of_a_main_listener_exits_the_bus_and_keeps_its_status(run_both: RunBoth) -> None:
    """It is raised after the exit; ours waits for the threads in this case, too."""
    original, ours = run_both(
        FAILING,
        """
        bus.subscribe("main", lambda: sys.exit(4))
        bus.start()
        try:
            bus.block(interval=0.01)
        finally:
            show(bus.state)
        """,
    )

    assert diff(original, ours) == lines(
        """
        + 20 Waiting for child threads to terminate...
        """
    )


def test_keyboard_interrupt_of_a_main_listener_exits_the_bus_with_status_0(run_both: RunBoth) -> None:
    """It is logged, the bus exits, and block returns."""
    original, ours = run_both(
        FAILING,
        """
        def interrupt():
            raise KeyboardInterrupt

        bus.subscribe("main", interrupt)
        bus.start()
        show(bus.block(interval=0.01), bus.state)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_sigint_during_block_exits_the_bus_with_status_0(run_both: RunBoth) -> None:
    """The signal arrives while the main thread waits."""
    original, ours = run_both(
        FAILING,
        """
        blocking = threading.Event()

        def interrupt():
            blocking.wait()
            threading.Event().wait(0.05)  # in the middle of the wait between two ticks
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()
        bus.subscribe("main", blocking.set)
        bus.start()
        show(bus.block(), bus.state)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_failing_main_listener_exits_the_bus(run_both: RunBoth) -> None:
    """D14: with the original, block raises while the bus is STARTED."""
    original, ours = run_both(
        FAILING,
        """
        bus.subscribe("main", broken)
        bus.start()
        try:
            bus.block(interval=0.01)
        except wspbus.ChannelFailures as error:
            show("raised", error, bus.state)
        if bus.state is not wspbus.states.EXITING:
            bus.exit()
        """,
    )

    assert diff(original, ours) == lines(
        """
        - raised ValueError('broken') states.STARTED
        + 20 Waiting for child threads to terminate...
        + raised ValueError('broken') states.EXITING
        """
    )


def test_block_waits_for_threads_that_are_not_daemons(run_both: RunBoth) -> None:
    """It logs the name of each, in the order in which they began."""
    original, ours = run_both(
        """
        def wait(event):
            event.wait()

        running = threading.Event()
        for name in ("one", "two"):
            threading.Thread(target=wait, args=(running,), name=name).start()
        threading.Thread(target=wait, args=(threading.Event(),), name="daemon", daemon=True).start()
        bus.subscribe("log", lambda msg, level: running.set() if "thread one" in msg else None, 90)
        bus.start()
        bus.exit()
        bus.block()
        show(sorted(thread.name for thread in threading.enumerate()))
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_start_with_callback_calls_the_function_after_the_start(run_both: RunBoth) -> None:
    """It is called with its arguments, in a named thread of its own."""
    original, ours = run_both(
        """
        bus.subscribe("start", lambda: show("start"))
        thread = bus.start_with_callback(lambda *args, **kwargs: show(args, kwargs, bus.state), (1, 2), {"three": 3})
        thread.join()
        show(thread.name.partition("Thread")[0], thread.daemon)
        bus.exit()
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_started_bus_exits_at_the_end_of_the_interpreter(run_both: RunBoth) -> None:
    """A warning is issued, and the status of the process stays."""
    original, ours = run_both(
        FAILING,
        """
        bus.start()
        sys.exit(6)
        """,
    )

    assert original.endswith("status 6\n")
    assert ours == original


def test_an_exited_bus_does_not_exit_again_at_the_end_of_the_interpreter(run_both: RunBoth) -> None:
    """Neither does a bus that has never been started."""
    original, ours = run_both(
        FAILING,
        """
        other = wspbus.Bus()
        bus.start()
        bus.exit()
        show("end")
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_stopped_bus_exits_once_at_the_end_of_the_interpreter(run_both: RunBoth) -> None:
    """Even if it has been started several times."""
    original, ours = run_both(
        FAILING,
        """
        for _ in range(3):
            bus.start()
            bus.stop()
        show("end")
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original
