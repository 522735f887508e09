"""The spans of restarts while the bus runs."""

from __future__ import annotations

from collections.abc import Collection

import attrs
import pytest
from opentelemetry.trace import StatusCode
from tests.doubles import HookRecorder
from tests.otel.recorded import Recorded
from tests.runs.shops import Events, Worker

from typedbus import RUN, START, Bus, Component, Container, Restart, RunFailed, Stopping, on, running
from typedbus._base.limits import StartNode
from typedbus._bus.bus import parts_of
from typedbus._bus.partial import PartialOutcome, PartialRestart
from typedbus.events import RunBegan, RunBroke, RunGaveUp
from typedbus.testing import FakeClock


@attrs.define
class NoRuns:
    """The runs of restarted components that have no runs."""

    def end(self, nodes: Collection[StartNode], /) -> None:
        """Do nothing: no run exists."""

    def begin(self, nodes: Collection[StartNode], /) -> None:
        """Do nothing: no run exists."""

    def failed(self, error: BaseException, /) -> float | None:
        """Ask for no further attempt."""
        return None


class Shop(Container):
    """A stock that needs a database, and a shelf that does not."""

    bus = Component(Bus)
    notes: Component[list[str]] = Component(list)
    failing: Component[list[str]] = Component(list)
    database = Component(HookRecorder, notes.provided, "database")
    stock = Component(HookRecorder, notes.provided, "stock", database, failing=failing.provided)
    shelf = Component(HookRecorder, notes.provided, "shelf")


def restart(bus: Bus, path: str = "Shop.database") -> PartialOutcome:
    """Restart the component at *path* and its users."""
    (node,) = (hook.node for hook in bus[START].subscriptions if hook.path == path)
    assert node is not None
    return PartialRestart(parts_of(bus).machine, node, NoRuns()).carry_out(0.0)


def test_a_restart_of_a_part_is_a_trace_of_its_own(instrumented: Recorded) -> None:
    """The span has the name of the component; users are stopped before the component, and started after it."""
    with running(Shop) as shop:
        instrumented.clear()
        assert restart(shop.bus()) is PartialOutcome.RESTARTED
        tree = instrumented.tree()

    assert tree == {
        "restart Shop.database": {
            "stop Shop.stock": {},
            "stop Shop.database": {},
            "start Shop.database": {},
            "start Shop.stock": {},
        }
    }
    assert instrumented.attributes("restart Shop.database") == {
        "typedbus.component": "Shop.database",
        "typedbus.components": 2,
        "typedbus.outcome": "started",
    }


def test_a_restart_of_a_part_that_fails_has_failed(instrumented: Recorded) -> None:
    """The span of the start that failed has the exception."""
    with running(Shop) as shop:
        shop.failing().append("start stock")
        assert restart(shop.bus()) is PartialOutcome.GAVE_UP
        shop.failing().clear()

    attributes = instrumented.attributes("restart Shop.database")
    assert attributes["typedbus.outcome"] == "failed"
    assert instrumented.span("restart Shop.database").status.status_code is StatusCode.ERROR
    failed = [span for span in instrumented.spans if span.status.description == "OSError: no start stock"]
    assert [span.name for span in failed] == ["start Shop.stock"]


class Consumer(Worker):
    """A component with a run."""

    def start(self) -> None:
        """It has a span."""

    @on(RUN)
    def consume(self, stopping: Stopping) -> None:
        self.work(stopping)


class Site(Container):
    """A component whose run is called again once, after a second, and one whose run is not."""

    clock = Component(FakeClock)
    bus = Component(Bus, clock=clock.provided)
    consumer = Component(Consumer).supervised(Restart(most=1, first=1.0, jitter=0))
    other = Component(Consumer)


