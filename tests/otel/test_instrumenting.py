"""Turning telemetry on and off: the instrumentor, the component, and the command."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import INVALID_SPAN, get_current_span
from tests.doubles import HookRecorder
from tests.otel.recorded import Recorded
from tests.processes import in_child

from typedbus import LOG, RUNS, START, Bus, Channel, Component, Container, TransitionFailures, running
from typedbus.events import LIFECYCLE
from typedbus.otel import Telemetry, TypedbusInstrumentor

NOTED = Channel[[str], None]("noted")


class Shop(Container):
    """Telemetry, and a component after it."""

    bus = Component(Bus)
    recorded = Component(Recorded)
    telemetry = Component(Telemetry, bus.provided, tracer_provider=recorded.provided.provider)
    notes: Component[list[str]] = Component(list)
    stock = Component(HookRecorder, notes.provided, "stock")


def test_a_bus_from_before_is_not_instrumented(recorded: Recorded) -> None:
    """Only buses that are created after `instrument` are."""
    before = Bus()
    instrumentor = TypedbusInstrumentor()
    instrumentor.instrument(tracer_provider=recorded.provider)
    try:
        before.start()
        assert recorded.spans == []
        Bus().start()
        assert list(recorded.tree()) == ["typedbus start"]
    finally:
        instrumentor.uninstrument()


def test_uninstrumenting_leaves_a_bus_as_it_was(recorded: Recorded) -> None:
    """The listeners of telemetry are removed, and a bus that is created afterwards has none."""
    instrumentor = TypedbusInstrumentor()
    instrumentor.instrument(tracer_provider=recorded.provider)
    bus = Bus()
    instrumentor.uninstrument()

    for each in (bus, Bus()):
        assert not each[LIFECYCLE].has_listeners
        assert not each[RUNS].has_listeners
        each.start()
        with recorded.tracer.start_as_current_span("request"):
            each[NOTED].publish("ink")
    assert recorded.tree() == {"request": {}, "request (2)": {}}


def test_uninstrumenting_within_a_transition_ends_its_span(recorded: Recorded) -> None:
    """The span is not current after the transition."""
    instrumentor = TypedbusInstrumentor()
    instrumentor.instrument(tracer_provider=recorded.provider)
    bus = Bus()
    bus[START].subscribe(instrumentor.uninstrument)

    bus.start()
    recorded.tracer.start_span("after").end()

    assert list(recorded.tree()) == ["typedbus start", "after"]


def test_instrumenting_again_records_to_the_new_provider(recorded: Recorded) -> None:
    """A bus that was instrumented before is not recorded again."""
    other, instrumentor = Recorded(), TypedbusInstrumentor()
    for each in (recorded, other):
        instrumentor.instrument(tracer_provider=each.provider)
        Bus().start()
        instrumentor.uninstrument()

    assert [list(each.tree()) for each in (recorded, other)] == [["typedbus start"]] * 2


def test_an_instrumented_bus_lives_as_long_as_it_is_referenced(instrumented: Recorded) -> None:
    """Telemetry does not keep it alive."""
    bus = Bus()
    bus.start()
    bus.exit()
    reference = weakref.ref(bus)
    del bus
    gc.collect()

    assert reference() is None


def test_an_unknown_argument_is_refused() -> None:
    """A misspelt argument would otherwise have no effect."""
    with pytest.raises(TypeError, match="tracer_providr"):
        TypedbusInstrumentor().instrument(tracer_providr=None)

    assert not TypedbusInstrumentor().is_instrumented_by_opentelemetry


def test_the_component_records_what_comes_after_its_construction(capsys: pytest.CaptureFixture[str]) -> None:
    """It records the rest of the start in which it was constructed, and the exit; again in the next run."""
    shop = Shop()
    for _ in range(2):
        with running(shop):
            recorded = shop.recorded()
        assert recorded.tree() == {
            "typedbus start": {
                "construct Shop.notes": {},
                "construct Shop.stock": {},
                "start Shop.telemetry": {},
                "start Shop.stock": {},
            },
            "typedbus exit": {
                "stop Shop.stock": {},
                "exit Shop.stock": {},
                "exit Shop.telemetry": {},
            },
        }
        assert recorded.attributes("exit Shop.telemetry")["typedbus.outcome"] == "exited"
    assert not shop.bus()[LIFECYCLE].has_listeners
    assert capsys.readouterr().err == ""


def test_the_component_is_constructed_before_components_that_are_declared_before_it(recorded: Recorded) -> None:
    """Its start hook has a low priority."""

    class Site(Container):
        bus = Component(Bus)
        notes: Component[list[str]] = Component(list)
        stock = Component(HookRecorder, notes.provided, "stock")
        telemetry = Component(Telemetry, bus.provided, tracer_provider=recorded.provider)

    with running(Site):
        pass

    assert list(recorded.tree()["typedbus start"]) == [
        "construct Site.notes",
        "construct Site.stock",
        "start Site.telemetry",
        "start Site.stock",
    ]


def test_the_component_takes_precedence_over_the_instrumentor(instrumented: Recorded) -> None:
    """Nothing is recorded twice; after the exit the instrumentor records the bus again."""
    shop = Shop()
    with running(shop):
        instrumented.clear()
        recorded = shop.recorded()
        shop.bus().stop()
        shop.bus().start()
        assert "typedbus stop" in recorded.tree()
        assert instrumented.spans == []
    shop.bus().start()
    shop.bus().exit()

    assert list(instrumented.tree())[0] == "typedbus start"


def test_telemetry_can_be_ended_without_a_container(recorded: Recorded) -> None:
    """A call of `exit` outside a transition ends the recording at once."""
    bus = Bus()
    telemetry = Telemetry(bus, tracer_provider=recorded.provider)
    bus.start()
    telemetry.exit()
    bus.exit()

    assert list(recorded.tree()) == ["typedbus start"]


def test_a_processor_that_fails_does_not_fail_the_transition(recorded: Recorded) -> None:
    """The failure is logged, with its traceback."""

    class Failing(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            raise OSError("no exporter")

    recorded.provider.add_span_processor(Failing())
    lines: list[str] = []
    bus = Bus()
    bus[LOG].subscribe(lambda message, level: lines.append(message))
    Telemetry(bus, tracer_provider=recorded.provider)
    bus.start()

    assert get_current_span() is INVALID_SPAN
    assert [line.splitlines()[0] for line in lines] == ["telemetry failed at the end of a transition:"]
    assert lines[0].endswith("OSError: no exporter")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_child_that_is_forked_in_a_start_has_traces_of_its_own(instrumented: Recorded) -> None:
    """The child does not end the span of the start of its parent."""

    def check() -> None:
        bus.detach()
        bus[START].unsubscribe(fork)
        instrumented.clear()
        bus.start()
        bus.exit()
        assert list(instrumented.tree()) == ["typedbus start", "typedbus exit"], instrumented.tree()

    def fork() -> None:
        in_child(check)

    bus = Bus()
    bus[START].subscribe(fork)
    bus.start()

    assert list(instrumented.tree()) == ["typedbus start"]


SITE = """
from typedbus import Bus, Component, Container

