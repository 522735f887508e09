"""One run of a responder: the questions that it has received, and their answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Generic, cast

import attrs
import msgspec
from typing_extensions import ParamSpec, TypeVar

from typedbus._base.failures import ChannelFailures, traceback_of
from typedbus._base.stopping import Stopping
from typedbus._bus.builtin import ERROR, WARNING
from typedbus._channels.async_bound import AsyncBoundChannel
from typedbus._channels.attempt import Attempt
from typedbus._channels.bound import BoundChannel
from typedbus.nats._answers import Item, encode, raised
from typedbus.nats._errors import DecodeFailed, TooLarge
from typedbus.nats._events import QuestionRefused
from typedbus.nats._headers import ALL_HEADER, ORIGIN_HEADER, REPLY_HEADER, origin_in, size_of
from typedbus.nats._schema import MessageSchema
from typedbus.nats._serving import Serving, ends_process, name_of_run, report_mismatch, workers_for
from typedbus.nats._session import Session
from typedbus.nats._tracing import EndSpan, handling
from typedbus.nats._watcher import Message

P = ParamSpec("P")
R = TypeVar("R")

_KINDS: Final = ("ok", "all", "err", "bad", "busy", "none")


@attrs.define(eq=False)
class Question:
    """
    A question of another process.

    Attributes:
        reply: The subject of its answer.
        data: Its body.
        wants_all: Whether it wants the results of all listeners.
        origin: The process that asks.
        headers: Its headers.
        kind: The kind of its answer; "busy" until a listener is called.
        body: The body of its answer.
        error: Why it cannot be decoded, or the first exception of a listener.
    """

    reply: str
    data: bytes
    wants_all: bool
    origin: str
    headers: Mapping[str, str]
    kind: str = "busy"
    body: bytes = b""
    error: BaseException | None = None

    @property
    def is_handled(self) -> bool:
        """Whether all listeners have returned."""
        return self.kind in ("ok", "all")

    def begin(self, _stack: Callable[[], str]) -> None:
        """Do nothing: the stacks of the threads are read when a stop waits for them."""


@attrs.define(eq=False)
class Answering(Generic[P, R]):
    """
    Answers questions until the run is asked to end; all methods except `_call` run on the event loop.

    Args:
        session: The connection and its parts.
        bound: The channel.
        schema: The schema of its messages.
        concurrency: How many questions are answered at the same time.
        most: How many may wait.
    """

    session: Session
    bound: BoundChannel[P, R] | AsyncBoundChannel[P, R]
    schema: MessageSchema[P, R]
    concurrency: int
    most: int
    _serving: Serving[Question] = attrs.field(init=False)
    #: The headers of an answer, by its kind, and how many bytes they have at the most.
    _headers: dict[str, dict[str, str]] = attrs.field(init=False)
    _header_size: int = attrs.field(init=False)
    #: How many questions have no answer yet.
    _unanswered: int = attrs.field(init=False, default=0)
    _is_overloaded: bool = attrs.field(init=False, default=False)
    _is_denied: bool = attrs.field(init=False, default=False)
    #: The processes that declare the channel differently, as far as they were reported.
    _strangers: set[str] = attrs.field(init=False, factory=set)

    def __attrs_post_init__(self) -> None:
        self._headers = {kind: {REPLY_HEADER: kind, ORIGIN_HEADER: self.session.origin} for kind in _KINDS}
        del self._headers["ok"][REPLY_HEADER]  # it is the default; each header costs time in both processes
        self._header_size = max(map(size_of, self._headers.values()))

    async def run(self, stopping: Stopping, subject: str, group: str) -> None:
        """
        Answer the questions on *subject* until *stopping* is set, and then the questions that have arrived.

        Raises:
            Denied: The server does not let this user subscribe to the questions.
            BaseException: `SystemExit` and similar exceptions of a listener.
        """
        session, channel = self.session, self.schema.name
        name = name_of_run(channel)
        workers = workers_for(
            self.bound, self._call, self._call_async, self._answered, session, name=name, count=self.concurrency
        )
        self._serving = Serving(session, channel, subject, group, workers, self._receive, self._answered, finishes=True)
        unwatch = session.watch(self)
        try:
            await self._serving.run(stopping)
        finally:
            unwatch()

    def connected(self, server: str) -> None:
        """There is a connection again."""

    def disconnected(self, reason: str) -> None:
        """The connection is lost."""

    def denied(self, subject: str) -> None:
        """Log that answers are lost, once in a run: the process that asks is not notified."""
        if subject.lower().startswith("_inbox.") and not self._is_denied:
            self._is_denied = True
            self.session.bus.log(
                f"the server denies this user to answer questions on {self.schema.name!r}: add allow_responses, or a "
                f"permission to publish on '_INBOX.>', to the user; the first lost answer was for {subject!r}",
                ERROR,
            )

    def replies_refused(self) -> None:
        """Do nothing: an answer needs no reply."""

    def _receive(self, message: Message) -> None:
        if not message.reply:
            return  # not a question
        headers = message.headers or {}
        report_mismatch(self.session, self.schema, headers, self._strangers)
        takes = self._serving.takes
        question = Question(message.reply, message.data, ALL_HEADER in headers, origin_in(headers), headers)
        if not self.bound.subscriptions:
            self._send(question.reply, "none", b"")
        elif takes and self._unanswered < self.concurrency + self.most:
            self._unanswered += 1
            self._serving.workers.put(question)
        else:
            self._send(question.reply, "busy", b"")
            if takes and not self._is_overloaded:
                self._is_overloaded = True
                self.session.bus.log(
                    f"{self.most} questions on {self.schema.name!r} wait, and further ones are refused; raise concurrency or most of "
                    "the responder, or start more processes of its group",
                    WARNING,
                )

    def _answered(self, question: Question) -> None:
        self._unanswered -= 1
        if self._unanswered * 2 <= self.most:
            self._is_overloaded = False
        if isinstance(question.error, DecodeFailed):
            self.session.report(QuestionRefused(self.schema.name, question.origin, question.error.problem))
        elif ends_process(question.error):
            self._serving.fail(question.error)
        size, limit = len(question.body) + self._header_size, self.session.connection.max_payload
        if size > limit:
            error = TooLarge(self.schema.name, size, limit)
            self._log(question, str(error))
            question.kind, question.body = "err", encode(raised(error))
        self._send(question.reply, question.kind, question.body)

    def _send(self, reply: str, kind: str, body: bytes) -> None:
        self.session.connection.send(reply, body, headers=self._headers[kind], dropped=self._dropped)

    def _dropped(self, reason: str) -> None:
        self.session.bus.log(f"an answer on {self.schema.name!r} was not sent: {reason}", WARNING)

    def _call(self, question: Question) -> None:
        """Call the listeners of a `Channel`, in a worker thread."""
        bound = cast("BoundChannel[..., R]", self.bound)
        end = self._traced(question)
        try:
            args, kwargs = self.schema.decode(question.data)
            if question.wants_all:
                self._take_all(question, bound.attempt(*args, **kwargs))
            else:
                self._take(question, bound.first(*args, **kwargs))
        except BaseException as error:
            self._take_error(question, error)
        end(question.error)

    async def _call_async(self, question: Question) -> None:
        """Call the listeners of an `AsyncChannel`, in a task."""
        bound = cast("AsyncBoundChannel[..., R]", self.bound)
        end = self._traced(question)
        try:
            args, kwargs = self.schema.decode(question.data)
            if question.wants_all:
                self._take_all(question, await bound.attempt(*args, **kwargs))
            else:
                self._take(question, await bound.first(*args, **kwargs))
        except BaseException as error:
            self._take_error(question, error)
        end(question.error)

    def _traced(self, question: Question) -> EndSpan:
        serving = self._serving
        return handling(self.session.tracing, "answer", serving.subject, question.headers, serving.group)

    def _take(self, question: Question, result: R | None) -> None:
        # None is a result only if the channel declares it; otherwise it cannot be encoded.
        question.kind, question.body = "ok", self.schema.encode_result(cast("R", result))

    def _take_all(self, question: Question, attempt: Attempt[R]) -> None:
        items: list[Item] = []
        for answer in attempt:
            error = answer.error
            if answer.error is None:
                try:
                    items.append(Item(msgspec.Raw(self.schema.encode_result(answer.result))))
                    continue
                except Exception as failed:
                    error = failed
            if error is not None:
                self._log(question, traceback_of(error))
                items.append(raised(error))
                question.error = question.error or error
        question.kind, question.body = "all", encode(items)

    def _take_error(self, question: Question, error: BaseException) -> None:
        question.error = error
        if isinstance(error, DecodeFailed):
            self._log(question, str(error))
            question.kind, question.body = "bad", encode(raised(error, error.problem))
            return
        self._log(question, traceback_of(error))
        cause = error.exceptions[0] if isinstance(error, ChannelFailures) else error
        question.kind, question.body = "err", encode(raised(cause))

    def _log(self, question: Question, text: str) -> None:
        self.session.bus.log(f"a question of {question.origin} on {self.schema.name!r} failed: {text}", ERROR)
