"""The bus of the old names: passes calls on to a typed bus, and translates its exceptions."""

from __future__ import annotations

import atexit
import os
import threading
import time
import traceback as tracebacks
import warnings
import weakref
from collections.abc import Callable, Hashable, Iterable, Mapping
from queue import SimpleQueue
from typing import Any, ClassVar, Final, NoReturn

from typedbus._base.coroutines import is_async_callable
from typedbus._base.errors import StartCancelled
from typedbus._base.failures import ChannelFailures as TypedFailures
from typedbus._base.failures import TransitionFailures
from typedbus._base.states import State
from typedbus._bus.builtin import ERROR, WARNING
from typedbus._bus.bus import Bus as TypedBus
from typedbus._bus.bus import parts_of
from typedbus._bus.registry import Registry
from typedbus._bus.with_policy import bus_with
from typedbus.wspbus._main_loop import ReplacementInBlock, block_until_exit, join_all, raise_all
from typedbus.wspbus._messenger import Messenger
from typedbus.wspbus._names import ChannelNames
from typedbus.wspbus._policy import FailureLog, OldPolicy, permit
from typedbus.wspbus._respawn import Respawner
from typedbus.wspbus._states import (
    OLD,
    ChannelFailures,
    _StateEnum,  # pyright: ignore[reportPrivateUsage]  # the original's name, which old code may use
    states,
    typed,
)


