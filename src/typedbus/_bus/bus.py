"""
The public interface of the bus: transitions, requests from any thread, and `block`, which serves them.

`_bus.registry` implements the channels, and `_bus.machine` the states.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable
from typing import Final

from typedbus._base.clock import Clock
from typedbus._base.errors import RestartError
from typedbus._base.limits import Limits
from typedbus._base.states import State
from typedbus._bus.machine import Machine
from typedbus._bus.registry import GRACEFUL, MAIN
from typedbus._bus.wakeup import MainLoopWakeup, Replacement, outlived, report_death, report_discarded
from typedbus._os.forks import after_fork, goes_on, notice


class Bus(Machine):
    """
    The channels of a process with their listeners, and its state.

    A process usually has one bus and may have several; they share nothing. A bus
    lives as long as it is referenced, and leaves nothing behind: it
    registers nothing with the interpreter, installs no signal handler, and starts
    threads only for hooks that have a time limit or run in parallel; these threads
    end with the transition. Every method may be called from any thread.

    Args:
        clock: The source of time for durations, limits and ticks.
        workers: How many components may start, or stop, in parallel.
        limits: How long hooks, a start and a stop may take.

    Raises:
        LimitError: *workers* is not a whole number from 1 up.

    Attributes:
        limits: A transition reads them at the beginning of each of its phases.
        replacement: The object that replaces the process after `restart`. `run` sets it while it runs, unless it
            is set already.
    """

    def __init__(self, *, clock: Clock | None = None, workers: int = 1, limits: Limits | None = None) -> None:
        super().__init__(clock=clock, workers=workers, limits=limits)
        #: The number of exits at the last request for a restart, and for a plain exit. Neither is taken back,
        #: so that code that runs in between, such as a signal handler, finds a consistent state.
        self._restarts_in = self._exits_in = -1
        self.replacement: Replacement | None = None
        self._owned: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        BUSES.add(self)

    def start(self) -> None:
        """
        Bring the bus to STARTED, in the calling thread.

        The listeners of `START` are called in running order; a listener with a
        time limit runs in a worker thread. At the first failure the start is
        rolled back: the listeners of `STOP` are called in reverse order, except
        listeners of an object whose own start had not returned, and the bus is
        STOPPED. A caller in another thread joins a start that is under way and
        gets its outcome; a call from a listener of this start returns at once.

        Raises:
            TransitionError: The bus is neither STOPPED nor EXITED.
            TransitionFailures: A listener raised; failures of the rollback are included.
            StartCancelled: A stop or an exit was requested meanwhile; raised from
                the cause given to `request_exit`.
            BaseException: `SystemExit`, `KeyboardInterrupt` or similar from a listener, after the rollback.
        """
        self._bring_to(State.STARTED)

    def stop(self) -> None:
        """
        Bring the bus to STOPPED; do nothing if it is STOPPED or EXITED.

        The listeners of `STOP` are called in the reverse of running order, so
        that the component that started last stops first. All of them are called,
        even if some fail. A stop during a start cancels the start after the listener
        that is running. Called from a listener of a transition, it is a request: it
        returns at once and is carried out when that listener has returned.

        Raises:
            TransitionFailures: After the last listener, if any raised.
        """
        self._bring_to(State.STOPPED)

    def exit(self) -> None:
        """
        Stop the bus and bring it to EXITED; do nothing if it is EXITED.

        After the stop the listeners of `EXIT` are called, in the same way as listeners
        of `STOP`. A bus that has exited may be started again; its containers then
        construct new components. To end a process from one of the
        bus's own threads, which a component's stop() waits for, use `request_exit`.

        Raises:
            TransitionFailures: At the end, if any listener of `STOP` or `EXIT` raised.
        """
        notice()
        with self._lock:
            if self._state is not State.EXITED:
                self._exits_in = self._exits
        self._bring_to(State.EXITED)

    def graceful(self) -> None:
        """
        Publish `GRACEFUL`, for components to load new settings or reopen files.

        Each component is called after its dependencies, in the order of the start.
        All of them are called, even if some fail.

        Raises:
            ChannelFailures: As `BoundChannel.publish`.
        """
        self[GRACEFUL].publish()

    def request_exit(self, cause: BaseException | None = None) -> None:
        """
        Ask the thread in `block` to exit the bus, and return at once.

        Safe from a signal handler, from a listener and from a thread that a
        component will wait for when it stops. A start in progress is cancelled,
        a stop continues to the exit. If no thread is in `block`, the request
        is kept until a thread enters it, or until the bus has exited.

        Args:
            cause: The error that makes the exit necessary, if there is one.
                `block` raises it after the exit, `running` at the end of its
                block, and a start that it cancels raises `StartCancelled` from
                it. It is also logged on `LOG`, as an error with its
                traceback, before the bus has EXITED; `run` leaves that line out
                on stderr, because it prints the error when it ends. The next start
                after the exit discards causes that have not been raised.
        """
        notice()
        with self._lock:
            if cause is not None:
                self._causes.append(cause)
            self._exits_in = self._exits
            if cause is not None and self._state is State.EXITED and self._current is None:
                # A thread that outlived the exit must not end the next run.
                return
            self._ask_for_exit()

    def _ask_for_exit(self) -> None:
        self._exit_requested = True
        current = self._current
        if current is not None:
            current.change_goal(State.EXITED)
        self._wakeup.wake()

    def request(self, action: Callable[[], object], /) -> None:
        """
        Ask the thread in `block` to call *action*, and return at once.

        Safe from a signal handler and from any thread. Actions are called one
        by one, in the order of the requests, between the ticks; actions that
        are pending when `block` begins an exit are called before it. An exception
        from an action is logged on `LOG`, as an error with its traceback, and the
        bus continues; `SystemExit`, `KeyboardInterrupt` and similar exceptions exit
        the bus in order and are raised by `block`. If no thread is in `block`, an
        action is kept until the bus has exited. Then it is discarded, and a warning
        on `LOG` names it; so is an action that is requested after the exit.

        Raises:
            TypeError: *action* cannot be called.
        """
        if not callable(action):
            raise TypeError(f"{action!r} is no action: give what can be called without arguments")
        notice()
        report_discarded(self._request(action), self.log)

    def _request(self, action: Callable[[], object]) -> list[Callable[[], object]]:
        """Do the same as `request` without logging, and return the discarded actions."""
        with self._lock:
            self._wakeup.actions.append(action)
            has_exited = self._state is State.EXITED and self._current is None
            late = self._unserved() if has_exited else []
        self._wakeup.wake()
        return late

    def restart(self) -> None:
        """
        Request an exit of the bus, after which the same program replaces the process, and return at once.

        The thread in `block`, the main thread, exits the bus in order and then calls
        the `replacement` with the error of the exit, if there is one. Safe from
        a listener, an action and a thread that a component will wait for, and from a
        signal handler that can handle the error below. A start that is under way is
        cancelled. An exit takes precedence: if `exit`, `request_exit`, `SystemExit` or a
        similar exception requests an exit before the bus has exited, earlier or later
        than the restart, the process ends.

        Raises:
            RestartError: The process cannot be replaced; nothing has been changed.
        """
        notice()
        if self.replacement is None:
            raise RestartError(
                "nobody who owns the process runs this bus; run the container with run(), or set bus.replacement"
            )
        attendant = self._wakeup.attendant
        if attendant is not None and attendant is not threading.main_thread():
            raise RestartError(f"the bus blocks in thread {attendant.name!r}; call block() in the main thread")
        reason = self.replacement.problem()
        if reason is not None:
            raise RestartError(reason)
        with self._lock:
            if self._state is State.EXITED:
                raise RestartError("the bus has exited already; start the program again")
            self._restarts_in = self._exits
        self._ask_for_exit()

    @property
    def is_restarting(self) -> bool:
        """
        Whether the process will be replaced once the bus has exited.

        It is True if a restart, and no exit, was requested since the last exit of the
        bus. An exit that is requested later makes it False again; a component
        that keeps something for the next program must be ready for that.
        """
        has_exited = self._state is State.EXITED
        return self._exits_in < self._restarts_in == self._exits - has_exited

    def detach(self) -> None:
        """
        Reset the bus in a forked child process.

        Must be called in the child before other code there uses the bus; `run`, `running` and
        `typedbus.hosting` do so. A child that was not forked by Python is recognised by its
        pid, the first time that it asks a bus for its state or a transition. The resources
        of the components belong to the parent, which continues to use them, so no listener
        is called. A bus that had been started is EXITED in the child: a stop or an exit does
        nothing, and a start constructs new components. A bus that had not been started is
        unchanged. Locks are released, and requests, owned threads and the replacement are
        discarded. A start during which the process was forked does not continue in the child.
        """
        self._renew_lock()
        self._waiters, self._abandoned = [], []
        self._wakeup = self._bound[MAIN]._wakeup = MainLoopWakeup()
        self._owned = weakref.WeakSet()
        self._exit_requested, self._causes = False, []
        self._restarts_in = self._exits_in = -1
        self.replacement = self._started_by = None
        current, self._current = self._current, None
        if current is not None:
            current.goal = State.EXITED
        if self._is_used:
            self._is_used, self._state, self._started = False, State.EXITED, []
            self._exits += 1

    def own(self, thread: threading.Thread) -> None:
        """
        Let `block` wait for *thread* after the exit, and name it if it does not end.

        If an exception ends the thread, it is logged on `LOG`, as an error with
        its traceback, in that thread; then `threading.excepthook` gets it, as
        usual. The bus continues: a thread without which the process is useless
        must call `request_exit` itself. May be called before or after the thread has
        been started.
        """
        notice()
        if thread not in self._owned:
            self._owned.add(thread)
            report_death(thread, self.log)

    def block(self, *, interval: float = 0.1, patience: float = 5.0) -> None:
        """
        Wait until the bus has EXITED, and carry out requests meanwhile.

        While `MAIN` has listeners it is published every *interval*; otherwise
        the thread sleeps until there is a request. An exception in this thread
        (`KeyboardInterrupt`, `SystemExit`, a failing listener of `MAIN`) exits the
        bus in order and is raised afterwards. Only one thread
        serves requests and ticks; other threads in `block` merely wait.

        Args:
            interval: Seconds between two publishes of `MAIN`.
            patience: Seconds to wait after the exit for the threads that the bus owns.

        Raises:
            ValueError: *interval* is not above 0.
            BaseException: The cause given to `request_exit`, an exception in this
                thread, the error of the exit, or `StillRunning`; a
                `BaseExceptionGroup` of these if there are several. The same exception
                object is raised only once. After a `restart` the replacement
                receives the error instead.
        """
        if interval <= 0:
            raise ValueError(f"the interval of ticks is {interval!r} s; give more than nothing")
        notice()
        with self._lock:
            serving = self._wakeup.attendant is None
            if serving:
                self._wakeup.attend()
        if not serving:
            self.wait(State.EXITED)
            return
        problems: list[BaseException] = []
        try:
            while self._state is not State.EXITED:
                try:
                    self._serve(interval)
                except BaseException as met:
                    problems.append(met)
                    if not isinstance(met, Exception):
                        self._exits_in = self._exits
                    self._exit_requested = True
        finally:
            with self._lock:
                self._wakeup.attendant = None
                late = self._wakeup.take()
        report_discarded(late, self.log)
        try:
            self._conclude(problems, patience)
        finally:
            del problems

    def _serve(self, interval: float) -> None:
        """
        Carry out requests, and publish ticks, until the bus has EXITED.

        A function of its own, so that all of it is inside the `try` of `block`:
        the jump back to the top of a loop is not covered by a `try` inside the
        loop, and an interrupt may arrive at that point.
        """
        due: float | None = None
        while self._state is not State.EXITED:
            if self._exit_requested:
                for _ in range(len(self._wakeup.actions)):
                    self._wakeup.act(self.log)
                self._bring_to(State.EXITED)
                continue
            if self._wakeup.actions:
                self._wakeup.act(self.log)
                continue
            inbox = self._wakeup.waking.inbox(self._wakeup.queue)
            if not self[MAIN].subscriptions:
                due = None
                inbox.get()
                continue
            now = self._clock.now()
            due = now + interval if due is None else due
            if now < due:
                self._clock.wait(inbox, due - now)
                continue
            # Counted from the last due time and not from now, so that ticks do not drift.
            # Missed ticks are not made up for.
            due += interval * ((now - due) // interval + 1)
            self[MAIN].publish()

    def _conclude(self, problems: list[BaseException], patience: float) -> None:
        """End `block`: wait for the owned threads, and raise *problems* or pass them to the replacement."""
        problems[:0] = self._take_causes(problems)
        self._exit_requested = False
        problems.extend(outlived(self._owned, patience))
        failed: BaseException | None
        failed = problems[0] if problems else None
        if len(problems) > 1:
            failed = BaseExceptionGroup("the bus has exited, with problems", problems)
        restarts = self._exits_in < self._restarts_in == self._exits - 1
        self._restarts_in = self._exits_in = -1
        try:
            if restarts and self.replacement is not None:
                self.replacement.replace(failed)
            elif failed is not None:
                raise failed
        finally:
            del problems, failed

    def __repr__(self) -> str:
        return f"<Bus {self._state.name} with {len(self._bound)} channel(s)>"


#: All buses of the process; a forked child must detach them.
BUSES: Final[weakref.WeakSet[Bus]] = weakref.WeakSet()


@functools.cache
def detach_children() -> None:
    """From here on, detach every bus of this process in each process that is forked from it."""
    after_fork(_detach_all)


def _detach_all() -> None:
    if not goes_on():
        for bus in list(BUSES):
            bus.detach()
