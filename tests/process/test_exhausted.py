"""Processes that have used up their threads or file descriptors, with real limits of child processes."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from typedbus._os.exhausted import OutOfDescriptors, OutOfThreads, start_thread, with_limit

WAYS = "ulimit -u or LimitNPROC= of systemd"

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="limits and descriptors are read from /proc")

PRELUDE = """
import asyncio
import os
import resource
import sys
import threading
import time
import warnings

warnings.simplefilter("error")

from typedbus import Bus, TransitionFailures
from typedbus._bus.builtin import EXIT, LOG, MAIN, START, STOP
from typedbus.plugins.autoreload import Autoreload
from typedbus.plugins.health import READY, Check, Health
from typedbus.plugins.monitor import BackgroundTask, Monitor
from typedbus.servers.asgi import ASGIServer
from typedbus.servers.wsgi import WSGIServer


def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.3)
    start_response("204 No Content", [])
    return []


async def asgi(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"] == "/slow":
        await asyncio.sleep(0.3)
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


def site(kind, bind="127.0.0.1:0"):
    bus = Bus()
    if kind == "wsgi":
        server = WSGIServer(bus, wsgi, bind=bind, threads=4)
    else:
        server = ASGIServer(bus, asgi, bind=bind)
    bus.subscribe(START, server.start, priority=75)
    bus.subscribe(STOP, server.stop, priority=75)
    return bus, server


def warm_up(kind):
    # Import modules, which may open files, while descriptors are available.
    bus, _ = site(kind)
    bus.start()
    bus.exit()
    with warnings.catch_warnings():
        import encodings.idna


def descriptors():
    found = []
    for number in range(100):
        try:
            os.fstat(number)
        except OSError:
            continue
        found.append(number)
    return found


def error_of(start):
    # The error is kept, so that nothing which its traceback refers to is closed by chance.
    try:
        start()
    except TransitionFailures as failed:
        return failed.failures[0].error
    except OSError as error:
        return error
    except RuntimeError as error:
        return error
    return None


"""


def lines_of(source: str, **environment: str) -> list[str]:
    """Run *source* after the prelude in its own process, and return the printed lines."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(source)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **environment},
    )
    # A drain calls accept without a waiting client as well, possibly before the last descriptor is free again.
    errors = [line for line in done.stderr.splitlines() if "cannot accept another connection" not in line]
    assert (done.returncode, errors) == (0, [])
    return done.stdout.splitlines()


@needs_linux
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
@pytest.mark.parametrize("place", ["port", "path"])
def test_a_start_without_descriptors_names_the_limit_and_leaves_none_open(
    kind: str, place: str, tmp_path: Path
) -> None:
    """With each number of free descriptors; the first start that has enough succeeds."""
    bind = "127.0.0.1:0" if place == "port" else f"unix:{tmp_path / 'x'}"

    lines = lines_of(f"""
        warm_up({kind!r})
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        held, kept = [], []
        try:
            while True:
                held.append(os.dup(2))
        except OSError:
            pass
        before = descriptors()
        while held:
            bus, server = site({kind!r}, {bind!r})
            kept.append(error_of(bus.start))
            if kept[-1] is None:
                break
            assert kept[-1].errno == 24
            print("at most 64 files and sockets (RLIMIT_NOFILE)" in str(kept[-1]), before == descriptors())
            print(threading.active_count())
            before.remove(held[-1])
            os.close(held.pop())
        bus.exit()
        print("started", before == descriptors())
    """)

    *failures, last = lines
    assert last == "started True"
    assert set(failures) == {"True True", "1"}
    assert len(failures) >= 6
    assert list(tmp_path.iterdir()) == []


@needs_linux
@pytest.mark.slow
def test_a_wsgi_server_with_too_few_threads_ends_them() -> None:
    """The error names the limit; no thread or descriptor is left, and the stack size is restored."""
    lines = lines_of(
        """
        warm_up("wsgi")
        threading.stack_size(256 << 20)
        with open("/proc/self/statm") as statm:
            used = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (3 * 256 + 100 << 20),) * 2)
        before = descriptors()
        bus, server = site("wsgi")
        error = error_of(bus.start)
        print(type(error).__name__, error.thread, "(RLIMIT_AS)" in str(error), threading.active_count())
        print(before == descriptors(), threading.stack_size() >> 20)
        """,
        MALLOC_ARENA_MAX="1",
    )

    assert lines == ["OutOfThreads wsgi 2 True 1", "True 256"]


