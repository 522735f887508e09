"""
Call the listeners of a life-cycle channel, in order or in parallel, each within its time limit.

A hook is called in the thread of the transition if it is inline, or if it has no
limit and no hooks run in parallel. Any other hook runs in a worker thread, and the
thread of the transition waits for it up to its limit: a thread cannot be interrupted,
but it can be abandoned. An async hook runs as a task on the event loop of the bus,
regardless of workers and limits; it is cancelled before it is abandoned. All decisions
are therefore made, and all events published, sequentially in the thread of the
transition, however many hooks run.

Hooks that run end early in three ways. When a start does not go on, they are called
off: async hooks are cancelled and awaited, the others end by themselves. At a second
interrupt they are broken off: async hooks are cancelled, and none is awaited. A single
hook that has overrun its limit, or that is broken off, is given up: its thread or task
is left behind, and the phase continues without it.
"""

from __future__ import annotations

import contextvars
import functools
import heapq
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from typedbus._base.channel_errors import ListenerError
from typedbus._base.clock import Clock, Inbox, Waking
from typedbus._base.coroutines import is_async_callable
from typedbus._base.errors import HookCancelled
from typedbus._base.sync import simple_queue
from typedbus._bus.event_loop import EventLoop
from typedbus._bus.hook_graph import HookGraph
from typedbus._bus.hook_job import HookJob, staged
from typedbus._bus.hook_worker import HookWorkers, raised_by
from typedbus._bus.hooks import CHECK_INTERVAL, GRACE, Abandoned, PhaseCallbacks, PhaseLimit, ScheduledHook
from typedbus._bus.overruns import Overruns
from typedbus._bus.time_budget import TimeBudget

if TYPE_CHECKING:
    from typedbus._bus.asyncio_loop import AsyncioLoop
    from typedbus._bus.loop_call import LoopCall


