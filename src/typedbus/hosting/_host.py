"""
One container in the process of a host: started once, served by one thread, and exited once.

`Bus.block` is what carries out requests and ticks, and no thread of the host's
can be had for it. So a thread of our own blocks, from the start to the exit. It
is a daemon thread: an interpreter that ends joins all others before it calls the
functions of `atexit`, of which ours is the one that asks for the exit.

The start is carried out in the thread that asks for it, and not in that one: a
host may ask while it imports the application, and would then wait, with the lock
of that import, for a thread whose components import it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Final

import attrs

from typedbus._bus import Bus
from typedbus._container import Container
from typedbus._errors import StartCancelled
from typedbus._faults import Fault, InvalidContainer
from typedbus._registry import WARNING
from typedbus._running import container_of, exit_after, sharing
from typedbus._states import State
from typedbus._turns import Limits
from typedbus._validation import class_of
from typedbus.hosting._ending import at_end, doubt_about_end

#: What a process has once, and its owner alone. Known by name: who declares none imports none.
_OWNERS: Final = {
    "typedbus.plugins.autoreload.Autoreload": "replaces the process",
    "typedbus.plugins.daemon.Daemon": "forks the process",
    "typedbus.plugins.pidfile.PIDFile": "names the process",
    "typedbus.plugins.privileges.Privileges": "changes whose the process is",
    "typedbus.plugins.signals.Signals": "catches the signals of the process",
}


class HostFault(Fault):
    """A hosted container declares what only the owner of a process may have."""

    def __init__(self, path: str, place: str, cls: str, does: str) -> None:
        super().__init__(
            path,
            place,
            f"it is a {cls}, which {does}, and the process is that of the server",
            "leave it to the server; declare it in a container that run() runs, or enable it for that alone",
        )
        self.args: tuple[object, ...] = (path, place, cls, does)


class NotHosted(RuntimeError):
    """
    Raised for a request that comes when nobody has started the bus.

    Attributes:
        containers: Their names.
    """

    def __init__(self, containers: str) -> None:
        super().__init__(containers)
        self.containers = containers

    def __str__(self) -> str:
        return (
            f"a request came and {self.containers} was never started: the server has not gone through the lifespan; "
            "have it do so, as uvicorn does with --lifespan on, and mount the Hosted nowhere but at the top"
        )


def _instances(containers: Sequence[Container | type[Container]]) -> list[Container]:
    return [container_of(one) for one in containers]


@attrs.define(eq=False)
class Host:
    """
    The containers of one `Hosted`, and where they stand; every method may be called from any thread.

    Args:
        containers: Or their classes; the first of them has the bus.
        workers: As of `running`.
        limits: As of `running`.
        ended: Called when the bus has exited without having been asked to from here.
    """

    containers: Sequence[Container] = attrs.field(converter=_instances)
    workers: int | None
    limits: Limits | None
    ended: Callable[[], object] | None
    bus: Bus | None = attrs.field(init=False, default=None)
    #: Whether it was there and is no more.
    is_over: bool = attrs.field(init=False, default=False)
    _lock: threading.Lock = attrs.field(init=False, factory=threading.Lock)
    #: The start that was made, or is being made; none before it, nor after it has failed or the bus has exited.
    _start: futures.Future[None] | None = attrs.field(init=False, default=None)
    _thread: threading.Thread | None = attrs.field(init=False, default=None)
    _is_leaving: bool = attrs.field(init=False, default=False)
    _problem: BaseException | None = attrs.field(init=False, default=None)
    #: Lets the other containers leave the bus of the first.
    _shared: contextlib.ExitStack = attrs.field(init=False, factory=contextlib.ExitStack)

    #: The registrations of `end`.
    _ends: contextlib.ExitStack = attrs.field(init=False, factory=contextlib.ExitStack)

    def __attrs_post_init__(self) -> None:
        _hosts.add(self)

    @property
    def name(self) -> str:
        """The names of the containers."""
        return ", ".join(type(container).__name__ for container in self.containers)

    @property
    def is_serving(self) -> bool:
        """Whether requests may come."""
        bus = self.bus
        return bus is not None and self._thread is not None and bus.state is State.STARTED and not bus._exit_requested

    def start(self) -> None:
        """
        Start the bus, in the calling thread, unless it is started; who comes meanwhile waits for that.

        Raises:
            InvalidContainer: With every fault, `HostFault` among them; nothing was started.
            TransitionFailures: The bus did not start; what had started was stopped, and has exited.
            StartCancelled: `exit` was called meanwhile, or a component requested the exit; raised from the cause.
            ExceptionGroup: The start failed, and so did the exit after it, or a component had requested the exit.
        """
        with self._lock:
            start = self._start
            is_ours = start is None
            if start is None:
                start = self._start = futures.Future()
                self.is_over = self._is_leaving = False
        if not is_ours:
            start.result()
            return
        try:
            self._bring_up()
        except BaseException as error:
            self._start = None
            # `SystemExit` must end only the thread that started the bus, not those that wait for it.
            outcome = error if isinstance(error, Exception) else StartCancelled(State.EXITED)
            if outcome is not error:
                outcome.__cause__ = error
            start.set_exception(outcome)
            raise
        self._thread = threading.Thread(target=self._serve, name=f"{self.name} is hosted", daemon=True)
        self._thread.start()
        start.set_result(None)

    def _bring_up(self) -> None:
        with contextlib.ExitStack() as shared:
            bus = self.bus = shared.enter_context(sharing(self.containers, self.workers, self.limits))
            refused = [fault for container in self.containers for fault in _refused(container)]
            if refused:
                raise InvalidContainer(self.name, refused)
            self._ends = at_end(self.end)
            try:
                bus.start()
                doubt = doubt_about_end()
                if doubt is not None:
                    bus.log(f"{self.name}: {doubt}", WARNING)
            except BaseException as error:
                self._ends.close()
                exit_after(bus, error)
                raise
            self._shared = shared.pop_all()

    def leave(self) -> None:
        """Ask for the exit if there is something to exit, and do not wait: a start that is under way is broken off."""
        if self._start is not None:
            self._is_leaving = True
            if self.bus is not None:
                self.bus.request_exit()

    def exit(self) -> None:
        """
        Exit the bus and wait for that; nothing happens if it was not started, or has exited.

        Raises:
            BaseException: What `Bus.block` raises: how the exit failed, and what was wrong before.
        """
        start = self._start
        if start is None:
            return
        self.leave()
        # However it ends: whoever began it is told.
        futures.wait([start])
        thread = self._thread
        if thread is not None:
            thread.join()
        problem, self._problem = self._problem, None
        if problem is not None:
            raise problem

    def end(self) -> None:
        """Same as `exit`, at the end of the interpreter, where nobody else is left to tell what failed."""
        if self.bus is not None and not _can_start_threads():
            # Then hooks have to be called one by one, and as long as they like, rather than not at all.
            self.bus.workers, self.bus.limits = 1, Limits()
        try:
            self.exit()
        except BaseException as error:
            tell(error)

    def _serve(self) -> None:
        assert self.bus is not None
        problem: BaseException | None = None
        try:
            self.bus.block()
        except BaseException as error:
            problem = error
        self._shared.close()
        self._ends.close()
        was_asked = self._is_leaving
        if was_asked:
            self._problem = problem
        else:
            if problem is not None:
                tell(problem)
            told = f"{self.name}: the bus has exited by itself, and every request from here on is answered with 503"
            print(told, file=sys.stderr, flush=True)
        with self._lock:
            self._start, self.is_over = None, True
        if not was_asked and self.ended is not None:
            self.ended()

    def forget(self) -> None:
        """Begin anew, in a child process: what was started is the parent's."""
        self._lock = threading.Lock()
        self._start = self._thread = self._problem = None
        self.is_over = self._is_leaving = False


