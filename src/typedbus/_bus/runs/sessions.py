"""
The calls of a run, one after another, from its begin to its end: in a thread, or as tasks on an event loop.

A session is never continued after its end: the next begin creates another one. So a thread that was left behind cannot
call the run again, or change the state of the run after a later begin.
"""

from __future__ import annotations

import contextvars
import functools
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Protocol

from typedbus._base.clock import Clock, Inbox
from typedbus._base.sync import simple_queue
from typedbus._bus.hook_worker import raised_by, stack_of_thread
from typedbus._os.exhausted import start_thread

if TYPE_CHECKING:
    from typedbus._base.stopping import Stopping
    from typedbus._bus.asyncio_loop import AsyncioLoop
    from typedbus._bus.loop_call import LoopCall
    from typedbus._bus.partial import PartialRestart


#: The session of the run to which the current context belongs; the tasks that a run creates copy its context.
_session: Final[contextvars.ContextVar[Session | None]] = contextvars.ContextVar("typedbus_session", default=None)


class SessionOwner(Protocol):
    """The run of a session: the session calls the function, and the run decides whether there is a further call."""

    @property
    def name(self) -> str:
        """The name of its threads and tasks."""
        ...

    @property
    def call(self) -> Callable[[Stopping], object]:
        """The function."""
        ...

    @property
    def clock(self) -> Clock:
        """The source of its time."""
        ...

    def own(self, thread: threading.Thread, /) -> None:
        """Let the bus own *thread*, which is about to be started."""

    def loop(self) -> AsyncioLoop:
        """Return the event loop of the bus."""
        ...

    def begins(self, session: Session, /) -> Stopping | None:
        """Called before each call of the function; return its argument, or None if the session is over."""
        ...

    def returned(self, session: Session, error: BaseException | None, /) -> float | None:
        """Called after each call; return the pause before the next one in seconds, or None if the session is over."""
        ...

    def interrupted(self, session: Session, error: BaseException, /) -> None:
        """Called if other code has raised *error*, such as a listener of `LOG`; the session is over."""

    def gives_up(self, session: Session, error: BaseException, /) -> None:
        """Called if the function cannot be called, because of *error*."""


class Session:
    """
    The calls of a run from its begin to its end.

    Args:
        run: The run.
        earlier: The session that was left behind and must end first; None if there is no such session.

    Attributes:
        is_asked: Whether the run was asked to end.
        is_left: Whether it was left behind, because it had not ended in time.
        is_over: Whether it has ended.
        is_awaited: Whether a start waits until the run is ready, and fails with it.
        restart: The restart of the component of the run that a failure has caused.
        stopping: The argument of the current call.
        error: The error with which it ended, before it was asked to.
        late_error: The error with which it ended after it was asked to: a failure of the stop.
        watchers: Inboxes that receive an item when the run becomes ready, and when the session ends.
    """

    def __init__(self, run: SessionOwner, earlier: Session | None) -> None:
        self._run = run
        self._earlier = earlier
        self._inbox: SimpleQueue[None] = simple_queue()
        self._thread: threading.Thread | None = None
        self.is_asked = False
        self.is_left = False
        self.is_over = False
        self.is_awaited = False
        self.restart: PartialRestart | None = None
        self.stopping: Stopping | None = None
        self.error: BaseException | None = None
        self.late_error: BaseException | None = None
        self.watchers: list[Inbox] = []

    @property
    def name(self) -> str:
        """The name of its thread or task."""
        return self._run.name

    @property
    def on(self) -> AsyncioLoop | None:
        """The event loop that runs the current call; None for a thread."""
        return None

    @property
    def was_cancelled(self) -> bool:
        """Whether the current call was cancelled by `cancel`."""
        return False

    @property
    def is_here(self) -> bool:
        """Whether the caller is a part of the run, a transition that it carries out, or the session that must end first."""
        earlier = self._earlier
        is_own = _session.get() is self or self._thread is threading.current_thread()
        return is_own or (earlier is not None and earlier.is_here)

    def begin(self) -> None:
        """Begin the calls."""
        self._start_thread(self._call_all)

    def ask(self) -> None:
        """Ask the run to end; a pause ends at once."""
        self.is_asked = True
        if self.stopping is not None:
            self.stopping.set()
        if self.restart is not None:
            self.restart.withdraw()
        self._inbox.put(None)

    def cancel(self) -> None:
        """Cancel the current call, if it is a task; a thread cannot be cancelled."""

    def stack(self) -> str:
        """Return the stack of the current call, as text; "" if there is none."""
        if self._earlier is not None:
            return self._earlier.stack()
        return "" if self._thread is None else stack_of_thread(self._thread.ident)

    def wake(self) -> None:
        """Wake the watchers."""
        for inbox in tuple(self.watchers):
            inbox.put(None)

    def end(self) -> None:
        """Note that there is no further call."""
        self.is_over = True
        self.wake()

    def _start_thread(self, call: Callable[[], object]) -> None:
        self._thread = threading.Thread(target=call, name=self._run.name, daemon=False)
        self._run.own(self._thread)
        start_thread(self._thread)

    def _call_all(self) -> None:
        _session.set(self)
        try:
            self._await_earlier()
            while (stopping := self._run.begins(self)) is not None:
                if not self._pause_after(raised_by(functools.partial(self._run.call, stopping))):
                    return
        except BaseException as error:
            self._run.interrupted(self, error)
        finally:
            self.end()

    def _pause_after(self, error: BaseException | None) -> bool:
        """Report the outcome of a call to the run, pause, and return whether another call may follow."""
        pause = self._run.returned(self, error)
        del error
        if pause is None:
            return False
        # `ask` ends the pause.
        self._run.clock.wait(self._inbox, pause)
        return True

    def join(self) -> None:
        """Wait until the thread of the session has ended; called after `is_over`, when the thread is about to end."""
        if self._thread is not None and self._thread.ident is not None and not self.is_here:
            self._thread.join()

    def _await_earlier(self) -> None:
        earlier = self._earlier
        if earlier is not None:
            inbox: SimpleQueue[None] = simple_queue()
            earlier.watchers.append(inbox)
            # Even if this session is asked to end: it must not be over before the call that it waits for.
            while not earlier.is_over:
                inbox.get()
            self._earlier = None


