"""The health checks of runs, which need no code in components."""

from __future__ import annotations

import threading

import pytest
from tests.consumer import Attempt, Consumer
from tests.doubles import LIMIT

from typedbus import RUN, Bus, Component, Container, Restart, RunRecord, RunState, State, Stopping, on, running
from typedbus.events import RunBegan, RunBroke, RunEnded, RunGaveUp
from typedbus.plugins._run_checks import alive_checks, ready_checks
from typedbus.plugins.health import READY, Check, Checked, Health, Probe
from typedbus.testing import FakeClock, RunRecorder

FIVE = Restart(first=1.0, longest=1.0, jitter=0.0)
FIVE_WITH_DEPENDENTS = Restart(first=1.0, longest=1.0, jitter=0.0, takes="dependents")


def site_of(policy: Restart, *attempts: Attempt) -> tuple[Container, FakeClock, Health, RunRecorder]:
    """Return a container with a run, its clock, its health and the events of the run."""
    clock = FakeClock()

    class Site(Container):
        bus = Component(Bus, clock=clock)
        consumer = Component(Consumer, *attempts).supervised(policy)
        health = Component(Health, bus.provided, limit=LIMIT)

    site = Site()
    return site, clock, site.health(), RunRecorder(site.attach())


def test_a_run_is_a_check_of_its_own() -> None:
    """Both channels have a check named by the path of the run, after the checks of listeners."""
    site, _, health, events = site_of(FIVE)
    site.attach()[READY].subscribe(lambda: Check(True))
    with events, running(site):
        events.wait(RunBegan)
        alive, ready = health.alive(), health.ready()

    assert alive.checks == (Checked("Site.consumer", True, "running", 0.0),)
    assert ready.checks[1:] == alive.checks
    assert alive.is_ok
    assert ready.is_ok


def test_a_run_that_waits_is_not_ready_and_alive() -> None:
    """Its check has the pause and the error; after its next call the run is ready."""
    site, clock, health, events = site_of(FIVE, OSError("broker gone"))
    with events, running(site):
        events.wait(RunBroke)
        waiting, alive = health.ready(), health.alive()
        clock.advance(0.75)
        later = health.ready()
        clock.advance(0.25)
        events.wait(RunBegan)
        again = health.ready()

    assert waiting.checks == (Checked("Site.consumer", False, "it runs again in 1.0 s: OSError('broker gone')", 0.0),)
    assert (waiting.is_ok, waiting.reason, alive.is_ok) == (False, "", True)
    assert later.checks[0].detail.startswith("it runs again in 0.2 s: ")
    assert again.is_ok


def test_a_run_that_has_failed_is_not_ready_for_good() -> None:
    """With then="unready" the bus continues without the run."""
    site, clock, health, events = site_of(Restart("never", then="unready"), OSError("broker gone"))
    with events, running(site):
        events.wait(RunGaveUp)
        clock.advance(1000.0, sleepers=0)
        ready, alive = health.ready(), health.alive()

    assert [checked.detail for checked in ready.checks] == [
        "it has failed, and does not run again: OSError('broker gone')"
    ]
    assert (ready.is_ok, alive.is_ok) == (False, True)


def test_a_run_whose_work_is_done_is_ready() -> None:
    """A run that returned, such as an import, does not make the process unready."""
    site, _, health, events = site_of(FIVE, lambda stopping: None)
    with events, running(site):
        events.wait(RunEnded)
        ready = health.ready()

    assert ready.checks == (Checked("Site.consumer", True, "ended", 0.0),)
    assert ready.is_ok


class Feed:
    """A component with a run that becomes ready in its first call only."""

    def __init__(self) -> None:
        self.is_broken = False
        self.broken = threading.Event()

    @on(RUN, awaited=True)
    def follow(self, stopping: Stopping) -> None:
        if self.is_broken:
            stopping.wait()
            return
        stopping.ready()
        self.is_broken = True
        self.broken.wait()
        raise OSError("no line")


