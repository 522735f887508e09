"""Invalid uses of periodic tasks, threads and autoreload; a marked line is an error for both checkers."""

import threading

from typedbus import Bus, Component, Container, on
from typedbus.plugins.autoreload import Autoreload
from typedbus.plugins.monitor import BackgroundTask, Monitor
from typedbus.plugins.threads import THREAD_ENDED, THREAD_STARTED, Threads


def work(stopping: threading.Event) -> None: ...
def expire(age: int) -> None: ...
async def follow() -> None: ...


class Connections:
    @on(THREAD_STARTED)  # E
    def open(self) -> None: ...

    @on(THREAD_ENDED)  # E
    def close(self, name: str, /) -> None: ...


class Site(Container):
    bus = Component(Bus)
    without_bus = Component(Monitor, expire, every=60)  # E
    not_provided = Component(Monitor, bus, print, every=60)  # E
    threads = Component(Threads)  # E


def other_arguments_of_a_monitor(bus: Bus) -> None:
    Monitor(bus, print)  # E
    Monitor(bus, print, 60)  # E
    Monitor(bus, expire, every=60)  # E
    Monitor(bus, "expire", every=60)  # E
    Monitor(bus, print, every="60")  # E
    Monitor(bus, print(), every=60)  # E
    Monitor(bus, print, every=60, failures=1)  # E
    Monitor(bus, print, every=60, restart="always")  # E


def other_arguments_of_a_task(bus: Bus) -> None:
    BackgroundTask(bus)  # E
    BackgroundTask(bus, lambda: None)  # E
    BackgroundTask(bus, expire)  # E
    BackgroundTask(bus, work, "working")  # E
    BackgroundTask(bus, work, every=1)  # E
    BackgroundTask(bus, work, restart="never")  # E
    BackgroundTask(bus, follow)  # E


def unsuitable_paths(bus: Bus) -> None:
    Autoreload()  # E
    Autoreload(bus, ["src"])  # E
    Autoreload(bus, paths=[1])  # E
    Autoreload(bus, patterns=None)  # E
    Autoreload(bus, debounce="0.1")  # E


def unsuitable_numbers(threads: Threads, bus: Bus) -> None:
    _name: str = threads.acquire()  # E
    threads.release(1)  # E
    bus[THREAD_ENDED].publish("1")  # E
