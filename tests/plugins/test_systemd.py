"""Notifications to a service manager over a real socket, and the sockets that it passes to real processes."""

from __future__ import annotations

import itertools
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from tests.plugins.service_manager import LONG, Manager

from typedbus import (
    GRACEFUL,
    LOG,
    MAIN,
    START,
    STOP,
    Bus,
    ChannelFailures,
    Component,
    Container,
    TransitionFailures,
    running,
)
from typedbus._bus.bus import parts_of
from typedbus.plugins.systemd import Systemd, SystemdError, activated
from typedbus.testing import Recorder

if sys.platform == "win32":
    pytest.skip("there is no such service manager", allow_module_level=True)

IS_LINUX = sys.platform == "linux"
numbers = itertools.count()


@pytest.fixture(
    params=["path", pytest.param("abstract", marks=pytest.mark.skipif(not IS_LINUX, reason="Linux has these alone"))]
)
def manager(request: pytest.FixtureRequest) -> Iterator[Manager]:
    """Yield a manager at each kind of address; a path must be short."""
    with tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/notify" if request.param == "path" else f"@typedbus-{os.getpid()}-{next(numbers)}"
        manager = Manager(address)
        yield manager
        manager.close()


one_address = pytest.mark.parametrize("manager", ["path"], indirect=True)


def now() -> int:
    return 7_000_999


def systemd(bus: Bus, manager: Manager, **environ: str) -> Systemd:
    return Systemd(bus, environ={**manager.environ, **environ}, clock=now)


def listeners(bus: Bus) -> int:
    """Return the number of listeners of all channels."""
    return sum(len(bound.subscriptions) for bound in parts_of(bus).registry.bound.values())


def fail() -> None:
    raise OSError("no heat\nREADY=1")


def test_the_manager_is_notified_of_each_state(manager: Manager) -> None:
    """READY comes with the pid when the bus has started, STOPPING when the bus begins to exit."""
    bus = Bus()
    systemd(bus, manager)

    bus.start()
    up = manager.messages
    bus.exit()

    assert up == ["STATUS=starting", f"READY=1; MAINPID={os.getpid()}; STATUS=started"]
    assert manager.messages == ["STOPPING=1; STATUS=stopping", "STATUS=stopped", "STATUS=exiting"]


@one_address
def test_the_manager_is_notified_of_each_component_that_starts_or_stops(manager: Manager) -> None:
    """The status of the service names a component that hangs."""

    class Part:
        def start(self) -> None: ...

        def stop(self) -> None: ...

    class Site(Container):
        bus = Component(Bus)
        systemd = Component(Systemd, bus.provided, environ=manager.environ)
        part = Component(Part)

    with running(Site()):
        up = manager.messages

    # What was built before the component, the bus above all, is not heard.
    assert up == ["STATUS=starting Site.part", f"READY=1; MAINPID={os.getpid()}; STATUS=started"]
    assert manager.messages == [
        "STOPPING=1; STATUS=stopping",
        "STATUS=stopping Site.part",
        "STATUS=stopped",
        "STATUS=exiting",
    ]


@one_address
def test_a_stop_without_an_exit_does_not_end_the_service(manager: Manager) -> None:
    """A bus may be started again; STOPPING is sent once, at the exit."""
    bus = Bus()
    systemd(bus, manager)
    bus.start()
    assert manager.messages

    bus.stop()
    bus.start()
    again = manager.messages
    bus.stop()
    bus.exit()

    assert again == ["STATUS=stopping", "STATUS=stopped", "STATUS=starting", "STATUS=started"]
    assert manager.messages == ["STATUS=stopping", "STATUS=stopped", "STOPPING=1; STATUS=exiting"]


