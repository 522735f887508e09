"""The metrics of a bus, as Prometheus reads them."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families
from tests.doubles import HookRecorder
from tests.processes import in_child

from typedbus import START, STOP, Bus, Component, Container, State, TransitionFailures, on, running
from typedbus.events import LIFECYCLE
from typedbus.plugins.health import ALIVE, READY, Check, Health
from typedbus.prometheus import Metrics, MetricsConflict
from typedbus.servers.asgi import ASGIServer
from typedbus.testing import FakeClock


class Slow:
    """A component whose start takes *seconds* of the clock, and then fails if there is an *error*."""

    def __init__(self, clock: FakeClock, seconds: float, error: Exception | None = None) -> None:
        self.clock = clock
        self.seconds = seconds
        self.error = error

    def start(self) -> None:
        self.clock.advance(self.seconds, sleepers=0)
        if self.error is not None:
            raise self.error


def exposition(registry: CollectorRegistry, *names: str) -> list[str]:
    """Return the lines of the text format, or of those families whose names contain one of *names*."""
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if any(name in line for name in names or ("",))]


def test_the_state_of_the_bus_is_one_of_all_states() -> None:
    """The series of this state is 1, those of the other states are 0."""
    bus = Bus()
    metrics = Metrics(bus)
    metrics.start()
    bus.start()

    assert exposition(metrics.registry, "bus_state") == [
        "# HELP typedbus_bus_state 1 for the state that the bus is in, 0 for the others.",
        "# TYPE typedbus_bus_state gauge",
        'typedbus_bus_state{state="STOPPED"} 0.0',
        'typedbus_bus_state{state="STARTING"} 0.0',
        'typedbus_bus_state{state="STARTED"} 1.0',
        'typedbus_bus_state{state="STOPPING"} 0.0',
        'typedbus_bus_state{state="EXITING"} 0.0',
        'typedbus_bus_state{state="EXITED"} 0.0',
    ]


def test_each_start_of_a_component_is_in_a_histogram() -> None:
    """The buckets are cumulative, and each includes its bound."""
    clock = FakeClock()

    class Shop(Container):
        bus = Component(Bus, clock=clock)
        database = Component(Slow, clock, 0.016)
        metrics = Component(Metrics, bus.provided)

    with running(Shop()) as shop:
        shop.bus().stop()
        shop.database().seconds = 300.0
        shop.bus().start()
        lines = exposition(shop.metrics().registry, "HELP typedbus_component", "TYPE typedbus_component", "database")

    name, labels = "typedbus_component_start_duration_seconds", 'component="Shop.database",'
    bounds = ["0.001", "0.004", "0.016", "0.064", "0.256", "1.0", "4.0", "16.0", "60.0", "+Inf"]
    counts = [0, 0, 1, 1, 1, 1, 1, 1, 1, 2]
    assert lines == [
        f"# HELP {name} How long the start hooks of a component took.",
        f"# TYPE {name} histogram",
        *(
            f'{name}_bucket{{{labels}le="{bound}",outcome="started"}} {count:.1f}'
            for bound, count in zip(bounds, counts, strict=True)
        ),
        f'{name}_count{{{labels}outcome="started"}} 2.0',
        f'{name}_sum{{{labels}outcome="started"}} 300.016',
    ]


def test_a_bus_without_a_container_has_metrics() -> None:
    """Its listeners of `START` are counted by their names; the counts begin again after an exit."""
    bus = Bus()
    metrics = Metrics(bus)
    bus[LIFECYCLE].subscribe(metrics.record_event)
    bus[START].subscribe(metrics.start, priority=15)
    bus[START].subscribe(open_file)
    bus[STOP].subscribe(metrics.stop)
    bus.start()
    bus.exit()
    bus.start()

    lines = exposition(metrics.registry, "duration_seconds_count", "STARTED")
    bus.exit()

    assert [line for line in lines if "open_file" in line or "state" in line] == [
        'typedbus_bus_state{state="STARTED"} 1.0',
        f'typedbus_component_start_duration_seconds_count{{component="{__name__}.open_file",outcome="started"}} 1.0',
    ]


def open_file() -> None:
    """Do nothing."""


class Snapshot:
    """A component that reads the metrics of a registry when it is stopped."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.lines: list[str] = []

    def stop(self) -> None:
        self.lines = exposition(self.registry, "duration_seconds_count", "duration_seconds_sum", "state=")


