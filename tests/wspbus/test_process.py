"""Programs that use the bus of the old names: their status, signals, restarts and daemons."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.processes import Begin, programs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="needs signals and exec of Unix"),
]

PRELUDE = """
import os, signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
from typedbus.wspbus import Bus, bus, plugins
def show(text, *more):
    os.write(1, f"{text}\\n".encode())
def fail():
    raise ValueError("no")
def leave(status=3):
    raise SystemExit(status)
bus.subscribe("log", lambda message, level: show(f"{level} {message.splitlines()[0]}"))
bus.subscribe("exit", lambda: show("exit published"))
"""


def run(program: str, *args: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run *program* to its end."""
    (folder / "program.py").write_text(PRELUDE + textwrap.dedent(program))
    return subprocess.run(
        [sys.executable, *args, "program.py"], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder."""
    return tmp_path


@pytest.fixture
def begin(folder: Path) -> Iterator[Begin]:
    """Start programs whose stderr is a stream of its own."""
    with programs(folder, PRELUDE, stderr=subprocess.PIPE) as begin:
        yield begin


class TestStatus:
    """The status of a program."""

    @pytest.mark.parametrize(
        ("program", "status", "is_published"),
        [
            ("bus.start(); bus.exit()", 0, True),
            ("bus.subscribe('main', bus.exit); bus.start(); bus.block(0.001)", 0, True),
            ("bus.subscribe('start', fail); bus.start(); bus.block()", 1, True),
            ("bus.subscribe('start', leave); bus.start()", 3, True),
            ("bus.subscribe('stop', fail); bus.start(); bus.exit()", 1, True),
            ("bus.subscribe('stop', leave); bus.start(); bus.exit()", 3, True),
            ("bus.subscribe('exit', fail); bus.start(); bus.exit()", 1, True),
            ("bus.subscribe('main', leave); bus.start(); bus.block(0.001)", 3, True),
            ("bus.subscribe('main', fail); bus.start(); bus.block(0.001)", 1, True),
            ("bus.subscribe('start', bus.exit); bus.start()", 1, True),
            ("bus.subscribe('start', fail); bus.hard_exit = 70; bus.start()", 70, True),
            ("bus.subscribe('stop', fail); bus.hard_exit = 70; bus.start(); bus.exit()", 70, True),
            ("bus.subscribe('start', bus.exit); bus.hard_exit = 70; bus.start()", 70, True),
        ],
    )
    def test_the_status_reports_failures_and_exit_is_published(
        self, folder: Path, program: str, status: int, is_published: bool
    ) -> None:
        """Only `hard_exit` ends the process at once."""
        ended = run(program, folder=folder)
        assert ended.returncode == status, ended.stderr
        assert ("exit published" in ended.stdout) is is_published

    def test_a_failed_exit_in_another_thread_ends_the_process_with_1(self, folder: Path) -> None:
        """The thread in block raises the failure."""
        ended = run(
            """
            bus.subscribe("stop", fail)
            bus.start()
            threading.Thread(target=bus.exit).start()
            bus.block()
            """,
            folder=folder,
        )
        assert ended.returncode == 1
        assert "ValueError('no')" in ended.stderr.splitlines()[-1]

    def test_a_program_that_ends_without_an_exit_issues_a_warning_and_exits(self, folder: Path) -> None:
        """Once, even if the bus was started twice."""
        ended = run("bus.start(); bus.start()", folder=folder)
        assert ended.returncode == 0
        assert ended.stdout.count("exit published") == 1
        assert "RuntimeWarning: The main thread is exiting, but the Bus is in the states.STARTED state" in ended.stderr

    def test_an_exited_or_deleted_bus_does_not_exit_at_the_end_of_the_program(self, folder: Path) -> None:
        """No warning is issued."""
        ended = run(
            """
            bus.start(); bus.exit()
            other = Bus(); other.subscribe("exit", lambda: show("other")); other.start(); del other
            import gc; gc.collect()
            """,
            folder=folder,
        )
        assert ended.stderr == ""
        assert "other" not in ended.stdout

    def test_a_forked_child_does_not_exit_the_bus_of_its_parent(self, folder: Path) -> None:
        """When it ends."""
        ended = run(
            """
            bus.start()
            if not os.fork():
                sys.exit(0)
            os.wait()
            show("child has ended")
            bus.exit()
            """,
            folder=folder,
        )
        assert ended.stdout.index("child has ended") < ended.stdout.index("exit published")
        assert ended.stdout.count("exit published") == 1


class TestSignals:
    """Signals to a program in block()."""

    PROGRAM = """
        plugins.SignalHandler(bus).subscribe()
        bus.subscribe("graceful", lambda: show("reloads"))
        def tick():
            bus.unsubscribe("main", tick)
            show("ready")
        bus.subscribe("main", tick)
        bus.start()
        bus.block(0.001)
    """

    @pytest.mark.parametrize(("number", "first"), [(signal.SIGTERM, "20 Caught signal SIGTERM."),
                                                   (signal.SIGHUP, "20 Caught signal SIGHUP."),
                                                   (signal.SIGINT, "20 Keyboard Interrupt: shutting down bus")])  # fmt: skip
    def test_a_signal_exits_the_bus_with_status_0(self, begin: Begin, number: signal.Signals, first: str) -> None:
        """The log has the signal."""
        program = begin(self.PROGRAM)
        program.reach_line("ready")
        assert program.end(number) == 0
        assert program.errors == ""
        after = program.lines[program.lines.index("ready") + 1 :]
        assert after[0] == first
        assert after[-2:] == ["20 Bus EXITED", "20 Waiting for child threads to terminate..."]

    def test_a_failing_graceful_listener_does_not_end_the_process(self, begin: Begin) -> None:
        """The bus runs until SIGTERM."""
        program = begin(self.PROGRAM.replace('show("reloads")', "fail()"))
        program.reach_line("ready")
        program.send(signal.SIGUSR1)
        program.reach_line("20 Bus graceful")
        assert program.end(signal.SIGTERM) == 0
        assert "20 Bus EXITED" in program.lines

    def test_sigterm_cancels_a_start_that_hangs(self, begin: Begin) -> None:
        """As soon as the listener returns; the status reports the failure."""
        program = begin("""
            plugins.SignalHandler(bus).subscribe()
            go = threading.Event()
            bus.subscribe("SIGTERM", go.set)
            def hang():
                show("start hangs")
                while not go.wait(0.05):
                    pass
            bus.subscribe("start", hang)
            bus.subscribe("start", lambda: show("not reached"), 90)
            bus.start()
        """)
        program.reach_line("start hangs")
        assert program.end(signal.SIGTERM) == 1
        assert "not reached" not in program.lines
        assert "StartCancelled" in program.errors


class TestRestart:
    """A program that restarts."""

    PROGRAM = """
        show(f"pid {os.getpid()} argv {sys.argv} flags {sys.flags.optimize} in {os.getcwd()}")
        print("buffered", end="")
        if os.environ.get("ROUND") == "2":
            sys.exit(5)
        os.environ["ROUND"] = "2"
        os.chdir("/")
        bus.start()
        threading.Thread(target=bus.restart).start()
        bus.block()
    """

    def test_a_restart_runs_the_same_command_in_the_original_directory(self, folder: Path) -> None:
        """Buffered output is written, and the pid stays."""
        ended = run(self.PROGRAM, "-O", folder=folder)
        assert ended.returncode == 5, ended.stderr
        first, second = [line for line in ended.stdout.splitlines() if "argv" in line]
        assert first == second.removeprefix("buffered")
        assert f"flags 1 in {folder}" in first
        assert "20 Re-spawning" in ended.stdout
        assert ended.stdout.count("buffered") == 2

    @pytest.mark.parametrize(("setting", "is_open"), [("", "False"), ("bus.max_cloexec_files = 0", "True")])
    def test_inheritable_files_are_closed_by_a_restart(self, folder: Path, setting: str, is_open: str) -> None:
        """Unless `max_cloexec_files` is 0."""
        ended = run(
            f"""
            if "FD" in os.environ:
                try:
                    os.fstat(int(os.environ["FD"])); show("open True")
                except OSError:
                    show("open False")
                sys.exit()
            opened = os.open("/dev/null", os.O_RDONLY); os.set_inheritable(opened, True)
            os.environ["FD"] = str(opened)
            {setting}
            bus.start(); bus.restart(); bus.block()
            """,
            folder=folder,
        )
        assert f"open {is_open}" in ended.stdout.splitlines(), ended.stderr

    def test_sockets_of_a_service_manager_stay_open_in_a_restart(self, folder: Path) -> None:
        """They are meant for this pid."""
        ended = run(
            """
            if "ROUND" in os.environ:
                os.fstat(3); show("open")
                sys.exit()
            os.environ.update(ROUND="2", LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
            while os.open("/dev/null", os.O_RDONLY) < 3:
                pass
            os.set_inheritable(3, True)
            bus.start(); bus.restart(); bus.block()
            """,
            folder=folder,
        )
        assert "open" in ended.stdout.splitlines(), ended.stderr

    def test_a_restart_without_a_thread_in_block_logs_a_warning(self, folder: Path) -> None:
        """The process is replaced by the next call of block."""
        ended = run("bus.start(); bus.restart(); show(bus.execv)", folder=folder)
        assert (
            "30 No thread is in block() to replace the process; the next call of block() replaces it." in ended.stdout
        )
        assert "True" in ended.stdout.splitlines()

    def test_a_restart_of_the_typed_bus_is_carried_out_in_block(self, folder: Path) -> None:
        """By the thread in block() as well."""
        ended = run(self.PROGRAM.replace("target=bus.restart", "target=bus.typed.restart"), folder=folder)
        assert ended.returncode == 5, ended.stderr


class TestDaemon:
    """A program that becomes a daemon."""

    def test_the_command_of_a_daemon_ends_when_the_bus_has_started(self, folder: Path) -> None:
        """The daemon has another session, and the pid in the PID file."""
        ended = run(
            """
            plugins.Daemonizer(bus, stdout="out").subscribe()
            plugins.PIDFile(bus, "site.pid").subscribe()
            plugins.SignalHandler(bus).subscribe()
            show(f"command {os.getpid()}")
            bus.start()
            show(f"daemon {os.getpid()} session {os.getsid(0) != os.getpid()} umask {os.umask(0)}")
            bus.block()
            """,
            folder=folder,
        )
        assert ended.returncode == 0, ended.stderr
        pid = int((folder / "site.pid").read_text())
        command = next(line for line in ended.stdout.splitlines() if line.startswith("command"))
        assert command != f"command {pid}"
        os.kill(pid, signal.SIGTERM)
        with (folder / "out").open() as out:
            read = ""
            while "20 Waiting for child threads to terminate...\n" not in read:
                read += out.read()
        assert f"daemon {pid} session True umask 0" in read
        assert f"20 Daemonized to PID: {pid}" in read
        assert not (folder / "site.pid").exists()

    def test_the_command_of_a_daemon_reports_a_failed_start(self, folder: Path) -> None:
        """The original ended with 0."""
        ended = run(
            """
            plugins.Daemonizer(bus).subscribe()
            bus.subscribe("start", fail, 90)
            bus.start()
            """,
            folder=folder,
        )
        assert ended.returncode == 1
        assert "ValueError: no" in ended.stderr

    def test_daemonize_works_without_a_bus(self, folder: Path) -> None:
        """It reports to a function."""
        ended = run(
            """
            plugins.Daemonizer.daemonize(stdout="out", logger=show)
            print("still here")
            """,
            folder=folder,
        )
        assert ended.returncode == 0, ended.stderr
        assert "Forking once." in ended.stdout
        with (folder / "out").open() as out:
            read = ""
            while "still here\n" not in read:
                read += out.read()


@pytest.mark.parametrize(
    ("standard_input", "message"),
    [
        ("os.open(os.devnull, os.O_RDONLY)", "SIGHUP caught while daemonized. Restarting."),
        ("pty.openpty()[1]", "SIGHUP caught but not daemonized. Exiting."),
    ],
)
def test_sighup_restarts_a_forked_process_without_a_terminal(folder: Path, standard_input: str, message: str) -> None:
    """A forked process with a terminal is not a daemon, and exits."""
    ended = run(
        f"""
        import pty
        handler = plugins.SignalHandler(bus)
        os.dup2({standard_input}, 0)
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            os._exit(0)
        bus.start()
        handler.handle_SIGHUP()
        show(f"restarts: {{bus.execv}}")
        os._exit(0)
        """,
        folder=folder,
    )
    assert f"20 {message}" in ended.stdout.splitlines(), ended.stderr
    assert f"restarts: {'Restarting' in message}" in ended.stdout.splitlines()


def test_a_refused_change_of_user_is_tried_again_by_the_next_start(folder: Path) -> None:
    """Otherwise a later start would run with the privileges."""
    ended = run(
        """
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        drop = plugins.DropPrivileges(bus, uid=0, gid=0)
        for attempt in range(2):
            try:
                drop.start()
            except Exception as error:
                show(f"{type(error).__name__} {drop.finalized}")
        """,
        folder=folder,
    )
    refusals = [line for line in ended.stdout.splitlines() if not line.startswith("20 ")]
    assert refusals[:2] == ["CannotDrop False", "CannotDrop False"], (ended.stdout, ended.stderr)


@pytest.mark.skipif(sys.platform == "win32" or os.getuid() != 0, reason="only root can become another user")
def test_a_user_without_a_group_gets_the_groups_of_the_user(folder: Path) -> None:
    """The original kept the groups of root."""
    ended = run(
        """
        plugins.DropPrivileges(bus, uid="nobody").subscribe()
        bus.start()
        show(f"now {os.getuid()} {os.getgid()} {os.getgroups()}")
        bus.exit()
        """,
        folder=folder,
    )
    assert ended.returncode == 0, ended.stderr
    now = next(line for line in ended.stdout.splitlines() if line.startswith("now"))
    assert "0" not in now.replace("[", " ").replace("]", " ").replace(",", " ").split()