class HookScheduler:
    """
    One pass over *hooks*, in the order in which they are called.

    Args:
        hooks: The listeners of each node follow those of the nodes that come before it.
        callbacks: Receives the callbacks.
        backwards: Whether the dependencies of a node come after it, as in a stop, and not before it.
        clock: For time limits.
        waking: Wakes the thread of the transition while hooks run elsewhere.
        event_loop: Runs the async hooks.
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
        event_loop: EventLoop,
        workers: int,
        hook_limit: float | None,
        whole: PhaseLimit,
        spares: bool,
    ) -> None:
        self._callbacks = callbacks
        self._clock = clock
        self._lock = threading.Lock()
        self._waking = waking
        self._event_loop = event_loop
        self._is_start = not backwards
        self._inbox: SimpleQueue[None] = simple_queue()
        self._ended_jobs: deque[HookJob] = deque()
        self._max_running = workers
        self._budget = TimeBudget(hooks, hook_limit=hook_limit, whole=whole, spares=spares)
        self._jobs = list(staged(hooks))
        self._graph = HookGraph(hooks, backwards=backwards) if workers > 1 else None
        self._ready = [0][: len(self._jobs)] if self._graph is None else self._graph.first()
        heapq.heapify(self._ready)
        self._overruns = Overruns(self._jobs, self._graph, backwards=backwards, clock=clock)
        self._unfinished = Counter(job.stage for job in self._jobs)
        self._stage = 0
        self._running: list[HookJob] = []
        self._workers = HookWorkers(callbacks)
        #: The calls of async hooks that have not been handed to the event loop, which is woken once for all of them.
        self._prepared: list[LoopCall] = []

    def carry_out(self) -> None:
        """
        Call the listeners.

        Return when all listeners have ended or were given up; after a cancellation, when the running listeners have.
        """
        try:
            while True:
                while self._ready and len(self._running) < self._max_running and self._callbacks.goes_on():
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
                        self._workers.put(job.worker)
                    if job.call is not None and not job.is_given_up:
                        self._judge(job, job.call)
                    self._end(job)
        finally:
            self._workers.dismiss()

    def _begin(self, job: HookJob) -> None:
        job.began = self._clock.now()
        if (allowed := self._budget.allowed(job.hook, job.began)) is not None:
            job.allowed, job.limit, job.scope = allowed
        if job.allowed is not None and job.allowed <= 0:
            # No time is left: calling it would only create an abandoned thread.
            job.error = self._overruns.overrun(
                job, "nowhere: the hooks before it had used up the time, and it was not called"
            )
            self._end(job)
            return
        self._callbacks.begins(job.hook)
        is_inline = job.hook.is_inline
        if is_inline:
            # The hook may fork, for which no other thread should exist, not even an idle one.
            self._workers.dismiss()
        job.predecessor = self._callbacks.predecessor(job.hook)
        if is_async_callable(job.hook.listener):
            self._begin_on_loop(job)
            return
        runs_here = is_inline or (job.allowed is None and self._max_running == 1) or job.hook.is_idle
        job.worker = None if runs_here else self._workers.get()
        if job.worker is None:
            if self._prepared:
                self._begin_prepared()
            if job.predecessor is not None:
                job.error = raised_by(functools.partial(self._wait_for, job.predecessor, job.allowed))
                if job.error is None and not job.predecessor.is_over.is_set():
                    if not self._callbacks.goes_on():
                        job.limit, job.scope = None, "interrupt"
                    job.error = self._overruns.pending(job, job.predecessor)
            if job.error is None:
                job.error = raised_by(job.hook.listener)
                # A request to give up hooks was for this one, which cannot be given up in this thread.
                self._callbacks.gives_up()
            job.seconds = self._clock.now() - job.began
            self._end(job)
            return
        job.context = contextvars.copy_context()
        self._running.append(job)
        job.worker.calls.put(functools.partial(self._call, job))

    def _call(self, job: HookJob) -> bool:
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
        abandoned = self._returned(job, error)
        if abandoned is None:
            return True
        job.context.run(self._conclude, abandoned, error)
        return False

    def _returned(self, job: HookJob, error: BaseException | None) -> Abandoned | None:
        """Take the outcome of *job*, in the thread that ran it; return the record of the hook if it was given up."""
        seconds = self._clock.now() - job.began
        with self._lock:
            if not job.is_given_up:
                job.is_over, job.seconds, job.error = True, seconds, error
                self._ended_jobs.append(job)
        if job.abandoned is None:
            self._waking.wake(self._inbox)
        return job.abandoned

    def _conclude(self, abandoned: Abandoned, error: BaseException | None) -> None:
        """Report that a hook that was given up has ended with *error*, or returned."""
        try:
            self._callbacks.late(abandoned, self._clock.now() - abandoned.began, error)
        finally:
            abandoned.is_over.set()

    def _begin_on_loop(self, job: HookJob) -> None:
        """Begin an async hook on the event loop, or end *job* with the reason why it cannot be called."""
        hook = job.hook
        try:
            loop = self._loop_for(hook)
        except Exception as error:
            job.error = error
            self._end(job)
            return
        if job.allowed is not None and self._budget.has_passed(hook, job.began):
            # The other half is left for its cancellation.
            job.allowed /= 2
        done = functools.partial(self._returned_on_loop, job)
        call = loop.prepare(hook.listener, self._callbacks.context(), hook.name, done)
        self._running.append(job)
        if job.predecessor is None:
            job.call = call
            self._prepared.append(call)
        else:
            args = (call, job, job.predecessor)
            threading.Thread(target=self._call_after, args=args, name=hook.name, daemon=True).start()

    def _loop_for(self, hook: ScheduledHook) -> AsyncioLoop:
        if hook.is_inline:
            reason = "it is async, and an inline hook runs in the thread of the transition; remove inline=True"
            raise ListenerError(hook.channel.name, hook.listener, reason)
        loop = self._event_loop.get(hook.name)
        loop.refuse_if_dead(f"{hook.path} was not called on {hook.channel.name} ({hook.place})")
        return loop

    def _begin_prepared(self) -> None:
        """Begin the prepared calls; after an interrupt in between they are begun again, which changes nothing."""
        self._prepared[0].on.begin_all(self._prepared)
        self._prepared.clear()

    def _call_after(self, call: LoopCall, job: HookJob, predecessor: Abandoned) -> None:
        """Begin *call*, of an async hook, when *predecessor* is over; called in a thread of its own."""
        predecessor.is_over.wait()
        with self._lock:
            if not job.is_given_up:
                job.predecessor = None
                job.call = call
                call.on.begin_all([call])
        # The phase may have been called off meanwhile: the hook, which waited until now, must be cancelled.
        self.wake()

    def _returned_on_loop(self, job: HookJob, error: BaseException | None) -> None:
        abandoned = self._returned(job, error)
        if abandoned is not None:
            self._conclude_in_thread(abandoned, error)

    def _conclude_in_thread(self, abandoned: Abandoned, error: BaseException | None) -> None:
        """Do the same as `_conclude` in a new thread: it calls sync hooks, and waits for the event loop."""
        threading.Thread(target=self._conclude, args=(abandoned, error), name=abandoned.hook.name, daemon=True).start()

    def _judge(self, job: HookJob, call: LoopCall) -> None:
        """Set the error of an async hook that has ended, according to whether and why it was cancelled."""
        error, hook = job.error, job.hook
        is_called_off = job.is_called_off and call.has_ended_cancelled
        if call.was_cancelled and (job.grace is not None or (job.is_broken_off and not is_called_off)):
            job.error = self._overruns.overrun(job, call.stack_at_cancel, job.seconds, "cancelled")
            job.error.__cause__ = None if call.has_ended_cancelled else error
            if error is None:
                # It caught the cancellation and returned: a start must be undone.
                self._conclude_in_thread(self._callbacks.abandons(hook, job.began, call), None)
        elif is_called_off and call.was_cancelled:
            job.error = self._callbacks.called_off()
        elif call.has_ended_cancelled:
            job.error = HookCancelled(hook.path, hook.channel.name, hook.place)
            job.error.__cause__ = error

    def stacks_on_loop(self) -> dict[str, str]:
        """Return the stacks of the async hooks that run, by name; may be called in any thread and in a signal handler."""
        return {job.hook.name: job.call.stack() for job in tuple(self._running) if job.call is not None}

    def wake(self) -> None:
        """
        Make the scheduler check again whether to continue, and whether to give up hooks.

        May be called in any thread and in a signal handler.
        """
        self._waking.wake(self._inbox)

    def _wait_for(self, predecessor: Abandoned, seconds: float | None) -> None:
        """Wait in this thread until *predecessor* is over, at most *seconds*, or until the scheduler is cancelled."""
        until = None if seconds is None else time.monotonic() + seconds
        while self._callbacks.goes_on():
            left = CHECK_INTERVAL if until is None else min(CHECK_INTERVAL, until - time.monotonic())
            if predecessor.is_over.wait(max(0.0, left)) or (until is not None and time.monotonic() >= until):
                return

    def _end(self, job: HookJob) -> None:
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
                if self._prepared:
                    self._begin_prepared()
                if self._is_start and not self._callbacks.goes_on():
                    self._call_off()
                if self._callbacks.gives_up():
                    self._break_off()
                calls = [(job, job.call) for job in self._running if job.call is not None]
                self._give_up([job for job, call in calls if call.on.why_dead() is not None])
                if self._ended_jobs:
                    return
                now = self._clock.now()
                timed = [(job.due - now, job) for job in self._running if job.due is not None]
                left = min((left for left, _ in timed), default=None)
                inbox = self._waking.inbox(self._inbox)
                if left is not None and left <= 0:
                    self._overdue([job for left, job in timed if left <= 0])
                elif any(not call.on.is_own for _, call in calls):
                    # The caller may end its loop at any time, and nothing announces that.
                    self._wait_briefly(inbox, left)
                elif left is None:
                    inbox.get()
                else:
                    self._clock.wait(inbox, left)
            except BaseException as error:
                if self._callbacks.interrupted(error):
                    self._break_off()

    def _wait_briefly(self, inbox: Inbox, left: float | None) -> None:
        """Wait on *inbox* for `CHECK_INTERVAL`, at most for *left* seconds of the clock."""
        if left is not None:
            self._clock.wait(inbox, min(left, CHECK_INTERVAL))
            return
        try:
            inbox.get(timeout=CHECK_INTERVAL)
        except Empty:
            return

    def _call_off(self) -> None:
        """Cancel the async hooks, and give up the hooks that wait for an earlier call, which may never return."""
        for job in self._running:
            if job.call is not None and not job.is_called_off:
                job.is_called_off = True
                job.call.cancel()
        pending = [job for job in self._running if job.predecessor is not None]
        for job in pending:
            job.limit, job.scope = None, "interrupt"
        self._give_up(pending)

    def _break_off(self) -> None:
        """Give up all hooks that run; the async hooks are cancelled, and get no time to end."""
        for job in self._running:
            job.limit, job.scope = None, "interrupt"
            if job.call is not None:
                job.is_broken_off = True
                job.call.cancel()
        self._give_up(self._running)

    def _overdue(self, jobs: Sequence[HookJob]) -> None:
        """Cancel the async hooks among *jobs* that were not cancelled before, and give up the other hooks."""
        for job in jobs:
            if job.call is None or job.grace is not None or job.allowed is None:
                self._give_up([job])
                continue
            now = self._clock.now()
            job.grace = now + self._budget.grace(job.hook, min(GRACE, job.allowed), job.began, now)
            job.call.cancel()

    def _give_up(self, jobs: Sequence[HookJob]) -> None:
        for job in jobs:
            # Do the slow work before taking the lock: a hook that returns needs it.
            seconds, predecessor = self._clock.now() - job.began, job.predecessor
            error: Exception
            abandoned = None
            if predecessor is not None:
                error = self._overruns.pending(job, predecessor)
            else:
                runner = job.worker or job.call
                assert runner is not None
                error = self._overruns.left_behind(job, runner, seconds)
                abandoned = self._callbacks.abandons(job.hook, job.began, runner)
            with self._lock:
                if job.is_over or job.predecessor is not predecessor:
                    # The hook has ended meanwhile, or its call has just begun; then the next round gives it up.
                    if abandoned is not None:
                        abandoned.is_over.set()
                    continue
                job.abandoned, job.is_over, job.is_given_up = abandoned, True, True
                job.seconds, job.error = seconds, error
                self._ended_jobs.append(job)
            if job.call is not None and abandoned is not None and job.call.on.loop.is_closed():
                # The task will never end.
                abandoned.is_over.set()
