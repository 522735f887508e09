"""
`run`: runs a container as the program of a process.

Apart from components that a site declares, only this package changes the process:
its signals, its standard error, its exit status, and its replacement at a restart.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Final, NoReturn

import attrs

from typedbus._base.errors import (
    NotMainThread,
    OperatorError,
    RestartError,
    StartCancelled,
    StillRunning,
    TransitionError,
)
from typedbus._base.events import Moved
from typedbus._base.limits import Limits
from typedbus._base.run_errors import RunFailed
from typedbus._base.states import State
from typedbus._bus.builtin import MOVED, WARNING
from typedbus._bus.bus import Bus, parts_of
from typedbus._container.attachment import container_of, sharing
from typedbus._container.container import Container
from typedbus._container.faults import InvalidContainer
from typedbus._os import kept_sockets as kept_sockets  # adopts sockets, also those no server claims
from typedbus._os import pidfiles
from typedbus._os.children import settle
from typedbus._os.held_signals import ENDING, deliver, hold_caught, hold_ending, release
from typedbus._os.reexec import Image
from typedbus._os.streams import open_missing
from typedbus._os.successor import drop_kept
from typedbus.plugins import _restart_report
from typedbus.plugins._signal_actions import DEFAULTS, Action
from typedbus.plugins._signal_handlers import SignalHandlers
from typedbus.plugins._signal_state import SignalOutput
from typedbus.process._guard import Guard
from typedbus.process._messages import Messages

if TYPE_CHECKING:
    import asyncio

OK: Final = 0
NOT_STARTED: Final = 1
SOFTWARE: Final = 70  # EX_SOFTWARE of sysexits.h
# In a program that declares no `Signals`, only the signals that request the exit get handlers.
_ACTIONS: Final = {number: action if action is Action.EXIT else None for number, action in DEFAULTS.items()}


def run(
    container: Container | type[Container],
    /,
    *others: Container | type[Container],
    workers: int | None = None,
    limits: Limits | None = None,
    tracebacks: bool = False,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> int:
    """
    Start *container* and *others*, or instances of them, serve until their bus exits, and return the exit status.

    ``raise SystemExit(run(Shop))`` is a complete program. Several containers
    share the bus of the first, and are detached at the end. Life-cycle events and
    messages on `LOG` are written to stderr as they happen. SIGINT and SIGTERM
    request the exit, which also cancels a start; a second signal forces it: the
    process ends at once with 128 + the signal's number, and prints the stack of
    every thread. A thread that the bus owns and that does not end has the same
    effect, with status 70. The previous signal handlers are restored. A declared
    `typedbus.plugins.signals.Signals` takes over in between. `Bus.restart`
    replaces the process by the same command line, in the original working
    directory, once the bus has exited. Closed standard streams are opened on the
    null device before any component is constructed.

    Errors are printed on stderr with their tracebacks; for an `OperatorError`,
    such as a port in use, only the text is printed.

    Args:
        container: The container that declares the bus.
        others: Containers that share this bus.
        workers: How many components may start, or stop, concurrently; by default the setting of the bus.
        limits: How long hooks, a start and a stop may take; by default the setting of the bus.
        tracebacks: Print the tracebacks of operator errors as well.
        loop_factory: Creates the event loop of async hooks, for example `uvloop.new_event_loop`; by default the setting
            of the bus. It is called in the main thread, at the first async hook. The loop runs in a thread that has the
            name of the container.

    Returns:
        0 after an orderly run; 1 if the container is invalid or did not start;
        70 if anything failed later, such as a run that is not called again; or the status that a listener passed to
        `sys.exit`.

    Raises:
        NotMainThread: The caller is not the main thread.
        NoContainer: An argument is neither a container nor a container class.
        LimitError: *workers* is not a whole number from 1 up.
        LoopError: *loop_factory* cannot be called.
    """
    return serve(
        (container, *others),
        messages=Messages(),
        workers=workers,
        limits=limits,
        tracebacks=tracebacks,
        loop_factory=loop_factory,
    )


def serve(
    containers: Sequence[Container | type[Container]],
    *,
    messages: Messages,
    workers: int | None = None,
    limits: Limits | None = None,
    tracebacks: bool = False,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> int:
    """Same as `run`, with its output written through *messages*."""
    if threading.current_thread() is not threading.main_thread():
        raise NotMainThread
    # Before a component opens a file, which would get the number of a closed stream.
    open_missing()
    instances = [container_of(container) for container in containers]
    with contextlib.ExitStack() as resources:
        resources.callback(deliver)
        # A restart that was refused at the last moment, or replaced by an exit, has kept PID files and sockets.
        resources.callback(drop_kept)
        try:
            bus = resources.enter_context(sharing(instances, workers, limits))
        except InvalidContainer as invalid:
            messages.error(str(invalid))
            return NOT_STARTED
        if loop_factory is not None:
            bus.loop_factory = loop_factory
        return _serve(bus, messages, tracebacks=tracebacks)


def _serve(bus: Bus, messages: Messages, *, tracebacks: bool) -> int:
    """Start *bus*, serve until it exits, and return the exit status."""
    status = OK
    failures: list[BaseException] = []
    with contextlib.ExitStack() as resources:
        console = resources.enter_context(messages.console(bus))
        is_replaced = bus.replacement is None
        output = SignalOutput(lambda: console.restoring, messages.signal, messages.end if messages.has_stacks else None)
        handlers = SignalHandlers(bus, _ACTIONS, output=output, is_replaced=is_replaced)
        handlers.install()
        resources.callback(handlers.restore)
        guard = Guard(handlers)
        guard.start()
        resources.callback(guard.stop)
        if is_replaced:
            bus.replacement = _Replacement(bus, Image(), resources.close, messages, tracebacks)
            resources.callback(setattr, bus, "replacement", None)
        resources.callback(bus[MOVED].subscribe(_drop_unclaimed).cancel)
        _restart_report.report_start(bus)
        try:
            bus.start()
        except TransitionError as error:
            # Other code runs the bus, and will exit it.
            return _report(error, NOT_STARTED, messages, tracebacks=tracebacks)
        except StartCancelled:
            parts_of(bus).main_loop.end()
        except Exception as error:
            failures.append(error)
            status = _report(error, NOT_STARTED, messages, tracebacks=tracebacks)
            # A restart may have been requested, which this must not undo.
            parts_of(bus).main_loop.end()
        except BaseException as error:
            failures.append(error)
            status = _report(error, NOT_STARTED, messages, tracebacks=tracebacks)
            bus.request_exit()
        deliver()
        try:
            bus.block()
        except BaseException as error:
            failures.append(error)
            status = _report(error, status or SOFTWARE, messages, tracebacks=tracebacks)
            if any(isinstance(member, StillRunning) for member in _members(error)):
                # An interpreter that ends joins every thread, and would hang as well.
                drop_kept()
                console.conclude(failures)
                _end(status)
        finally:
            release()
        console.conclude(failures)
    return status


def _drop_unclaimed(event: Moved, /) -> None:
    """After a start, drop PID files and sockets from before a restart that this program does not declare."""
    if event.after is State.STARTED:
        drop_kept()
        for file in pidfiles.held:
            # Privileges may have been dropped, and commands of the new user must be able to connect.
            file.follow_user()


@attrs.frozen(eq=False)
class _Replacement:
    """Replaces the process of `run` by the same program when its bus restarts, after everything is released."""

    bus: Bus
    image: Image
    release_resources: Callable[[], None]
    messages: Messages
    tracebacks: bool

    def problem(self) -> str | None:
        """Return why the process cannot be replaced now, or None."""
        return self.image.problem()

    def replace(self, failure: BaseException | None, /) -> None:
        """
        Print *failure*, restore the terminal and the signal handlers, and replace the process.

        It returns if an exit was requested meanwhile, and raises `SystemExit` if there was a failure as well.
        """
        hold_caught()
        if failure is not None:
            _report(failure, SOFTWARE, self.messages, tracebacks=self.tracebacks)
        for pid, command in settle().items():
            self.bus.log(
                f"child process {pid} still runs and stays a child of the restarted program: {command}", WARNING
            )
        with _ending_blocked():
            self.release_resources()
            # From here on a signal ends the process by its default action; a signal caught earlier must end it, too.
            is_exit_requested = parts_of(self.bus).requests.exit_in >= 0
        if not is_exit_requested:
            try:
                self.image.replace()
            except RestartError as error:
                _restart_report.report(f"REFUSED={error}")
                raise
        elif failure is not None:
            raise SystemExit(SOFTWARE)


@contextlib.contextmanager
def _ending_blocked() -> Generator[None]:
    """Block SIGTERM and SIGINT while their handlers change; permanently in the first process of a PID namespace."""
    if sys.platform == "win32":
        yield
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        if os.getpid() == 1:
            hold_ending()
        else:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _members(error: BaseException) -> tuple[BaseException, ...]:
    """Return the members of a group that `Bus.block` raised, or *error* itself."""
    return error.exceptions if type(error) in (BaseExceptionGroup, ExceptionGroup) else (error,)  # type: ignore[attr-defined]  # groups have exceptions


def _report(error: BaseException, status: int, messages: Messages, *, tracebacks: bool) -> int:
    """Print *error* on stderr, and return the exit status: *status*, unless the error is a `SystemExit`."""
    for member in reversed(_members(error)):
        if not isinstance(member, SystemExit):
            texts = None if tracebacks else _texts_of(member)
            if texts is None:
                messages.failure(member)
            else:
                for text in texts:
                    messages.error(text)
            continue
        if member.__cause__ is not None:
            messages.failure(member.__cause__)
        if isinstance(member.code, int):
            status = member.code
        elif member.code is None:
            status = OK
        else:
            messages.farewell(str(member.code))
            status = NOT_STARTED
    return status


def _texts_of(error: BaseException) -> list[str] | None:
    """Return the texts of the operator errors in *error*, or None if it contains any other error."""
    if isinstance(error, OperatorError):
        return [str(error)]
    if isinstance(error, RunFailed) and error.__cause__ is not None:
        texts = _texts_of(error.__cause__)
        return texts and [f"run {error.path} failed: {text}" for text in texts]
    if not isinstance(error, BaseExceptionGroup):
        return None
    texts = []
    for member in error.exceptions:
        texts_of_member = _texts_of(member)
        if texts_of_member is None:
            return None
        texts += texts_of_member
    return texts


def _end(status: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)
