"""
Call the listeners of a life-cycle channel, in order or in parallel, each within its time limit.

A hook is called in the thread of the transition if it is inline, or if it has no
limit and no hooks run in parallel. Any other hook runs in a worker thread, and the
thread of the transition waits for it up to its limit: a thread cannot be interrupted,
but it can be abandoned. All decisions are therefore made, and all events published,
sequentially in the thread of the transition, however many hooks run.
"""

from __future__ import annotations

import contextvars
import functools
import heapq
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import Final, Protocol

import attrs

from typedbus._base.clock import Clock, Waking
from typedbus._base.errors import HookTimeout, StartPending
from typedbus._base.limits import StartNode, time_left
from typedbus._base.sync import simple_queue
from typedbus._channels.channel import AnyChannel

#: Interval, in seconds, at which an inline hook that waits for an earlier call checks whether its start was cancelled.
_CHECK_INTERVAL: Final = 0.1


class ScheduledHook(Protocol):
    """A call that the scheduler makes: a `Subscription` to a channel of the life cycle, or the call of a participant."""

    @property
    def listener(self) -> Callable[..., object]:
        """The function to call, without arguments."""
        ...

    @property
    def channel(self) -> AnyChannel:
        """The channel of the hook."""
        ...

    @property
    def priority(self) -> int:
        """Hooks of a lower priority end before hooks of a higher priority begin."""
        ...

    @property
    def node(self) -> StartNode | None:
        """The start node of the hook's component; None for a hook that runs alone, in its place."""
        ...

    @property
    def limit(self) -> float | None:
        """The time limit of this hook in seconds, in place of the limit of all hooks."""
        ...

    @property
    def is_idle(self) -> bool:
        """Whether the call does nothing."""
        ...

    @property
    def is_inline(self) -> bool:
        """Whether it is called in the thread of the transition, regardless of workers and limits."""
        ...

    @property
    def name(self) -> str:
        """Its name in failures."""
        ...

    @property
    def path(self) -> str:
        """Its name in events."""
        ...

    @property
    def place(self) -> str:
        """File and line of its definition."""
        ...


class PhaseCallbacks(Protocol):
    """Callbacks of a scheduler; all except `late` are called in the thread of the transition."""

    def begins(self, subscription: ScheduledHook, /) -> None:
        """Called before a listener is called."""

    def ended(self, subscription: ScheduledHook, seconds: float, error: BaseException | None, /) -> None:
        """Called when a listener has returned or raised, or was given up."""

    def interrupted(self, error: BaseException, /) -> None:
        """Called with an exception that interrupted the thread of the transition while it waited."""

    def goes_on(self) -> bool:
        """Return whether the remaining listeners should be called."""
        ...

    def joined(self, thread: int, /) -> None:
        """Called when a worker thread has been started, before it calls hooks."""

    def left(self, thread: int, /) -> None:
        """Called when a worker thread has ended; not called for a thread whose hook was given up."""

    def abandons(self, subscription: ScheduledHook, began: float, thread: threading.Thread, /) -> Abandoned:
        """Return the record of a hook that is about to be given up."""
        ...

    def late(self, abandoned: Abandoned, seconds: float, error: BaseException | None, /) -> None:
        """Called in the thread of a hook that had been given up, when the hook has ended."""

    def predecessor(self, subscription: ScheduledHook, /) -> Abandoned | None:
        """Return an unfinished call from an earlier transition that must end before this hook is called, or None."""
        ...


@attrs.define(eq=False)
class Abandoned:
    """
    A hook that was given up and whose thread still runs.

    Attributes:
        subscription: The hook.
        began: When it was called.
        thread: The thread that runs it.
        stops: For a hook of `START`, the hooks of `STOP` of the same object, to be called if it returns.
        left: The hooks of `STOP` and `EXIT` of the same object that were due in the meantime. They are called after
            *stops*, whether the start returns or raises. Guarded by the lock of the bus.
        is_over: Set when the hook has ended and all hooks in *stops* and *left* have been called.
    """

    subscription: ScheduledHook
    began: float
    thread: threading.Thread
    stops: list[ScheduledHook]
    left: list[ScheduledHook] = attrs.field(factory=list)
    is_over: threading.Event = attrs.field(factory=threading.Event)


