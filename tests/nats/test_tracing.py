"""A trace goes on in the listeners of another process: the spans, their kinds, parents, links and attributes."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode, get_current_span
from tests.nats.servers import NatsServer, raw
from tests.otel.recorded import Recorded
from tests.processes import programs, until

from typedbus import AsyncChannel, Bus, Channel, Component, Container, running
from typedbus.nats import (
    Answer,
    AskPort,
    Consumer,
    EventPort,
    GatherPort,
    Link,
    NotStored,
    Receiver,
    Redelivery,
    RemoteError,
    Responder,
    SignalPort,
    Stream,
    ask,
    event,
    gather,
    signal,
)
from typedbus.otel import TypedbusInstrumentor

placed = Channel[[int], None]("order_placed")
placed_async = AsyncChannel[[int], None]("order_placed")
moved = Channel[[int], None]("moved")
quoted = Channel[[str], int]("quote_wanted")
quoted_async = AsyncChannel[[str], int]("quote_wanted")

#: Any, since their type parameters are those of a channel of any kind here.
_CONSUMER: Any = Consumer
_RESPONDER: Any = Responder

_STREAM = Stream("ORDERS")


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    """Instrument every bus that the test creates, and return the provider."""
    recorded = Recorded()
    instrumentor = TypedbusInstrumentor()
    instrumentor.instrument(tracer_provider=recorded.provider)
    yield recorded
    instrumentor.uninstrument()


def sender_of(server: NatsServer, stream: Stream = _STREAM) -> Any:
    class Sender(Container):
        bus = Component(Bus)
        link = Component(Link, bus.provided, [server.url], name="front")
        port = Component(event, link.provided, placed, stream=stream)
        signals = Component(signal, link.provided, moved)
        asking = Component(ask, link.provided, quoted, timeout=10.0)
        gathering = Component(gather, link.provided, quoted, timeout=10.0, expect=1)

    return Sender()


def receiver_of(server: NatsServer, event_channel: Any, question_channel: Any, *listeners: tuple[Any, Any]) -> Any:
    def subscribed(bus: Bus) -> object:
        for channel, listener in listeners:
            bus[channel].subscribe(listener)
        return object()

    class Site(Container):
        bus = Component(Bus)
        link = Component(Link, bus.provided, [server.url], name="back")
        consumer = Component(
            _CONSUMER,
            link.provided,
            bus.provided[event_channel],
            stream=_STREAM,
            group="invoicing",
            redelivery=Redelivery(attempts=2, first=0.05),
        )
        receiver = Component(Receiver, link.provided, bus.provided[moved])
        responder = Component(_RESPONDER, link.provided, bus.provided[question_channel], group="pricing")
        listening = Component(subscribed, bus.provided)

    return Site()


class Spans:
    """The spans below the span of a request, by their names."""

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded

    def names(self) -> list[str]:
        return [span.name for span in self._of_trace()]

    def _of_trace(self) -> list[ReadableSpan]:
        request = self._recorded.span("request")
        return [span for span in self._recorded.spans if span.context.trace_id == request.context.trace_id]

    def __getitem__(self, name: str) -> ReadableSpan:
        (span,) = (span for span in self._of_trace() if span.name == name)
        return span

    def await_(self, *names: str) -> None:
        until(lambda: sorted(self.names()) == sorted(names), lambda: str(self.names()))

    def parent(self, name: str) -> str:
        parent = self[name].parent
        assert parent is not None
        return next(span.name for span in self._of_trace() if span.context.span_id == parent.span_id)


def in_request(recorded: Recorded, call: Callable[[], Any]) -> Any:
    with recorded.tracer.start_as_current_span("request"):
        return call()


def send_event(port: EventPort[[int]], recorded: Recorded, way: str) -> str:
    if way == "from a thread":
        return str(in_request(recorded, lambda: port.publish_from_thread(17)).message_id)
    future: concurrent.futures.Future[Any] = in_request(recorded, lambda: port.submit(17))
    return str(future.result(60).message_id)


@pytest.mark.parametrize("way", ["from a thread", "submitted"])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_trace_goes_on_in_the_listeners_of_an_event(
    server: NatsServer, recorded: Recorded, way: str, *, is_async: bool
) -> None:
    seen: list[tuple[int, str]] = []

    def listen(order: int) -> None:
        seen.append((get_current_span().get_span_context().trace_id, threading.current_thread().name))

    async def listen_async(order: int) -> None:
        listen(order)

    channel, listener = (placed_async, listen_async) if is_async else (placed, listen)
    sender, site = sender_of(server), receiver_of(server, channel, quoted, (channel, listener))
    with running(sender), running(site):
        message_id = send_event(sender.port(), recorded, way)
        spans = Spans(recorded)
        spans.await_("request", "publish ORDERS.order_placed", "process ORDERS.order_placed", "publish order_placed")
    sent, processed = spans["publish ORDERS.order_placed"], spans["process ORDERS.order_placed"]
    assert (sent.kind, processed.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert spans.parent("publish ORDERS.order_placed") == "request"
    assert spans.parent("process ORDERS.order_placed") == "publish ORDERS.order_placed"
    assert spans.parent("publish order_placed") == "process ORDERS.order_placed"
    assert dict(sent.attributes or {}) == {
        "messaging.system": "nats",
        "messaging.operation.type": "send",
        "messaging.operation.name": "publish",
        "messaging.destination.name": "ORDERS.order_placed",
        "messaging.client.id": sender.link().origin,
        "messaging.message.id": message_id,
    }
    assert dict(processed.attributes or {}) == {
        "messaging.system": "nats",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": "ORDERS.order_placed",
        "messaging.client.id": site.link().origin,
        "messaging.consumer.group.name": "invoicing",
        "messaging.message.id": message_id,
    }
    [link] = processed.links
    assert link.context.span_id == sent.context.span_id
    assert link.context.is_remote
    assert sent.instrumentation_scope is not None
    assert sent.instrumentation_scope.schema_url == "https://opentelemetry.io/schemas/1.30.0"
    [(trace_id, thread)] = seen
    assert trace_id == sent.context.trace_id
    assert (thread != threading.main_thread().name) or is_async


def test_each_delivery_has_a_span_with_its_error(server: NatsServer, recorded: Recorded) -> None:
    failed: list[int] = []

    def fail(order: int) -> None:
        failed.append(order)
        if len(failed) == 1:
            raise LookupError("no such order")

    sender, site = sender_of(server), receiver_of(server, placed, quoted, (placed, fail))
    with running(sender), running(site):
        send_event(sender.port(), recorded, "from a thread")
        spans = Spans(recorded)
        until(lambda: spans.names().count("process ORDERS.order_placed") == 2, lambda: str(spans.names()))
    first, second = (span for span in recorded.spans if span.name == "process ORDERS.order_placed")
    assert first.status.status_code is StatusCode.ERROR
    assert (first.attributes or {})["error.type"] == "typedbus.ChannelFailures"
    assert [one.name for one in first.events] == ["exception"]
    assert second.status.status_code is StatusCode.UNSET


def test_an_event_that_is_not_stored_is_an_error_of_its_span(server: NatsServer, recorded: Recorded) -> None:
    sender = sender_of(server, Stream("ORDERS", max_messages=1))
    with running(sender):
        sender.port().publish_from_thread(16)
        with pytest.raises(NotStored):
            send_event(sender.port(), recorded, "submitted")
    span = Spans(recorded)["publish ORDERS.order_placed"]
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "typedbus.nats.NotStored"


def test_an_event_of_an_outbox_belongs_to_the_trace_of_its_transaction(server: NatsServer, recorded: Recorded) -> None:
    async def check() -> None:
        sender = sender_of(server)
        async with running(sender):
            port: EventPort[[int]] = sender.port()
            with recorded.tracer.start_as_current_span("request"):
                encoded = port.encoded(17)
            await port.publish_encoded(encoded)

    asyncio.run(check())
    spans = Spans(recorded)
    assert spans.names() == ["request", "publish ORDERS.order_placed"]
    assert spans.parent("publish ORDERS.order_placed") == "request"


def test_a_signal_has_spans(server: NatsServer, recorded: Recorded) -> None:
    seen = threading.Event()
    sender, site = sender_of(server), receiver_of(server, placed, quoted, (moved, lambda _position: seen.set()))
    with running(sender), running(site):
        port: SignalPort[[int]] = sender.signals()
        # The receiver begins when the bus has started.
        while not seen.wait(0.05):
            port.publish_from_thread(16)
        in_request(recorded, lambda: port.publish_from_thread(17))
        spans = Spans(recorded)
        sent, processed = "publish typedbus.signal.moved", "process typedbus.signal.moved"
        spans.await_("request", sent, processed, "publish moved")
    assert (spans[sent].kind, spans[processed].kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert (spans.parent(sent), spans.parent(processed), spans.parent("publish moved")) == ("request", sent, processed)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_question_has_spans(server: NatsServer, recorded: Recorded, *, is_async: bool) -> None:
    async def answer(item: str) -> int:
        return len(item)

    channel, listener = (quoted_async, answer) if is_async else (quoted, len)
    sender, site = sender_of(server), receiver_of(server, placed, channel, (channel, listener))
    with running(sender), running(site):
        asking: AskPort[[str], int] = sender.asking()
        gathering: GatherPort[[str], int] = sender.gathering()
        until(lambda: isinstance(asking.ask_from_thread("mug"), Answer))
        asked = in_request(recorded, lambda: asking.ask_from_thread("mug"))
        assert isinstance(asked, Answer)
        spans, subject = Spans(recorded), "typedbus.ask.quote_wanted"
        spans.await_("request", f"ask {subject}", f"answer {subject}", "publish quote_wanted")
        question, answered = spans[f"ask {subject}"], spans[f"answer {subject}"]
        assert (question.kind, answered.kind) == (SpanKind.CLIENT, SpanKind.SERVER)
        assert spans.parent(f"ask {subject}") == "request"
        assert spans.parent(f"answer {subject}") == f"ask {subject}"
        assert spans.parent("publish quote_wanted") == f"answer {subject}"
        assert not answered.links
        assert (question.attributes or {})["messaging.operation.type"] == "send"
        assert (answered.attributes or {})["messaging.consumer.group.name"] == "pricing"
        recorded.clear()
        in_request(recorded, lambda: gathering.gather_from_thread("mug"))
        spans.await_("request", f"gather {subject}", f"answer {subject}", "publish quote_wanted")
        assert spans.parent(f"answer {subject}") == f"gather {subject}"


def test_the_failure_of_a_question_is_recorded_on_both_sides(server: NatsServer, recorded: Recorded) -> None:
    def fail(item: str) -> int:
        raise LookupError("no such item")

    sender, site = sender_of(server), receiver_of(server, placed, quoted, (quoted, fail))
    with running(sender), running(site):
        asking: AskPort[[str], int] = sender.asking()
        until(lambda: isinstance(asking.ask_from_thread("mug"), RemoteError))
        asked = in_request(recorded, lambda: asking.ask_from_thread("mug"))
        assert isinstance(asked, RemoteError)
        spans, subject = Spans(recorded), "typedbus.ask.quote_wanted"
        until(lambda: {f"ask {subject}", f"answer {subject}"} <= {*spans.names()}, lambda: str(spans.names()))
    for name, error in (("ask", "typedbus.nats.RemoteError"), ("answer", "typedbus.ChannelFailures")):
        span = spans[f"{name} {subject}"]
        assert span.status.status_code is StatusCode.ERROR
        assert [one.name for one in span.events] == ["exception"]
        assert (span.attributes or {})["error.type"] == error


def test_a_message_without_a_context_begins_a_trace(server: NatsServer, recorded: Recorded) -> None:
    async def publish() -> None:
        async with raw(server) as client:
            await client.jetstream().publish("ORDERS.order_placed", b'{"arg0":17}')

    seen = threading.Event()
    site = receiver_of(server, placed, quoted, (placed, lambda _order: seen.set()))
    with running(site):
        asyncio.run(publish())
        assert seen.wait(60)
        until(lambda: any(span.name == "process ORDERS.order_placed" for span in recorded.spans))
    span = recorded.span("process ORDERS.order_placed")
    assert span.parent is None
    assert not span.links


@pytest.mark.parametrize("imports", ["", "the API"])
def test_a_program_that_has_not_configured_opentelemetry_sends_no_context(
    server: NatsServer, tmp_path: Any, imports: str
) -> None:
    with programs(tmp_path) as begin:
        program = begin(
            f"""
            import asyncio, sys
            if "{imports}":
                import opentelemetry.trace
            from typedbus import Bus, Channel
            from typedbus.nats import Link, Stream, event

            placed = Channel[[int], None]("order_placed")

            async def main():
                link = Link(Bus(), ["{server.url}"])
                await link.start()
                port = event(link, placed, stream=Stream("ORDERS"))
                await port.start()
                await port.publish(17)
                await port.stop()
                await link.stop()

            asyncio.run(main())
            print("opentelemetry.trace" in sys.modules)
            """
        )
        assert program.end() == 0
        assert program.lines == [str(bool(imports))]

    async def check() -> None:
        async with raw(server) as client:
            headers = (await client.jetstream().get_msg("ORDERS", 1)).headers
        assert headers is not None
        assert sorted(headers) == ["Nats-Msg-Id", "Tb-Origin", "Tb-Schema"]

    asyncio.run(check())


def test_a_trace_crosses_processes_without_the_instrumentation_of_buses(server: NatsServer, tmp_path: Any) -> None:
    with programs(tmp_path) as begin:
        program = begin(
            f"""
            import asyncio
            from opentelemetry import trace
            from opentelemetry.sdk.trace import TracerProvider
            from typedbus import Bus, Channel, Component, Container, running
            from typedbus.nats import Link, Stream, event

            trace.set_tracer_provider(TracerProvider())
            placed = Channel[[int], None]("order_placed")

            class Site(Container):
                bus = Component(Bus)
                link = Component(Link, bus.provided, ["{server.url}"])
                port = Component(event, link.provided, placed, stream=Stream("ORDERS"))

            async def main():
                async with running(Site) as site:
                    with trace.get_tracer("shop").start_as_current_span("request") as span:
                        print(format(span.get_span_context().trace_id, "032x"))
                        await site.port().publish(17)

            asyncio.run(main())
            """
        )
        assert program.end() == 0
        [trace_id] = program.lines

    async def check() -> None:
        async with raw(server) as client:
            headers = (await client.jetstream().get_msg("ORDERS", 1)).headers
        assert headers is not None
        assert headers["traceparent"].split("-")[:2] == ["00", trace_id]

    asyncio.run(check())
