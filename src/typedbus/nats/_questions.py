"""The questions that a responder has received, and the threads or the tasks that answer them."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import contextvars
import queue
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, NamedTuple, Protocol

import attrs

from typedbus._base.sync import simple_queue
from typedbus._os.exhausted import start_thread
from typedbus.nats._handover import Handover

#: How long tasks that were cancelled may take to end, in seconds.
_GRACE: Final = 0.5


class Question(NamedTuple):
    """
    A question: the subject of its answer, its body, whether all results are wanted, and the process that asks.

    Further its own subject and its headers.
    """

    reply: str
    data: bytes
    wants_all: bool
    origin: str
    subject: str
    headers: Mapping[str, str]


class Reply(NamedTuple):
    """An answer; *fatal* is an exception that ends the process of the listener."""

    question: Question
    kind: str
    body: bytes
    fatal: BaseException | None = None


class Workers(Protocol):
    """Answers questions; its methods are called on the event loop."""

    @property
    def waiting(self) -> int:
        """How many questions have not begun."""
        ...

    @property
    def unanswered(self) -> int:
        """How many questions have not been answered, those that wait included."""
        ...

    def put(self, question: Question) -> None:
        """Answer *question* when it is its turn."""

    def refuse(self) -> list[Question]:
        """Return the questions that have not begun; they are not answered."""
        ...

    async def end(self) -> None:
        """End the workers; listeners that still run are cancelled if they are async, and otherwise left behind."""


@attrs.define(eq=False)
class Threads:
    """
    Worker threads, each of which answers one question at a time.

    Args:
        name: The name of the threads.
        count: How many there are.
        answer: Called in a thread.
        answered: Called on the event loop, with the result of *answer*.
        handover: Calls *answered*.
        own: Called with each thread.
    """

    name: str
    count: int
    answer: Callable[[Question], Reply]
    answered: Callable[[Reply], object]
    handover: Handover
    own: Callable[[threading.Thread], object]
    _questions: queue.SimpleQueue[Question | None] = attrs.field(init=False, factory=simple_queue)
    _context: contextvars.Context = attrs.field(init=False, factory=contextvars.copy_context)
    _threads: list[threading.Thread] = attrs.field(init=False, factory=list)
    unanswered: int = attrs.field(init=False, default=0)

    def start(self) -> None:
        """
        Start the threads.

        Raises:
            OutOfThreads: The system cannot start another thread.
        """
        for number in range(1, self.count + 1):
            thread = threading.Thread(target=self._work, name=f"{self.name} {number}", daemon=False)
            self.own(thread)
            start_thread(thread)
            self._threads.append(thread)

    @property
    def waiting(self) -> int:
        return self._questions.qsize()

    def put(self, question: Question) -> None:
        self.unanswered += 1
        self._questions.put(question)

    def refuse(self) -> list[Question]:
        questions: list[Question] = []
        with contextlib.suppress(queue.Empty):
            while True:
                question = self._questions.get_nowait()
                if question is not None:
                    questions.append(question)
        self.unanswered -= len(questions)
        return questions

    async def end(self) -> None:
        for _ in self._threads:
            self._questions.put(None)
        if not self.unanswered:
            for thread in self._threads:
                thread.join()

    def _work(self) -> None:
        while (question := self._questions.get()) is not None:
            # A listener must not see what another one has set.
            reply = self._context.copy().run(self.answer, question)
            self.handover.call(self._ended, reply)

    def _ended(self, reply: Reply) -> None:
        self.unanswered -= 1
        self.answered(reply)


@attrs.define(eq=False)
class Tasks:
    """
    Tasks on the event loop, one for each question.

    Args:
        name: The name of the tasks.
        count: How many run at the same time.
        answer: Called in a task.
        answered: Called with the result of *answer*.
    """

    name: str
    count: int
    answer: Callable[[Question], Coroutine[Any, Any, Reply]]
    answered: Callable[[Reply], object]
    _context: contextvars.Context = attrs.field(init=False, factory=contextvars.copy_context)
    _questions: collections.deque[Question] = attrs.field(init=False, factory=collections.deque)
    _running: dict[asyncio.Task[Reply], Question] = attrs.field(init=False, factory=dict)

    @property
    def waiting(self) -> int:
        return len(self._questions)

    @property
    def unanswered(self) -> int:
        return len(self._running) + len(self._questions)

    def put(self, question: Question) -> None:
        if len(self._running) >= self.count:
            self._questions.append(question)
            return
        loop = asyncio.get_running_loop()
        task = loop.create_task(self.answer(question), name=self.name, context=self._context.copy())
        self._running[task] = question
        task.add_done_callback(self._ended)

    def refuse(self) -> list[Question]:
        questions = list(self._questions)
        self._questions.clear()
        return questions

    async def end(self) -> None:
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=_GRACE)

    def _ended(self, task: asyncio.Task[Reply]) -> None:
        question = self._running.pop(task)
        # A task that is cancelled before its first step has called no listener.
        self.answered(Reply(question, "busy", b"") if task.cancelled() else task.result())
        if self._questions:
            self.put(self._questions.popleft())