class TaskSession(Session):
    """The calls of an async run, each a task on the event loop of the bus; a thread pauses between two of them."""

    def __init__(self, run: SessionOwner, earlier: Session | None) -> None:
        super().__init__(run, earlier)
        self._call: LoopCall | None = None

    @property
    def on(self) -> AsyncioLoop | None:
        return None if self._call is None else self._call.on

    @property
    def was_cancelled(self) -> bool:
        return self._call is not None and self._call.was_cancelled

    def begin(self) -> None:
        if self._earlier is None:
            self._begin_task()
        else:
            self._start_thread(self._begin_after_earlier)

    def cancel(self) -> None:
        if self._call is not None:
            self._call.cancel()

    def stack(self) -> str:
        call = self._call
        if call is None:
            return super().stack()
        # The frames of a task that does not wait, but blocks its loop, are in the thread of the loop.
        return call.stack() or ("" if call.has_ended else call.stack_of_loop())

    def _begin_after_earlier(self) -> None:
        try:
            self._await_earlier()
            self._begin_task()
        except BaseException as error:
            self._run.interrupted(self, error)
            self.end()

    def _begin_task(self) -> None:
        stopping = self._run.begins(self)
        if stopping is None:
            self.end()
            return
        try:
            loop = self._run.loop()
        except Exception as error:
            self._run.gives_up(self, error)
            self.end()
            return
        listener: Callable[[], Any] = functools.partial(self._run.call, stopping)
        context = contextvars.copy_context()
        context.run(_session.set, self)
        self._call = loop.prepare(listener, context, self._run.name, self._returned)
        loop.begin_all([self._call])

    def _returned(self, error: BaseException | None) -> None:
        """Handle the outcome of a task in a new thread; the caller is the thread of the loop, which must not wait."""
        try:
            self._start_thread(functools.partial(self._conclude, error))
        except RuntimeError as no_thread:
            self._run.gives_up(self, error or no_thread)
            self.end()

    def _conclude(self, error: BaseException | None) -> None:
        is_over = True
        try:
            if self._pause_after(error):
                is_over = False
                self._begin_task()
        except BaseException as interrupt:
            is_over = True
            self._run.interrupted(self, interrupt)
        finally:
            if is_over:
                self.end()


def session_of_caller() -> Session | None:
    """Return the session of the run that the caller is a part of; None if it is not a part of a run."""
    return _session.get()
