"""
Measure a publish on a bus with OpenTelemetry against the same publish on a bus without.

``python bench/telemetry.py`` prints a table. All rows take turns in one run, and the fastest round of each counts. The
listeners do nothing, and the SDK keeps no spans: the table shows the overhead of recording, not that of exporting.
"""

from __future__ import annotations

import itertools
import time

from opentelemetry.context import attach, get_current
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import set_span_in_context

from rounds import measure, pin
from scenarios import Timed
from tables import print_interpreter, print_table
from typedbus import Bus, Channel
from typedbus.otel import Telemetry

ROUNDS = 60
SECONDS = 0.003
COUNTS = (1, 3, 10)
CHANNEL = Channel[[int], None]("channel")
BASELINE = "no telemetry"


def bus_of(count: int, **settings: object) -> Bus:
    """Return a bus with *count* listeners, and with telemetry if there are *settings*."""
    bus = Bus()
    for number in range(count):
        names: dict[str, object] = {}
        exec(f"def listen_{number}(value): pass", names)
        bus[CHANNEL].subscribe(names[f"listen_{number}"])
    if settings:
        Telemetry(bus, **settings)
    return bus


def timed(name: str, bus: Bus, provider: TracerProvider | None = None) -> Timed:
    """Return a loop of publishes on *bus*, inside a span of *provider* unless that is None."""
    publish = bus[CHANNEL].publish

    def run(number: int) -> float:
        outer = get_current()
        if provider is not None:
            attach(set_span_in_context(provider.get_tracer("bench").start_span("request")))
        began = time.thread_time()
        for _ in itertools.repeat(None, number):
            publish(1)
        took = time.thread_time() - began
        attach(outer)
        return took

    return Timed(name, run)


def rows(count: int) -> list[Timed]:
    """Return the rows of the table for *count* listeners."""
    on, off = TracerProvider(), TracerProvider(sampler=ALWAYS_OFF)
    common = {"tracer_provider": on, "meter_provider": MeterProvider([InMemoryMetricReader()])}
    return [
        timed(BASELINE, bus_of(count)),
        timed("not tracing: outside a span", bus_of(count, **common)),
        timed("not tracing: in a span that is not recorded", bus_of(count, **common), off),
        timed('trace, recording, `listeners="none"`', bus_of(count, **common, listeners="none"), on),
        timed('trace, recording, `listeners="slow"`', bus_of(count, **common), on),
        timed('trace, recording, `listeners="all"`', bus_of(count, **common, listeners="all"), on),
    ]


def main() -> None:
    """Print the table."""
    pin(to_one=True)
    print_interpreter(f"`{BASELINE}`")
    figures = {str(count): measure(rows(count), BASELINE, ROUNDS, SECONDS) for count in COUNTS}
    print_table("one publish to", figures)


if __name__ == "__main__":
    main()
