"""The calls of the listeners of a channel for an event that has arrived."""

from __future__ import annotations

from typing import Any, Generic

import attrs
from typing_extensions import ParamSpec

from typedbus._channels.async_bound import AsyncBoundChannel
from typedbus._channels.bound import BoundChannel
from typedbus.nats._delivery import CURRENT, Received, State
from typedbus.nats._errors import DecodeFailed
from typedbus.nats._schema import MessageSchema
from typedbus.nats._tracing import EndSpan, Tracing, untraced

P = ParamSpec("P")


@attrs.define(eq=False)
class Listening(Generic[P]):
    """
    Calls the listeners of *bound*. The methods set the state of the event, and raise nothing.

    Args:
        bound: The channel on the bus.
        schema: The form of its messages.
        tracing: The spans of the calls, if there are any.
        group: The group of the consumer.
    """

    bound: BoundChannel[P, None] | AsyncBoundChannel[P, None]
    schema: MessageSchema[P, None]
    tracing: Tracing | None
    group: str

    def call(self, event: Received) -> None:
        """Call the listeners of a sync channel, in the current context."""
        end = self._traced(event)
        try:
            arguments = self._arguments(event)
            if arguments is not None:
                self.bound.publish(*arguments[0], **arguments[1])
                event.state = State.HANDLED
        except BaseException as error:
            event.state, event.error = State.FAILED, error
        end(event.error)

    async def call_async(self, event: Received) -> None:
        """Call and await the listeners of an async channel, in the current context."""
        publish: Any = self.bound.publish
        end = self._traced(event)
        try:
            arguments = self._arguments(event)
            if arguments is not None:
                await publish(*arguments[0], **arguments[1])
                event.state = State.HANDLED
        except BaseException as error:
            event.state, event.error = State.FAILED, error
        end(event.error)

    def _traced(self, event: Received) -> EndSpan:
        if self.tracing is None:
            return untraced
        return self.tracing.handling("process", event.message.subject, event.headers, self.group, event.message_id)

    def _arguments(self, event: Received) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Return the arguments for the listeners, or None if they are not called."""
        if not self.bound.has_listeners:
            event.state = State.NOT_HANDLED
            return None
        try:
            args, kwargs = self.schema.decode(event.message.data)
        except DecodeFailed as error:
            event.state, event.error = State.UNREADABLE, error
            return None
        event.arguments = (*args, *kwargs.values())
        CURRENT.set(event)
        return args, kwargs