class Worker:
    def start(self):
        pass

class Site(Container):
    bus = Component(Bus)
    worker = Component(Worker)
"""


@pytest.mark.slow
def test_the_command_of_opentelemetry_instruments_a_site(tmp_path: Path) -> None:
    """`opentelemetry-instrument typedbus run` writes the spans of the site to the console."""
    (tmp_path / "site_of_test.py").write_text(SITE, encoding="utf-8")
    scripts = Path(sys.executable).parent
    environment = os.environ | {
        "OTEL_TRACES_EXPORTER": "console",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    }
    ended = subprocess.run(
        [scripts / "opentelemetry-instrument", scripts / "typedbus", "run", "site_of_test:Site", "--exit-after-start"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    names = [span["name"] for span in documents(ended.stdout)]
    assert names == [
        "construct CommandLine.signals",
        "construct Site.worker",
        "start CommandLine.signals",
        "start Site.worker",
        "typedbus start",
        "exit CommandLine.signals",
        "typedbus exit",
    ]


def documents(text: str) -> Iterator[dict[str, object]]:
    """Yield the JSON objects in *text*, one after the other."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        document, at = decoder.raw_decode(text, at)
        yield document
        at += len(text[at:]) - len(text[at:].lstrip())


@pytest.mark.slow
def test_without_opentelemetry_the_import_names_the_extra() -> None:
    """The error has the command that installs the extra."""
    code = "import sys; sys.modules['opentelemetry.instrumentation'] = None; import typedbus.otel"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert ended.stderr.splitlines()[-1] == (
        "ImportError: typedbus.otel needs opentelemetry.instrumentation.instrumentor: pip install 'typedbus[otel]'"
    )


def test_a_failure_before_telemetry_exists_is_not_recorded(recorded: Recorded) -> None:
    """Telemetry that is never constructed changes nothing."""

    class Site(Container):
        bus = Component(Bus)
        notes: Component[list[str]] = Component(list)
        first = Component(HookRecorder, notes.provided, start=OSError("no first"))
        telemetry = Component(Telemetry, bus.provided, tracer_provider=recorded.provider)

    with pytest.raises(TransitionFailures), running(Site) as site:
        raise AssertionError(site)

    assert recorded.tree()["typedbus start"]["start Site.first"] == {}
