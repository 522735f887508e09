"""Monitors, background tasks, timers and the reloader, compared with the original."""

from __future__ import annotations

import pytest
from tests.wspbus.parity.comparison import RunBoth, diff, lines

pytestmark = pytest.mark.slow

CHANGE = """
path = os.path.dirname(os.path.abspath(__file__)) + "/watched"
with open(path, "w") as file:
    file.write("before")
reloader = plugins.Autoreloader(bus, frequency=0.05, match="nothing")
reloader.files.add(path)
reloader.subscribe()
os.execv = lambda path, args: show("execv")
bus.start()
while reloader.mtimes.get(path) is None:
    pass

def block_and(change):
    def tick():
        bus.listeners["main"].clear()
        thread = reloader.thread
        change()
        # Wait for it: the original logs the end of the exit before or after the lines of the main thread.
        thread.join()

    bus.subscribe("main", tick)
    bus.block(0.01)
"""


def test_a_monitor_calls_its_function_in_a_daemon_thread_of_its_own(run_both: RunBoth) -> None:
    """Start and stop are logged, also if the thread already runs or does not run."""
    original, ours = run_both(
        """
        called = threading.Event()
        threads = []

        def callback():
            threads.append(threading.current_thread())
            called.set()

        monitor = plugins.Monitor(bus, callback, 0.01, name="watch")
        monitor.subscribe()
        bus.start()
        called.wait(10)
        show(threads[0].name, threads[0].daemon, monitor.thread is threads[0], monitor.frequency, monitor.callback is callback)
        bus.start()
        bus.graceful()
        show(monitor.thread is threads[0])
        bus.stop()
        show(monitor.thread)
        bus.exit()
        plugins.Monitor(bus, callback, 0).start()
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_stopped_monitor_has_no_thread(run_both: RunBoth) -> None:
    """D23: with the original the thread lives until its interval has passed."""
    original, ours = run_both(
        """
        monitor = plugins.Monitor(bus, lambda: None, 60)
        monitor.subscribe()
        bus.start()
        thread = monitor.thread
        bus.stop()
        thread.join(1)
        show("alive", thread.is_alive())
        bus.exit()
        """,
    )

    assert diff(original, ours) == lines(
        """
        - alive True
        + alive False
        - 20 No thread running for None.
        + 20 No thread running for Monitor.
        """
    )


def test_a_monitor_restarted_by_its_own_function_has_one_thread(run_both: RunBoth) -> None:
    """D23: with the original the old thread continues beside the new one."""
    original, ours = run_both(
        """
        started, done = threading.Event(), threading.Event()
        calling = []

        def callback():
            # The restart must not be logged before the start of the bus.
            started.wait(10)
            calling.append(threading.current_thread())
            if len(calling) == 1:
                bus.graceful()
            elif calling.count(calling[0]) > 1 or len(calling) > 20:
                done.set()

        plugins.Monitor(bus, callback, 0.01, name="watch").subscribe()
        bus.start()
        started.set()
        done.wait(10)
        show("the first thread continues", calling.count(calling[0]) > 1)
        bus.exit()
        """,
    )

    assert diff(original, ours) == lines(
        """
        - the first thread continues True
        + the first thread continues False
        """
    )


def test_failures_of_a_monitor_are_logged_with_level_40(run_both: RunBoth) -> None:
    """The message has the function and the traceback."""
    original, ours = run_both(
        """
        started, failed = threading.Event(), threading.Event()
        threading.excepthook = lambda args: None

        def callback():
            # The failure must not be logged before the start of the bus.
            started.wait(10)
            if not failed.is_set():
                raise ValueError("broken")

        bus.subscribe("log", lambda msg, level: failed.set() if level == 40 else None, 90)
        plugins.Monitor(bus, callback, 0.01, name="watch").subscribe()
        bus.start()
        started.set()
        failed.wait(10)
        bus.exit()
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_monitor_continues_after_a_failure(run_both: RunBoth) -> None:
    """D23: with the original its thread ends."""
    original, ours = run_both(
        """
        started, again = threading.Event(), threading.Event()
        threading.excepthook = lambda args: None
        calls = []

        def callback():
            started.wait()
            calls.append(1)
            if len(calls) == 1:
                raise ValueError("broken")
            again.set()

        monitor = plugins.Monitor(bus, callback, 0.01, name="watch")
        monitor.subscribe()
        bus.start()
        started.set()
        while not again.wait(0.05) and any(thread.name == "watch" for thread in threading.enumerate()):
            pass
        show("called again", again.is_set())
        bus.exit()
        """,
    )

    assert diff(original, ours) == lines(
        """
        - called again False
        + called again True
        """
    )


def test_a_background_task_is_a_daemon_that_sleeps_first(run_both: RunBoth) -> None:
    """It calls the function with its arguments until it is cancelled."""
    original, ours = run_both(
        """
        called = threading.Event()

        def callback(*args, **kwargs):
            if not called.is_set():
                show(args, kwargs)
            called.set()

        task = plugins.BackgroundTask(0.01, callback, [1], {"two": 2}, bus=bus)
        show(task.daemon, task.running, task.interval)
        task.start()
        called.wait(10)
        task.cancel()
        task.join(10)
        show(task.is_alive(), task.running)
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_a_background_task_cancelled_before_its_start_does_not_run(run_both: RunBoth) -> None:
    """D23: with the original it runs."""
    original, ours = run_both(
        """
        called = threading.Event()
        task = plugins.BackgroundTask(0.01, called.set)
        task.cancel()
        task.start()
        while not called.wait(0.05) and task.is_alive():
            pass
        show("called", called.is_set())
        task.cancel()
        """,
    )

    assert diff(original, ours) == lines(
        """
        - called True
        + called False
        """
    )


def test_a_perpetual_timer_repeats_until_it_is_cancelled(run_both: RunBoth) -> None:
    """It is not a daemon, and ends at once."""
    original, ours = run_both(
        """
        import warnings
        warnings.simplefilter("ignore")
        called = threading.Semaphore(0)
        timer = plugins.PerpetualTimer(0.01, called.release, bus=bus)
        show(timer.daemon, isinstance(timer, threading.Timer))
        timer.start()
        show([called.acquire(timeout=10) for _ in range(3)])
        timer.cancel()
        timer.join(10)
        show(timer.is_alive())
        long = plugins.PerpetualTimer(3600, called.release)
        long.start()
        long.cancel()
        long.join(10)
        show(long.is_alive())
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_the_reloader_watches_the_files_of_modules_whose_names_match(run_both: RunBoth) -> None:
    """match applies to the beginning of the name of a module."""
    original, ours = run_both(
        """
        import json.decoder
        reloader = plugins.Autoreloader(bus)
        show(reloader.frequency, reloader.match, reloader.files, reloader.mtimes)
        show(json.decoder.__file__ in reloader.sysfiles(), json.__file__ in reloader.sysfiles())
        reloader.match = r"json\\.dec"
        show([os.path.basename(path) for path in sorted(reloader.sysfiles())])
        reloader.match = r"decoder"
        show(reloader.sysfiles())
        reloader.match = r"^(?!json).+"
        show(json.decoder.__file__ in reloader.sysfiles(), os.__file__ in reloader.sysfiles())
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_the_reloader_restarts_when_a_file_has_changed(run_both: RunBoth) -> None:
    """It logs the path of the file."""
    original, ours = run_both(
        CHANGE,
        """
        block_and(lambda: os.utime(path, (2_000_000_000, 2_000_000_000)))
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_the_reloader_restarts_when_a_file_is_removed(run_both: RunBoth) -> None:
    """It logs the path of the file."""
    original, ours = run_both(
        CHANGE,
        """
        block_and(lambda: os.remove(path))
        """,
    )

    assert original.endswith("status 0\n")
    assert ours == original


def test_the_reloader_restarts_when_a_file_becomes_older(run_both: RunBoth) -> None:
    """D25: the original does not notice a file that is restored from a backup."""
    original, ours = run_both(
        CHANGE,
        """
        timer = threading.Timer(3, bus.exit)
        timer.daemon = True
        timer.start()
        block_and(lambda: os.utime(path, (1_000_000_000, 1_000_000_000)))
        show(bus.execv)
        """,
    )

    assert diff(original, ours) == lines(
        """
        + 20 Restarting because HERE/watched changed.
        + 20 Stopped thread 'Autoreloader'.
        - 20 Stopped thread 'Autoreloader'.
        + 20 Re-spawning PYTHON script.py
        + execv
        """
    )