@attrs.define(eq=False, repr=False)
class _Job:
    """A listener and the state of its call: its *place* in the order, and its *stage*; stages run one by one."""

    subscription: ScheduledHook
    place: int
    stage: int
    context: contextvars.Context | None = None
    worker: _Worker | None = None
    began: float = 0.0
    allowed: float | None = None
    limit: float | None = None
    scope: str = ""
    seconds: float = 0.0
    error: BaseException | None = None
    #: The earlier call that the worker thread waits for before it calls the hook.
    predecessor: Abandoned | None = None
    abandoned: Abandoned | None = None
    is_given_up: bool = False
    is_over: bool = False


class _Worker(threading.Thread):
    """A thread that calls hooks, one after the other, until one of them is given up."""

    def __init__(self, scheduler: HookScheduler) -> None:
        # The interpreter does not wait for daemon threads: a hook that hangs must not keep the process alive.
        super().__init__(daemon=True)
        self._scheduler = scheduler
        self.jobs: SimpleQueue[_Job | None] = simple_queue()

    def run(self) -> None:
        scheduler = self._scheduler
        while (job := self.jobs.get()) is not None:
            self.name = job.subscription.name
            if job.predecessor is not None:
                job.predecessor.is_over.wait()
            with scheduler.lock:
                job.predecessor = None
                is_too_late = job.is_given_up
            if is_too_late:
                # The transition has continued and would not undo the hook if it were called now.
                if job.abandoned is not None:
                    job.abandoned.is_over.set()
                return
            assert job.context is not None
            error = _raised_by(functools.partial(job.context.run, job.subscription.listener))
            seconds = scheduler.clock.now() - job.began
            with scheduler.lock:
                if not job.is_given_up:
                    job.is_over, job.seconds, job.error = True, seconds, error
                    scheduler.ended_jobs.append(job)
            if job.abandoned is not None:
                try:
                    job.context.run(scheduler.callbacks.late, job.abandoned, seconds, error)
                finally:
                    job.abandoned.is_over.set()
                return
            scheduler.waking.wake(scheduler.inbox)


