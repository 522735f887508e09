"""Daemon: processes that run in the background, and the report of the command that started them."""

from __future__ import annotations

import errno
import os
import pickle
import pty
import re
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.doubles import failure_on_a_loop

if sys.platform in ("win32", "darwin"):
    pytest.skip("no process becomes a daemon on this system", allow_module_level=True)

from typedbus import Bus, Component, Container
from typedbus._os.reexec import is_daemon, mark_daemon
from typedbus.plugins._daemon_start import become_daemon
from typedbus.plugins.daemon import Daemon, NoDaemons, StreamError, ThreadsRunning

PRELUDE = """
import os, signal, sys, threading
from typedbus import *
from typedbus.events import MOVED
from typedbus.plugins.daemon import Daemon
from typedbus.plugins.pidfile import PIDFile

# Whoever began this may have interrupts ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
FOLDER, LINE, GOING_ON = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def say(text):
    os.write(LINE, f"{text}\\n".encode())


class Part:
    def __init__(self, bus: Bus, *needs: object) -> None:
        self.bus = bus


def wait(part):
    say("waiting")
    os.read(GOING_ON, 1)


def started(event):
    if event.after is State.STARTED:
        say("started")


class Site(Container):
    bus = Component(Bus)
    daemon = Component(Daemon, bus.provided, stdout=FOLDER + "/out", stderr=FOLDER + "/err")
    pidfile = Component(PIDFile, bus.provided, path=FOLDER + "/site.pid")

"""
SITE = """
class Site(Site):
    part = Component(Part, Site.bus.provided).on(START.calls({start})).on(MOVED.calls(lambda self, event: started(event)))

raise SystemExit(run(Site))
"""


class Command:
    """The command of a daemon, and a pipe from all processes that it creates."""

    def __init__(self, source: str, folder: Path, **streams: int) -> None:
        self.folder = folder
        (folder / "site.py").write_text(PRELUDE + textwrap.dedent(source), encoding="utf-8")
        reading, writing = os.pipe()
        waiting, self.going_on = os.pipe()
        self.child = subprocess.Popen(
            [sys.executable, str(folder / "site.py"), str(folder), str(writing), str(waiting)],
            pass_fds=[writing, waiting],
            stdin=streams.get("stdin", subprocess.DEVNULL),
            stdout=streams.get("stdout", subprocess.PIPE),
            stderr=streams.get("stderr", subprocess.PIPE),
            text=True,
        )
        os.close(writing)
        os.close(waiting)
        self.line = os.fdopen(reading, encoding="utf-8")

    def go_on(self) -> None:
        """Let a waiting component continue."""
        os.write(self.going_on, b".")

    def reach(self, text: str) -> str:
        """Return the next line that begins with *text*, without it."""
        for line in self.line:
            if line.startswith(text):
                return line.removeprefix(text).strip()
        raise AssertionError(f"{text!r} never came:\n{self.output_of('err')}")

    def end(self) -> tuple[int, str]:
        """Return the status of the command, and its standard error."""
        _, errors = self.child.communicate(timeout=30)
        return self.child.returncode, errors

    @property
    def pid(self) -> int:
        """The pid of the daemon, from its file."""
        return int((self.folder / "site.pid").read_text())

    def output_of(self, name: str) -> str:
        """Return the content of the daemon's output file *name*."""
        path = self.folder / name
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def rest(self) -> str:
        """Return the remaining output, when all processes have ended."""
        return self.line.read()


Begin = Callable[..., Command]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Begin daemons, and end them and their commands."""
    begun: list[Command] = []

    def begin_one(source: str, **streams: int) -> Command:
        begun.append(Command(source, tmp_path, **streams))
        return begun[-1]

    yield begin_one
    for one in begun:
        # Whoever waits for the test to let it go on sees its end.
        os.close(one.going_on)
        one.child.kill()
        one.child.wait()
        for stream in (one.child.stdout, one.child.stderr):
            if stream is not None:
                stream.close()
        # Nobody writes a pid of which the file was not removed but a test's own daemon.
        if (tmp_path / "site.pid").exists():
            with_pid = one.output_of("site.pid").strip()
            if with_pid and Path(f"/proc/{with_pid}/cmdline").exists():
                if str(tmp_path).encode() in Path(f"/proc/{with_pid}/cmdline").read_bytes():
                    os.kill(int(with_pid), signal.SIGKILL)
        one.rest()
        one.line.close()


def status_of(pid: int) -> dict[str, str]:
    """Return the parent, group, session and terminal of a process, from /proc."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return {"parent": fields[1], "group": fields[2], "session": fields[3], "terminal": fields[4]}