#: Uses up all threads of the process until `others` is set.
NO_THREADS = """
threading.stack_size(64 << 20)
with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (3 * 64 + 40 << 20),) * 2)
others, taken = threading.Event(), []
try:
    while True:
        thread = threading.Thread(target=others.wait, daemon=True)
        thread.start()
        taken.append(thread)
except RuntimeError:
    pass
before = descriptors()


def let_go():
    threading.stack_size(1 << 20)
    others.set()
    for thread in taken:
        thread.join()


"""


@needs_linux
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_a_server_without_a_thread_closes_its_socket(kind: str, tmp_path: Path) -> None:
    """The file of the socket is removed as well; the server starts when threads are available again."""
    lines = lines_of(
        f"warm_up({kind!r})\n"
        + NO_THREADS
        + textwrap.dedent(f"""
            bus, server = site({kind!r}, "unix:{tmp_path / "x"}")
            error = error_of(bus.start)
            print(type(error).__name__, error.thread, os.path.exists({str(tmp_path / "x")!r}), before == descriptors())
            let_go()
            print(error_of(bus.start))
            bus.exit()
        """),
        MALLOC_ARENA_MAX="1",
    )

    assert lines == [f"OutOfThreads server unix:{tmp_path / 'x'} False True", "None"]


@needs_linux
@pytest.mark.slow
@pytest.mark.parametrize(
    "component",
    [
        "Monitor(bus, work, every=60, name='worker')",
        "BackgroundTask(bus, work, name='worker')",
    ],
)
def test_a_component_without_a_thread_can_be_restarted(component: str) -> None:
    """The error names its thread."""
    lines = lines_of(
        NO_THREADS
        + textwrap.dedent(f"""
            bus, begun = Bus(), threading.Event()

            def work(*stopping):
                begun.set()
                stopping[0].wait()

            one = {component}
            error = error_of(one.start)
            print(type(error).__name__, error.thread, before == descriptors())
            one.stop()
            let_go()
            print(error_of(one.start), threading.active_count())
            one.stop()
            bus.exit()
            bus.block()
        """),
        MALLOC_ARENA_MAX="1",
    )

    assert lines == ["OutOfThreads worker True", "None 2"]


@needs_linux
@pytest.mark.slow
@pytest.mark.parametrize(
    ("dispatcher", "thread"),
    [
        ("ASGIDispatcher(bus, bus[MOUNT], threads=2)", "wsgi under asgi 0"),
        ("WSGIDispatcher(bus, bus[MOUNT])", "asgi under wsgi"),
    ],
)
def test_a_dispatcher_without_a_thread_can_be_restarted(dispatcher: str, thread: str) -> None:
    """The error names its thread, and no descriptor is left open."""
    lines = lines_of(
        textwrap.dedent(f"""
            from typedbus.servers.mounts import MOUNT, ASGIDispatcher, ASGIMount, WSGIDispatcher, WSGIMount

            bus = Bus()
            bus[MOUNT].subscribe(lambda: WSGIMount("/wsgi", wsgi))
            bus[MOUNT].subscribe(lambda: ASGIMount("/asgi", asgi))
            one = {dispatcher}
            one.start()
            one.stop()
        """)
        + NO_THREADS
        + textwrap.dedent("""
            error = error_of(one.start)
            print(type(error).__name__, error.thread, before == descriptors())
            let_go()
            print(error_of(one.start))
            one.stop()
            print(threading.active_count())
            bus.exit()
        """),
        MALLOC_ARENA_MAX="1",
    )

    assert lines == [f"OutOfThreads {thread} True", "None", "1"]


@needs_linux
@pytest.mark.slow
def test_a_health_check_without_a_thread_fails() -> None:
    """The probe is answered, and the next probe runs the check."""
    lines = lines_of(
        NO_THREADS
        + textwrap.dedent("""
            bus = Bus()
            bus.start()
            bus.subscribe(READY, lambda: Check(is_ok=True))
            health = Health(bus)
            print([(one.is_ok, one.detail.partition(" '")[0]) for one in health.ready().checks])
            let_go()
            print([(one.is_ok, one.detail) for one in health.ready().checks])
            bus.exit()
        """),
        MALLOC_ARENA_MAX="1",
    )

    assert lines == ["[(False, 'cannot start thread')]", "[(True, '')]"]