def test_a_start_that_is_rolled_back_has_its_failure() -> None:
    """Components that had started have theirs as well; a component that was not reached has no series."""
    clock = FakeClock()

    class Shop(Container):
        bus = Component(Bus, clock=clock)
        metrics = Component(Metrics, bus.provided)
        database = Component(Slow, clock, 0.002)
        snapshot = Component(Snapshot, metrics.provided.registry)
        orders = Component(Slow, clock, 0.5, OSError("no disk"))
        invoices = Component(Slow, clock, 1.0)

    shop = Shop()
    with pytest.raises(TransitionFailures):
        shop.attach().start()

    duration = "typedbus_component_start_duration_seconds"
    assert [line for line in shop.snapshot().lines if not line.endswith('"} 0.0')] == [
        'typedbus_bus_state{state="STOPPING"} 1.0',
        f'{duration}_count{{component="Shop.metrics",outcome="started"}} 1.0',
        f'{duration}_count{{component="Shop.database",outcome="started"}} 1.0',
        f'{duration}_sum{{component="Shop.database",outcome="started"}} 0.002',
        f'{duration}_count{{component="Shop.snapshot",outcome="started"}} 1.0',
        f'{duration}_count{{component="Shop.orders",outcome="failed"}} 1.0',
        f'{duration}_sum{{component="Shop.orders",outcome="failed"}} 0.5',
    ]
    assert exposition(shop.metrics().registry) == []


def test_the_checks_of_the_last_probe_are_collected_without_a_probe() -> None:
    """A check that failed is 0; before the first probe it has no series."""
    answers = iter([True, False])

    class Database:
        @on(READY)
        def check(self) -> Check:
            return Check(next(answers))

        @on(ALIVE)
        def is_working(self) -> Check:
            return Check(True)

    class Shop(Container):
        bus = Component(Bus)
        database = Component(Database)
        health = Component(Health, bus.provided, limit=60.0)
        metrics = Component(Metrics, bus.provided, health=health.lazy)

    with running(Shop()) as shop:
        lines = [exposition(shop.metrics().registry, "health_check{")]
        shop.health().ready()
        shop.health().alive()
        lines.append(exposition(shop.metrics().registry, "health_check{"))
        shop.health().ready()
        lines.append(exposition(shop.metrics().registry, "health_check"))

    alive = 'typedbus_health_check{channel="alive",check="Shop.database.is_working"} 1.0'
    assert lines == [
        [],
        [alive, 'typedbus_health_check{channel="ready",check="Shop.database.check"} 1.0'],
        [
            "# HELP typedbus_health_check 1 if the check passed in the last probe, 0 if it failed.",
            "# TYPE typedbus_health_check gauge",
            alive,
            'typedbus_health_check{channel="ready",check="Shop.database.check"} 0.0',
        ],
    ]


def test_checks_of_one_name_are_one_series() -> None:
    """The series is 1 if all of them passed: Prometheus refuses a scrape with a series that occurs twice."""
    bus = Bus()
    answers = iter([True, False, True])
    for _ in range(3):
        bus[READY].subscribe(lambda: Check(next(answers)))
    health = Health(bus, limit=60.0)
    metrics = Metrics(bus, health=lambda: health)
    metrics.start()
    bus.start()
    health.ready()

    (line,) = exposition(metrics.registry, "health_check{")

    assert line.endswith('.<lambda>"} 0.0')
    bus.exit()


def test_metrics_start_before_the_components_of_a_container() -> None:
    """They stop after the other components, so that publishes in the hooks of these are counted."""
    notes: list[str] = []

    class Noted(Metrics):
        def start(self) -> None:
            super().start()
            notes.append("start metrics")

        def stop(self) -> None:
            notes.append("stop metrics")
            super().stop()

    class Shop(Container):
        bus = Component(Bus)
        database = Component(HookRecorder, notes, "database")
        health = Component(Health, bus.provided)
        metrics = Component(Noted, bus.provided, health=health.lazy)

    with running(Shop()):
        pass

    assert notes == ["start metrics", "start database", "stop database", "stop metrics", "exit database"]


def test_a_registry_has_the_metrics_from_the_start_to_the_stop() -> None:
    """The other metrics of a registry of the application remain."""
    registry = CollectorRegistry()
    Counter("orders", "Orders.", registry=registry)

    class Shop(Container):
        bus = Component(Bus)
        metrics = Component(Metrics, bus.provided, registry=registry)

    def has_both() -> bool:
        lines = exposition(registry)
        assert "# HELP orders_total Orders." in lines
        return any(line.startswith("typedbus_bus_state") for line in lines)

    before = has_both()
    with running(Shop()) as shop:
        while_started = has_both()
        shop.bus().stop()
        stopped = has_both()
        shop.bus().start()
        again = has_both()

    assert (before, while_started, stopped, again, has_both()) == (False, True, False, True, False)


