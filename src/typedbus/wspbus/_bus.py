"""The bus of the old names: what is said to it is passed on to a typed bus, and what that raises is told in the old words."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import traceback as tracebacks
import warnings
import weakref
from collections.abc import Callable, Hashable, Iterable, Mapping, MutableMapping
from queue import SimpleQueue
from typing import Any, ClassVar, Final, NoReturn, ParamSpec, TypeVar, overload

from typedbus._bound import BoundChannel
from typedbus._channel import Channel
from typedbus._failures import ChannelFailures as TypedFailures
from typedbus._failures import TransitionFailures, leave
from typedbus._states import State
from typedbus.wspbus._listeners import Listeners, Listening, priority_of
from typedbus.wspbus._policy import OldBus
from typedbus.wspbus._respawn import extend_pythonpath, max_files, replace, set_cloexec, true_argv
from typedbus.wspbus._states import OLD, ChannelFailures, _StateEnum, states, typed

Args = ParamSpec("Args")
Result = TypeVar("Result")
AnyListener = TypeVar("AnyListener", bound=Callable[..., Any])

_ERROR: Final = 40
_SHORTEST: Final = 0.001


class Bus:
    """
    Process state machine and messenger, by the names of CherryPy's, over a typed bus.

    Channels are names, of whatever can be hashed, and there is one as soon as
    somebody speaks of it. Every method may be called from any thread. Attributes
    may be added at will.

    Attributes:
        typed: The typed bus underneath; containers are attached to it.
        listeners: A live mapping from the names of channels to the sets of their listeners.
        execv: Whether `block` replaces the process when the bus has exited.
        max_cloexec_files: 0 lets files that are open, and inheritable, outlive the replacement.
        hard_exit: A status to end the process with, at once, when a start, a stop within an exit, or an exit
            failed, or `exit` came in the middle of a start; the original's way, with 70. None, as it is here,
            raises.
    """

    states: ClassVar[_StateEnum] = states
    execv: bool = False
    max_cloexec_files: int = max_files
    hard_exit: int | None = None

    def __init__(self) -> None:
        self.typed: Final = OldBus(self._log_old, self._seen)
        self.execv = False
        self._at_exit: Callable[[], None] | None = None
        self.state = states.STOPPED

    @property
    def listeners(self) -> Listeners:
        """A live mapping from the names of channels to the sets of their listeners."""
        return self.typed.listeners

    @listeners.setter
    def listeners(self, listeners: Mapping[Any, Iterable[Callable[..., Any]]]) -> None:
        for name in self.typed.listeners:
            if name not in listeners:
                self.typed.listeners.pop(name, None)
        self.typed.listeners.update(listeners)

    def __getitem__(self, channel: Channel[Args, Result]) -> BoundChannel[Args, Result]:
        """
        Return *channel* on the typed bus; its name means it from then on.

        Raises:
            ChannelError: It is no channel, or its name means another one.
        """
        return self.typed[channel]

    @property
    def state(self) -> _StateEnum.State:
        """
        The state now; it may be assigned, and wakes who waits for it.

        Raises:
            StateError: It is assigned what is no state.
        """
        return OLD[self.typed.state]

    @state.setter
    def state(self, state: _StateEnum.State) -> None:
        new = typed(state)
        if self.typed.state not in new:
            self.typed.assign(min(new, key=list(OLD).index))

    def _log_old(self, message: str, level: int) -> None:
        # Looked up at each message: log may have been replaced.
        self.log(message, level)

    def _seen(self, state: State) -> None:
        # A subclass may have put a property of its own there, and keep the state itself.
        if state is not State.EXITED and type(self).state is not Bus.state:
            self.state = OLD[state]

    @overload
    def subscribe(
        self, channel: Hashable, callback: None = ..., priority: float | None = ...
    ) -> Callable[[AnyListener], AnyListener]: ...

    @overload
    def subscribe(self, channel: Hashable, callback: Callable[..., Any], priority: float | None = ...) -> None: ...

    def subscribe(
        self, channel: Hashable, callback: Callable[..., Any] | None = None, priority: float | None = None
    ) -> Callable[[AnyListener], AnyListener] | None:
        """
        Call *callback* at each later publish on *channel*.

        Subscribed again it keeps its place, and gets the new priority. Without a
        callback it is a decorator, and gives the function back.

        Args:
            channel: A name; typed channels are subscribed to as ``bus[channel].subscribe(callback)``.
            callback: Called with what is published.
            priority: Lower runs first, equal ones in the order in which they came;
                unless given the callback's attribute of that name, or 50.

        Raises:
            ListenerError: The callback cannot be called, or *priority* is no number.
        """
        if callback is None:

            def decorate(listener: AnyListener) -> AnyListener:
                self.subscribe(channel, listener, priority)
                return listener

            return decorate
        self.typed.enter(channel).put(callback, priority_of(callback) if priority is None else priority)
        return None

    def unsubscribe(self, channel: Hashable, callback: Callable[..., Any] | None) -> None:
        """End the subscription of *callback* to *channel*, if there is one."""
        known = self.listeners.get(channel)
        if known is not None and callback is not None:
            known.discard(callback)

    def publish(self, channel: Hashable, *args: Any, **kwargs: Any) -> list[Any]:
        """
        Call every listener of *channel*, in order of priority, and return their results.

        One that raises is logged and keeps none of the others from being called.
        A channel that nobody has spoken of has no listeners.

        Raises:
            ChannelFailures: After the last listener, if any raised an `Exception`.
            TypeError: *channel* is a typed one, and what is published is not what it declares.
            BaseException: `SystemExit`, `KeyboardInterrupt` and their like leave at once; after a failure a
                status of success becomes 1.
        """
        listening: Listening | None = self.typed.listeners.get(channel)
        if listening is None:
            return []
        try:
            return listening.say(*args, **kwargs)
        except TypedFailures as failed:
            raise ChannelFailures.of(failed.exceptions) from failed

    def log(self, msg: str = "", level: int = 20, traceback: bool = False) -> None:  # noqa: FBT002  # as old code calls it
        """Publish *msg* and *level* on ``log``, with the exception that is handled; a listener that fails is told on stderr."""
        if traceback:
            msg += "\n" + "".join(tracebacks.format_exception(*sys.exc_info()))
        self.typed.log(msg, level)

    def start(self) -> None:
        """
        Publish ``start``, from whatever state, and be STARTED.

        Where a listener fails the others are called all the same, then all
        listeners of ``stop`` and of ``exit``, and the bus is EXITING.

        Raises:
            ChannelFailures: A listener raised.
            TransitionError: Another thread is stopping the bus.
            StartCancelled: stop() or exit() was called meanwhile.
            BaseException: `SystemExit` or its like from a listener, when all that has been undone.
        """
        if self._at_exit is None:
            self._at_exit = _cleaner(weakref.ref(self))
            atexit.register(self._at_exit)
        self.typed.be_ready(State.STARTED)
        try:
            self.typed.start()
        except TransitionFailures as failed:
            self._fail(failed)
        except RuntimeError:
            self._die()
            raise

    def stop(self) -> None:
        """
        Publish ``stop``, from whatever state, and be STOPPED.

        Raises:
            ChannelFailures: After the last listener, if any raised.
        """
        self.typed.be_ready(State.STOPPED)
        try:
            self.typed.stop()
        except TransitionFailures as failed:
            raise ChannelFailures.of(failed.exceptions) from failed

    def exit(self) -> None:
        """
        Publish ``stop`` and then ``exit``, from whatever state, and be EXITING; once, until it is started again.

        Another thread that is at it is joined. From a listener of a transition
        it is a request, carried out when that listener has returned.

        Raises:
            ChannelFailures: After the last listener, if any raised.
        """
        was = self.typed.state
        self.typed.be_ready(State.EXITED)
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
        if self.state is not states.EXITING:
            warnings.warn(
                f"The main thread is exiting, but the Bus is in the {self.state!r} state; "
                "shutting it down automatically now. You must either call bus.block() after start(), "
                "or call bus.exit() before the main thread exits.",
                RuntimeWarning,
                stacklevel=2,
            )
            self.exit()

    def restart(self) -> None:
        """Exit, and have the thread in `block` replace the process by the same program anew."""
        self.execv = True
        self.exit()

    def graceful(self) -> None:
        """
        Publish ``graceful``.

        Raises:
            ChannelFailures: As `publish`.
        """
        self.log("Bus graceful")
        self.publish("graceful")

    def wait(
        self,
        state: _StateEnum.State | Iterable[_StateEnum.State],
        interval: float = 0.1,
        channel: Hashable = None,
    ) -> None:
        """
        Return as soon as the bus is in *state*, one or several, or passes through it.

        Args:
            state: What to wait for.
            interval: Seconds between two publishes on *channel*.
            channel: Published on while it waits.

        Raises:
            StateError: One of them is no state.
            WaitError: They are none, or the caller is a listener of the very transition that it would wait for.
            ChannelFailures: As `publish`.
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
        Wait until the bus has exited, and for all threads that are not daemons; then replace the process if asked to.

        While ``main`` has listeners it is published every *interval* seconds.
        Ctrl-C exits the bus. So do `SystemExit` and a failing listener of
        ``main``, which are raised afterwards.

        Raises:
            ChannelFailures: A listener of ``main``, ``stop`` or ``exit`` raised, in whatever thread.
            RestartError: The process cannot be replaced.
            BaseException: `SystemExit`, the cause of a `request_exit` of the typed bus, what it says of its threads.
        """
        met = self._attend(interval)
        exiting = self.typed.exiting
        if exiting is not None:
            # Whoever carried it out may have been another thread.
            exiting.done.wait()
            if exiting.outcome is not None and exiting.outcome not in met:
                met.append(exiting.outcome)
        self.log("Waiting for child threads to terminate...")
        for thread in threading.enumerate():
            if thread in (threading.current_thread(), threading.main_thread()) or thread.daemon:
                continue
            self.log(f"Waiting for thread {thread.name}.")
            thread.join()
        if self.execv:
            self.execv = False
            for error in met:
                self.log("".join(tracebacks.format_exception(error)), _ERROR)
            self._do_execv()
        else:
            _raise(met)

    def _attend(self, interval: float) -> list[BaseException]:
        """Stay with the bus until it has exited, and return what happened to this thread meanwhile."""
        attendant = threading.get_ident()

        def interrupted(error: BaseException) -> None:
            if threading.get_ident() == attendant:
                if isinstance(error, KeyboardInterrupt):
                    self.log("Keyboard Interrupt: shutting down bus")
                elif isinstance(error, SystemExit):
                    self.log("SystemExit raised: shutting down bus")

        if type(self).wait is not Bus.wait:
            # It has its own way to wait, which block() goes by.
            try:
                self.wait(states.EXITING, interval=interval, channel="main")
            except BaseException as error:
                interrupted(error)
                self.exit()
                return [error]
            return []
        if self.typed.replacement is None:
            self.typed.replacement = _Anew(self)
        self.typed.interrupted = interrupted
        try:
            self.typed.block(interval=max(interval, _SHORTEST))
        except BaseException as error:
            several = type(error) in (BaseExceptionGroup, ExceptionGroup)
            return list(error.exceptions) if several else [error]  # type: ignore[attr-defined]  # groups have exceptions
        finally:
            self.typed.interrupted = None
        return []

    def start_with_callback(
        self,
        func: Callable[..., object],
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> threading.Thread:
        """
        Start, and call *func* in a thread of its own when all has started; return the thread.

        Where the start fails *func* is not called, and the thread ends.

        Raises:
            BaseException: As `start`.
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

    def _do_execv(self) -> None:
        args = self._get_true_argv()
        self.log(f"Re-spawning {' '.join(args)}")
        self._extend_pythonpath(os.environ)
        if self.max_cloexec_files:
            self._set_cloexec()
        replace(args)

    @staticmethod
    def _get_true_argv() -> list[str]:
        return true_argv()

    @staticmethod
    def _extend_pythonpath(env: MutableMapping[str, str]) -> None:
        extend_pythonpath(env)

    def _set_cloexec(self) -> None:
        set_cloexec()