@one_address
def test_the_first_failure_is_the_status_until_the_next_start(manager: Manager) -> None:
    """It is one line, so that it is not read as another assignment."""
    bus = Bus()
    systemd(bus, manager)
    bus[START].subscribe(fail)
    bus[STOP].subscribe(fail)

    with pytest.raises(TransitionFailures):
        bus.start()
    failed = manager.messages
    bus[START].unsubscribe(fail)
    bus[STOP].unsubscribe(fail)
    bus.start()
    bus.exit()

    name = f"{__name__}.fail"
    assert failed == [
        "STATUS=starting",
        f"STATUS=starting {name}",
        f"STATUS=failed {name} in start: OSError('no heat\\nREADY=1')",
    ]
    assert manager.messages[:2] == ["STATUS=starting", f"READY=1; MAINPID={os.getpid()}; STATUS=started"]


class Rude(Exception):
    def __repr__(self) -> str:
        return "Rude(\nREADY=1\n\udc80)"


@one_address
def test_a_failure_during_the_exit_stays_the_status(manager: Manager) -> None:
    """Line breaks and characters that are not text in its message have no effect."""

    def rude() -> None:
        raise Rude

    bus = Bus()
    systemd(bus, manager)
    bus[STOP].subscribe(rude)
    bus.start()
    assert manager.messages

    with pytest.raises(TransitionFailures):
        bus.exit()

    stopping, _, failed, *rest = manager.messages
    assert stopping == "STOPPING=1; STATUS=stopping"
    assert failed.endswith("rude in stop: Rude( READY=1 \\udc80)")
    assert rest == []


@one_address
def test_graceful_is_a_reload(manager: Manager) -> None:
    """RELOADING comes with the time and before all listeners, READY after them, whatever fails."""
    bus = Bus()
    systemd(bus, manager)
    bus[GRACEFUL].subscribe(lambda: manager.send(b"first"), priority=-(10**6))
    bus[GRACEFUL].subscribe(lambda: manager.send(b"last"), priority=10**6)
    bus.graceful()
    before = manager.messages
    bus[GRACEFUL].subscribe(fail)
    bus.start()
    assert manager.messages

    with pytest.raises(ChannelFailures):
        bus.graceful()

    assert before == ["first", "last"]
    assert manager.messages == [
        "RELOADING=1; MONOTONIC_USEC=7000; STATUS=reloading",
        "first",
        "last",
        "READY=1; STATUS=started",
    ]
    bus.exit()


@one_address
def test_the_time_of_a_reload_is_the_monotonic_clock_of_the_system(manager: Manager) -> None:
    """The manager compares it with CLOCK_MONOTONIC, in microseconds."""
    import time

    bus = Bus()
    Systemd(bus, environ=manager.environ)
    bus.start()
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000

    bus.graceful()

    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    (line,) = [line for line in "; ".join(manager.messages).split("; ") if line.startswith("MONOTONIC_USEC=")]
    assert before <= int(line.partition("=")[2]) <= after
    bus.exit()


@one_address
@pytest.mark.parametrize("watched", [{}, {"WATCHDOG_PID": str(os.getpid())}], ids=["anybody", "this"])
def test_the_main_loop_sends_watchdog_at_half_of_the_interval(manager: Manager, watched: dict[str, str]) -> None:
    """Each comes from a tick, when half of the interval has passed since the last one, while the bus is STARTED."""
    bus = Bus()
    ticking = [0, 499_999_999, 500_000_000, 999_999_999, 1_000_000_000]
    clock = iter(ticking)
    Systemd(
        bus,
        environ={**manager.environ, "WATCHDOG_USEC": "1000000", **watched},
        clock=clock.__next__,
    )
    assert bus[MAIN].subscriptions == ()
    bus.start()
    assert manager.messages
    signs = []
    for _ in ticking[1:]:
        bus[MAIN].publish()
        signs.append(manager.messages)

    bus.stop()

    assert signs == [[], ["WATCHDOG=1"], [], ["WATCHDOG=1"]]
    assert bus[MAIN].subscriptions == ()
    bus.exit()


@one_address
@pytest.mark.parametrize("environ", [{}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "124"}], ids=["none", "other"])
def test_a_process_without_a_watchdog_has_no_ticks(manager: Manager, environ: dict[str, str]) -> None:
    """A watchdog for another process, such as the parent, does not count."""
    bus = Bus()
    systemd(bus, manager, **environ)

    bus.start()

    assert bus[MAIN].subscriptions == ()
    bus.exit()


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": "", "WATCHDOG_USEC": ""}], ids=["unset", "empty"])
def test_without_a_manager_the_component_adds_no_listener(environ: dict[str, str]) -> None:
    """A program that is started by hand needs no other declaration."""
    bus = Bus()

    Systemd(bus, environ=environ)

    assert listeners(bus) == 0


