"""Signals as channels, compared with the original."""

from __future__ import annotations

import pytest
from tests.wspbus.parity.comparison import RunBoth, diff, lines

pytestmark = pytest.mark.slow

SIGNALS = """
before = signal.getsignal(signal.SIGTERM)
handler = plugins.SignalHandler(bus)
handler.subscribe()
"""


def test_signal_handlers_are_set_and_restored(run_both: RunBoth) -> None:
    """Both are logged, with the previous handler."""
    original, ours = run_both(
        """
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        handler = plugins.SignalHandler(bus)
        show(sorted(handler.handlers), handler.signals[signal.SIGTERM])
        handler.subscribe()
        show(signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL, sorted(name for name in bus.listeners if name.startswith("SIG")))
        handler.unsubscribe()
        show([signal.getsignal(getattr(signal, name)) for name in ("SIGTERM", "SIGHUP", "SIGUSR1")])
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_signal_handlers_subscribed_twice_are_restored(run_both: RunBoth) -> None:
    """D16: the original restores its own handler."""
    original, ours = run_both(
        """
        handler = plugins.SignalHandler(bus)
        handler.subscribe()
        handler.subscribe()
        handler.unsubscribe()
        show("as before", signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
        """,
    )

    assert diff(original, ours) == lines(
        """
        - 20 Restoring SIGTERM handler <bound method SignalHandler._handle_signal of <SignalHandler object at 0x0>>.
        - 20 Restoring SIGHUP handler <bound method SignalHandler._handle_signal of <SignalHandler object at 0x0>>.
        - 20 Restoring SIGUSR1 handler <bound method SignalHandler._handle_signal of <SignalHandler object at 0x0>>.
        + 20 Restoring SIGTERM handler <Handlers.SIG_DFL: 0>.
        + 20 Restoring SIGHUP handler <Handlers.SIG_DFL: 0>.
        + 20 Restoring SIGUSR1 handler <Handlers.SIG_DFL: 0>.
        - as before False
        + as before True
        """
    )


def test_a_signal_publishes_on_the_channel_of_its_name(run_both: RunBoth) -> None:
    """It is given by name or number; an unknown signal is refused."""
    original, ours = run_both(
        """
        handler = plugins.SignalHandler(bus)
        handler.set_handler("SIGUSR2", lambda: (show("USR2"), bus.exit()))
        handler.set_handler(signal.SIGWINCH)
        for unknown in ("SIGNONE", 12345):
            try:
                handler.set_handler(unknown)
            except ValueError as error:
                show(error)
        bus.start()
        os.kill(os.getpid(), signal.SIGUSR2)
        bus.block()
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_sigterm_exits_the_bus_with_status_0(run_both: RunBoth) -> None:
    """The signal is logged first."""
    original, ours = run_both(
        SIGNALS,
        """
        bus.start()
        os.kill(os.getpid(), signal.SIGTERM)
        bus.block()
        show(bus.state)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_sigusr1_publishes_graceful_and_sighup_exits_a_process_with_a_terminal(run_both: RunBoth) -> None:
    """Each signal is logged."""
    original, ours = run_both(
        SIGNALS,
        """
        bus.subscribe("graceful", lambda: show("graceful"))
        bus.start()
        bus.subscribe("main", lambda: os.kill(os.getpid(), signal.SIGUSR1))
        bus.subscribe("graceful", lambda: (bus.listeners["main"].clear(), os.kill(os.getpid(), signal.SIGHUP)), 90)
        bus.block(0.01)
        show(bus.state)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_signal_handlers_set_outside_the_main_thread_are_refused_with_a_warning(run_both: RunBoth) -> None:
    """D15: the original logs nothing."""
    original, ours = run_both(
        """
        handler = plugins.SignalHandler(bus)
        thread = threading.Thread(target=handler.subscribe)
        threading.excepthook = lambda args: show(type(args.exc_value).__name__)
        thread.start()
        thread.join()
        show(signal.getsignal(signal.SIGTERM))
        """,
    )

    assert diff(original, ours) == lines(
        """
        + 30 No signals are handled: thread 'Thread-1 (subscribe)' is not the main thread.
        """
    )


def test_a_failing_listener_of_a_signal_is_logged(run_both: RunBoth) -> None:
    """D14: with the original the process ends with 1 and nothing is stopped."""
    original, ours = run_both(
        SIGNALS,
        """
        def broken():
            raise ValueError("broken")

        bus.subscribe("graceful", broken)
        bus.start()
        ticks = []

        def tick():
            ticks.append(1)
            if len(ticks) == 1:
                os.kill(os.getpid(), signal.SIGUSR1)
            elif len(ticks) == 10:
                bus.exit()

        bus.subscribe("main", tick)
        try:
            bus.block(0.01)
            show("block returned", bus.state)
        except wspbus.ChannelFailures as error:
            show("block raised", error, bus.state)
        if bus.state is not wspbus.states.EXITING:
            bus.exit()
        """,
    )

    assert diff(original, ours) == lines(
        """
        - 40 Error in 'main' listener <function tick at 0x0>
        + 40 SIGUSR1, which was requested, failed:
        - block raised ValueError('broken') states.STARTED
        + 20 Waiting for child threads to terminate...
        + block returned states.EXITING
        """
    )
