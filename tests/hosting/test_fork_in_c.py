"""What becomes of a bus in a process that was forked in C, where Python calls no function of ours in the child."""

from __future__ import annotations

import ctypes
import io
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from tests.doubles import Recorder
from tests.processes import in_child

from typedbus import START, Bus, Component, Container, RestartError, StartCancelled, State, running
from typedbus.hosting import wsgi
from typedbus.plugins.pidfile import PIDFile, read

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows forks nothing")

NOTES: list[str] = []


class Shop(Container):
    bus = Component(Bus)
    noted = Component(Recorder, NOTES)


LIFE = ["start", "stop", "exit"]


@pytest.fixture(autouse=True)
def notes() -> None:
    """Begin with no notes."""
    NOTES.clear()


def fork_in_c() -> int:
    """Fork as a C library does, with the lock of the interpreter held."""
    child: int = ctypes.PyDLL(None).fork()
    return child


def page(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The application that is hosted."""
    start_response("200 OK", [])
    return [b"mugs"]


def get(app: wsgi.Hosted) -> str:
    """Send a request to *app* and return the status."""
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    statuses: list[str] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        statuses.append(status)
        return io.BytesIO().write

    b"".join(app(environ, start_response))
    return statuses[0]


def test_the_bus_has_exited_in_the_child_and_no_hook_is_called() -> None:
    """Stop and exit there do nothing, and the parent's bus goes on."""
    shop = Shop()

    def check() -> None:
        assert shop.bus().state is State.EXITED
        shop.bus().stop()
        shop.bus().exit()
        assert NOTES == ["start"]

    with running(shop):
        in_child(check, fork_in_c)
        assert shop.bus().state is State.STARTED
    assert NOTES == LIFE


@pytest.mark.parametrize(
    "use",
    [
        lambda bus: bus.exit(),
        lambda bus: bus.stop(),
        lambda bus: bus.block(),
        lambda bus: bus.wait(State.EXITED),
        lambda bus: bus.request_exit(OSError("of the child")),
    ],
    ids=["exit", "stop", "block", "wait", "request_exit"],
)
def test_a_child_may_use_its_bus_by_any_method_first(use: Callable[[Bus], object]) -> None:
    """Each recognises the child, also where a thread of the parent held the lock of the bus."""
    shop = Shop()
    bus = shop.attach()
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with bus._lock:
            held.set()
            let_go.wait()

    def check() -> None:
        use(bus)
        assert bus.state is State.EXITED
        assert NOTES == ["start"]

    with running(shop):
        holder = threading.Thread(target=hold)
        holder.start()
        held.wait()
        in_child(check, fork_in_c)
        let_go.set()
        holder.join()


def test_a_child_may_start_the_container_anew() -> None:
    """With components of its own; a child of the child as well."""
    shop = Shop()

    def live() -> None:
        NOTES.clear()
        with running(shop):
            assert NOTES == ["start"]
        assert NOTES == LIFE

    def check() -> None:
        live()
        with running(shop):
            in_child(live, fork_in_c)

    with running(shop):
        in_child(check, fork_in_c)


def test_a_child_does_not_replace_its_process() -> None:
    """The replacement is the parent's."""

    class Never:
        def problem(self) -> None:
            """It could replace the parent."""

        def replace(self, failed: BaseException | None, /) -> None:
            raise AssertionError

    shop = Shop()

    def check() -> None:
        with pytest.raises(RestartError):
            shop.bus().restart()

    with running(shop):
        shop.bus().replacement = Never()
        in_child(check, fork_in_c)


def test_a_child_that_returns_from_a_start_goes_no_further() -> None:
    """Only the parent starts the other components."""
    shop = Shop()
    bus = shop.attach()
    parent, children = os.getpid(), list[int]()
    bus[START].subscribe(lambda: children.append(fork_in_c()), priority=1)

    status = 1
    try:
        with running(shop):
            NOTES.append("started")
    except StartCancelled:
        status = int(NOTES != [])
    finally:
        if os.getpid() != parent:
            os._exit(status)

    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
    assert NOTES == ["start", "started", "stop", "exit"]


def test_a_hosted_application_starts_anew_in_the_child() -> None:
    """As a worker of uWSGI does whose application was imported, and started, in the master."""
    shop = Shop()
    first, second = wsgi.Hosted(page, shop), wsgi.Hosted(page, shop)
    first.start()

    def check() -> None:
        NOTES.clear()
        first._host.end()
        first.exit()
        assert NOTES == []
        assert [get(second), get(first)] == ["200 OK"] * 2
        assert NOTES == ["start"]
        first.exit()
        assert NOTES == ["start"]
        second.exit()
        assert NOTES == LIFE

    in_child(check, fork_in_c)
    assert get(first) == "200 OK"
    first.exit()
    assert NOTES == LIFE


def test_the_pid_file_is_left_to_the_parent(tmp_path: Path) -> None:
    """The child neither removes it nor keeps its lock once it has used a bus."""
    file = tmp_path / "shop.pid"

    class Site(Container):
        bus = Component(Bus)
        pid_file = Component(PIDFile, bus.provided, path=file)

    site = Site()

    def check() -> None:
        lines: list[str] = []
        site.pid_file().exit()
        site.bus().exit()
        assert lines == []
        assert file.exists()

    with running(site):
        in_child(check, fork_in_c)
        assert read(file) == os.getpid()
    assert not file.exists()