def test_an_awaited_run_that_is_called_again_is_not_ready_until_it_reports_that() -> None:
    """The first call was ready, and the second call has not reported it."""
    clock = FakeClock()

    class Site(Container):
        bus = Component(Bus, clock=clock)
        feed = Component(Feed).supervised(FIVE)
        health = Component(Health, bus.provided, limit=LIMIT)

    site = Site()
    with RunRecorder(site.attach()) as events, running(site):
        first = site.health().ready()
        site.feed().broken.set()
        events.wait(RunBroke)
        clock.advance(1.0)
        events.wait(RunBegan)
        second = site.health().ready()

    assert first.is_ok
    assert second.checks == (Checked("Site.feed", False, "it has not called stopping.ready()", 0.0),)


def test_a_run_that_is_silent_for_too_long_is_not_alive() -> None:
    """The check has the stack of its thread; after the next beat the process is alive."""
    released, beaten = threading.Event(), threading.Event()

    def hang(stopping: Stopping) -> None:
        released.wait()
        stopping.beat()
        beaten.set()
        stopping.wait()

    site, clock, health, events = site_of(Restart(silent=30.0), hang)
    with events, running(site):
        events.wait(RunBegan)
        clock.advance(30.0, sleepers=0)
        in_time = health.alive()
        clock.advance(1.0, sleepers=0)
        alive, ready = health.alive(), health.ready()
        released.set()
        assert beaten.wait(LIMIT)
        well = health.alive()

    (checked,) = alive.checks
    text = "it has not called stopping.beat() for 31.0 s; its limit is 30 s; it is at:\n"
    assert checked.detail.startswith(text)
    assert "in hang\n    released.wait()" in checked.detail
    assert (in_time.is_ok, alive.is_ok, ready.is_ok, well.is_ok) == (True, False, False, True)


class AsyncFeed:
    """A component with an async run that never calls `beat`."""

    @on(RUN)
    async def follow(self, stopping: Stopping) -> None:
        await stopping.until_set()


def test_the_check_of_an_async_run_has_the_stack_of_its_task() -> None:
    """The stack of the thread would only show the event loop."""
    clock = FakeClock()

    class Site(Container):
        bus = Component(Bus, clock=clock)
        feed = Component(AsyncFeed).supervised(Restart(silent=30.0))
        health = Component(Health, bus.provided, limit=LIMIT)

    site = Site()
    with RunRecorder(site.attach()) as events, running(site):
        events.wait(RunBegan)
        # The task has begun when the loop answers.
        site.bus()[READY].subscribe(well)
        assert site.health().ready().checks[0].is_ok
        clock.advance(31.0, sleepers=0)
        (checked,) = site.health().alive().checks

    assert not checked.is_ok
    assert "in follow\n    await stopping.until_set()" in checked.detail


class BlockingFeed:
    """A component with an async run that blocks its event loop until a test releases it."""

    def __init__(self) -> None:
        self.is_blocking, self.released = threading.Event(), threading.Event()

    @on(RUN)
    async def follow(self, stopping: Stopping) -> None:
        self.is_blocking.set()
        self.released.wait()
        await stopping.until_set()


def test_the_check_of_an_async_run_that_blocks_its_loop_has_the_stack_of_the_loop() -> None:
    """A task that blocks the loop has no stack of its own."""
    clock = FakeClock()

    class Site(Container):
        bus = Component(Bus, clock=clock)
        feed = Component(BlockingFeed).supervised(Restart(silent=30.0))
        health = Component(Health, bus.provided, limit=LIMIT)

    with running(Site) as site:
        feed = site.feed()
        assert feed.is_blocking.wait(LIMIT)
        clock.advance(31.0, sleepers=0)
        (checked,) = site.health().alive().checks
        feed.released.set()

    assert "in follow\n    self.released.wait()" in checked.detail


async def well() -> Check:
    return Check(True)


