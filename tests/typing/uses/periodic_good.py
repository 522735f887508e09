"""Valid uses of periodic tasks, threads and autoreload."""

import threading
from pathlib import Path
from typing import assert_type

from typedbus import Bus, Component, Container, Restart, Stopping, on
from typedbus.plugins.autoreload import Autoreload
from typedbus.plugins.monitor import BackgroundTask, Monitor
from typedbus.plugins.threads import THREAD_ENDED, THREAD_STARTED, Threads


class Cache:
    def expire(self) -> int:
        return 0

    def fill(self, stopping: threading.Event) -> None: ...

    def refill(self, stopping: Stopping) -> int:
        stopping.beat()
        return 0

    async def follow(self, stopping: Stopping) -> None:
        await stopping.until_set()


class Connections:
    @on(THREAD_STARTED)
    def open(self, number: int, /) -> None: ...

    @on(THREAD_ENDED)
    def close(self, number: int, /) -> None: ...


class Site(Container):
    bus = Component(Bus)
    cache = Component(Cache)
    expiring = Component(Monitor, bus.provided, cache.provided.expire, every=60)
    filling = Component(BackgroundTask, bus.provided, cache.provided.fill, name="filling", patience=10)
    refilling = Component(BackgroundTask, bus.provided, cache.provided.refill, restart=Restart("always", silent=30))
    following = Component(BackgroundTask, bus.provided, cache.provided.follow, restart=None)
    checking = Component(Monitor, bus.provided, cache.provided.expire, every=5, restart=Restart(then="unready"))
    threads = Component(Threads, bus.provided)
    autoreload = Component(Autoreload, bus.provided, paths=["src", Path("site.toml")], patterns=("*.py", "*.toml"))
    watching = Component(Autoreload, bus.provided, paths="src", patterns="*.py", ignore="tests", debounce=0.2)


def attributes(site: Site, bus: Bus) -> None:
    assert_type(site.expiring(), Monitor)
    assert_type(site.expiring().failures, int)
    assert_type(site.expiring().last_error, BaseException | None)
    assert_type(site.filling().is_running, bool)
    assert_type(site.threads().acquire(), int)
    assert_type(site.threads().numbers, tuple[int, ...])
    bus[THREAD_STARTED].subscribe(lambda number: print(number + 1))


def methods(bus: Bus) -> None:
    Monitor(bus, lambda: None, every=0.5, longest=60, name="clearing", patience=1)
    Monitor(bus, bus.graceful, every=3600)
    BackgroundTask(bus, lambda stopping: stopping.wait(1))
    BackgroundTask(bus, print)
    BackgroundTask(bus, lambda stopping: stopping.until_set())
    Autoreload(bus)
    Autoreload(bus, paths=None)
