"""
The bus of a `Hosted`: what starts it, which thread serves it, and when it exits.

`Bus.block` carries out requests and ticks, and no thread of the server can be
used for it. So a separate thread blocks, from the start to the exit. It is a
daemon thread: at its end the interpreter joins all other threads before it calls
the functions of `atexit`, one of which requests the exit here.

The start runs in the thread that requests it, not in the blocking thread: a
server may request it while it imports the application, and would then wait, with
the lock of that import, for a thread whose components import the application.

Several `Hosted` may use one bus, and other code may run that bus as well. The
`Hosted` that began the start owns the bus: it blocks, and exits the bus. All
others share it. `started_by` of the bus's state machine is the owner.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from typedbus._base.errors import StartCancelled, TransitionError
from typedbus._base.limits import Limits
from typedbus._base.states import State
from typedbus._base.sync import new_reentrant_lock
from typedbus._bus.builtin import EXIT, STOP, WARNING
from typedbus._bus.bus import Bus, parts_of
from typedbus._channels.subscriptions import has_async_listeners
from typedbus._container.attachment import attached, container_of, detaching
from typedbus._container.container import Container
from typedbus._container.core import core_of
from typedbus._container.faults import InvalidContainer
from typedbus._container.running import exit_after
from typedbus._os.exhausted import start_thread
from typedbus._os.forks import after_fork, notice
from typedbus.hosting._claims import check_waiting, claim_lock, is_free
from typedbus.hosting._ending import at_end, doubt_about_end
from typedbus.hosting._errors import NotShared, not_attached
from typedbus.hosting._process_owners import owner_faults
from typedbus.hosting._report import report

if TYPE_CHECKING:
    from typedbus.hosting._server_loop import ServerLoop


def _instances(containers: Sequence[Container | type[Container]]) -> list[Container]:
    return [container_of(container) for container in containers]


@attrs.define(eq=False)
class _Serving:
    """The thread that serves a bus from its start to its exit."""

    thread: threading.Thread = attrs.field(init=False)
    #: The failure of an exit that was requested, for each caller of `Host.exit` that waits for the thread.
    failure: BaseException | None = attrs.field(init=False, default=None)


@attrs.define(eq=False)
class Host:
    """
    The containers of one `Hosted` and its part in their bus; every method may be called from any thread.

    Args:
        containers: The containers or their classes; the first declares the bus.
        workers: As in `running`.
        limits: As in `running`.
        ended: Called when the bus that this host started has exited, unless `exit` or `leave` of this host asked for it.
    """

    #: Whether the end of the interpreter exits the bus. The interpreter then must not wait for the threads of runs.
    exits_at_end: ClassVar = True

    containers: Sequence[Container] = attrs.field(converter=_instances)
    workers: int | None
    limits: Limits | None
    ended: Callable[[], object] | None
    bus: Bus | None = attrs.field(init=False, default=None)
    #: Whether the last start succeeded: then a request must not start the bus again after its exit.
    has_started: bool = attrs.field(init=False, default=False)
    _lock: threading.RLock = attrs.field(init=False, factory=new_reentrant_lock)
    #: The current start, or the start by which this host owns the bus; otherwise None. Its result is None if other
    #: code serves the bus.
    current_start: futures.Future[_Serving | None] | None = attrs.field(init=False, default=None)
    _is_leaving: bool = attrs.field(init=False, default=False)
    #: The calls of `exit` that wait for the exit, and receive its failure.
    _waiting: int = attrs.field(init=False, default=0)
    #: The failures that were reported because no caller received them.
    _reported: list[BaseException] = attrs.field(init=False, factory=list)
    #: The outcomes of the calls whose callers were cancelled, until they are reported.
    _abandoned: list[futures.Future[BaseException | None]] = attrs.field(init=False, factory=list)
    #: The registrations of `end`, and the function that detaches the other containers from the bus of the first.
    _end_hooks: contextlib.ExitStack = attrs.field(init=False, factory=contextlib.ExitStack)
    _detach: Callable[[], object] = attrs.field(init=False, default=bool)

    def __attrs_post_init__(self) -> None:
        _hosts.add(self)

    @property
    def name(self) -> str:
        """The names of the containers."""
        return ", ".join(type(container).__name__ for container in self.containers)

    @property
    def is_serving(self) -> bool:
        """Whether the application may answer requests."""
        notice()
        bus = self.bus
        return self.has_started and bus is not None and bus.state is State.STARTED and not bus.is_exit_requested

    @property
    def has_async_exit(self) -> bool:
        """Whether the exit needs an event loop: it has async hooks to call, or tasks to end."""
        if self.bus is None:
            return False
        channels = self.bus[STOP], self.bus[EXIT]
        return parts_of(self.bus).event_loop.is_used or any(map(has_async_listeners, channels))

    def start(self, loop: ServerLoop | None = None) -> None:
        """
        Start the bus, in the calling thread, unless it is started; a call during the start waits for its end.

        Args:
            loop: The event loop of the server, which runs in another thread. It runs the async hooks if this call
                starts the bus. Without it the bus creates its own loop for them.

        Raises:
            InvalidContainer: A container has faults, which include `HostFault`; nothing was started.
            TransitionFailures: The start failed; the components that had started were stopped and have exited.
            StartCancelled: `exit` was called meanwhile, or a component requested the exit; raised from the cause.
            NotShared: Other code runs the bus, and it cannot be shared.
            LoopError: The components of the bus were built for another event loop.
            WaitError: The caller is a component that takes part in the start that it would wait for.
            ExceptionGroup: The start failed, and so did the exit after it, or a component had requested the exit.
        """
        notice()
        with self._lock:
            start = self.current_start
            is_first = start is None
            if start is None:
                start = self.current_start = futures.Future()
                self.has_started = self._is_leaving = False
                self._reported.clear()
        if not is_first:
            self._wait_for(start)
            return
        try:
            serving = self._start_or_share(loop)
        except BaseException as error:
            self.current_start = None
            # `SystemExit` must end only the thread that started the bus, not those that wait for it.
            outcome = error if isinstance(error, Exception) else StartCancelled(State.EXITED)
            if outcome is not error:
                outcome.__cause__ = error
            start.set_exception(outcome)
            raise
        self.has_started = True
        if serving is None:
            self.current_start = None
        start.set_result(serving)

    def share(self, loop: ServerLoop) -> bool:
        """
        Return whether other code runs the bus, and share it if so, with requests on *loop*; this starts nothing.

        Raises:
            NotShared: Other code runs the bus without one of the containers.
        """
        notice()
        bus = core_of(self.containers[0]).bus
        if bus is None or bus.state is not State.STARTED:
            return False
        self._share(bus, loop)
        self.has_started = True
        return self.is_serving

    def _start_or_share(self, loop: ServerLoop | None) -> _Serving | None:
        """Start the bus and the thread that serves it; return None if other code has started it, and it is shared."""
        with claim_lock():
            bus = core_of(self.containers[0]).bus
            owner = None if bus is None else parts_of(bus).machine.started_by
            start = owner.current_start if isinstance(owner, Host) and owner is not self else None
            is_claimed = bus is None or (is_free(bus) and (start is None or start.done()))
            if is_claimed:
                bus, start = self._claim(loop), None
        assert bus is not None
        if start is not None:
            self._wait_for(start)
        if is_claimed:
            try:
                parts_of(bus).machine.bring_to(State.STARTED, by=self)
                if parts_of(bus).machine.started_by is self:
                    if self.has_async_exit:
                        # Now, since it cannot be created at the end of the interpreter.
                        parts_of(bus).event_loop.get(f"the exit of {self.name}")
                    doubt = doubt_about_end()
                    if doubt is not None:
                        bus.log(f"{self.name}: {doubt}", WARNING)
                    serving = _Serving()
                    serving.thread = threading.Thread(
                        target=self._serve, args=(serving,), name=f"{self.name} is hosted", daemon=True
                    )
                    start_thread(serving.thread)
                    return serving
            except TransitionError:
                pass  # other code has started it since
            except BaseException as error:
                try:
                    if parts_of(bus).machine.started_by is self:
                        exit_after(bus, error)
                finally:
                    self._release(bus).close()
                raise
            self._end_hooks.close()
        self._share(bus, loop)
        return None

    def _claim(self, loop: ServerLoop | None) -> Bus:
        """Attach the containers to their bus, which this host will start; the caller holds the lock of `claim_lock`."""
        first = self.containers[0]
        was_attached, self._detach = core_of(first).bus is not None, detaching(self.containers)
        with contextlib.ExitStack() as undo:
            undo.callback(self._detach)
            bus = self.bus = attached(self.containers, self.workers, self.limits)
            if not was_attached and not is_free(bus):
                # The container declares a bus that is already running, and was not attached at its start.
                core_of(first).leave(None, was_guest=core_of(first).is_guest)
                raise NotShared(self.name, not_attached(self.containers))
            faults = [fault for container in self.containers for fault in owner_faults(container)]
            if loop is not None:
                faults += [fault for container in self.containers for fault in loop.faults(container)]
            if faults:
                raise InvalidContainer(self.name, faults)
            if loop is not None:
                loop.lend_to(bus, f"the lifespan of {self.name}")
            undo.pop_all()
        parts_of(bus).machine.started_by = self
        self._end_hooks = at_end(self.end)
        return bus

    def _release(self, bus: Bus) -> contextlib.ExitStack:
        """
        Undo `_claim`, unless other code has started *bus* since it exited.

        Returns:
            The registrations of `end`, for the caller to close.
        """
        with claim_lock():
            end_hooks = self._end_hooks.pop_all()
            if parts_of(bus).machine.started_by is self:
                parts_of(bus).machine.started_by = None
                self._detach()
        return end_hooks

    def _share(self, bus: Bus, loop: ServerLoop | None) -> None:
        """Return when *bus*, which other code starts or has started, is STARTED."""
        unattached = [container for container in self.containers if core_of(container).bus is not bus]
        if unattached:
            raise NotShared(self.name, not_attached(unattached))
        current = parts_of(bus).machine.current
        if current is not None and current.goal is State.STARTED:
            check_waiting(bus)
            current.done.wait()
        if bus.state is not State.STARTED:
            raise NotShared(self.name, f"it is {bus.state.name}; try again when it is STARTED or EXITED")
        self.bus = bus
        doubt = None if loop is None else loop.doubt_about(bus)
        if doubt is not None:
            bus.log(f"{self.name}: {doubt}", WARNING)

    def _wait_for(self, start: futures.Future[_Serving | None]) -> None:
        """Wait for *start*, of this host or of another host on the same bus, and raise its exception if it fails."""
        bus = core_of(self.containers[0]).bus
        if bus is not None and not start.done():
            check_waiting(bus)
        start.result()

    def leave(self) -> None:
        """Request the exit of the bus if this host has started it, and do not wait; a start under way is cancelled."""
        notice()
        if self.current_start is not None:
            self._is_leaving = True
            if self.bus is not None and parts_of(self.bus).machine.started_by is self:
                self.bus.request_exit()

    def exit(self) -> None:
        """
        Exit the bus if this host has started it, and wait for that; nothing happens if it has exited.

        Raises:
            BaseException: The exception of `Bus.block`: the failure of the exit, and earlier failures.
        """
        notice()
        with self._lock:
            start = self.current_start
            if start is None:
                return
            self._waiting += 1
        try:
            self.leave()
            # The exception of the start goes to its caller.
            serving = start.result() if start.exception() is None else None
            if serving is not None:
                serving.thread.join()
        finally:
            with self._lock:
                self._waiting -= 1
        if serving is not None and serving.failure is not None:
            raise serving.failure

    def end(self) -> None:
        """Same as `exit`, at the end of the interpreter, where stderr is the only place left to report a failure."""
        notice()
        if self.current_start is not None and self.bus is not None and not _can_start_threads():
            # Without threads, hooks can still be called one by one and without time limits.
            self.bus.workers, self.bus.limits = 1, Limits()
        try:
            self.exit()
        except BaseException as error:
            self.report_unreceived(error)
        for outcome in self._abandoned.copy():
            # The thread of the call reports it as well, but the process may end before that.
            self.report_unreceived(outcome.result())

    def abandon(self, outcome: futures.Future[BaseException | None]) -> None:
        """
        Report the exception in *outcome*, the result of a `start` or an `exit` whose caller was cancelled.

        The thread of the call reports it at the end of the call. `end` and the end of the interpreter wait for that.
        """

        def report_outcome(_: object = None) -> None:
            if outcome in self._abandoned:  # the thread of the call does not exist in a child process
                self.report_unreceived(outcome.result())

        end_hooks = at_end(report_outcome)
        self._abandoned.append(outcome)
        outcome.add_done_callback(report_outcome)
        outcome.add_done_callback(self._abandoned.remove)
        outcome.add_done_callback(lambda _: end_hooks.close())

    def report_unreceived(self, error: BaseException | None) -> None:
        """
        Report a failure that no caller receives, unless it was reported before.

        When this returns, the report is written, also if another thread writes it. A start that an exit of this host has
        cancelled is no failure.
        """
        if error is None or (self._is_leaving and isinstance(error, StartCancelled)):
            return
        with self._lock:
            # A second call may have waited for the same exit: in a lifespan that was cancelled, or by `end`.
            # The lock is held until the error is written: the process may end when this returns.
            if not any(error is reported for reported in self._reported):
                self._reported.append(error)
                report(error)

    def _serve(self, serving: _Serving) -> None:
        bus = self.bus
        assert bus is not None
        problem: BaseException | None = None
        try:
            bus.block()
        except BaseException as error:
            problem = error
        # The end of the interpreter waits for the report below.
        end_hooks = self._release(bus)
        was_requested = self._is_leaving
        if was_requested:
            serving.failure = problem
        with self._lock, end_hooks:
            self.current_start = None
            # A server that has cancelled the lifespan does not wait for the exit.
            is_received = was_requested and self._waiting > 0
            if not is_received:
                self.report_unreceived(problem)
        if not was_requested:
            message = f"{self.name}: the bus has exited by itself; from now on every request is answered with 503"
            print(message, file=sys.stderr, flush=True)
            if self.ended is not None:
                self.ended()

    def reset_in_child(self) -> None:
        """Reset this host in a child process: the started bus belongs to the parent."""
        self._lock = new_reentrant_lock()
        self.current_start = None
        self._reported, self._abandoned = [], []
        self.has_started = self._is_leaving = False
        self._waiting = 0
        self._end_hooks, self._detach = contextlib.ExitStack(), bool


def _can_start_threads() -> bool:
    """Whether the interpreter can start threads; Python 3.12.0 and 3.12.1 cannot at their end."""
    try:
        threading.Thread(target=bool).start()
    except RuntimeError:
        return False
    return True


_hosts: Final[weakref.WeakSet[Host]] = weakref.WeakSet()


def _reset_in_child() -> None:
    for host in list(_hosts):
        host.reset_in_child()


after_fork(_reset_in_child)
