"""
The bus: what a process says to its channels and states, from any thread, and the thread that blocks on it.

`_bus.registry` has the channels, and `_bus.machine` the states.
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
from typedbus._bus.wakeup import Doorbell, Replacement, outlived, report_death, report_discarded
from typedbus._os.forks import after_fork, goes_on, notice


class Bus(Machine):
    """
    Who listens to what, and the state of the process.

    A process has one as a rule and may have several; they share nothing. A bus
    lives as long as somebody refers to it, and leaves nothing behind: it
    registers nothing with the interpreter and touches no signal, and starts
    threads only for hooks that have a time limit or run side by side, which end
    with the transition. Every method may be called from any thread.

    Args:
        clock: Where durations, limits and ticks take their time from.
        workers: How many components may start, or stop, side by side.
        limits: How long hooks, a start and a stop may take.

    Raises:
        LimitError: *workers* is no whole number from 1 up.

    Attributes:
        limits: A transition goes by what they are when it begins each of its legs.
        replacement: What takes the place of the process after `restart`; `run` sets it, unless somebody has,
            for as long as it runs.
    """

    def __init__(self, *, clock: Clock | None = None, workers: int = 1, limits: Limits | None = None) -> None:
        super().__init__(clock=clock, workers=workers, limits=limits)
        #: In which life, counted by exits, a restart and a plain exit were asked for last. Neither is taken
        #: back, so that whoever comes in between, a signal handler too, finds nothing half done.
        self._restarts_in = self._exits_in = -1
        self.replacement: Replacement | None = None
        self._owned: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        BUSES.add(self)

    def start(self) -> None:
        """
        Bring the bus to STARTED, in the calling thread.

        The listeners of `START` are called in running order, those that have a
        time limit in a thread of their own. At the first that
        fails the start is rolled back: the listeners of `STOP` are called, in
        reverse, without those of an object whose own start had not returned,
        and the bus is STOPPED. A caller in another thread joins a start that is
        under way and gets its outcome; a call from a listener of this very
        start returns at once.

        Raises:
            TransitionError: The bus is neither STOPPED nor EXITED.
            TransitionFailures: A listener raised; with it what the rollback met.
            StartCancelled: A stop or an exit was requested meanwhile; raised from
                the cause that `request_exit` was given.
            BaseException: `SystemExit` or its like from a listener, after the rollback.
        """
        self._bring_to(State.STARTED)

    def stop(self) -> None:
        """
        Bring the bus to STOPPED; nothing happens if it is, or has EXITED.

        The listeners of `STOP` are called in the reverse of running order, so
        that what started last stops first, and every one of them, whatever
        fails. A stop during a start breaks it off after the listener that is
        running. Called from a listener of a transition it is a request: it
        returns at once and is carried out when that listener has returned.

        Raises:
            TransitionFailures: After the last listener, if any raised.
        """
        self._bring_to(State.STOPPED)

    def exit(self) -> None:
        """
        Bring the bus to EXITED, by way of `stop`; nothing happens if it is.

        Then the listeners of `EXIT` are called, as those of `STOP` are. A bus
        that has exited may be started again; its containers build their
        components anew for it. To end a process from one of the
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
        Publish `GRACEFUL`, for components to take up new settings or reopen files.

        Each is visited after those that it needs, in the order of the start, and
        every one of them, whatever fails.

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
        stays until one is, or until the bus has exited.

        Args:
            cause: The error that makes the exit necessary, if there is one.
                `block` raises it after the exit, `running` at the end of its
                block, and a start that it cancels raises `StartCancelled` from
                it. It is logged on `LOG` as well, as an error with its
                traceback, before the bus has EXITED; `run` leaves that line out
                on stderr, where it prints the error when it ends. The next start
                after the exit discards the causes that have not been raised.
        """
        notice()
        with self._lock:
            if cause is not None:
                self._causes.append(cause)
            self._exits_in = self._exits
            if cause is not None and self._state is State.EXITED and self._current is None:
                # A thread that outlived the exit must not end the next life.
                return
            self._ask_for_exit()

    def _ask_for_exit(self) -> None:
        self._exit_requested = True
        current = self._current
        if current is not None:
            current.turn(State.EXITED)
        self._doorbell.ring()

    def request(self, action: Callable[[], object], /) -> None:
        """
        Ask the thread in `block` to call *action*, and return at once.

        Safe from a signal handler and from any thread. Actions are called one
        by one, in the order in which they came, between the ticks; those that
        are there when `block` turns to an exit are called before it. What an
        action raises is told on `LOG`, as an error with its traceback, and the
        bus goes on; `SystemExit` and the like exit the bus in order and are
        raised by `block`. If no thread is in `block`, an action waits for one
        until the bus has exited. Then it is discarded, and named on `LOG` in a
        warning; so is an action that is requested of a bus that has exited.

        Raises:
            TypeError: *action* cannot be called.
        """
        if not callable(action):
            raise TypeError(f"{action!r} is no action: give what can be called without arguments")
        notice()
        report_discarded(self._request(action), self.log)

    def _request(self, action: Callable[[], object]) -> list[Callable[[], object]]:
        """Do the same as `request` without logging, and return the actions that are discarded."""
        with self._lock:
            self._doorbell.actions.append(action)
            has_exited = self._state is State.EXITED and self._current is None
            late = self._unserved() if has_exited else []
        self._doorbell.ring()
        return late

    def restart(self) -> None:
        """
        Ask for the exit, after which the process is replaced by the same program anew, and return at once.

        The thread in `block`, the main thread, exits the bus in order as ever,
        then tells what failed on the way, and calls the `replacement`. Safe from
        a listener, an action, a thread that a component will wait for, and a
        signal handler, as far as that can do with the error. A start that is
        under way is broken off. An exit wins: where `exit`, `request_exit`,
        `SystemExit` or the like ask for one in this life of the bus, before or
        after, the process ends.

        Raises:
            RestartError: Nothing can take the place of the process; nothing has happened.
        """
        notice()
        if self.replacement is None:
            raise RestartError(
                "nobody who owns the process runs this bus; run the container with run(), or set bus.replacement"
            )
        attendant = self._doorbell.attendant
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

        It will be if a restart was requested in this life of the bus, and no
        exit. An exit that is requested later makes this False again; a component
        that keeps something for the next program must be ready for that.
        """
        has_exited = self._state is State.EXITED
        return self._exits_in < self._restarts_in == self._exits - has_exited

    def detach(self) -> None:
        """
        Forget the life that the bus had in the process that this one was forked off from.

        For a child process, before anything else there uses the bus; `run`, `running` and
        `typedbus.hosting` see to it. A child that was forked by other means than Python's is
        recognised by its pid, the first time that it asks a bus for its state or a transition. What the components hold is the parent's,
        which goes on with it: no listener is called. A bus that had been started
        has EXITED, so that a stop or an exit does nothing, and a start builds the
        components anew; one that had not is as it was. No lock is held, and
        requests, threads that it owned and the replacement are forgotten. A start
        in whose middle the process was forked goes no further in the child.
        """
        self._renew_lock()
        self._waiters, self._abandoned = [], []
        self._doorbell = self._bound[MAIN]._doorbell = Doorbell()
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
        usual. The bus goes on: a thread without which the process is of no use
        calls `request_exit` itself. May be called before or after the thread has
        been started.
        """
        notice()
        if thread not in self._owned:
            self._owned.add(thread)
            report_death(thread, self.log)

    def block(self, *, interval: float = 0.1, patience: float = 5.0) -> None:
        """
        Wait until the bus has EXITED, and carry out what was requested meanwhile.

        While `MAIN` has listeners it is published every *interval*; otherwise
        nothing wakes the thread but what it waits for. What happens here to the
        thread, a `KeyboardInterrupt`, a `SystemExit`, a failing listener of
        `MAIN`, exits the bus in order and is raised afterwards. Only one thread
        serves requests and ticks; others that block merely wait.

        Args:
            interval: Seconds between two publishes of `MAIN`.
            patience: Seconds to wait after the exit for the threads that the bus owns.

        Raises:
            ValueError: *interval* is not above 0.
            BaseException: The cause of `request_exit`, what happened to the
                thread, what the exit failed with, or `StillRunning`; a
                `BaseExceptionGroup` if it is several of these. One exception
                object is raised once. After a `restart`
                the replacement gets it instead.
        """
        if interval <= 0:
            raise ValueError(f"the interval of ticks is {interval!r} s; give more than nothing")
        notice()
        with self._lock:
            serving = self._doorbell.attendant is None
            if serving:
                self._doorbell.attend()
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
                self._doorbell.attendant = None
                late = self._doorbell.take()
        report_discarded(late, self.log)
        try:
            self._conclude(problems, patience)
        finally:
            del problems

    def _serve(self, interval: float) -> None:
        """
        Carry out what is requested, and tick, until the bus has EXITED.

        A function of its own, so that all of it is inside the `try` of `block`:
        the way back to the top of a loop is not inside a `try` in that loop, and
        an interrupt may come just there.
        """
        due: float | None = None
        while self._state is not State.EXITED:
            if self._exit_requested:
                for _ in range(len(self._doorbell.actions)):
                    self._doorbell.act(self.log)
                self._bring_to(State.EXITED)
                continue
            if self._doorbell.actions:
                self._doorbell.act(self.log)
                continue
            inbox = self._doorbell.waking.inbox(self._doorbell.queue)
            if not self[MAIN].subscriptions:
                due = None
                inbox.get()
                continue
            now = self._clock.now()
            due = now + interval if due is None else due
            if now < due:
                self._clock.wait(inbox, due - now)
                continue
            # From the last due time and not from now: ticks do not drift.
            # Those that were missed altogether are not made up for.
            due += interval * ((now - due) // interval + 1)
            self[MAIN].publish()

    def _conclude(self, problems: list[BaseException], patience: float) -> None:
        """End `block`: wait for what the bus owns, and raise *problems*, or hand them to what takes the process's place."""
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


#: All that there are; a process that is forked off has to detach them.
BUSES: Final[weakref.WeakSet[Bus]] = weakref.WeakSet()


@functools.cache
def detach_children() -> None:
    """From here on, detach every bus of this process in each that is forked off from it."""
    after_fork(_detach_all)


def _detach_all() -> None:
    if not goes_on():
        for bus in list(BUSES):
            bus.detach()