def test_the_environment_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless given, it is read when the component is built, and is not changed."""
    with tempfile.TemporaryDirectory() as folder:
        manager = Manager(f"{folder}/notify")
        monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
        bus = Bus()
        Systemd(bus)
        bus.start()
        messages = manager.messages
        manager.close()

    assert messages[-1].startswith(f"READY=1; MAINPID={os.getpid()}")
    assert os.environ["NOTIFY_SOCKET"] == manager.address


@one_address
def test_the_exit_removes_all_listeners(manager: Manager) -> None:
    """The bus has as many listeners as before."""
    bus = Bus()
    systemd(bus, manager, WATCHDOG_USEC="1000000")
    bus.start()

    bus.exit()

    assert listeners(bus) == 0


def test_a_missing_manager_has_no_effect() -> None:
    """The failure is logged once, and again only after a notification has succeeded."""
    with tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/notify"
        bus = Bus()
        messages: list[tuple[str, int]] = []
        bus[LOG].subscribe(lambda message, level: messages.append((message, level)))
        Systemd(bus, environ={"NOTIFY_SOCKET": address})
        bus.start()
        once = list(messages)
        manager = Manager(address)
        bus.graceful()
        manager.close()
        Path(address).unlink()
        bus.exit()

    assert once == [
        (f"cannot send 'STATUS=starting' to systemd at {address}: [Errno 2] No such file or directory", 30),
    ]
    assert [message.partition(" to systemd at ")[0] for message, _ in messages[1:]] == [
        "cannot send 'STOPPING=1\\nSTATUS=stopping'"
    ]


@pytest.mark.slow
def test_a_manager_that_does_not_read_does_not_block_the_bus() -> None:
    """A status without room in the buffer is dropped; other messages are given up after a second, which is logged."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(f"{folder}/notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            with pytest.raises(BlockingIOError):
                while True:
                    sender.sendto(b"x", f"{folder}/notify")
        bus = Bus()
        messages: list[str] = []
        bus[LOG].subscribe(lambda message, level: messages.append(message))
        Systemd(bus, environ={"NOTIFY_SOCKET": f"{folder}/notify"})

        bus.start()

    warning = f"cannot send 'READY=1\\nMAINPID={os.getpid()}\\nSTATUS=started'"
    assert messages == [f"{warning} to systemd at {folder}/notify: timed out"]


@one_address
def test_an_exit_replaces_a_restart(manager: Manager) -> None:
    """STOPPING is sent if the exit is requested during the restart."""

    class Never:
        def problem(self) -> None:
            return None

        def replace(self, failed: BaseException | None) -> None:
            raise AssertionError

    bus = Bus()
    bus.replacement = Never()
    systemd(bus, manager)
    bus[STOP].subscribe(bus.exit)
    bus.start()
    assert manager.messages
    bus.restart()

    bus.block()

    first, *rest = manager.messages
    assert first == "RELOADING=1; MONOTONIC_USEC=7000; STATUS=restarting"
    assert rest[-1] == "STOPPING=1; STATUS=exiting"


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("WATCHDOG_USEC", "soon", "it is not a whole number from 1 up"),
        ("WATCHDOG_USEC", "0", "it is not a whole number from 1 up"),
        ("WATCHDOG_USEC", "-5", "it is not a whole number from 1 up"),
        ("WATCHDOG_USEC", "²", "it is not a whole number from 1 up"),
        ("WATCHDOG_PID", "me", "it is not a whole number from 1 up"),
    ],
)
def test_an_invalid_environment_is_refused(variable: str, value: str, reason: str) -> None:
    """The error has the variable, its value, the reason and the remedy."""
    bus = Bus()

    with pytest.raises(SystemdError) as refused:
        Systemd(bus, environ={variable: value})

    assert (refused.value.variable, refused.value.value, refused.value.reason) == (variable, value, reason)
    assert str(refused.value) == (
        f"the environment variable {variable}={value!r} is invalid: {reason}; "
        f"correct it where the process is started, or unset {variable}"
    )
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)
    assert listeners(bus) == 0