def test_each_restart_of_a_run_is_a_trace_of_its_own(
    instrumented: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its span lasts from the failure to the next call, and is linked to the span of the start of the component."""
    with running(Site) as site:
        events, consumer = Events(site.bus()), site.consumer()
        site.other().end()
        consumer.until_called()
        start = instrumented.span("start Site.consumer")
        instrumented.clear()
        consumer.fail(OSError("broker gone"))
        events.until(RunBroke)
        assert instrumented.spans == []
        site.clock().advance(1.0)
        consumer.until_called()
        assert instrumented.tree() == {"restart run Site.consumer": {}}
        consumer.end()

    assert capsys.readouterr().err == ""
    restart = instrumented.span("restart run Site.consumer")
    assert restart.context.trace_id != start.context.trace_id
    assert [link.context for link in restart.links] == [start.context]
    assert restart.status.description == "OSError: broker gone"
    assert [event.name for event in restart.events] == ["exception"]
    assert instrumented.attributes("restart run Site.consumer") == {
        "typedbus.component": "Site.consumer",
        "typedbus.attempt": 2,
        "error.type": "OSError",
        "typedbus.outcome": "started",
    }


def test_a_run_that_fails_for_good_has_a_span_with_the_exception(instrumented: Recorded) -> None:
    with pytest.raises(RunFailed), running(Site) as site:
        events = Events(site.bus())
        site.other().fail(OSError("broker gone"))
        events.until(RunGaveUp)
        site.consumer().end()

    assert instrumented.tree()["run Site.other"] == {}
    assert instrumented.span("run Site.other").status.description == "OSError: broker gone"
    assert instrumented.attributes("run Site.other")["typedbus.outcome"] == "failed"


def test_a_restart_that_a_stop_calls_off_ends_with_the_stop(instrumented: Recorded) -> None:
    """The outcome of its span is cancelled."""
    with running(Site) as site:
        events, consumer = Events(site.bus()), site.consumer()
        site.other().end()
        consumer.fail(OSError("broker gone"))
        events.until(RunBroke)
        site.bus().stop()
        attributes = instrumented.attributes("restart run Site.consumer")

    assert attributes["typedbus.outcome"] == "cancelled"


def test_a_restart_of_a_part_is_a_part_of_the_restart_of_the_run_that_has_failed(instrumented: Recorded) -> None:
    """The spans of the restarted components are below the restart of the run."""
    with running(Site) as site:
        events, consumer = Events(site.bus()), site.consumer()
        site.other().end()
        consumer.fail(OSError("broker gone"))
        events.until(RunBroke)
        restart(site.bus(), "Site.consumer")
        consumer.end()
        site.clock().advance(1.0)
        events.until(RunBegan)

    assert instrumented.tree()["restart run Site.consumer"] == {
        "restart Site.consumer": {"start Site.consumer": {}},
    }


def test_a_restart_of_a_part_is_no_part_of_the_restart_of_another_component(instrumented: Recorded) -> None:
    """The run of the other component fails at the same time."""
    with running(Site) as site:
        events = Events(site.bus())
        site.consumer().fail(OSError("broker gone"))
        events.until(RunBroke)
        restart(site.bus(), "Site.other")
        for each in (site.consumer(), site.other()):
            each.end()
        site.clock().advance(1.0)
        events.until(RunBegan)

    assert instrumented.tree()["restart run Site.consumer"] == {}
    assert instrumented.tree()["restart Site.other"] == {"start Site.other": {}}


def test_a_run_that_takes_its_dependents_along_is_one_trace(instrumented: Recorded) -> None:
    """The stops and starts of the dependents are below the restart, which ends when the run is called again."""

    class Page:
        def __init__(self, consumer: Consumer) -> None:
            pass

        def start(self) -> None:
            """It has a span."""

        def stop(self) -> None:
            """It has a span."""

    class Front(Container):
        clock = Component(FakeClock)
        bus = Component(Bus, clock=clock.provided)
        consumer = Component(Consumer).supervised(Restart(most=1, first=1.0, jitter=0, takes="dependents"))
        page = Component(Page, consumer.provided)

    with running(Front) as front:
        events, consumer = Events(front.bus()), front.consumer()
        consumer.until_called()
        instrumented.clear()
        consumer.fail(OSError("broker gone"))
        events.until(RunBroke)
        front.clock().advance(1.0)
        consumer.until_called()
        consumer.end()

    # The restart has ended before the stop begins.
    assert instrumented.tree()["restart run Front.consumer"] == {
        "restart Front.consumer": {
            "stop Front.page": {},
            "start Front.consumer": {},
            "start Front.page": {},
        }
    }
