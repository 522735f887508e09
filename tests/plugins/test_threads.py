"""Threads: announcements of threads that other code creates, their thread and their numbers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import urlopen

import pytest

from typedbus import STOP, Bus, ChannelFailures, Component, Container, running
from typedbus.plugins.threads import THREAD_ENDED, THREAD_STARTED, Threads


class Notes:
    """Records the announcements of threads, and the thread of each."""

    def __init__(self, bus: Bus) -> None:
        self.started: list[tuple[int, threading.Thread]] = []
        self.ended: list[tuple[int, threading.Thread]] = []
        bus[THREAD_STARTED].subscribe(lambda number: self.started.append((number, threading.current_thread())))
        bus[THREAD_ENDED].subscribe(lambda number: self.ended.append((number, threading.current_thread())))


@pytest.fixture
def bus() -> Bus:
    """Return a bus."""
    return Bus()


@pytest.fixture
def notes(bus: Bus) -> Notes:
    """Return a recorder of the announcements."""
    return Notes(bus)


@pytest.fixture
def threads(bus: Bus, notes: Notes) -> Threads:
    """Return the tested component."""
    return Threads(bus)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Yield a pool of one thread, like that of a server."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def in_thread(function: Callable[[], object]) -> threading.Thread:
    """Call *function* in a thread, and return the thread when it has ended."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join(10)
    return thread


def test_a_thread_is_announced_at_its_first_acquire(threads: Threads, notes: Notes, pool: ThreadPoolExecutor) -> None:
    """In the thread itself, and once, however often it calls."""
    own = pool.submit(threading.current_thread).result(10)
    numbers = [pool.submit(threads.acquire).result(10) for _ in range(3)]

    assert numbers == [1, 1, 1]
    assert notes.started == [(1, own)]
    assert threads.numbers == (1,)
    assert threads.by_thread == {own: 1}


def test_the_end_of_a_thread_is_announced_at_its_release(
    threads: Threads, notes: Notes, pool: ThreadPoolExecutor
) -> None:
    """In the thread itself, and once; a thread without a number announces nothing."""
    own = pool.submit(threading.current_thread).result(10)
    for act in (threads.release, threads.acquire, threads.release, threads.release):
        pool.submit(act).result(10)

    assert notes.ended == [(1, own)]
    assert threads.numbers == ()


def test_numbers_are_not_reused(threads: Threads, notes: Notes) -> None:
    """Neither after a release nor after a stop."""
    threads.acquire()
    thread = threading.Thread(target=lambda: [act() for act in (threads.acquire, threads.release)])
    thread.start()
    thread.join(10)
    in_thread(threads.acquire)
    threads.stop()
    threads.acquire()

    assert [number for number, _ in notes.started] == [1, 2, 3, 4]


def test_the_end_of_a_thread_without_release_is_announced_by_the_next_new_thread(
    threads: Threads, notes: Notes
) -> None:
    """With its own number and only once, even if the next thread has the same ident."""
    in_thread(threads.acquire)
    del notes.started[:]
    second = in_thread(lambda: (threads.acquire(), threads.acquire()))

    assert notes.started == [(2, second)]
    assert notes.ended == [(1, second)]
    assert threads.numbers == (2,)


def test_the_end_of_a_thread_that_is_still_referenced_is_announced(threads: Threads, notes: Notes) -> None:
    """A reference to the thread object makes no difference."""
    thread = in_thread(threads.acquire)
    threads.acquire()

    assert notes.ended == [(1, threading.current_thread())]
    assert not thread.is_alive()


def test_threads_are_not_kept_alive(threads: Threads, bus: Bus) -> None:
    """The objects of a thread are freed at its end, and not at the stop."""
    import gc
    import weakref

    def begin() -> weakref.ref[threading.Thread]:
        return weakref.ref(in_thread(lambda: quiet.acquire()))

    quiet = Threads(Bus())
    ended = begin()
    gc.collect()

    assert ended() is None
    assert quiet.numbers == (1,)
    assert quiet.by_thread == {}


def test_a_stop_announces_the_end_of_the_remaining_threads(
    threads: Threads, notes: Notes, pool: ThreadPoolExecutor
) -> None:
    """Once each, in the thread of the stop, in the order of their first acquire."""
    pool.submit(threads.acquire).result(10)
    threads.acquire()
    threads.stop()
    threads.stop()

    assert notes.ended == [(1, threading.current_thread()), (2, threading.current_thread())]
    pool.submit(threads.release).result(10)
    assert len(notes.ended) == 2
    assert pool.submit(threads.acquire).result(10) == 3


def test_acquire_raises_the_failure_of_a_listener(threads: Threads, notes: Notes, bus: Bus) -> None:
    """The thread has its number nevertheless, and the ended threads are announced."""

    def fail(number: int) -> None:
        raise OSError("no connection")

    in_thread(threads.acquire)
    bus[THREAD_STARTED].subscribe(fail)
    with pytest.raises(ChannelFailures, match="thread_started"):
        threads.acquire()

    assert threads.acquire() == 2
    assert [number for number, _ in notes.ended] == [1]


def test_all_threads_are_announced_if_a_listener_fails(threads: Threads, notes: Notes, bus: Bus) -> None:
    """Several failures are raised together at the end; a single one is raised as it is."""

    def fail(number: int) -> None:
        raise OSError("no connection")

    bus[THREAD_ENDED].subscribe(fail)
    barrier = threading.Barrier(2)
    pair = [threading.Thread(target=lambda: (threads.acquire(), barrier.wait(10))) for _ in range(2)]
    for thread in pair:
        thread.start()
    for thread in pair:
        thread.join(10)

    with pytest.raises(ExceptionGroup, match="for several threads") as raised:
        threads.stop()
    threads.acquire()
    with pytest.raises(ChannelFailures, match="thread_ended"):
        threads.stop()

    assert [type(error) for error in raised.value.exceptions] == [ChannelFailures, ChannelFailures]
    assert [number for number, _ in notes.ended] == [1, 2, 3]


def test_many_threads_at_once_have_a_number_each(threads: Threads, notes: Notes) -> None:
    """No thread is lost or announced twice, whatever other threads do meanwhile."""
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait(10)
        for _ in range(200):
            threads.acquire()
            threads.release()
        threads.acquire()

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    threads.stop()

    expected = list(range(1, 8 * 201 + 1))
    assert sorted(number for number, _ in notes.started) == expected
    assert sorted(number for number, _ in notes.ended) == expected


def test_each_thread_of_a_threading_server_is_announced() -> None:
    """Each request has a thread, which calls release or is found to have ended at the stop."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.threads().acquire()
            if self.path == "/release":
                site.threads().release()
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    class Site(Container):
        bus = Component(Bus)
        threads = Component(Threads, bus.provided)

    site = Site()
    notes = Notes(site.attach())
    with running(site), ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        for path in ("/release", "/", "/release"):
            urlopen(f"http://127.0.0.1:{server.server_port}{path}", timeout=10).close()
        server.shutdown()
        serving.join(10)
        server.server_close()

    assert [number for number, _ in notes.started] == [1, 2, 3]
    assert sorted(number for number, _ in notes.ended) == [1, 2, 3]
    assert all(thread is not threading.current_thread() for _, thread in notes.started)


def test_the_component_has_two_channels_and_no_start_hook(threads: Threads) -> None:
    """Servers create threads on demand; only the stop is a hook."""
    assert (THREAD_STARTED.name, THREAD_ENDED.name) == ("thread_started", "thread_ended")
    assert not hasattr(Threads, "start")
    assert hasattr(Threads, STOP.name)