@pytest.mark.parametrize("variable", ["WATCHDOG_USEC", "WATCHDOG_PID"])
@pytest.mark.parametrize("number", [str(2**63), "9" * 6000])
def test_an_absurdly_large_number_is_refused(variable: str, number: str) -> None:
    """The error has only its first digits."""
    with pytest.raises(SystemdError) as refused:
        Systemd(Bus(), environ={variable: number})

    assert refused.value.value == f"{number[:20]}..."
    assert refused.value.reason == "it is larger than 9223372036854775807"


@pytest.mark.parametrize("address", ["run/notify", "vsock:2:1234", "vsock-stream:2:1", "unix:/run/notify"])
def test_an_address_of_an_unknown_kind_is_logged_and_not_notified(address: str) -> None:
    """The bus starts and exits as without a manager."""
    bus = Bus()
    with Recorder(bus[LOG]) as logged:
        Systemd(bus, environ={"NOTIFY_SOCKET": address})
        bus.start()
        bus.exit()

    reason = "it is neither an absolute path nor an abstract address, @..."
    assert [call.args for call in logged.calls] == [
        (f"the service manager is not notified: NOTIFY_SOCKET={address!r}: {reason}", 30)
    ]


@pytest.mark.parametrize("count", ["99999999999", str(2**63 - 1), "9" * 6000])
@pytest.mark.parametrize("name", [None, "unknown", "http"])
def test_an_absurd_number_of_sockets_is_refused_at_once(count: str, name: str | None) -> None:
    """No object of that size is created."""
    with pytest.raises(SystemdError):
        activated(name, environ={"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count})


@pytest.mark.parametrize(
    "environ",
    [{}, {"LISTEN_FDS": "1"}, {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getppid())}, {"LISTEN_PID": str(os.getpid())}],
    ids=["none", "no pid", "other pid", "no sockets"],
)
@pytest.mark.parametrize("name", [None, "http"])
def test_there_are_no_sockets_for_another_process(environ: dict[str, str], name: str | None) -> None:
    """A child that inherits the environment is not activated."""
    assert activated(name, environ=environ) == []


@pytest.mark.parametrize(
    ("environ", "variable", "reason"),
    [
        ({"LISTEN_PID": "x"}, "LISTEN_PID", "it is not a whole number from 1 up"),
        ({"LISTEN_FDS": "x"}, "LISTEN_FDS", "it is not a whole number from 0 up"),
        ({"LISTEN_FDS": "2", "LISTEN_FDNAMES": "http"}, "LISTEN_FDNAMES", "it has 1 names for 2 sockets (LISTEN_FDS)"),
        ({"LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b"}, "LISTEN_FDNAMES", "no socket has the name 'http'"),
        ({"LISTEN_FDS": "1"}, "LISTEN_FDNAMES", "no socket has the name 'http'"),
    ],
)
def test_impossible_numbers_of_sockets_are_refused(environ: dict[str, str], variable: str, reason: str) -> None:
    """A typing error in the unit or in the program is not mistaken for a start by hand."""
    with pytest.raises(SystemdError) as refused:
        activated("http", environ={"LISTEN_PID": str(os.getpid()), **environ})

    assert (refused.value.variable, refused.value.reason) == (variable, reason)


ACTIVATE = """
import os, sys
# As a service manager: descriptors from 3 on, inherited, and the pid of the process that is to be.
given, program = [int(one) for one in sys.argv[1].split(",")], sys.argv[2:]
for place, number in enumerate([os.dup(one) for one in given]):
    os.dup2(number, 100 + place)
for place in range(len(given)):
    os.dup2(100 + place, 3 + place, inheritable=True)
os.environ.update(LISTEN_FDS=str(len(given)), LISTEN_PID=str(os.getpid()))
os.execv(sys.executable, [sys.executable, *program])
"""


@pytest.fixture
def activate(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Begin programs of this source that inherit descriptors; all end with the test."""
    programs: list[subprocess.Popen[str]] = []
    (tmp_path / "activate.py").write_text(ACTIVATE)

    def begin(source: str, *descriptors: int, names: str | None = None) -> subprocess.Popen[str]:
        path = tmp_path / "program.py"
        path.write_text(textwrap.dedent(source), encoding="utf-8")
        given = ",".join(map(str, descriptors))
        programs.append(
            subprocess.Popen(
                [sys.executable, str(tmp_path / "activate.py"), given, str(path)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                pass_fds=descriptors,
                env={**os.environ, **({} if names is None else {"LISTEN_FDNAMES": names})},
            )
        )
        return programs[-1]

    yield begin
    for program in programs:
        program.kill()
        program.communicate()


@pytest.fixture
def listening() -> Iterator[list[socket.socket]]:
    """Yield two listening sockets."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    yield sockets
    for one in sockets:
        one.close()


@pytest.mark.slow
def test_the_sockets_survive_a_replacement_of_the_process(
    activate: Callable[..., subprocess.Popen[str]], listening: list[socket.socket]
) -> None:
    """The program closes a duplicate; the process that replaces it serves the same port."""
    program = activate(
        """
        import os, sys
        from typedbus.plugins.systemd import activated

        (server,) = activated("http")
        assert not server.get_inheritable()
        client, _ = server.accept()
        client.sendall(f"{os.getpid()}".encode())
        client.close()
        server.close()
        if sys.argv[1:] != ["again"]:
            os.execv(sys.executable, [sys.executable, sys.argv[0], "again"])
        """,
        *[one.fileno() for one in listening],
        names="admin:http",
    )

    answers = []
    for _ in range(2):
        with socket.create_connection(listening[1].getsockname(), timeout=LONG) as client:
            answers.append(int(client.makefile().read()))
    _, err = program.communicate(timeout=LONG)

    assert (answers, program.returncode) == ([program.pid] * 2, 0), err


@pytest.mark.slow
def test_sockets_are_in_order_and_of_their_kind(
    activate: Callable[..., subprocess.Popen[str]], listening: list[socket.socket]
) -> None:
    """Without a name all sockets, otherwise those with this name; a child of the process gets none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        program = activate(
            """
            import os, subprocess, sys
            from typedbus.plugins.systemd import activated

            print([(one.family.name, one.type.name) for one in activated()], flush=True)
            print([one.getsockname() == activated()[0].getsockname() for one in activated("web")], flush=True)
            print(len(os.listdir("/dev/fd")) == len(os.listdir("/dev/fd")), flush=True)
            child = "from typedbus.plugins.systemd import activated; print(activated())"
            subprocess.run([sys.executable, "-c", child], check=True)
            """,
            listening[0].fileno(),
            datagrams.fileno(),
            listening[1].fileno(),
            names="web:log:web",
        )
        out, err = program.communicate(timeout=LONG)

    assert out.splitlines() == [
        "[('AF_INET', 'SOCK_STREAM'), ('AF_UNIX', 'SOCK_DGRAM'), ('AF_INET', 'SOCK_STREAM')]",
        "[True, False]",
        "True",
        "[]",
    ], err


@pytest.mark.slow
def test_a_descriptor_that_is_not_a_socket_is_refused(
    activate: Callable[..., subprocess.Popen[str]], listening: list[socket.socket]
) -> None:
    """The error names the descriptor, and earlier duplicates are closed."""
    reading, writing = os.pipe()
    try:
        program = activate(
            """
            import os, warnings
            from typedbus.plugins.systemd import SystemdError, activated

            warnings.simplefilter("always")  # of a socket that is left to the collector
            before = os.listdir("/dev/fd")
            try:
                activated()
            except SystemdError as error:
                print(error)
            print(before == os.listdir("/dev/fd"))
            """,
            listening[0].fileno(),
            reading,
        )
        out, err = program.communicate(timeout=LONG)
    finally:
        os.close(reading)
        os.close(writing)

    reason = "file descriptor 4, 'unknown', is not a usable socket: Socket operation on non-socket"
    assert out.splitlines() == [
        f"the environment variable LISTEN_FDS='2' is invalid: {reason}; correct it where the process is started, or unset LISTEN_FDS",
        "True",
    ], err
    assert err == ""


PROGRAM = """
import os, sys, threading
from typedbus import *
from typedbus.plugins.systemd import Systemd


class Site(Container):
    bus = Component(Bus)
    systemd = Component(Systemd, bus.provided)

raise SystemExit(run(Site))
"""


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[[str, Mapping[str, str]], subprocess.Popen[bytes]]]:
    """Begin programs in this environment, as a shell does that puts its own pid there; none outlives the test."""
    programs: list[subprocess.Popen[bytes]] = []

    def begin_program(source: str, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
        path = tmp_path / "program.py"
        path.write_text(source, encoding="utf-8")
        programs.append(
            subprocess.Popen(
                ["/bin/sh", "-c", 'WATCHDOG_PID=$$ exec "$0" "$@"', sys.executable, str(path)],
                stderr=subprocess.DEVNULL,
                env={**os.environ, **environ},
            )
        )
        return programs[-1]

    yield begin_program
    for program in programs:
        program.kill()
        program.wait()


@pytest.mark.slow
@one_address
def test_a_real_service_notifies_its_manager(
    manager: Manager, begin: Callable[[str, Mapping[str, str]], subprocess.Popen[bytes]]
) -> None:
    """From READY over WATCHDOG to STOPPING."""
    program = begin(PROGRAM, {**manager.environ, "WATCHDOG_USEC": "100000"})

    up = manager.await_("READY=1")
    manager.await_("WATCHDOG=1")
    manager.await_("WATCHDOG=1")
    program.send_signal(signal.SIGTERM)
    manager.await_("STOPPING=1")

    assert program.wait(LONG) == 0
    assert up[-1] == f"READY=1\nMAINPID={program.pid}\nSTATUS=started"
    assert "WATCHDOG=1" not in manager.messages


@pytest.mark.slow
@one_address
def test_a_restart_is_reported_as_a_reload(
    manager: Manager, begin: Callable[[str, Mapping[str, str]], subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """A manager kills a service that reports STOPPING; this one continues, with the same pid."""
    again = """
class Again:
    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    def main(self) -> None:
        if not os.path.exists("again"):
            open("again", "w").close()
            self.bus.restart()


class Site(Container):
    bus = Component(Bus)
    systemd = Component(Systemd, bus.provided)
    again = Component(Again, bus.provided)

os.chdir(os.path.dirname(os.path.abspath(sys.argv[0])))
raise SystemExit(run(Site))
"""
    program = begin(PROGRAM.partition("class Site")[0] + again, manager.environ)

    first = manager.await_("READY=1")[-1]
    between = manager.await_("READY=1")
    program.send_signal(signal.SIGTERM)
    end = manager.await_("STOPPING=1")

    assert program.wait(LONG) == 0
    assert first == between[-1] == f"READY=1\nMAINPID={program.pid}\nSTATUS=started"
    assert between[0].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert between[0].endswith("\nSTATUS=restarting")
    assert not [message for message in between[1:] if "RELOADING" in message or "STOPPING" in message]
    assert end == ["STOPPING=1\nSTATUS=stopping"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("systemd-socket-activate") is None, reason="systemd's own tool is not installed")
def test_systemd_itself_passes_sockets(tmp_path: Path) -> None:
    """systemd-socket-activate starts a program that serves the socket."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
            from typedbus.plugins.systemd import activated

            (server,) = activated("web")
            client, _ = server.accept()
            client.sendall(b"hello")
            client.close()
        """)
    )
    with tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/socket"
        tool = subprocess.Popen(
            ["systemd-socket-activate", "-l", address, "--fdname=web", sys.executable, str(program)],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert tool.stderr is not None
            assert any("Listening on" in line for line in tool.stderr)
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(LONG)
                client.connect(address)
                response = client.makefile().read()
            assert tool.wait(LONG) == 0
        finally:
            tool.kill()
            tool.communicate()

    assert response == "hello"