@needs_linux
@pytest.mark.slow
def test_a_host_without_a_thread_exits_its_bus() -> None:
    """The error names the limit, and the host can start the bus again."""
    lines = lines_of(
        "from typedbus import Component, Container\nfrom typedbus.hosting.wsgi import Hosted\n"
        + NO_THREADS
        + textwrap.dedent("""
            class Shop(Container):
                bus = Component(Bus)

            shop = Shop()
            hosted = Hosted(wsgi, shop)
            error = error_of(hosted.start)
            print(type(error).__name__, "(RLIMIT_AS)" in str(error), shop.bus().state.name)
            let_go()
            print(error_of(hosted.start), shop.bus().state.name)
            hosted.exit()
        """),
        MALLOC_ARENA_MAX="1",
    )

    assert lines == ["OutOfThreads True EXITED", "None STARTED"]


@needs_linux
@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without other processes")
def test_the_limit_of_a_user_is_named() -> None:
    """With its value and how to raise it."""
    lines = lines_of("""
        warm_up("wsgi")
        os.setgroups([])
        os.setgid(48123)
        os.setuid(48123)
        resource.setrlimit(resource.RLIMIT_NPROC, (3, 3))
        bus, server = site("wsgi")
        error = error_of(bus.start)
        print(threading.active_count(), error.thread, error.limit)
    """)

    assert lines == [
        f"1 wsgi 1 user 48123 may have at most 3 processes and threads (RLIMIT_NPROC); raise the limit with {WAYS}, or start fewer threads"
    ]


@needs_linux
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_an_idle_server_without_descriptors_stops_at_once(kind: str) -> None:
    """accept(2) fails although no client waits; this neither prolongs the drain nor is logged."""
    lines = lines_of(f"""
        import logging

        logging.basicConfig(stream=sys.stdout, level=logging.WARNING)
        warm_up({kind!r})
        bus, server = site({kind!r})
        bus.start()
        bus.subscribe(LOG, lambda message, level: print(message))
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        held = []
        try:
            while True:
                held.append(os.dup(2))
        except OSError:
            pass
        began = time.monotonic()
        bus.stop()
        print(time.monotonic() - began < 5)
        bus.exit()
    """)

    assert lines == ["True"]


@needs_linux
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_a_client_without_a_descriptor_is_served_during_a_drain(kind: str, tmp_path: Path) -> None:
    """As soon as an earlier connection has ended, even if that takes longer than the wait for late clients."""
    lines = lines_of(f"""
        import logging
        import socket

        logging.getLogger("uvicorn.error").addHandler(logging.NullHandler())
        REQUEST = b"GET /slow HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n"
        warm_up({kind!r})
        bus, server = site({kind!r}, "unix:{tmp_path / "x"}")
        bus.start()
        path = server.address.removeprefix("unix:")
        clients = [socket.socket(socket.AF_UNIX) for _ in range(2)]
        # All descriptors that are left but one, for the first client.
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        held = []
        try:
            while True:
                held.append(os.dup(2))
        except OSError:
            os.close(held.pop())
        for client in clients:
            client.settimeout(30)
            client.connect(path)
        stopper = threading.Thread(target=bus.stop)
        stopper.start()
        for client in clients:
            client.sendall(REQUEST)
        for client in clients:
            print(client.recv(1000).partition(b"\\r\\n")[0])
            client.close()
        stopper.join()
        bus.exit()
    """)

    assert [line.split()[1] for line in lines] == ["204", "204"]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_an_error_about_descriptors_keeps_its_errno_and_cause(number: int) -> None:
    """It is still an OSError, and can be pickled."""
    cause = OSError(number, os.strerror(number))

    error = with_limit(cause)

    assert isinstance(error, OutOfDescriptors)
    assert (error.errno, error.__cause__) == (number, cause)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.errno, again.limit) == (str(error), number, error.limit)


@pytest.mark.parametrize("error", [OSError(errno.ENOENT, "no file"), ValueError(errno.EMFILE), KeyboardInterrupt()])
def test_other_errors_are_not_converted(error: BaseException) -> None:
    """They are raised unchanged."""
    assert with_limit(error) is error


def test_a_second_start_of_a_thread_is_not_reported_as_a_limit() -> None:
    """Python's own error is raised."""
    thread = threading.Thread(target=int)
    start_thread(thread)
    thread.join()

    with pytest.raises(RuntimeError, match="threads can only be started once") as raised:
        start_thread(thread)

    assert not isinstance(raised.value, OutOfThreads)


def test_an_error_about_threads_can_be_pickled() -> None:
    """With the thread and the limit."""
    error = OutOfThreads("wsgi 3", "the limit")

    again = pickle.loads(pickle.dumps(error))

    assert (str(again), again.thread, again.limit) == (str(error), "wsgi 3", "the limit")