class _Anew:
    """Takes the place of the process when typed code restarts the bus: `Bus.block` does it, when it has waited."""

    def __init__(self, bus: Bus) -> None:
        self._bus = weakref.ref(bus)

    def problem(self) -> str | None:
        return None

    def replace(self, failed: BaseException | None, /) -> None:
        bus = self._bus()
        if bus is not None:
            bus.execv = True
        if failed is not None:
            raise failed


def _cleaner(reference: weakref.ref[Bus]) -> Callable[[], None]:
    def clean_exit() -> None:
        bus = reference()
        if bus is not None:
            bus._clean_exit()

    return clean_exit


def _raise(met: list[BaseException]) -> None:
    """Raise what `block` has met, as one; Ctrl-C has done what it was for."""
    errors = [error for error in met if not isinstance(error, (KeyboardInterrupt, SystemExit))]
    failed: BaseException | None = errors[0] if errors else None
    if len(errors) > 1:
        failed = BaseExceptionGroup("the bus has exited, with problems", errors)
    if errors and all(isinstance(error, (TransitionFailures, TypedFailures)) for error in errors):
        told = ChannelFailures.of([member for error in errors for member in error.exceptions])  # type: ignore[attr-defined]
        told.__cause__ = failed
        failed = told
    for leaving in met:
        if isinstance(leaving, SystemExit):
            if failed is not None:
                leave(leaving, failed)
            raise leaving
    if failed is not None:
        raise failed


bus: Final = Bus()
