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
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from typing import Final

import attrs

from typedbus._base.clock import Clock, Waking
from typedbus._base.errors import HookTimeout, StartPending
from typedbus._base.sync import simple_queue
from typedbus._bus.hook_graph import HookGraph
from typedbus._bus.hook_worker import HookWorker, raised_by
from typedbus._bus.hooks import Abandoned, PhaseCallbacks, PhaseLimit, ScheduledHook
from typedbus._bus.time_budget import TimeBudget

#: Interval, in seconds, at which an inline hook that waits for an earlier call checks whether its start was cancelled.
_CHECK_INTERVAL: Final = 0.1


@attrs.define(eq=False, repr=False)
class _Job:
    """A listener and the state of its call: its *place* in the order, and its *stage*; stages run one by one."""

    hook: ScheduledHook
    place: int
    stage: int
    context: contextvars.Context | None = None
    worker: HookWorker | None = None
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


class HookScheduler:
    """
    One pass over *hooks*, in the order in which they are called.

    Args:
        hooks: The listeners of each node follow those of the nodes that come before it.
        callbacks: Receives the callbacks.
        backwards: Whether the dependencies of a node come after it, as in a stop, and not before it.
        clock: For time limits.
        waking: Wakes the thread of the transition while hooks run in worker threads.
        workers: How many listeners may run in parallel. Listeners of one component
            never run in parallel; a listener outside all components runs alone, in its
            place; and a priority begins only when all listeners of the previous one have ended.
        hook_limit: The limit of a hook without a limit of its own.
        whole: The limit of the phase.
        spares: Whether the remaining listeners are still called when the limit of the whole has passed.
    """

    def __init__(
        self,
        hooks: Sequence[ScheduledHook],
        callbacks: PhaseCallbacks,
        *,
        backwards: bool,
        clock: Clock,
        waking: Waking,
        workers: int,
        hook_limit: float | None,
        whole: PhaseLimit,
        spares: bool,
    ) -> None:
        self._callbacks = callbacks
        self._clock = clock
        self._lock = threading.Lock()
        self._waking = waking
        self._inbox: SimpleQueue[None] = simple_queue()
        self._ended_jobs: deque[_Job] = deque()
        self._backwards = backwards
        self._workers = workers
        self._budget = TimeBudget(hooks, hook_limit=hook_limit, whole=whole, spares=spares)
        self._jobs = list(_staged(hooks))
        self._graph = HookGraph(hooks, backwards=backwards) if workers > 1 else None
        self._ready = [0][: len(self._jobs)] if self._graph is None else self._graph.first()
        heapq.heapify(self._ready)
        self._unfinished = Counter(job.stage for job in self._jobs)
        self._stage = 0
        self._running: list[_Job] = []
        self._idle: list[HookWorker] = []
        self._interrupts = 0

    def carry_out(self) -> None:
        """
        Call the listeners.

        Return when all listeners have ended or were given up; after a cancellation, when the running listeners have.
        """
        try:
            while True:
                while self._ready and len(self._running) < self._workers and self._callbacks.goes_on():
                    # The heap is ordered by place, and so by stage: if the first job must wait, all others must too.
                    if self._jobs[self._ready[0]].stage > self._stage:
                        break
                    self._begin(self._jobs[heapq.heappop(self._ready)])
                if not self._running:
                    return
                self._await()
                while self._ended_jobs:
                    job = self._ended_jobs.popleft()
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
            worker.calls.put(None)
            worker.join()
            assert worker.ident is not None
            self._callbacks.left(worker.ident)

    def _begin(self, job: _Job) -> None:
        job.began = self._clock.now()
        if (allowed := self._budget.allowed(job.hook, job.began)) is not None:
            job.allowed, job.limit, job.scope = allowed
        if job.allowed is not None and job.allowed <= 0:
            # No time is left: calling it would only create an abandoned thread.
            job.error = self._overrun(job, "nowhere: the hooks before it had used up the time, and it was not called")
            self._end(job)
            return
        self._callbacks.begins(job.hook)
        is_inline = job.hook.is_inline
        if is_inline:
            # The hook may fork, for which no other thread should exist, not even an idle one.
            self._dismiss()
        job.predecessor = self._callbacks.predecessor(job.hook)
        runs_here = is_inline or (job.allowed is None and self._workers == 1) or job.hook.is_idle
        job.worker = None if runs_here else self._worker()
        if job.worker is None:
            if job.predecessor is not None:
                job.error = raised_by(functools.partial(self._wait_for, job.predecessor, job.allowed))
                if job.error is None and not job.predecessor.is_over.is_set():
                    if not self._callbacks.goes_on():
                        job.limit, job.scope = None, "interrupt"
                    job.error = self._pending(job, job.predecessor)
            if job.error is None:
                job.error = raised_by(job.hook.listener)
            job.seconds = self._clock.now() - job.began
            self._end(job)
            return
        job.context = contextvars.copy_context()
        self._running.append(job)
        job.worker.calls.put(functools.partial(self._call, job))

    def _call(self, job: _Job) -> bool:
        """Call the hook of *job* in this worker thread; return False if it was given up, and the thread must end."""
        threading.current_thread().name = job.hook.name
        if job.predecessor is not None:
            job.predecessor.is_over.wait()
        with self._lock:
            job.predecessor = None
            is_too_late = job.is_given_up
        if is_too_late:
            # The transition has continued and would not undo the hook if it were called now.
            if job.abandoned is not None:
                job.abandoned.is_over.set()
            return False
        assert job.context is not None
        error = job.context.run(raised_by, job.hook.listener)
        seconds = self._clock.now() - job.began
        with self._lock:
            if not job.is_given_up:
                job.is_over, job.seconds, job.error = True, seconds, error
                self._ended_jobs.append(job)
        if job.abandoned is None:
            self._waking.wake(self._inbox)
            return True
        try:
            job.context.run(self._callbacks.late, job.abandoned, seconds, error)
        finally:
            job.abandoned.is_over.set()
        return False

    def wake(self) -> None:
        """Make the scheduler check again whether to continue; may be called in any thread and in a signal handler."""
        self._waking.wake(self._inbox)

    def _wait_for(self, predecessor: Abandoned, seconds: float | None) -> None:
        """Wait in this thread until *predecessor* is over, at most *seconds*, or until the scheduler is cancelled."""
        until = None if seconds is None else time.monotonic() + seconds
        while self._callbacks.goes_on():
            left = _CHECK_INTERVAL if until is None else min(_CHECK_INTERVAL, until - time.monotonic())
            if predecessor.is_over.wait(max(0.0, left)) or (until is not None and time.monotonic() >= until):
                return

    def _worker(self) -> HookWorker | None:
        """Return an idle worker thread; None if none can be started, as while the interpreter shuts down."""
        if self._idle:
            return self._idle.pop()
        worker = HookWorker()
        try:
            worker.start()
        except RuntimeError:
            return None
        assert worker.ident is not None
        self._callbacks.joined(worker.ident)
        return worker

    def _end(self, job: _Job) -> None:
        self._budget.spend(job.hook, job.seconds)
        self._unfinished[job.stage] -= 1
        while not self._unfinished[self._stage] and self._stage < self._jobs[-1].stage:
            self._stage += 1
        if self._graph is not None:
            for place in self._graph.after(job.hook.node):
                heapq.heappush(self._ready, place)
        elif job.place + 1 < len(self._jobs):
            self._ready.append(job.place + 1)
        self._callbacks.ended(job.hook, job.seconds, job.error)

    def _await(self) -> None:
        """Wait until a listener has ended or overrun its limit; a listener that has overrun is given up."""
        while not self._ended_jobs:
            try:
                if not self._callbacks.goes_on():
                    # The hooks of these jobs have not been called yet, and their predecessors may never return.
                    pending = [job for job in self._running if job.predecessor is not None]
                    for job in pending:
                        job.limit, job.scope = None, "interrupt"
                    self._give_up(pending)
                    if self._ended_jobs:
                        return
                now = self._clock.now()
                timed = [(job.began + job.allowed - now, job) for job in self._running if job.allowed is not None]
                left = min((left for left, _ in timed), default=None)
                if left is None:
                    self._waking.inbox(self._inbox).get()
                elif left > 0:
                    self._clock.wait(self._waking.inbox(self._inbox), left)
                else:
                    self._give_up([job for left, job in timed if left <= 0])
            except BaseException as error:
                self._callbacks.interrupted(error)
                self._interrupts += 1
                if self._interrupts > 1:
                    for job in self._running:
                        job.limit, job.scope = None, "interrupt"
                    self._give_up(self._running)

    def _give_up(self, jobs: Sequence[_Job]) -> None:
        for job in jobs:
            # Do the slow work before taking the lock: a hook that returns needs it.
            seconds, predecessor = self._clock.now() - job.began, job.predecessor
            error: Exception
            abandoned = None
            if predecessor is not None:
                error = self._pending(job, predecessor)
            else:
                assert job.worker is not None
                error = self._overrun(job, job.worker.stack(), seconds)
                abandoned = self._callbacks.abandons(job.hook, job.began, job.worker)
            with self._lock:
                if job.is_over or job.predecessor is not predecessor:
                    # The hook has ended meanwhile, or its call has just begun; then the next round gives it up.
                    if abandoned is not None:
                        abandoned.is_over.set()
                    continue
                job.abandoned, job.is_over, job.is_given_up = abandoned, True, True
                job.seconds, job.error = seconds, error
                self._ended_jobs.append(job)

    def _pending(self, job: _Job, predecessor: Abandoned) -> StartPending:
        hook = predecessor.hook
        return StartPending(
            job.hook.path,
            hook.place,
            self._clock.now() - predecessor.began,
            job.limit,
            job.scope,
            predecessor.runner.stack(),
        )

    def _overrun(self, job: _Job, stack: str, seconds: float = 0.0) -> HookTimeout:
        hook = job.hook
        return HookTimeout(
            hook.path,
            hook.channel.name,
            hook.place,
            seconds,
            job.limit,
            job.scope,
            stack,
            self._waiting_for(job),
        )

    def _waiting_for(self, job: _Job) -> tuple[str, ...]:
        """Return the paths of the components that cannot be called before *job* is over."""
        graph = self._graph or HookGraph([other.hook for other in self._jobs], backwards=self._backwards)
        behind = graph.behind(job.hook.node)
        waiting = {other.hook.path: None for other in self._jobs if other.hook.node in behind}
        return tuple(waiting)


def _staged(hooks: Sequence[ScheduledHook]) -> Iterator[_Job]:
    stage, last = 0, None
    for place, hook in enumerate(hooks):
        # A listener outside all components has a stage to itself.
        current = (hook.priority, None if hook.node is not None else place)
        if place and current != last:
            stage += 1
        last = current
        yield _Job(hook, place, stage)