linux = pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")


@pytest.mark.slow
def test_the_daemon_inherits_the_sockets_and_the_watchdog_of_the_command(begin: Begin) -> None:
    """A variable that names another process stays unchanged."""
    command = begin(
        'os.environ.update(LISTEN_PID=str(os.getpid()), WATCHDOG_PID="1")\n'
        + SITE.format(start="lambda self: say(os.environ['LISTEN_PID'] + ' ' + os.environ['WATCHDOG_PID'])")
    )

    listening, watched = command.reach("").split()

    assert command.end()[0] == 0
    assert (int(listening), watched) == (command.pid, "1")


@pytest.mark.slow
def test_a_command_ends_with_0_when_its_daemon_has_started(begin: Begin) -> None:
    """The PID file has the pid of the daemon, which continues and exits in order on SIGTERM."""
    command = begin(SITE.format(start="lambda self: say('starting')"))

    assert command.end()[0] == 0
    pid = command.pid
    assert pid != command.child.pid
    os.kill(pid, signal.SIGTERM)

    assert command.rest() == "starting\nstarted\n"
    assert not (command.folder / "site.pid").exists()
    assert command.output_of("err").splitlines()[-1] == "bus      EXITED"


@pytest.mark.slow
@linux
def test_a_daemon_is_detached_from_its_command(begin: Begin) -> None:
    """It is an orphan in a session that it does not lead, without a terminal, and its streams are the files."""
    leader, follower = pty.openpty()
    command = begin(
        SITE.format(start="lambda self: say(f'tty {tty()}')").replace(
            "class Site",
            textwrap.dedent("""
                def tty():
                    try:
                        return os.close(os.open("/dev/tty", os.O_RDWR))
                    except OSError as error:
                        return error.strerror

                class Site"""),
            1,
        ),
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    try:
        assert command.child.wait(30) == 0
        status = status_of(command.pid)
        streams = [str(Path(f"/proc/{command.pid}/fd/{number}").readlink()) for number in range(3)]
        directory = Path(f"/proc/{command.pid}/cwd").readlink()
    finally:
        os.close(leader)
        os.kill(command.pid, signal.SIGTERM)

    assert command.reach("tty") == "No such device or address"
    assert status["parent"] not in (str(command.child.pid), status["group"])
    assert status["group"] == status["session"] != str(command.child.pid)
    assert status["terminal"] == "0"
    assert streams == [os.devnull, str(command.folder / "out"), str(command.folder / "err")]
    assert directory == Path.cwd()


@pytest.mark.slow
def test_a_command_waits_until_its_daemon_has_started(begin: Begin) -> None:
    """It does not end before the last component has started."""
    command = begin(SITE.format(start="wait"))
    command.reach("waiting")

    assert command.child.poll() is None
    command.go_on()
    assert command.end()[0] == 0
    command.reach("started")
    os.kill(command.pid, signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_daemon_names_the_component_that_delays_its_start(begin: Begin, tmp_path: Path) -> None:
    """`run` watches the start in the daemon as in any other process."""
    os.mkfifo(tmp_path / "err")
    command = begin(SITE.format(start="wait"))
    with (tmp_path / "err").open(encoding="utf-8") as errors:
        waiting = any(line == "starting Site.part ...\n" for line in errors)
        command.go_on()
        command.reach("started")
        os.kill(command.pid, signal.SIGTERM)
        ended = errors.read().endswith("bus      EXITED\n")

    assert waiting
    assert ended


FAILURES = {
    "raises": ("fail", "Site.part in start:", "OSError: port taken"),
    "leaves": ("lambda self: sys.exit(3)", "Site.part in start:", "SystemExit: 3"),
    "stops": ("lambda self: self.bus.stop()", "its start was cancelled"),
    "killed": ("lambda self: os.kill(os.getpid(), signal.SIGKILL)", "it was killed by signal 9 (Killed) before"),
    "gone": ("lambda self: os._exit(7)", "it ended with status 7 before its start had finished"),
    "crashed": ("lambda self: __import__('ctypes').string_at(0)", "it was killed by signal 11 (Segmentation fault)"),
    "children": ("fork_and_end", "it ended with status 7 before"),
}
FAILING = """
def fail(part):
    raise OSError("port taken \\0 twice \\udcff")


def fork_and_end(part):
    if os.fork():
        os._exit(7)
    os.close(LINE)
    os.read(GOING_ON, 1)
    os._exit(0)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [case if case in ("raises", "killed") else pytest.param(case, marks=pytest.mark.exhaustive) for case in FAILURES],
)
def test_a_command_reports_why_its_daemon_did_not_start(begin: Begin, case: str) -> None:
    """It ends with status 1 after the daemon has ended, and writes the reason to its standard error."""
    start, *reasons = FAILURES[case]
    command = begin(FAILING + SITE.format(start=start))

    status, errors = command.end()

    assert status == 1
    assert "did not start: " in errors
    assert all(reason in errors for reason in reasons), errors
    assert "\0" not in errors
    assert command.rest() == ""


@pytest.mark.slow
def test_a_command_reports_the_failures_of_a_rollback(begin: Begin) -> None:
    """All failures are on the standard error of the command, in their order."""
    command = begin(
        """
        def fail(word):
            raise OSError(word)

        class Site(Site):
            part = Component(Part, Site.bus.provided).on(STOP.calls(lambda self: fail("still in use")))
            other = Component(Part, Site.bus.provided, part.provided).on(START.calls(lambda self: fail("port taken")))

        raise SystemExit(run(Site))
        """
    )

    status, errors = command.end()

    assert status == 1
    assert errors.index("OSError: port taken") < errors.index("OSError: still in use")


@pytest.mark.slow
@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.exhaustive)],
    ids=lambda number: number.name,
)
def test_a_waiting_command_forwards_signals_to_the_daemon(begin: Begin, number: signal.Signals) -> None:
    """The start is cancelled, and the components that had started are stopped."""
    command = begin(
        """
        class Waits(Part):
            def start(self):
                say("waiting")
                # In turns, since a signal that comes just before a thread falls asleep does not wake it.
                while not self.bus.is_exit_requested:
                    threading.Event().wait(0.05)

            def stop(self):
                say("stopped")

        class Site(Site):
            part = Component(Waits, Site.bus.provided)

        raise SystemExit(run(Site))
        """
    )
    command.reach("waiting")

    command.child.send_signal(number)
    status, errors = command.end()

    assert (status, errors.splitlines()[-1][-24:]) == (1, " its start was cancelled")
    assert command.rest() == "stopped\n"
    assert f"{number.name}: exiting in order" in command.output_of("err")


@pytest.mark.slow
def test_a_daemon_outlives_a_command_that_is_killed(begin: Begin) -> None:
    """It completes its start."""
    command = begin(SITE.format(start="wait"))
    command.reach("waiting")
    command.child.kill()
    command.child.wait()
    command.go_on()

    command.reach("started")
    os.kill(command.pid, signal.SIGTERM)

    assert command.rest() == ""


@pytest.mark.slow
def test_a_command_whose_intermediate_process_was_killed_ends_with_1(begin: Begin) -> None:
    """It reports that the outcome is unknown; the daemon may have started."""
    command = begin(
        SITE.format(start="lambda self: (say(f'looked after by {os.getppid()}'), os.read(GOING_ON, 1))[:0]")
    )
    os.kill(int(command.reach("looked after by")), signal.SIGKILL)

    status, errors = command.end()
    pid = command.pid
    command.go_on()
    command.reach("started")
    os.kill(pid, signal.SIGTERM)

    assert status == 1
    assert (
        f"it is unknown whether the daemon (pid {pid}) started: the process that waited for its report was killed"
        in errors
    )


@pytest.mark.slow
def test_a_command_that_ignores_sigchld_reports_the_start(begin: Begin) -> None:
    """The inherited handler is in force in the daemon again."""
    command = begin(
        """
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        """
        + textwrap.indent(
            textwrap.dedent(SITE.format(start="lambda self: say(f'children {signal.getsignal(signal.SIGCHLD)!r}')")),
            " " * 8,
        )
    )

    assert command.end()[0] == 0
    assert command.reach("children") == repr(signal.SIG_IGN)
    os.kill(command.pid, signal.SIGTERM)


@pytest.mark.slow
def test_a_second_daemon_names_the_first(begin: Begin) -> None:
    """The command of the second ends with status 1 and names the holder of the PID file; the first continues."""
    source = SITE.format(start="lambda self: None")
    first = begin(source)
    assert first.end()[0] == 0
    pid = first.pid

    status, errors = begin(source).end()

    assert status == 1
    assert f"is held by process {pid}, which is still running" in errors
    assert first.pid == pid
    os.kill(pid, signal.SIGTERM)


@pytest.mark.slow
def test_a_daemon_starts_after_another_was_killed(begin: Begin) -> None:
    """The PID file that the other left behind does not prevent the start."""
    source = SITE.format(start="lambda self: None")
    first = begin(source)
    assert first.end()[0] == 0
    killed = first.pid
    os.kill(killed, signal.SIGKILL)
    first.rest()

    second = begin(source)

    assert second.end()[0] == 0
    assert second.pid != killed
    assert f"which process {killed} had left behind" in second.output_of("err")
    os.kill(second.pid, signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.parametrize("signals", [False, True], ids=["asked", "signalled"])
def test_a_restarted_daemon_keeps_its_process(begin: Begin, signals: bool) -> None:
    """The program starts again in it, and neither forks nor opens its streams again."""
    command = begin(
        """
        from typedbus.plugins.signals import Signals

        def restart(part):
            say(f"runs in {os.getpid()}")
            if os.read(GOING_ON, 1) == b".":
                os.kill(os.getpid(), signal.SIGHUP) if SIGNALS else part.bus.restart()

        class Site(Site):
            signals = Component(Signals, Site.bus.provided)
            part = Component(Part, Site.bus.provided).on(MAIN.calls(restart))

        raise SystemExit(run(Site))
        """.replace("SIGNALS", str(signals))
    )
    assert command.end()[0] == 0
    first = command.reach("runs in")

    command.go_on()
    second = command.reach("runs in")

    assert first == second == str(command.pid)
    os.kill(int(first), signal.SIGTERM)
    os.write(command.going_on, b"!")
    assert command.rest() == ""
    assert not (command.folder / "site.pid").exists()
    assert command.output_of("err").count("continues as daemon") == 1
    assert command.output_of("err").count("bus      STARTED") == 2


@pytest.mark.slow
def test_a_process_without_streams_becomes_a_daemon(begin: Begin) -> None:
    """If the standard streams are closed, no file or pipe of the daemon takes their place."""
    command = begin(
        """
        if "again" not in sys.argv:
            for number in range(3):
                os.close(number)
            os.execv(sys.executable, [*sys.orig_argv, "again"])
        """
        + textwrap.indent(
            textwrap.dedent(SITE.format(start="lambda self: os.write(2, b'written\\n') and None")), " " * 8
        )
    )

    assert command.end() == (0, "")
    assert "written" in command.output_of("err")
    os.kill(command.pid, signal.SIGTERM)


@pytest.mark.slow
def test_buffered_output_is_written_once_and_atexit_functions_are_called_once(begin: Begin) -> None:
    """The first two processes end without the work of an interpreter's exit."""
    command = begin(
        """
        import atexit
        atexit.register(say, "at the end")
        sys.stdout.write("half a line")
        """
        + textwrap.indent(textwrap.dedent(SITE.format(start="lambda self: None")), " " * 8)
    )
    out, _ = command.child.communicate(timeout=30)
    command.reach("started")
    os.kill(command.pid, signal.SIGTERM)

    assert out == "half a line"
    assert command.rest() == "at the end\n"
    assert command.output_of("out") == ""


@pytest.mark.slow
def test_a_program_with_threads_is_refused(begin: Begin) -> None:
    """The command ends with status 1, and names the threads; no process is forked."""
    command = begin(
        """
        threading.Thread(target=threading.Event().wait, name="reader", daemon=True).start()
        """
        + textwrap.indent(textwrap.dedent(SITE.format(start="lambda self: None")), " " * 8)
    )

    status, errors = command.end()

    assert status == 1
    assert "a fork does not copy threads: 'reader'; start each in the start()" in errors
    assert command.rest() == ""


@pytest.mark.slow
def test_workers_and_limits_start_no_thread_before_the_fork(begin: Begin) -> None:
    """The start is called in the main thread, whatever the settings of the others are."""
    command = begin(
        SITE.format(start="lambda self: say(threading.current_thread().name)").replace(
            "run(Site)", "run(Site, workers=4, limits=Limits(hook=20, start=20))"
        )
    )

    assert command.end()[0] == 0
    assert command.reach("") != "MainThread"
    os.kill(command.pid, signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info < (3, 12), reason="earlier versions do not warn")
def test_the_fork_causes_no_warning(begin: Begin) -> None:
    """The threads of `run` are paused meanwhile, so python -W error raises nothing."""
    command = begin(
        """
        if "-Werror" not in sys.orig_argv:
            os.execv(sys.executable, [sys.executable, "-Werror", *sys.orig_argv[1:]])
        """
        + textwrap.indent(textwrap.dedent(SITE.format(start="lambda self: None")), " " * 8)
    )

    assert command.end()[0] == 0
    assert "Warning" not in command.output_of("err")
    os.kill(command.pid, signal.SIGTERM)


@pytest.fixture
def bus() -> Bus:
    """Return a bus."""
    return Bus()


@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
def test_a_stream_that_cannot_be_opened_is_an_error_of_the_start(bus: Bus, tmp_path: Path, stream: str) -> None:
    """It comes before the fork, and names the file, the stream and the remedy."""
    path = tmp_path / "none" / "log"
    streams = {name: Path(os.devnull) for name in ("stdin", "stdout", "stderr")} | {stream: path}

    with pytest.raises(StreamError) as refused:
        become_daemon(bus, **streams, fork=pytest.fail)

    assert (refused.value.path, refused.value.errno) == (path, errno.ENOENT)
    assert str(refused.value) == (
        f"{path} cannot become the standard {refused.value.stream.split()[1]} of the daemon: No such file or directory; "
        "create its folder, give this user access to it, or set another path"
    )
    assert refused.value.stream == {"stdin": "standard input", "stdout": "standard output"}.get(
        stream, "standard error"
    )
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)


# A worker of pytest-xdist has a thread of its own.
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("nth", [1, 2])
def test_a_fork_that_fails_is_an_error_of_the_start(bus: Bus, nth: int) -> None:
    """For both forks: no process is left, no file is open and no signal is blocked."""
    forks = [os.fork] * (nth - 1)
    children: list[int] = []

    def fork() -> int:
        if forks:
            children.append(forks.pop()())
            return children[-1]
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    before = len(list(Path("/dev/fd").iterdir())), signal.pthread_sigmask(signal.SIG_BLOCK, [])
    null = Path(os.devnull)

    with pytest.raises(BlockingIOError):
        become_daemon(bus, null, null, null, fork)

    assert (len(list(Path("/dev/fd").iterdir())), signal.pthread_sigmask(signal.SIG_BLOCK, [])) == before
    for child in children:
        with pytest.raises(ChildProcessError):
            os.waitpid(child, os.WNOHANG)
    assert (len(children), is_daemon()) == (nth - 1, False)


@pytest.mark.slow
def test_other_threads_are_named(bus: Bus) -> None:
    """Each thread of Python by its name."""
    daemon = Daemon(bus)
    daemon._fork = pytest.fail
    over = threading.Event()
    threads = [threading.Thread(target=over.wait, name=name) for name in ("reader", "writer")]
    for thread in threads:
        thread.start()
    try:
        with pytest.raises(ThreadsRunning) as refused:
            daemon.start()
    finally:
        over.set()
        for thread in threads:
            thread.join()

    assert set(refused.value.threads) >= {"reader", "writer"}
    assert refused.value.total >= 3
    assert str(refused.value).endswith("start each in the start() of a component with a priority above 10")


def test_a_start_on_an_event_loop_is_refused() -> None:
    """Its hooks run in another thread than the main thread; the error says so."""

    class Site(Container):
        bus = Component(Bus)
        daemon = Component(Daemon, bus.provided)

    error = failure_on_a_loop(Site)

    assert isinstance(error, ThreadsRunning)
    assert re.search(
        r"'MainThread'.*; start the bus in the main thread, as run\(\) does \(`async with running\(...\)`", str(error)
    )


def test_threads_that_python_did_not_create_are_counted() -> None:
    """They have no name."""
    assert "copy threads: 'reader', 2 not created by Python; start" in str(ThreadsRunning(("reader",), 4))


ASYNC = """
import asyncio

class Connection:
    def __init__(self, bus: Bus) -> None: ...

    @on(START{priority})
    async def start(self) -> None:
        await asyncio.sleep(0)
        say(f"connected in {{os.getpid()}} on {{type(asyncio.get_running_loop()).__module__}}")

    async def stop(self) -> None:
        await asyncio.sleep(0)
        say("disconnected")

    async def exit(self) -> None:
        await asyncio.sleep(0)
        say("released")


class Site(Site):
    connection = Component(Connection, Site.bus.provided)

status = run(Site, loop_factory={loop}.new_event_loop)
say(f"status {{status}}")
raise SystemExit(status)
"""


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_async_hooks_run_in_the_daemon(begin: Begin, loop: str) -> None:
    """Their loop is created after the fork, and a SIGTERM ends the daemon in order."""
    pytest.importorskip(loop)
    command = begin(f"import {loop}\n" + ASYNC.format(priority="", loop=loop))
    connected = command.reach("connected in ")

    assert command.end()[0] == 0
    assert connected.startswith(f"{command.pid} on {loop}")
    os.kill(command.pid, signal.SIGTERM)
    assert command.rest() == "disconnected\nreleased\nstatus 0\n"


@pytest.mark.slow
def test_an_async_hook_before_the_fork_is_refused(begin: Begin) -> None:
    """The error names the thread of the loop and the remedy; the hook is undone."""
    command = begin(ASYNC.format(priority=", priority=9", loop="asyncio"))
    status, errors = command.end()

    assert status == 1
    assert (
        "because a fork does not copy threads: 'Site event loop'; start each in the start() of a component with a "
        "priority above 10; the event loop of the bus begins with its first async hook"
    ) in errors
    assert command.rest().split("\n")[1:] == ["disconnected", "released", "status 1", ""]


def test_a_process_that_is_a_daemon_does_not_fork_again(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a second start, or after a restart."""
    monkeypatch.setenv("TYPEDBUS_DAEMON", "")
    mark_daemon()
    daemon = Daemon(bus)
    daemon._fork = pytest.fail

    daemon.start()

    assert bus.channels == Bus().channels


def test_macos_refuses_a_daemon_at_construction(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it can fork; the error names the system and the alternative."""
    monkeypatch.setattr(sys, "platform", "darwin")

    with pytest.raises(NoDaemons) as refused:
        Daemon(bus)

    assert str(refused.value) == (
        "a process cannot become a daemon on darwin; "
        "leave out the Daemon component, and let the service manager of the system run the program"
    )


def test_a_system_that_cannot_fork_has_no_daemons(bus: Bus) -> None:
    """As on Windows: the error comes before any stream is opened."""
    missing = Path("missing", "log")

    with pytest.raises(NoDaemons):
        become_daemon(bus, missing, missing, missing, fork=None)


@pytest.mark.slow
def test_resources_are_opened_and_closed_in_the_daemon(begin: Begin) -> None:
    """Neither a socket nor an event loop exists before the fork."""
    command = begin("""
        import asyncio, socket

        def threaded(bus: Bus):
            say(f"opened {os.getpid()}")
            with socket.create_server(("127.0.0.1", 0)) as server:
                yield server
            say(f"closed {os.getpid()}")

        async def on_loop(server: socket.socket):
            await asyncio.sleep(0)
            say(f"opened {os.getpid()} {server.getsockname()[1] > 0}")
            yield
            say(f"closed {os.getpid()}")

        class Site(Site):
            server = Resource(threaded, Site.bus.provided)
            client = Resource(on_loop, server.provided)

        raise SystemExit(run(Site))
        """)

    assert command.end()[0] == 0
    pid = command.pid
    os.kill(pid, signal.SIGTERM)

    assert command.rest() == f"opened {pid}\nopened {pid} True\nclosed {pid}\nclosed {pid}\n"
