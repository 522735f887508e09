"""
Signals that arrive while the process is replaced by its own program.

Between the exit of the old program and the first handler of the new one a signal
would take its default action: most would end the process. So the old program
blocks them, since a blocked signal stays pending and the mask outlives the
replacement. This module, when the new program imports it, catches them
instead and lifts the mask, so that child processes do not inherit it. The
handlers that the program installs then receive the signals that arrived.

SIGTERM and SIGINT are not held: nothing has been started yet, so the process should
end at once. The exception is the first process of a PID namespace, for which the system has
no default action: there they are held, and end the new program as soon as it imports this module.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Final, TypeAlias

Handler: TypeAlias = Callable[[int, FrameType | None], object] | int | signal.Handlers | None

_MARK: Final = "TYPEDBUS_SIGNALS"
ENDING: Final = frozenset({signal.SIGTERM, signal.SIGINT})
#: The signals whose default action does not end a process.
_HARMLESS: Final = frozenset({"SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH", "SIGTSTP", "SIGTTIN", "SIGTTOU"})
#: In the old program: the handlers of the blocked signals, to restore if the process is not replaced.
_handlers_of_blocked: Final[dict[int, Handler]] = {}
#: In the new program: the previous handlers of the signals that are caught, and the signals that have arrived.
_handlers_of_caught: Final[dict[int, Handler]] = {}
_arrivals: Final[deque[int]] = deque()
_PID: Final = os.getpid()


def hold(number: int, handler: Handler) -> None:
    """Block signal *number* until the process is replaced or `release` is called, which installs *handler* again."""
    if sys.platform == "win32":
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, [number])
    _handlers_of_blocked[number] = handler
    # An ignored signal must stay ignored, as under nohup; a caught signal has its default action in the new program.
    signal.signal(number, signal.SIG_IGN if handler == signal.SIG_IGN else _to_main_thread)
    os.environ[_MARK] = f"{os.getpid()}:{','.join(str(int(number)) for number in _handlers_of_blocked)}"


def carry_over(number: int, handler: Handler) -> None:
    """Hold signal *number*, which has arrived, so that it arrives again in the program that replaces this one."""
    hold(number, handler)
    _to_main_thread(number, None)


def hold_caught() -> None:
    """Hold each signal that has a handler written in Python, except SIGTERM, SIGINT and harmless signals."""
    for number in signal.valid_signals() - ENDING - _handlers_of_blocked.keys():
        handler = signal.getsignal(number)
        if callable(handler) and signal.Signals(number).name not in _HARMLESS:
            hold(number, handler)


def hold_ending() -> None:
    """Also hold SIGTERM and SIGINT: for the first process of a PID namespace, which they do not end by default."""
    for number in ENDING:
        hold(number, signal.getsignal(number))


def release() -> None:
    """Stop holding signals if the process is not replaced; signals that have arrived are discarded."""
    if sys.platform == "win32":
        return
    while _handlers_of_blocked:
        number, handler = _handlers_of_blocked.popitem()
        signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
        signal.signal(number, signal.SIG_DFL if handler is None else handler)
    os.environ.pop(_MARK, None)


def _to_main_thread(number: int, frame: FrameType | None) -> None:
    # The signal was delivered to a thread that does not block it. In the main thread it stays pending.
    if sys.platform != "win32":
        signal.pthread_kill(threading.main_thread().ident or 0, number)


def take_over() -> None:
    """Catch the held signals in a program that has replaced itself; does nothing outside the main thread."""
    pid, _, numbers = os.environ.get(_MARK, "").partition(":")
    # Other processes inherit the environment as well.
    if sys.platform == "win32" or pid != str(os.getpid()):
        return
    if threading.current_thread() is not threading.main_thread():
        return
    del os.environ[_MARK]
    signals = {int(number) for number in numbers.split(",") if number.isdecimal()} & signal.valid_signals()
    for number in signals:
        # An ignored signal stays ignored.
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            _handlers_of_caught[number] = signal.signal(number, _end if number in ENDING else _keep)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)


def _keep(number: int, frame: FrameType | None) -> None:
    if os.getpid() == _PID:
        _arrivals.append(number)
    else:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)


def handler_behind(number: int, handler: Handler) -> Handler:
    """Return *handler*, or the previous handler of signal *number* if *handler* is a handler of this module."""
    return _handlers_of_caught[number] if handler in (_keep, _end) else handler


def deliver() -> None:
    """
    Raise the signals that have arrived, if the program has installed handlers; restore the other handlers.

    Call it in the main thread, after the start: requests of the handlers are not carried out earlier anyway.
    """
    take_over()
    while _arrivals:
        number = _arrivals.popleft()
        handler = signal.getsignal(number)
        if callable(handler) and handler is not _keep:
            signal.raise_signal(number)
    while _handlers_of_caught:
        number, handler = _handlers_of_caught.popitem()
        if signal.getsignal(number) in (_keep, _end):
            signal.signal(number, handler)


take_over()