class HookScheduler:
    """
    One pass over *subscriptions*, in the order in which they are called.

    Args:
        subscriptions: The listeners of each node follow those of the nodes that come before it.
        callbacks: Receives the callbacks.
        backwards: Whether the dependencies of a node come after it, as in a stop, and not before it.
        clock: For time limits.
        waking: Wakes the thread of the transition while hooks run in worker threads.
        workers: How many listeners may run in parallel. Listeners of one component
            never run in parallel; a listener outside all components runs alone, in its
            place; and a priority begins only when all listeners of the previous one have ended.
        hook: The limit of a listener without a limit of its own.
        whole: The name of the transition, its limit, and when it began; None for no limit.
        spares: Whether the remaining listeners are still called when the limit of the whole has passed.
    """

    def __init__(
        self,
        subscriptions: Sequence[ScheduledHook],
        callbacks: PhaseCallbacks,
        *,
        backwards: bool,
        clock: Clock,
        waking: Waking,
        workers: int,
        hook: float | None,
        whole: tuple[str, float, float] | None,
        spares: bool,
    ) -> None:
        self.callbacks = callbacks
        self.clock = clock
        self.lock = threading.Lock()
        self.waking = waking
        self.inbox: SimpleQueue[None] = simple_queue()
        self.ended_jobs: deque[_Job] = deque()
        self._backwards = backwards
        self._workers = workers
        self._hook = hook
        self._whole = whole
        self._spares = spares
        self._jobs = list(_staged(subscriptions))
        self._graph = _Graph(self._jobs, backwards=backwards) if workers > 1 else None
        self._ready = [0][: len(self._jobs)] if self._graph is None else self._graph.first()
        heapq.heapify(self._ready)
        self._unfinished = Counter(job.stage for job in self._jobs)
        self._stage = 0
        self._left = len(self._jobs)
        self._left_of = Counter(
            node for job in self._jobs if (node := job.subscription.node) is not None and node.limit is not None
        )
        self._spent: dict[StartNode, float] = {}
        self._running: list[_Job] = []
        self._idle: list[_Worker] = []
        self._interrupts = 0

    def carry_out(self) -> None:
        """
        Call the listeners.

        Return when all listeners have ended or were given up; after a cancellation, when the running listeners have.
        """
        try:
            while True:
                while self._ready and len(self._running) < self._workers and self.callbacks.goes_on():
                    # The heap is ordered by place, and so by stage: if the first job must wait, all others must too.
                    if self._jobs[self._ready[0]].stage > self._stage:
                        break
                    self._begin(self._jobs[heapq.heappop(self._ready)])
                if not self._running:
                    return
                self._await()
                while self.ended_jobs:
                    job = self.ended_jobs.popleft()
                    self._running.remove(job)
                    if job.worker is not None and not job.is_given_up:
                        self._idle.append(job.worker)
                    self._end(job)
        finally:
            self._dismiss()

    def _dismiss(self) -> None:
        """End the idle worker threads."""
        while self._idle:
            worker = self._idle.pop()
            worker.jobs.put(None)
            worker.join()
            assert worker.ident is not None
            self.callbacks.left(worker.ident)

    def _begin(self, job: _Job) -> None:
        job.began = self.clock.now()
        self._allow(job)
        if job.allowed is not None and job.allowed <= 0:
            # No time is left: calling it would only create an abandoned thread.
            job.error = self._overrun(job, "nowhere: the hooks before it had used up the time, and it was not called")
            self._end(job)
            return
        self.callbacks.begins(job.subscription)
        is_inline = job.subscription.is_inline
        if is_inline:
            # The hook may fork, for which no other thread should exist, not even an idle one.
            self._dismiss()
        job.predecessor = self.callbacks.predecessor(job.subscription)
        runs_here = is_inline or (job.allowed is None and self._workers == 1) or job.subscription.is_idle
        job.worker = None if runs_here else self._worker()
        if job.worker is None:
            if job.predecessor is not None:
                job.error = _raised_by(functools.partial(self._wait_for, job.predecessor, job.allowed))
                if job.error is None and not job.predecessor.is_over.is_set():
                    if not self.callbacks.goes_on():
                        job.limit, job.scope = None, "interrupt"
                    job.error = self._pending(job, job.predecessor)
            if job.error is None:
                job.error = _raised_by(job.subscription.listener)
            job.seconds = self.clock.now() - job.began
            self._end(job)
            return
        job.context = contextvars.copy_context()
        self._running.append(job)
        job.worker.jobs.put(job)

    def wake(self) -> None:
        """Make the scheduler check again whether to continue; may be called in any thread and in a signal handler."""
        self.waking.wake(self.inbox)

    def _wait_for(self, predecessor: Abandoned, seconds: float | None) -> None:
        """Wait in this thread until *predecessor* is over, at most *seconds*, or until the scheduler is cancelled."""
        until = None if seconds is None else time.monotonic() + seconds
        while self.callbacks.goes_on():
            left = _CHECK_INTERVAL if until is None else min(_CHECK_INTERVAL, until - time.monotonic())
            if predecessor.is_over.wait(max(0.0, left)) or (until is not None and time.monotonic() >= until):
                return

    def _worker(self) -> _Worker | None:
        """Return an idle worker thread; None if none can be started, as while the interpreter shuts down."""
        if self._idle:
            return self._idle.pop()
        worker = _Worker(self)
        try:
            worker.start()
        except RuntimeError:
            return None
        assert worker.ident is not None
        self.callbacks.joined(worker.ident)
        return worker

    def _end(self, job: _Job) -> None:
        node = job.subscription.node
        self._left -= 1
        self._unfinished[job.stage] -= 1
        while not self._unfinished[self._stage] and self._stage < self._jobs[-1].stage:
            self._stage += 1
        if node is not None and node.limit is not None:
            self._left_of[node] -= 1
            self._spent[node] = self._spent.get(node, 0.0) + job.seconds
        if self._graph is not None:
            for place in self._graph.after(job):
                heapq.heappush(self._ready, place)
        elif job.place + 1 < len(self._jobs):
            self._ready.append(job.place + 1)
        self.callbacks.ended(job.subscription, job.seconds, job.error)

    def _allow(self, job: _Job) -> None:
        """Set how long *job* may run: the least time left by its own limit, its component's and that of the whole."""
        node, own = job.subscription.node, job.subscription.limit
        limits: list[tuple[float, float, str]] = []
        hook = self._hook if own is None else own
        if hook is not None:
            limits.append((hook, hook, "hook"))
        if node is not None and node.limit is not None:
            limits.append(
                (time_left(node.limit, self._spent.get(node, 0.0), self._left_of[node]), node.limit, "component")
            )
        if self._whole is not None:
            scope, seconds, began = self._whole
            spent = job.began - began
            limits.append((time_left(seconds, spent, self._left) if self._spares else seconds - spent, seconds, scope))
        if limits:
            job.allowed, job.limit, job.scope = min(limits)

    def _await(self) -> None:
        """Wait until a listener has ended or overrun its limit; a listener that has overrun is given up."""
        while not self.ended_jobs:
            try:
                if not self.callbacks.goes_on():
                    # The hooks of these jobs have not been called yet, and their predecessors may never return.
                    pending = [job for job in self._running if job.predecessor is not None]
                    for job in pending:
                        job.limit, job.scope = None, "interrupt"
                    self._give_up(pending)
                    if self.ended_jobs:
                        return
                now = self.clock.now()
                timed = [(job.began + job.allowed - now, job) for job in self._running if job.allowed is not None]
                left = min((left for left, _ in timed), default=None)
                if left is None:
                    self.waking.inbox(self.inbox).get()
                elif left > 0:
                    self.clock.wait(self.waking.inbox(self.inbox), left)
                else:
                    self._give_up([job for left, job in timed if left <= 0])
            except BaseException as error:
                self.callbacks.interrupted(error)
                self._interrupts += 1
                if self._interrupts > 1:
                    for job in self._running:
                        job.limit, job.scope = None, "interrupt"
                    self._give_up(self._running)

    def _give_up(self, jobs: Sequence[_Job]) -> None:
        for job in jobs:
            # Do the slow work before taking the lock: a hook that returns needs it.
            seconds, predecessor = self.clock.now() - job.began, job.predecessor
            error: Exception
            abandoned = None
            if predecessor is not None:
                error = self._pending(job, predecessor)
            else:
                assert job.worker is not None
                error = self._overrun(job, _stack_of(job.worker), seconds)
                abandoned = self.callbacks.abandons(job.subscription, job.began, job.worker)
            with self.lock:
                if job.is_over or job.predecessor is not predecessor:
                    # The hook has ended meanwhile, or its call has just begun; then the next round gives it up.
                    if abandoned is not None:
                        abandoned.is_over.set()
                    continue
                job.abandoned, job.is_over, job.is_given_up = abandoned, True, True
                job.seconds, job.error = seconds, error
                self.ended_jobs.append(job)

    def _pending(self, job: _Job, predecessor: Abandoned) -> StartPending:
        subscription = predecessor.subscription
        return StartPending(
            job.subscription.path,
            subscription.place,
            self.clock.now() - predecessor.began,
            job.limit,
            job.scope,
            _stack_of(predecessor.thread),
        )

    def _overrun(self, job: _Job, stack: str, seconds: float = 0.0) -> HookTimeout:
        subscription = job.subscription
        return HookTimeout(
            subscription.path,
            subscription.channel.name,
            subscription.place,
            seconds,
            job.limit,
            job.scope,
            stack,
            self._waiting_for(job),
        )

    def _waiting_for(self, job: _Job) -> tuple[str, ...]:
        """Return the paths of the components that cannot be called before *job* is over."""
        graph = self._graph or _Graph(self._jobs, backwards=self._backwards)
        behind = graph.behind(job)
        waiting = {other.subscription.path: None for other in self._jobs if other.subscription.node in behind}
        return tuple(waiting)


