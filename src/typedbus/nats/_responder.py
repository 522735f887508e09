"""The component that answers the questions of other processes."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Generic, TypeVar, cast

import attrs
import msgspec
from typing_extensions import ParamSpec

from typedbus._base.failures import ChannelFailures, traceback_of
from typedbus._base.stopping import Stopping
from typedbus._bus.builtin import ERROR, RUN, WARNING
from typedbus._channels.async_bound import AsyncBoundChannel
from typedbus._channels.attempt import Attempt
from typedbus._channels.bound import BoundChannel
from typedbus._channels.marks import on
from typedbus.nats._answers import Item, encode, raised
from typedbus.nats._calls import question_subject
from typedbus.nats._connection import Message
from typedbus.nats._delivery import ORIGIN_HEADER, SCHEMA_HEADER
from typedbus.nats._errors import DecodeFailed, Denied, TooLarge
from typedbus.nats._events import QuestionRefused, SchemaMismatch
from typedbus.nats._headers import ALL_HEADER, REPLY_HEADER, size_of
from typedbus.nats._link import Link
from typedbus.nats._questions import Question, Reply, Tasks, Threads, Workers
from typedbus.nats._schema import MessageSchema, schema_of
from typedbus.nats._session import Session
from typedbus.nats._tracing import EndSpan, handling

P = ParamSpec("P")
R = TypeVar("R")

_THREADS: Final = 4
_TASKS: Final = 64
#: Seconds between two signs of life of the run.
_BEAT: Final = 1.0


@attrs.define(eq=False)
class Responder(Generic[P, R]):
    """
    Answers the questions of other processes with the listeners of a channel.

    It is a run: it answers from when the bus has STARTED until the bus, or its component, stops. Then it takes no more
    questions, and answers those that it has. Questions that have not begun at the end of the patience of the run are
    refused with `Busy`.

    The listeners of an async channel run in tasks on the event loop, those of a `Channel` in threads of the responder.
    A question of `ask` calls the verb `first`, one of `gather` all listeners. An exception of a listener goes back as
    the name of its class and its text, and is logged here with its traceback.

    A process without a listener for the channel answers that it has none. A question that cannot be decoded is logged,
    published on `LINK` as `QuestionRefused`, and answered with the reason.

    Args:
        link: The connection.
        bound: The channel on the bus of this process.
        group: One process of all with this group answers a question; with None all of them answer.
        concurrency: How many questions are answered at the same time; by default 4 in threads, or 64 in tasks.
        most: How many questions may wait for their turn; further ones are refused with `Busy`.

    Raises:
        SchemaFault: The arguments or the result of the channel cannot be sent.
        Denied: From the run, if the server does not let this user subscribe to the questions.
    """

    link: Link
    bound: BoundChannel[P, R] | AsyncBoundChannel[P, R]
    group: str | None = attrs.field(kw_only=True)
    concurrency: int | None = attrs.field(default=None, kw_only=True)
    most: int = attrs.field(default=1024, kw_only=True)
    _schema: MessageSchema[P, R] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._schema = schema_of(self.bound.channel)

    @on(RUN)
    async def serve(self, stopping: Stopping) -> None:
        """Answer questions until *stopping* is set."""
        serving = _Serving(self.link, self.bound, self._schema, self.most, self.group or "")
        await serving.serve(stopping, self.concurrency)


@attrs.define(eq=False)
class _Serving(Generic[P, R]):
    """One run of a responder; its methods are called on the event loop, but for `_answer`."""

    link: Link
    bound: BoundChannel[P, R] | AsyncBoundChannel[P, R]
    schema: MessageSchema[P, R]
    most: int
    group: str
    name: str = attrs.field(init=False)
    session: Session = attrs.field(init=False)
    workers: Workers = attrs.field(init=False)
    #: Why the run must end before it is asked to.
    trouble: asyncio.Future[BaseException] = attrs.field(init=False)
    idle: asyncio.Event | None = attrs.field(init=False, default=None)
    #: The processes that declare the channel differently, as far as they were reported.
    strangers: set[str] = attrs.field(init=False, factory=set)
    is_overloaded: bool = attrs.field(init=False, default=False)

    async def serve(self, stopping: Stopping, concurrency: int | None) -> None:
        self.name = self.bound.channel.name
        session = self.session = self.link.session(self.name)
        self.trouble = session.loop.create_future()
        label = f"typedbus.nats responder {self.name}"
        if isinstance(self.bound, AsyncBoundChannel):
            self.workers = Tasks(label, concurrency or _TASKS, self._answer_async, self._answered)
        else:
            threads = Threads(
                label, concurrency or _THREADS, self._answer, self._answered, session.handover, session.bus.own
            )
            threads.start()
            self.workers = threads
        subject = question_subject(self.link.prefix, self.name)
        connection = session.connection
        subscription = await connection.subscribe(
            subject,
            self._receive,
            group=self.group,
            refused=lambda: self._fail(Denied(self.name, subject, "subscribe to")),
        )
        stopped = session.loop.create_task(stopping.until_set(), name=f"{label} waits")
        ends: set[asyncio.Future[Any]] = {stopped, self.trouble}
        try:
            await connection.flush(1.0)  # the server has the subscription then, and does not drop questions
            stopping.ready()
            stopping.beat()
            while not (stopped.done() or self.trouble.done()):
                await asyncio.wait(ends, timeout=_BEAT, return_when=asyncio.FIRST_COMPLETED)
                stopping.beat()
            await connection.unsubscribe(subscription)
            if self.workers.unanswered and not self.trouble.done():
                self.idle = asyncio.Event()
                await self.idle.wait()
            await connection.flush(1.0)
        finally:
            stopped.cancel()
            for question in self.workers.refuse():
                self._send(question, "busy", b"")
            await connection.unsubscribe(subscription)
            await self.workers.end()
            if left := self.workers.unanswered:
                session.bus.log(f"{left} question(s) on {self.name!r} are left: their listeners still run", WARNING)
        if self.trouble.done():
            raise self.trouble.result()

    def _fail(self, error: BaseException) -> None:
        if not self.trouble.done():
            self.trouble.set_result(error)

    def _receive(self, message: Message) -> None:
        if not message.reply:
            return  # not a question
        headers = message.headers or {}
        origin = headers.get(ORIGIN_HEADER, "an unknown process")
        theirs = headers.get(SCHEMA_HEADER, "")
        if theirs != self.schema.fingerprint and origin not in self.strangers:
            self.strangers.add(origin)
            self.session.report(SchemaMismatch(self.name, origin, self.schema.fingerprint, theirs))
        question = Question(message.reply, message.data, ALL_HEADER in headers, origin, message.subject, headers)
        if not self.bound.subscriptions:
            self._send(question, "none", b"")
        elif self.workers.waiting >= self.most:
            self._send(question, "busy", b"")
            if not self.is_overloaded:
                self.is_overloaded = True
                self.session.bus.log(
                    f"{self.most} questions on {self.name!r} wait, and further ones are refused: raise concurrency or "
                    "most of the responder, or start more processes of its group",
                    WARNING,
                )
        else:
            self.workers.put(question)

    def _answered(self, reply: Reply) -> None:
        question, kind, body, fatal = reply
        if fatal is not None:
            self._fail(fatal)
        if kind == "bad":
            problem = msgspec.json.decode(body, type=Item).message
            self.session.report(QuestionRefused(self.name, question.origin, problem))
        self._send(question, kind, body)
        if self.workers.waiting * 2 <= self.most:
            self.is_overloaded = False
        if self.idle is not None and not self.workers.unanswered:
            self.idle.set()

    def _send(self, question: Question, kind: str, body: bytes) -> None:
        headers = {REPLY_HEADER: kind, ORIGIN_HEADER: self.session.origin}
        size, limit = len(body) + size_of(headers), self.session.connection.max_payload
        if size > limit:
            error = TooLarge(self.name, size, limit)
            self.session.bus.log(f"the answer to {question.origin} is not sent: {error}", ERROR)
            headers[REPLY_HEADER], body = "err", encode(raised(error))
        self.session.connection.send(question.reply, body, headers=headers, dropped=self._dropped)

    def _dropped(self, reason: str) -> None:
        self.session.bus.log(f"an answer on {self.name!r} was not sent: {reason}", WARNING)

    def _answer(self, question: Question) -> Reply:
        """Call the listeners of a `Channel`, in a worker thread."""
        bound = cast("BoundChannel[..., R]", self.bound)
        end = handling(self.session.tracing, "answer", question.subject, question.headers, self.group)
        try:
            args, kwargs = self.schema.decode(question.data)
            if question.wants_all:
                return self._all(question, bound.attempt(*args, **kwargs), end)
            return self._one(question, bound.first(*args, **kwargs), end)
        except BaseException as error:
            return self._failed(question, error, end)

    async def _answer_async(self, question: Question) -> Reply:
        """Call the listeners of an `AsyncChannel`."""
        bound = cast("AsyncBoundChannel[..., R]", self.bound)
        end = handling(self.session.tracing, "answer", question.subject, question.headers, self.group)
        try:
            args, kwargs = self.schema.decode(question.data)
            if question.wants_all:
                return self._all(question, await bound.attempt(*args, **kwargs), end)
            return self._one(question, await bound.first(*args, **kwargs), end)
        except BaseException as error:
            return self._failed(question, error, end)

    def _one(self, question: Question, result: R | None, end: EndSpan) -> Reply:
        body = self.schema.encode_result(cast("R", result))
        end(None)
        return Reply(question, "ok", body)

    def _all(self, question: Question, attempt: Attempt[R], end: EndSpan) -> Reply:
        if attempt.failures:
            self._log(question, "\n".join(traceback_of(failure.error) for failure in attempt.failures))
        items: list[Item] = []
        for answer in attempt:
            if answer.error is not None:
                items.append(raised(answer.error))
                continue
            try:
                items.append(Item(msgspec.Raw(self.schema.encode_result(answer.result))))
            except Exception as error:
                self._log(question, traceback_of(error))
                items.append(raised(error))
        body = encode(items)
        end(attempt.failures[0].error if attempt.failures else None)
        return Reply(question, "all", body)

    def _failed(self, question: Question, error: BaseException, end: EndSpan) -> Reply:
        end(error)
        if isinstance(error, DecodeFailed):
            self.session.bus.log(f"a question of {question.origin} was refused: {error}", ERROR)
            return Reply(question, "bad", encode(Item(kind="DecodeFailed", message=error.problem)))
        self._log(question, traceback_of(error))
        if isinstance(error, ChannelFailures):
            return Reply(question, "err", encode(raised(error.exceptions[0])))
        fatal = None if isinstance(error, Exception | asyncio.CancelledError) else error
        return Reply(question, "err", encode(raised(error)), fatal)

    def _log(self, question: Question, trace: str) -> None:
        self.session.bus.log(f"a listener of {self.name!r} failed on a question of {question.origin}\n{trace}", ERROR)