def _refused(container: Container) -> list[Fault]:
    """Return a fault for each component of *container* that takes part and is not for a process of somebody else's."""
    return [
        HostFault(component.path, component.place, name, does)
        for component in container._live()[0]
        for name, does in _owners(class_of(component) or object)
        if component.is_enabled()
    ]


def _owners(cls: type) -> list[tuple[str, str]]:
    """Return what of the owners *cls* is, or inherits from."""
    known = ((base.__name__, _OWNERS.get(f"{base.__module__}.{base.__qualname__}")) for base in cls.__mro__)
    return [(name, does) for name, does in known if does is not None]


def _can_start_threads() -> bool:
    """Whether the interpreter still does; at its end Python 3.12.0 and 3.12.1 do not."""
    try:
        threading.Thread(target=bool).start()
    except RuntimeError:
        return False
    return True


def reason(error: BaseException) -> str:
    """Return what to tell of *error*: every fault of a container, or where it was raised."""
    if isinstance(error, InvalidContainer):
        return f"error: {error}"
    return "".join(traceback.format_exception(error)).rstrip()


def tell(error: BaseException) -> None:
    """Write *error* to the standard error of the host, which keeps that with its own log."""
    print(reason(error), file=sys.stderr, flush=True)


_hosts: Final[weakref.WeakSet[Host]] = weakref.WeakSet()


def _forget() -> None:
    for host in list(_hosts):
        host.forget()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forget)