def test_a_stop_without_a_start_does_nothing() -> None:
    """A stop may come before the start or twice."""
    metrics = Metrics(Bus())
    metrics.stop()
    metrics.start()
    metrics.stop()
    metrics.stop()

    assert exposition(metrics.registry) == []


def test_health_that_is_not_enabled_has_no_checks() -> None:
    """The other metrics are collected."""

    class Shop(Container):
        bus = Component(Bus)
        health = Component(Health, bus.provided).enabled(False, reason="health = false")
        metrics = Component(Metrics, bus.provided, health=health.lazy)

    with running(Shop()) as shop:
        assert exposition(shop.metrics().registry, 'state{state="STARTED"}') == [
            'typedbus_bus_state{state="STARTED"} 1.0'
        ]
        assert exposition(shop.metrics().registry, "health_check{") == []


def test_a_conflict_of_names_fails_the_start() -> None:
    """The error has the names, and the metrics in the registry stay."""
    registry = CollectorRegistry()
    first, second = (Metrics(Bus(), registry=registry) for _ in range(2))
    first.start()
    before = exposition(registry)

    with pytest.raises(MetricsConflict) as raised:
        second.start()

    assert set(raised.value.names) == {family.name for family in first.describe()}
    assert exposition(registry) == before
    assert pickle.loads(pickle.dumps(raised.value)).names == raised.value.names
    assert str(raised.value) == (
        f"the registry already has {', '.join(raised.value.names)}, perhaps of the Metrics of another bus; "
        "give each Metrics a registry of its own, as Metrics(bus) does"
    )


def test_a_metric_of_the_application_with_a_name_of_the_bus_is_a_conflict() -> None:
    """The error has this name only."""
    registry = CollectorRegistry()
    Counter("typedbus_health_check", "Another.", registry=registry)

    with pytest.raises(MetricsConflict) as raised:
        Metrics(Bus(), registry=registry).start()

    assert raised.value.names == ("typedbus_health_check",)
    assert raised.value.__cause__ is not None


@pytest.mark.skipif(sys.platform == "win32", reason="there are no forks")
def test_a_forked_child_has_none_of_the_counts_of_its_parent() -> None:
    """The only series of the child is the state of its bus, EXITED."""
    clock = FakeClock()

    class Shop(Container):
        bus = Component(Bus, clock=clock)
        database = Component(Slow, clock, 0.002)
        health = Component(Health, bus.provided)
        metrics = Component(Metrics, bus.provided, health=health.lazy)

    with running(Shop()) as shop:
        shop.bus()[READY].subscribe(lambda: Check(True))
        shop.health().ready()
        metrics = shop.metrics()
        in_parent = exposition(metrics.registry, "} 1.0")

        def check() -> None:
            lines = [line for line in exposition(metrics.registry) if line[0] != "#" and not line.endswith(" 0.0")]
            assert lines == ['typedbus_bus_state{state="EXITED"} 1.0'], lines

        in_child(check)

    assert len(in_parent) > 1


@pytest.mark.skipif(sys.platform == "win32", reason="there are no forks")
def test_a_forked_child_starts_in_the_registry_of_its_parent() -> None:
    """As a worker does that is forked from a program which has started; the registry of the process has one place."""
    registry = CollectorRegistry()

    class Shop(Container):
        bus = Component(Bus)
        metrics = Component(Metrics, bus.provided, registry=registry)

    started = 'typedbus_bus_state{state="STARTED"} 1.0'
    with running(Shop()) as shop:

        def check() -> None:
            for child in shop, Shop():
                with running(child):
                    assert exposition(registry, "} 1.0")[0] == started
                    with pytest.raises(MetricsConflict):
                        Metrics(Bus(), registry=registry).start()
                assert exposition(registry) == []

        in_child(check)
        assert exposition(registry, "} 1.0")[0] == started
        with pytest.raises(MetricsConflict):
            Metrics(Bus(), registry=registry).start()


@pytest.mark.slow
def test_the_import_without_its_library_names_the_extra_to_install() -> None:
    """The error has the command that installs the extra."""
    code = "import sys; sys.modules['prometheus_client'] = None; import typedbus.prometheus"

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert ended.stderr.endswith(
        'ImportError: typedbus.prometheus needs prometheus-client: pip install "typedbus[prometheus]"\n'
    )


