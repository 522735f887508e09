"""The spans of transitions, and of the components in them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode, get_current_span
from tests.doubles import ConstructionRecorder, HookRecorder, ThreadCall, TickingClock, raising
from tests.otel.recorded import Recorded, Tree

import typedbus.wspbus
from typedbus import (
    EXIT,
    START,
    Bus,
    Component,
    Container,
    Limits,
    Resource,
    StartCancelled,
    State,
    TransitionFailures,
    running,
)
from typedbus.events import LIFECYCLE, MOVED, LifecycleEvent, Moved
from typedbus.otel import Telemetry, TypedbusInstrumentor


class Shop(Container):
    """A database, and a stock that needs it."""

    bus = Component(Bus)
    notes: Component[list[str]] = Component(list)
    database = Component(HookRecorder, notes.provided, "database")
    stock = Component(HookRecorder, notes.provided, "stock", database)


class Broken(Container):
    """A shop whose stock does not start."""

    bus = Component(Bus)
    notes: Component[list[str]] = Component(list)
    database = Component(HookRecorder, notes.provided, "database")
    stock = Component(HookRecorder, notes.provided, "stock", database, start=OSError("no stock"))


def test_a_start_and_an_exit_are_two_traces_with_a_span_for_each_step(
    instrumented: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    """The spans of constructions and hooks are children of the transition, in order; each span is ended once."""
    with running(Shop):
        assert instrumented.tree() == {
            "typedbus start": {
                "construct Shop.notes": {},
                "construct Shop.database": {},
                "construct Shop.stock": {},
                "start Shop.database": {},
                "start Shop.stock": {},
            }
        }
        instrumented.clear()

    assert instrumented.tree() == {
        "typedbus exit": {
            "stop Shop.stock": {},
            "stop Shop.database": {},
            "exit Shop.stock": {},
            "exit Shop.database": {},
        }
    }
    assert caplog.records == []


def test_the_spans_have_attributes(instrumented: Recorded) -> None:
    """A transition has its states, the number of components and its outcome; a step has its component and its needs."""
    with running(Shop):
        pass

    assert instrumented.attributes("typedbus start") == {
        "typedbus.state.from": "STOPPED",
        "typedbus.state.to": "STARTED",
        "typedbus.components": 3,
        "typedbus.outcome": "started",
    }
    assert instrumented.attributes("typedbus exit") == {
        "typedbus.state.from": "STARTED",
        "typedbus.state.to": "EXITED",
        "typedbus.components": 2,
        "typedbus.outcome": "exited",
    }
    assert instrumented.attributes("construct Shop.database")["typedbus.outcome"] == "constructed"
    for verb, outcome in (("construct", "constructed"), ("start", "started"), ("stop", "stopped"), ("exit", "exited")):
        assert instrumented.attributes(f"{verb} Shop.stock") == {
            "typedbus.component": "Shop.stock",
            "typedbus.needs": ("Shop.notes", "Shop.database"),
            "typedbus.outcome": outcome,
        }


def test_the_scope_names_the_library_its_version_and_the_schema(instrumented: Recorded) -> None:
    """A backend can identify the library that recorded a span, and its semantic conventions."""
    Bus().start()

    scope = instrumented.span("typedbus start").instrumentation_scope
    assert scope is not None
    assert (scope.name, scope.version) == ("typedbus", typedbus.__version__)
    assert str(scope.schema_url).startswith("https://opentelemetry.io/schemas/1.")


def test_a_start_that_fails_has_its_rollback_in_its_trace(instrumented: Recorded) -> None:
    """The failed hook has the exception; the stops of the rollback are below a span of the rollback."""
    with pytest.raises(TransitionFailures), running(Broken):
        pass

    assert instrumented.tree() == {
        "typedbus start": {
            "construct Broken.notes": {},
            "construct Broken.database": {},
            "construct Broken.stock": {},
            "start Broken.database": {},
            "start Broken.stock": {},
            "rollback": {"stop Broken.database": {}},
        },
        "typedbus exit": {"exit Broken.stock": {}, "exit Broken.database": {}},
    }
    failed = instrumented.span("start Broken.stock")
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.status.description == "OSError: no stock"
    assert instrumented.attributes("start Broken.stock")["error.type"] == "OSError"
    assert instrumented.attributes("start Broken.stock")["typedbus.outcome"] == "failed"
    (event,) = failed.events
    assert event.name == "exception"
    assert event.attributes is not None
    assert event.attributes["exception.message"] == "no stock"


def test_the_transition_has_the_status_of_its_failure_but_no_second_event(instrumented: Recorded) -> None:
    """The exception is recorded once, where it was raised."""
    with pytest.raises(TransitionFailures), running(Broken):
        pass

    start = instrumented.span("typedbus start")
    assert start.status.status_code is StatusCode.ERROR
    assert start.events == ()
    assert instrumented.attributes("typedbus start") == {
        "typedbus.state.from": "STOPPED",
        "typedbus.state.to": "STOPPED",
        "typedbus.components": 3,
        "typedbus.outcome": "failed",
        "error.type": "typedbus.TransitionFailures",
    }
    assert instrumented.span("typedbus exit").status.status_code is StatusCode.UNSET


def test_a_constructor_that_fails_has_a_span_with_its_exception(instrumented: Recorded) -> None:
    """The components that were constructed before it have spans without an error."""

    class Site(Container):
        bus = Component(Bus)
        notes: Component[list[str]] = Component(list)
        first = Component(ConstructionRecorder, notes.provided, "first")
        second = Component(ConstructionRecorder, notes.provided, "second", build=OSError("no second"))

    with pytest.raises(TransitionFailures), running(Site):
        pass

    assert instrumented.tree()["typedbus start"] == {
        "construct Site.notes": {},
        "construct Site.first": {},
        "construct Site.second": {},
        "rollback": {},
    }
    assert instrumented.span("construct Site.second").status.description == "OSError: no second"
    assert instrumented.span("construct Site.first").status.status_code is StatusCode.UNSET


class Misfit:
    """A component whose start hook takes an argument, which is a fault."""

    def start(self, hours: int) -> None:
        raise AssertionError


def misfit():  # type: ignore[no-untyped-def]  # so that validation does not know the class
    """Return a component whose fault is found after its construction."""
    return Misfit()


def test_a_fault_that_is_found_in_the_start_is_an_exception_of_the_start(instrumented: Recorded) -> None:
    """The span of the construction has no error, since the component was constructed."""

    class Site(Container):
        bus = Component(Bus)
        misfit = Component(misfit)

    with pytest.raises(TransitionFailures), running(Site):
        pass

    assert instrumented.tree()["typedbus start"] == {"construct Site.misfit": {}, "rollback": {}}
    assert instrumented.span("construct Site.misfit").status.status_code is StatusCode.UNSET
    start = instrumented.span("typedbus start")
    assert start.status.status_code is StatusCode.ERROR
    (event,) = start.events
    assert event.attributes is not None
    assert event.attributes["exception.type"] == "typedbus.InvalidContainer"


def test_the_span_of_a_cancelled_start_has_the_cause(instrumented: Recorded) -> None:
    """A component cancels the start by `request_exit` with a cause."""

    class Worker:
        def __init__(self, bus: Bus) -> None:
            self.bus = bus

        def start(self) -> None:
            self.bus.request_exit(OSError("no disk"))

        def exit(self) -> None:
            pass

    class Site(Container):
        bus = Component(Bus)
        worker = Component(Worker, bus.provided)

    with pytest.raises(StartCancelled), running(Site):
        pass

    attributes = instrumented.attributes("typedbus start")
    assert (attributes["typedbus.outcome"], attributes["typedbus.state.to"]) == ("cancelled", "EXITED")
    assert instrumented.span("typedbus start").status.description == "OSError: no disk"
    assert instrumented.tree()["typedbus start"]["rollback"] == {}
    assert (instrumented.span("rollback").end_time or 0) <= (instrumented.span("exit Site.worker").start_time or 0)


def test_a_start_that_is_called_off_has_no_error(instrumented: Recorded) -> None:
    """A call of `stop` cancels the start without a cause."""
    bus = Bus()
    bus[START].subscribe(bus.stop)

    with pytest.raises(StartCancelled):
        bus.start()

    start = instrumented.span("typedbus start")
    assert instrumented.attributes("typedbus start")["typedbus.outcome"] == "cancelled"
    assert start.status.status_code is StatusCode.UNSET
    assert start.events == ()


def test_a_stop_and_the_start_after_it_are_traces_of_their_own(instrumented: Recorded) -> None:
    """The second start constructs no component, and its spans have the needs of the components."""
    with running(Shop) as shop:
        instrumented.clear()
        shop.bus().stop()
        shop.bus().start()
        tree = instrumented.tree()

    assert tree == {
        "typedbus stop": {"stop Shop.stock": {}, "stop Shop.database": {}},
        "typedbus start": {"start Shop.database": {}, "start Shop.stock": {}},
    }
    assert instrumented.attributes("typedbus stop")["typedbus.outcome"] == "stopped"
    assert instrumented.attributes("start Shop.stock")["typedbus.needs"] == ("Shop.notes", "Shop.database")


def test_a_stop_that_becomes_an_exit_is_one_trace(instrumented: Recorded) -> None:
    """The span has the name of the last transition."""

    class Last:
        def __init__(self, bus: Bus) -> None:
            self.bus = bus

        def stop(self) -> None:
            self.bus.request_exit()

    class Site(Container):
        bus = Component(Bus)
        last = Component(Last, bus.provided)

    with running(Site) as site:
        instrumented.clear()
        site.bus().stop()

    assert instrumented.tree() == {"typedbus exit": {"stop Site.last": {}}}


def test_an_exit_that_is_requested_at_the_end_of_a_start_is_a_trace_of_its_own(instrumented: Recorded) -> None:
    """The span of the start has succeeded, although the bus continues to the exit in the same call."""

    def request_exit(event: Moved) -> None:
        if event.after is State.STARTED:
            bus.request_exit()

    bus = Bus()
    bus[MOVED].subscribe(request_exit)
    hook = bus[EXIT].subscribe(nothing)
    with contextlib.suppress(StartCancelled):
        bus.start()

    assert instrumented.tree() == {"typedbus start": {}, "typedbus exit": {f"exit {hook.path}": {}}}
    assert instrumented.attributes("typedbus start")["typedbus.outcome"] == "started"
    assert instrumented.attributes("typedbus exit")["typedbus.state.from"] == "STARTED"


class MetricsExporter(MetricExporter):
    """Counts the exports of metrics."""

    def __init__(self) -> None:
        super().__init__()
        self.exports = 0

    def export(self, metrics_data: MetricsData, timeout_millis: float = 0, **kwargs: object) -> MetricExportResult:
        self.exports += 1
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 0) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 0, **kwargs: object) -> None:
        pass


class Replacement:
    """A replacement of the process that calls a function."""

    def __init__(self, spans: InMemorySpanExporter, metrics: MetricsExporter) -> None:
        self.spans = spans
        self.metrics = metrics
        self.names: list[str] = []
        self.exports = 0

    def problem(self) -> str | None:
        return None

    def replace(self, failed: BaseException | None) -> None:
        self.names = [span.name for span in self.spans.get_finished_spans()]
        self.exports = self.metrics.exports


def test_a_restart_is_exported_before_the_process_is_replaced() -> None:
    """A batching processor would lose the spans and metrics that it has not exported."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=3_600_000))
    metrics = MetricsExporter()
    meters = MeterProvider([PeriodicExportingMetricReader(metrics, export_interval_millis=3_600_000)])
    instrumentor = TypedbusInstrumentor()
    instrumentor.instrument(tracer_provider=provider, meter_provider=meters)
    try:
        shop = Shop()
        bus = shop.bus()
        replacement = bus.replacement = Replacement(exporter, metrics)
        with running(shop):
            bus.restart()
            bus.block()
    finally:
        instrumentor.uninstrument()
        provider.shutdown()
        meters.shutdown()

    assert replacement.names[-5:] == [
        "stop Shop.stock",
        "stop Shop.database",
        "exit Shop.stock",
        "exit Shop.database",
        "typedbus restart",
    ]
    assert replacement.exports == 1


