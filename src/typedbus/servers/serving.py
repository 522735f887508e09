"""
Servers as components: a contract for servers, and the component that runs any server that fulfils it.

A server runs in a thread, reports when it accepts, and is asked to stop. This
module has everything that servers have in common: the thread that starts the bus
binds the socket; the start returns when the server accepts, or raises the error
that prevented it; a server that ends without being asked exits the bus in order,
with its error as the cause; and a stop drains. Nothing is polled: the server's own
thread reports its readiness, its failure and its end.

The thread is a daemon thread. The bus owns it and `block` waits for it, but if the
main thread dies of another error, the server does not keep the process alive.
"""

from __future__ import annotations

import logging
import socket
import threading
from abc import ABC, abstractmethod
from typing import Final

import attrs

from typedbus._base.errors import StartCancelled
from typedbus._base.events import Moved
from typedbus._base.exports import export
from typedbus._base.failures import traceback_of
from typedbus._base.states import State
from typedbus._bus.builtin import MOVED, START
from typedbus._bus.bus import Bus
from typedbus._bus.hook_worker import stack_of_thread
from typedbus._channels.marks import on
from typedbus._os.exhausted import OutOfDescriptors, OutOfThreads, start_thread, with_limit
from typedbus.servers._arguments import SettingError, check_bind, check_mode, check_seconds
from typedbus.servers._binding import BindError, Listening, listen
from typedbus.servers._contract import NoServer, Serves
from typedbus.servers._serving_errors import NotServing, NotStopped, ServerCancelled, ServerEnded
from typedbus.servers._start_outcome import StartOutcome

__all__ = (
    "BindError",
    "NoServer",
    "NotServing",
    "NotStopped",
    "OutOfDescriptors",
    "OutOfThreads",
    "Server",
    "ServerCancelled",
    "ServerEnded",
    "Serves",
    "Serving",
    "SettingError",
)

PRIORITY: Final = 75
#: How long a server may take to cut off the requests that did not end during the drain, in seconds.
CUTTING: Final = 5.0


@attrs.define(eq=False)
class _Run:
    """One run of a server, from a start to the stop; shared by its thread and the thread that starts or stops it."""

    server: Serves
    listening: Listening
    outcome: StartOutcome
    thread: threading.Thread | None = None
    #: The identifier of the thread that accepts: `thread`, or the thread of the event loop that the server shares.
    accepting_thread: int | None = None
    is_ready: bool = False
    is_stopping: bool = False
    #: How many requests were cut off at the end of the drain.
    cut_off: int = 0
    error: BaseException | None = None

    def report_ready(self) -> None:
        """Let the start return; the server calls this in the thread that accepts."""
        self.accepting_thread = threading.get_ident()
        self.is_ready = True
        self.outcome.put(None)


