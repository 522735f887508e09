"""The loop of the thread in `Bus.block`, and the requests that it serves."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence

from typedbus._base.errors import RestartError
from typedbus._base.states import State
from typedbus._bus.builtin import MAIN
from typedbus._bus.machine import StateMachine
from typedbus._bus.registry import Registry
from typedbus._bus.requests import Requests
from typedbus._bus.waiting import refuse_in_transition
from typedbus._bus.wakeup import MainChannel, Replacement, outlived, report_death, report_discarded


class MainLoop:
    """
    The loop of one bus: it waits for requests and ticks, and ends when the bus has EXITED.

    The methods that request something return at once, and may be called from any thread and from signal handlers.

    Attributes:
        replacement: The object that replaces the process after a restart; see `Bus.replacement`.
        threads: The threads that `block` joins after the exit.
    """

    __slots__ = ("__weakref__", "_machine", "_main", "_registry", "_requests", "replacement", "threads")

    def __init__(self, registry: Registry, requests: Requests, machine: StateMachine) -> None:
        self._registry = registry
        self._requests = requests
        self._machine = machine
        self._main = registry.bound[MAIN] = MainChannel(registry.lock, registry.failures, requests.wakeup)
        self.replacement: Replacement | None = None
        self.threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()

    def exit(self) -> None:
        """Stop the bus and bring it to EXITED; see `Bus.exit`."""
        self.prefer_exit()
        self._machine.bring_to(State.EXITED)

    def prefer_exit(self) -> None:
        """Record that an exit takes precedence over a restart of this run."""
        with self._registry.lock:
            if self._machine.state is not State.EXITED:
                self._requests.exit_in = self._machine.exits

    def request_exit(self, cause: BaseException | None) -> None:
        """Request the exit of the bus, which takes precedence over a restart; see `Bus.request_exit`."""
        requests, machine = self._requests, self._machine
        with self._registry.lock:
            if cause is not None:
                requests.causes.append(cause)
            requests.exit_in = machine.exits
            if cause is not None and machine.state is State.EXITED and machine.current is None:
                # A thread that outlived the exit must not end the next run.
                return
            self.end()

    def end(self) -> None:
        """Request that the loop exits the bus, for a restart as well."""
        self._requests.is_exit_requested = True
        current = self._machine.current
        if current is not None:
            current.change_goal(State.EXITED)
        self._requests.wakeup.wake()

    def request(self, action: Callable[[], object]) -> list[Callable[[], object]]:
        """Request the call of *action*, and return the actions that are discarded: the bus may have exited."""
        if not callable(action):
            raise TypeError(f"{action!r} is not callable; pass a function that can be called without arguments")
        wakeup, machine = self._requests.wakeup, self._machine
        with self._registry.lock:
            wakeup.actions.append(action)
            has_exited = machine.state is State.EXITED and machine.current is None
            discarded = self._requests.unserved() if has_exited else []
        wakeup.wake()
        return discarded

    def restart(self) -> None:
        """Request an exit after which the process is replaced; see `Bus.restart`."""
        if self.replacement is None:
            raise RestartError("bus.replacement is not set; run the container with run(), which sets it")
        attendant = self._requests.wakeup.attendant
        if attendant is not None and attendant is not threading.main_thread():
            raise RestartError(f"the bus blocks in thread {attendant.name!r}; call block() in the main thread")
        reason = self.replacement.problem()
        if reason is not None:
            raise RestartError(reason)
        with self._registry.lock:
            if self._machine.state is State.EXITED:
                raise RestartError("the bus has exited already; start the program again")
            self._requests.restart_in = self._machine.exits
        self.end()

    @property
    def is_restarting(self) -> bool:
        """Whether the process will be replaced once the bus has exited; see `Bus.is_restarting`."""
        machine = self._machine
        return self._requests.is_restart(machine.exits - (machine.state is State.EXITED))

    def take_causes(self, problems: Sequence[BaseException]) -> list[BaseException]:
        """Take the causes of the exit that the caller must raise, except causes that *problems* carry."""
        with self._registry.lock:
            return self._requests.take_causes(problems)

    def own(self, thread: threading.Thread) -> None:
        """Join *thread* after the exit; see `Bus.own`."""
        if thread not in self.threads:
            self.threads.add(thread)
            report_death(thread, self._registry.log)

    def detach(self) -> None:
        """Forget requests and threads in a forked child process; see `Bus.detach`."""
        self._requests.discard()
        self.threads = weakref.WeakSet()
        self.replacement = None

    def block(self, interval: float, patience: float) -> None:
        """Serve requests until the bus has EXITED; see `Bus.block`."""
        if interval <= 0:
            raise ValueError(f"the interval of ticks is {interval!r} s; pass a number greater than 0")
        self._machine.refuse_on_loop("block")
        refuse_in_transition(self._machine, frozenset({State.EXITED}))
        with self._registry.lock:
            serving = self._requests.wakeup.attendant is None
            if serving:
                self._requests.wakeup.attend()
        if not serving:
            self._machine.wait(State.EXITED)
            return
        problems: list[BaseException] = []
        try:
            while self._machine.state is not State.EXITED:
                try:
                    self._serve(interval)
                except BaseException as error:
                    problems.append(error)
                    if not isinstance(error, Exception):
                        self._requests.exit_in = self._machine.exits
                        self._requests.interrupts += isinstance(error, KeyboardInterrupt)
                        self._machine.policy.interrupted(error)
                    self._requests.is_exit_requested = True
        finally:
            with self._registry.lock:
                self._requests.wakeup.attendant = None
                late = self._requests.wakeup.take()
        report_discarded(late, self._registry.log)
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
        while self._machine.state is not State.EXITED:
            if self._requests.is_exit_requested:
                for _ in range(len(self._requests.wakeup.actions)):
                    self._requests.wakeup.act(self._registry.log)
                self._machine.bring_to(State.EXITED)
                continue
            if self._requests.wakeup.actions:
                self._requests.wakeup.act(self._registry.log)
                continue
            inbox = self._requests.wakeup.waking.inbox(self._requests.wakeup.queue)
            if not self._main.subscriptions:
                due = None
                inbox.get()
                continue
            now = self._machine.clock.now()
            due = now + interval if due is None else due
            if now < due:
                self._machine.clock.wait(inbox, due - now)
                continue
            # Counted from the last due time and not from now, so that ticks do not drift.
            # Missed ticks are not made up for.
            due += interval * ((now - due) // interval + 1)
            self._main.publish()

    def _conclude(self, problems: list[BaseException], patience: float) -> None:
        """End `block`: wait for the owned threads, and raise *problems* or pass them to the replacement."""
        problems[:0] = self.take_causes(problems)
        self._requests.is_exit_requested = False
        problems.extend(outlived(self.threads, patience))
        failed: BaseException | None
        failed = problems[0] if problems else None
        if len(problems) > 1:
            failed = BaseExceptionGroup("the bus has exited, with problems", problems)
        is_restart = self._requests.is_restart(self._machine.exits - 1)
        self._requests.restart_in = self._requests.exit_in = -1
        try:
            if is_restart and self.replacement is not None:
                self.replacement.replace(failed)
            elif failed is not None:
                raise failed
        finally:
            del problems, failed