class Bus(Messenger, Respawner):
    """
    Process state machine and messenger, by the names of CherryPy's, over a typed bus.

    Channels are names, which may be any hashable object, and are created at their
    first use. Every method may be called from any thread. Attributes may be added
    freely. Async listeners of ``start``, ``stop``, ``exit`` and ``graceful`` are
    awaited by the methods of these names, on the event loop of the typed bus; a
    publish awaits nothing.

    Attributes:
        typed: The typed bus underneath; containers are attached to it.
        names: The channels by name.
        policy: The transition policy of the typed bus.
        execv: Whether `block` replaces the process when the bus has exited.
        max_cloexec_files: With 0, open inheritable files survive the replacement.
        hard_exit: A status with which the process ends at once after a failure of a start, of a stop within
            an exit, or of an exit, or if `exit` is called during a start, as in the original with 70. With
            None, the default, an exception is raised instead.
    """

    states: ClassVar[_StateEnum] = states
    execv: bool = False
    hard_exit: int | None = None

    def __init__(self) -> None:
        registry = Registry()
        self.policy: OldPolicy = OldPolicy(self._log_old, self._entered)
        registry.failures = FailureLog(registry.observers, self.policy)
        self.typed: TypedBus = bus_with(registry, self.policy)
        self.names: ChannelNames = ChannelNames(registry)
        self.typed.replacement = ReplacementInBlock(self)
        self.execv = False
        self._at_exit: Callable[[], None] | None = None
        self._pid = 0
        self._blocking = 0
        self.state = states.STOPPED

    @property
    def state(self) -> _StateEnum.State:
        """
        The current state; it may be assigned, which wakes the threads that wait for it.

        Raises:
            StateError: The assigned value is not a state.
        """
        return OLD[self.typed.state]

    @state.setter
    def state(self, state: _StateEnum.State) -> None:
        new = typed(state)
        if self.typed.state not in new:
            # No exit is carried out, so EXITING means that it is over.
            first = min(new, key=list(OLD).index)
            parts_of(self.typed).machine.assign(State.EXITED if first is State.EXITING else first)

    def _log_old(self, message: str, level: int) -> None:
        self.log(message, level)  # looked up here, since it may have been replaced

    def _entered(self, state: State) -> None:
        # A subclass may override the property, and store the state itself.
        if state is not State.EXITED and type(self).state is not Bus.state:
            self.state = OLD[state]

    def start(self) -> None:
        """
        Publish ``start``, from whatever state, and be STARTED.

        If a listener fails, the others are still called, then all listeners of
        ``stop`` and of ``exit``, and the bus is EXITING.

        Raises:
            ChannelFailures: A listener raised.
            TransitionError: Another thread is stopping the bus.
            StartCancelled: stop() or exit() was called meanwhile.
            BaseException: `SystemExit` or `KeyboardInterrupt` from a listener, after the rollback.
        """
        if self._at_exit is None:
            self._at_exit = _cleaner(weakref.ref(self))
            self._pid = os.getpid()
            atexit.register(self._at_exit)
        permit(parts_of(self.typed).machine, State.STARTED)
        try:
            self.typed.start()
        except TransitionFailures as failed:
            self._fail(failed)
        except StartCancelled:
            self._die()
            raise
        # The pid has changed if the process has become a daemon.
        self._pid = os.getpid()

    def stop(self) -> None:
        """
        Publish ``stop``, from whatever state, and be STOPPED.

        Raises:
            ChannelFailures: After the last listener, if any raised.
        """
        permit(parts_of(self.typed).machine, State.STOPPED)
        try:
            self.typed.stop()
        except TransitionFailures as failed:
            raise ChannelFailures.of(failed.exceptions) from failed

    def exit(self) -> None:
        """
        Publish ``stop`` and then ``exit``, from whatever state, and be EXITING.

        A call while another thread exits the bus waits for that exit. A later call
        publishes both again, since a server may have been started meanwhile without
        the bus. A call from a listener of a transition is a request, carried out when
        that listener has returned.

        Raises:
            ChannelFailures: After the last listener, if any raised.
        """
        was = self.typed.state
        permit(parts_of(self.typed).machine, State.EXITED)
        try:
            self.typed.exit()
        except TransitionFailures as failed:
            self._fail(failed)
        if self.typed.state is State.EXITED:
            if self._at_exit is not None:
                atexit.unregister(self._at_exit)
                self._at_exit = None
            if was is State.STARTING:
                self._die()

    def _fail(self, failed: TransitionFailures) -> NoReturn:
        self._die()
        raise ChannelFailures.of(failed.exceptions) from failed

    def _die(self) -> None:
        if self.hard_exit is not None:
            os._exit(self.hard_exit)

    def _clean_exit(self) -> None:
        # A forked child must not exit the bus of its parent.
        if self.state is not states.EXITING and os.getpid() == self._pid:
            warnings.warn(
                f"The main thread is exiting, but the Bus is in the {self.state!r} state; "
                "shutting it down automatically now. You must either call bus.block() after start(), "
                "or call bus.exit() before the main thread exits.",
                RuntimeWarning,
                stacklevel=2,
            )
            self.exit()

    def restart(self) -> None:
        """
        Exit, and let the thread in `block` replace the process by a new run of the same program.

        Raises:
            ChannelFailures: As in `exit`; the process is still replaced.
        """
        self.execv = True
        is_attended = self._blocking > 0  # checked now, since `block` may have returned when the exit has ended
        try:
            self.exit()
        finally:
            if not is_attended:
                self.log(
                    "No thread is in block() to replace the process; the next call of block() replaces it.", WARNING
                )

    def graceful(self) -> None:
        """
        Publish ``graceful``. Unlike `publish`, await async listeners, on the event loop of the typed bus.

        Raises:
            ChannelFailures: As in `publish`.
            LoopError: There are async listeners, and the caller runs on that loop or the bus has exited.
        """
        self.log("Bus graceful")
        if not any(map(is_async_callable, self.names.listeners.get("graceful", ()))):
            self.publish("graceful")
            return
        try:
            self.typed.graceful()
        except TypedFailures as failed:
            raise ChannelFailures.of(failed.exceptions) from failed

    def wait(
        self,
        state: _StateEnum.State | Iterable[_StateEnum.State],
        interval: float = 0.1,
        channel: Hashable = None,
    ) -> None:
        """
        Return as soon as the bus is in *state*, or in one of several states, or passes through it.

        Args:
            state: The state, or states, to wait for.
            interval: Seconds between two publishes on *channel*.
            channel: Channel to publish on while waiting.

        Raises:
            StateError: A value in *state* is not a state.
            WaitError: *state* is empty, or the caller is a listener of the transition that it would wait for.
            ChannelFailures: As in `publish`.
        """
        several = (state,) if isinstance(state, _StateEnum.State) else state
        wanted = frozenset[State]().union(*(typed(one) for one in several))
        if channel is None:
            self.typed.wait(wanted)
            return
        due = time.monotonic() + interval
        while self.typed.wait(wanted, due - time.monotonic()) is None:
            due = max(due + interval, time.monotonic())
            self.publish(channel)

    def block(self, interval: float = 0.1) -> None:
        """
        Wait until the bus has exited and all non-daemon threads have ended; then replace the process if requested.

        While ``main`` has listeners it is published every *interval* seconds.
        Ctrl-C exits the bus. `SystemExit` and a failing listener of ``main`` also
        exit it, and are raised afterwards.

        Raises:
            ChannelFailures: A listener of ``main``, ``stop`` or ``exit`` raised, in any thread.
            RestartError: The process cannot be replaced.
            BaseException: `SystemExit`, the cause of a `request_exit` of the typed bus, or an error about its threads.
        """
        # A subclass that overrides `wait`, such as the one for Windows, blocks in it.
        self._blocking += 1
        try:
            met = block_until_exit(self, interval, by_wait=type(self).wait is not Bus.wait)
        finally:
            self._blocking -= 1
        exiting = self.policy.exiting
        if exiting is not None:
            # Another thread may carry out the exit.
            exiting.done.wait()
            if isinstance(exiting.outcome, TransitionFailures):
                self._die()
                if exiting.outcome not in met:
                    met.append(exiting.outcome)
        join_all(self)
        if self.execv:
            self.execv = False
            for error in met:
                self.log("".join(tracebacks.format_exception(error)), ERROR)
            self._do_execv()
        else:
            raise_all(met)

    def start_with_callback(
        self,
        func: Callable[..., object],
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> threading.Thread:
        """
        Start the bus, call *func* in a separate thread after the start, and return that thread.

        If the start fails, *func* is not called, and the thread ends.

        Raises:
            BaseException: As in `start`.
        """
        outcome: SimpleQueue[State] = SimpleQueue()
        positional = tuple(args or ())
        named = dict(kwargs or {})

        def call() -> None:
            if outcome.get() is State.STARTED:
                func(*positional, **named)

        thread = threading.Thread(target=call)
        thread.name = f"Bus Callback {thread.name}"
        thread.start()
        try:
            self.start()
        except BaseException:
            outcome.put(State.STOPPED)
            raise
        outcome.put(State.STARTED)
        return thread


def _cleaner(reference: weakref.ref[Bus]) -> Callable[[], None]:
    def clean_exit() -> None:
        bus = reference()
        if bus is not None:
            bus._clean_exit()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # a method would hold the bus

    return clean_exit


bus: Final = Bus()