def get(
    metrics: Metrics, headers: Mapping[str, str], query: str = "", method: str = "GET"
) -> tuple[str, dict[str, str], str]:
    """Return status, headers and body of the WSGI application."""
    environ = {"REQUEST_METHOD": method, "PATH_INFO": "/metrics", "QUERY_STRING": query}
    environ |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    answered: list[tuple[str, list[tuple[str, str]]]] = []
    body = metrics.wsgi(environ, lambda *answer: answered.append(answer))  # type: ignore[arg-type]
    status, fields = answered[0]
    return status, dict(fields), b"".join(body).decode()


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    """Yield the metrics of a bus that is STARTED."""
    bus = Bus()
    metrics = Metrics(bus)
    metrics.start()
    bus.start()
    yield metrics
    bus.exit()


def test_the_format_is_the_one_that_the_client_accepts(metrics: Metrics) -> None:
    """The formats are the text format and OpenMetrics."""
    text = get(metrics, {})
    open_metrics = get(metrics, {"accept": "application/openmetrics-text; version=1.0.0"})

    assert text[1]["Content-Type"].startswith("text/plain; version=0.0.4")
    assert open_metrics[1]["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families = [list(text_families(text[2])), list(openmetrics_families(open_metrics[2]))]  # type: ignore[no-untyped-call]  # of the library
    states = [[sample for family in each for sample in family.samples if sample.value] for each in families]
    assert states[0] == states[1] != []


def test_a_scrape_may_name_the_series_that_it_wants(metrics: Metrics) -> None:
    """The parameter is ``name[]``, as for other collectors of prometheus-client."""
    _, _, body = get(metrics, {}, "name[]=typedbus_health_check")
    _, _, states = get(metrics, {}, "name[]=typedbus_bus_state")

    assert body == ""
    assert states.count("typedbus_bus_state{") == len(State)


def test_metrics_are_only_read(metrics: Metrics) -> None:
    """A POST request is refused with 405."""
    assert get(metrics, {}, method="POST")[0].startswith("405")


def test_an_asgi_application_answers_the_same(metrics: Metrics) -> None:
    """It also answers the lifespan of a server, and closes a WebSocket."""
    sent: list[Mapping[str, object]] = []

    async def call(scope: Mapping[str, object], *received: str) -> list[Mapping[str, object]]:
        sent.clear()
        messages = iter(received)

        async def receive() -> Mapping[str, object]:
            return {"type": next(messages)}

        async def send(message: Mapping[str, object]) -> None:
            sent.append(message)

        await metrics.asgi(scope, receive, send)
        return [*sent]

    http = {"type": "http", "method": "GET", "path": "/metrics", "query_string": b"", "headers": []}
    start, body = asyncio.run(call(http, "http.request"))
    lifespan = asyncio.run(call({"type": "lifespan"}, "lifespan.startup", "lifespan.shutdown"))
    closed = asyncio.run(call({"type": "websocket"}))

    assert (start["status"], body["body"]) == (200, get(metrics, {})[2].encode())
    assert [message["type"] for message in lifespan] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert [message["type"] for message in closed] == ["websocket.close"]


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS"])
def test_both_applications_answer_a_method_other_than_get_alike(metrics: Metrics, method: str) -> None:
    """Both answer with the same status, the allowed methods and an empty body."""
    sent: list[Mapping[str, object]] = []

    async def receive() -> Mapping[str, object]:
        return {"type": "http.request"}

    async def send(message: Mapping[str, object]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": "/metrics", "query_string": b"", "headers": []}
    asyncio.run(metrics.asgi(scope, receive, send))
    status = int(get(metrics, {}, method=method)[0].split()[0])

    assert sent == [
        {"type": "http.response.start", "status": status, "headers": [(b"allow", b"OPTIONS,GET")]},
        {"type": "http.response.body", "body": b""},
    ]


def test_an_asgi_server_serves_the_metrics() -> None:
    """The answer is compressed if the client accepts that."""

    class Shop(Container):
        bus = Component(Bus)
        metrics = Component(Metrics, bus.provided)
        server = Component(ASGIServer, bus.provided, metrics.provided.asgi, bind="127.0.0.1:0")

    with running(Shop()) as shop:
        connection = http.client.HTTPConnection(shop.server().address, timeout=30)
        connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
        body = connection.getresponse().read()
        connection.close()

        assert gzip.decompress(body) == generate_latest(shop.metrics().registry)
