"""Notifications to a service manager about the runs of a bus."""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Iterator

import pytest
from tests.consumer import Consumer
from tests.doubles import LIMIT
from tests.plugins.service_manager import Manager

from typedbus import GRACEFUL, LOG, MAIN, Bus, Component, Container, Restart, Stopping, running
from typedbus.events import (
    COMPONENT_STARTING,
    COMPONENT_STOPPING,
    FAILED,
    ComponentStarting,
    ComponentStopping,
    Failed,
    RunBegan,
    RunBroke,
    RunGaveUp,
)
from typedbus.plugins.systemd import Systemd
from typedbus.testing import FakeClock, Recorder, RunRecorder

if sys.platform == "win32":
    pytest.skip("there is no such service manager", allow_module_level=True)


@pytest.fixture
def manager() -> Iterator[Manager]:
    """Yield a manager; the path of its socket must be short."""
    with tempfile.TemporaryDirectory() as folder:
        manager = Manager(f"{folder}/notify")
        yield manager
        manager.close()


def test_runs_that_do_not_work_are_in_the_status(manager: Manager) -> None:
    """The status has them until they work again, also after a reload."""
    clock = FakeClock()

    class Site(Container):
        bus = Component(Bus, clock=clock)
        systemd = Component(Systemd, bus.provided, environ=manager.environ)
        consumer = Component(Consumer, OSError("broker\ngone")).supervised(Restart(first=1.0, jitter=0.0))
        loader = Component(Consumer, ValueError("no data")).supervised(Restart("never", then="unready"))

    site = Site()
    site.systemd()
    with RunRecorder(site.attach()) as events, running(site):
        events.wait(RunBroke, "Site.consumer")
        events.wait(RunGaveUp, "Site.loader")
        manager.await_("Site.loader")
        site.bus()[GRACEFUL].publish()
        reloaded = manager.messages
        clock.advance(1.0)
        events.wait(RunBegan, "Site.consumer")
        again = manager.await_("Site.loader")

    loader = "Site.loader: it has failed, and does not run again: ValueError('no data')"
    assert reloaded[-1] == (
        f"READY=1; STATUS=started; Site.consumer: it runs again in 1.0 s: OSError('broker\\ngone'); {loader}"
    )
    assert again == [f"STATUS=started; {loader}"]


def test_a_long_error_of_a_run_is_cut_off_in_the_status(manager: Manager) -> None:
    """The other notifications in the same datagram are received."""

    class Site(Container):
        bus = Component(Bus)
        systemd = Component(Systemd, bus.provided, environ=manager.environ)
        loader = Component(Consumer, ValueError("x" * 10**6)).supervised(Restart("never", then="unready"))

    site = Site()
    site.systemd()
    with RunRecorder(site.attach()) as events, running(site):
        events.wait(RunGaveUp)
        manager.await_("Site.loader")
        site.bus()[GRACEFUL].publish()
        ready = manager.messages[-1]

    assert ready.startswith(
        "READY=1; STATUS=started; Site.loader: it has failed, and does not run again: ValueError('xxx"
    )
    assert ready.endswith("xxx...")


def test_a_run_that_begins_with_the_start_has_no_status(manager: Manager) -> None:
    """The only status is "started"."""

    class Site(Container):
        bus = Component(Bus)
        systemd = Component(Systemd, bus.provided, environ=manager.environ)
        consumer = Component(Consumer)

    site = Site()
    site.systemd()
    with RunRecorder(site.attach()) as events, running(site):
        events.wait(RunBegan)
        messages = manager.messages

    assert [message for message in messages if "STATUS=started" in message][1:] == []


def test_the_restart_of_a_component_is_no_status(manager: Manager) -> None:
    """The bus stays STARTED, so no event would replace the status of the last component that starts again."""
    bus = Bus()
    Systemd(bus, environ=manager.environ)
    bus.start()
    assert manager.messages
    bus[COMPONENT_STOPPING].publish(ComponentStopping("Site.pool"))
    bus[FAILED].publish(Failed("Site.pool", "stop", 0.0, OSError()))
    bus[COMPONENT_STARTING].publish(ComponentStarting("Site.pool"))

    assert manager.messages == []
    bus.exit()


def test_no_watchdog_notification_is_sent_while_a_run_is_silent_for_too_long(manager: Manager) -> None:
    """The stack of the run is logged once; after a beat of the run a notification is sent at the next tick."""
    clock, released, beaten = FakeClock(), threading.Event(), threading.Event()

    def hang(stopping: Stopping) -> None:
        released.wait()
        stopping.beat()
        beaten.set()
        stopping.wait()

    class Site(Container):
        bus = Component(Bus, clock=clock)
        systemd = Component(
            Systemd,
            bus.provided,
            environ={**manager.environ, "WATCHDOG_USEC": "2"},
            clock=lambda: int(clock.now() * 1e9),
        )
        consumer = Component(Consumer, hang).supervised(Restart(silent=30.0))

    site = Site()
    site.systemd()
    bus = site.attach()
    signs = []
    with RunRecorder(bus) as events, running(site):
        events.wait(RunBegan)
        manager.await_("READY=1")
        with Recorder(bus[LOG]) as log:
            for seconds in (30.0, 1.0, 1.0):
                clock.advance(seconds, sleepers=0)
                bus[MAIN].publish()
                signs.append(manager.messages)
        released.set()
        assert beaten.wait(LIMIT)
        bus[MAIN].publish()
        signs.append(manager.messages)

    assert signs == [["WATCHDOG=1"], [], [], ["WATCHDOG=1"]]
    (call,) = log.calls
    text = str(call.args[0])
    assert text.startswith(
        "systemd receives no watchdog notification: run Site.consumer: it has not called stopping.beat() for 31.0 s; "
        "its limit is 30 s; it is at:\n"
    )
    assert "in hang\n    released.wait()" in text
    assert call.args[1] == 40
