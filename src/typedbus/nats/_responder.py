"""The component that answers the questions of other processes."""

from __future__ import annotations

from typing import Final, Generic

import attrs
from typing_extensions import ParamSpec, TypeVar

from typedbus._base.stopping import Stopping
from typedbus._bus.builtin import RUN
from typedbus._channels.async_bound import AsyncBoundChannel
from typedbus._channels.bound import BoundChannel
from typedbus._channels.marks import on
from typedbus.nats._answering import Answering
from typedbus.nats._arguments import is_count, is_word
from typedbus.nats._calls import question_subject
from typedbus.nats._errors import PortFault
from typedbus.nats._link import Link
from typedbus.nats._schema import MessageSchema, schema_of
from typedbus.nats._served import channel_of

P = ParamSpec("P")
R = TypeVar("R")

_THREADS: Final = 4
_TASKS: Final = 64


@attrs.define(eq=False)
class Responder(Generic[P, R]):
    """
    Answers the questions of other processes with the listeners of a channel.

    It is a run: it begins when the bus has STARTED, and a stop ends it before any component stops. It then takes no more
    questions and answers the ones that have arrived; a question that has not begun at the end of the patience of the run
    is refused with `Busy`, and async listeners that run are cancelled.

    The listeners of a `Channel` are called in threads of the responder, listeners of an `AsyncChannel` in tasks on the event
    loop of the bus. A question of `ask` calls the verb `first`, and one of `gather` all listeners. If a listener raises,
    `first` raises as well, and the answer is the first failure: a `RemoteError` with the name of its class and its text.
    The exception is logged here with its traceback. `SystemExit` and similar exceptions are answered in the same way, and then
    end the run.

    A process without a listener for the channel answers that it has none. A question that cannot be decoded is logged,
    published on `LINK` as `QuestionRefused`, and answered with the reason. The first question of a process that declares
    the arguments of the channel differently is published as `SchemaMismatch`.

    Args:
        link: The connection.
        bound: The channel on the bus, such as ``bus.provided[quote_wanted]``.
        group: One process of all with this group answers a question; with None each process answers.
        concurrency: How many questions are answered at a time; None for 4 in threads, or 64 in tasks.
        most: How many questions may wait for their turn; further ones are refused with `Busy`.

    Raises:
        OtherBus: The channel belongs to another bus than the link.
        SchemaFault: The arguments or the result of the channel cannot be sent.
        PortFault: The group or a number cannot be used.
        Denied: From the run, if the server does not let this user subscribe to the questions.
    """

    link: Link
    bound: BoundChannel[P, R] | AsyncBoundChannel[P, R]
    group: str | None = attrs.field(kw_only=True)
    concurrency: int | None = attrs.field(default=None, kw_only=True)
    most: int = attrs.field(default=1024, kw_only=True)
    _schema: MessageSchema[P, R] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._schema = schema_of(channel_of(self.link, self.bound), self.link.codec)
        name, group = self._schema.name, self.group
        if group is not None and not is_word(group):
            raise PortFault(name, "group", group, "pass printable ASCII characters without spaces, or None")
        if self.concurrency is not None and not is_count(self.concurrency):
            raise PortFault(name, "concurrency", self.concurrency, "pass a whole number from 1 up, or None")
        if not is_count(self.most, 0):
            raise PortFault(name, "most", self.most, "pass a whole number from 0 up")

    @on(RUN)
    async def serve(self, stopping: Stopping) -> None:
        """Answer questions until *stopping* is set."""
        is_async = isinstance(self.bound, AsyncBoundChannel)
        answering = Answering(
            self.link.session(self._schema.name),
            self.bound,
            self._schema,
            self.concurrency or (_TASKS if is_async else _THREADS),
            self.most,
        )
        await answering.run(stopping, question_subject(self.link.prefix, self._schema.name), self.group or "")