class _Graph:
    """The dependencies between listeners: which of them can be called once others have ended."""

    def __init__(self, jobs: Sequence[_Job], *, backwards: bool) -> None:
        self._places: dict[StartNode, deque[int]] = {}
        self._free: list[int] = []
        for job in jobs:
            node = job.subscription.node
            if node is None:
                self._free.append(job.place)
            else:
                self._places.setdefault(node, deque()).append(job.place)
        # Nodes without a listener are included, because dependencies lead through them.
        self._missing: dict[StartNode, int] = {}
        self._after: dict[StartNode, list[StartNode]] = {}
        unseen = list(self._places)
        while unseen:
            node = unseen.pop()
            if node in self._after:
                continue
            self._after[node] = []
            self._missing[node] = 0
            unseen.extend(node.needs)
        for node in self._after:
            for need in node.needs:
                first, second = (node, need) if backwards else (need, node)
                self._after[first].append(second)
                self._missing[second] += 1

    def first(self) -> list[int]:
        """Return the places of the jobs that wait for no other job."""
        return self._free + self._open([node for node, missing in self._missing.items() if not missing])

    def after(self, job: _Job) -> list[int]:
        """Return the places of the jobs that can start now that *job* has ended."""
        node = job.subscription.node
        if node is None:
            return []
        if self._places[node]:
            return [self._places[node].popleft()]
        return self._open(self._close(node))

    def behind(self, job: _Job) -> set[StartNode | None]:
        """Return the nodes that come after the node of *job*, directly or indirectly."""
        node = job.subscription.node
        nodes: set[StartNode | None] = set()
        unseen = [] if node is None else list(self._after[node])
        while unseen:
            node = unseen.pop()
            if node not in nodes:
                nodes.add(node)
                unseen.extend(self._after[node])
        return nodes

    def _open(self, nodes: list[StartNode]) -> list[int]:
        """Return the first place of each of *nodes*; a node without a place is closed and its successors opened."""
        places = []
        while nodes:
            node = nodes.pop()
            if self._places.get(node):
                places.append(self._places[node].popleft())
            else:
                nodes.extend(self._close(node))
        return places

    def _close(self, node: StartNode) -> list[StartNode]:
        """Return the nodes for which *node* was the last missing dependency."""
        opened = []
        for other in self._after[node]:
            self._missing[other] -= 1
            if not self._missing[other]:
                opened.append(other)
        return opened


def _raised_by(listener: Callable[[], object]) -> BaseException | None:
    """
    Call *listener* and return the exception that it raised, or None.

    A function of its own, so that no frame in the traceback holds the exception.
    """
    try:
        listener()
    except BaseException as raised:
        return raised
    return None


def _staged(subscriptions: Sequence[ScheduledHook]) -> Iterator[_Job]:
    stage, last = 0, None
    for place, subscription in enumerate(subscriptions):
        # A listener outside all components has a stage to itself.
        current = (subscription.priority, None if subscription.node is not None else place)
        if place and current != last:
            stage += 1
        last = current
        yield _Job(subscription, place, stage)


def _stack_of(worker: threading.Thread | None) -> str:
    """Return the stack of *worker* as text, from the hook inwards."""
    import traceback  # only needed to report an overrun

    frames = sys._current_frames()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    frame = None if worker is None or worker.ident is None else frames.get(worker.ident)
    within_hook = []
    while frame is not None and frame.f_code is not _raised_by.__code__:
        within_hook.append((frame, frame.f_lineno))
        frame = frame.f_back
    return "".join(traceback.StackSummary.extract(iter(reversed(within_hook))).format())
