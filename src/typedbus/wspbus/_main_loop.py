"""The steps of `Bus.block`: wait for the exit, join the threads, and raise the failures or replace the process."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Final

from typedbus._base.failures import ChannelFailures as TypedFailures
from typedbus._base.failures import TransitionFailures, chain_failure
from typedbus.wspbus._states import ChannelFailures, states

if TYPE_CHECKING:
    from typedbus.wspbus._bus import Bus

_SHORTEST_INTERVAL: Final = 0.001  # seconds


def block_until_exit(bus: Bus, interval: float, *, by_wait: bool) -> list[BaseException]:
    """
    Block until *bus* has exited, and return the exceptions that were raised meanwhile.

    Args:
        bus: The bus.
        interval: Seconds between two publishes on ``main``.
        by_wait: Whether to block in the bus's own `wait`, and not in the typed bus.
    """
    blocking_thread = threading.get_ident()

    def log_interrupt(error: BaseException) -> None:
        if threading.get_ident() == blocking_thread:
            if isinstance(error, KeyboardInterrupt):
                bus.log("Keyboard Interrupt: shutting down bus")
            elif isinstance(error, SystemExit):
                bus.log("SystemExit raised: shutting down bus")

    if by_wait:
        try:
            bus.wait(states.EXITING, interval=interval, channel="main")
        except BaseException as error:
            log_interrupt(error)
            bus.exit()
            return [error]
        return []
    bus.policy.on_interrupt = log_interrupt
    try:
        bus.typed.block(interval=max(interval, _SHORTEST_INTERVAL))
    except BaseException as error:
        is_group = type(error) in (BaseExceptionGroup, ExceptionGroup)
        return list(error.exceptions) if is_group else [error]  # type: ignore[attr-defined]  # groups have exceptions
    finally:
        bus.policy.on_interrupt = None
    return []


def join_all(bus: Bus) -> None:
    """Wait without a time limit for every non-daemon thread, and log its name."""
    bus.log("Waiting for child threads to terminate...")
    for thread in threading.enumerate():
        if thread in (threading.current_thread(), threading.main_thread()) or thread.daemon:
            continue
        bus.log(f"Waiting for thread {thread.name}.")
        thread.join()


def raise_all(exceptions: list[BaseException]) -> None:
    """Raise *exceptions* as one; KeyboardInterrupt is dropped, since it has caused the exit."""
    errors = [error for error in exceptions if not isinstance(error, (KeyboardInterrupt, SystemExit))]
    failure: BaseException | None = errors[0] if errors else None
    if len(errors) > 1:
        failure = BaseExceptionGroup("the bus has exited, with problems", errors)
    if errors and all(isinstance(error, (TransitionFailures, TypedFailures)) for error in errors):
        failures = ChannelFailures.of([member for error in errors for member in error.exceptions])  # type: ignore[attr-defined]
        failures.__cause__ = failure
        failure = failures
    for exception in exceptions:
        if isinstance(exception, SystemExit):
            if failure is not None:
                chain_failure(exception, failure)
            raise exception
    if failure is not None:
        raise failure


class ReplacementInBlock:
    """Replaces the process when typed code restarts the bus: `Bus.block` does so at its end."""

    def __init__(self, bus: Bus) -> None:
        self._bus = weakref.ref(bus)

    def problem(self) -> str | None:
        """Return None: as in the original, a problem is reported only by the attempt."""
        return None

    def replace(self, failed: BaseException | None, /) -> None:
        """Request the replacement from `Bus.block`."""
        bus = self._bus()
        if bus is not None:
            bus.execv = True
        if failed is not None:
            raise failed