class Pool:
    """A component whose run fails when a test wants it, and takes its dependents along."""

    def __init__(self, probes: dict[str, Probe], bus: Bus) -> None:
        self.probes, self.health = probes, Health(bus, limit=LIMIT)
        self.may_fail, self.has_stopped = threading.Event(), threading.Event()

    def start(self) -> None:
        self.probes["pool starts"] = self.health.ready()

    def stop(self) -> None:
        self.probes["pool stops"] = self.health.ready()
        self.has_stopped.set()

    @on(RUN)
    def watch(self, stopping: Stopping) -> None:
        if self.may_fail.is_set():
            stopping.wait()
            return
        self.may_fail.wait()
        raise OSError("pool gone")


class Page:
    """A component that needs the pool, with a run of its own."""

    def __init__(self, probes: dict[str, Probe], pool: Pool) -> None:
        self.probes, self.health = probes, pool.health

    def start(self) -> None:
        self.probes["page starts"] = self.health.ready()

    def stop(self) -> None:
        self.probes["page stops"] = self.health.ready()

    @on(RUN)
    def serve(self, stopping: Stopping) -> None:
        stopping.wait()


def test_a_process_is_not_ready_while_a_component_and_its_dependents_restart() -> None:
    """It is alive at each step, and ready when all of them work again."""
    clock, probes = FakeClock(), dict[str, Probe]()

    class Site(Container):
        bus = Component(Bus, clock=clock)
        pool = Component(Pool, probes, bus.provided).supervised(FIVE_WITH_DEPENDENTS)
        page = Component(Page, probes, pool.provided)
        health = Component(Health, bus.provided, limit=LIMIT)

    site = Site()
    with RunRecorder(site.attach()) as events, running(site):
        events.wait(RunBegan, "Site.pool")
        events.wait(RunBegan, "Site.page")
        before = site.health().ready()
        probes.clear()
        site.pool().may_fail.set()
        assert site.pool().has_stopped.wait(LIMIT)
        clock.advance(1.0)
        events.wait(RunBegan, "Site.pool")
        events.wait(RunBegan, "Site.page")
        after, steps = site.health().ready(), dict(probes)

    assert before.is_ok
    assert list(steps) == ["page stops", "pool stops", "pool starts", "page starts"]
    for probe in steps.values():
        assert (probe.is_ok, probe.state, probe.reason) == (False, State.STARTED, "")
        assert probe.checks[0].detail.startswith("it runs again in ")
    assert after.is_ok


def test_the_runs_of_a_bus_that_is_not_started_are_not_checked() -> None:
    """The probe has the reason of the bus only."""
    site, _, health, _ = site_of(FIVE)
    with running(site):
        site.attach().stop()
        stopped = health.ready()

    assert (stopped.reason, stopped.checks) == ("the bus is STOPPED", ())


def record_of(state: RunState, *, next_at: float | None = None, error: str | None = None) -> RunRecord:
    """Return the record of a run in *state* that does not do its work."""
    return RunRecord("Site.run", state, 0.0, 1, 0, next_at, error, None, None, False, 0.0, str)


@pytest.mark.parametrize(
    ("record", "detail"),
    [
        (record_of(RunState.IDLE), "it has not begun"),
        (record_of(RunState.WAITING), "it has not begun"),
        (record_of(RunState.WAITING, next_at=1.0, error="OSError()"), "it runs again in 0.0 s: OSError()"),
        (record_of(RunState.WAITING, error="OSError()"), "it runs again: OSError()"),
        (record_of(RunState.STOPPING), "it was asked to end"),
    ],
)
def test_a_run_that_does_not_work_is_not_ready(record: RunRecord, detail: str) -> None:
    """The process is alive."""
    runs = {"Site.run": record}

    assert ready_checks(runs, now=2.0) == [Checked("Site.run", False, detail, 0.0)]
    assert alive_checks(runs) == [Checked("Site.run", True, record.state.value, 0.0)]


def test_a_silent_run_whose_thread_has_just_ended_has_no_stack() -> None:
    """The text does not announce a stack."""
    policy = Restart(silent=30.0)
    record = RunRecord("Site.run", RunState.RUNNING, 0.0, 1, 0, None, None, None, policy, True, 31.0, str)
    text = "it has not called stopping.beat() for 31.0 s; its limit is 30 s"

    assert alive_checks({"Site.run": record}) == [Checked("Site.run", False, text, 0.0)]