def test_a_transition_is_linked_to_the_span_in_which_it_was_called(instrumented: Recorded) -> None:
    """It is not a child of that span, which may be that of a request."""
    with instrumented.tracer.start_as_current_span("request") as request:
        Bus().start()

    start = instrumented.span("typedbus start")
    assert start.parent is None
    assert start.context.trace_id != request.get_span_context().trace_id
    assert [link.context for link in start.links] == [request.get_span_context()]


def test_a_transition_leaves_the_current_span_as_it_was(instrumented: Recorded) -> None:
    """An interrupted transition restores the current span as well."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    bus = Bus()
    with instrumented.tracer.start_as_current_span("request") as request:
        bus.start()
        after_start = get_current_span()
        bus.exit()
        bus[START].subscribe(interrupt)
        with pytest.raises(KeyboardInterrupt):
            bus.start()
        assert after_start is get_current_span() is request


def test_an_interrupt_between_two_hooks_ends_all_spans(instrumented: Recorded) -> None:
    """The interrupted transition has ended; the next one, which continues it, is another trace."""

    def interrupt(event: LifecycleEvent) -> None:
        if event == Moved(State.STARTING, State.STOPPING):
            raise KeyboardInterrupt

    bus = Bus()
    bus[START].subscribe(raising(OSError("no start")))
    bus[LIFECYCLE].subscribe(interrupt)
    with pytest.raises(KeyboardInterrupt):
        bus.start()
    bus[LIFECYCLE].unsubscribe(interrupt)
    bus.stop()

    roots = instrumented.tree()
    assert list(roots) == ["typedbus start", "typedbus stop"]
    assert "rollback" in roots["typedbus start"]
    assert instrumented.attributes("typedbus start")["error.type"] == "KeyboardInterrupt"


def test_between_two_steps_the_span_of_the_transition_is_current(instrumented: Recorded) -> None:
    """A span that a listener of events creates is a child of the transition."""
    bus = Bus()
    hook = bus[START].subscribe(nothing)
    bus[MOVED].subscribe(lambda event: instrumented.tracer.start_span(f"to {event.after.name}").end())
    bus.start()

    assert instrumented.tree() == {
        "to STARTING": {},
        "typedbus start": {f"start {hook.path}": {}, "to STARTED": {}},
    }


def nothing() -> None:
    """Do nothing."""


class Tracing:
    """Records a span in each hook."""

    def __init__(self, recorded: Recorded, name: str, *needs: object) -> None:
        self.recorded = recorded
        self.name = name
        self.recorded.tracer.start_span(f"in construct {name}").end()

    def start(self) -> None:
        self.recorded.tracer.start_span(f"in start {self.name}").end()

    def stop(self) -> None:
        self.recorded.tracer.start_span(f"in stop {self.name}").end()


class AsyncTracing(Tracing):
    """Records a span in each hook, in async hooks."""

    async def start(self) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        super().start()

    async def stop(self) -> None:  # type: ignore[override]
        await asyncio.to_thread(super().stop)


def branches(names: tuple[str, ...], site: str) -> Tree:
    """Return the trees of a start and an exit of `Tracing` components."""
    return {
        "typedbus start": {f"construct {site}.{name}": {f"in construct {name}": {}} for name in names}
        | {f"start {site}.{name}": {f"in start {name}": {}} for name in names},
        "typedbus exit": {f"stop {site}.{name}": {f"in stop {name}": {}} for name in names},
    }


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("limits", [Limits(), Limits(hook=10.0, start=10.0)], ids=["unlimited", "limited"])
def test_spans_in_a_constructor_or_a_hook_are_below_its_span(
    instrumented: Recorded, workers: int, limits: Limits
) -> None:
    """Hooks run in the thread of the transition and in worker threads."""
    site = type(
        "Site",
        (Container,),
        {"bus": Component(Bus)} | {name: Component(Tracing, instrumented, name) for name in ("a", "b", "c")},
    )
    with running(site, workers=workers, limits=limits):
        pass

    assert instrumented.tree() == branches(("a", "b", "c"), "Site")


def test_spans_in_an_async_hook_are_below_its_span(instrumented: Recorded) -> None:
    """Async hooks run on the event loop of the caller, a plain hook in the thread of the transition."""

    class Site(Container):
        bus = Component(Bus)
        a = Component(AsyncTracing, instrumented, "a")
        b = Component(Tracing, instrumented, "b", a)
        c = Component(AsyncTracing, instrumented, "c", b)

    async def main() -> None:
        async with running(Site, workers=2):
            pass

    asyncio.run(main())

    assert instrumented.tree() == branches(("a", "b", "c"), "Site")


def test_the_construction_of_a_resource_is_a_part_of_its_start(instrumented: Recorded) -> None:
    """A resource is opened in the start, and a component that needs it is constructed there, before its hook."""

    def open_it() -> Iterator[int]:
        yield 1

    class Site(Container):
        bus = Component(Bus)
        opened = Resource(open_it)
        user = Component(Tracing, instrumented, "user", opened)

    with running(Site):
        pass

    assert instrumented.tree()["typedbus start"] == {
        "start Site.opened": {"construct Site.opened": {}},
        "start Site.user": {"construct Site.user": {"in construct user": {}}},
        "start Site.user (2)": {"in start user": {}},
    }


def test_a_constructor_that_fails_in_a_start_has_the_exception_and_so_has_the_start(instrumented: Recorded) -> None:
    """A component that needs a resource is constructed in its own start."""

    def open_it() -> Iterator[int]:
        yield 1

    class Site(Container):
        bus = Component(Bus)
        notes: Component[list[str]] = Component(list)
        opened = Resource(open_it)
        user = Component(ConstructionRecorder, notes.provided, "user", opened, build=OSError("no port"))

    with pytest.raises(TransitionFailures), running(Site):
        pass

    assert instrumented.tree()["typedbus start"]["start Site.user"] == {"construct Site.user": {}}
    for name in ("start Site.user", "construct Site.user"):
        assert instrumented.span(name).status.description == "OSError: no port"
    assert instrumented.span("start Site.opened").status.status_code is StatusCode.UNSET


def test_a_hook_that_is_not_called_has_a_span_with_the_reason(instrumented: Recorded) -> None:
    """The hook before it has used up the time of the start."""
    clock = TickingClock()
    bus = Bus(clock=clock, limits=Limits(start=1.0))

    def use_up() -> None:
        clock.seconds += 2.0

    def never() -> None:
        raise AssertionError

    bus[START].subscribe(use_up)
    bus[START].subscribe(never)
    with pytest.raises(TransitionFailures):
        bus.start()

    names = [span.name for span in instrumented.spans if span.status.status_code is StatusCode.ERROR]
    assert len(names) == 2
    assert names[0] == "typedbus start"


def test_telemetry_that_begins_in_a_hook_records_the_next_step(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    """The hook in which it begins has no span."""
    bus = Bus()

    @bus[START].subscribe
    def begin() -> None:
        Telemetry(bus, tracer_provider=recorded.provider)

    hook = bus[START].subscribe(nothing)
    bus.start()

    assert recorded.tree() == {"typedbus start": {f"start {hook.path}": {}}}
    assert capsys.readouterr().err == ""


def test_a_component_that_is_constructed_later_is_a_part_of_the_current_span(
    instrumented: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a recording span, constructions outside a transition are not recorded."""

    class Site(Container):
        bus = Component(Bus)
        first = Component(list[str])
        second = Component(dict[str, str])

    site = Site()
    site.bus()
    site.first()
    with instrumented.tracer.start_as_current_span("request"):
        site.second()

    assert capsys.readouterr().err == ""
    assert instrumented.tree() == {"request": {"construct Site.second": {}}}
    span, request = instrumented.span("construct Site.second"), instrumented.span("request")
    assert (
        (request.start_time or 0) - 10**7 <= (span.start_time or 0) <= (span.end_time or 0) <= (request.end_time or 0)
    )


