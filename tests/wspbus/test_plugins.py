"""The plugins of `typedbus.wspbus.plugins`."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from tests.doubles import ThreadCall

from typedbus import Channel
from typedbus.plugins.pidfile import AlreadyRunning
from typedbus.plugins.threads import THREAD_STARTED
from typedbus.wspbus import Bus, ChannelFailures, plugins, states

only_unix = pytest.mark.skipif(sys.platform == "win32", reason="needs signals and locks of Unix")


class TestSimplePlugin:
    """Methods with the names of channels."""

    def test_methods_listen_to_the_channels_of_their_names(self, bus: Bus) -> None:
        """Typed channels that the bus has used are included; `unsubscribe` ends the subscriptions."""
        order = Channel[[int], None]("order")
        calls: list[object] = []

        class Plugin(plugins.SimplePlugin):
            def start(self) -> None:
                calls.append("start")

            def order(self, number: int) -> None:
                calls.append(number)

        bus[order].publish(0)
        plugin = Plugin(bus)
        plugin.subscribe()
        bus.start()
        bus[order].publish(7)
        plugin.unsubscribe()
        bus.start()
        bus[order].publish(8)
        assert calls == ["start", 7]

    def test_the_attributes_of_an_instance_exist_on_its_class(self) -> None:
        """Old code reads them before, or without, `__init__`, and declares them in subclasses."""
        for plugin in (plugins.SimplePlugin, plugins.Monitor, plugins.Autoreloader, plugins.PIDFile):
            assert plugin.bus is None
        assert plugins.Monitor.callback is None
        assert plugins.Monitor.thread is None
        assert plugins.Autoreloader.files is None

    def test_each_plugin_has_the_priority_of_the_original(self) -> None:
        """Old code depends on the order."""
        starts: list[Any] = [
            plugins.Daemonizer.start,
            plugins.PIDFile.start,
            plugins.Monitor.start,
            plugins.Autoreloader.start,
            plugins.DropPrivileges.start,
        ]
        assert [start.priority for start in starts] == [65, 70, 70, 70, 77]


class TestMonitor:
    """Periodic function calls."""

    def test_a_monitor_calls_its_function_between_start_and_stop(self, bus: Bus, lines: list[str]) -> None:
        """In a named daemon thread, which ends at the stop."""
        calls: SimpleQueue[threading.Thread] = SimpleQueue()
        monitor = plugins.Monitor(bus, lambda: calls.put(threading.current_thread()), 0.001, "check")
        monitor.subscribe()
        bus.start()
        thread = calls.get()
        monitor.start()
        bus.stop()
        thread.join()
        assert (thread.name, thread.daemon) == ("check", True)
        assert "20 Started monitor thread 'check'." in lines
        assert "20 Monitor thread 'check' already started." in lines
        assert "20 Stopped thread 'check'." in lines

    def test_a_stop_wakes_a_sleeping_thread(self, bus: Bus) -> None:
        """The original kept the thread until its interval had passed."""
        monitor = plugins.Monitor(bus, bus.graceful, 3600)
        monitor.start()
        thread = monitor.thread
        assert thread is not None
        monitor.stop()
        thread.join()
        assert monitor.thread is None

    def test_a_failure_is_logged_and_the_calls_continue(self, bus: Bus, lines: list[str]) -> None:
        """The original ended the thread."""
        calls: SimpleQueue[None] = SimpleQueue()

        def check() -> None:
            calls.put(None)
            raise ValueError

        monitor = plugins.Monitor(bus, check, 0.001)
        monitor.start()
        for _ in range(3):
            calls.get()
        monitor.stop()
        assert lines.count(f"40 Error in background task thread function {check!r}.") >= 2

    def test_graceful_from_the_thread_of_the_monitor_leaves_one_thread(self, bus: Bus) -> None:
        """The original left two."""
        threads: SimpleQueue[threading.Thread] = SimpleQueue()

        def check() -> None:
            threads.put(threading.current_thread())
            monitor.graceful()

        monitor = plugins.Monitor(bus, check, 0.001)
        monitor.start()
        first, second = threads.get(), threads.get()
        first.join()
        monitor.stop()
        second.join()
        assert first is not second

    def test_a_stop_without_a_thread_is_logged(self, bus: Bus, lines: list[str]) -> None:
        """A frequency of 0 starts no thread."""
        monitor = plugins.Monitor(bus, bus.graceful, 0)
        monitor.start()
        monitor.stop()
        assert lines == ["20 No thread running for Monitor."]

    def test_a_stop_joins_a_thread_that_is_not_a_daemon(self, bus: Bus, lines: list[str]) -> None:
        """The wait is logged."""
        monitor = plugins.Monitor(bus, bus.graceful, 3600)
        task = monitor.thread = plugins.BackgroundTask(3600, bus.graceful)
        task.daemon = False
        task.name = "mine"
        task.start()
        monitor.stop()
        assert not task.is_alive()
        assert lines == ["20 Joining 'mine'", "20 Stopped thread 'mine'."]

    def test_a_task_cancelled_before_its_start_calls_nothing(self) -> None:
        """The original called its function."""
        calls: list[int] = []
        task = plugins.BackgroundTask(0, calls.append, [1])
        task.cancel()
        task.start()
        task.join()
        assert (calls, task.running) == ([], False)

    def test_running_is_true_from_the_start_of_a_task_until_it_is_cancelled(self) -> None:
        """It is false before."""
        running: SimpleQueue[bool] = SimpleQueue()
        task = plugins.BackgroundTask(0.001, lambda: running.put(task.running))
        assert not task.running
        task.start()
        assert running.get()
        task.cancel()
        assert not task.running
        task.join()

    def test_a_timer_ends_at_its_first_failure(self, bus: Bus, lines: list[str]) -> None:
        """The failure is logged, and raised in the thread."""
        raised: list[object] = []

        def check() -> None:
            raise ValueError

        timer = plugins.PerpetualTimer(0.001, check, bus=bus)
        before, threading.excepthook = threading.excepthook, lambda details: raised.append(details.exc_type)
        try:
            timer.start()
            timer.join()
        finally:
            threading.excepthook = before
        assert raised == [ValueError]
        assert lines == [f"40 Error in perpetual timer thread function {check!r}."]


class TestAutoreloader:
    """Restarts when a file has changed."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        """Return a file to watch."""
        file = tmp_path / "site.conf"
        file.write_text("a = 1\n")
        return file

    @pytest.fixture
    def restarts(self, bus: Bus) -> list[str]:
        """Return the log messages about restarts, which are exits here."""
        restarts: list[str] = []

        def log(message: str, level: int) -> None:
            if message.startswith("Rest"):
                restarts.append(message)

        bus.subscribe("log", log)
        return restarts

    @pytest.fixture
    def reloader(self, bus: Bus, file: Path) -> plugins.Autoreloader:
        """Return a reloader that has checked the file once."""
        reloader = plugins.Autoreloader(bus, match="^$")
        reloader.files.add(str(file))
        reloader.run()
        return reloader

    def test_unchanged_files_cause_no_restart(self, bus: Bus, reloader: plugins.Autoreloader, file: Path) -> None:
        """Their modification times are recorded."""
        reloader.run()
        assert not bus.execv
        assert reloader.mtimes == {str(file): file.stat().st_mtime}

    @pytest.mark.parametrize("change", ["later", "earlier", "size", "inode", "gone"])
    def test_any_change_of_a_file_causes_a_restart(
        self, bus: Bus, reloader: plugins.Autoreloader, file: Path, restarts: list[str], change: str
    ) -> None:
        """An older time, another size, and another file of the same time and size count as well."""
        time, second = file.stat().st_mtime_ns, 10**9
        if change == "gone":
            file.unlink()
        elif change == "size":
            file.write_text("a = 12\n")
            os.utime(file, ns=(time, time))
        elif change == "inode":
            # The old file exists until the new one takes its place, so the inodes differ.
            other = file.with_name("new")
            other.write_text("b = 2\n")
            os.utime(other, ns=(time, time))
            other.replace(file)
        else:
            os.utime(file, ns=(time, time + (second if change == "later" else -second)))
        reloader.run()
        assert bus.execv
        assert bus.state is states.EXITING
        assert restarts == [f"Restarting because {file} changed."]
        bus.execv = False

    def test_several_changes_cause_one_restart_and_end_the_thread(
        self, bus: Bus, reloader: plugins.Autoreloader, restarts: list[str], lines: list[str], tmp_path: Path
    ) -> None:
        """The thread has ended when the process is replaced."""
        (tmp_path / "another.conf").touch()
        reloader.files.add(str(tmp_path / "another.conf"))
        reloader.frequency = 3600
        reloader.start()
        thread = reloader.thread
        assert thread is not None
        reloader.run()
        for file in reloader.files:
            os.utime(file, (1, 1))
        reloader.run()
        thread.join()
        assert len(restarts) == 1
        assert lines[2] == "20 Stopped thread 'Autoreloader'."
        bus.execv = False

    def test_a_new_file_causes_a_restart(self, bus: Bus, reloader: plugins.Autoreloader, tmp_path: Path) -> None:
        """The original did not check a missing file again."""
        late = tmp_path / "late.conf"
        reloader.files.add(str(late))
        reloader.run()
        assert not bus.execv
        late.touch()
        reloader.run()
        assert bus.execv

    def test_match_selects_modules_by_the_beginning_of_their_names(self, bus: Bus) -> None:
        """Files of other modules are not checked."""
        reloader = plugins.Autoreloader(bus, match="typedbus.wspbus.plugins")
        names = {Path(file).name for file in reloader.sysfiles()}
        assert {"_reloading.py", "_tasks.py"} <= names
        assert "_bus.py" not in names

    def test_a_module_without_a_file_is_not_checked(self) -> None:
        """The attribute may be missing, or None."""

        class Module:
            __file__ = None

        assert plugins.Autoreloader._file_for_module(Module) is None
        assert plugins.Autoreloader._file_for_module(sys) is None

    def test_a_start_forgets_earlier_changes(self, bus: Bus, reloader: plugins.Autoreloader, file: Path) -> None:
        """Only changes after the start cause a restart."""
        os.utime(file, (1, 1))
        reloader.frequency = 3600
        reloader.start()
        assert reloader.thread is not None
        assert reloader.mtimes == {}
        reloader.run()
        reloader.stop()
        assert not bus.execv

    def test_the_file_of_a_module_in_an_archive_is_the_archive(self, bus: Bus, tmp_path: Path) -> None:
        """A new release replaces the archive."""
        with zipfile.ZipFile(tmp_path / "packed.zip", "w") as packed:
            packed.writestr("packed_module_of_a_test.py", "")
        sys.path.insert(0, str(tmp_path / "packed.zip"))
        try:
            importlib.import_module("packed_module_of_a_test")
            reloader = plugins.Autoreloader(bus, match="packed_module_of_a_test")
            assert reloader.sysfiles() == {str(tmp_path / "packed.zip")}
        finally:
            sys.modules.pop("packed_module_of_a_test", None)
            sys.path.remove(str(tmp_path / "packed.zip"))


class TestThreadManager:
    """Numbers for threads."""

    @pytest.fixture
    def events(self, bus: Bus) -> list[tuple[str, int]]:
        """Return the publishes about threads, with their numbers."""
        events: list[tuple[str, int]] = []
        plugins.ThreadManager(bus).subscribe()
        bus.subscribe("start_thread", lambda number: events.append(("start", number)))
        bus.subscribe("stop_thread", lambda number: events.append(("stop", number)))
        return events

    def test_numbers_are_never_reused(self, bus: Bus, events: list[tuple[str, int]]) -> None:
        """The original reused 2."""

        def acquire_and_release() -> None:
            bus.publish("acquire_thread")
            bus.publish("acquire_thread")
            bus.publish("release_thread")

        bus.publish("acquire_thread")
        for _ in range(2):
            ThreadCall(acquire_and_release).finished()
        assert events == [("start", 1), ("start", 2), ("stop", 2), ("start", 3), ("stop", 3)]

    def test_a_stop_publishes_the_end_of_all_remaining_threads(self, bus: Bus, events: list[tuple[str, int]]) -> None:
        """Once for each thread."""
        bus.publish("acquire_thread")
        bus.stop()
        bus.stop()
        assert events == [("start", 1), ("stop", 1)]

    def test_typed_channels_are_published_after_the_old_names(self, bus: Bus, events: list[tuple[str, int]]) -> None:
        """With the same numbers."""
        bus[THREAD_STARTED].subscribe(lambda number: events.append(("typed", number)))
        bus.publish("acquire_thread")
        assert events == [("start", 1), ("typed", 1)]

    def test_threads_maps_idents_to_numbers(self, bus: Bus) -> None:
        """As long as they live."""
        manager = plugins.ThreadManager(bus)
        manager.acquire_thread()
        assert manager.threads == {threading.get_ident(): 1}

    def test_a_failing_listener_does_not_prevent_the_other_publishes(self, bus: Bus) -> None:
        """The failures are raised together at the end."""
        manager = plugins.ThreadManager(bus)
        numbers: list[int] = []

        def fail(number: int) -> None:
            numbers.append(number)
            raise ValueError

        bus.subscribe("stop_thread", fail)
        release, ready = threading.Event(), threading.Barrier(3)

        def acquire_and_wait() -> None:
            manager.acquire_thread()
            ready.wait()
            release.wait()

        threads = [threading.Thread(target=acquire_and_wait) for _ in range(2)]
        for thread in threads:
            thread.start()
        ready.wait()
        with pytest.raises(ExceptionGroup):
            manager.stop()
        release.set()
        for thread in threads:
            thread.join()
        assert numbers == [1, 2]


@only_unix
class TestSignalHandler:
    """Signals as channels."""

    @pytest.fixture
    def handler(self, bus: Bus) -> Iterator[plugins.SignalHandler]:
        """Return a handler of SIGUSR1 and SIGUSR2."""
        handler = plugins.SignalHandler(bus)
        handler.handlers = {"SIGUSR1": bus.graceful, "SIGUSR2": None, "SIGNONE": bus.exit}
        yield handler
        handler.unsubscribe()

    def test_outside_of_block_a_signal_is_published_by_the_handler(
        self, bus: Bus, lines: list[str], handler: plugins.SignalHandler
    ) -> None:
        """Old code need not call block."""
        handler.subscribe()
        signal.raise_signal(signal.SIGUSR1)
        assert lines == ["20 Listening for SIGUSR1.", "20 Caught signal SIGUSR1.", "20 Bus graceful"]

    def test_in_block_a_signal_is_published_by_the_thread_in_block(
        self, bus: Bus, handler: plugins.SignalHandler
    ) -> None:
        """A failing listener is logged, and the bus continues."""
        inside = threading.local()
        during_tick: list[object] = []

        def handle() -> None:
            during_tick.append(getattr(inside, "tick", False))
            bus.subscribe("main", bus.exit)
            raise ValueError

        def tick() -> None:
            inside.tick = True
            signal.raise_signal(signal.SIGUSR2)
            bus.unsubscribe("main", tick)
            inside.tick = False

        handler.subscribe()
        bus.subscribe("SIGUSR2", handle)
        bus.subscribe("main", tick)
        bus.start()
        bus.block(0.001)
        assert during_tick == [False]

    def test_handlers_are_restored_once(self, bus: Bus, lines: list[str], handler: plugins.SignalHandler) -> None:
        """After two subscriptions the original handlers are restored, and the listeners are unsubscribed."""
        before = signal.getsignal(signal.SIGUSR1)
        handler.subscribe()
        handler.subscribe()
        del lines[:]
        handler.unsubscribe()
        handler.unsubscribe()
        assert signal.getsignal(signal.SIGUSR1) is before
        assert sorted(lines) == [
            f"20 Restoring SIGUSR1 handler {before!r}.",
            f"20 Restoring SIGUSR2 handler {signal.getsignal(signal.SIGUSR2)!r}.",
        ]
        assert len(bus.listeners["SIGUSR1"]) == 0

    def test_subscribing_in_another_thread_logs_a_warning(
        self, lines: list[str], handler: plugins.SignalHandler
    ) -> None:
        """The original logged nothing."""
        ThreadCall(handler.subscribe).finished()
        assert len(lines) == 1
        assert lines[0].startswith("30 No signals are handled: thread")

    def test_an_unknown_signal_is_refused(self, handler: plugins.SignalHandler) -> None:
        """By name and by number."""
        for unknown in ("SIGNONE", 4711):
            with pytest.raises(ValueError, match="No such signal"):
                handler.set_handler(unknown)

    def test_sighup_exits_a_process_that_is_not_a_daemon(
        self, bus: Bus, lines: list[str], handler: plugins.SignalHandler
    ) -> None:
        """A daemon restarts."""
        handler.handle_SIGHUP()
        assert lines[0] == "20 SIGHUP caught but not daemonized. Exiting."
        assert not bus.execv


@only_unix
class TestPIDFile:
    """A PID file."""

    def test_a_pid_file_exists_from_each_start_to_the_exit(self, bus: Bus, lines: list[str], tmp_path: Path) -> None:
        """The original did not write it again."""
        path = tmp_path / "site.pid"
        plugins.PIDFile(bus, str(path)).subscribe()
        for _ in range(2):
            bus.start()
            assert path.read_text() == f"{os.getpid()}\n"
            bus.start()
            bus.exit()
            assert not path.exists()
        assert f"20 PID {os.getpid()} written to {str(path)!r}." in lines
        assert f"20 PID {os.getpid()} already written to {str(path)!r}." in lines
        assert f"20 PID file removed: {str(path)!r}." in lines

    def test_a_pid_file_of_a_running_process_is_refused_and_kept(self, bus: Bus, tmp_path: Path) -> None:
        """The original overwrote and removed it."""
        path = tmp_path / "site.pid"
        other = Bus()
        plugins.PIDFile(other, str(path)).subscribe()
        other.start()
        plugins.PIDFile(bus, str(path)).subscribe()
        with pytest.raises(ChannelFailures) as caught:
            bus.start()
        assert [type(error) for error in caught.value.get_instances()] == [AlreadyRunning]
        assert path.exists()
        other.exit()


@only_unix
class TestDropPrivileges:
    """A change of the user."""

    def test_missing_settings_are_logged_once(self, bus: Bus, lines: list[str]) -> None:
        """As warnings."""
        drop = plugins.DropPrivileges(bus)
        drop.start()
        drop.start()
        assert lines == ["30 uid/gid not set", "30 umask not set"]

    def test_the_umask_is_set_once(self, bus: Bus, lines: list[str]) -> None:
        """The change is logged."""
        before = os.umask(0o022)
        try:
            drop = plugins.DropPrivileges(bus, umask=0o027)
            drop.start()
            drop.start()
            assert os.umask(before) == 0o027
        finally:
            os.umask(before)
        assert lines[1:] == ["20 umask old: 022, new: 027", "20 umask already set to: 027"]

    def test_names_of_users_become_numbers(self, bus: Bus) -> None:
        """Unknown names are refused at once."""
        drop = plugins.DropPrivileges(bus, uid="root", gid=0)
        assert (drop.uid, drop.gid) == (0, 0)
        with pytest.raises(KeyError):
            drop.uid = "no-such-user"


class TestDaemonizer:
    """The part that does not fork."""

    def test_a_second_start_does_not_fork(self, bus: Bus, lines: list[str]) -> None:
        """The original forked again."""
        daemonizer = plugins.Daemonizer(bus)
        daemonizer.finalized = True
        daemonizer.start()
        assert lines == ["20 Already deamonized."]
