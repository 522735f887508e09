"""
Notifications to systemd or another service manager.

The protocol is that of sd_notify(3): lines of the form ``NAME=value``, sent as
one datagram to the socket that ``NOTIFY_SOCKET`` names. For this the standard
library is sufficient. A socket is created for each datagram and closed again, so
that none becomes stale by a fork, a change of user or of root directory, or the
replacement of the process. A notification that cannot be sent is logged and does
not stop the service.

Notifications follow the states of the bus. The watchdog notification is sent only
by the main loop: sent by a separate thread it would only show that this thread
runs. It is withheld while a run is silent for too long: a thread that hangs cannot
be ended, but its process can. A restart is reported as a reload, since the service manager expects a service
that reports STOPPING to end, and kills it if it does not.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

import attrs

from typedbus._base.events import ComponentStarting, ComponentStopping, Failed, Moved
from typedbus._base.exports import export
from typedbus._base.run_events import RunEvent
from typedbus._base.states import State
from typedbus._base.sync import new_lock
from typedbus._bus.builtin import (
    COMPONENT_STARTING,
    COMPONENT_STOPPING,
    ERROR,
    FAILED,
    GRACEFUL,
    MAIN,
    MOVED,
    RUNS,
    WARNING,
)
from typedbus._bus.bus import Bus, parts_of
from typedbus._channels.subscriptions import Subscription
from typedbus.plugins._activation import SystemdError, activated, number_in
from typedbus.plugins._run_checks import silence_of, trouble_of

__all__ = ("Systemd", "SystemdError", "activated")

_PATIENCE: Final = 1.0
#: The maximum length of a status with the errors of runs, in characters.
_LONGEST_STATUS: Final = 1000
_HAS_UNIX_SOCKETS: Final = sys.platform != "win32"
#: Priorities before and after those of all listeners of a program.
_FIRST, _LAST = -(2**31), 2**31


@attrs.define(eq=False)
class Systemd:
    """
    Notifies the service manager of the state of the service, for ``Type=notify`` and ``Type=notify-reload``.

    It sends READY when the bus has STARTED, with the pid; RELOADING while `GRACEFUL`
    is published and from a restart on, until READY again; STOPPING when the bus
    begins to exit; a STATUS line for each state, for each component while it starts
    or stops, for the first failure until the next start, and for each run that waits
    to run again or has failed. If a watchdog is configured, the thread in `Bus.block`
    sends WATCHDOG every half of its interval, except while a run has not called
    `Stopping.beat` for longer than `Restart.silent`; the stack of that run is logged.

    It listens from its construction on until the bus has EXITED, at any position
    among the components. Without ``NOTIFY_SOCKET`` it does nothing. If a
    notification cannot be sent within a second, that is reported on `LOG`, once
    until one succeeds, and has no other effect; a notification that is only a STATUS
    is dropped if the manager's buffer is full.

    Args:
        bus: The bus whose states are notified.
        environ: The mapping with ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``.
        clock: Returns the monotonic time in nanoseconds, on the clock that the manager uses.

    An address that is neither a path nor abstract, for example ``vsock:2:1234``, is
    logged as a warning, and no notifications are sent.

    Raises:
        SystemdError: ``WATCHDOG_USEC`` or ``WATCHDOG_PID`` is not a number.
    """

    bus: Bus
    environ: Mapping[str, str] = attrs.field(default=os.environ, kw_only=True)
    clock: Callable[[], int] = attrs.field(default=time.monotonic_ns, kw_only=True)
    _address: str | None = attrs.field(init=False)
    #: Nanoseconds between watchdog notifications, None without a watchdog; and the time of the last notification.
    _interval: int | None = attrs.field(init=False)
    _last_watchdog: int = attrs.field(init=False, default=0)
    _last_stage: str = attrs.field(init=False, default="")
    _has_failed: bool = attrs.field(init=False, default=False)
    _is_unreachable: bool = attrs.field(init=False, default=False)
    #: The paths of the runs for which the last watchdog notification was withheld.
    _silent_paths: tuple[str, ...] = attrs.field(init=False, default=())
    #: The last status of a bus that has STARTED, with its runs.
    _run_status: str = attrs.field(init=False, default="")
    #: Held while that status is determined and sent: the events of runs come from several threads.
    _lock: threading.Lock = attrs.field(init=False, factory=new_lock)
    _subscriptions: list[Subscription] = attrs.field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        self._address = self._supported_address()
        watchdog = number_in(self.environ, "WATCHDOG_USEC", 1)
        self._interval = None if watchdog is None else watchdog * 1000 // 2
        number_in(self.environ, "WATCHDOG_PID", 1)
        if self._address is not None:
            self._subscriptions = [
                self.bus[MOVED].subscribe(self._moved),
                self.bus[COMPONENT_STARTING].subscribe(self._starting),
                self.bus[COMPONENT_STOPPING].subscribe(self._stopping),
                self.bus[FAILED].subscribe(self._failed),
                self.bus[RUNS].subscribe(self._run_changed),
                self.bus[GRACEFUL].subscribe(self._reloading, priority=_FIRST),
                self.bus[GRACEFUL].subscribe(self._reloaded, priority=_LAST),
            ]

    def _supported_address(self) -> str | None:
        """Return the address to notify; log an address of a kind that this system or module does not support."""
        address = self.environ.get("NOTIFY_SOCKET") or None
        if address is None or (address[0] in "/@" and _HAS_UNIX_SOCKETS):
            return address
        reason = (
            "it is neither an absolute path nor an abstract address, @..."
            if _HAS_UNIX_SOCKETS
            else "this system has no Unix sockets"
        )
        self.bus.log(f"the service manager is not notified: NOTIFY_SOCKET={address!r}: {reason}", WARNING)
        return None

    def _moved(self, event: Moved, /) -> None:
        if event.after is State.STARTING:
            self._has_failed = False
        status = "" if self._has_failed else f"STATUS={event.after.name.lower()}"
        match event.after:
            case State.STARTED:
                self._run_status = event.after.name.lower()
                watchdog = number_in(self.environ, "WATCHDOG_PID", 1)
                if self._interval is not None and watchdog in (None, os.getpid()):
                    self._last_watchdog = self.clock()
                    self.bus[MAIN].subscribe(self._send_watchdog)
                self._stage("READY=1", f"MAINPID={os.getpid()}", status)
            case State.STOPPING | State.EXITING:
                self.bus[MAIN].unsubscribe(self._send_watchdog)
                current = parts_of(self.bus).machine.current
                if current is None or current.goal is not State.EXITED:
                    self._notify(status)
                elif self.bus.is_restarting:
                    # The process will be replaced, unless an exit is requested meanwhile.
                    self._stage("RELOADING=1", self._now(), "STATUS=restarting")
                else:
                    self._stage("STOPPING=1", status)
            case State.EXITED:
                for subscription in self._subscriptions:
                    subscription.cancel()
            case State.STARTING | State.STOPPED:
                self._notify(status)

    # A restart of some components leaves the bus STARTED; the status then names the run that has failed.

    def _starting(self, event: ComponentStarting, /) -> None:
        if self.bus.state is not State.STARTED:
            self._notify(f"STATUS=starting {event.path}")

    def _stopping(self, event: ComponentStopping, /) -> None:
        if not self._has_failed and self.bus.state is not State.STARTED:
            self._notify(f"STATUS=stopping {event.path}")

    def _failed(self, event: Failed, /) -> None:
        if not self._has_failed and self.bus.state is not State.STARTED:
            self._has_failed = True
            self._notify(f"STATUS=failed {event.path} in {event.hook}: {event.error!r}")

    def _run_changed(self, event: RunEvent, /) -> None:
        with self._lock:
            if self.bus.state is not State.STARTED:
                return
            before, self._run_status = self._run_status, self._status()
            # The status stays the same if a run begins as expected.
            if self._run_status != before:
                self._notify(f"STATUS={self._run_status}")

    def _status(self) -> str:
        """Return the status of a bus that has STARTED, with the runs that do not work."""
        now = self.bus.clock.now()
        troubles = {record.path: trouble_of(record, now) for record in self.bus.runs.values()}
        status = "; ".join(["started", *(f"{path}: {trouble}" for path, trouble in troubles.items() if trouble)])
        # A datagram that is too long is not sent, and READY may be in the same one.
        return status if len(status) <= _LONGEST_STATUS else f"{status[:_LONGEST_STATUS]}..."

    def _reloading(self) -> None:
        if self.bus.state is State.STARTED:
            self._stage("RELOADING=1", self._now(), "STATUS=reloading")

    def _reloaded(self) -> None:
        if self.bus.state is State.STARTED:
            self._stage("READY=1", f"STATUS={self._status()}")

    def _send_watchdog(self) -> None:
        now = self.clock()
        if self._interval is None or now - self._last_watchdog < self._interval:
            return
        silent = [record for record in self.bus.runs.values() if record.is_silent]
        for record in silent:
            if record.path not in self._silent_paths:
                self.bus.log(
                    f"systemd receives no watchdog notification: run {record.path}: {silence_of(record)}", ERROR
                )
        self._silent_paths = tuple(record.path for record in silent)
        if not silent:
            self._last_watchdog = now
            self._notify("WATCHDOG=1")

    def _now(self) -> str:
        return f"MONOTONIC_USEC={self.clock() // 1000}"

    def _stage(self, stage: str, *others: str) -> None:
        """Notify a stage of the service, with *others*; if it is the current stage already, only the status."""
        if stage == self._last_stage:
            self._notify(others[-1])
        else:
            self._last_stage = stage
            self._notify(stage, *others)

    def _notify(self, *assignments: str) -> None:
        assert self._address is not None
        # Each line is an assignment: line breaks in the text of a component must not add another.
        lines = [" ".join(assignment.split()) for assignment in assignments if assignment]
        if not lines:
            return
        message = "\n".join(lines).encode("utf-8", "backslashreplace")
        # A slow manager must not block the bus for a STATUS, which the next one replaces anyway.
        is_status = message.startswith(b"STATUS=")
        try:
            _send(self._address, message, 0.0 if is_status else _PATIENCE)
        except OSError as error:
            if is_status and isinstance(error, BlockingIOError):
                return
            if not self._is_unreachable:
                self._is_unreachable = True
                self.bus.log(f"cannot send {message.decode()!r} to systemd at {self._address}: {error}", WARNING)
        else:
            self._is_unreachable = False


def _send(address: str, message: bytes, patience: float) -> None:
    if sys.platform != "win32":
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(patience)
            sender.sendto(message, f"\0{address[1:]}" if address[0] == "@" else address)


export(globals())
