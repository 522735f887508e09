"""The bus: the interface of its parts, which `_bus.parts` puts together."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, overload

from typing_extensions import TypeVar

from typedbus._base.clock import Clock, SystemClock
from typedbus._base.limits import Limits
from typedbus._base.states import State
from typedbus._bus.builtin import INFO
from typedbus._bus.created import CREATED
from typedbus._bus.forked import BUSES
from typedbus._bus.parts import Parts
from typedbus._bus.policy import TransitionPolicy, TypedPolicy
from typedbus._bus.registry import AnyBound, Registry, bindable
from typedbus._bus.wakeup import Replacement, report_discarded
from typedbus._channels.channel import AnyChannel, AnyListener, Binds, Channel, Takes
from typedbus._channels.subscriptions import Subscription
from typedbus._os.forks import notice

if TYPE_CHECKING:
    import asyncio
    import concurrent.futures

    from typing_extensions import deprecated

    from typedbus._base.run_records import RunRecord
    from typedbus._channels.async_channel import AsyncChannel
    from typedbus._channels.deprecated import TakesDeprecated
    from typedbus._channels.observing.observation import Observation
    from typedbus._channels.observing.texts import Channels, Level
    from typedbus._channels.watching import Published, Watch

Args = ParamSpec("Args")
Result = TypeVar("Result")


class Bus:
    """
    The channels of a process with their listeners, and its state.

    A process usually has one bus and may have several; they share nothing. A bus lives as long as it is referenced, and
    leaves nothing behind: it registers nothing with the interpreter, installs no signal handler, and starts threads
    only for hooks that have a time limit or run in parallel, which end with the transition, for its own event loop,
    which ends with the exit, and for its async methods. Every method may be called from any thread. A sync method
    raises `LoopError` where it would block the event loop on which async hooks have to run.

    Args:
        clock: The source of time for durations, limits and ticks.
        workers: How many components may start, or stop, in parallel.
        limits: How long hooks, a start and a stop may take.
        loop_factory: Creates the event loop of async hooks, for example `uvloop.new_event_loop`.

    Raises:
        LimitError: *workers* is not a whole number from 1 up.
        LoopError: *loop_factory* cannot be called.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        workers: int = 1,
        limits: Limits | None = None,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> None:
        self._compose(Registry(), TypedPolicy(), clock, workers, limits)
        self.loop_factory = loop_factory

    def _compose(
        self, registry: Registry, policy: TransitionPolicy, clock: Clock | None, workers: int, limits: Limits | None
    ) -> None:
        self._parts = Parts(registry, policy, clock or SystemClock(), workers, Limits() if limits is None else limits)
        #: The channels of the registry, for `__getitem__`.
        self._bound = registry.bound
        BUSES.add(self)
        for receive in tuple(CREATED):
            receive(self)

    def __getitem__(self, channel: Binds[AnyBound]) -> AnyBound:
        """
        Return *channel* on this bus; the same object each time.

        Raises:
            ChannelError: *channel* is not a channel but, for instance, the name of one.
        """
        bound: AnyBound | None = self._bound.get(channel)
        return self._parts.registry.look_up(channel) if bound is None else bound

    @overload
    def publish(self, channel: Channel[Args, Result], /, *_args: Args.args, **_kwargs: Args.kwargs) -> list[Result]: ...

    @overload
    async def publish(
        self, channel: AsyncChannel[Args, Result], /, *_args: Args.args, **_kwargs: Args.kwargs
    ) -> list[Result]: ...

    def publish(self, channel: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Same as ``bus[channel].publish(...)``, which is awaited for an `AsyncChannel`."""
        return self[channel].publish(*args, **kwargs)

    if TYPE_CHECKING:  # the decorator imports asyncio when it is called

        @overload
        @deprecated("the channel is deprecated; its declaration names the replacement")
        def subscribe(
            self, channel: TakesDeprecated[AnyListener], listener: AnyListener, /, *, priority: int = ...
        ) -> Subscription: ...

    @overload
    def subscribe(
        self, channel: Takes[AnyListener], listener: AnyListener, /, *, priority: int = ...
    ) -> Subscription: ...

    def subscribe(self, channel: Takes[AnyListener], listener: AnyListener, /, *, priority: int = 50) -> Subscription:
        """Same as ``bus[channel].subscribe(listener)``, but type checkers report errors less clearly."""
        subscription: Subscription = self[bindable(channel)].subscribe(listener, priority=priority)
        return subscription

    def unsubscribe(self, channel: Takes[AnyListener], listener: AnyListener, /) -> None:
        """Same as ``bus[channel].unsubscribe(listener)``."""
        self[bindable(channel)].unsubscribe(listener)

    def watch(self, watcher: Callable[[Published], object], /) -> Watch:
        """
        Call *watcher* with each later publish on this bus, until the watch ends; see `BoundChannel.watch`.

        It receives one `Published`, also for channels that are first used later. The channels on which the bus itself
        publishes are not watched: `LOG`, `START`, the other life-cycle channels, and those of `typedbus.events`.

        Raises:
            WatcherError: The watcher cannot be called, or is async or a generator function.
        """
        return self._parts.registry.watch(watcher)

    def observe(self, channels: Channels = None, *, level: Level = "count") -> Observation:
        """
        Count the later publishes on *channels*, until the observation is closed; see `typedbus.observe`.

        None stands for all channels but the bus's own, also those that are first used later. Level "time" also measures
        each publish, and "each" the calls of each listener as well.

        Raises:
            ObserveError: A channel is `START`, `STOP`, `EXIT`, `GRACEFUL` or `RUN`, or the level is unknown.
        """
        from typedbus._bus.observations import observations_of  # a program that observes nothing does not need it

        return observations_of(self._parts.registry).observe(channels, level)

    def channel(self, name: str, /) -> Channel[..., Any] | AsyncChannel[..., Any]:
        """
        Return the channel *name*: a built-in channel, or one that was looked up with ``bus[channel]``.

        Raises:
            ChannelNameError: The bus has no channel of that name, or several.
        """
        return self._parts.registry.channel(name)

    @property
    def channels(self) -> tuple[AnyChannel, ...]:
        """The channels that the bus had from the beginning, then those that were looked up with ``bus[channel]``."""
        return self._parts.registry.channels

    def log(self, message: str, level: int = INFO) -> None:
        """Publish *message* on `LOG`; a listener that fails is reported on stderr and changes nothing for the caller."""
        self._parts.registry.log(message, level)

    @property
    def clock(self) -> Clock:
        """The source of time for durations, limits and ticks."""
        return self._parts.machine.clock

    @property
    def limits(self) -> Limits:
        """How long hooks, a start and a stop may take; a transition reads it at the beginning of each of its phases."""
        return self._parts.machine.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._parts.machine.limits = limits

    @property
    def workers(self) -> int:
        """
        How many components may start, or stop, in parallel; 1 means one after the other.

        With more, each component starts as soon as all its dependencies have started, in a worker thread; a component
        of a higher priority waits for all components of lower priorities, and a listener outside all components runs
        alone, in its place.

        Raises:
            LimitError: The value is not a whole number from 1 up.
        """
        return self._parts.machine.workers

    @workers.setter
    def workers(self, workers: int) -> None:
        self._parts.machine.workers = workers

    @property
    def runs(self) -> Mapping[str, RunRecord]:
        """The state of each run at this moment by its `RunRecord.path`, in the order in which they begin."""
        return self._parts.machine.runs.records()

    @property
    def replacement(self) -> Replacement | None:
        """The object that replaces the process after `restart`; `run` sets it while it runs, unless it is set already."""
        return self._parts.main_loop.replacement

    @replacement.setter
    def replacement(self, replacement: Replacement | None) -> None:
        self._parts.main_loop.replacement = replacement

    @property
    def state(self) -> State:
        """The current state; another thread may change it before the caller uses the result."""
        notice()
        return self._parts.machine.state

    @property
    def is_exit_requested(self) -> bool:
        """Whether an exit was requested that the thread in `block` has not carried out; False once it has EXITED."""
        return self._parts.requests.is_exit_requested

    def wait(self, states: State | Iterable[State], timeout: float | None = None) -> State | None:
        """
        Wait until the bus is in one of *states*, or passes through it, and return that state; None after *timeout* seconds.

        A thread that a component waits for when it stops should also name the states in which it must give up, and
        check which state was returned: a start may fail.

        Raises:
            WaitError: *states* is empty or contains something that is not a state, or the caller is a listener of the
                transition that it would wait for.
        """
        return self._parts.machine.wait(states, timeout)

    def start(self) -> None:
        """
        Bring the bus to STARTED, in the calling thread.

        The listeners of `START` are called in running order; a listener with a time limit runs in a worker thread. At
        the first failure the start is rolled back: the listeners of `STOP` are called in reverse order, except
        listeners of an object whose own start had not returned, and the bus is STOPPED. A caller in another thread
        joins a start that is under way and gets its outcome; a call from a listener of this start returns at once.

        Raises:
            TransitionError: The bus is neither STOPPED nor EXITED.
            TransitionFailures: A listener raised; failures of the rollback are included.
            StartCancelled: A stop or an exit was requested meanwhile; raised from the cause given to `request_exit`.
            BaseException: `SystemExit`, `KeyboardInterrupt` or similar from a listener, after the rollback.
        """
        self._parts.machine.bring_to(State.STARTED)

    def stop(self) -> None:
        """
        Bring the bus to STOPPED; do nothing if it is STOPPED or EXITED.

        The listeners of `STOP` are called in the reverse of running order, so that the component that started last
        stops first. All of them are called, even if some fail. A stop during a start cancels the start after the
        listener that is running. Called from a listener of a transition, it is a request: it returns at once and is
        carried out when that listener has returned.

        Raises:
            TransitionFailures: After the last listener, if any raised.
        """
        self._parts.machine.bring_to(State.STOPPED)

    def exit(self) -> None:
        """
        Stop the bus and bring it to EXITED; do nothing if it is EXITED.

        After the stop the listeners of `EXIT` are called, in the same way as listeners of `STOP`. A bus that has exited
        may be started again; its containers then construct new components. To end a process from one of the bus's own
        threads, which a component's stop() waits for, use `request_exit`.

        Raises:
            TransitionFailures: At the end, if any listener of `STOP` or `EXIT` raised.
        """
        notice()
        self._parts.main_loop.exit()

    async def start_async(self) -> None:
        """
        Do the same as `start`, without blocking the event loop of the caller, which runs the async hooks.

        The other hooks run in a daemon thread, or in worker threads. If the caller is cancelled, as by
        `asyncio.timeout`, the start is called off: async hooks that run are cancelled, what has started is stopped
        again, and then the same `CancelledError` is raised. At a second cancellation the hooks that run are given up.
        If other code has begun the start, a cancellation ends only the wait for it.

        Raises:
            LoopError: The components of the bus were built for another event loop; exit the bus first.
            BaseException: As `start`.
        """
        from typedbus._bus.async_methods import bring_to  # asyncio is slow to import; so below

        await bring_to(self._parts.machine, State.STARTED)

    async def stop_async(self) -> None:
        """
        Do the same as `stop`, without blocking the event loop of the caller.

        The async hooks run on the loop on which the bus was started. If the caller is cancelled, the stop goes on, and
        the same `CancelledError` is raised at its end. At a second cancellation the hooks that run are given up.
        """
        from typedbus._bus.async_methods import bring_to

        await bring_to(self._parts.machine, State.STOPPED)

    async def exit_async(self) -> None:
        """Do the same as `exit`, and forget the event loop; `LoopError` for a task on the bus's own loop."""
        from typedbus._bus.async_methods import bring_to

        notice()
        self._parts.main_loop.prefer_exit()
        await bring_to(self._parts.machine, State.EXITED)

    async def wait_async(self, states: State | Iterable[State], timeout: float | None = None) -> State | None:  # noqa: ASYNC109  # as `wait`
        """Do the same as `wait`, without blocking the event loop of the caller."""
        from typedbus._bus.async_methods import wait

        return await wait(self._parts.machine, states, timeout)

    async def block_async(self, *, interval: float = 0.1, patience: float = 5.0) -> None:
        """
        Do the same as `block`, in a daemon thread, without blocking the event loop of the caller.

        If the caller is cancelled, the bus exits in order, and the same `CancelledError` is raised at the end. At a
        second cancellation the hooks that run are given up.
        """
        from typedbus._bus.async_methods import block

        function = functools.partial(self.block, interval=interval, patience=patience)
        await block(self._parts.machine, function, self.request_exit)

    def graceful(self) -> None:
        """
        Publish `GRACEFUL`, for components to load new settings or reopen files.

        Each component is called after its dependencies, in the order of the start. All of them are called, even if some
        fail. Async listeners run on the event loop of the bus, one by one.

        Raises:
            ChannelFailures: As `BoundChannel.publish`.
            LoopError: A listener is async, and the caller runs on that loop, which would be blocked, or the bus has
                exited; no listener has been called.
        """
        from typedbus._bus.reload import reload  # for programs that never reload

        reload(self._parts.registry, self._parts.event_loop)

    async def graceful_async(self) -> None:
        """Do the same as `graceful`, in a daemon thread; a cancellation is raised when all listeners have ended."""
        from typedbus._bus.async_methods import in_thread

        await in_thread(f"{self._parts.event_loop.name} reloads", self.graceful)

    @property
    def loop_factory(self) -> Callable[[], asyncio.AbstractEventLoop] | None:
        """
        Creates the bus's own event loop, unless it was started with `start_async`; None for `asyncio.new_event_loop`.

        Raises:
            LoopError: The value cannot be called.
        """
        return self._parts.event_loop.factory

    @loop_factory.setter
    def loop_factory(self, factory: Callable[[], asyncio.AbstractEventLoop] | None) -> None:
        self._parts.event_loop.factory = factory

    def run_on_loop(self, coroutine: Coroutine[Any, Any, Result]) -> concurrent.futures.Future[Result]:
        """
        Run *coroutine* as a task on the event loop of the bus, and return a future for its result at once.

        For sync hooks and listeners, in any thread but the loop's own. The bus's own loop cancels the task at the exit.

        Raises:
            LoopError: The caller runs on the loop, where a wait for the future would never end, or the bus has exited.
        """
        from typedbus._bus.async_methods import submit

        notice()
        return submit(self._parts.machine, coroutine)

    def request_exit(self, cause: BaseException | None = None) -> None:
        """
        Ask the thread in `block` to exit the bus, and return at once.

        Safe from a signal handler, from a listener and from a thread that a component will wait for when it stops. A
        start in progress is cancelled, a stop continues to the exit. If no thread is in `block`, the request is kept
        until a thread enters it, or until the bus has exited.

        `block` raises *cause*, the error that makes the exit necessary, after the exit, `running` at the end of its
        block, and a start that it cancels raises `StartCancelled` from it. It is also logged on `LOG`, as an error with
        its traceback, before the bus has EXITED; `run` leaves that line out on stderr, because it prints the error when
        it ends. The next start after the exit discards causes that have not been raised.
        """
        notice()
        self._parts.main_loop.request_exit(cause)

    def request(self, action: Callable[[], object], /) -> None:
        """
        Ask the thread in `block` to call *action*, and return at once.

        Safe from a signal handler and from any thread. Actions are called one by one, in the order of the requests,
        between the ticks; actions that are pending when `block` begins an exit are called before it. An exception from
        an action is logged on `LOG`, as an error with its traceback, and the bus continues; `SystemExit`,
        `KeyboardInterrupt` and similar exceptions exit the bus in order and are raised by `block`. If no thread is in
        `block`, an action is kept until the bus has exited. Then it is discarded, and a warning on `LOG` names it; so
        is an action that is requested after the exit.

        Raises:
            TypeError: *action* cannot be called.
        """
        notice()
        report_discarded(self._parts.main_loop.request(action), self.log)

    def restart(self) -> None:
        """
        Request an exit of the bus, after which the same program replaces the process, and return at once.

        The thread in `block`, the main thread, exits the bus in order and then calls the `replacement` with the error
        of the exit, if there is one. Safe from a listener, an action and a thread that a component will wait for, and
        from a signal handler that can handle the error below. A start that is under way is cancelled. An exit takes
        precedence: if `exit`, `request_exit`, `SystemExit` or a similar exception requests an exit before the bus has
        exited, earlier or later than the restart, the process ends.

        Raises:
            RestartError: The process cannot be replaced; nothing has been changed.
        """
        notice()
        self._parts.main_loop.restart()

    @property
    def is_restarting(self) -> bool:
        """
        Whether the process will be replaced once the bus has exited: a restart, and no exit, was requested before.

        An exit that is requested later makes it False again; a component that keeps something for the next program must
        be ready for that.
        """
        return self._parts.main_loop.is_restarting

    def detach(self) -> None:
        """
        Reset the bus in a forked child process.

        Must be called in the child before other code there uses the bus; `run`, `running` and `typedbus.hosting` do so.
        A child that was not forked by Python is recognised by its pid, the first time that it asks a bus for its state
        or a transition. The resources of the components belong to the parent, which continues to use them, so no
        listener is called. A bus that had been started is EXITED in the child: a stop or an exit does nothing, and a
        start constructs new components. A bus that had not been started is unchanged. Locks are released, and requests,
        owned threads, open scopes and the replacement are discarded. A start during which the process was forked does
        not continue in the child.
        """
        self._parts.detach()

    def own(self, thread: threading.Thread) -> None:
        """
        Let `block` wait for *thread*, which may not have been started yet, after the exit, and name it if it does not end.

        If an exception ends the thread, it is logged on `LOG`, as an error with its traceback, in that thread; then
        `threading.excepthook` gets it. The bus continues: a thread that the process needs calls `request_exit`, or is a run.
        """
        notice()
        self._parts.main_loop.own(thread)

    def block(self, *, interval: float = 0.1, patience: float = 5.0) -> None:
        """
        Wait until the bus has EXITED, and carry out requests meanwhile.

        While `MAIN` has listeners it is published every *interval* seconds; otherwise the thread sleeps until there is a
        request. An exception in this thread (`KeyboardInterrupt`, `SystemExit`, a failing listener of `MAIN`) exits the
        bus in order and is raised afterwards, *patience* seconds later at most if threads that the bus owns do not end.
        Only one thread serves requests and ticks; others in `block` merely wait.

        Raises:
            ValueError: *interval* is not above 0.
            WaitError: The caller is a listener of a transition.
            BaseException: The cause given to `request_exit`, an exception in this thread, the error of the exit, or
                `StillRunning`; a `BaseExceptionGroup` of these if there are several. The same exception object is
                raised only once. After a `restart` the replacement receives the error instead.
        """
        notice()
        self._parts.main_loop.block(interval, patience)

    def __repr__(self) -> str:
        return f"<Bus {self._parts.machine.state.name} with {len(self._bound)} channel(s)>"


def parts_of(bus: Bus) -> Parts:
    """Return the parts of *bus*, for the packages of this library."""
    return bus._parts  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
