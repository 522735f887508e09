"""A bus in a child that was forked in C, in which Python calls no functions."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.doubles import HookRecorder, until_waiting
from tests.hosting.wsgi_client import Reply, page
from tests.processes import in_child

from typedbus import START, Bus, Component, Container, RestartError, StartCancelled, State, running
from typedbus._bus.bus import parts_of
from typedbus.hosting import wsgi
from typedbus.plugins.pidfile import PIDFile, read

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows forks nothing")

NOTES: list[str] = []


class Shop(Container):
    bus = Component(Bus)
    noted = Component(HookRecorder, NOTES)


LIFE = ["start", "stop", "exit"]


@pytest.fixture(autouse=True)
def notes() -> None:
    """Begin with no notes."""
    NOTES.clear()


def fork_in_c() -> int:
    """Fork as a C library does, while this thread holds the lock of the interpreter."""
    # Had another thread asked for that lock before the fork, the child would pass it on, to a thread that it does not
    # have. So the other threads have come to a wait, and with this interval no thread asks; those that have asked
    # already get the lock during the pause.
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            until_waiting(thread)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(60)
    try:
        time.sleep(2 * interval)
        child: int = ctypes.PyDLL(None).fork()
    finally:
        sys.setswitchinterval(interval)
    return child


def test_the_bus_has_exited_in_the_child_and_no_hook_is_called() -> None:
    """A stop and an exit in the child do nothing, and the bus of the parent continues."""
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
    """Each recognises the child, also if a thread of the parent holds the lock of the bus."""
    shop = Shop()
    bus = shop.attach()
    is_held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with parts_of(bus).registry.lock:
            is_held.set()
            release.wait()

    def check() -> None:
        use(bus)
        assert bus.state is State.EXITED
        assert NOTES == ["start"]

    with running(shop):
        holder = threading.Thread(target=hold)
        holder.start()
        is_held.wait()
        in_child(check, fork_in_c)
        release.set()
        holder.join()


def test_a_child_may_start_the_container_again() -> None:
    """It builds new components, and so does a child of the child."""
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
    """Only the parent has a replacement."""

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


def test_a_child_that_returns_from_a_start_starts_nothing_else() -> None:
    """The parent starts the other components."""
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


def test_a_hosted_application_starts_again_in_the_child() -> None:
    """A worker of uWSGI is such a child if the master has imported and started the application."""
    shop = Shop()
    first, second = wsgi.Hosted(page, shop), wsgi.Hosted(page, shop)
    first.start()

    def check() -> None:
        NOTES.clear()
        first._host.end()
        first.exit()
        assert NOTES == []
        assert [Reply(second).status, Reply(first).status] == ["200 OK"] * 2
        assert NOTES == ["start"]
        first.exit()
        assert NOTES == ["start"]
        second.exit()
        assert NOTES == LIFE

    in_child(check, fork_in_c)
    assert Reply(first).status == "200 OK"
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
