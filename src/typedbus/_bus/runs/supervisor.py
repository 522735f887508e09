"""
The runs of a bus: when they begin, and how they end.

They begin in running order when the bus has STARTED. A run that is awaited begins at the turn of its component in
`START`. A stop ends them in the reverse order before it calls the hooks of `STOP`.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from typedbus._base.clock import Clock
from typedbus._base.errors import StartCancelled
from typedbus._base.run_errors import RunFailed
from typedbus._base.run_records import RunRecord
from typedbus._base.states import State
from typedbus._base.sync import simple_queue
from typedbus._bus.builtin import RUN, RUNS
from typedbus._bus.runs.ending import Ending
from typedbus._bus.runs.paths import distinct, paths_of
from typedbus._bus.runs.run import Run
from typedbus._bus.runs.sessions import session_of_caller

if TYPE_CHECKING:
    from typedbus._base.run_events import RunEvent
    from typedbus._bus.asyncio_loop import AsyncioLoop
    from typedbus._bus.hooks import PhaseLimit
    from typedbus._bus.machine import StateMachine
    from typedbus._bus.main_loop import MainLoop
    from typedbus._bus.runs.sessions import Session
    from typedbus._bus.transition_phase import TransitionPhase
    from typedbus._channels.subscriptions import Subscription

PATIENCE: Final = 5.0
"""The seconds that a stop waits for a run, unless the run, its component or the bus has a limit for hooks."""


class Runs:
    """
    The runs of one bus: the subscriptions to `RUN`, and functions that components have added.

    Args:
        machine: The state machine of the bus.
        main_loop: Its main loop.
    """

    def __init__(self, machine: StateMachine, main_loop: MainLoop) -> None:
        self.machine = machine
        self._main_loop = main_loop
        #: By path, in the order in which they begin.
        self._subscribed: dict[str, Run] = {}
        self._added: weakref.WeakValueDictionary[str, Run] = weakref.WeakValueDictionary()
        #: The runs of components that were restarted since the bus has STARTED. Such a component may be built anew:
        #: until then its run has no subscription, but keeps its state and its record.
        self._kept: dict[str, Run] = {}

    # The interface for a run: see `RunHost`.

    @property
    def clock(self) -> Clock:
        """The clock of the bus."""
        return self.machine.clock

    @property
    def is_starting(self) -> bool:
        """Whether the bus is STARTING."""
        return self.machine.state is State.STARTING

    @property
    def is_exit_requested(self) -> bool:
        """Whether an exit was requested."""
        return self.machine.requests.is_exit_requested

    def log(self, message: str, level: int) -> None:
        """Publish on `LOG`."""
        self.machine.registry.log(message, level)

    def publish(self, event: RunEvent) -> None:
        """Publish *event* on `RUNS`."""
        self.machine.registry.look_up(RUNS).publish(event)

    def own(self, thread: threading.Thread) -> None:
        """
        Let `Bus.block` wait for *thread* after the exit.

        The thread keeps the process alive until the run has ended, except in the process of another program: there the
        end of the interpreter exits the bus, and it would first wait for every thread that is not a daemon.
        """
        thread.daemon = getattr(self.machine.started_by, "exits_at_end", False)
        self._main_loop.own(thread)

    def loop(self, action: str) -> AsyncioLoop:
        """Return the event loop of the bus, for *action*."""
        loop = self.machine.event_loop.get(action)
        loop.refuse_if_dead(action)
        return loop

    def request_exit(self, cause: BaseException) -> None:
        """Exit the bus because of *cause*."""
        self._main_loop.request_exit(cause)

    # The runs.

    def includes_caller(self) -> bool:
        """Whether the caller is a run of this bus, or code that an async run has begun."""
        session = session_of_caller()
        return session is not None and not session.is_over and any(run.session is session for run in self._all())

    def add(self, run: Run, path: str) -> None:
        """
        List *run*, which its owner begins and ends, under *path* as long as the owner refers to it.

        A second call has no effect. A run of the same path that has ended is replaced: after an exit the owner is a new
        object.
        """
        with self.machine.registry.lock:
            if run in self._added.values():
                return
            earlier = self._added.get(path)
            if earlier is not None and not earlier.is_lasting:
                del self._added[path]
            run.path = distinct(path, self._subscribed.keys() | self._added.keys())
            self._added[run.path] = run

    def records(self) -> Mapping[str, RunRecord]:
        """Return the state of every run, by its path, in the order in which they begin."""
        self.matched()
        return {run.path: run.record() for run in self._all()}

    def begin(self) -> None:
        """
        Begin the runs that have not begun, in running order; called when the bus has STARTED.

        Added runs that have not begun in this start are no longer listed: their owner may belong to an earlier start.
        """
        with self.machine.registry.lock:
            for path, run in list(self._added.items()):
                if not run.is_lasting:
                    del self._added[path]
        for run, _ in self.matched():
            if not run.is_begun:
                self.begin_one(run)

    def begin_one(self, run: Run) -> None:
        """Begin *run*; if there is no thread for it, the bus exits."""
        try:
            run.begin()
        except RuntimeError as error:
            failed = RunFailed(run.path, 0, (error,))
            failed.__cause__ = error
            self.request_exit(failed)

    def begin_awaited(self, subscription: Subscription) -> None:
        """
        Begin the run of *subscription*, and return when it is ready; called at its turn in a start.

        Raises:
            StartCancelled: The start was cancelled meanwhile.
            RunReturned: It returned before it was ready.
            BaseException: The error of the run, if it failed before it was ready.
        """
        run = next(run for run, matching in self.matched() if matching is subscription)
        waking = self.machine.requests.wakeup.waking
        own: SimpleQueue[None] = simple_queue()
        inbox = waking.inbox(own)
        cancelled: list[bool] = []

        def cancel() -> None:
            cancelled.append(True)
            waking.wake(own)

        with self.machine.waking(cancel):
            session = run.begin(is_awaited=True)
            session.watchers.append(inbox)
            try:
                while not ((stopping := session.stopping) is not None and stopping.is_ready):
                    if session.is_over and session.error is not None:
                        raise session.error
                    if cancelled or session.is_over:
                        # A run that is over without an error was asked to end, or has requested the exit.
                        raise StartCancelled(State.STOPPED)
                    inbox.get()
            finally:
                session.is_awaited = False

    def end_all(self, phase: TransitionPhase, limit: PhaseLimit) -> None:
        """
        End the runs in the reverse of running order; failures are those of *phase*.

        Args:
            phase: The stop.
            limit: The limit of the whole stop; when it has passed, no run is waited for.
        """
        kept, self._kept = self._kept, {}
        for run in kept.values():
            if not run.is_begun:
                # It waited for the restart of its component, or was given up with it.
                run.ask()
        self.matched()
        ending = phase.transition.scheduler = Ending(self.machine, phase.interrupted, phase.gives_up)
        try:
            # Also the runs whose listeners were unsubscribed after they had begun.
            for run in reversed([run for run in self._subscribed.values() if run.is_begun]):
                began = self.clock.now()
                patience = run.patience
                if limit.seconds is not None:
                    patience = min(patience, max(0.0, limit.began + limit.seconds - began))
                error = ending.end(run, patience)
                if error is not None and run.hook is not None:
                    phase.ended(run.hook, self.clock.now() - began, error)
        finally:
            phase.transition.scheduler = None

    def end(self, run: Run) -> None:
        """
        End *run*, and wait for its end, unless the caller is the run itself.

        Raises:
            HookTimeout: It has not ended within its patience, and is left behind.
            BaseException: The error that it raised after it was asked to end.
        """
        error = Ending(self.machine).end(run, run.patience)
        if error is not None:
            raise error

    def await_end(self, run: Run, session: Session, patience: float) -> bool:
        """Wait until *session* of *run* is over, and return whether it is; see `Ending.await_end`."""
        return Ending(self.machine).await_end(run, session, patience)

    def stack_of(self, subscription: Subscription) -> str:
        """Return the present stack of the run of *subscription*; "" if it does not run."""
        return next((run.record().stack() for run, matching in self.matched() if matching is subscription), "")

    def stacks_on_loop(self) -> dict[str, str]:
        """Return the stacks of the async runs, by path; takes no lock, so that a signal handler may call it."""
        sessions = {run.path: run.session for run in self._all()}
        return {
            path: session.stack()
            for path, session in sessions.items()
            if session is not None and session.on is not None and not session.is_over
        }

    def detach(self) -> None:
        """Reset the runs in a forked child process."""
        for run in self._all():
            run.detach()

    def keep(self, run: Run) -> None:
        """Keep *run* until the bus stops, even while it has no subscription because its component restarts."""
        self._kept[run.path] = run

    def restart(self, run: Run, session: Session, pause: float) -> bool:
        """Restart the component of *run* and its dependents; see `RunHost.restart`."""
        node = next((subscription.node for other, subscription in self.matched() if other is run), None)
        if node is None:
            return False
        from typedbus._bus.runs.part import restart_dependents  # most programs never need it

        restart_dependents(self, run, session, node, pause)
        return True

    def matched(self) -> list[tuple[Run, Subscription]]:
        """Return a run for each subscription to `RUN`, in running order; a run keeps its state from start to start."""
        with self.machine.registry.lock:
            subscriptions = self.machine.registry.look_up(RUN).subscriptions
            runs: dict[str, Run] = {}
            matched: list[tuple[Run, Subscription]] = []
            for path, subscription in paths_of(subscriptions):
                policy, patience = subscription.restart, self._patience(subscription)
                run = self._subscribed.get(path)
                if run is None:
                    run = Run(self, subscription.listener, path, policy=policy, patience=patience)
                elif not run.is_begun:
                    run.declare(subscription.listener, path, policy=policy, patience=patience)
                run.hook = subscription
                runs[path] = run
                matched.append((run, subscription))
            # A run that was unsubscribed goes on until the stop, and one that was left behind until it returns.
            lasting = {path: run for path, run in self._subscribed.items() if run.is_lasting}
            self._subscribed = runs | {path: run for path, run in (self._kept | lasting).items() if path not in runs}
            return matched

    def _patience(self, subscription: Subscription) -> float:
        node = subscription.node
        limits = (subscription.limit, None if node is None else node.limit, self.machine.limits.hook)
        return next((limit for limit in limits if limit is not None), PATIENCE)

    def _all(self) -> list[Run]:
        """Return every run, in the order in which they begin; takes no lock."""
        return [*self._subscribed.values(), *self._added.values()]