def test_a_component_that_another_thread_constructs_during_a_transition_is_not_a_part_of_it(
    instrumented: Recorded,
) -> None:
    """A request in the other thread may need the component."""

    class First:
        def __init__(self) -> None:
            ThreadCall(lambda: site.later()).finished()

    class Site(Container):
        bus = Component(Bus)
        first = Component(First)
        later = Component(list[str])

    site = Site()
    with running(site):
        pass

    assert instrumented.tree()["typedbus start"] == {"construct Site.first": {}}


def test_the_duration_of_a_step_is_that_of_the_bus(instrumented: Recorded) -> None:
    """No span ends before it begins, and a hook ends before its transition."""
    with running(Shop):
        pass

    for span in instrumented.spans:
        assert span.start_time is not None
        assert span.end_time is not None
        assert span.end_time >= span.start_time
    root = instrumented.span("typedbus start")
    last = instrumented.span("start Shop.stock")
    assert (root.start_time or 0) <= (last.start_time or 0) <= (last.end_time or 0) <= (root.end_time or 0)


def test_arguments_of_components_are_not_recorded(instrumented: Recorded) -> None:
    """Arguments may be secrets."""

    class Client:
        def __init__(self, password: str) -> None:
            self.password = password

        def start(self) -> None:
            raise OSError("refused")

    class Site(Container):
        bus = Component(Bus)
        client = Component(Client, "hunter2")

    with pytest.raises(TransitionFailures), running(Site):
        pass

    assert not any("hunter2" in text for text in instrumented.texts())


