"""Thread numbers, simple plugins and server adapters, compared with the original."""

from __future__ import annotations

import pytest
from tests.wspbus.parity.comparison import RunBoth, diff, lines

pytestmark = pytest.mark.slow

SERVER = """
class Server:
    ready = False
    error = None

    def __init__(self):
        self.running = threading.Event()

    def start(self):
        self.running.clear()
        show("server starts in", threading.current_thread().name.partition("Thread")[0], threading.current_thread().daemon)
        if self.error is not None:
            raise self.error
        self.ready = True
        self.running.wait(10)
        show("server ends")

    def stop(self):
        show("server stops")
        self.ready = False
        self.running.set()
        while any(thread.name.startswith("HTTPServer") for thread in threading.enumerate()):
            pass

    def __str__(self):
        return "Server()"

server = Server()
adapter = servers.ServerAdapter(bus, server, "/no/socket")
adapter.subscribe()
"""


def test_threads_are_numbered_when_they_are_acquired(run_both: RunBoth) -> None:
    """Each thread is published once to start_thread, and its end with the same number to stop_thread."""
    original, ours = run_both(
        """
        manager = plugins.ThreadManager(bus)
        manager.subscribe()
        show(sorted(bus.listeners))
        bus.subscribe("start_thread", lambda i: show("start_thread", i))
        bus.subscribe("stop_thread", lambda i: show("stop_thread", i))
        bus.start()
        bus.publish("acquire_thread")
        bus.publish("acquire_thread")
        show(list(manager.threads.values()))
        bus.publish("release_thread")
        bus.publish("release_thread")
        bus.publish("acquire_thread")
        bus.graceful()
        show(manager.threads)
        bus.exit()
        """,
    )

    assert diff(original, ours) == lines(
        """
        - start_thread 1
        + start_thread 2
        - stop_thread 1
        + stop_thread 2
        """
    )


def test_threads_that_exist_at_the_same_time_have_different_numbers(run_both: RunBoth) -> None:
    """D24: with the original two of them have the same number."""
    original, ours = run_both(
        """
        manager = plugins.ThreadManager(bus)
        manager.subscribe()
        steps = {name: threading.Event() for name in ("one", "two", "three", "end")}

        def request(name):
            bus.publish("acquire_thread")
            steps[name].set()
            steps["end" if name != "one" else "two"].wait(10)
            if name == "one":
                bus.publish("release_thread")

        threads = {name: threading.Thread(target=request, args=(name,)) for name in ("one", "two", "three")}
        threads["one"].start()
        steps["one"].wait(10)
        threads["two"].start()
        threads["one"].join(10)
        threads["three"].start()
        steps["three"].wait(10)
        show("all different", len(set(manager.threads.values())) == len(manager.threads))
        steps["end"].set()
        """,
    )

    assert diff(original, ours) == lines(
        """
        - all different False
        + all different True
        """
    )


def test_a_simple_plugin_subscribes_its_methods_to_the_existing_channels(run_both: RunBoth) -> None:
    """A method named after a channel that is created later is not subscribed."""
    original, ours = run_both(
        """
        class Part(plugins.SimplePlugin):
            stop = None

            def start(self):
                show("part starts", self.bus is bus)
            start.priority = 10

            def later(self):
                show("later")

        part = Part(bus)
        part.subscribe()
        bus.subscribe("later", lambda: None)
        bus.start()
        show(bus.publish("later"))
        part.unsubscribe()
        bus.start()
        bus.exit()
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_server_is_started_in_a_thread_and_stopped(run_both: RunBoth) -> None:
    """Its address and its end are logged, and calls that have no effect."""
    original, ours = run_both(
        SERVER,
        """
        show(adapter.running, adapter.interrupt)
        bus.subscribe("start", lambda: show("before the server"), 74)
        bus.subscribe("start", lambda: show("after the server", adapter.running), 76)
        bus.start()
        adapter.start()
        bus.stop()
        bus.stop()
        adapter.restart()
        adapter.unsubscribe()
        adapter.stop()
        bus.exit()
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_an_adapter_without_a_server_is_refused_at_the_start(run_both: RunBoth) -> None:
    """It raises ValueError."""
    original, ours = run_both(
        """
        adapter = servers.ServerAdapter(bus)
        try:
            adapter.start()
        except ValueError as error:
            show(error)
        show(adapter.description)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_server_that_fails_while_it_serves_exits_the_bus(run_both: RunBoth) -> None:
    """The original leaves the error to the thread; with ours block raises it."""
    original, ours = run_both(
        SERVER,
        """
        threading.excepthook = lambda args: show("in the thread", type(args.exc_value).__name__)
        def fail():
            server.ready = True
            failing.wait(10)
            raise OSError("gone")
        failing = threading.Event()
        server.start = fail
        server.stop = lambda: show("server stops")
        bus.start()
        failing.set()
        for thread in threading.enumerate():
            if thread.name.startswith("HTTPServer"):
                thread.join()
        bus.block()
        show(bus.state)
        """,
    )

    assert diff(original, ours) == lines(
        """
        + 40 the bus exits because of an error:
        + Traceback
        + OSError: gone
        - in the thread OSError
        - states.EXITING
        + ! Traceback
        + ! OSError: gone
        - status 0
        + status 1
        """
    )


def test_a_server_that_cannot_start_fails_the_start(run_both: RunBoth) -> None:
    """D1: the original ends the process."""
    original, ours = run_both(
        SERVER,
        """
        threading.excepthook = lambda args: None
        # The original exits in two threads at once.
        bus.listeners["log"].clear()
        server.error = OSError("address in use")
        try:
            bus.start()
        except (wspbus.ChannelFailures, OSError) as error:
            show("raised", error)
        bus.state = states.EXITING
        """,
    )

    assert diff(original, ours) == lines(
        """
        + raised OSError('address in use')
        - status 70
        + status 0
        """
    )