@attrs.define(eq=False)
class Serving(ABC):
    """
    Base class of server components; `Server`, `WSGIServer` and `ASGIServer` define which server runs.

    It starts at priority 75, after the components at the default priority, and stops before them.
    A bus may start and stop it any number of times. Its methods may be called from any thread.

    Args:
        bus: The bus for log messages, and for the exit if the server dies.
        bind: Where to listen: ``host:port``, ``:port`` for every interface, ``[::1]:port``,
            ``unix:/path``, or a stream socket that is bound. Port 0 means any free port.
        drain: How long a stop waits for requests that have begun, in seconds.
        mode: The permissions of a socket's file, for example 0o660; the umask decides if None.

    Raises:
        SettingError: One of the arguments could never work.
    """

    bus: Bus
    bind: str | socket.socket = attrs.field(default="127.0.0.1:8080", validator=check_bind, kw_only=True)
    drain: float = attrs.field(default=10.0, validator=check_seconds, kw_only=True)
    mode: int | None = attrs.field(default=None, validator=check_mode, kw_only=True)
    _run: _Run | None = attrs.field(default=None, init=False, repr=False)
    #: The result for which the current start waits: None when the server accepts, or the error that prevents it.
    _outcome: StartOutcome | None = attrs.field(default=None, init=False, repr=False)

    @abstractmethod
    def server(self) -> Serves:
        """Return the server to run from the next start to the stop."""

    @property
    def address(self) -> str:
        """
        The address in the form of *bind*, with the actual port; `http.client.HTTPConnection` accepts this form.

        Raises:
            NotServing: The server does not run.
        """
        run = self._run
        if run is None:
            raise NotServing
        return run.listening.where

    @on(START, priority=PRIORITY)
    def start(self) -> None:
        """
        Bind, and return when the server accepts; does nothing if it already does.

        If the start of the bus is cancelled, by a stop, an exit or a signal, it stops waiting: the server is asked
        to end within 5 s, which cancels a lifespan that has not started up.

        Raises:
            BindError: The operating system does not let it listen there.
            OutOfThreads: The system starts no further thread; those that were started have ended.
            OutOfDescriptors: The system opens no further socket.
            StartCancelled: The start of the bus was cancelled before the server was ready.
            BaseException: The exception of the server before it was ready; `ServerEnded` if it only returned.
        """
        if self._run is not None:
            return
        # Before any call that takes time, so that the start can be cancelled from here on.
        outcome = self._outcome = StartOutcome(self.bus)
        listening = listen(self.bind, self.mode)
        try:
            run = self._run = _Run(self.server(), listening, outcome)
        except BaseException:
            listening.close()
            raise
        run.thread = threading.Thread(target=self._serve, args=[run], name=f"server {run.listening.where}", daemon=True)
        self.bus.own(run.thread)
        try:
            start_thread(run.thread)
            problem = outcome.get(cancel=lambda: outcome.put(StartCancelled(State.STOPPED)))
        except BaseException as interrupt:
            problem = interrupt
        self._outcome = None
        if problem is not None:
            outcome.pass_on(lambda error: self._log_late(run, error))
            self._run = None
            run.is_stopping = True
            self._keep(run)
            run.server.drain(0.0)
            if run.thread.ident is None:
                listening.close()
            else:
                run.thread.join(CUTTING)
            try:
                raise problem
            finally:
                del problem
        self.bus.log(f"serving on {run.listening.where}")

    def _log_late(self, run: _Run, error: BaseException) -> None:
        """Log the failure of a server for which the start no longer waits, unless the end of the start has caused it."""
        if not isinstance(error, (StartCancelled, NotServing, ServerCancelled)):
            self.bus.log(
                f"the server on {run.listening.where} failed after its start was given up:\n{traceback_of(error)}",
                logging.ERROR,
            )

    @on(MOVED)
    def give_up(self, moved: Moved) -> None:
        """End a start that still waits for the server after the bus has abandoned it."""
        outcome = self._outcome
        if moved.after is State.STOPPING and outcome is not None:
            outcome.put(NotServing())

    def stop(self) -> None:
        """
        Drain, and return when the server has ended; does nothing if it does not serve.

        New clients are refused; if the system does not allow that, a warning is logged
        on `LOG`. If the process restarts and could not bind the same address again,
        the socket stays open instead, and new clients wait for the restarted program.
        Requests that have begun, or whose connections wait to be accepted, are answered
        until *drain* is over. The number of requests that are cut off then is logged.

        Raises:
            NotStopped: The server's thread has not ended 5 s later.
            BaseException: The exception of the server during the stop.
        """
        run, self._run = self._run, None
        if run is None:
            return
        assert run.thread is not None
        run.is_stopping = True
        if not self._keep(run):
            self._refuse(run)
        run.server.drain(self.drain)
        run.thread.join(self.drain + CUTTING)
        if run.thread.is_alive():
            stack = stack_of_thread(run.accepting_thread)
            raise NotStopped(run.listening.where, self.drain + CUTTING, stack)
        if run.cut_off:
            self.bus.log(
                f"{run.cut_off} request(s) on {run.listening.where} cut off after {self.drain:g} s of draining",
                logging.WARNING,
            )
        if run.error is not None:
            raise run.error

    def exit(self) -> None:
        """Same as `stop`."""
        self.stop()

    def _keep(self, run: _Run) -> bool:
        """Keep the socket for the restarted program if the process restarts and could not bind it again."""
        is_kept = self.bus.is_restarting and run.listening.keep()
        if is_kept:
            self.bus.log(f"{run.listening.where} stays open for the restarted program, which could not bind it again")
        return is_kept

    def _refuse(self, run: _Run) -> None:
        try:
            obstacle = run.listening.refuse()
        except OSError as error:
            self.bus.log(f"cannot remove the socket file of {run.listening.where}: {error}", logging.WARNING)
        else:
            if obstacle is not None:
                self.bus.log(
                    f"the system lets new clients connect to {run.listening.where} during the drain, and the last of "
                    f"them may be reset: {obstacle}",
                    logging.WARNING,
                )

    def _serve(self, run: _Run) -> None:
        try:
            run.cut_off = run.server.serve(run.listening.socket, run.report_ready)
            if not run.is_stopping:
                raise ServerEnded(run.listening.where)  # noqa: TRY301  # treated like an exception of the server
        except BaseException as failure:
            error = with_limit(failure)
            if not run.is_ready:
                run.outcome.put(error)
            elif run.is_stopping:
                run.error = error
            else:
                self.bus.log(f"the server on {run.listening.where} has died: {error!r}", logging.ERROR)
                self.bus.request_exit(error)
        finally:
            if not run.is_ready:
                # It was stopped before it was ready: the start must stop waiting.
                run.outcome.put(NotServing())
            try:
                run.listening.close()
            except OSError as error:
                self.bus.log(f"cannot remove the socket file of {run.listening.where}: {error}", logging.WARNING)


# Subclasses in other modules inherit the annotations of the fields, whose names those modules need not have.
attrs.resolve_types(Serving)


@attrs.define(eq=False)
class Server(Serving):
    """
    Any object that fulfils the contract `Serves`, as a component.

    Args:
        bus: See `Serving`, as for the other arguments.
        serves: The server; the same object for every start.
    """

    serves: Serves

    def server(self) -> Serves:
        """Return the given server."""
        return self.serves


export(globals())
