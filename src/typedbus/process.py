"""
`run`: a container as the program of a process.

Here alone does typedbus touch the process: its signals, its standard error and
its exit status.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import traceback
from collections.abc import Generator
from typing import Final, NoReturn

from typedbus._bus import Bus
from typedbus._console import Console, console
from typedbus._container import Container
from typedbus._failures import NotMainThread, StartCancelled, StillRunning
from typedbus._faults import InvalidContainer
from typedbus._running import attached
from typedbus._turns import Limits

OK: Final = 0
NOT_STARTED: Final = 1
SOFTWARE: Final = 70  # EX_SOFTWARE of sysexits.h
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def run(
    container: Container | type[Container],
    /,
    *others: Container | type[Container],
    workers: int | None = None,
    limits: Limits | None = None,
) -> int:
    """
    Start *container* and *others*, or instances of them, serve until their bus exits, and return the exit status.

    ``raise SystemExit(run(Shop))`` is the whole of a program. Several containers
    share the bus of the first. The life cycle and
    what is published on `LOG` are told on stderr as they happen. SIGINT and
    SIGTERM ask for the exit, which also breaks off a start; a second one forces
    it: the process ends at once with 128 + the signal's number, and tells where
    every thread was. So does a thread that the bus owns and that does not end,
    with 70. The signal handlers that were there before are put back.

    Args:
        container: The one that declares the bus.
        others: Containers that listen and publish on it as well.
        workers: How many components may start, or stop, side by side; unless given, what the bus says.
        limits: How long hooks, a start and a stop may take; unless given, what the bus says.

    Returns:
        0 after an orderly run; 1 if the container is invalid or did not start;
        70 if anything failed later; what a listener gave to `sys.exit`.

    Raises:
        NotMainThread: It is called in another thread.
        LimitError: *workers* is no whole number from 1 up.
    """
    if threading.current_thread() is not threading.main_thread():
        raise NotMainThread
    try:
        instances = [one() if isinstance(one, type) else one for one in (container, *others)]
        bus = attached(instances, workers, limits)
    except InvalidContainer as invalid:
        print(f"error: {invalid}", file=sys.stderr)
        return NOT_STARTED
    status = OK
    with console(sys.stderr, bus) as shown, _signals_to(bus, shown):
        try:
            bus.start()
        except StartCancelled:
            bus.request_exit()
        except BaseException as error:
            status = _report(error, NOT_STARTED)
            bus.request_exit()
        try:
            bus.block()
        except BaseException as error:
            status = _report(error, status or SOFTWARE)
            if any(isinstance(member, StillRunning) for member in _members(error)):
                # An interpreter that ends joins every thread, and would hang as well.
                _end(status)
    return status


@contextlib.contextmanager
def _signals_to(bus: Bus, shown: Console) -> Generator[None, None, None]:
    """Turn the first SIGINT or SIGTERM into a request to exit, and the second into the end."""
    caught: list[int] = []

    # A handler interrupts the main thread anywhere, in the middle of a print
    # too: it only asks, and writes past every buffer.
    def handle(number: int, frame: object) -> None:
        name = signal.Signals(number).name
        if caught:
            os.write(2, shown.restoring + f"{name} again: ending at once; every thread was here:\n".encode())
            faulthandler.dump_traceback(2)
            os._exit(128 + number)
        caught.append(number)
        os.write(2, shown.restoring + f"{name}: exiting in order; once more to end at once\n".encode())
        bus.request_exit()

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None stands for one that was not set from Python and cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _members(error: BaseException) -> tuple[BaseException, ...]:
    """Return what `Bus.block` put into a group, or *error* itself."""
    return error.exceptions if type(error) in (BaseExceptionGroup, ExceptionGroup) else (error,)  # type: ignore[attr-defined]  # groups have exceptions


def _report(error: BaseException, status: int) -> int:
    """Tell *error* on stderr, and return the exit status that goes with it, *status* unless it brings its own."""
    for member in reversed(_members(error)):
        if not isinstance(member, SystemExit):
            traceback.print_exception(member)
            continue
        if member.__cause__ is not None:
            traceback.print_exception(member.__cause__)
        if isinstance(member.code, int):
            status = member.code
        elif member.code is None:
            status = OK
        else:
            print(member.code, file=sys.stderr)
            status = NOT_STARTED
    return status


def _end(status: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)
