"""The component that calls the listeners of a channel for the events of a stream."""

from __future__ import annotations

from typing import Final, Generic

import attrs
from typing_extensions import ParamSpec

from typedbus._base.stopping import Stopping
from typedbus._bus.builtin import RUN
from typedbus._channels.async_bound import AsyncBoundChannel
from typedbus._channels.bound import BoundChannel
from typedbus._channels.marks import on
from typedbus.nats._arguments import is_count
from typedbus.nats._consumer_config import Position, durable_name
from typedbus.nats._consuming import Consuming
from typedbus.nats._dead_letters import dead_subject
from typedbus.nats._errors import ConsumerFault
from typedbus.nats._link import Link
from typedbus.nats._redelivery import Redelivery
from typedbus.nats._schema import MessageSchema, event_schema_of
from typedbus.nats._served import channel_of
from typedbus.nats._serving import name_of_run
from typedbus.nats._streams import Stream, named
from typedbus.plugins.health import READY, Check

P = ParamSpec("P")

#: More events than this may wait in the client without being lost there.
_MOST: Final = 32_768


def _count(_consumer: object, field: attrs.Attribute[int], value: int) -> None:
    if not is_count(value) or value > _MOST:
        raise ConsumerFault(field.name, value, f"pass an int from 1 to {_MOST}")


@attrs.define(eq=False)
class Consumer(Generic[P]):
    """
    Calls the listeners of a channel for the events of a stream: each event in one process of the group.

    The listeners are the subscribers of the channel on this bus. Listeners of a sync channel are called in threads of
    the consumer, listeners of an async channel in tasks on the event loop of the bus. An event is acknowledged
    when all of them have returned. If one raises, the event is delivered again, to all of them, as *redelivery*
    demands; after that, and if it cannot be decoded, it becomes a dead letter.

    It is a run: it begins when the bus has STARTED, and a stop ends it before any component stops. It then returns the
    events that no listener has begun, so that another process receives them at once, and waits for the listeners that
    run.

    A group receives every event of the channel that the stream has at its first start, and each later one. While the
    channel has no listener, and while all calls hang, the consumer takes no events, and its check on `READY` fails.

    Args:
        link: The connection.
        bound: The channel on the bus, such as ``bus.provided[order_placed]``.
        stream: The stream; a `Stream` is created if it is missing, a name means a stream that must exist.
        group: The name of the group. Each group receives all events, and the server keeps its position.
        redelivery: When an event is delivered again.
        prefetch: How many events may be delivered to the processes of the group and not acknowledged; so also how many
            may wait in this process.
        concurrency: How many events are handled at a time in this process, each in a thread or a task of its own.
        in_order: Whether the group handles one event at a time, in the order of the stream. An event that fails holds
            up the others until it is handled or is a dead letter.

    Raises:
        OtherBus: The channel belongs to another bus than the link.
        SchemaFault: The arguments of the channel cannot be sent, or its result is not None.
        ConsumerFault: The group or a number cannot be used.
        StreamFault: *stream* is no name of a stream; at the start, if the stream or the consumer of the server does not fit.
    """

    link: Link
    bound: BoundChannel[P, None] | AsyncBoundChannel[P, None]
    stream: Stream | str = attrs.field(kw_only=True)
    group: str = attrs.field(kw_only=True)
    redelivery: Redelivery = attrs.field(kw_only=True, factory=Redelivery)
    prefetch: int = attrs.field(kw_only=True, default=256, validator=_count)
    concurrency: int = attrs.field(kw_only=True, default=1, validator=_count)
    in_order: bool = attrs.field(kw_only=True, default=False)
    schema: MessageSchema[P, None] = attrs.field(init=False, repr=False)
    position: Position = attrs.field(init=False, repr=False)
    _consuming: Consuming[P] | None = attrs.field(init=False, repr=False, default=None)
    _is_checked: bool = attrs.field(init=False, repr=False, default=False)

    def __attrs_post_init__(self) -> None:
        if self.in_order and self.concurrency > 1:
            raise ConsumerFault("concurrency", self.concurrency, "in_order=True handles one event at a time")
        self.schema = event_schema_of(channel_of(self.link, self.bound), self.link.codec)
        channel, stream = self.schema.name, named(self.stream).name
        name = durable_name(self.group, channel)
        self.position = Position(
            self.stream,
            f"{stream}.{channel}",
            dead_subject(stream, self.group, channel),
            name,
            self.group,
            # Outside the subjects of signals and questions, which begin with the prefix and a dot.
            f"{self.link.prefix}-deliver.{stream}.{name}",
            self.redelivery.ack_wait,
            1 if self.in_order else self.prefetch,
        )

    @property
    def held(self) -> int:
        """How many events this process has received and neither acknowledged nor returned."""
        return 0 if self._consuming is None else self._consuming.held

    async def start(self) -> None:
        """
        Check the stream and the consumer of the server, if there is a connection.

        Raises:
            StreamFault: They do not fit.
            Denied: The server does not let this user receive its answers.
        """
        session = self.link.session(self.schema.name)
        session.check_replies(self.schema.name)
        if session.connection.is_connected:
            await self.position.ensure(session.connection, self.link.connect_within)
            self._is_checked = True

    @on(RUN)
    async def consume(self, stopping: Stopping) -> None:
        """Call the listeners until *stopping* is set."""
        self._consuming = Consuming(
            self.link.session(self.schema.name),
            self.bound,
            self.schema,
            self.position,
            self.redelivery,
            self.concurrency,
            name_of_run(self.schema.name),
            self.link.connect_within,
            not self._is_checked,
        )
        self._is_checked = False
        try:
            await self._consuming.run(stopping)
        finally:
            self._consuming = None

    @on(READY)
    def check(self) -> Check:
        """Fail while no events are taken."""
        consuming = self._consuming
        problem = "the consumer has not started" if consuming is None else consuming.problem
        return Check(is_ok=not problem, detail=problem)