def test_a_transition_that_is_sampled_out_records_nothing(instrumented: Recorded) -> None:
    """Spans that its hooks create are not recorded either."""
    instrumented.provider.sampler = ALWAYS_OFF

    class Site(Container):
        bus = Component(Bus)
        a = Component(Tracing, instrumented, "a")

    with running(Site):
        pass

    assert instrumented.spans == []


def test_a_bus_of_wspbus_is_traced(instrumented: Recorded) -> None:
    """Transitions of `typedbus.wspbus.Bus` have the same spans."""
    bus = typedbus.wspbus.Bus()
    bus.subscribe("start", lambda: None)
    bus.start()
    bus.exit()

    assert list(instrumented.tree()) == ["typedbus start", "typedbus exit"]


def test_a_clock_of_a_test_does_not_move_an_end_into_the_future(instrumented: Recorded) -> None:
    """A hook that advances a fake clock by an hour ends at the current time."""
    clock = TickingClock()
    bus = Bus(clock=clock)

    def wait() -> None:
        clock.seconds = 3600.0

    bus[START].subscribe(wait)
    bus.start()

    root, hook = instrumented.spans
    assert (hook.end_time or 0) <= (root.end_time or 0)


def test_the_span_of_a_transition_is_not_current_after_it(instrumented: Recorded) -> None:
    """A span between two transitions in one thread is a trace of its own."""
    bus = Bus()
    bus.start()
    instrumented.tracer.start_span("between").end()
    bus.stop()

    assert instrumented.tree() == {"typedbus start": {}, "between": {}, "typedbus stop": {}}
